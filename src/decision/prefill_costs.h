// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/cost_model.h>

namespace mla_dtype::detail {

/// A cost model, which is taken to be checked, for the attention of one model.
struct PrefillCosts {
  const PrefillCostModel& model;
  const MlaDimensions& dimensions;
  std::int64_t heads;
};

/// Of a prefill in one piece or in several: `pairs` of a query and a key, counted twice; tokens to
/// cast as queries, keys and values; tokens to cast as keys and values.
double prefill_speedup(const PrefillCosts& costs, double pairs, double query_tokens,
                       double context_tokens);

/// How much speaks for FP8: what it saves for two pairs of tokens (nothing where it is never
/// faster), and what it costs for a new token, and for one of the context.
struct PrefillGain {
  double attention, query_cost, context_cost;
};

PrefillGain prefill_gain(const PrefillCosts& costs);

}  // namespace mla_dtype::detail
