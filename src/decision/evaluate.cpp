// SPDX-License-Identifier: Apache-2.0
#include "decision/evaluate.h"

#include "facts/prefill_costs.h"

namespace mla_dtype::detail {
namespace {

bool is_like_measured(const MeasuredPrefill& measured, const PrefillQuestion& question) {
  const EngineConfig& config = question.config;
  const auto& known = known_devices();
  const bool is_device = std::any_of(known.begin(), known.end(), [&](const KnownDevice& device) {
    return device.name == measured.device_name && device.platform == question.table->platform;
  });
  return is_device && question.model_dtype == DataType::bfloat16 &&
         config.mla_dimensions == measured.model.dimensions && !is_sparse(config) &&
         config.num_attention_heads >= measured.fewest_heads &&
         config.num_attention_heads <= measured.most_heads &&
         config.parallel_config.decode_context_parallel_size == 1;
}

// The flag should be changed only where that is possible, and does something.
bool advises_change(const PrefillQuestion& question, PrefillQueryOutcome outcome,
                    bool is_by_kv_cache) {
  const double speedup = question.prediction->speedup;
  if (question.prediction->decides || is_by_kv_cache) return false;
  if (outcome == PrefillQueryOutcome::available_but_off) return is_worthwhile(speedup);
  return outcome == PrefillQueryOutcome::quantized && is_worthwhile(1 / speedup) &&
         (question.table == nullptr || row_without_fp8(question) != nullptr);
}

}  // namespace

Blockers blockers_of(const PrefillRow& row, const PrefillQuestion& question) {
  const PrefillBackend& backend = row.backend;
  const EngineConfig& config = question.config;
  Blockers result = row.on_device;
  const bool is_of_model = holds(backend.model_dtypes, question.model_dtype);
  result.add_if(!is_of_model, BlockerKind::model_dtype);
  result.add_if(!accepts(backend.dimensions, config.mla_dimensions), BlockerKind::dimensions);
  // Most rows take any number of heads, and a division is slow.
  result.add_if(
      backend.head_multiple != 1 && config.num_attention_heads % backend.head_multiple != 0,
      BlockerKind::head_count);
  const bool suits =
      is_sparse(config) ? backend.sparse || backend.fp8_with_sparse : !backend.sparse;
  result.add_if(!suits, BlockerKind::sparse_attention);
  if (backend.fp8_queries == Fp8Queries::never) return result;
  result.add_if(is_of_model && !accepts(backend.fp8_model_dtypes, question.model_dtype),
                BlockerKind::output_dtype);
  result.add_if(!accepts(backend.fp8_kv_scales, config.cache_config.kv_scales),
                BlockerKind::dynamic_kv_scales);
  result.add_if(config.parallel_config.decode_context_parallel_size > 1 &&
                    !backend.fp8_with_decode_context_parallel,
                BlockerKind::decode_context_parallel);
  // A format that nobody describes is the engine's to judge, unless the row lists some such.
  const auto& listed = backend.fp8_kv_cache_dtypes;
  const bool is_engines =
      question.format == nullptr && std::all_of(listed.begin(), listed.end(), find_kv_cache_format);
  result.add_if(!is_engines && !lists(listed, question), BlockerKind::kv_cache_format);
  return result;
}

bool takes_fp8(const PrefillRow& row, const PrefillQuestion& question) {
  const bool is_possible = question.kv_cache_quantized && row.on_device.empty();
  return is_possible && blockers_of(row, question).empty();
}

bool supports(const PrefillQuestion& question, const Evaluation& evaluation) {
  if (question.kv_cache_quantized) return evaluation.facts.backend_supports;
  const auto would = [&](const PrefillRow& row) {
    return !blockers_of(row, question).has(all_but_kv_cache);
  };
  if (question.chosen == nullptr && question.requested) {
    return first_row(question, would) != nullptr;
  }
  return evaluation.row != nullptr && would(*evaluation.row);
}

const PrefillRow* select(const PrefillQuestion& question) {
  if (question.chosen != nullptr) return question.chosen;
  if (question.requested) {
    const PrefillRow* const row =
        first_row(question, [&](const auto& each) { return takes_fp8(each, question); });
    if (row != nullptr || question.is_required()) return row;
  }
  return row_without_fp8(question);
}

const PrefillRow* row_without_fp8(const PrefillQuestion& question, bool is_open) {
  // What the device rules out is seen at once, here and in takes_fp8(): most rows end there.
  const auto is_usable = [&](const PrefillRow& row) {
    const bool is_possible = row.backend.fp8_queries != Fp8Queries::required &&
                             !row.on_device.has(BlockerKind::backend_device);
    return is_possible && !blockers_of(row, question).has(not_usable(row.backend));
  };
  if (question.chosen == nullptr || is_open) return first_row(question, is_usable);
  return is_usable(*question.chosen) ? question.chosen : nullptr;
}

Evaluation evaluate(const PrefillQuestion& question) {
  Evaluation result;
  PrefillQueryFacts& facts = result.facts;
  facts.kv_cache_quantized = question.kv_cache_quantized;
  facts.requested = question.requested;
  bool is_by_kv_cache = false;
  if (question.table == nullptr) {
    facts.backend_supports = question.engines_answer && question.engines_answer->supported;
  } else {
    result.row = select(question);
    facts.backend_supports = result.row != nullptr && takes_fp8(*result.row, question);
    is_by_kv_cache =
        facts.backend_supports && result.row->backend.fp8_queries == Fp8Queries::by_kv_cache;
    facts.requested = facts.requested || is_by_kv_cache;
  }
  result.outcome = decide_prefill_query(facts);
  result.data_type = result.outcome == PrefillQueryOutcome::quantized ? question.env.fp8_data_type
                                                                      : question.model_dtype;
  if (question.prediction) {
    result.prediction = question.prediction;
    result.prediction->advises_change = advises_change(question, result.outcome, is_by_kv_cache);
  }
  return result;
}

const MeasuredPrefill* find_measured(const PrefillQuestion& question, const PrefillRow* fp8) {
  const std::string& device = question.env.device_name;
  if (device.empty() || fp8 == nullptr || question.prediction) return nullptr;
  for (const bool is_open : {false, true}) {
    const PrefillRow* const bf16 = row_without_fp8(question, is_open);
    if (bf16 == nullptr) continue;
    const auto* const measured =
        find_measured_prefill(device, bf16->backend.name, fp8->backend.name);
    if (measured != nullptr && is_like_measured(*measured, question)) return measured;
  }
  return nullptr;
}

Records records_of(PrefillQueryOutcome outcome, const std::optional<PrefillPrediction>& prediction,
                   bool is_measured) {
  const bool advises_change = prediction && prediction->advises_change;
  if (outcome == PrefillQueryOutcome::request_refused) return Record::refused;
  if (outcome == PrefillQueryOutcome::quantized) {
    Records records = Record::enabled;
    if (is_measured) records.add(Record::pays_from);
    if (advises_change) records.add(Record::does_not_pay);
    return records;
  }
  if (outcome != PrefillQueryOutcome::available_but_off) return {};
  if (prediction && prediction->decides) return Record::automatically_off;
  return prediction && !advises_change ? Records() : Record::available;
}

}  // namespace mla_dtype::detail
