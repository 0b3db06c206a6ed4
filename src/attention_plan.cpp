// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/attention_plan.h>

#include "prefill_answers.h"
#include "words/form.h"
#include "words/invalid_argument.h"
#include "words/sentences.h"

namespace mla_dtype {
namespace detail {
namespace {

// What was injected must be of one device, whose attention is computed in E4M3.
void check_devices(const Environment& env, const DecodeTable* decode) {
  if (env.fp8_data_type != DataType::float8_e4m3fn &&
      env.fp8_data_type != DataType::float8_e4m3fnuz) {
    throw_bad_data_type("fp8_data_type", env.fp8_data_type,
                        "float8_e4m3fn, float8_e4m3fnuz: attention is computed in E4M3");
  }
  if (decode == nullptr) return;
  const bool has_table = !env.backend_supports_prefill_query_quantization;  // as check() saw
  if (has_table && env.prefill_table->platform != decode->platform) {
    throw_invalid_argument(
        "device of the decode backend", device_name(decode->platform),
        filled("that of the prefill backends, {}", device_name(env.prefill_table->platform)));
  }
  const auto fp8 = fp8_data_type(decode->platform);
  if (fp8 && *fp8 != env.fp8_data_type) {
    throw_bad_data_type("fp8_data_type", env.fp8_data_type,
                        filled("{}, that of the decode backend's device", to_string(*fp8)));
  }
}

PrefillQuestion ask_with_decode(const EngineConfig& config, DataType model_dtype,
                                const Environment& env, const DecodeEnvironment& decode) {
  const bool has_predicate = decode.decode_backend_supports_quantized_query != nullptr;
  const DecodeTable* const table = has_predicate ? nullptr : decode.decode_table.get();
  check_that(has_predicate || table != nullptr, "decode_backend_supports_quantized_query", "null",
             "a callable, or the table of make_decode_environment()");
  check(config, model_dtype, env);
  check_devices(env, table);
  PrefillQuestion question = ask(config, model_dtype, env);
  question.decode = table;
  if (table != nullptr) {
    question.device = &table->platform;
    question.decode_choice = find_named(*table, is_sparse(config));
  }
  // A known KV-cache dtype is quantized or not, whatever a predicate of the engine's own says;
  // `auto` may be the engine's to decide, unless the checkpoint does.
  const auto* const format = question.format;
  const bool quantized = question.kv_cache_quantized;
  if (format != nullptr && format->quantized != quantized && question.cache_dtype != "auto") {
    throw_invalid_argument("is_quantized_kv_cache", filled("{} for {}", quantized, format->name),
                           "what it is");
  }
  return question;
}

void throw_if_nothing_runs(const PrefillQuestion& question, const DecodeChoice& choice) {
  std::string why;
  if (question.decode != nullptr && choice.row == nullptr) {
    why = decode_refusal(question);
  } else if (question.table != nullptr && selected_row(question) == nullptr) {
    why = compose(explain_selection(question));
  }
  if (why.empty()) return;
  std::vector<Remedy> remedies = remedies_to_run(question);
  if (!remedies.empty()) why += " To run, set: " + remedies.front().spelling;
  throw AttentionPlanRefused(why, std::move(remedies));
}

DecodeEnvironment decode_environment(const Platform& platform,
                                     const std::vector<DecodeBackend>& backends,
                                     const PrefillBackendAvailability& is_available,
                                     std::optional<std::string_view> decode_backend) {
  check_decode_backends(backends);
  DecodeTable table{platform, {}, std::string(decode_backend.value_or(""))};
  std::vector<std::string_view> names;
  for (const DecodeBackend& backend : backends) {
    add_once<std::string_view>(names, backend.name);
    table.rows.push_back({backend, is_available ? is_available(backend.name) : Support(true)});
  }
  if (decode_backend && !holds(names, *decode_backend)) {
    throw_unknown_name("decode_backend", *decode_backend, names);
  }
  return {nullptr, std::make_shared<const DecodeTable>(std::move(table))};
}

}  // namespace
}  // namespace detail

DecodeEnvironment make_decode_environment(const Platform& platform, const DecodeBackend& backend) {
  return detail::decode_environment(platform, {backend}, nullptr, backend.name);
}

DecodeEnvironment make_decode_environment(const Platform& platform,
                                          std::string_view decode_backend) {
  return detail::decode_environment(platform, vllm_decode_backends(), nullptr, decode_backend);
}

DecodeEnvironment make_decode_environment(const Platform& platform, const EngineProfile& engine,
                                          const PrefillBackendAvailability& is_available,
                                          std::string_view decode_backend) {
  return detail::decode_environment(
      platform, engine.decode_backends, is_available,
      decode_backend.empty() ? std::nullopt : std::optional(decode_backend));
}

AttentionPlan plan_attention_data_types(const EngineConfig& config, DataType model_dtype,
                                        const Environment& env, const DecodeEnvironment& decode) {
  const auto question = detail::ask_with_decode(config, model_dtype, env, decode);
  const detail::Evaluation evaluation = detail::evaluate(question);
  detail::throw_if_refused(question, evaluation);
  detail::DecodeChoice choice = detail::select_decode(question);
  detail::throw_if_nothing_runs(question, choice);
  const auto* const format = question.format;
  if (question.decode == nullptr && format != nullptr && detail::is_plain_fp8(*format)) {
    choice.fp8_queries = decode.decode_backend_supports_quantized_query(config, model_dtype);
  }
  return detail::explain_plan(question, evaluation, choice);
}

DecodeBackendSelection select_decode_backend(const EngineConfig& config, DataType model_dtype,
                                             const Environment& env,
                                             const DecodeEnvironment& decode) {
  const auto question = detail::ask_with_decode(config, model_dtype, env, decode);
  detail::check_that(question.decode != nullptr, "decode_backend_supports_quantized_query",
                     "a predicate of the engine's own",
                     "none, and the table of make_decode_environment()");
  return detail::explain_decode(question);
}

AttentionPlanRefused::AttentionPlanRefused(const std::string& what, std::vector<Remedy> remedies)
    : std::runtime_error(what),
      remedies_(std::make_shared<const std::vector<Remedy>>(std::move(remedies))) {}
AttentionPlanRefused::~AttentionPlanRefused() = default;

std::vector<LogRecord> records(const AttentionPlan& plan, const Environment& env) {
  std::vector<LogRecord> result = detail::records(plan.prefill, env);
  for (const Caution& caution : plan.cautions) {
    result.push_back({LogLevel::warning, caution.sentence});
  }
  return result;
}

bool log_attention_plan(const AttentionPlan& plan, const Environment& env) {
  return detail::say_once(records(plan, env), env);
}

std::string to_string(const AttentionPlan& plan) { return detail::in_lines(plan); }

std::string_view to_string(CautionKind kind) {
  constexpr std::string_view names[] = {"unit_scales",      "unknown_scales", "storage_only",
                                        "flag_ignored",     "known_wrong",    "unequal_scales",
                                        "estimated_scales", "no_fp8_units"};
  return detail::enumerator_name(names, "kind", "CautionKind", kind);
}

std::uint64_t pack(const AttentionPlan& plan) {
  detail::check_enumerator("kv_scales", "KvScales", plan.kv_scales, KvScales::dynamic);
  return detail::pack_plan(plan);
}

std::vector<RankDifference> rank_differences(const std::vector<std::uint64_t>& packed_plans) {
  std::vector<RankDifference> result;
  for (std::size_t rank = 1; rank < packed_plans.size(); ++rank) {
    for (const detail::PackedField& field : detail::packed_fields) {
      const unsigned value = detail::packed_value(packed_plans[rank], field);
      const unsigned expected = detail::packed_value(packed_plans[0], field);
      if (value == expected) continue;
      result.push_back(
          {rank, field.name, detail::show(value, field.kind), detail::show(expected, field.kind)});
    }
  }
  return result;
}

void check_ranks_agree(const std::vector<std::uint64_t>& packed_plans) {
  detail::check_that(!packed_plans.empty(), "packed_plans", "none", "one of each rank");
  const auto differences = rank_differences(packed_plans);
  if (!differences.empty()) throw AttentionPlanRefused(detail::compose(differences));
}

}  // namespace mla_dtype
