// SPDX-License-Identifier: Apache-2.0
#include "break_even.h"

#include <fmt/format.h>

#include "message.h"

namespace mla_dtype::tool {

BreakEven make_break_even(const PrefillCostModel& model, const EngineConfig& config) {
  return {break_even_isl(model, config.mla_dimensions, config.num_attention_heads), model.source,
          model.longest_isl};
}

void append_break_even(std::string& text, const BreakEven& break_even) {
  text += "break-even: ";
  if (!break_even.isl) {
    text += "none: there is no ISL from which on FP8 prefill attention is predicted to be faster\n";
  } else if (*break_even.isl == 1) {
    text += "FP8 prefill attention is predicted to be faster at every ISL\n";
  } else {
    text += fmt::format(
        "FP8 prefill attention is predicted to be faster from ISL {} on; below, quantizing "
        "queries, keys and values may cost more than it gains\n",
        *break_even.isl);
  }
  text += fmt::format("cost model: {}\n", in_plain(break_even.source));
  if (break_even.longest_isl != 0) {
    text +=
        fmt::format("measured up to ISL {}; beyond, it is extrapolated\n", break_even.longest_isl);
  }
}

}  // namespace mla_dtype::tool
