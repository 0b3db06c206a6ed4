// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/cost_model.h>

#include "decision/prefill_question.h"

namespace mla_dtype::detail {

/// The answer to a question, small enough to be made for every layer.
struct Evaluation {
  PrefillQueryFacts facts{};
  PrefillQueryOutcome outcome = PrefillQueryOutcome::not_applicable;
  DataType data_type = DataType::bfloat16;
  const PrefillRow* row = nullptr;  ///< of the table: what runs; null: nothing
  std::optional<PrefillPrediction> prediction{};
};

Evaluation evaluate(const PrefillQuestion& question);

/// What keeps FP8 queries from the backend with this model and KV cache.
Blockers blockers_of(const PrefillRow& row, const PrefillQuestion& question);

/// The choice; without one the first that takes FP8 queries if they are requested, and else the
/// first that can run. Null if none can.
const PrefillRow* select(const PrefillQuestion& question);

bool takes_fp8(const PrefillRow& row, const PrefillQuestion& question);

/// Whether what runs does; with a KV cache that is not quantized, what would run with another.
bool supports(const PrefillQuestion& question, const Evaluation& evaluation);

/// What runs if FP8 queries are not requested, or would, were the choice open; null: nothing.
const PrefillRow* row_without_fp8(const PrefillQuestion& question, bool is_open = false);

/// Whether a change may be advised for what makes attention so many times as fast.
constexpr bool is_worthwhile(double speedup) { return speedup >= 1.02; }

/// Whether FP8 prefill queries may be advised, as far as is known.
inline bool may_advise(const std::optional<PrefillPrediction>& prediction) {
  return !prediction || is_worthwhile(prediction->speedup);
}

/// What was measured on the engine's device, with such a model, of this backend's FP8 queries and
/// of what runs without them; or else of what would, were the choice open. Null: nothing is known,
/// or the engine has a prediction of its own.
const MeasuredPrefill* find_measured(const PrefillQuestion& question, const PrefillRow* fp8);

/// What a decision says in the log.
enum class Record {
  enabled,            ///< row 1
  pays_from,          ///< besides it: from which ISL, as was measured
  does_not_pay,       ///< besides it: FP8 is predicted to be slower
  refused,            ///< row 2
  available,          ///< row 3: how to enable it
  automatically_off,  ///< ... in mode `automatic`: why it is not
};

using Records = EnumSet<Record>;

Records records_of(PrefillQueryOutcome outcome, const std::optional<PrefillPrediction>& prediction,
                   bool is_measured);

// Reasons: reasons.cpp.

/// One condition that failed, and of which backend; null: it is about none.
struct Obstacle {
  BlockerKind kind;
  const PrefillRow* row = nullptr;
  const DecodeRow* decode = nullptr;
};

/// Every condition that kept FP8 queries away, in the order in which they are told.
std::vector<Obstacle> obstacles(const PrefillQuestion& question, const Evaluation& evaluation);

/// Changes that an operator can make. Null: none of that kind.
struct Change {
  const KvCacheFormat* kv_cache = nullptr;
  const PrefillRow* row = nullptr;
  const DecodeRow* decode = nullptr;
};

/// The question with that change; the flag stays as it is.
PrefillQuestion with(const PrefillQuestion& question, const Change& change);

/// Each least set of changes that, with FP8 queries requested, gives them. The smallest first, then
/// what is nearest to the KV cache, then what the table prefers. Of two that come to the same, one.
/// `{{}}`: requesting them is enough.
std::vector<Change> least_changes(const PrefillQuestion& question);

/// The same with which prefill and decode can run at all; another decode backend goes before
/// another KV cache.
std::vector<Change> least_changes_to_run(const PrefillQuestion& question);

/// Why no change helps.
enum class Hopeless {
  no,             ///< one may
  device,         ///< no backend of the table takes FP8 queries on it
  model,          ///< ... or none with this model, or none that the engine can use
  configuration,  ///< ... or none with these KV scales, or this spread of the KV cache
  decode,         ///< the decode backend reads no KV cache that FP8 prefill does
  prediction,     ///< FP8 is not predicted to be faster
};

/// `changes`: those of least_changes().
Hopeless why_hopeless(PrefillQuestion question, const std::vector<Change>& changes);

/// What runs; null: nothing, or not the choice.
const PrefillRow* selected_row(const PrefillQuestion& question);

/// Why the backend is not selected; empty if nothing speaks against it.
Blockers rejection(const PrefillRow& row, const PrefillQuestion& question);

/// Those that were passed over for what runs, since something speaks against them.
std::vector<const PrefillRow*> rejected_rows(const PrefillQuestion& question);

/// What could take FP8 queries where what runs, or should run, cannot. Null: nothing.
const PrefillRow* advised_row(const PrefillQuestion& question);

}  // namespace mla_dtype::detail
