// SPDX-License-Identifier: Apache-2.0
#include "words/form.h"
#include "words/invalid_argument.h"
#include "words/sentences.h"

namespace mla_dtype {
namespace detail {
namespace {

// By BlockerKind: its name, what it failed for, and its sentence; that of a decode backend, where
// it is another one.
struct Wording {
  std::string_view name, value, sentence, of_decode{};
};

constexpr Wording wordings[] = {
    {"not_requested", "false", "{flag} is off."},
    {"kv_cache_not_quantized", "{cache}",
     "The KV cache is not quantized: the KV-cache dtype is {quoted_cache}."},
    {"kv_cache_format", "{cache}",
     "KV-cache dtype {known_cache}{auto} is quantized, but FP8 prefill attention does not read "
     "it{refusal}.",
     "{subject} {reads_not}"},
    {"dynamic_kv_scales", "{scales}",
     "{subject} takes FP8 queries only with KV scales that are {fp8_scales}, and these are "
     "{scales}.",
     "{subject} takes KV scales of 1 only, and these are {scales}."},
    {"decode_context_parallel", "{ranks}",
     "{subject} does not take FP8 queries with a decode-context-parallel size above 1.",
     "{subject} does not decode with a decode-context-parallel size above 1."},
    {"backend_device", "{device}",
     "{subject} does not run on this device ({device}), only on {devices}.",
     "{subject} {reads_not}{runs_only_on}"},
    {"backend_without_fp8", "{backend}", "{subject} does not take FP8 queries."},
    {"fp8_device", "{device}",
     "{subject} does not take FP8 queries on this device ({device}), only on {fp8_devices}."},
    {"model_dtype", "{model}", "{subject} does not take {model} models.",
     "{subject} {reads_not} It does not take {model} models."},
    {"dimensions", "{dimensions}",
     "{subject} does not take the head dimensions (qk_nope, qk_rope, v) {dimensions}, only "
     "{all_dimensions}.",
     "{subject} does not take the head dimensions (qk_nope, qk_rope, v) {dimensions}."},
    {"head_count", "{heads}",
     "{subject} does not take {heads} heads, only multiples of {head_multiple}.",
     "{subject} does not take {decode_heads} heads{of_ranks}."},
    {"output_dtype", "{model}", "{subject} does not write {model} from FP8 queries."},
    {"backend_unavailable", "{backend}", "{subject} {unavailable}"},
    {"backend_refused", "", "{reason}"},
    {"backend_needs_fp8", "{backend}", "{subject} takes only FP8 queries."},
    {"sparse_attention", "{topk}",
     "{subject} does not take FP8 queries of a model with sparse attention.",
     "{subject} does not run models with sparse attention (index_topk)."},
};

// Why FP8 prefill attention does not read a quantized format; null: it is the engine's.
std::string_view refusal(const KvCacheFormat* format) {
  if (format == nullptr) return "";
  if (format->packed) return ": it is packed";
  if (format->scales == KvCacheScales::per_token_head) {
    return ": it has a scale for each token and head";
  }
  if (format->data_type == DataType::float8_e5m2) return ": it is E5M2, not E4M3";
  return format->name == "fp8_inc" ? ": it is Intel Gaudi's" : "";
}

std::string decode_value_of(std::string_view name, const DecodeBackend& backend,
                            const PrefillQuestion& question) {
  const std::int64_t ranks = question.config.parallel_config.decode_context_parallel_size;
  if (name == "reads_not") {
    const std::string_view model = mla_dtype::to_string(question.model_dtype);
    return filled("does not read a KV cache of dtype {} for a {} model on this device ({}).",
                  in_quotes(question.cache_dtype == "auto" ? model : question.cache_dtype), model,
                  device_name(*question.device));
  }
  if (name == "runs_only_on") {
    std::vector<std::string> devices;
    for (const DecodePair& pair : backend.pairs) {
      for (const DeviceRange& range : pair.devices) add_once(devices, mla_dtype::to_string(range));
    }
    return devices.empty() ? "" : filled(" It runs only on {}.", list(devices));
  }
  if (name == "decode_heads") return to_text(question.config.num_attention_heads * ranks);
  if (name == "of_ranks") return ranks > 1 ? " (those of all ranks that share a KV cache)" : "";
  if (name == "latent") return to_text(latent_size(question.config));
  return join(backend.latent_sizes, " or ");
}

std::string value_of(std::string_view name, const Obstacle& obstacle,
                     const PrefillQuestion& question) {
  const EngineConfig& config = question.config;
  const PrefillRow* const row = obstacle.row;
  const DecodeRow* const decode = obstacle.decode;
  const bool is_known_cache = name == "known_cache" && question.format != nullptr;
  if (name == "flag") return to_text(flag_name(question.env.spellings));
  if (name == "cache" || is_known_cache) return to_text(question.cache_dtype);
  if (name == "quoted_cache" || name == "known_cache") return in_quotes(question.cache_dtype);
  if (name == "auto") return question.is_from_checkpoint ? " (auto, by the checkpoint)" : "";
  if (name == "refusal") return to_text(refusal(question.format));
  if (name == "reason") {
    const std::string& reason = question.engines_answer->reason;
    return reason.empty() ? "The prefill backend does not support FP8 queries and gave no reason."
                          : reason;
  }
  if (name == "subject") {
    return decode != nullptr ? "Decode backend " + decode->backend.name
                             : "Prefill backend " + row->backend.name;
  }
  if (name == "backend") return decode != nullptr ? decode->backend.name : row->backend.name;
  if (name == "unavailable") {
    const std::string& why = (decode != nullptr ? decode->available : row->available).reason;
    return why.empty() ? "is not available." : "is not available: " + why;
  }
  if (name == "device") return device_name(*question.device);
  if (name == "devices") return list_of(row->backend.devices);
  if (name == "fp8_devices") return list_of(row->backend.fp8_devices);
  if (name == "model") return to_text(mla_dtype::to_string(question.model_dtype));
  if (name == "dimensions") return to_string(config.mla_dimensions);
  if (name == "all_dimensions") return list_of(row->backend.dimensions);
  if (name == "heads") return to_text(config.num_attention_heads);
  if (name == "head_multiple") return to_text(row->backend.head_multiple);
  if (name == "scales") return to_text(to_string(config.cache_config.kv_scales));
  if (name == "fp8_scales") return list_of(row->backend.fp8_kv_scales);
  if (name == "ranks") return to_text(config.parallel_config.decode_context_parallel_size);
  if (name == "topk") return to_text(config.index_topk);
  return decode_value_of(name, decode->backend, question);
}

}  // namespace

Blocker describe(const Obstacle& obstacle, const PrefillQuestion& question) {
  const BlockerKind kind = obstacle.kind;
  auto [name, value, form, of_decode] = wordings[static_cast<std::size_t>(kind)];
  const auto& prediction = question.prediction;
  if (kind == BlockerKind::not_requested && prediction && prediction->decides) {
    return {kind, "automatic", predicted(*prediction)};
  }
  if (obstacle.decode != nullptr) {
    value = "{backend}";
    if (!of_decode.empty()) form = of_decode;
    if (kind == BlockerKind::dimensions && question.config.mla_dimensions.qk_rope_head_dim == 0) {
      form = "{subject} needs a rotary part, and qk_rope_head_dim is 0.";
    } else if (kind == BlockerKind::dimensions &&
               !accepts(obstacle.decode->backend.latent_sizes, latent_size(question.config))) {
      form =
          "{subject} does not take a latent of {latent} elements (kv_lora_rank and "
          "qk_rope_head_dim), only {latents}.";
    }
  }
  if (kind == BlockerKind::fp8_device && !fp8_data_type(*question.device)) {
    form = "{subject} cannot take FP8 queries: no FP8 on this device ({device}).";
  }
  if (kind == BlockerKind::sparse_attention && !is_sparse(question.config)) {
    form = "{subject} runs models with sparse attention (index_topk) alone.";
  }
  const auto value_here = [&](std::string_view word) { return value_of(word, obstacle, question); };
  return {kind, fill_in(value, value_here), fill_in(form, value_here)};
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
  const double speedup = prediction.speedup;
  return filled(
      "At the expected ISL of {} tokens FP8 prefill attention is predicted to be {}x as fast "
      "as in the model's data type.",
      prediction.isl, decimals(speedup, speedup > 0.98 && speedup < 1.02 ? 3 : 2));
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
