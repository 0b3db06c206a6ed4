// SPDX-License-Identifier: Apache-2.0
#include "words/form.h"
#include "words/sentences.h"

namespace mla_dtype::detail {
namespace {

std::string_view name_of(const PrefillRow* row) {
  return row != nullptr ? std::string_view(row->backend.name) : std::string_view();
}

Remedy remedy(const Change& change, bool request, const PrefillQuestion& question) {
  Remedy result{};
  result.request = request;
  if (change.kv_cache != nullptr) result.cache_dtype = change.kv_cache->name;
  result.prefill_backend = name_of(change.row);
  if (change.decode != nullptr) result.decode_backend = change.decode->backend.name;
  const bool is_chosen =
      question.format != nullptr && !question.is_from_checkpoint && question.format->name != "auto";
  Remedy kept;
  kept.request = question.config.attention_config.use_prefill_query_quantization;
  if (is_chosen) kept.cache_dtype = question.format->name;
  kept.prefill_backend = question.operators_choice();
  if (question.decode_choice != nullptr) kept.decode_backend = question.decode_choice->backend.name;
  result.spelling = spell(question.env.spellings, result, kept);
  return result;
}

std::optional<PrefillPayoff> payoff(const PrefillQuestion& question, const PrefillRow* fp8) {
  const MeasuredPrefill* const measured = find_measured(question, fp8);
  if (measured == nullptr) return std::nullopt;
  const EngineConfig& config = question.config;
  PrefillPayoff result;
  result.device = measured->device_name;
  result.bf16_backend = measured->bf16_backend;
  result.bf16_backend_runs = name_of(row_without_fp8(question)) == measured->bf16_backend;
  result.fp8_backend = measured->fp8_backend;
  result.longest_isl = measured->model.longest_isl;
  result.break_even_isl =
      break_even_isl(measured->model, config.mla_dimensions, config.num_attention_heads);
  if (result.break_even_isl > result.longest_isl) result.break_even_isl.reset();
  result.speedup_at_4096 = measured->speedup_at_4096;
  result.source = measured->model.source;
  return result;
}

// Where some backend of the table takes FP8 queries, though not here.
std::string why_not_on_device(const PrefillTable& table) {
  std::vector<std::string> devices;
  for (const PrefillRow& row : table.rows) {
    const PrefillBackend& backend = row.backend;
    if (backend.fp8_queries == Fp8Queries::never) continue;
    const auto& ranges = backend.fp8_devices.empty() ? backend.devices : backend.fp8_devices;
    if (ranges.empty()) return "it has no FP8";
    for (const DeviceRange& range : ranges) {
      // A range that holds a device without FP8 is no answer for it.
      if (!range.contains(table.platform)) add_once(devices, mla_dtype::to_string(range));
    }
  }
  if (devices.empty()) return "no prefill backend of the engine takes FP8 queries";
  return "the engine's prefill backends take FP8 queries only on " + list(devices);
}

std::string nothing_helps(const PrefillQuestion& question, Hopeless why) {
  if (why == Hopeless::no) return {};
  constexpr std::string_view sentences[] = {
      "",
      "On this device ({}) no setting helps: {}.",
      "On this device ({}) no setting helps this model in this engine.",
      "No flag, KV-cache dtype or prefill backend helps here.",
      ("No prefill setting helps: the decode backend reads no KV cache that FP8 prefill attention "
       "reads."),
      ("On this device ({}) FP8 prefill queries are not predicted to be faster at the "
       "expected ISL.")};
  const PrefillTable& table = *question.table;
  std::string text = filled(sentences[static_cast<std::size_t>(why)], device_name(table.platform),
                            why_not_on_device(table));
  if (why == Hopeless::decode) return text;
  if (row_without_fp8(question) != nullptr && !question.is_required()) {
    text += " Prefill in the model's data type is the right choice here.";
  }
  return text;
}

std::string hint(const PrefillQuestion& question, const PrefillRow* advised) {
  if (advised == nullptr) return {};
  const PrefillRow* const subject = select(question);
  const std::string turn_on = filled("turn {} on", flag_name(question.env.spellings));
  if (subject == nullptr || subject == advised) {
    return filled("Prefill backend {} takes only FP8 queries: {}.", name_of(advised), turn_on);
  }
  const bool is_choice = !question.operators_choice().empty();
  std::string what = is_choice ? "choose it, or leave the choice open" : "choose it";
  const bool needs_flag = advised->backend.fp8_queries != Fp8Queries::by_kv_cache;
  if (!question.requested && needs_flag) what += "; and " + turn_on;
  if (question.chosen == nullptr) what = turn_on + " to have it selected";
  const auto measured = payoff(question, advised);
  return filled("Prefill backend {} does not take FP8 queries here, but {} does: {}.{}",
                name_of(subject), name_of(advised), what,
                measured ? ' ' + pays_from(*measured) : "");
}

}  // namespace

KvCacheResolution resolution(std::string_view cache_dtype, std::string_view quant_algo,
                             DataType model_dtype) {
  const std::string_view dtype = effective_cache_dtype(cache_dtype, quant_algo);
  const bool is_open = dtype == "auto";
  const char* const reason = find_kv_cache_format(cache_dtype) == nullptr ? "the engine knows it"
                             : cache_dtype != "auto"                      ? "the operator chose it"
                             : is_open ? "it is the model's data type"
                                       : "the checkpoint was quantized for it";
  return {std::string(cache_dtype),
          std::string(is_open ? mla_dtype::to_string(model_dtype) : dtype), reason};
}

PrefillQueryExplanation explain(const PrefillQuestion& question, const Evaluation& evaluation) {
  const CacheConfig& cache = question.config.cache_config;
  PrefillQueryExplanation result = {
      evaluation.data_type, evaluation.outcome, evaluation.facts,
      resolution(cache.cache_dtype, cache.checkpoint_kv_cache_quant_algo, question.model_dtype)};
  result.prediction = evaluation.prediction;
  for (const Obstacle& obstacle : obstacles(question, evaluation)) {
    result.blockers.push_back(describe(obstacle, question));
  }
  if (question.table == nullptr) {
    const bool is_flag_enough =
        evaluation.outcome == PrefillQueryOutcome::available_but_off && !question.is_ruled_out();
    if (is_flag_enough) result.remedies.push_back(remedy({}, /*request=*/true, question));
    return result;
  }
  result.prefill_backend = name_of(evaluation.row);
  result.facts.backend_supports = supports(question, evaluation);
  const PrefillRow* const advised = advised_row(question);
  result.hint = hint(question, advised);
  const bool is_possible = result.outcome == PrefillQueryOutcome::quantized ||
                           result.outcome == PrefillQueryOutcome::available_but_off;
  result.payoff = payoff(question, is_possible ? evaluation.row : advised);
  if (evaluation.outcome == PrefillQueryOutcome::quantized) return result;
  const std::vector<Change> changes = least_changes(question);
  for (const Change& change : changes) {
    const bool is_requested = evaluate(with(question, change)).facts.requested;
    result.remedies.push_back(remedy(change, !is_requested, question));
  }
  result.nothing_helps = nothing_helps(question, why_hopeless(question, changes));
  return result;
}

std::vector<Remedy> remedies_to_run(const PrefillQuestion& question) {
  std::vector<Remedy> result;
  for (const Change& change : least_changes_to_run(question)) {
    result.push_back(remedy(change, /*request=*/false, question));
  }
  return result;
}

PrefillBackendSelection explain_selection(const PrefillQuestion& question) {
  PrefillBackendSelection result{};
  const PrefillRow* const selected = selected_row(question);
  result.name = name_of(selected);
  if (question.is_chosen_by_name()) result.chosen = name_of(question.chosen);
  result.takes_fp8_queries = selected != nullptr && takes_fp8(*selected, question);
  for (const PrefillRow* const row : rejected_rows(question)) {
    RejectedPrefillBackend& rejected = result.rejected.emplace_back();
    rejected.name = row->backend.name;
    for (const BlockerKind kind : rejection(*row, question)) {
      rejected.blockers.push_back(describe({kind, row}, question));
    }
  }
  result.hint = hint(question, advised_row(question));
  return result;
}

std::string explain_backend(PrefillQuestion question, const Evaluation& evaluation) {
  question.chosen = evaluation.row;
  std::string text;
  for (const Obstacle& obstacle : obstacles(question, evaluation)) {
    const bool is_backends = obstacle.kind != BlockerKind::not_requested &&
                             obstacle.kind != BlockerKind::kv_cache_not_quantized;
    if (is_backends) text += ' ' + describe(obstacle, question).sentence;
  }
  if (!text.empty()) return text.substr(1);
  // Some backend could, but would have to be asked: without FP8 queries none runs.
  const PrefillRow* const row = advised_row(question);
  return row != nullptr ? describe({BlockerKind::backend_needs_fp8, row}, question).sentence
                        : "No prefill backend can be used.";
}

}  // namespace mla_dtype::detail
