// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/cost_model.h>

namespace mla_dtype::tool {

/// Reads a cost model, which the library accepts, from a JSON object: `bf16_tflops`, `fp8_tflops`
/// and `quantize_ns` (and the further numbers of PrefillThroughput), or `curve`, an array of
/// objects of `isl`, `bf16_ms` and `fp8_ms`. Either with `dimensions`, an object of dimensions as
/// config.json names them, and with `source`; without it the source is the path. What cannot be
/// meant: std::invalid_argument, naming the field.
PrefillCostModel read_cost_model(const std::string& path);

}  // namespace mla_dtype::tool
