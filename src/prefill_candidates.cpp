// SPDX-License-Identifier: Apache-2.0
#include "prefill_candidates.h"

#include <utility>

#include "bad_data_type.h"
#include "invalid_argument.h"

namespace mla_dtype::detail {
namespace {

// What keeps a backend from running at all.
constexpr Blockers not_usable = Blockers(BlockerKind::backend_device) | BlockerKind::model_dtype |
                                BlockerKind::dimensions | BlockerKind::backend_unavailable;

constexpr Blockers device_kinds = Blockers(BlockerKind::backend_device) |
                                  BlockerKind::backend_without_fp8 | BlockerKind::fp8_device;

bool contains(const std::vector<DeviceRange>& ranges, const Platform& platform) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const DeviceRange& range) { return range.contains(platform); });
}

// `a`, `a or b`, `a, b or c`.
std::string list(const std::vector<std::string>& items, std::string_view last = " or ") {
  std::string result;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i != 0) result += i + 1 == items.size() ? last : ", ";
    result += items[i];
  }
  return result;
}

std::string list(const std::vector<DeviceRange>& ranges) {
  std::vector<std::string> items;
  for (const DeviceRange& range : ranges) items.push_back(to_string(range));
  return list(items, " and ");
}

std::string to_string(const MlaDimensions& dimensions) {
  return fmt::format("({}, {}, {})", dimensions.qk_nope_head_dim, dimensions.qk_rope_head_dim,
                     dimensions.v_head_dim);
}

void check_dimensions(const MlaDimensions& dimensions) {
  const auto check = [](std::string_view field, int value) {
    if (value < 1) throw_invalid_argument(field, fmt::format("{}", value), "1 and above");
  };
  check("qk_nope_head_dim", dimensions.qk_nope_head_dim);
  check("qk_rope_head_dim", dimensions.qk_rope_head_dim);
  check("v_head_dim", dimensions.v_head_dim);
}

void check_backend(const PrefillBackend& backend) {
  const bool has_name =
      !backend.name.empty() && std::all_of(backend.name.begin(), backend.name.end(),
                                           [](char c) { return c > ' ' && c <= '~' && c != '"'; });
  if (!has_name) {
    throw_invalid_argument("prefill backend's name", in_quotes(backend.name),
                           "printable ASCII without spaces and quotes");
  }
  const std::string field = fmt::format("prefill backend {}, ", backend.name);
  if (backend.fp8_queries > Fp8Queries::required) {
    throw_out_of_range(field + "fp8_queries", "Fp8Queries",
                       static_cast<unsigned>(backend.fp8_queries));
  }
  for (const DataType type : backend.model_dtypes) check_model_data_type(type);
  if (backend.fp8_queries != Fp8Queries::never && backend.fp8_kv_cache_dtypes.empty()) {
    throw_invalid_argument(field + "fp8_kv_cache_dtypes", "none",
                           "at least one where FP8 queries are not never taken");
  }
  for (const MlaDimensions& dimensions : backend.dimensions) check_dimensions(dimensions);
}

}  // namespace

void append_not_quantized(RecordText& text, std::string_view cache_dtype) {
  append(text, "The KV cache is not quantized: the KV-cache dtype is ", in_quotes(cache_dtype),
         ".");
}

bool is_requested(const AttentionConfig& config) {
  return config.use_prefill_query_quantization ||
         config.prefill_query_mode == PrefillQueryMode::required;
}

void check_config(const EngineConfig& config) {
  const PrefillQueryMode mode = config.attention_config.prefill_query_mode;
  if (mode > PrefillQueryMode::required) {
    throw_out_of_range("prefill_query_mode", "PrefillQueryMode", static_cast<unsigned>(mode));
  }
  check_dimensions(config.mla_dimensions);
}

PrefillCandidates::PrefillCandidates(const Platform& platform, std::vector<PrefillBackend> backends,
                                     const PrefillBackendAvailability& is_available)
    : device_(platform == Platform{} ? "no CUDA or ROCm device" : mla_dtype::to_string(platform)) {
  if (backends.empty()) throw_invalid_argument("prefill backends", "none", "at least one");
  for (PrefillBackend& backend : backends) {
    check_backend(backend);
    for (const Candidate& earlier : candidates_) {
      if (earlier.backend.name == backend.name) {
        throw_invalid_argument("prefill backends", in_quotes(backend.name) + " twice",
                               "each name once");
      }
    }
    Candidate candidate;
    const std::string_view name = backend.name;
    if (!backend.devices.empty() && !contains(backend.devices, platform)) {
      candidate.on_device.add(BlockerKind::backend_device);
      candidate.device_sentence =
          fmt::format("Prefill backend {} does not run on this device ({}), only on {}.", name,
                      device_, list(backend.devices));
    } else if (backend.fp8_queries == Fp8Queries::never) {
      candidate.on_device.add(BlockerKind::backend_without_fp8);
      candidate.device_sentence =
          fmt::format("Prefill backend {} does not take FP8 queries.", name);
    } else if (!backend.fp8_devices.empty() && !contains(backend.fp8_devices, platform)) {
      candidate.on_device.add(BlockerKind::fp8_device);
      candidate.device_sentence = fmt::format(
          "Prefill backend {} does not take FP8 queries on this device ({}), only on {}.", name,
          device_, list(backend.fp8_devices));
    }
    if (is_available != nullptr) {
      const Support available = is_available(backend.name);
      if (!available.supported) {
        candidate.on_device.add(BlockerKind::backend_unavailable);
        candidate.unavailable_sentence =
            fmt::format("Prefill backend {} is not available{}{}", name,
                        available.reason.empty() ? "." : ": ", available.reason);
      }
    }
    candidate.backend = std::move(backend);
    candidates_.push_back(std::move(candidate));
  }

  const bool helped_elsewhere = std::none_of(
      candidates_.begin(), candidates_.end(),
      [](const Candidate& candidate) { return (candidate.on_device & device_kinds).empty(); });
  std::vector<std::string> fp8_devices;
  for (const Candidate& candidate : candidates_) {
    const PrefillBackend& backend = candidate.backend;
    if (backend.fp8_queries == Fp8Queries::never) continue;
    for (const DeviceRange& range :
         backend.fp8_devices.empty() ? backend.devices : backend.fp8_devices) {
      const std::string device = mla_dtype::to_string(range);
      if (std::find(fp8_devices.begin(), fp8_devices.end(), device) == fp8_devices.end()) {
        fp8_devices.push_back(device);
      }
    }
  }
  nothing_helps_text_ = fmt::format(
      "On this device ({}) no setting helps{}{}. Prefill in the model's data type is the right "
      "choice here.",
      device_,
      !helped_elsewhere     ? " this model in this engine"
      : fp8_devices.empty() ? ": no prefill backend takes FP8 queries"
                            : ": FP8 prefill queries need ",
      helped_elsewhere ? list(fp8_devices) : "");
}

const Candidate& PrefillCandidates::find(std::string_view name) const {
  for (const Candidate& candidate : candidates_) {
    if (candidate.backend.name == name) return candidate;
  }
  std::vector<std::string_view> names;
  for (const Candidate& candidate : candidates_) names.push_back(candidate.backend.name);
  throw_unknown_name("mla_prefill_backend", name, names);
}

const Candidate* PrefillCandidates::chosen(const AttentionConfig& config) const {
  return config.mla_prefill_backend.empty() ? nullptr : &find(config.mla_prefill_backend);
}

Blockers PrefillCandidates::blockers(const Candidate& candidate, const Inputs& inputs) const {
  const PrefillBackend& backend = candidate.backend;
  Blockers result = candidate.on_device;
  const auto& types = backend.model_dtypes;
  if (types.empty() ? inputs.model_dtype == DataType::float32
                    : std::find(types.begin(), types.end(), inputs.model_dtype) == types.end()) {
    result.add(BlockerKind::model_dtype);
  }
  if (!backend.dimensions.empty() && !contains(backend.dimensions, inputs.dimensions)) {
    result.add(BlockerKind::dimensions);
  }
  // A format that only the engine knows is for its own predicate to judge.
  if (backend.fp8_queries != Fp8Queries::never &&
      std::find(backend.fp8_kv_cache_dtypes.begin(), backend.fp8_kv_cache_dtypes.end(),
                inputs.cache_dtype) == backend.fp8_kv_cache_dtypes.end() &&
      parse_kv_cache_dtype(inputs.cache_dtype)) {
    result.add(BlockerKind::kv_cache_format);
  }
  return result;
}

bool PrefillCandidates::is_capable(const Candidate& candidate, const Inputs& inputs) const {
  return (blockers(candidate, inputs) - BlockerKind::kv_cache_format).empty();
}

bool PrefillCandidates::is_usable(const Candidate& candidate, const Inputs& inputs) const {
  return !blockers(candidate, inputs).has(not_usable);
}

const Candidate* PrefillCandidates::select(const Inputs& inputs) const {
  if (inputs.requested) {
    const auto* const with_fp8 = find_first(
        inputs, [&](const Candidate& candidate) { return takes_fp8(candidate, inputs); });
    if (with_fp8 != nullptr) return with_fp8;
  }
  return find_first(inputs, [&](const Candidate& candidate) {
    return is_usable(candidate, inputs) && candidate.backend.fp8_queries != Fp8Queries::required;
  });
}

PrefillCandidates::Verdict PrefillCandidates::judge(const Candidate* fixed,
                                                    const Inputs& inputs) const {
  const auto is_capable_here = [&](const Candidate& any) { return is_capable(any, inputs); };
  const auto refuses_cache = [&](const Candidate& any) {
    return blockers(any, inputs).has(BlockerKind::kv_cache_format);
  };
  const auto any_of = [&](auto test) { return find_first(inputs, test) != nullptr; };
  const auto takes_fp8_queries = [](const Candidate& any) {
    return any.backend.fp8_queries != Fp8Queries::never;
  };
  // Whether all that `test` is true for refuse the KV cache, if there are any.
  const auto all_refuse_cache = [&](auto test) {
    return any_of(test) &&
           !any_of([&](const Candidate& any) { return test(any) && !refuses_cache(any); });
  };

  Verdict verdict{};
  bool cache_is_refused;
  if (fixed == nullptr && any_of(is_capable_here)) {
    // Once FP8 queries are requested and the KV cache allows them, one that takes them is selected.
    cache_is_refused = all_refuse_cache(is_capable_here);
  } else {
    const Candidate* candidate = fixed != nullptr ? fixed : select(inputs);
    if (candidate == nullptr) {
      candidate = find_first(inputs, [](const Candidate& any) {
        return !any.on_device.has(BlockerKind::backend_device);
      });
    }
    if (candidate == nullptr) candidate = &candidates_.front();
    verdict.candidate = candidate;
    verdict.blockers = blockers(*candidate, inputs) - BlockerKind::kv_cache_format;
    cache_is_refused = takes_fp8_queries(*candidate) ? refuses_cache(*candidate)
                                                     : all_refuse_cache(takes_fp8_queries);
  }
  if (!inputs.kv_cache_quantized) {
    verdict.blockers.add(BlockerKind::kv_cache_not_quantized);
  } else if (cache_is_refused) {
    verdict.blockers.add(BlockerKind::kv_cache_format);
  }
  if (!inputs.requested) verdict.blockers.add(BlockerKind::not_requested);
  return verdict;
}

bool PrefillCandidates::nothing_helps(const Inputs& inputs) const {
  return find_first(inputs, [&](const Candidate& any) { return is_capable(any, inputs); }) ==
         nullptr;
}

void PrefillCandidates::append_sentence(RecordText& text, BlockerKind kind,
                                        const Candidate* candidate, const Inputs& inputs) const {
  switch (kind) {
    case BlockerKind::not_requested:
      return append(text, not_requested_text);
    case BlockerKind::kv_cache_not_quantized:
      return append_not_quantized(text, inputs.cache_dtype);
    case BlockerKind::kv_cache_format:
      return append(text, "KV-cache dtype ", inputs.cache_dtype,
                    " is quantized, but not in a format that FP8 prefill attention reads.");
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
                    to_string(inputs.dimensions), ", only ", list(taken, " and "), ".");
    }
    case BlockerKind::backend_unavailable:
      return append(text, candidate->unavailable_sentence);
    case BlockerKind::backend_needs_fp8:
      return append(text, "Prefill backend ", candidate->backend.name, " takes only FP8 queries.");
    case BlockerKind::backend_refused:
      break;  // has a sentence of the engine's own
  }
}

std::vector<Blocker> PrefillCandidates::describe(Blockers blockers, const Candidate* candidate,
                                                 const Inputs& inputs) const {
  std::vector<Blocker> result;
  blockers.for_each([&](BlockerKind kind) {
    RecordText sentence;
    append_sentence(sentence, kind, candidate, inputs);
    const auto value = [&]() -> std::string {
      switch (kind) {
        case BlockerKind::not_requested:
          return "false";
        case BlockerKind::kv_cache_not_quantized:
        case BlockerKind::kv_cache_format:
          return std::string(inputs.cache_dtype);
        case BlockerKind::backend_device:
        case BlockerKind::fp8_device:
          return device_;
        case BlockerKind::model_dtype:
          return std::string(mla_dtype::to_string(inputs.model_dtype));
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
    result.push_back({kind, value(), std::string(view(sentence))});
  });
  return result;
}

PrefillBackendSelection PrefillCandidates::selection(const Candidate* chosen,
                                                     const Inputs& inputs) const {
  // Why the candidate is not taken; empty where it is.
  const auto rejection = [&](const Candidate& candidate, bool fp8_wanted) {
    Blockers against_fp8 = blockers(candidate, inputs);
    if (against_fp8.has(not_usable)) return against_fp8 & not_usable;
    if (!inputs.kv_cache_quantized) {
      against_fp8 = against_fp8 - BlockerKind::kv_cache_format;
      against_fp8.add(BlockerKind::kv_cache_not_quantized);
    }
    if (fp8_wanted) return against_fp8;
    if (candidate.backend.fp8_queries != Fp8Queries::required) return Blockers();
    if (!inputs.requested) against_fp8.add(BlockerKind::not_requested);
    if (!against_fp8.empty()) against_fp8.add(BlockerKind::backend_needs_fp8);
    return against_fp8;
  };
  PrefillBackendSelection result{};
  const Candidate* picked = nullptr;
  if (chosen != nullptr) {
    const Blockers why_not = rejection(*chosen, /*fp8_wanted=*/false);
    if (why_not.empty()) picked = chosen;
    if (picked == nullptr) {
      result.rejected.push_back({chosen->backend.name, describe(why_not, chosen, inputs)});
    }
  } else {
    picked = select(inputs);
    const bool fp8_wanted = inputs.requested && picked != nullptr && takes_fp8(*picked, inputs);
    find_first(inputs, [&](const Candidate& candidate) {
      if (&candidate == picked) return true;
      const Blockers why_not = rejection(candidate, fp8_wanted);
      result.rejected.push_back({candidate.backend.name, describe(why_not, &candidate, inputs)});
      return false;
    });
  }
  if (picked != nullptr) {
    result.name = picked->backend.name;
    result.takes_fp8_queries = takes_fp8(*picked, inputs);
  }
  if (result.takes_fp8_queries) return result;
  const auto* const other =
      find_first(inputs, [&](const Candidate& candidate) { return takes_fp8(candidate, inputs); });
  if (other != nullptr && (chosen != nullptr || picked != nullptr)) {
    result.hint = fmt::format(
        "Prefill backend {} does not take FP8 queries here, but {} does: {}.",
        (chosen != nullptr ? chosen : picked)->backend.name, other->backend.name,
        chosen != nullptr
            ? "choose it, or leave the choice open and turn use_prefill_query_quantization on"
            : "turn use_prefill_query_quantization on to have it selected");
  }
  return result;
}

}  // namespace mla_dtype::detail
