// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <mla_dtype/cost_model.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "facts/data_types.h"
#include "words/invalid_argument.h"

namespace mla_dtype {
namespace {

// The time for a token grows linearly with the ISL, so curves are interpolated as such times. That
// is exact for a device of constant throughputs; of another, what slows BF16 and FP8 down alike
// does not move their break-even.

constexpr double largest_number = 1e9;  // what is computed from such numbers stays finite
constexpr double smallest_number = 1e-9;
constexpr std::int64_t longest_isl = 1'000'000'000'000'000;  // exact in a double

void check_number(const std::string& field, double value) {
  // NaN is in no range.
  if (!(value >= smallest_number && value <= largest_number)) {
    detail::throw_invalid_argument(field, fmt::to_string(value), "1e-9 to 1e9");
  }
}

void check_curve(const PrefillCurve& curve) {
  if (curve.size() < 2) {
    detail::throw_invalid_argument("curve", fmt::format("of {} points", curve.size()),
                                   "2 points and more");
  }
  for (std::size_t i = 0; i < curve.size(); ++i) {
    const PrefillTiming& point = curve[i];
    const auto field = [&](const char* name) { return fmt::format("curve[{}].{}", i, name); };
    const std::int64_t previous = i == 0 ? 0 : curve[i - 1].isl;
    if (point.isl <= previous || point.isl > static_cast<std::int64_t>(largest_number)) {
      detail::throw_invalid_argument(field("isl"), fmt::to_string(point.isl),
                                     "1 to 1000000000, in ascending order");
    }
    check_number(field("bf16_ms"), point.bf16_ms);
    check_number(field("fp8_ms"), point.fp8_ms);
  }
}

void check_model(const PrefillCostModel& model) {
  detail::check_dimensions(model.dimensions);
  const auto* const costs = std::get_if<PrefillThroughput>(&model.costs);
  if (costs == nullptr) return check_curve(std::get<PrefillCurve>(model.costs));
  check_number("bf16_tflops", costs->bf16_tflops);
  check_number("fp8_tflops", costs->fp8_tflops);
  check_number("quantize_ns", costs->quantize_ns);
}

// Elements of a head: those that are multiplied and added for a query and a key, and as many are
// cast for a token of the context, its key and value.
double pair_size(const MlaDimensions& dimensions) {
  return static_cast<double>(dimensions.qk_nope_head_dim) + dimensions.qk_rope_head_dim +
         dimensions.v_head_dim;
}

// The latter as a share of what is cast of a new token: of its query, too.
double context_share(const MlaDimensions& dimensions) {
  const double pair = pair_size(dimensions);
  return pair / (pair + dimensions.qk_nope_head_dim + dimensions.qk_rope_head_dim);
}

// How long a prefill in the model's dimensions is like one of ISL 1 in these.
double isl_scale(const PrefillCostModel& model, const MlaDimensions& dimensions) {
  if (dimensions == model.dimensions) return 1;  // with no rounding
  return context_share(dimensions) / context_share(model.dimensions);
}

double isl_of(const PrefillTiming& point) { return static_cast<double>(point.isl); }

// What a token costs more in FP8, in ms.
double cost_of_token(const PrefillTiming& point) {
  return (point.fp8_ms - point.bf16_ms) / isl_of(point);
}

// What quantizing takes for a token, as a share of what BF16 attention takes for one of ISL 1.
double quantize_share(const PrefillThroughput& costs, const MlaDimensions& dimensions) {
  // 10^12 FLOP/s are 10^3 FLOP/ns; a token of a causal prefill has ISL / 2 pairs, of 2 FLOP each.
  return costs.quantize_ns * costs.bf16_tflops * 1e3 / pair_size(dimensions);
}

// FP8's time over BF16's for the dimensions of the model.
double time_ratio(const PrefillCostModel& model, double isl) {
  if (const auto* const costs = std::get_if<PrefillThroughput>(&model.costs)) {
    return costs->bf16_tflops / costs->fp8_tflops + quantize_share(*costs, model.dimensions) / isl;
  }
  const auto& curve = std::get<PrefillCurve>(model.costs);
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
std::optional<double> crossing(const PrefillCostModel& model) {
  if (const auto* const costs = std::get_if<PrefillThroughput>(&model.costs)) {
    const double limit = costs->bf16_tflops / costs->fp8_tflops;
    if (limit >= 1) return std::nullopt;
    return quantize_share(*costs, model.dimensions) / (1 - limit);
  }
  const auto& curve = std::get<PrefillCurve>(model.costs);
  const auto slower = std::find_if(curve.rbegin(), curve.rend(),
                                   [](const auto& point) { return cost_of_token(point) >= 0; });
  if (slower == curve.rbegin()) return std::nullopt;
  if (slower == curve.rend()) return isl_of(curve.front()) - 1;
  const PrefillTiming& a = *slower;
  const PrefillTiming& b = *slower.base();
  const double share = cost_of_token(a) / (cost_of_token(a) - cost_of_token(b));
  return isl_of(a) + share * (isl_of(b) - isl_of(a));
}

// Of a prefill in one piece or in several: `pairs` of a query and a key, counted twice; tokens to
// cast as queries, keys and values; tokens to cast as keys and values. Without context, in the
// dimensions of the model, a prefill of some ISL has as much attention for each element that is
// cast: so it has the same ratio.
double speedup(const PrefillCostModel& model, const MlaDimensions& dimensions, double pairs,
               double query_tokens, double context_tokens) {
  const double isl = isl_scale(model, dimensions) * pairs /
                     (query_tokens + context_share(dimensions) * context_tokens);
  return 1 / time_ratio(model, isl);
}

}  // namespace

double predicted_prefill_speedup(const PrefillCostModel& model, std::int64_t query_tokens,
                                 std::int64_t context_tokens, const MlaDimensions& dimensions) {
  check_model(model);
  detail::check_dimensions(dimensions);
  detail::check_positive("query_tokens", query_tokens);
  detail::check_not_negative("context_tokens", context_tokens);
  const auto query = static_cast<double>(query_tokens);
  const auto context = static_cast<double>(context_tokens);
  return speedup(model, dimensions, query * (query + 2 * context), query, context);
}

std::optional<std::int64_t> break_even_isl(const PrefillCostModel& model,
                                           const MlaDimensions& dimensions) {
  EngineConfig config;
  config.mla_dimensions = dimensions;
  const PrefillQuerySelector selector(model, config, DataType::bfloat16, DataType::float8_e4m3fn);
  const auto is_faster = [&](std::int64_t isl) { return selector.gain(isl, 0) > 0; };
  std::int64_t slower = 0;
  std::int64_t faster = longest_isl;
  if (!is_faster(faster)) return std::nullopt;
  while (slower + 1 < faster) {
    const std::int64_t middle = (slower + faster) / 2;
    (is_faster(middle) ? faster : slower) = middle;
  }
  return faster;
}

std::function<double(const EngineConfig& config, std::int64_t isl)> make_prefill_speedup_predictor(
    PrefillCostModel model) {
  check_model(model);
  return [model = std::move(model)](const EngineConfig& config, std::int64_t isl) {
    detail::check_positive("isl", isl);
    detail::check_config(config);
    const auto tokens = static_cast<double>(isl);
    double context = 0;
    const SchedulerConfig& scheduler = config.scheduler_config;
    if (scheduler.enable_chunked_prefill && scheduler.max_num_batched_tokens) {
      // The context of a chunk is all chunks before it.
      const auto chunk = static_cast<double>(*scheduler.max_num_batched_tokens);
      const double chunks = std::ceil(tokens / chunk);
      context = chunk * chunks * (chunks - 1) / 2;
    }
    return speedup(model, config.mla_dimensions, tokens * tokens, tokens, context);
  };
}

PrefillQuerySelector::PrefillQuerySelector(const PrefillCostModel& model,
                                           const EngineConfig& config, DataType model_dtype,
                                           DataType determined)
    : model_dtype_(model_dtype), fp8_(determined) {
  check_model(model);
  detail::check_dimensions(config.mla_dimensions);
  detail::check_model_data_type(model_dtype);
  if (determined != model_dtype && !(detail::is_data_type(determined) && is_fp8(determined))) {
    detail::throw_bad_data_type("determined", determined, "the model dtype, and FP8 types");
  }
  if (determined == model_dtype) return;
  std::optional<double> equivalent = crossing(model);
  if (config.attention_config.prefill_query_mode == PrefillQueryMode::required) {
    model_dtype_ = determined;
    equivalent = 0;
  }
  if (!equivalent) return;
  attention_ = isl_scale(model, config.mla_dimensions);
  query_cost_ = *equivalent;
  context_cost_ = *equivalent * context_share(config.mla_dimensions);
}

}  // namespace mla_dtype
