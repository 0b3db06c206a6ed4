// SPDX-License-Identifier: Apache-2.0
#include "decision/prefill_costs.h"

#include <algorithm>

namespace mla_dtype::detail {
namespace {

// The time for a token grows linearly with the ISL, so curves are interpolated as such times. That
// is exact for a device of constant throughputs; of another, what slows BF16 and FP8 down alike
// does not move their break-even.

// Elements of a head: those that are multiplied and added for a query and a key, and as many are
// cast for a token of the context, its key and value.
double pair_size(const MlaDimensions& dimensions) {
  return static_cast<double>(dimensions.qk_nope_head_dim + dimensions.qk_rope_head_dim +
                             dimensions.v_head_dim);
}

// The latter as a share of what is cast of a new token: of its query, too.
double context_share(const MlaDimensions& dimensions) {
  const auto query = static_cast<double>(dimensions.qk_nope_head_dim + dimensions.qk_rope_head_dim);
  return pair_size(dimensions) / (pair_size(dimensions) + query);
}

// How long a prefill in the model's dimensions is like one of ISL 1 in these.
double isl_scale(const PrefillCostModel& model, const MlaDimensions& dimensions) {
  return context_share(dimensions) / context_share(model.dimensions);
}

double isl_of(const PrefillTiming& point) { return static_cast<double>(point.isl); }

// What a token costs more in FP8, in ms.
double cost_of_token(const PrefillTiming& point) {
  return (point.fp8_ms - point.bf16_ms) / isl_of(point);
}

// What these ns, for a token and head and for a token, are of what BF16 attention takes for one of
// ISL 1.
double share(double head_ns, double token_ns, const PrefillThroughput& throughput,
             const PrefillCosts& costs) {
  // 10^12 FLOP/s are 10^3 FLOP/ns; a token of a causal prefill has ISL / 2 pairs, of 2 FLOP each.
  return (head_ns + token_ns / static_cast<double>(costs.heads)) * throughput.bf16_tflops * 1e3 /
         pair_size(costs.model.dimensions);
}

// FP8's time over BF16's for the dimensions of the model.
double time_ratio(const PrefillCosts& costs, double isl) {
  if (const auto* const numbers = std::get_if<PrefillThroughput>(&costs.model.costs)) {
    const double other = share(numbers->other_ns, numbers->other_token_ns, *numbers, costs) / isl;
    const double cast = share(numbers->quantize_ns, numbers->quantize_token_ns, *numbers, costs);
    const double fp8 = numbers->bf16_tflops / numbers->fp8_tflops + cast / isl;
    return (fp8 + other) / (1 + other);
  }
  const auto& curve = std::get<PrefillCurve>(costs.model.costs);
  const PrefillTiming& first = curve.front();  // before it: by a token and more
  if (isl <= isl_of(first) - 1) return std::max(first.fp8_ms / first.bf16_ms, 1.0);
  const auto right = std::find_if(curve.begin() + 1, curve.end() - 1,
                                  [&](const auto& point) { return isl <= isl_of(point); });
  const PrefillTiming& a = right[-1];
  const PrefillTiming& b = *right;
  const double share = std::clamp((isl - isl_of(a)) / (isl_of(b) - isl_of(a)), 0.0, 1.0);
  const auto time_of_token = [&](double PrefillTiming::*time) {
    return a.*time / isl_of(a) * (1 - share) + b.*time / isl_of(b) * share;
  };
  return time_of_token(&PrefillTiming::fp8_ms) / time_of_token(&PrefillTiming::bf16_ms);
}

// The ISL, for the dimensions of the model, beyond which the ratio is below 1.
std::optional<double> crossing(const PrefillCosts& costs) {
  if (const auto* const numbers = std::get_if<PrefillThroughput>(&costs.model.costs)) {
    const double limit = numbers->bf16_tflops / numbers->fp8_tflops;
    if (limit >= 1) return std::nullopt;
    return share(numbers->quantize_ns, numbers->quantize_token_ns, *numbers, costs) / (1 - limit);
  }
  const auto& curve = std::get<PrefillCurve>(costs.model.costs);
  const auto slower = std::find_if(curve.rbegin(), curve.rend(),
                                   [](const auto& point) { return cost_of_token(point) >= 0; });
  if (slower == curve.rbegin()) return std::nullopt;
  if (slower == curve.rend()) return isl_of(curve.front()) - 1;
  const PrefillTiming& a = *slower;
  const PrefillTiming& b = *slower.base();
  const double share = cost_of_token(a) / (cost_of_token(a) - cost_of_token(b));
  return isl_of(a) + share * (isl_of(b) - isl_of(a));
}

}  // namespace

// Without context, in the dimensions of the model, a prefill of some ISL has as much attention for
// each element that is cast: so it has the same ratio.
double prefill_speedup(const PrefillCosts& costs, double pairs, double query_tokens,
                       double context_tokens) {
  const double isl = isl_scale(costs.model, costs.dimensions) * pairs /
                     (query_tokens + context_share(costs.dimensions) * context_tokens);
  return 1 / time_ratio(costs, isl);
}

PrefillGain prefill_gain(const PrefillCosts& costs) {
  const std::optional<double> isl = crossing(costs);
  if (!isl) return {0, 1, 1};
  return {isl_scale(costs.model, costs.dimensions), *isl, *isl * context_share(costs.dimensions)};
}

}  // namespace mla_dtype::detail
