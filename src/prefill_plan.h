// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_query.h>

namespace mla_dtype::detail {

/// A decision on prefill queries as part of a plan: the vetoes hold whoever answers for the
/// backend, and so does what the backend can write.
struct PlannedPrefill {
  PrefillQueryExplanation explanation;
  PrefillBackendSelection selection;  ///< of the table; with the engine's own predicate it is empty
  bool has_table;
  Platform platform;  ///< of the table
};

/// Throws PrefillQueryRefused where FP8 prefill queries are required and not possible.
/// `cache_choices`: a bit for each KvCacheFormat that the engine could have instead.
PlannedPrefill plan_prefill(const EngineConfig& config, DataType model_dtype,
                            const Environment& env, unsigned cache_choices);

/// What was selected, and why not the others.
std::string selection_text(const PrefillBackendSelection& selection);

/// Logs the record of the decision.
bool log_planned_prefill(const PrefillQueryExplanation& explanation, const Environment& env);

}  // namespace mla_dtype::detail
