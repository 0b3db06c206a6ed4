// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "break_even.h"
#include "json_output.h"

namespace mla_dtype::tool {

/// What a cost model predicts, by ISL.
struct Curve {
  struct Point {
    std::int64_t isl;
    double speedup;
  };

  MlaDimensions dimensions;
  std::int64_t context_tokens;  ///< that come before those of each ISL
  std::vector<Point> points;    ///< in ascending order
  BreakEven break_even;         ///< without context
};

/// `config` gives the dimensions, and with its expected ISL one more point.
Curve make_curve(const PrefillCostModel& model, const EngineConfig& config,
                 std::int64_t context_tokens);

std::string to_text(const Curve& curve);
OrderedJson to_json(const Curve& curve);

}  // namespace mla_dtype::tool
