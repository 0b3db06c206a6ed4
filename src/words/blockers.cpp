// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "words/form.h"
#include "words/invalid_argument.h"
#include "words/sentences.h"

namespace mla_dtype {
namespace detail {
namespace {

// By BlockerKind; of a condition of a backend also what it failed for, and what is said of the
// backend.
struct Wording {
  std::string_view name, value = {}, sentence{};
};

constexpr Wording wordings[] = {
    {"not_requested"},
    {"kv_cache_not_quantized"},
    {"kv_cache_format"},
    {"dynamic_kv_scales", "{scales}",
     "takes FP8 queries only with KV scales that are {fp8_scales}, and these are {scales}."},
    {"decode_context_parallel", "{ranks}",
     "does not take FP8 queries with a decode-context-parallel size above 1."},
    {"backend_device", "{device}", "does not run on this device ({device}), only on {devices}."},
    {"backend_without_fp8", "{backend}", "does not take FP8 queries."},
    {"fp8_device", "{device}",
     "does not take FP8 queries on this device ({device}), only on {fp8_devices}."},
    {"model_dtype", "{model}", "does not take {model} models."},
    {"dimensions", "{dimensions}",
     "does not take the head dimensions (qk_nope, qk_rope, v) {dimensions}, only "
     "{all_dimensions}."},
    {"head_count", "{heads}", "does not take {heads} heads, only multiples of {head_multiple}."},
    {"output_dtype", "{model}", "does not write {model} from FP8 queries."},
    {"backend_unavailable", "{backend}", "{unavailable}"},
    {"backend_refused"},
    {"backend_needs_fp8", "{backend}", "takes only FP8 queries."},
    {"sparse_attention", "{topk}", "does not take FP8 queries of a model with sparse attention."},
};

std::string value_of(std::string_view name, const PrefillRow& row,
                     const PrefillQuestion& question) {
  const EngineConfig& config = question.config;
  const PrefillBackend& backend = row.backend;
  if (name == "backend") return backend.name;
  if (name == "unavailable") return unavailable(row.available);
  if (name == "device") return device_name(question.table->platform);
  if (name == "devices") return list_of(backend.devices);
  if (name == "fp8_devices") return list_of(backend.fp8_devices);
  if (name == "model") return to_text(mla_dtype::to_string(question.model_dtype));
  if (name == "dimensions") return to_string(config.mla_dimensions);
  if (name == "all_dimensions") return list_of(backend.dimensions);
  if (name == "heads") return to_text(config.num_attention_heads);
  if (name == "head_multiple") return to_text(backend.head_multiple);
  if (name == "scales") return to_text(to_string(config.cache_config.kv_scales));
  if (name == "fp8_scales") return list_of(backend.fp8_kv_scales);
  if (name == "ranks") return to_text(config.parallel_config.decode_context_parallel_size);
  return to_text(config.index_topk);
}

// Why FP8 prefill attention does not read a quantized format.
std::string_view refusal(const KvCacheFormat& format) {
  if (format.packed) return ": it is packed";
  if (format.scales == KvCacheScales::per_token_head) {
    return ": it has a scale for each token and head";
  }
  if (format.data_type == DataType::float8_e5m2) return ": it is E5M2, not E4M3";
  return format.name == "fp8_inc" ? ": it is Intel Gaudi's" : "";
}

Blocker describe_kv_cache(BlockerKind kind, const PrefillQuestion& question) {
  const std::string name(question.cache_dtype);
  if (!question.kv_cache_quantized) {
    return {kind, name,
            filled("The KV cache is not quantized: the KV-cache dtype is {}.", in_quotes(name))};
  }
  const auto* const format = question.format;
  return {kind, name,
          filled("KV-cache dtype {}{} is quantized, but FP8 prefill attention does not "
                 "read it{}.",
                 format != nullptr ? name : in_quotes(name),
                 question.is_from_checkpoint ? " (auto, by the checkpoint)" : "",
                 format != nullptr ? refusal(*format) : "")};
}

Blocker describe_request(const PrefillQuestion& question) {
  constexpr auto kind = BlockerKind::not_requested;
  const auto& prediction = question.prediction;
  if (prediction && prediction->decides) return {kind, "automatic", predicted(*prediction)};
  return {kind, "false", filled("{} is off.", flag_name(question.env.spellings))};
}

Blocker describe_row(BlockerKind kind, const PrefillRow& row, const PrefillQuestion& question) {
  const auto& [name, value, form] = wordings[static_cast<std::size_t>(kind)];
  const auto value_here = [&](std::string_view word) { return value_of(word, row, question); };
  std::string what = fill_in(form, value_here);
  if (kind == BlockerKind::sparse_attention && !is_sparse(question.config)) {
    what = sparse_refusal(question.config);
  }
  const Platform& device = question.table->platform;
  if (kind == BlockerKind::fp8_device && !fp8_data_type(device)) {
    what = filled("cannot take FP8 queries: no FP8 on this device ({}).", device_name(device));
  }
  return {kind, fill_in(value, value_here),
          filled("Prefill backend {} {}", row.backend.name, what)};
}

}  // namespace

Blocker describe(const Obstacle& obstacle, const PrefillQuestion& question) {
  switch (obstacle.kind) {
    case BlockerKind::not_requested:
      return describe_request(question);
    case BlockerKind::kv_cache_not_quantized:
    case BlockerKind::kv_cache_format:
      return describe_kv_cache(obstacle.kind, question);
    case BlockerKind::backend_refused: {
      const std::string& reason = question.engines_answer->reason;
      return {obstacle.kind, "",
              reason.empty()
                  ? "The prefill backend does not support FP8 queries and gave no reason."
                  : reason};
    }
    default:
      return describe_row(obstacle.kind, *obstacle.row, question);
  }
}

std::string unavailable(const Support& available) {
  return available.reason.empty() ? "is not available." : "is not available: " + available.reason;
}

std::string sparse_refusal(const EngineConfig& config) {
  return is_sparse(config) ? "does not run models with sparse attention (index_topk)."
                           : "runs models with sparse attention (index_topk) alone.";
}

std::string to_string(const MlaDimensions& dimensions) {
  return filled("({}, {}, {})", dimensions.qk_nope_head_dim, dimensions.qk_rope_head_dim,
                dimensions.v_head_dim);
}

std::string_view to_string(KvScales scales) {
  constexpr std::string_view names[] = {"unknown", "calibrated", "unit", "dynamic"};
  return names[static_cast<std::size_t>(scales)];
}

std::string list(const std::vector<std::string>& items) {
  std::string result;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i != 0) result += i + 1 == items.size() ? " and " : ", ";
    result += items[i];
  }
  return result;
}

std::string predicted(const PrefillPrediction& prediction) {
  return filled(
      "At the expected ISL of {} tokens FP8 prefill attention is predicted to be {}x as fast "
      "as in the model's data type.",
      prediction.isl,
      decimals(prediction.speedup, std::abs(prediction.speedup - 1) < 0.02 ? 3 : 2));
}

std::string pays_from(const PrefillPayoff& payoff) {
  const std::string from = payoff.break_even_isl ? filled("from about ISL {} on",
                                                          (*payoff.break_even_isl + 99) / 100 * 100)
                                                 : filled("at no ISL up to {}", payoff.longest_isl);
  std::string text = filled(
      "On this device ({}) FP8 prefill with {} is faster than BF16 with {} {}, and {}x as fast at "
      "ISL 4096 with 128 heads ({}).",
      payoff.device, payoff.fp8_backend, payoff.bf16_backend, from,
      decimals(payoff.speedup_at_4096, 2), payoff.source);
  if (!payoff.bf16_backend_runs) {
    text += filled(" BF16 with {} was not measured.", payoff.fp8_backend);
  }
  return text;
}

std::string device_name(const Platform& platform) {
  return platform == Platform{} ? "no CUDA or ROCm device" : mla_dtype::to_string(platform);
}

}  // namespace detail

std::string_view to_string(BlockerKind kind) {
  detail::check_enumerator("kind", "BlockerKind", kind, BlockerKind::sparse_attention);
  return detail::wordings[static_cast<std::size_t>(kind)].name;
}

}  // namespace mla_dtype
