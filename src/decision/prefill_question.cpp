// SPDX-License-Identifier: Apache-2.0
#include "decision/prefill_question.h"

#include "decision/evaluate.h"

namespace mla_dtype::detail {

PrefillQuestion make_question(const EngineConfig& config, DataType model_dtype,
                              const Environment& env) {
  const std::string_view requested = config.cache_config.cache_dtype;
  PrefillQuestion question(
      config, env, model_dtype,
      effective_cache_dtype(requested, config.cache_config.checkpoint_kv_cache_quant_algo));
  question.is_from_checkpoint = requested == "auto" && question.cache_dtype != "auto";
  question.format = find_kv_cache_format(question.cache_dtype);
  for (const EngineKvCacheFormat& own : env.kv_cache_formats) {
    if (own.format.name == question.cache_dtype) question.format = &own.format;
  }
  if (env.backend_supports_prefill_query_quantization) return question;
  question.table = env.prefill_table.get();
  question.device = &question.table->platform;
  question.chosen = question.table->named;
  if (!question.operators_choice().empty()) {
    question.chosen = question.table->find(question.operators_choice());
  } else if (question.table->selection == BackendSelection::first_usable) {
    question.chosen = select(question);  // nothing is requested yet
  }
  return question;
}

bool is_requested(const PrefillQuestion& question) {
  const auto& prediction = question.prediction;
  if (question.is_automatic()) return prediction && prediction->speedup > 1;
  return question.is_required() || question.config.attention_config.use_prefill_query_quantization;
}

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
    if (!accepts(backend.devices, platform)) {
      row.on_device = BlockerKind::backend_device;
    } else if (backend.fp8_queries == Fp8Queries::never) {
      row.on_device = BlockerKind::backend_without_fp8;
    } else if (!accepts(backend.fp8_devices, platform) || !fp8_data_type(platform)) {
      row.on_device = BlockerKind::fp8_device;
    }
    if (backend.model_dtypes.empty()) {
      backend.model_dtypes = {DataType::float16, DataType::bfloat16};
    }
    if (is_available != nullptr) row.available = is_available(backend.name);
    if (!row.available.supported) row.on_device.add(BlockerKind::backend_unavailable);
    row.backend = std::move(backend);
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace mla_dtype::detail
