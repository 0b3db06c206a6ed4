// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "decision/attention_plan.h"
#include "decision/evaluate.h"

namespace mla_dtype::detail {

// What an engine's operators set: spellings.cpp.

/// What a text calls the flag for FP8 queries, and the KV-cache option: the spelling before the
/// value, or in one that sets a key of a JSON object (`--option '{"key": true}'`) the key.
std::string_view flag_name(const Spellings& spellings);
std::string_view kv_cache_option(const Spellings& spellings);

/// The command line that makes the changes. Where two settings are keys of one JSON object, who
/// sets one of them gives the other one again, as it is `kept`.
std::string spell(const Spellings& spellings, const Remedy& changes, const Remedy& kept);

// Each condition that failed: blockers.cpp.

Blocker describe(const Obstacle& obstacle, const PrefillQuestion& question);

std::string predicted(const PrefillPrediction& prediction);

/// From which ISL FP8 pays by what was measured, as a sentence.
std::string pays_from(const PrefillPayoff& payoff);

std::string device_name(const Platform& platform);

/// `a`, `a and b`, `a, b and c`.
std::string list(const std::vector<std::string>& items);

std::string to_string(const MlaDimensions& dimensions);
std::string_view to_string(KvScales scales);

template <class Item>
std::string list_of(const std::vector<Item>& items) {
  std::vector<std::string> names;
  names.reserve(items.size());
  for (const Item& item : items) names.emplace_back(to_string(item));
  return list(names);
}

// The explanation, from values: explain.cpp.

/// A decision with all its reasons, each as a sentence. Asks no predicate.
PrefillQueryExplanation explain(const PrefillQuestion& question, const Evaluation& evaluation);

PrefillBackendSelection explain_selection(const PrefillQuestion& question);

/// What keeps FP8 queries from the backend that runs: why a predicate of it says no.
std::string explain_backend(PrefillQuestion question, const Evaluation& evaluation);

/// Each least set of settings with which prefill and decode run; of a plan that is refused.
std::vector<Remedy> remedies_to_run(const PrefillQuestion& question);

KvCacheResolution resolution(std::string_view cache_dtype, std::string_view quant_algo,
                             DataType model_dtype);

// Records, from the explanation: records.cpp.

/// The text of a record, which begins with that of the decision's row. From an explanation alone:
/// decisions, plans and exceptions say the same.
std::string compose(Record record, const PrefillQueryExplanation& explanation,
                    const Spellings& spellings);

/// The text of PrefillQueryRefused.
std::string compose_refusal(const PrefillQueryExplanation& explanation);

/// Each sentence on backends that were rejected, once, and a space before it. Those of another
/// device are told where none was found and there are no others.
std::string reasons(const std::vector<RejectedPrefillBackend>& rejected, bool is_found);

/// Which backend was selected, and why not those that matter on this device.
std::string compose(const PrefillBackendSelection& selection);

std::string in_lines(const PrefillQueryExplanation& explanation);

// A plan: plan.cpp.

AttentionPlan explain_plan(PrefillQuestion question, const Evaluation& evaluation,
                           const DecodeChoice& decode);

/// The decode backend of a question with a table, and why not those before it.
DecodeBackendSelection explain_decode(const PrefillQuestion& question);

std::string decode_refusal(const PrefillQuestion& question);

std::string in_lines(const AttentionPlan& plan);

/// A value of a packed plan. Packed plans come from other processes: any is shown.
std::string show(unsigned value, PackedKind kind);

std::string compose(const std::vector<RankDifference>& differences);

}  // namespace mla_dtype::detail
