// SPDX-License-Identifier: Apache-2.0
#include "prefill_candidates.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

#include "bad_data_type.h"
#include "cache_dtype.h"
#include "check_config.h"
#include "invalid_argument.h"

namespace mla_dtype::detail {
namespace {

// What keeps a backend from running at all.
constexpr Blockers not_usable = Blockers(BlockerKind::backend_device) | BlockerKind::model_dtype |
                                BlockerKind::dimensions | BlockerKind::head_count |
                                BlockerKind::backend_unavailable;

// What keeps a backend from FP8 queries on a device, whatever the model.
constexpr Blockers device_blockers = Blockers(BlockerKind::backend_device) |
                                     BlockerKind::backend_without_fp8 | BlockerKind::fp8_device;

bool contains(const std::vector<MlaDimensions>& all, const MlaDimensions& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

bool contains(const std::vector<DeviceRange>& ranges, const Platform& platform) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const DeviceRange& range) { return range.contains(platform); });
}

// `a`, `a and b`, `a, b and c`.
std::string list(const std::vector<std::string>& items) {
  std::string result;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i != 0) result += i + 1 == items.size() ? " and " : ", ";
    result += items[i];
  }
  return result;
}

std::string list(const std::vector<DeviceRange>& ranges) {
  std::vector<std::string> items;
  items.reserve(ranges.size());
  for (const DeviceRange& range : ranges) items.push_back(to_string(range));
  return list(items);
}

std::string to_string(const MlaDimensions& dimensions) {
  return fmt::format("({}, {}, {})", dimensions.qk_nope_head_dim, dimensions.qk_rope_head_dim,
                     dimensions.v_head_dim);
}

unsigned data_type_bit(DataType type) { return 1U << static_cast<unsigned>(type); }

void set_model_dtypes(Candidate& candidate) {
  const auto& types = candidate.backend.model_dtypes;
  if (types.empty()) {
    candidate.model_dtypes = data_type_bit(DataType::float16) | data_type_bit(DataType::bfloat16);
  }
  for (const DataType type : types) candidate.model_dtypes |= data_type_bit(type);
  const auto& fp8_types = candidate.backend.fp8_model_dtypes;
  if (fp8_types.empty()) candidate.fp8_model_dtypes = ~0U;
  for (const DataType type : fp8_types) candidate.fp8_model_dtypes |= data_type_bit(type);
}

void set_kv_caches(Candidate& candidate) {
  for (const std::string& name : candidate.backend.fp8_kv_cache_dtypes) {
    if (const auto* const format = find_kv_cache_format(name)) {
      candidate.kv_caches |= bit_of(*format);
    } else {
      candidate.knows_other_kv_caches = true;
    }
  }
}

void set_device_blocker(Candidate& candidate, const Platform& platform,
                        std::string_view device_name) {
  const PrefillBackend& backend = candidate.backend;
  const auto block = [&](BlockerKind kind, std::string_view why, const std::string& where) {
    candidate.on_device.add(kind);
    candidate.device_sentence = fmt::format("Prefill backend {} {}{}.", backend.name, why, where);
  };
  const auto on_this_device = [&](std::string_view does_not) {
    return fmt::format("{} on this device ({}), only on ", does_not, device_name);
  };
  if (!backend.devices.empty() && !contains(backend.devices, platform)) {
    block(BlockerKind::backend_device, on_this_device("does not run"), list(backend.devices));
  } else if (backend.fp8_queries == Fp8Queries::never) {
    block(BlockerKind::backend_without_fp8, "does not take FP8 queries", "");
  } else if (!backend.fp8_devices.empty() && !contains(backend.fp8_devices, platform)) {
    block(BlockerKind::fp8_device, on_this_device("does not take FP8 queries"),
          list(backend.fp8_devices));
  } else if (!fp8_data_type(platform)) {
    block(BlockerKind::fp8_device, "cannot take FP8 queries: no FP8 on this device",
          fmt::format(" ({})", device_name));
  }
}

void set_availability(Candidate& candidate, const PrefillBackendAvailability& is_available) {
  if (is_available == nullptr) return;
  const Support available = is_available(candidate.backend.name);
  if (available.supported) return;
  candidate.on_device.add(BlockerKind::backend_unavailable);
  candidate.unavailable_sentence =
      fmt::format("Prefill backend {} is not available{}{}", candidate.backend.name,
                  available.reason.empty() ? "." : ": ", available.reason);
}

void check_backend(const PrefillBackend& backend) {
  check_name("prefill backend's name", backend.name);
  const auto refuse = [&](std::string_view field, std::string_view value,
                          std::string_view accepted) {
    throw_invalid_argument(fmt::format("prefill backend {}, {}", backend.name, field), value,
                           accepted);
  };
  if (backend.fp8_queries > Fp8Queries::required) {
    refuse("fp8_queries", fmt::format("Fp8Queries({})", static_cast<unsigned>(backend.fp8_queries)),
           "the enumerators of Fp8Queries");
  }
  const auto check_types = [&](std::string_view field, const std::vector<DataType>& types) {
    for (const DataType type : types) {
      if (type > DataType::bfloat16) {
        throw_bad_data_type(fmt::format("prefill backend {}, {}", backend.name, field), type,
                            "bfloat16, float16, float32");
      }
    }
  };
  check_types("model_dtypes", backend.model_dtypes);
  check_types("fp8_model_dtypes", backend.fp8_model_dtypes);
  check_positive(fmt::format("prefill backend {}, head_multiple", backend.name),
                 backend.head_multiple);
  for (const auto* all : {&backend.dimensions, &backend.preferred_dimensions}) {
    for (const MlaDimensions& dimensions : *all) check_dimensions(dimensions);
  }
  const bool never = backend.fp8_queries == Fp8Queries::never;
  if (never != backend.fp8_kv_cache_dtypes.empty()) {
    refuse("fp8_kv_cache_dtypes", never ? "some" : "none",
           never ? "none where FP8 queries are never taken"
                 : "at least one where FP8 queries are taken");
  }
  for (const std::string& name : backend.fp8_kv_cache_dtypes) {
    const auto* const format = find_kv_cache_format(name);
    if (name.empty() || (format != nullptr && !format->quantized)) {
      refuse("fp8_kv_cache_dtypes", in_quotes(name), "quantized KV-cache dtypes");
    }
  }
  for (const DeviceRange& range : backend.fp8_devices) {
    if (never ||
        (!backend.devices.empty() &&
         !std::any_of(backend.devices.begin(), backend.devices.end(),
                      [&](const DeviceRange& device) { return device.contains(range); }))) {
      refuse("fp8_devices", to_string(range),
             never ? "none where FP8 queries are never taken" : "those that it runs on");
    }
  }
}

void check_backends(const std::vector<PrefillBackend>& backends) {
  if (backends.empty()) throw_invalid_argument("prefill backends", "none", "at least one");
  std::vector<std::string_view> names;
  for (const PrefillBackend& backend : backends) {
    check_backend(backend);
    if (std::find(names.begin(), names.end(), backend.name) != names.end()) {
      throw_invalid_argument("prefill backends", in_quotes(backend.name) + " twice",
                             "each name once");
    }
    names.push_back(backend.name);
  }
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

}  // namespace

void append_not_quantized(RecordText& text, std::string_view cache_dtype) {
  append(text, "The KV cache is not quantized: the KV-cache dtype is ", in_quotes(cache_dtype),
         ".");
}

void append_format_refused(RecordText& text, const KvCacheFormat& format, bool is_from_checkpoint) {
  append(text, "KV-cache dtype ", format.name,
         is_from_checkpoint ? " (auto, by the checkpoint)" : "",
         " is quantized, but FP8 prefill attention does not read it", refusal(format), ".");
}

void append_prediction(RecordText& text, const PrefillPrediction& prediction) {
  const int digits = std::abs(prediction.speedup - 1) < 0.02 ? 3 : 2;
  fmt::format_to(
      std::back_inserter(text),
      "At the expected ISL of {} tokens FP8 prefill attention is predicted to be {:.{}f}x "
      "as fast as in the model's data type.",
      prediction.isl, prediction.speedup, digits);
}

void append_not_requested(RecordText& text, const std::optional<PrefillPrediction>& prediction) {
  if (is_decisive(prediction)) return append_prediction(text, *prediction);
  append(text, "use_prefill_query_quantization is off.");
}

std::string veto_value(BlockerKind veto, const ParallelConfig& config) {
  return veto == BlockerKind::dynamic_kv_scales
             ? "dynamic"
             : fmt::to_string(config.decode_context_parallel_size);
}

std::string device_name(const Platform& platform) {
  return platform == Platform{} ? "no CUDA or ROCm device" : mla_dtype::to_string(platform);
}

std::string_view effective_cache_dtype(const EngineConfig& config) {
  return effective_cache_dtype(config.cache_config.cache_dtype,
                               config.cache_config.checkpoint_kv_cache_quant_algo);
}

Inputs::Inputs(const EngineConfig& config, DataType model_data_type, bool is_kv_cache_quantized,
               const Candidate* chosen_candidate, const std::optional<PrefillPrediction>& predicted)
    : cache_dtype(effective_cache_dtype(config)),
      format(find_kv_cache_format(cache_dtype)),
      is_from_checkpoint(cache_dtype != config.cache_config.cache_dtype),
      kv_cache_quantized(is_kv_cache_quantized),
      requested(is_requested(config.attention_config, predicted)),
      required(config.attention_config.prefill_query_mode == PrefillQueryMode::required),
      vetoes(vetoes_of(config)),
      model_dtype(model_data_type),
      dimensions(config.mla_dimensions),
      heads(config.num_attention_heads),
      parallel_config(config.parallel_config),
      chosen(chosen_candidate),
      prediction(predicted) {}

bool operator==(const Inputs& a, const Inputs& b) {
  const auto all = [](const Inputs& inputs) {
    const auto& [cache_dtype, format, is_from_checkpoint, kv_cache_quantized, requested, required,
                 vetoes, model_dtype, dimensions, heads, parallel_config, chosen, prediction,
                 output_matters, cache_choices] = inputs;
    return std::tie(cache_dtype, format, is_from_checkpoint, kv_cache_quantized, requested,
                    required, vetoes, model_dtype, dimensions, heads,
                    parallel_config.decode_context_parallel_size, chosen, output_matters,
                    cache_choices);
  };
  const PrefillPrediction p = a.prediction.value_or(PrefillPrediction{});
  const PrefillPrediction q = b.prediction.value_or(PrefillPrediction{});
  return all(a) == all(b) && p.isl == q.isl && p.speedup == q.speedup && p.decides == q.decides &&
         p.advises_change == q.advises_change;
}

bool is_requested(const AttentionConfig& config,
                  const std::optional<PrefillPrediction>& prediction) {
  switch (config.prefill_query_mode) {
    case PrefillQueryMode::by_flag:
      break;
    case PrefillQueryMode::required:
      return true;
    case PrefillQueryMode::automatic:
      return !prediction || prediction->speedup > 1;
  }
  return config.use_prefill_query_quantization;
}

Blockers vetoes_of(const EngineConfig& config) {
  Blockers result;
  if (config.cache_config.kv_scales == KvScales::dynamic) {
    result.add(BlockerKind::dynamic_kv_scales);
  }
  if (config.parallel_config.decode_context_parallel_size > 1) {
    result.add(BlockerKind::decode_context_parallel);
  }
  return result;
}

// Queries, keys and values are cast with scales that do not change: alexeldeib/vllm,
// vllm/v1/attention/backends/mla/prefill/selector.py; vllm#37054. Chunked context over a KV cache
// that is spread over ranks: vllm#34795, vllm#40609.
std::string_view veto_text(BlockerKind veto) {
  return veto == BlockerKind::dynamic_kv_scales
             ? "FP8 prefill queries need KV scales that do not change, and these are dynamic."
             : "FP8 prefill queries do not work with a decode-context-parallel size above 1.";
}

PrefillCandidates::PrefillCandidates(const Platform& platform, std::vector<PrefillBackend> backends,
                                     const PrefillBackendAvailability& is_available)
    : platform_(platform), device_(device_name(platform)) {
  check_backends(backends);
  std::vector<std::string> fp8_devices;
  bool ruled_out = true;
  for (PrefillBackend& backend : backends) {
    for (const DeviceRange& range :
         backend.fp8_devices.empty() ? backend.devices : backend.fp8_devices) {
      // A range that holds a device without FP8 is no answer for it.
      if (backend.fp8_queries == Fp8Queries::never || range.contains(platform)) continue;
      std::string device = mla_dtype::to_string(range);
      if (std::find(fp8_devices.begin(), fp8_devices.end(), device) == fp8_devices.end()) {
        fp8_devices.push_back(std::move(device));
      }
    }
    Candidate candidate{};
    candidate.backend = std::move(backend);
    set_model_dtypes(candidate);
    set_kv_caches(candidate);
    set_device_blocker(candidate, platform, device_);
    set_availability(candidate, is_available);
    ruled_out = ruled_out && candidate.on_device.has(device_blockers);
    candidates_.push_back(std::move(candidate));
  }
  nothing_helps_ = fmt::format("On this device ({}) no setting helps", device_);
  if (!ruled_out) {
    nothing_helps_ += " this model in this engine";
  } else if (!fp8_devices.empty()) {
    nothing_helps_ +=
        ": the engine's prefill backends take FP8 queries only on " + list(fp8_devices);
  } else {
    nothing_helps_ += ": no prefill backend of the engine takes FP8 queries";
  }
}

const Candidate& PrefillCandidates::find(std::string_view name) const {
  for (const Candidate& candidate : candidates_) {
    if (candidate.backend.name == name) return candidate;
  }
  std::vector<std::string_view> names;
  for (const Candidate& candidate : candidates_) names.push_back(candidate.backend.name);
  throw_unknown_name("mla_prefill_backend", name, names);
}

const Candidate* PrefillCandidates::choice(const AttentionConfig& config,
                                           const Candidate* otherwise) const {
  return config.mla_prefill_backend.empty() ? otherwise : &find(config.mla_prefill_backend);
}

Blockers PrefillCandidates::blockers(const Candidate& candidate, const Inputs& inputs) const {
  const PrefillBackend& backend = candidate.backend;
  Blockers result = candidate.on_device;
  if ((candidate.model_dtypes & data_type_bit(inputs.model_dtype)) == 0) {
    result.add(BlockerKind::model_dtype);
  }
  if (!backend.dimensions.empty() && !contains(backend.dimensions, inputs.dimensions)) {
    result.add(BlockerKind::dimensions);
  }
  if (inputs.heads % backend.head_multiple != 0) result.add(BlockerKind::head_count);
  if (backend.fp8_queries == Fp8Queries::never) return result;
  if (inputs.output_matters && !result.has(BlockerKind::model_dtype) &&
      (candidate.fp8_model_dtypes & data_type_bit(inputs.model_dtype)) == 0) {
    result.add(BlockerKind::output_dtype);
  }
  const bool cache_fits =
      inputs.format != nullptr
          ? (candidate.kv_caches & bit_of(*inputs.format)) != 0
          : !candidate.knows_other_kv_caches ||
                std::find(backend.fp8_kv_cache_dtypes.begin(), backend.fp8_kv_cache_dtypes.end(),
                          inputs.cache_dtype) != backend.fp8_kv_cache_dtypes.end();
  if (!cache_fits) result.add(BlockerKind::kv_cache_format);
  return result;
}

const Candidate* PrefillCandidates::select(const Inputs& inputs) const {
  if (inputs.chosen != nullptr) return inputs.chosen;
  if (inputs.requested) {
    const auto* const with_fp8 = find_first(
        inputs, [&](const Candidate& candidate) { return takes_fp8(candidate, inputs); });
    if (with_fp8 != nullptr || inputs.required) return with_fp8;
  }
  return find_first(inputs, [&](const Candidate& candidate) {
    return !blockers(candidate, inputs).has(not_usable) &&
           candidate.backend.fp8_queries != Fp8Queries::required;
  });
}

const Candidate* PrefillCandidates::find_first(const Inputs& inputs,
                                               FunctionRef<bool(const Candidate&)> test) const {
  for (const bool preferred : {true, false}) {
    for (const Candidate& candidate : candidates_) {
      const auto& dimensions = candidate.backend.preferred_dimensions;
      if (contains(dimensions, inputs.dimensions) == preferred && test(candidate)) {
        return &candidate;
      }
    }
  }
  return nullptr;
}

void PrefillCandidates::for_each_blocker(
    const Inputs& inputs, FunctionRef<void(BlockerKind, const Candidate*)> visit) const {
  if (!inputs.requested) visit(BlockerKind::not_requested, nullptr);
  if (!inputs.kv_cache_quantized) {
    visit(BlockerKind::kv_cache_not_quantized, nullptr);
  } else if (is_cache_refused(inputs)) {
    visit(BlockerKind::kv_cache_format, nullptr);
  }
  inputs.vetoes.for_each([&](BlockerKind veto) { visit(veto, nullptr); });
  const auto visit_all = [&](const Candidate& candidate) {
    (blockers(candidate, inputs) - BlockerKind::kv_cache_format).for_each([&](BlockerKind kind) {
      visit(kind, &candidate);
    });
  };
  if (inputs.chosen != nullptr) return visit_all(*inputs.chosen);
  if (find_first(inputs, [&](const Candidate& any) { return is_fit(any, inputs); }) != nullptr) {
    return;
  }
  // The choice is open, and none can: those speak of it that the device would not keep from it;
  // if there are none, the one that runs.
  bool any = false;
  find_first(inputs, [&](const Candidate& candidate) {
    if (candidate.on_device.has(device_blockers)) return false;
    any = true;
    visit_all(candidate);
    return false;
  });
  if (any) return;
  const Candidate* candidate = select(inputs);
  if (candidate == nullptr) {
    candidate = find_first(inputs, [](const Candidate& other) {
      return !other.on_device.has(BlockerKind::backend_device);
    });
  }
  visit_all(candidate != nullptr ? *candidate : candidates_.front());
}

void PrefillCandidates::for_each_remedy(
    const Inputs& inputs, bool may_change_cache,
    FunctionRef<bool(std::string_view, const Candidate*)> visit) const {
  const auto takes = [&](const Candidate& candidate, const KvCacheFormat* format) {
    if (format == nullptr) return takes_fp8(candidate, inputs);
    if ((inputs.cache_choices & bit_of(*format)) == 0) return false;
    Inputs changed = inputs;
    changed.cache_dtype = format->name;
    changed.format = format;
    changed.kv_cache_quantized = format->quantized;
    return takes_fp8(candidate, changed);
  };
  // Whether this change of the KV cache, or none, is enough with the backend as it is.
  const auto enough = [&](const KvCacheFormat* format) {
    const auto test = [&](const Candidate& candidate) { return takes(candidate, format); };
    return inputs.chosen != nullptr ? test(*inputs.chosen) : find_first(inputs, test) != nullptr;
  };
  constexpr std::string_view same_cache;
  constexpr const Candidate* same_backend = nullptr;

  if (inputs.ruled_out()) return;
  if (enough(nullptr)) {
    visit(same_cache, same_backend);
    return;
  }
  const auto any_format = [&](auto test) {
    const auto& formats = kv_cache_formats();
    return may_change_cache && std::any_of(formats.begin(), formats.end(), test);
  };
  if (any_format([&](const KvCacheFormat& format) {
        return enough(&format) && visit(format.name, same_backend);
      })) {
    return;
  }
  // Where the choice is open, another backend is never needed: it would have been enough above.
  const auto stays_requested = [&](const Candidate& other) {
    return !inputs.predicted_not_to_pay() || other.backend.fp8_queries == Fp8Queries::required;
  };
  if (find_first(inputs, [&](const Candidate& other) {
        return stays_requested(other) && takes(other, nullptr) && visit(same_cache, &other);
      }) != nullptr) {
    return;
  }
  find_first(inputs, [&](const Candidate& other) {
    return stays_requested(other) && !takes(other, nullptr) &&
           any_format([&](const KvCacheFormat& format) {
             return takes(other, &format) && !enough(&format) && visit(format.name, &other);
           });
  });
}

bool PrefillCandidates::is_cache_refused(const Inputs& inputs) const {
  const auto refuses = [&](const Candidate& any) {
    return blockers(any, inputs).has(BlockerKind::kv_cache_format);
  };
  const auto is_fit_here = [&](const Candidate& any) { return is_fit(any, inputs); };
  const auto is_fp8_backend = [](const Candidate& any) {
    return any.backend.fp8_queries != Fp8Queries::never;
  };
  // Whether all that `test` is true for refuse it; nothing if there are none.
  const auto all_refuse = [&](auto test) -> std::optional<bool> {
    if (find_first(inputs, test) == nullptr) return std::nullopt;
    return find_first(inputs, [&](const Candidate& any) { return test(any) && !refuses(any); }) ==
           nullptr;
  };
  const Candidate* const chosen = inputs.chosen;
  if (chosen != nullptr && is_fit_here(*chosen)) return refuses(*chosen);
  if (const auto refused = all_refuse(is_fit_here)) return *refused;
  if (chosen != nullptr && is_fp8_backend(*chosen)) return refuses(*chosen);
  return all_refuse(is_fp8_backend).value_or(false);
}

bool PrefillCandidates::nothing_helps(const Inputs& inputs) const {
  return inputs.ruled_out() || find_first(inputs, [&](const Candidate& any) {
                                 return is_capable(any, inputs);
                               }) == nullptr;
}

bool PrefillCandidates::runs_without_fp8(const Inputs& inputs) const {
  Inputs without_fp8 = inputs;
  without_fp8.requested = false;
  const Candidate* const backend = select(without_fp8);
  return backend != nullptr && !blockers(*backend, inputs).has(not_usable) &&
         backend->backend.fp8_queries != Fp8Queries::required;
}

bool PrefillCandidates::runs_with_fp8_only(const Inputs& inputs) const {
  const auto is_usable = [&](const Candidate& candidate) {
    return !blockers(candidate, inputs).has(not_usable);
  };
  const bool is_any_usable = inputs.chosen != nullptr ? is_usable(*inputs.chosen)
                                                      : find_first(inputs, is_usable) != nullptr;
  return is_any_usable && !runs_without_fp8(inputs);
}

void PrefillCandidates::append_nothing_helps(RecordText& text, const Inputs& inputs) const {
  const bool is_any_fit =
      find_first(inputs, [&](const Candidate& any) { return is_fit(any, inputs); }) != nullptr;
  if (is_any_fit && !inputs.vetoes.empty()) {
    append(text, "On this device (", device_,
           ") no flag, KV-cache dtype or prefill backend helps.");
  } else if (is_any_fit && inputs.ruled_out()) {
    append(text, "On this device (", device_,
           ") FP8 prefill queries are not predicted to be faster at the expected ISL.");
  } else {
    append(text, nothing_helps_, ".");
  }
  if (runs_without_fp8(inputs) && !inputs.required) {
    append(text, " Prefill in the model's data type is the right choice here.");
  }
}

void PrefillCandidates::append_sentence(RecordText& text, BlockerKind kind,
                                        const Candidate* candidate, const Inputs& inputs) const {
  switch (kind) {
    case BlockerKind::not_requested:
      return append_not_requested(text, inputs.prediction);
    case BlockerKind::kv_cache_not_quantized:
      return append_not_quantized(text, inputs.cache_dtype);
    case BlockerKind::kv_cache_format:
      if (inputs.format != nullptr) {
        return append_format_refused(text, *inputs.format, inputs.is_from_checkpoint);
      }
      return append(text, "KV-cache dtype ", in_quotes(inputs.cache_dtype),
                    " is quantized, but FP8 prefill attention does not read it.");
    case BlockerKind::backend_device:
    case BlockerKind::backend_without_fp8:
    case BlockerKind::fp8_device:
      return append(text, candidate->device_sentence);
    case BlockerKind::model_dtype:
      return append(text, "Prefill backend ", candidate->backend.name, " does not take ",
                    mla_dtype::to_string(inputs.model_dtype), " models.");
    case BlockerKind::dimensions: {
      std::vector<std::string> taken;
      for (const auto& dimensions : candidate->backend.dimensions) {
        taken.push_back(to_string(dimensions));
      }
      return append(text, "Prefill backend ", candidate->backend.name,
                    " does not take the head dimensions (qk_nope, qk_rope, v) ",
                    to_string(inputs.dimensions), ", only ", list(taken), ".");
    }
    case BlockerKind::head_count:
      return append(text, "Prefill backend ", candidate->backend.name, " does not take ",
                    fmt::to_string(inputs.heads), " heads, only multiples of ",
                    fmt::to_string(candidate->backend.head_multiple), ".");
    case BlockerKind::output_dtype:
      return append(text, "Prefill backend ", candidate->backend.name, " does not write ",
                    mla_dtype::to_string(inputs.model_dtype), " from FP8 queries.");
    case BlockerKind::dynamic_kv_scales:
    case BlockerKind::decode_context_parallel:
      return append(text, veto_text(kind));
    case BlockerKind::backend_unavailable:
      return append(text, candidate->unavailable_sentence);
    case BlockerKind::backend_needs_fp8:
      return append(text, "Prefill backend ", candidate->backend.name, " takes only FP8 queries.");
    case BlockerKind::backend_refused:
      break;  // has a sentence of the engine's own
  }
}

Blocker PrefillCandidates::describe(BlockerKind kind, const Candidate* candidate,
                                    const Inputs& inputs) const {
  const auto value = [&]() -> std::string {
    switch (kind) {
      case BlockerKind::not_requested:
        return std::string(not_requested_value(inputs.prediction));
      case BlockerKind::kv_cache_not_quantized:
      case BlockerKind::kv_cache_format:
        return std::string(inputs.cache_dtype);
      case BlockerKind::backend_device:
      case BlockerKind::fp8_device:
        return device_;
      case BlockerKind::model_dtype:
      case BlockerKind::output_dtype:
        return std::string(mla_dtype::to_string(inputs.model_dtype));
      case BlockerKind::head_count:
        return fmt::to_string(inputs.heads);
      case BlockerKind::dynamic_kv_scales:
      case BlockerKind::decode_context_parallel:
        return veto_value(kind, inputs.parallel_config);
      case BlockerKind::dimensions:
        return to_string(inputs.dimensions);
      case BlockerKind::backend_without_fp8:
      case BlockerKind::backend_unavailable:
      case BlockerKind::backend_needs_fp8:
      case BlockerKind::backend_refused:
        break;
    }
    return candidate->backend.name;
  };
  RecordText sentence;
  append_sentence(sentence, kind, candidate, inputs);
  return {kind, value(), std::string(view(sentence))};
}

Blockers PrefillCandidates::rejection(const Candidate& candidate, const Inputs& inputs) const {
  Blockers against_fp8 = blockers(candidate, inputs);
  if (against_fp8.has(not_usable)) return against_fp8 & not_usable;
  const bool needs_fp8 = candidate.backend.fp8_queries == Fp8Queries::required;
  const bool fp8_is_wanted =
      inputs.required || needs_fp8 || (inputs.requested && inputs.chosen == nullptr);
  if (!fp8_is_wanted) return {};
  if (!inputs.kv_cache_quantized) {
    against_fp8 = against_fp8 - BlockerKind::kv_cache_format;
    against_fp8.add(BlockerKind::kv_cache_not_quantized);
  }
  against_fp8.add(inputs.vetoes);
  if (!inputs.requested) against_fp8.add(BlockerKind::not_requested);
  if (needs_fp8 && !against_fp8.empty()) against_fp8.add(BlockerKind::backend_needs_fp8);
  return against_fp8;
}

PrefillBackendSelection PrefillCandidates::selection(const Inputs& inputs) const {
  PrefillBackendSelection result{};
  const auto reject = [&](const Candidate& candidate, Blockers why) {
    RejectedPrefillBackend rejected{candidate.backend.name, {}};
    why.for_each(
        [&](BlockerKind kind) { rejected.blockers.push_back(describe(kind, &candidate, inputs)); });
    result.rejected.push_back(std::move(rejected));
  };
  const Candidate* picked = select(inputs);
  if (inputs.chosen != nullptr) {
    result.chosen = inputs.chosen->backend.name;
    const Blockers why = rejection(*inputs.chosen, inputs);
    if (!why.empty()) {
      reject(*inputs.chosen, why);
      picked = nullptr;
    }
  } else {
    find_first(inputs, [&](const Candidate& candidate) {
      // Where FP8 queries are requested in vain, those behind the selected one were passed over,
      // too.
      if (&candidate == picked) return !inputs.requested || takes_fp8(candidate, inputs);
      const Blockers why = rejection(candidate, inputs);
      if (!why.empty()) reject(candidate, why);
      return false;
    });
  }
  if (picked != nullptr) {
    result.name = picked->backend.name;
    result.takes_fp8_queries = takes_fp8(*picked, inputs);
  }
  result.hint = hint(picked, inputs);
  return result;
}

std::string PrefillCandidates::hint(const Candidate* picked, const Inputs& inputs) const {
  const Candidate* const subject = inputs.chosen != nullptr ? inputs.chosen : picked;
  const Candidate* const other =
      subject != nullptr && takes_fp8(*subject, inputs)
          ? subject
          : find_first(inputs, [&](const Candidate& any) { return takes_fp8(any, inputs); });
  if (other == nullptr || other == picked || inputs.ruled_out()) return {};
  constexpr std::string_view turn_on = "turn use_prefill_query_quantization on";
  if (subject == nullptr || subject == other) {
    return fmt::format("Prefill backend {} takes only FP8 queries: {}.", other->backend.name,
                       turn_on);
  }
  if (!may_advise(inputs.prediction)) return {};
  const std::string what =
      inputs.chosen == nullptr
          ? fmt::format("{} to have it selected", turn_on)
          : fmt::format("choose it, or leave the choice open{}{}", inputs.requested ? "" : "; and ",
                        inputs.requested ? "" : turn_on);
  return fmt::format("Prefill backend {} does not take FP8 queries here, but {} does: {}.",
                     subject->backend.name, other->backend.name, what);
}

}  // namespace mla_dtype::detail
