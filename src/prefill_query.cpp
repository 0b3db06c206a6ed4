// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <mla_dtype/prefill_query.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "bad_data_type.h"
#include "cache_dtype.h"
#include "check_config.h"
#include "first_refusal.h"
#include "invalid_argument.h"
#include "prefill_candidates.h"
#include "prefill_plan.h"

namespace mla_dtype {
namespace {

// The texts that operators search their logs for; never change a letter.
constexpr std::string_view enabled_text = "FP8 prefill attention enabled: query data type is FP8";
constexpr std::string_view refused_text =
    "Unable to perform FP8 prefill attention when use_prefill_query_quantization is enabled. "
    "Please ensure that --kv-cache-dtype is set to fp8 and your prefill backend is compatible with "
    "FP8 attention.";
constexpr std::string_view required_text =
    "FP8 prefill queries are required (prefill_query_mode), and not possible.";
constexpr std::string_view hint_text =
    "FP8 KV cache is enabled but prefill queries are not quantized to FP8. For long-context "
    "workloads (ISL >= 4K), enabling FP8 prefill attention can significantly optimize prefill "
    "latency. To enable, add: ";

constexpr std::string_view not_paying_text = "FP8 prefill queries are enabled, but do not pay. ";
constexpr std::string_view automatically_off_text =
    "FP8 prefill attention is possible, and not enabled: prefill_query_mode is automatic. ";
constexpr std::string_view remedy_text = "To enable FP8 prefill attention, set: ";
constexpr std::string_view flag_name = "use_prefill_query_quantization";
constexpr std::string_view vllm_flag =
    R"(--attention-config '{"use_prefill_query_quantization": true}')";
constexpr std::string_view vllm_backend =
    R"(--attention-config '{"use_prefill_query_quantization": true, "mla_prefill_backend": "%"}')";
constexpr std::string_view no_reason =
    "The prefill backend does not support FP8 queries and gave no reason.";

using detail::append;
using detail::effective_cache_dtype;
using detail::RecordText;
using detail::view;

[[noreturn]] void throw_out_of_range(PrefillQueryOutcome outcome) {
  detail::throw_out_of_range("outcome", "PrefillQueryOutcome", static_cast<unsigned>(outcome));
}

OnceLog& log_of(const Environment& env) {
  return env.log != nullptr ? *env.log : default_once_log();
}

// What a plan asks besides: it answers for more than the query.
struct Demands {
  bool output = false;           // the backend has to write the model dtype
  unsigned cache_choices = ~0U;  // the KV caches that may be had instead: a bit for each format
};

// The predicate of make_environment(). The decision finds it in the Environment and looks into the
// table itself: a refusal then needs no reason to be composed, and advice no predicate to be asked.
// A predicate put in its place may know better.
struct BuiltInBackend {
  std::shared_ptr<const detail::PrefillCandidates> candidates;
  // What runs where the operator chooses none; null: it is selected.
  const detail::Candidate* named;
  std::shared_ptr<detail::FirstRefusal> first_refusal = std::make_shared<detail::FirstRefusal>();

  Support operator()(const EngineConfig& config, DataType model_dtype) const;

  detail::Inputs inputs(const EngineConfig& config, DataType model_dtype, bool kv_cache_quantized,
                        const std::optional<PrefillPrediction>& prediction,
                        const Demands& demands = {}) const {
    detail::Inputs result(config, model_dtype, kv_cache_quantized,
                          candidates->choice(config.attention_config, named), prediction);
    result.output_matters = demands.output;
    result.cache_choices = demands.cache_choices;
    // A prediction compares two ways to run; there may be one.
    if (result.ruled_out() && candidates->runs_with_fp8_only(result)) result.requested = true;
    return result;
  }

  // Whether the backend takes FP8 queries; where the KV cache is not quantized, whether it would if
  // it were.
  bool supports(const detail::Inputs& inputs) const {
    const auto* const backend = candidates->select(inputs);
    if (backend == nullptr) return false;
    return inputs.kv_cache_quantized ? candidates->takes_fp8(*backend, inputs)
                                     : candidates->is_capable(*backend, inputs);
  }
};

const BuiltInBackend* built_in_backend(const Environment& env) {
  return env.backend_supports_prefill_query_quantization.target<BuiltInBackend>();
}

// Whether other KV-cache dtypes than the given one can be judged without asking a predicate.
bool has_built_in_cache_predicate(const Environment& env) {
  const auto* const function = env.is_quantized_kv_cache.target<bool (*)(std::string_view)>();
  return function != nullptr && *function == &is_quantized_kv_cache;
}

// For an engine that asks the predicate itself. The KV cache counts as quantized unless the library
// knows better: what the engine's own predicate says of it is not known here.
Support BuiltInBackend::operator()(const EngineConfig& config, DataType model_dtype) const {
  const auto format = parse_kv_cache_dtype(effective_cache_dtype(config));
  const auto asked = inputs(config, model_dtype, !format || format->quantized, std::nullopt);
  if (supports(asked)) return true;
  RecordText reason;
  auto of_backend = asked;
  of_backend.chosen = candidates->select(asked);
  candidates->for_each_blocker(
      of_backend, [&](BlockerKind kind, const detail::Candidate* candidate) {
        const bool is_backends =
            kind != BlockerKind::not_requested && kind != BlockerKind::kv_cache_not_quantized;
        if (!is_backends) return;
        append(reason, reason.size() == 0 ? "" : " ");
        candidates->append_sentence(reason, kind, candidate, asked);
      });
  return {false, std::string(view(reason))};
}

void check(const EngineConfig& config, DataType model_dtype, const Environment& env) {
  constexpr std::string_view accepted_predicate = "a callable";
  if (!env.is_quantized_kv_cache) {
    detail::throw_invalid_argument("is_quantized_kv_cache", "null", accepted_predicate);
  }
  if (!env.backend_supports_prefill_query_quantization) {
    detail::throw_invalid_argument("backend_supports_prefill_query_quantization", "null",
                                   accepted_predicate);
  }
  detail::check_model_data_type(model_dtype);
  if (!detail::is_data_type(env.fp8_data_type) || !is_fp8(env.fp8_data_type)) {
    detail::throw_bad_data_type("fp8_data_type", env.fp8_data_type,
                                "float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz");
  }
  if (env.refused_request_level > LogLevel::warning) {
    detail::throw_out_of_range("refused_request_level", "LogLevel",
                               static_cast<unsigned>(env.refused_request_level));
  }
  detail::check_config(config);
  if (config.attention_config.prefill_query_mode == PrefillQueryMode::automatic &&
      !env.predict_prefill_speedup) {
    detail::throw_invalid_argument("predict_prefill_speedup", "null",
                                   "a callable, where prefill_query_mode is automatic");
  }
  if (const auto* const built_in = built_in_backend(env)) {
    built_in->candidates->choice(config.attention_config, built_in->named);
  } else if (!config.attention_config.mla_prefill_backend.empty()) {
    detail::check_name("mla_prefill_backend", config.attention_config.mla_prefill_backend);
  }
}

std::optional<PrefillPrediction> predict(const EngineConfig& config, const Environment& env) {
  const AttentionConfig& attention = config.attention_config;
  if (!attention.expected_isl || !env.predict_prefill_speedup ||
      attention.prefill_query_mode == PrefillQueryMode::required) {
    return std::nullopt;
  }
  const double speedup = env.predict_prefill_speedup(config, *attention.expected_isl);
  if (!std::isfinite(speedup) || speedup <= 0) {
    detail::throw_invalid_argument("answer of predict_prefill_speedup", fmt::to_string(speedup),
                                   "a finite number above 0");
  }
  return PrefillPrediction{*attention.expected_isl, speedup,
                           attention.prefill_query_mode == PrefillQueryMode::automatic,
                           /*advises_change=*/false};
}

PrefillQueryDecision decide(const EngineConfig& config, DataType model_dtype,
                            const Environment& env, bool always_ask_backend,
                            const Demands& demands = {}) {
  check(config, model_dtype, env);
  const BuiltInBackend* const built_in = built_in_backend(env);
  PrefillQueryDecision result{};
  PrefillQueryFacts& facts = result.facts;
  facts.kv_cache_quantized = env.is_quantized_kv_cache(effective_cache_dtype(config));
  result.prediction = predict(config, env);
  facts.requested = detail::is_requested(config.attention_config, result.prediction);
  const bool ask_backend = facts.kv_cache_quantized || always_ask_backend;
  bool runs_without_fp8 = true;
  if (built_in != nullptr && (ask_backend || result.prediction)) {
    const auto inputs =
        built_in->inputs(config, model_dtype, facts.kv_cache_quantized, result.prediction, demands);
    facts.requested = inputs.requested;
    facts.backend_supports = ask_backend && built_in->supports(inputs);
    if (result.prediction) runs_without_fp8 = built_in->candidates->runs_without_fp8(inputs);
  } else if (ask_backend) {
    Support support = env.backend_supports_prefill_query_quantization(config, model_dtype);
    facts.backend_supports = support.supported;
    if (!support.supported) result.backend_reason = std::move(support.reason);
  }
  result.outcome = decide_prefill_query(facts);
  const bool quantized = result.outcome == PrefillQueryOutcome::quantized;
  result.data_type = quantized ? env.fp8_data_type : model_dtype;
  if (result.prediction && !result.prediction->decides) {
    const double speedup = result.prediction->speedup;
    result.prediction->advises_change =
        quantized ? runs_without_fp8 && detail::is_worthwhile(1 / speedup)
                  : result.outcome == PrefillQueryOutcome::available_but_off &&
                        detail::is_worthwhile(speedup);
  }
  return result;
}

// A spelling with the value in its place, or else behind it.
void append_spelling(RecordText& text, std::string_view spelling, std::string_view value) {
  const std::size_t place = spelling.find('%');
  if (place == spelling.npos) return append(text, spelling, " ", value);
  append(text, spelling.substr(0, place), value, spelling.substr(place + 1));
}

std::string_view flag_of(const Environment& env) {
  if (env.flag_spelling.empty()) return flag_name;
  return env.flag_spelling;
}

void append_backend_spelling(RecordText& text, const Environment& env,
                             std::string_view prefill_backend) {
  if (!env.prefill_backend_spelling.empty()) {
    append_spelling(text, env.prefill_backend_spelling, prefill_backend);
  } else if (env.flag_spelling == vllm_flag) {
    append_spelling(text, vllm_backend, prefill_backend);
  } else {
    append(text, flag_of(env), " with prefill backend ", prefill_backend);
  }
}

// What an operator of this engine sets to make these changes. Requesting FP8 queries must not take
// back a choice of the backend that is spelled in the same breath.
void append_remedy(RecordText& text, const Environment& env, bool request,
                   std::string_view cache_dtype, std::string_view prefill_backend,
                   std::string_view chosen_backend) {
  if (!cache_dtype.empty()) {
    const bool in_words = env.kv_cache_dtype_spelling.empty();
    append_spelling(text,
                    in_words ? std::string_view("KV-cache dtype") : env.kv_cache_dtype_spelling,
                    cache_dtype);
    if (request || !prefill_backend.empty()) append(text, in_words ? " and " : " ");
  }
  const bool keeps_choice = request && env.flag_spelling == vllm_flag && !chosen_backend.empty();
  if (!prefill_backend.empty()) {
    append_backend_spelling(text, env, prefill_backend);
  } else if (keeps_choice) {
    append_backend_spelling(text, env, chosen_backend);
  } else if (request) {
    append(text, flag_of(env));
  }
}

std::string_view name_of(const detail::Candidate* candidate) {
  return candidate == nullptr ? std::string_view() : candidate->backend.name;
}

// What would help, or that it does not pay.
void append_advice(RecordText& text, const std::optional<PrefillPrediction>& prediction,
                   std::string_view remedy) {
  const bool is_automatic = detail::is_decisive(prediction);
  if (is_automatic) append(text, " prefill_query_mode is automatic.");
  if (is_automatic || !detail::may_advise(prediction)) {
    append(text, " ");
    detail::append_prediction(text, *prediction);
  }
  if (detail::may_advise(prediction) && !remedy.empty()) append(text, " ", remedy_text, remedy);
}

// What failed, and what would help: what the record of a refused request goes on with.
void append_why(RecordText& text, const PrefillQueryDecision& decision, const EngineConfig& config,
                DataType model_dtype, const Environment& env) {
  const BuiltInBackend* const built_in = built_in_backend(env);
  if (built_in == nullptr) {
    append(text, " ");
    if (decision.facts.kv_cache_quantized) {
      append(text, decision.backend_reason.empty() ? no_reason : decision.backend_reason);
    } else {
      detail::append_not_quantized(text, effective_cache_dtype(config));
    }
    return append_advice(text, decision.prediction, /*remedy=*/{});
  }
  const detail::PrefillCandidates& candidates = *built_in->candidates;
  const auto inputs =
      built_in->inputs(config, model_dtype, decision.facts.kv_cache_quantized, decision.prediction);
  const bool may_change_cache = has_built_in_cache_predicate(env);
  if (const auto why = built_in->first_refusal->find(inputs, may_change_cache, env); !why.empty()) {
    return append(text, why);
  }
  const std::size_t begin = text.size();
  RecordText remedy;
  bool helped = false;
  const bool nothing_can_help = candidates.nothing_helps(inputs);
  if (!nothing_can_help) {
    candidates.for_each_remedy(inputs, may_change_cache,
                               [&](std::string_view cache_dtype, const detail::Candidate* backend) {
                                 append_remedy(remedy, env, /*request=*/false, cache_dtype,
                                               name_of(backend), /*chosen_backend=*/{});
                                 return helped = true;
                               });
  }
  if (nothing_can_help || (may_change_cache && !helped)) {
    append(text, " ");
    candidates.append_nothing_helps(text, inputs);
  }
  candidates.for_each_blocker(inputs, [&](BlockerKind kind, const detail::Candidate* candidate) {
    append(text, " ");
    candidates.append_sentence(text, kind, candidate, inputs);
  });
  append_advice(text, decision.prediction, helped ? view(remedy) : std::string_view());
  built_in->first_refusal->remember(inputs, may_change_cache, env, view(text).substr(begin));
}

// All of an explanation that follows without asking a predicate. `backend_asked`: whether
// decision.facts.backend_supports was found out.
PrefillQueryExplanation explain(const PrefillQueryDecision& decision, const EngineConfig& config,
                                DataType model_dtype, const Environment& env, bool backend_asked,
                                const Demands& demands = {}) {
  PrefillQueryExplanation result{};
  result.data_type = decision.data_type;
  result.outcome = decision.outcome;
  result.facts = decision.facts;
  result.prediction = decision.prediction;
  const CacheConfig& cache = config.cache_config;
  result.kv_cache_dtype =
      parse_kv_cache_dtype(cache.cache_dtype)
          ? resolve_kv_cache_dtype(cache.cache_dtype, model_dtype,
                                   cache.checkpoint_kv_cache_quant_algo)
          : KvCacheResolution{cache.cache_dtype, cache.cache_dtype, "the engine knows it"};
  const bool quantized = decision.outcome == PrefillQueryOutcome::quantized;
  const bool requested = decision.facts.requested;
  const auto add_remedy = [&](std::string_view cache_dtype, const detail::Candidate* backend) {
    RecordText spelling;
    append_remedy(spelling, env, !requested, cache_dtype, name_of(backend),
                  config.attention_config.mla_prefill_backend);
    result.remedies.push_back({!requested, std::string(cache_dtype), std::string(name_of(backend)),
                               std::string(view(spelling))});
    return false;
  };

  if (const BuiltInBackend* const built_in = built_in_backend(env)) {
    const detail::PrefillCandidates& candidates = *built_in->candidates;
    const auto inputs = built_in->inputs(config, model_dtype, decision.facts.kv_cache_quantized,
                                         decision.prediction, demands);
    result.prefill_backend = name_of(candidates.select(inputs));
    result.hint = candidates.selection(inputs).hint;
    if (quantized) return result;
    candidates.for_each_blocker(inputs, [&](BlockerKind kind, const detail::Candidate* candidate) {
      result.blockers.push_back(candidates.describe(kind, candidate, inputs));
    });
    const bool may_change_cache = has_built_in_cache_predicate(env);
    candidates.for_each_remedy(inputs, may_change_cache, add_remedy);
    if (candidates.nothing_helps(inputs) || (may_change_cache && result.remedies.empty())) {
      RecordText text;
      candidates.append_nothing_helps(text, inputs);
      result.nothing_helps = view(text);
    }
    return result;
  }

  const auto block = [&](BlockerKind kind, std::string_view value, std::string_view sentence) {
    result.blockers.push_back({kind, std::string(value), std::string(sentence)});
  };
  if (!requested) {
    RecordText sentence;
    detail::append_not_requested(sentence, decision.prediction);
    block(BlockerKind::not_requested, detail::not_requested_value(decision.prediction),
          view(sentence));
  }
  if (!decision.facts.kv_cache_quantized) {
    const std::string_view cache_dtype = effective_cache_dtype(config);
    RecordText sentence;
    detail::append_not_quantized(sentence, cache_dtype);
    block(BlockerKind::kv_cache_not_quantized, cache_dtype, view(sentence));
  }
  if (backend_asked && !decision.facts.backend_supports) {
    const std::string_view reason = decision.backend_reason;
    block(BlockerKind::backend_refused, "", reason.empty() ? no_reason : reason);
  }
  const bool is_flag_enough = decision.outcome == PrefillQueryOutcome::available_but_off &&
                              !detail::is_decisive(decision.prediction);
  if (is_flag_enough) add_remedy({}, nullptr);
  return result;
}

// The same from an explanation.
void append_why(RecordText& text, const PrefillQueryExplanation& explanation) {
  if (!explanation.nothing_helps.empty()) append(text, " ", explanation.nothing_helps);
  for (const Blocker& blocker : explanation.blockers) {
    if (blocker.kind != BlockerKind::not_requested) append(text, " ", blocker.sentence);
  }
  append_advice(
      text, explanation.prediction,
      explanation.remedies.empty() ? std::string_view() : explanation.remedies.front().spelling);
}

bool is_refused(PrefillQueryOutcome outcome, const EngineConfig& config) {
  return outcome == PrefillQueryOutcome::request_refused &&
         config.attention_config.prefill_query_mode == PrefillQueryMode::required;
}

[[noreturn]] void throw_refused(PrefillQueryExplanation explanation) {
  RecordText text;
  append(text, required_text);
  append_why(text, explanation);
  throw PrefillQueryRefused(std::string(view(text)), std::move(explanation));
}

Environment environment_of(const Platform& platform, BuiltInBackend backend) {
  Environment env;
  env.backend_supports_prefill_query_quantization = std::move(backend);
  // Where the hardware has no FP8 the backend refuses, and the value is never returned.
  env.fp8_data_type = fp8_data_type(platform).value_or(DataType::float8_e4m3fn);
  return env;
}

// Logs the record of a row, and what is predicted. `append_reasons` adds to the record of a refused
// request.
bool log_outcome(PrefillQueryOutcome outcome, const std::optional<PrefillPrediction>& prediction,
                 const Environment& env, detail::FunctionRef<void(RecordText&)> append_reasons) {
  OnceLog& log = log_of(env);
  RecordText text;
  const bool is_automatic = detail::is_decisive(prediction);
  const bool advises_change = prediction && prediction->advises_change;
  switch (outcome) {
    case PrefillQueryOutcome::quantized: {
      append(text, enabled_text);
      if (is_automatic) {
        append(text, ". ");
        detail::append_prediction(text, *prediction);
      }
      const bool written = log.info_once(LogScope::local, view(text));
      if (!advises_change) return written;
      text.clear();
      append(text, not_paying_text);
      detail::append_prediction(text, *prediction);
      // Where it is one setting among others of an option, the option cannot be named.
      const bool is_own_flag = !env.flag_spelling.empty() && env.flag_spelling != vllm_flag;
      append(text, is_own_flag ? " To disable, remove: " : " To disable, turn off: ",
             is_own_flag ? std::string_view(env.flag_spelling) : flag_name);
      return log.warning_once(LogScope::local, view(text)) || written;
    }
    case PrefillQueryOutcome::request_refused:
      append(text, refused_text);
      append_reasons(text);
      return env.refused_request_level == LogLevel::warning
                 ? log.warning_once(LogScope::local, view(text))
                 : log.info_once(LogScope::local, view(text));
    case PrefillQueryOutcome::available_but_off:
      if (is_automatic) {
        append(text, automatically_off_text);
        detail::append_prediction(text, *prediction);
        return log.info_once(LogScope::local, view(text));
      }
      if (prediction && !advises_change) return false;
      append(text, hint_text, flag_of(env));
      if (prediction) {
        append(text, " (");
        detail::append_prediction(text, *prediction);
        append(text, ")");
      }
      return log.warning_once(LogScope::local, view(text));
    case PrefillQueryOutcome::not_applicable:
      return false;
  }
  throw_out_of_range(outcome);
}

bool log_decision(const PrefillQueryDecision& decision, const EngineConfig& config,
                  DataType model_dtype, const Environment& env) {
  return log_outcome(decision.outcome, decision.prediction, env, [&](RecordText& text) {
    append_why(text, decision, config, model_dtype, env);
  });
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
  std::vector<std::string_view> names;
  for (const auto* table : {&vllm_prefill_backends(), &tensorrt_llm_prefill_backends()}) {
    for (const PrefillBackend& backend : *table) {
      if (backend.name == prefill_backend) {
        const auto candidates =
            std::make_shared<const detail::PrefillCandidates>(platform, *table, nullptr);
        return environment_of(platform, {candidates, &candidates->find(prefill_backend)});
      }
      names.push_back(backend.name);
    }
  }
  detail::throw_unknown_name("prefill_backend", prefill_backend, names);
}

Environment make_environment(const Platform& platform,
                             const std::vector<PrefillBackend>& prefill_backends,
                             const PrefillBackendAvailability& is_available) {
  return environment_of(platform, {std::make_shared<const detail::PrefillCandidates>(
                                       platform, prefill_backends, is_available),
                                   nullptr});
}

PrefillQueryDecision evaluate_prefill_query(const EngineConfig& config, DataType model_dtype,
                                            const Environment& env) {
  return decide(config, model_dtype, env, /*always_ask_backend=*/false);
}

bool log_prefill_query(const PrefillQueryDecision& decision, const EngineConfig& config,
                       DataType model_dtype, const Environment& env) {
  check(config, model_dtype, env);
  return log_decision(decision, config, model_dtype, env);
}

DataType determine_prefill_query_data_type(const EngineConfig& config, DataType model_dtype,
                                           const Environment& env) {
  const PrefillQueryDecision decision = evaluate_prefill_query(config, model_dtype, env);
  if (is_refused(decision.outcome, config)) {
    const bool backend_asked = decision.facts.kv_cache_quantized;
    throw_refused(explain(decision, config, model_dtype, env, backend_asked));
  }
  log_decision(decision, config, model_dtype, env);
  return decision.data_type;
}

PrefillQueryExplanation explain_prefill_query_data_type(const EngineConfig& config,
                                                        DataType model_dtype,
                                                        const Environment& env) {
  const auto decision = decide(config, model_dtype, env, /*always_ask_backend=*/true);
  return explain(decision, config, model_dtype, env, /*backend_asked=*/true);
}

std::string to_string(const PrefillQueryExplanation& explanation) {
  std::string text = fmt::format("data type: {}\noutcome: {}\nKV-cache dtype: {}",
                                 to_string(explanation.data_type), to_string(explanation.outcome),
                                 detail::in_quotes(explanation.kv_cache_dtype.requested));
  const KvCacheResolution& cache = explanation.kv_cache_dtype;
  if (cache.resolved != cache.requested) {
    text += fmt::format(", which is {}: {}", cache.resolved, cache.reason);
  }
  const auto add = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) text += fmt::format("\n{}: {}", key, detail::one_line(value));
  };
  add("prefill backend", explanation.prefill_backend);
  for (const Blocker& blocker : explanation.blockers) add("blocker", blocker.sentence);
  for (const Remedy& remedy : explanation.remedies) add("remedy", remedy.spelling);
  add("note", explanation.nothing_helps);
  add("note", explanation.hint);
  if (explanation.prediction) {
    RecordText sentence;
    detail::append_prediction(sentence, *explanation.prediction);
    if (!explanation.remedies.empty() && !detail::may_advise(explanation.prediction)) {
      append(sentence, " The remedies do not pay.");
    }
    add("prediction", view(sentence));
  }
  return text;
}

PrefillQueryRefused::PrefillQueryRefused(const std::string& what,
                                         PrefillQueryExplanation explanation)
    : std::runtime_error(what),
      explanation_(std::make_shared<const PrefillQueryExplanation>(std::move(explanation))) {}
PrefillQueryRefused::PrefillQueryRefused(const PrefillQueryRefused&) noexcept = default;
PrefillQueryRefused& PrefillQueryRefused::operator=(const PrefillQueryRefused&) noexcept = default;
PrefillQueryRefused::~PrefillQueryRefused() = default;

PrefillBackendSelection select_prefill_backend(const EngineConfig& config, DataType model_dtype,
                                               const Environment& env) {
  check(config, model_dtype, env);
  const BuiltInBackend* const built_in = built_in_backend(env);
  if (built_in == nullptr) {
    detail::throw_invalid_argument("backend_supports_prefill_query_quantization",
                                   "a predicate of the engine's own",
                                   "that of make_environment(), with its table of backends");
  }
  const bool quantized = env.is_quantized_kv_cache(effective_cache_dtype(config));
  return built_in->candidates->selection(
      built_in->inputs(config, model_dtype, quantized, predict(config, env)));
}

bool log_prefill_backend(const PrefillBackendSelection& selection, const Environment& env) {
  OnceLog& log = log_of(env);
  const bool found = !selection.name.empty();
  const std::string text = detail::selection_text(selection);
  bool written =
      found ? log.info_once(LogScope::local, text) : log.warning_once(LogScope::local, text);
  if (!selection.hint.empty()) written |= log.warning_once(LogScope::local, selection.hint);
  return written;
}

std::string detail::selection_text(const PrefillBackendSelection& selection) {
  std::string text = !selection.name.empty()
                         ? fmt::format("Using prefill backend {}.", selection.name)
                     : selection.chosen.empty()
                         ? "No prefill backend can be used."
                         : fmt::format("Prefill backend {} cannot be used.", selection.chosen);
  std::vector<std::string_view> said;  // what is wrong with the KV cache is wrong with it for all
  for (const RejectedPrefillBackend& rejected : selection.rejected) {
    for (const Blocker& blocker : rejected.blockers) {
      if (std::find(said.begin(), said.end(), blocker.sentence) != said.end()) continue;
      said.push_back(blocker.sentence);
      text += ' ' + blocker.sentence;
    }
  }
  return text;
}

detail::PlannedPrefill detail::plan_prefill(const EngineConfig& config, DataType model_dtype,
                                            const Environment& env, unsigned cache_choices) {
  const Demands demands{/*output=*/true, cache_choices};
  PrefillQueryDecision decision =
      decide(config, model_dtype, env, /*always_ask_backend=*/false, demands);
  PlannedPrefill result{};
  if (const BuiltInBackend* const built_in = built_in_backend(env)) {
    result.has_table = true;
    result.platform = built_in->candidates->platform();
    result.selection = built_in->candidates->selection(built_in->inputs(
        config, model_dtype, decision.facts.kv_cache_quantized, decision.prediction, demands));
    result.explanation =
        explain(decision, config, model_dtype, env, /*backend_asked=*/true, demands);
  } else {
    // The engine's own predicate knows neither of the vetoes nor of what is in the KV cache.
    const bool backend_refused =
        decision.facts.kv_cache_quantized && !decision.facts.backend_supports;
    std::vector<Blocker> others;
    vetoes_of(config).for_each([&](BlockerKind veto) {
      others.push_back(
          {veto, veto_value(veto, config.parallel_config), std::string(veto_text(veto))});
    });
    const auto* const format = find_kv_cache_format(effective_cache_dtype(config));
    if (format != nullptr && format->quantized && !is_plain_fp8(*format)) {
      RecordText sentence;
      append_format_refused(sentence, *format);
      others.push_back(
          {BlockerKind::kv_cache_format, std::string(format->name), std::string(view(sentence))});
    }
    if (!others.empty()) {
      decision.facts.backend_supports = false;
      decision.outcome = decide_prefill_query(decision.facts);
      decision.data_type = model_dtype;
      if (decision.prediction) decision.prediction->advises_change = false;
    }
    result.explanation = explain(decision, config, model_dtype, env, backend_refused);
    auto& blockers = result.explanation.blockers;
    blockers.insert(blockers.end(), others.begin(), others.end());
  }
  if (is_refused(result.explanation.outcome, config)) throw_refused(result.explanation);
  return result;
}

bool detail::log_planned_prefill(const PrefillQueryExplanation& explanation,
                                 const Environment& env) {
  return log_outcome(explanation.outcome, explanation.prediction, env,
                     [&](RecordText& text) { append_why(text, explanation); });
}

}  // namespace mla_dtype
