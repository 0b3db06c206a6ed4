// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "decision/prefill_question.h"
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

std::vector<const PrefillRow*> rows_in_order(const PrefillQuestion& question) {
  std::vector<const PrefillRow*> rows;
  for (const bool preferred : {true, false}) {
    for (const PrefillRow& row : question.table->rows) {
      const auto& dimensions = row.backend.preferred_dimensions;
      if (holds(dimensions, question.config.mla_dimensions) == preferred) rows.push_back(&row);
    }
  }
  return rows;
}

}  // namespace mla_dtype::detail
