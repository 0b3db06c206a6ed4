// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/cost_model.h>

namespace mla_dtype::tool {

/// A cost model, and what it says of a model's dimensions and heads.
struct BreakEven {
  std::optional<std::int64_t> isl;  ///< none: at no ISL is FP8 faster for good
  std::string source;
  std::int64_t longest_isl = 0;  ///< that was measured; 0: not known
};

BreakEven make_break_even(const PrefillCostModel& model, const EngineConfig& config);

/// As lines of a text.
void append_break_even(std::string& text, const BreakEven& break_even);

}  // namespace mla_dtype::tool
