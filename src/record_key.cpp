// SPDX-License-Identifier: Apache-2.0
#include "log/said_key.h"
#include "prefill_answers.h"

namespace mla_dtype::detail {
namespace {

// Two sizes, which are checked.
std::uint64_t pair(std::int64_t a, std::int64_t b) noexcept {
  return static_cast<std::uint64_t>(a << 32 | b);
}

std::uint64_t bits_of(double number) noexcept {
  std::uint64_t bits = 0;
  static_assert(sizeof bits == sizeof number);
  std::memcpy(&bits, &number, sizeof bits);
  return bits;
}

}  // namespace

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
  hash.add(small, pair(parallel.decode_context_parallel_size, index_topk));
  hash.add(pair(dimensions.qk_nope_head_dim, dimensions.qk_rope_head_dim),
           pair(dimensions.v_head_dim, heads));
  if (const auto& prediction = evaluation.prediction) {
    hash.add(static_cast<std::uint64_t>(prediction->isl), bits_of(prediction->speedup));
    hash.add(prediction->decides, prediction->advises_change);
  }
  hash.add(question.cache_dtype);
  hash.add(question.operators_choice());
  if (question.engines_answer) hash.add(question.engines_answer->reason);
  for (const auto& [own, token_bytes] : question.env.kv_cache_formats) {
    hash.add(own.name);
    const DataType type = own.data_type.value_or(question.model_dtype);
    const auto traits =
        static_cast<unsigned>(own.quantized) + 2 * static_cast<unsigned>(own.packed);
    hash.add(traits,
             static_cast<std::uint64_t>(type) << 8 | static_cast<std::uint64_t>(own.scales));
  }
  if (record == Record::enabled) return hash.value();  // speaks of no setting
  hash.add(question.env.device_name);
  hash.add(question.env.spellings.request_fp8);
  hash.add(question.env.spellings.kv_cache_dtype);
  hash.add(question.env.spellings.prefill_backend);
  return hash.value();
}

}  // namespace mla_dtype::detail
