// SPDX-License-Identifier: Apache-2.0
#include "decision/prefill_question.h"

#include <algorithm>
#include <utility>

#include "decision/evaluate.h"
#include "facts/kv_cache_formats.h"

namespace mla_dtype::detail {
namespace {

Blockers on_device(const PrefillBackend& backend, const Platform& platform) {
  if (!accepts(backend.devices, platform)) return BlockerKind::backend_device;
  if (backend.fp8_queries == Fp8Queries::never) return BlockerKind::backend_without_fp8;
  if (!accepts(backend.fp8_devices, platform) || !fp8_data_type(platform)) {
    return BlockerKind::fp8_device;
  }
  return {};
}

// That of kv_cache.h, or of the engine's own; null: neither.
const KvCacheFormat* find_format(std::string_view cache_dtype, const Environment& env) {
  if (const auto* const known = find_kv_cache_format(cache_dtype)) return known;
  for (const EngineKvCacheFormat& own : env.kv_cache_formats) {
    if (own.format.name == cache_dtype) return &own.format;
  }
  return nullptr;
}

}  // namespace

const PrefillRow* PrefillTable::find(std::string_view name) const {
  for (const PrefillRow& row : rows) {
    if (row.backend.name == name) return &row;
  }
  return nullptr;
}

PrefillTable make_prefill_table(const Platform& platform, std::vector<PrefillBackend> backends,
                                const PrefillBackendAvailability& is_available) {
  PrefillTable table;
  table.platform = platform;
  for (PrefillBackend& backend : backends) {
    PrefillRow row;
    row.on_device = on_device(backend, platform);
    if (backend.model_dtypes.empty()) {
      backend.model_dtypes = {DataType::float16, DataType::bfloat16};
    }
    if (is_available != nullptr) row.available = is_available(backend.name);
    if (!row.available.supported) row.on_device.add(BlockerKind::backend_unavailable);
    for (const std::string& name : backend.fp8_kv_cache_dtypes) {
      const auto* const format = find_kv_cache_format(name);
      row.lists_own_kv_caches = row.lists_own_kv_caches || format == nullptr;
      if (format != nullptr) row.kv_caches |= bit_of(*format);
    }
    if (!row.on_device.has(BlockerKind::backend_device)) table.here.push_back(table.rows.size());
    row.backend = std::move(backend);
    table.rows.push_back(std::move(row));
  }
  return table;
}

PrefillQuestion make_question(const EngineConfig& config, DataType model_dtype,
                              const Environment& env) {
  const CacheConfig& cache = config.cache_config;
  PrefillQuestion question{
      config, env, model_dtype,
      effective_cache_dtype(cache.cache_dtype, cache.checkpoint_kv_cache_quant_algo)};
  question.is_from_checkpoint = question.cache_dtype != cache.cache_dtype;
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

std::vector<const PrefillRow*> rows_in_order(const PrefillQuestion& question) {
  std::vector<const PrefillRow*> rows;
  for (const PrefillRow& row : question.table->rows) rows.push_back(&row);
  std::stable_partition(rows.begin(), rows.end(), [&](const PrefillRow* row) {
    return holds(row->backend.preferred_dimensions, question.config.mla_dimensions);
  });
  return rows;
}

}  // namespace mla_dtype::detail
