// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_backend.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace mla_dtype::detail {

/// A record of the usual length is composed without allocating.
using RecordText = fmt::basic_memory_buffer<char, 1024>;

template <class... Parts>
void append(RecordText& text, const Parts&... parts) {
  const auto append_one = [&](std::string_view part) {
    text.append(part.data(), part.data() + part.size());
  };
  (append_one(parts), ...);
}

inline std::string_view view(const RecordText& text) { return {text.data(), text.size()}; }

constexpr std::string_view not_requested_text = "use_prefill_query_quantization is off.";
void append_not_quantized(RecordText& text, std::string_view cache_dtype);

/// Whether FP8 prefill queries are asked for, by the flag or by the mode.
bool is_requested(const AttentionConfig& config);

/// Throws std::invalid_argument for a mode out of range or a dimension below 1.
void check_config(const EngineConfig& config);

/// A set of BlockerKinds.
class Blockers {
 public:
  constexpr Blockers() = default;
  constexpr Blockers(BlockerKind kind)  // NOLINT: implicit, a set of one
      : bits_(1U << static_cast<unsigned>(kind)) {}

  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool has(Blockers any) const { return (bits_ & any.bits_) != 0; }
  constexpr void add(Blockers others) { bits_ |= others.bits_; }
  friend constexpr Blockers operator|(Blockers a, Blockers b) {
    return Blockers(a.bits_ | b.bits_);
  }
  friend constexpr Blockers operator&(Blockers a, Blockers b) {
    return Blockers(a.bits_ & b.bits_);
  }
  friend constexpr Blockers operator-(Blockers a, Blockers b) {
    return Blockers(a.bits_ & ~b.bits_);
  }

  /// Calls `visit(kind)` for each, in the order of the enumeration.
  template <class Visit>
  void for_each(Visit visit) const {
    for (unsigned kind = 0; bits_ >> kind != 0; ++kind) {
      if ((bits_ >> kind & 1U) != 0) visit(static_cast<BlockerKind>(kind));
    }
  }

 private:
  explicit constexpr Blockers(unsigned bits) : bits_(bits) {}
  unsigned bits_ = 0;
};

/// What a decision depends on, apart from the device and its backends.
struct Inputs {
  std::string_view cache_dtype;  ///< as effective_cache_dtype() gives it
  bool kv_cache_quantized;
  bool requested;
  DataType model_dtype;
  MlaDimensions dimensions;
};

/// One prefill backend on the device: what can be said of it before there is a model.
struct Candidate {
  PrefillBackend backend;
  Blockers on_device;
  std::string device_sentence;       ///< for what of `on_device` is about the device or FP8
  std::string unavailable_sentence;  ///< for what of it is about the engine
};

/// The prefill backends of an engine on its device. Immutable: one serves any number of threads.
/// Allocates only where a std::string is returned.
class PrefillCandidates {
 public:
  /// Asks `is_available` once for each row. Throws for bad rows, see select_prefill_backend().
  PrefillCandidates(const Platform& platform, std::vector<PrefillBackend> backends,
                    const PrefillBackendAvailability& is_available);

  /// The candidate of that name. std::invalid_argument if there is none.
  const Candidate& find(std::string_view name) const;

  /// The operator's choice; null where there is none.
  const Candidate* chosen(const AttentionConfig& config) const;

  bool takes_fp8(const Candidate& candidate, const Inputs& inputs) const {
    return inputs.kv_cache_quantized && blockers(candidate, inputs).empty();
  }

  /// Whether it could with some KV cache.
  bool is_capable(const Candidate& candidate, const Inputs& inputs) const;

  /// The first that can take FP8 queries if they are requested; else the first that can run. Null
  /// if none can.
  const Candidate* select(const Inputs& inputs) const;

  /// What keeps FP8 queries away from a decision.
  struct Verdict {
    Blockers blockers;           ///< empty: nothing
    const Candidate* candidate;  ///< the one that those of a backend are about; null: none is
  };

  /// With `fixed`, or if that is null with whichever candidate is selected.
  Verdict judge(const Candidate* fixed, const Inputs& inputs) const;

  /// Calls `visit(cache_dtype, candidate)` for each least set of changes that, once FP8 queries are
  /// requested, gives them; the smallest first; until one returns true. An empty string or null
  /// stands for no change. `fixed` as above; `may_change_cache`: whether the library knows which
  /// KV-cache dtypes are quantized.
  template <class Visit>
  void for_each_remedy(const Candidate* fixed, const Inputs& inputs, bool may_change_cache,
                       Visit visit) const;

  /// Whether no KV cache, no backend and no flag gives FP8 queries with this model.
  bool nothing_helps(const Inputs& inputs) const;

  /// Says so, in sentences that begin `On this device`.
  std::string_view nothing_helps_text() const { return nothing_helps_text_; }

  void append_sentence(RecordText& text, BlockerKind kind, const Candidate* candidate,
                       const Inputs& inputs) const;

  std::vector<Blocker> describe(Blockers blockers, const Candidate* candidate,
                                const Inputs& inputs) const;

  PrefillBackendSelection selection(const Candidate* chosen, const Inputs& inputs) const;

 private:
  // What keeps FP8 queries from the candidate, but for whether they are requested and whether the
  // KV cache is quantized at all.
  Blockers blockers(const Candidate& candidate, const Inputs& inputs) const;

  bool is_usable(const Candidate& candidate, const Inputs& inputs) const;

  // The first in order of preference that `test` is true for, or null.
  template <class Test>
  const Candidate* find_first(const Inputs& inputs, Test test) const;

  std::string device_;
  std::vector<Candidate> candidates_;
  std::string nothing_helps_text_;
};

inline bool contains(const std::vector<MlaDimensions>& all, const MlaDimensions& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

template <class Test>
const Candidate* PrefillCandidates::find_first(const Inputs& inputs, Test test) const {
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

template <class Visit>
void PrefillCandidates::for_each_remedy(const Candidate* fixed, const Inputs& inputs,
                                        bool may_change_cache, Visit visit) const {
  const auto takes = [&](const Candidate& candidate, const KvCacheFormat* format) {
    if (format == nullptr) return takes_fp8(candidate, inputs);
    Inputs changed = inputs;
    changed.cache_dtype = format->name;
    changed.kv_cache_quantized = format->quantized;
    return takes_fp8(candidate, changed);
  };
  // Whether this change of the KV cache, or none, is enough with the backend as it is.
  const auto enough = [&](const KvCacheFormat* format) {
    const auto test = [&](const Candidate& candidate) { return takes(candidate, format); };
    return fixed != nullptr ? test(*fixed) : find_first(inputs, test) != nullptr;
  };
  constexpr std::string_view same_cache;
  constexpr const Candidate* same_backend = nullptr;

  if (enough(nullptr)) {
    visit(same_cache, same_backend);
    return;
  }
  if (may_change_cache) {
    for (const KvCacheFormat& format : kv_cache_formats()) {
      if (enough(&format) && visit(format.name, same_backend)) return;
    }
  }
  // Where the choice is open, another backend is never needed: it would have been enough above.
  if (find_first(inputs, [&](const Candidate& other) {
        return takes(other, nullptr) && visit(same_cache, &other);
      }) != nullptr) {
    return;
  }
  if (!may_change_cache) return;
  find_first(inputs, [&](const Candidate& other) {
    if (takes(other, nullptr)) return false;
    return std::any_of(
        kv_cache_formats().begin(), kv_cache_formats().end(), [&](const KvCacheFormat& format) {
          return takes(other, &format) && !enough(&format) && visit(format.name, &other);
        });
  });
}

}  // namespace mla_dtype::detail
