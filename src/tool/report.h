// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/attention_plan.h>

#include "break_even.h"
#include "json_output.h"
#include "question.h"

namespace mla_dtype::tool {

/// As spdlog spells it.
inline const char* name_of(LogLevel level) { return level == LogLevel::info ? "info" : "warning"; }

/// A decision, and what goes with it.
struct Report {
  Question question;
  PrefillQueryExplanation explanation;
  PrefillBackendSelection selection;
  std::string decode_backend;           ///< empty: none runs
  std::optional<BreakEven> break_even;  ///< of the model that the prediction comes from, if any
  std::vector<LogRecord> log;
  std::optional<AttentionPlan> plan;  ///< none where it is refused
  std::string
      refusal;  ///< why: required, and not possible; or no kernel can run it; empty: it is not
  std::vector<Remedy> run_remedies;  ///< each would let it run
  /// What the same rows give where the backend is selected jointly with the flag, which this engine
  /// does not do; none where it is the same.
  std::optional<PrefillQueryExplanation> joint;
  /// For each of the explanation's remedies, then of `run_remedies`, the whole command with it;
  /// empty: there is none.
  std::vector<std::string> commands;
};

/// The explanation, with its prediction the break-even; then what speaks against the backends that
/// an automatic selection did not take, though they run on the device; what it is about; after an
/// empty line the plan, if there is one. Without the log.
std::string to_text(const Report& report);

OrderedJson to_json(const Report& report);

/// The device, as all JSON has it.
OrderedJson device_json(const Question& question);

}  // namespace mla_dtype::tool
