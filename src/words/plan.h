// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/attention_plan.h>

#include <string>
#include <vector>

#include "decision/attention_types.h"
#include "decision/decode.h"

namespace mla_dtype::detail {

/// Why the KV cache is of its type.
std::string kv_cache_reason(const KvCacheResolution& kv_cache_dtype);

inline constexpr char key_value_reason[] = "Always that of the prefill queries.";
inline constexpr char output_reason[] = "Always the model's data type.";

/// Why prefill queries are of their type.
std::string prefill_reason(const PrefillQueryExplanation& explanation);

/// Why decode queries are of theirs. `engines_reason`: what its predicate gave for a refusal.
std::string decode_reason(Decode decode, const DecodeRow* row, const std::string& engines_reason);

/// Why the KV cache is of another format than it was set to.
std::string stored_as_reason(const std::string& decode_backend);

/// The decode backend of a question with a table, and why not those before it.
DecodeBackendSelection explain_decode(const PrefillQuestion& question);

/// Why no kernel can decode.
std::string decode_refusal(const PrefillQuestion& question);

/// Why the workspace is of its type.
std::string workspace_reason(const PrefillQuestion& question);

/// A caution as a sentence.
std::string caution(const CautionFact& fact, const PrefillQuestion& question);

/// The plan for a human, in lines.
std::string in_lines(const AttentionPlan& plan);

/// A value of a packed plan. Packed plans come from other processes: any is shown.
std::string show(unsigned value, PackedKind kind);

/// That the ranks disagree, and where.
std::string compose(const std::vector<RankDifference>& differences);

}  // namespace mla_dtype::detail
