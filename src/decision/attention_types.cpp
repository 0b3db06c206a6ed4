// SPDX-License-Identifier: Apache-2.0
#include "decision/attention_types.h"

#include <iterator>

#include "facts/kv_cache_formats.h"

namespace mla_dtype::detail {
namespace {

// Where a KV cache of E4M3 or E5M2 is the platform's own variant of it.
DataType platform_variant(DataType type, DataType platform_fp8) {
  const bool fnuz = platform_fp8 == DataType::float8_e4m3fnuz;
  if (type == DataType::float8_e4m3fn && fnuz) return DataType::float8_e4m3fnuz;
  if (type == DataType::float8_e5m2 && fnuz) return DataType::float8_e5m2fnuz;
  return type;
}

constexpr unsigned packed_version = 1;

// Two formats of the engine's own are two KV caches. FNV-1a, folded: the same everywhere.
unsigned name_hash(std::string_view name) {
  std::uint32_t hash = 2166136261U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return (hash >> 20 ^ hash) & 0xfffffU;
}

unsigned number(const PlannedDataType& planned) {
  static_cast<void>(size_in_bytes(planned.data_type));  // throws for what is no data type
  return static_cast<unsigned>(planned.data_type);
}

DecodeQueries reads(const DecodeTable& table, const PrefillQuestion& question,
                    std::string_view cache_dtype) {
  const auto ask = [&](std::string_view name) {
    return decode_queries(table.backend, table.platform, name, question.model_dtype);
  };
  DecodeQueries queries = ask(cache_dtype);
  if (queries != DecodeQueries::none || !question.is_from_checkpoint) return queries;
  for (const KvCacheFormat& format : kv_cache_formats()) {
    const bool is_accepted = (accepted_kv_caches(question) & bit_of(format)) != 0;
    if (is_accepted && queries == DecodeQueries::none) queries = ask(format.name);
  }
  return queries;
}

}  // namespace

CacheTypes cache_types(const KvCacheFormat* format, bool quantized, DataType model_dtype,
                       DataType platform_fp8) {
  if (format == nullptr) {
    const DataType type = quantized ? DataType::uint8 : model_dtype;
    return {type, type};
  }
  const DataType view = platform_variant(format->data_type.value_or(model_dtype), platform_fp8);
  return {is_fp8(view) ? DataType::uint8 : view, view};
}

std::size_t latent_size(const EngineConfig& config) {
  return static_cast<std::size_t>(config.kv_lora_rank) +
         static_cast<std::size_t>(config.mla_dimensions.qk_rope_head_dim);
}

std::optional<std::size_t> cache_bytes(const KvCacheFormat* format, bool quantized, DataType view,
                                       const EngineConfig& config) {
  if (format == nullptr && quantized) return std::nullopt;
  if (format != nullptr && is_flashmla_layout(*format)) {
    const auto latent = static_cast<std::size_t>(config.kv_lora_rank);
    return latent + (latent + 127) / 128 * sizeof(float) + (latent_size(config) - latent) * 2;
  }
  const bool has_own_layout =
      format != nullptr && (format->packed || format->scales == KvCacheScales::per_token_head);
  if (has_own_layout) return std::nullopt;
  return latent_size(config) * size_in_bytes(view);
}

Decode decode_with(const DecodeTable& table, const PrefillQuestion& question) {
  const bool quantized = question.kv_cache_quantized;
  const bool refuses_scales = table.backend.needs_unit_scales &&
                              (question.config.cache_config.kv_scales == KvScales::calibrated ||
                               question.config.cache_config.kv_scales == KvScales::dynamic);
  if (quantized && refuses_scales) return Decode::wrong_scales;
  // One of the engine's own that is not quantized is in the model dtype.
  const bool is_model_cache =
      !quantized && (question.format == nullptr || question.cache_dtype == "auto" ||
                     question.cache_dtype == to_string(question.model_dtype));
  const std::string_view asked = is_model_cache ? std::string_view() : question.cache_dtype;
  switch (reads(table, question, asked)) {
    case DecodeQueries::fp8:
      return Decode::fp8;
    case DecodeQueries::model:
      return quantized ? Decode::model_queries : Decode::unquantized;
    case DecodeQueries::none:
      break;
  }
  return Decode::unreadable;
}

unsigned readable_kv_caches(const DecodeTable& table, const PrefillQuestion& question) {
  unsigned bits = 0;
  for (const KvCacheFormat& format : kv_cache_formats()) {
    if (!is_illegal(decode_with(table, with_kv_cache(question, format)))) bits |= bit_of(format);
  }
  return bits;
}

// vllm/model_executor/layers/attention/mla_attention.py
std::optional<DataType> workspace_type(const PrefillQuestion& question, DataType prefill_query) {
  const EngineConfig& config = question.config;
  if (!config.scheduler_config.enable_chunked_prefill) return std::nullopt;
  if (config.parallel_config.decode_context_parallel_size > 1) return question.model_dtype;
  const bool is_dequantized = question.format != nullptr && is_flashmla_layout(*question.format);
  return is_dequantized ? DataType::bfloat16 : prefill_query;
}

std::vector<CautionKind> cautions_of(const AttentionPlan& plan, const PrefillQuestion& question,
                                     const PrefillRow* backend) {
  std::vector<CautionKind> result;
  // vllm#37054, sglang#34765, TensorRT-LLM#3675
  if (is_fp8(plan.prefill_query.data_type) || is_fp8(plan.decode_query.data_type)) {
    if (question.config.cache_config.kv_scales == KvScales::unit)
      result.push_back(CautionKind::unit_scales);
    if (question.config.cache_config.kv_scales == KvScales::unknown)
      result.push_back(CautionKind::unknown_scales);
  }
  // sglang#14348, flashinfer#3484
  if (question.kv_cache_quantized && !is_fp8(plan.decode_query.data_type)) {
    result.push_back(CautionKind::storage_only);
  }
  if (backend != nullptr && contains(backend->backend.ignores_flag_on, question.table->platform)) {
    result.push_back(CautionKind::flag_ignored);
  }
  return result;
}

std::uint64_t pack_plan(const AttentionPlan& plan) {
  const std::string_view cache_dtype = storage_name(plan.kv_cache_dtype.resolved);
  const auto* const format = find_kv_cache_format(cache_dtype);
  const bool is_own = format == nullptr && plan.kv_cache_dtype.requested != "auto";
  const unsigned values[] = {
      packed_version,
      number(plan.kv_cache_storage),
      number(plan.kv_cache_view),
      number(plan.prefill_query),
      number(plan.prefill_key_value),
      plan.chunked_prefill_workspace ? number(*plan.chunked_prefill_workspace) : packed_no_type,
      number(plan.decode_query),
      number(plan.output),
      format != nullptr ? static_cast<unsigned>(format - kv_cache_formats().data())
      : is_own          ? packed_own_cache
                        : packed_model_cache,
      plan.prefill.facts.kv_cache_quantized ? static_cast<unsigned>(plan.kv_scales) : 0,
      is_own ? name_hash(cache_dtype) : 0,
  };
  static_assert(std::size(values) == std::size(packed_fields));
  std::uint64_t packed = 0;
  for (std::size_t i = 0; i < std::size(values); ++i) {
    packed |= std::uint64_t{values[i]} << packed_fields[i].shift;
  }
  return packed;
}

}  // namespace mla_dtype::detail
