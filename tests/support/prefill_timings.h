// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace mla_dtype::testing {

/// A measured prefill: a batch of equal sequences without context.
struct Timing {
  int heads = 0, batch = 0;
  std::int64_t isl = 0;
  double bf16_ms = 0, fp8_ms = 0;
};

/// What a policy loses against always choosing the faster of the two: as a factor, in the geometric
/// mean and in the worst row. `chooses_fp8(row)`.
template <class Chooses>
std::pair<double, double> loss(const std::vector<Timing>& rows, Chooses chooses_fp8) {
  double logarithms = 0;
  double worst = 1;
  for (const Timing& row : rows) {
    const double time = chooses_fp8(row) ? row.fp8_ms : row.bf16_ms;
    const double factor = time / std::min(row.bf16_ms, row.fp8_ms);
    logarithms += std::log(factor);
    worst = std::max(worst, factor);
  }
  return {std::exp(logarithms / static_cast<double>(rows.size())), worst};
}

}  // namespace mla_dtype::testing
