// SPDX-License-Identifier: Apache-2.0
#include "log/said_key.h"
#include "prefill_answers.h"

namespace mla_dtype::detail {

std::uint64_t record_key(const PrefillQuestion& question, const Evaluation& evaluation,
                         Record record, LogLevel level) noexcept {
  const auto& [cache, attention, dimensions, kv_lora_rank, heads, parallel, scheduler, index_topk] =
      question.config;
  const PrefillQueryFacts& facts = evaluation.facts;
  std::uint64_t small = 0;
  unsigned place = 0;  // so that no value waits for the one before it
  const auto put = [&](auto value, unsigned bits) {
    small |= static_cast<std::uint64_t>(value) << place;
    place += bits;
  };
  put(record, 4), put(level, 4), put(evaluation.outcome, 4), put(attention.prefill_query_mode, 4);
  put(question.model_dtype, 8), put(cache.kv_scales, 4);
  put(facts.kv_cache_quantized, 1), put(facts.requested, 1), put(facts.backend_supports, 1);
  put(attention.use_prefill_query_quantization, 1), put(question.is_from_checkpoint, 1);
  put(question.knows_kv_caches(), 1), put(question.table != nullptr, 1);
  put(evaluation.prediction.has_value(), 1);

  KeyHash hash(question.table != nullptr ? question.table->id : 0);
  const auto add = [&](auto a, auto b) {
    hash.add(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b));
  };
  add(small, index_topk);
  add(parallel.decode_context_parallel_size, heads);
  add(dimensions.qk_nope_head_dim, dimensions.qk_rope_head_dim);
  add(dimensions.v_head_dim, 0);
  if (const auto& prediction = evaluation.prediction) {
    const double& speedup = prediction->speedup;
    hash.add(std::string_view(reinterpret_cast<const char*>(&speedup), sizeof speedup));
    add(prediction->isl, prediction->decides + 2 * prediction->advises_change);
  }
  hash.add(question.cache_dtype);
  hash.add(question.operators_choice());
  if (question.engines_answer) hash.add(question.engines_answer->reason);
  for (const auto& [own, token_bytes] : question.env.kv_cache_formats) {
    hash.add(own.name);
    add(own.quantized, own.packed);
    add(own.data_type.value_or(question.model_dtype), own.scales);
  }
  if (record == Record::enabled) return hash.value();  // speaks of no setting
  hash.add(question.env.device_name);
  hash.add(question.env.spellings.request_fp8);
  hash.add(question.env.spellings.kv_cache_dtype);
  hash.add(question.env.spellings.prefill_backend);
  return hash.value();
}

}  // namespace mla_dtype::detail
