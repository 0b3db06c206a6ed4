// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "words/invalid_argument.h"
#include "words/prefill_query.h"

namespace mla_dtype {

std::string_view to_string(BlockerKind kind) {
  constexpr std::string_view names[] = {"not_requested",
                                        "kv_cache_not_quantized",
                                        "kv_cache_format",
                                        "dynamic_kv_scales",
                                        "decode_context_parallel",
                                        "backend_device",
                                        "backend_without_fp8",
                                        "fp8_device",
                                        "model_dtype",
                                        "dimensions",
                                        "head_count",
                                        "output_dtype",
                                        "backend_unavailable",
                                        "backend_refused",
                                        "backend_needs_fp8",
                                        "sparse_attention"};
  return detail::enumerator_name(names, "kind", "BlockerKind", kind);
}

namespace detail {
namespace {

// Why FP8 prefill attention does not read a quantized format.
std::string_view refusal(const KvCacheFormat& format) {
  if (format.packed) return ": it is packed";
  if (format.scales == KvCacheScales::per_token_head) {
    return ": it has a scale for each token and head";
  }
  if (format.data_type == DataType::float8_e5m2) return ": it is E5M2, not E4M3";
  return format.name == "fp8_inc" ? ": it is Intel Gaudi's" : "";
}

// What the condition failed for, and the sentence.
using Described = std::pair<std::string, std::string>;

Described describe_kv_cache(const PrefillQuestion& question) {
  const std::string name(question.cache_dtype);
  if (!question.kv_cache_quantized) {
    return {name, fmt::format("The KV cache is not quantized: the KV-cache dtype is {}.",
                              in_quotes(name))};
  }
  const auto* const format = question.format;
  return {name, fmt::format("KV-cache dtype {}{} is quantized, but FP8 prefill attention does not "
                            "read it{}.",
                            format != nullptr ? name : in_quotes(name),
                            question.is_from_checkpoint ? " (auto, by the checkpoint)" : "",
                            format != nullptr ? refusal(*format) : "")};
}

Described describe_request(const PrefillQuestion& question) {
  const auto& prediction = question.prediction;
  if (prediction && prediction->decides) return {"automatic", predicted(*prediction)};
  return {"false", fmt::format("{} is off.", flag_name(question.env.spellings))};
}

// What a backend lacks on this device, or in this engine.
Described describe_device(BlockerKind kind, const PrefillRow& row, const Platform& platform) {
  const PrefillBackend& backend = row.backend;
  const std::string device = device_name(platform);
  switch (kind) {
    case BlockerKind::backend_device:
      return {device, fmt::format("does not run on this device ({}), only on {}.", device,
                                  list_of(backend.devices))};
    case BlockerKind::fp8_device:
      if (!fp8_data_type(platform)) {
        return {device,
                fmt::format("cannot take FP8 queries: no FP8 on this device ({}).", device)};
      }
      return {device, fmt::format("does not take FP8 queries on this device ({}), only on {}.",
                                  device, list_of(backend.fp8_devices))};
    case BlockerKind::backend_unavailable:
      return {backend.name, unavailable(row.available)};
    case BlockerKind::backend_without_fp8:
      return {backend.name, "does not take FP8 queries."};
    default:
      return {backend.name, "takes only FP8 queries."};
  }
}

// What it lacks for this model and configuration.
Described describe_row(BlockerKind kind, const PrefillRow& row, const PrefillQuestion& question) {
  const EngineConfig& config = question.config;
  const PrefillBackend& backend = row.backend;
  const std::string model(mla_dtype::to_string(question.model_dtype));
  const std::string dimensions = to_string(config.mla_dimensions);
  const std::string scales(kv_scales_name(config.cache_config.kv_scales));
  switch (kind) {
    case BlockerKind::model_dtype:
      return {model, fmt::format("does not take {} models.", model)};
    case BlockerKind::dimensions:
      return {dimensions,
              fmt::format("does not take the head dimensions (qk_nope, qk_rope, v) {}, only {}.",
                          dimensions, list_of(backend.dimensions))};
    case BlockerKind::head_count:
      return {fmt::to_string(config.num_attention_heads),
              fmt::format("does not take {} heads, only multiples of {}.",
                          config.num_attention_heads, backend.head_multiple)};
    case BlockerKind::output_dtype:
      return {model, fmt::format("does not write {} from FP8 queries.", model)};
    case BlockerKind::dynamic_kv_scales:
      return {scales,
              fmt::format("takes FP8 queries only with KV scales that are {}, and these are {}.",
                          list_of(backend.fp8_kv_scales), scales)};
    case BlockerKind::sparse_attention:
      return {fmt::to_string(config.index_topk),
              is_sparse(config) ? "does not take FP8 queries of a model with sparse attention."
                                : sparse_refusal(config)};
    case BlockerKind::decode_context_parallel:
      return {fmt::to_string(config.parallel_config.decode_context_parallel_size),
              "does not take FP8 queries with a decode-context-parallel size above 1."};
    default:
      return describe_device(kind, row, question.table->platform);
  }
}

Described describe_values(const Obstacle& obstacle, const PrefillQuestion& question) {
  switch (obstacle.kind) {
    case BlockerKind::not_requested:
      return describe_request(question);
    case BlockerKind::kv_cache_not_quantized:
    case BlockerKind::kv_cache_format:
      return describe_kv_cache(question);
    case BlockerKind::backend_refused: {
      const std::string& reason = question.engines_answer->reason;
      return {"", reason.empty()
                      ? "The prefill backend does not support FP8 queries and gave no reason."
                      : reason};
    }
    default:
      break;
  }
  auto [value, what] = describe_row(obstacle.kind, *obstacle.row, question);
  return {std::move(value), fmt::format("Prefill backend {} {}", obstacle.row->backend.name, what)};
}

}  // namespace

Blocker describe(const Obstacle& obstacle, const PrefillQuestion& question) {
  auto [value, sentence] = describe_values(obstacle, question);
  return {obstacle.kind, std::move(value), std::move(sentence)};
}

std::string unavailable(const Support& available) {
  return available.reason.empty() ? "is not available." : "is not available: " + available.reason;
}

std::string sparse_refusal(const EngineConfig& config) {
  return is_sparse(config) ? "does not run models with sparse attention (index_topk)."
                           : "runs models with sparse attention (index_topk) alone.";
}

std::string to_string(const MlaDimensions& dimensions) {
  return fmt::format("({}, {}, {})", dimensions.qk_nope_head_dim, dimensions.qk_rope_head_dim,
                     dimensions.v_head_dim);
}

std::string_view to_string(KvScales scales) { return kv_scales_name(scales); }

std::string list(const std::vector<std::string>& items) {
  std::string result;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i != 0) result += i + 1 == items.size() ? " and " : ", ";
    result += items[i];
  }
  return result;
}

std::string predicted(const PrefillPrediction& prediction) {
  return fmt::format(
      "At the expected ISL of {} tokens FP8 prefill attention is predicted to be {:.{}f}x as fast "
      "as in the model's data type.",
      prediction.isl, prediction.speedup, std::abs(prediction.speedup - 1) < 0.02 ? 3 : 2);
}

std::string device_name(const Platform& platform) {
  return platform == Platform{} ? "no CUDA or ROCm device" : mla_dtype::to_string(platform);
}

std::string_view kv_scales_name(KvScales scales) {
  constexpr std::string_view names[] = {"unknown", "calibrated", "unit", "dynamic"};
  return names[static_cast<std::size_t>(scales)];
}

}  // namespace detail
}  // namespace mla_dtype
