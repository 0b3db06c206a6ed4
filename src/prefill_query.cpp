// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/prefill_query.h>

#include <cmath>

#include "facts/data_types.h"
#include "log/keyed_log.h"
#include "prefill_answers.h"
#include "words/form.h"
#include "words/invalid_argument.h"
#include "words/sentences.h"

namespace mla_dtype {
namespace detail {
namespace {

void check_backend_choice(const std::string& choice, const Environment& env) {
  if (choice.empty()) return;
  if (env.backend_supports_prefill_query_quantization) {
    return check_name("mla_prefill_backend", choice);
  }
  if (env.prefill_table->find(choice) != nullptr) return;
  std::vector<std::string_view> names;
  for (const PrefillRow& row : env.prefill_table->rows) names.push_back(row.backend.name);
  throw_unknown_name("mla_prefill_backend", choice, names);
}

void check_prediction(const PrefillPrediction& prediction) {
  check_at_least(1, "isl", prediction.isl);
  if (std::isfinite(prediction.speedup) && prediction.speedup > 0) return;
  throw_invalid_argument("answer of predict_prefill_speedup", to_text(prediction.speedup),
                         "a finite number above 0");
}

void predict(PrefillQuestion& question) {
  const auto& isl = question.config.attention_config.expected_isl;
  const auto& speedup = question.env.predict_prefill_speedup;
  if (!isl || !speedup || question.is_required()) return;
  question.prediction = {*isl, speedup(question.config, *isl), question.is_automatic()};
  check_prediction(*question.prediction);
}

OnceLog& log_of(const Environment& env) {
  return env.log != nullptr ? *env.log : default_once_log();
}

// Says each record of the decision once; the steady state words none.
bool say_decision(const PrefillQuestion& question, const Evaluation& evaluation) {
  OnceLog& log = log_of(question.env);
  bool written = false;
  const bool is_measured = evaluation.outcome == PrefillQueryOutcome::quantized &&
                           !question.env.device_name.empty() &&
                           find_measured(question, evaluation.row) != nullptr;
  for (const Record record : records_of(evaluation.outcome, evaluation.prediction, is_measured)) {
    const LogLevel level = level_of(record, question.env);
    const std::uint64_t key = record_key(question, evaluation, record, level);
    if (!KeyedLog::may_say(log, LogScope::local, level, key)) continue;
    const std::string text = compose(record, explain(question, evaluation), question.env.spellings);
    written |= KeyedLog::say_once(log, LogScope::local, level, key, text);
  }
  return written;
}

// Only an engine's own predicate knows other KV caches than the library does.
void check_format(const PrefillQuestion& question) {
  if (question.format != nullptr || !question.knows_kv_caches()) return;
  known_kv_cache_format(question.cache_dtype, question.env.kv_cache_formats);  // throws
}

// One that is not known, without a predicate of the engine's own, counts as quantized.
bool is_kv_cache_quantized(const PrefillQuestion& question) {
  const auto& predicate = question.env.is_quantized_kv_cache;
  if (predicate) return predicate(question.cache_dtype);
  return question.format == nullptr || question.format->quantized;
}

// A decision that was made with these, without asking again.
std::pair<PrefillQuestion, Evaluation> taken(const PrefillQueryDecision& decision,
                                             const EngineConfig& config, DataType model_dtype,
                                             const Environment& env) {
  check(config, model_dtype, env);
  static_cast<void>(to_string(decision.outcome));  // throws for what is none
  if (decision.prediction) check_prediction(*decision.prediction);
  PrefillQuestion question = make_question(config, model_dtype, env);
  check_format(question);
  question.kv_cache_quantized = decision.facts.kv_cache_quantized;
  question.prediction = decision.prediction;
  // Without what a backend goes by, which evaluate() adds; but a decision may be made by hand.
  question.requested = is_requested(question);
  Evaluation evaluation = evaluate(question);
  if (evaluation.facts.requested != decision.facts.requested) {
    question.requested = decision.facts.requested;
    evaluation = evaluate(question);
  }
  if (question.table == nullptr && question.kv_cache_quantized) {
    question.engines_answer = {decision.facts.backend_supports, decision.backend_reason};
  }
  return {
      question,
      {decision.facts, decision.outcome, decision.data_type, evaluation.row, decision.prediction}};
}

}  // namespace

void check(const EngineConfig& config, DataType model_dtype, const Environment& env) {
  check_that(env.backend_supports_prefill_query_quantization || env.prefill_table,
             "backend_supports_prefill_query_quantization", "null",
             "a callable, or the table of make_environment()");
  check_model_data_type(model_dtype);
  if (!is_data_type(env.fp8_data_type) || !is_fp8(env.fp8_data_type)) {
    throw_bad_data_type("fp8_data_type", env.fp8_data_type,
                        "float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz");
  }
  static_cast<void>(level_of(Record::refused, env));
  check_config(config);
  if (!env.kv_cache_formats.empty()) check_kv_cache_formats(env.kv_cache_formats);
  const PrefillQueryMode mode = config.attention_config.prefill_query_mode;
  check_that(mode != PrefillQueryMode::automatic || env.predict_prefill_speedup,
             "predict_prefill_speedup", "null",
             "a callable, where prefill_query_mode is automatic");
  check_backend_choice(config.attention_config.mla_prefill_backend, env);
}

PrefillQuestion ask(const EngineConfig& config, DataType model_dtype, const Environment& env,
                    bool would_it) {
  check(config, model_dtype, env);
  PrefillQuestion question = make_question(config, model_dtype, env);
  check_format(question);
  question.kv_cache_quantized = is_kv_cache_quantized(question);
  predict(question);
  question.requested = is_requested(question);
  if (question.table == nullptr && (question.kv_cache_quantized || would_it)) {
    question.engines_answer = env.backend_supports_prefill_query_quantization(config, model_dtype);
  }
  return question;
}

void throw_if_refused(const PrefillQuestion& question, const Evaluation& evaluation) {
  if (evaluation.outcome != PrefillQueryOutcome::request_refused || !question.is_required()) return;
  PrefillQueryExplanation explanation = explain(question, evaluation);
  const std::string text = compose_refusal(explanation);
  throw PrefillQueryRefused(text, std::move(explanation));
}

std::vector<LogRecord> records(const PrefillQueryExplanation& explanation, const Environment& env) {
  static_cast<void>(to_string(explanation.outcome));  // throws for what is none
  std::vector<LogRecord> result;
  for (const Record record :
       records_of(explanation.outcome, explanation.prediction, explanation.payoff.has_value())) {
    result.push_back({level_of(record, env), compose(record, explanation, env.spellings)});
  }
  return result;
}

bool say_once(const std::vector<LogRecord>& records, const Environment& env) {
  bool written = false;
  for (const LogRecord& record : records) {
    written |=
        KeyedLog::say_once(log_of(env), LogScope::local, record.level, /*key=*/0, record.text);
  }
  return written;
}

LogLevel level_of(Record record, const Environment& env) {
  const LogLevel of_refusal = env.refused_request_level;
  check_enumerator("refused_request_level", "LogLevel", of_refusal, LogLevel::warning);
  if (record == Record::refused) return of_refusal;
  const bool warns = record == Record::available || record == Record::does_not_pay;
  return warns ? LogLevel::warning : LogLevel::info;
}

}  // namespace detail

using detail::Evaluation;
using detail::PrefillQuestion;

DataType determine_prefill_query_data_type(const EngineConfig& config, DataType model_dtype,
                                           const Environment& env) {
  const PrefillQuestion question = detail::ask(config, model_dtype, env);
  const Evaluation evaluation = detail::evaluate(question);
  detail::throw_if_refused(question, evaluation);
  detail::say_decision(question, evaluation);
  return evaluation.data_type;
}

PrefillQueryDecision evaluate_prefill_query(const EngineConfig& config, DataType model_dtype,
                                            const Environment& env) {
  const PrefillQuestion question = detail::ask(config, model_dtype, env);
  const Evaluation evaluation = detail::evaluate(question);
  const auto& answer = question.engines_answer;
  return {evaluation.data_type, evaluation.outcome, evaluation.facts,
          answer && !answer->supported ? answer->reason : std::string(), evaluation.prediction};
}

std::vector<LogRecord> records(const PrefillQueryDecision& decision, const EngineConfig& config,
                               DataType model_dtype, const Environment& env) {
  const auto [question, evaluation] = detail::taken(decision, config, model_dtype, env);
  return detail::records(detail::explain(question, evaluation), env);
}

bool log_prefill_query(const PrefillQueryDecision& decision, const EngineConfig& config,
                       DataType model_dtype, const Environment& env) {
  const auto [question, evaluation] = detail::taken(decision, config, model_dtype, env);
  return detail::say_decision(question, evaluation);
}

PrefillQueryExplanation explain_prefill_query_data_type(const EngineConfig& config,
                                                        DataType model_dtype,
                                                        const Environment& env) {
  const PrefillQuestion question = detail::ask(config, model_dtype, env, /*would_it=*/true);
  return detail::explain(question, detail::evaluate(question));
}

Support prefill_backend_supports(const EngineConfig& config, DataType model_dtype,
                                 const Environment& env) {
  detail::check(config, model_dtype, env);
  if (env.backend_supports_prefill_query_quantization) {
    return env.backend_supports_prefill_query_quantization(config, model_dtype);
  }
  PrefillQuestion question = detail::make_question(config, model_dtype, env);
  question.kv_cache_quantized = detail::is_kv_cache_quantized(question);
  // Whether it pays is not the backend's to say.
  question.requested = question.is_automatic() || detail::is_requested(question);
  const Evaluation evaluation = detail::evaluate(question);
  if (detail::supports(question, evaluation)) return true;
  return {false, detail::explain_backend(question, evaluation)};
}

std::string to_string(const PrefillQueryExplanation& explanation) {
  return detail::in_lines(explanation);
}

std::string_view to_string(PrefillQueryOutcome outcome) {
  constexpr std::string_view names[] = {"quantized", "request_refused", "available_but_off",
                                        "not_applicable"};
  return detail::enumerator_name(names, "outcome", "PrefillQueryOutcome", outcome);
}

PrefillQueryRefused::PrefillQueryRefused(const std::string& what,
                                         PrefillQueryExplanation explanation)
    : std::runtime_error(what),
      explanation_(std::make_shared<const PrefillQueryExplanation>(std::move(explanation))) {}
PrefillQueryRefused::~PrefillQueryRefused() = default;

}  // namespace mla_dtype
