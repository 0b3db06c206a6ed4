// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_backend.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "function_ref.h"

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

/// Whether the mode is `automatic`, as far as a prediction tells.
constexpr bool is_decisive(const std::optional<PrefillPrediction>& prediction) {
  return prediction && prediction->decides;
}

/// Why FP8 prefill queries are not requested.
void append_not_requested(RecordText& text, const std::optional<PrefillPrediction>& prediction);

/// The value of that blocker.
constexpr std::string_view not_requested_value(const std::optional<PrefillPrediction>& prediction) {
  return is_decisive(prediction) ? "automatic" : "false";
}

/// What is predicted, as a sentence.
void append_prediction(RecordText& text, const PrefillPrediction& prediction);

/// Whether advice may be given for what makes attention so many times as fast.
constexpr bool is_worthwhile(double speedup) { return speedup >= 1.02; }

/// Whether FP8 prefill queries may be advised, as far as is known.
inline bool may_advise(const std::optional<PrefillPrediction>& prediction) {
  return !prediction || is_worthwhile(prediction->speedup);
}

void append_not_quantized(RecordText& text, std::string_view cache_dtype);
void append_format_refused(RecordText& text, const KvCacheFormat& format,
                           bool is_from_checkpoint = false);

/// The platform's name in a sentence.
std::string device_name(const Platform& platform);

/// What the configuration's KV-cache dtype comes to, see cache_dtype.h.
std::string_view effective_cache_dtype(const EngineConfig& config);

/// Whether FP8 prefill queries are asked for, by the flag or by the mode; in mode `automatic` also
/// where there is no prediction yet.
bool is_requested(const AttentionConfig& config,
                  const std::optional<PrefillPrediction>& prediction);

/// A set of BlockerKinds.
class Blockers {
 public:
  constexpr Blockers() = default;
  constexpr Blockers(BlockerKind kind)  // NOLINT: implicit, a set of one
      : bits_(1U << static_cast<unsigned>(kind)) {}

  friend constexpr bool operator==(Blockers a, Blockers b) { return a.bits_ == b.bits_; }
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
  void for_each(FunctionRef<void(BlockerKind)> visit) const {
    for (unsigned kind = 0; bits_ >> kind != 0; ++kind) {
      if ((bits_ >> kind & 1U) != 0) visit(static_cast<BlockerKind>(kind));
    }
  }

 private:
  explicit constexpr Blockers(unsigned bits) : bits_(bits) {}
  unsigned bits_ = 0;
};

/// What keeps FP8 prefill queries from any backend.
Blockers vetoes_of(const EngineConfig& config);

/// The sentence and the value of a veto.
std::string_view veto_text(BlockerKind veto);
std::string veto_value(BlockerKind veto, const ParallelConfig& config);

/// One prefill backend on the device: what can be said of it before there is a model.
struct Candidate {
  PrefillBackend backend;
  unsigned model_dtypes;       ///< a bit for each DataType
  unsigned fp8_model_dtypes;   ///< the same, for those that it writes from FP8 queries
  unsigned kv_caches;          ///< a bit for each KvCacheFormat that FP8 queries go with
  bool knows_other_kv_caches;  ///< whether the table names some that kv_cache.h does not know
  Blockers on_device;
  std::string device_sentence;       ///< for what of `on_device` is about the device or FP8
  std::string unavailable_sentence;  ///< for what of it is about the engine
};

/// What a decision depends on, apart from the device and its backends.
struct Inputs {
  Inputs(const EngineConfig& config, DataType model_dtype, bool kv_cache_quantized,
         const Candidate* chosen, const std::optional<PrefillPrediction>& prediction);

  friend bool operator==(const Inputs& a, const Inputs& b);

  /// Whether the mode `automatic` speaks against FP8 queries. Then no setting brings them, unless
  /// prefill runs with them only.
  bool predicted_not_to_pay() const { return is_decisive(prediction) && prediction->speedup <= 1; }
  bool ruled_out() const { return predicted_not_to_pay() && !requested; }

  std::string_view cache_dtype;  ///< what `auto` comes to
  const KvCacheFormat* format;   ///< null: known to the engine alone
  bool is_from_checkpoint;       ///< the operator said `auto`
  bool kv_cache_quantized;
  bool requested;
  bool required;
  Blockers vetoes;  ///< what keeps FP8 queries from any backend
  DataType model_dtype;
  MlaDimensions dimensions;
  int heads;
  ParallelConfig parallel_config;
  const Candidate* chosen;  ///< null: the choice is open
  std::optional<PrefillPrediction> prediction;
  bool output_matters = false;   ///< whether the backend has to write the model dtype
  unsigned cache_choices = ~0U;  ///< a bit for each KvCacheFormat that could be had instead
};

/// The prefill backends of an engine on its device. Immutable: one serves any number of threads.
class PrefillCandidates {
 public:
  /// Asks `is_available` once for each row. Throws for bad rows, see select_prefill_backend().
  PrefillCandidates(const Platform& platform, std::vector<PrefillBackend> backends,
                    const PrefillBackendAvailability& is_available);

  const Platform& platform() const { return platform_; }

  /// The candidate of that name. std::invalid_argument if there is none.
  const Candidate& find(std::string_view name) const;

  /// The operator's choice, or else `otherwise`.
  const Candidate* choice(const AttentionConfig& config, const Candidate* otherwise) const;

  /// The choice; without one the first that can take FP8 queries if they are requested, and else
  /// the first that can run. Null if none can.
  const Candidate* select(const Inputs& inputs) const;

  bool takes_fp8(const Candidate& candidate, const Inputs& inputs) const {
    return inputs.kv_cache_quantized && inputs.vetoes.empty() &&
           blockers(candidate, inputs).empty();
  }

  /// Whether it could with some KV cache.
  bool is_capable(const Candidate& candidate, const Inputs& inputs) const {
    return inputs.vetoes.empty() && is_fit(candidate, inputs);
  }

  /// Calls `visit(kind, candidate)` for each condition that keeps FP8 queries away. The candidate
  /// is null for those that are about none.
  void for_each_blocker(const Inputs& inputs,
                        FunctionRef<void(BlockerKind, const Candidate*)> visit) const;

  /// Calls `visit(cache_dtype, candidate)` for each least set of changes that, once FP8 queries are
  /// requested, gives them; the smallest first; until one returns true. An empty string or null
  /// stands for no change. `may_change_cache`: whether the library knows which KV-cache dtypes are
  /// quantized.
  void for_each_remedy(const Inputs& inputs, bool may_change_cache,
                       FunctionRef<bool(std::string_view, const Candidate*)> visit) const;

  /// Whether prefill runs if FP8 queries are not requested.
  bool runs_without_fp8(const Inputs& inputs) const;

  /// Whether it does not, and would if they were, with some KV cache.
  bool runs_with_fp8_only(const Inputs& inputs) const;

  /// Whether no KV cache, no backend and no flag gives FP8 queries with this model.
  bool nothing_helps(const Inputs& inputs) const;

  /// Says so, in sentences that begin `On this device`.
  void append_nothing_helps(RecordText& text, const Inputs& inputs) const;

  void append_sentence(RecordText& text, BlockerKind kind, const Candidate* candidate,
                       const Inputs& inputs) const;

  Blocker describe(BlockerKind kind, const Candidate* candidate, const Inputs& inputs) const;

  PrefillBackendSelection selection(const Inputs& inputs) const;

 private:
  // What keeps FP8 queries from the candidate, but for the vetoes, whether they are requested and
  // whether the KV cache is quantized at all.
  Blockers blockers(const Candidate& candidate, const Inputs& inputs) const;

  // Whether it could if there were no vetoes.
  bool is_fit(const Candidate& candidate, const Inputs& inputs) const {
    return (blockers(candidate, inputs) - BlockerKind::kv_cache_format).empty();
  }

  // Whether no candidate that matters takes FP8 queries with this quantized KV cache.
  bool is_cache_refused(const Inputs& inputs) const;

  // Why the candidate is not selected; empty if nothing speaks against it.
  Blockers rejection(const Candidate& candidate, const Inputs& inputs) const;

  std::string hint(const Candidate* picked, const Inputs& inputs) const;

  // The first in order of preference that `test` is true for, or null.
  const Candidate* find_first(const Inputs& inputs, FunctionRef<bool(const Candidate&)> test) const;

  Platform platform_;
  std::string device_;
  std::vector<Candidate> candidates_;
  std::string nothing_helps_;
};

}  // namespace mla_dtype::detail
