// SPDX-License-Identifier: Apache-2.0
#include "decision/prefill_question.h"

#include "decision/evaluate.h"
#include "facts/kv_cache_formats.h"

namespace mla_dtype::detail {
namespace {

// That of kv_cache.h, or of the engine's own; null: neither.
const KvCacheFormat* find_format(std::string_view cache_dtype, const Environment& env) {
  if (const auto* const known = find_kv_cache_format(cache_dtype)) return known;
  for (const EngineKvCacheFormat& own : env.kv_cache_formats) {
    if (own.format.name == cache_dtype) return &own.format;
  }
  return nullptr;
}

}  // namespace

PrefillQuestion make_question(const EngineConfig& config, DataType model_dtype,
                              const Environment& env) {
  const std::string_view requested = config.cache_config.cache_dtype;
  PrefillQuestion question(
      config, env, model_dtype,
      effective_cache_dtype(requested, config.cache_config.checkpoint_kv_cache_quant_algo));
  question.is_from_checkpoint = requested == "auto" && question.cache_dtype != "auto";
  question.format = find_format(question.cache_dtype, env);
  if (question.format != nullptr) {
    question.kv_caches =
        question.is_from_checkpoint ? bits_stored_like(*question.format) : bit_of(*question.format);
  }
  if (env.backend_supports_prefill_query_quantization) return question;
  question.table = env.prefill_table.get();
  if (!question.operators_choice().empty()) {
    question.chosen = question.table->find(question.operators_choice());
  } else if (question.table->named) {
    question.chosen = &question.table->rows[*question.table->named];
  } else if (question.table->selection == BackendSelection::first_usable) {
    question.chosen = select(question).row;  // nothing is requested yet
  }
  return question;
}

bool is_requested(const PrefillQuestion& question) {
  const AttentionConfig& attention = question.config.attention_config;
  if (attention.prefill_query_mode == PrefillQueryMode::automatic) {
    return question.prediction && question.prediction->speedup > 1;
  }
  return question.is_required() || attention.use_prefill_query_quantization;
}

}  // namespace mla_dtype::detail
