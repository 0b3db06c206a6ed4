// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/attention_plan.h>

#include <string>
#include <vector>

#include "decision/attention_types.h"

namespace mla_dtype::detail {

/// Why the KV cache is of its type.
std::string kv_cache_reason(const KvCacheResolution& kv_cache_dtype);

inline constexpr char key_value_reason[] = "Always that of the prefill queries.";
inline constexpr char output_reason[] = "Always the model's data type.";

/// Why prefill queries are of their type.
std::string prefill_reason(const PrefillQueryExplanation& explanation);

/// Why decode queries are of theirs. `engines_reason`: what its predicate gave for a refusal.
std::string decode_reason(Decode decode, const DecodeTable* table,
                          const std::string& engines_reason);

/// Why no kernel can decode.
std::string decode_refusal(Decode decode, const DecodeTable& table,
                           const PrefillQuestion& question);

/// Why the workspace is of its type.
std::string workspace_reason(const PrefillQuestion& question);

/// `backend`: that prefill runs with, of a table; else null.
Caution caution(CautionKind kind, const PrefillQuestion& question, const PrefillRow* backend);

/// The plan for a human, in lines.
std::string in_lines(const AttentionPlan& plan);

/// A value of a packed plan. Packed plans come from other processes: any is shown.
std::string show(unsigned value, PackedKind kind);

/// That the ranks disagree, and where.
std::string compose(const std::vector<RankDifference>& differences);

}  // namespace mla_dtype::detail
