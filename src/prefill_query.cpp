// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <mla_dtype/prefill_query.h>

#include <utility>

#include "bad_data_type.h"
#include "invalid_argument.h"

namespace mla_dtype {
namespace {

// The texts that operators search their logs for; never change a letter.
constexpr std::string_view enabled_text = "FP8 prefill attention enabled: query data type is FP8";
constexpr std::string_view refused_text =
    "Unable to perform FP8 prefill attention when use_prefill_query_quantization is enabled. "
    "Please ensure that --kv-cache-dtype is set to fp8 and your prefill backend is compatible with "
    "FP8 attention.";
constexpr std::string_view hint_text =
    "FP8 KV cache is enabled but prefill queries are not quantized to FP8. For long-context "
    "workloads (ISL >= 4K), enabling FP8 prefill attention can significantly optimize prefill "
    "latency. To enable, add: ";

constexpr std::string_view no_reason =
    "The prefill backend does not support FP8 queries and gave no reason.";

// The predicate of make_environment(). Where the KV cache is not quantized, and so the backend is
// not asked, its device_limit is written all the same; a predicate put in its place may know
// better.
struct BuiltInBackend {
  Support support;
  std::string device_limit;
  Support operator()(const EngineConfig&, DataType) const { return support; }
};

std::string_view device_limit(const Environment& env) {
  const auto* const built_in =
      env.backend_supports_prefill_query_quantization.target<BuiltInBackend>();
  return built_in != nullptr ? std::string_view(built_in->device_limit) : std::string_view();
}

// A record of the usual length is composed without allocating.
using RecordText = fmt::basic_memory_buffer<char, 1024>;

template <class... Parts>
void append(RecordText& text, const Parts&... parts) {
  const auto append_one = [&](std::string_view part) {
    text.append(part.data(), part.data() + part.size());
  };
  (append_one(parts), ...);
}

std::string_view view(const RecordText& text) { return {text.data(), text.size()}; }

[[noreturn]] void throw_out_of_range(PrefillQueryOutcome outcome) {
  detail::throw_invalid_argument(
      "outcome", fmt::format("PrefillQueryOutcome({})", static_cast<unsigned>(outcome)),
      "the enumerators of PrefillQueryOutcome");
}

void check(DataType model_dtype, const Environment& env) {
  constexpr std::string_view accepted_predicate = "a callable";
  if (!env.is_quantized_kv_cache) {
    detail::throw_invalid_argument("is_quantized_kv_cache", "null", accepted_predicate);
  }
  if (!env.backend_supports_prefill_query_quantization) {
    detail::throw_invalid_argument("backend_supports_prefill_query_quantization", "null",
                                   accepted_predicate);
  }
  if (model_dtype != DataType::bfloat16 && model_dtype != DataType::float16 &&
      model_dtype != DataType::float32) {
    detail::throw_bad_data_type("model_dtype", model_dtype, "bfloat16, float16, float32");
  }
  if (!detail::is_data_type(env.fp8_data_type) || !is_fp8(env.fp8_data_type)) {
    detail::throw_bad_data_type("fp8_data_type", env.fp8_data_type,
                                "float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz");
  }
}

}  // namespace

std::string_view to_string(PrefillQueryOutcome outcome) {
  switch (outcome) {
    case PrefillQueryOutcome::quantized:
      return "quantized";
    case PrefillQueryOutcome::request_refused:
      return "request_refused";
    case PrefillQueryOutcome::available_but_off:
      return "available_but_off";
    case PrefillQueryOutcome::not_applicable:
      return "not_applicable";
  }
  throw_out_of_range(outcome);
}

Environment make_environment(const Platform& platform, std::string_view prefill_backend) {
  Environment env;
  env.backend_supports_prefill_query_quantization =
      BuiltInBackend{supports_prefill_query_quantization(platform, prefill_backend),
                     prefill_query_device_limit(platform)};
  // Where the hardware has no FP8 the backend refuses, and the value is never returned.
  env.fp8_data_type = fp8_data_type(platform).value_or(DataType::float8_e4m3fn);
  return env;
}

PrefillQueryDecision evaluate_prefill_query(const EngineConfig& config, DataType model_dtype,
                                            const Environment& env) {
  check(model_dtype, env);
  PrefillQueryFacts facts{};
  facts.kv_cache_quantized = env.is_quantized_kv_cache(config.cache_config.cache_dtype);
  facts.requested = config.attention_config.use_prefill_query_quantization;
  std::string backend_reason;
  if (facts.kv_cache_quantized) {
    Support support = env.backend_supports_prefill_query_quantization(config, model_dtype);
    facts.backend_supports = support.supported;
    if (!support.supported) backend_reason = std::move(support.reason);
  }
  const PrefillQueryOutcome outcome = decide_prefill_query(facts);
  const bool quantized = outcome == PrefillQueryOutcome::quantized;
  return {quantized ? env.fp8_data_type : model_dtype, outcome, facts, std::move(backend_reason)};
}

bool log_prefill_query(const PrefillQueryDecision& decision, const EngineConfig& config,
                       const Environment& env) {
  OnceLog& log = env.log != nullptr ? *env.log : default_once_log();
  RecordText text;
  switch (decision.outcome) {
    case PrefillQueryOutcome::quantized:
      return log.info_once(LogScope::local, enabled_text);
    case PrefillQueryOutcome::request_refused:
      append(text, refused_text);
      if (decision.facts.kv_cache_quantized) {
        append(text, " ", decision.backend_reason.empty() ? no_reason : decision.backend_reason);
      } else {
        const std::string_view limit = device_limit(env);
        append(text, limit.empty() ? "" : " ", limit,
               " The KV cache is not quantized: --kv-cache-dtype is ",
               detail::in_quotes(config.cache_config.cache_dtype), ".");
      }
      return log.info_once(LogScope::local, view(text));
    case PrefillQueryOutcome::available_but_off:
      append(text, hint_text, env.flag_spelling);
      return log.warning_once(LogScope::local, view(text));
    case PrefillQueryOutcome::not_applicable:
      return false;
  }
  throw_out_of_range(decision.outcome);
}

DataType determine_prefill_query_data_type(const EngineConfig& config, DataType model_dtype,
                                           const Environment& env) {
  const PrefillQueryDecision decision = evaluate_prefill_query(config, model_dtype, env);
  log_prefill_query(decision, config, env);
  return decision.data_type;
}

}  // namespace mla_dtype
