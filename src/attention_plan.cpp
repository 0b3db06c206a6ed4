// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <mla_dtype/attention_plan.h>

#include <memory>
#include <utility>

#include "decision/attention_types.h"
#include "facts/kv_cache_formats.h"
#include "log/keyed_log.h"
#include "prefill_answers.h"
#include "words/check_input.h"
#include "words/invalid_argument.h"
#include "words/plan.h"
#include "words/prefill_query.h"

namespace mla_dtype {
namespace {

using detail::Decode;
using detail::DecodeTable;
using detail::PrefillQuestion;

// The table answers unless there is a predicate.
const DecodeTable* table_of(const DecodeEnvironment& decode) {
  return decode.decode_backend_supports_quantized_query ? nullptr : decode.decode_table.get();
}

void check_decode(const DecodeEnvironment& decode) {
  if (decode.decode_backend_supports_quantized_query || decode.decode_table != nullptr) return;
  detail::throw_invalid_argument("decode_backend_supports_quantized_query", "null",
                                 "a callable, or the table of make_decode_environment()");
}

// What was injected must be of one device, whose attention is computed in E4M3.
void check_devices(const Environment& env, const DecodeTable* decode) {
  if (env.fp8_data_type != DataType::float8_e4m3fn &&
      env.fp8_data_type != DataType::float8_e4m3fnuz) {
    detail::throw_bad_data_type("fp8_data_type", env.fp8_data_type,
                                "float8_e4m3fn, float8_e4m3fnuz: attention is computed in E4M3");
  }
  if (decode == nullptr) return;
  const bool has_table =
      !env.backend_supports_prefill_query_quantization && env.prefill_table != nullptr;
  if (has_table && env.prefill_table->platform != decode->platform) {
    detail::throw_invalid_argument("device of the decode backend",
                                   detail::device_name(decode->platform),
                                   fmt::format("that of the prefill backends, {}",
                                               detail::device_name(env.prefill_table->platform)));
  }
  const auto fp8 = fp8_data_type(decode->platform);
  if (fp8 && *fp8 != env.fp8_data_type) {
    detail::throw_bad_data_type(
        "fp8_data_type", env.fp8_data_type,
        fmt::format("{}, that of the decode backend's device", to_string(*fp8)));
  }
}

// A known KV-cache dtype is quantized or not, whatever a predicate of the engine's own says; `auto`
// may be the engine's to decide, unless the checkpoint does.
const KvCacheFormat* checked_format(const PrefillQuestion& question) {
  const auto* const format = question.format;
  const bool quantized = question.kv_cache_quantized;
  if (format == nullptr || format->quantized == quantized) return format;
  if (question.cache_dtype == "auto") return nullptr;
  detail::throw_invalid_argument("is_quantized_kv_cache",
                                 fmt::format("{} for {}", quantized, format->name), "what it is");
}

PlannedDataType plan_decode(const EngineConfig& config, const DecodeEnvironment& decode,
                            const PrefillQuestion& question) {
  const DecodeTable* const table = table_of(decode);
  std::string reason;
  Decode answer = Decode::unquantized;
  if (table != nullptr) {
    answer = detail::decode_with(*table, question);
  } else if (question.kv_cache_quantized) {
    answer = Decode::not_plain_fp8;
    if (question.format != nullptr && detail::is_plain_fp8(*question.format)) {
      Support support =
          decode.decode_backend_supports_quantized_query(config, question.model_dtype);
      answer = support.supported ? Decode::fp8 : Decode::refused;
      reason = std::move(support.reason);
    }
  }
  if (detail::is_illegal(answer)) {
    throw AttentionPlanRefused(detail::decode_refusal(answer, *table, question));
  }
  return {answer == Decode::fp8 ? question.env.fp8_data_type : question.model_dtype,
          detail::decode_reason(answer, table, reason)};
}

void plan_kv_cache(const EngineConfig& config, const PrefillQuestion& question,
                   const KvCacheFormat* format, AttentionPlan& plan) {
  plan.kv_cache_dtype = plan.prefill.kv_cache_dtype;
  plan.kv_scales = question.config.cache_config.kv_scales;
  const bool quantized = question.kv_cache_quantized;
  const auto types =
      detail::cache_types(format, quantized, question.model_dtype, question.env.fp8_data_type);
  const std::string reason = detail::kv_cache_reason(plan.kv_cache_dtype);
  plan.kv_cache_storage = {types.storage, reason};
  plan.kv_cache_view = {types.view, reason};
  plan.kv_cache_bytes = detail::cache_bytes(format, quantized, types.view, config);
  plan.unquantized_kv_cache_bytes =
      detail::latent_size(config) * size_in_bytes(question.model_dtype);
}

}  // namespace

DecodeEnvironment make_decode_environment(const Platform& platform, const DecodeBackend& backend) {
  detail::check_decode_backend(backend);
  DecodeEnvironment env;
  env.decode_table = std::make_shared<const DecodeTable>(DecodeTable{platform, backend});
  return env;
}

DecodeEnvironment make_decode_environment(const Platform& platform,
                                          std::string_view decode_backend) {
  std::vector<std::string_view> names;
  for (const DecodeBackend& backend : vllm_decode_backends()) {
    if (backend.name == decode_backend) return make_decode_environment(platform, backend);
    names.push_back(backend.name);
  }
  detail::throw_unknown_name("decode_backend", decode_backend, names);
}

AttentionPlan plan_attention_data_types(const EngineConfig& config, DataType model_dtype,
                                        const Environment& env, const DecodeEnvironment& decode) {
  check_decode(decode);
  const DecodeTable* const decode_table = table_of(decode);
  detail::check(config, model_dtype, env);
  check_devices(env, decode_table);
  PrefillQuestion question = detail::ask(config, model_dtype, env);
  const KvCacheFormat* const format = checked_format(question);
  if (decode_table != nullptr) {
    question.may_keep_kv_cache = !is_illegal(detail::decode_with(*decode_table, question));
    question.kv_caches_left = detail::readable_kv_caches(*decode_table, question);
  }
  const detail::Evaluation evaluation = detail::evaluate(question);
  detail::throw_if_refused(question, evaluation);

  AttentionPlan plan{};
  plan.prefill = detail::explain(question, evaluation);
  if (question.table != nullptr) {
    plan.prefill_backend = detail::explain_selection(question);
    if (plan.prefill_backend.name.empty()) {
      throw AttentionPlanRefused(detail::compose(plan.prefill_backend));
    }
  }
  plan_kv_cache(config, question, format, plan);
  plan.prefill_query = {plan.prefill.data_type, detail::prefill_reason(plan.prefill)};
  plan.prefill_key_value = {plan.prefill.data_type, detail::key_value_reason};
  if (const auto type = detail::workspace_type(question, plan.prefill.data_type)) {
    plan.chunked_prefill_workspace = {*type, detail::workspace_reason(question)};
    plan.workspace_bytes = detail::latent_size(config) * size_in_bytes(*type);
  }
  plan.decode_query = plan_decode(config, decode, question);
  plan.output = {model_dtype, detail::output_reason};
  for (const CautionKind kind : detail::cautions_of(plan, question, evaluation.choice.row)) {
    plan.cautions.push_back(detail::caution(kind, question, evaluation.choice.row));
  }
  return plan;
}

AttentionPlanRefused::~AttentionPlanRefused() = default;

bool log_attention_plan(const AttentionPlan& plan, const Environment& env) {
  static_cast<void>(to_string(plan.prefill.outcome));  // throws for what is none
  OnceLog& log = detail::log_of(env);
  bool written = false;
  for (const auto& record : detail::records_of(plan.prefill.outcome, plan.prefill.prediction)) {
    if (!record) continue;
    const std::string text = detail::compose(*record, plan.prefill, env.spellings);
    written |= detail::KeyedLog::say_once(log, LogScope::local, detail::level_of(*record, env),
                                          /*key=*/0, text);
  }
  for (const Caution& caution : plan.cautions) {
    written |= log.warning_once(LogScope::local, caution.sentence);
  }
  return written;
}

std::string to_string(const AttentionPlan& plan) { return detail::in_lines(plan); }

std::string_view to_string(CautionKind kind) {
  constexpr std::string_view names[] = {"unit_scales", "unknown_scales", "storage_only",
                                        "flag_ignored"};
  return detail::enumerator_name(names, "kind", "CautionKind", kind);
}

std::uint64_t pack(const AttentionPlan& plan) {
  detail::check_kv_scales(plan.kv_scales);
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
  if (packed_plans.empty()) {
    detail::throw_invalid_argument("packed_plans", "none", "one of each rank");
  }
  const auto differences = rank_differences(packed_plans);
  if (!differences.empty()) throw AttentionPlanRefused(detail::compose(differences));
}

}  // namespace mla_dtype
