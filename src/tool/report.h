// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/attention_plan.h>
#include <mla_dtype/data_type.h>
#include <mla_dtype/platform.h>
#include <mla_dtype/prefill_backend.h>
#include <mla_dtype/prefill_query.h>

#include <optional>
#include <string>
#include <vector>

#include "break_even.h"

namespace mla_dtype::tool {

/// As spdlog spells it.
inline const char* name_of(LogLevel level) { return level == LogLevel::info ? "info" : "warning"; }

/// A decision, and what goes with it.
struct Report {
  Platform platform;
  DataType model_dtype;
  PrefillQueryExplanation explanation;
  PrefillBackendSelection selection;
  std::optional<BreakEven> break_even;  ///< of the model that the prediction comes from, if any
  std::vector<LogRecord> log;
  bool refused;                       ///< required, and not possible; or no kernel can run the plan
  std::optional<AttentionPlan> plan;  ///< none where none was asked for, or it is refused
};

/// The explanation, with its prediction the break-even; then what speaks against the backends that
/// an automatic selection did not take, though they run on the device; after an empty line the
/// plan, if there is one. Without the log.
std::string to_text(const Report& report);

std::string to_json(const Report& report);

}  // namespace mla_dtype::tool
