// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/cost_model.h>

#include <cmath>

#include "decision/prefill_costs.h"
#include "facts/data_types.h"
#include "words/form.h"
#include "words/invalid_argument.h"

namespace mla_dtype {
namespace {

constexpr double largest_number = 1e9;  // what is computed from such numbers stays finite
constexpr double smallest_number = 1e-9;

void check_number(const std::string& field, double value) {
  // NaN is in no range.
  if (!(value >= smallest_number && value <= largest_number)) {
    detail::throw_invalid_argument(field, detail::to_text(value), "1e-9 to 1e9");
  }
}

void check_curve(const PrefillCurve& curve) {
  if (curve.size() < 2) {
    detail::throw_invalid_argument("curve", detail::filled("of {} points", curve.size()),
                                   "2 points and more");
  }
  for (std::size_t i = 0; i < curve.size(); ++i) {
    const PrefillTiming& point = curve[i];
    const auto field = [&](const char* name) { return detail::filled("curve[{}].{}", i, name); };
    const std::int64_t previous = i == 0 ? 0 : curve[i - 1].isl;
    if (point.isl <= previous || point.isl > static_cast<std::int64_t>(largest_number)) {
      detail::throw_invalid_argument(field("isl"), detail::to_text(point.isl),
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
  if (costs->quantize_token_ns != 0) check_number("quantize_token_ns", costs->quantize_token_ns);
  if (costs->other_ns != 0) check_number("other_ns", costs->other_ns);
  if (costs->other_token_ns != 0) check_number("other_token_ns", costs->other_token_ns);
}

}  // namespace

double predicted_prefill_speedup(const PrefillCostModel& model, std::int64_t query_tokens,
                                 std::int64_t context_tokens, const MlaDimensions& dimensions,
                                 std::int64_t num_attention_heads) {
  check_model(model);
  detail::check_dimensions(dimensions);
  detail::check_at_least(1, "query_tokens", query_tokens);
  detail::check_at_least(0, "context_tokens", context_tokens);
  detail::check_size("num_attention_heads", num_attention_heads);
  const auto query = static_cast<double>(query_tokens);
  const auto context = static_cast<double>(context_tokens);
  return detail::prefill_speedup({model, dimensions, num_attention_heads},
                                 query * (query + 2 * context), query, context);
}

std::optional<std::int64_t> break_even_isl(const PrefillCostModel& model,
                                           const MlaDimensions& dimensions,
                                           std::int64_t num_attention_heads) {
  EngineConfig config;
  config.mla_dimensions = dimensions;
  config.num_attention_heads = num_attention_heads;
  const PrefillQuerySelector selector(model, config, DataType::bfloat16, DataType::float8_e4m3fn);
  // By trying out, since a selector rounds.
  std::int64_t slower = 0;
  std::int64_t faster = 1'000'000'000'000'000;  // exact in a double
  if (selector.gain(faster, 0) <= 0) return std::nullopt;
  while (slower + 1 < faster) {
    const std::int64_t middle = (slower + faster) / 2;
    (selector.gain(middle, 0) > 0 ? faster : slower) = middle;
  }
  return faster;
}

double estimated_cast_ns(double memory_gb_per_s) {
  check_number("memory_gb_per_s", memory_gb_per_s);
  constexpr double bytes = 1536;         // read in 16 bits and written in 8, with the scales
  constexpr double share_reached = 0.8;  // 75 to 87 % were
  return bytes / (share_reached * memory_gb_per_s);
}

std::function<double(const EngineConfig& config, std::int64_t isl)> make_prefill_speedup_predictor(
    PrefillCostModel model) {
  check_model(model);
  return [model = std::move(model)](const EngineConfig& config, std::int64_t isl) {
    detail::check_at_least(1, "isl", isl);
    detail::check_config(config);
    const auto tokens = static_cast<double>(isl);
    const SchedulerConfig& scheduler = config.scheduler_config;
    const auto chunk = static_cast<double>(
        scheduler.enable_chunked_prefill ? scheduler.max_num_batched_tokens.value_or(isl) : isl);
    const double chunks = std::ceil(tokens / chunk);
    // The context of a chunk is all chunks before it.
    const double context = chunk * chunks * (chunks - 1) / 2;
    return detail::prefill_speedup({model, config.mla_dimensions, config.num_attention_heads},
                                   tokens * tokens, tokens, context);
  };
}

PrefillQuerySelector::PrefillQuerySelector(const PrefillCostModel& model,
                                           const EngineConfig& config, DataType model_dtype,
                                           DataType determined)
    : model_dtype_(model_dtype), fp8_(determined) {
  check_model(model);
  detail::check_dimensions(config.mla_dimensions);
  detail::check_size("num_attention_heads", config.num_attention_heads);
  detail::check_model_data_type(model_dtype);
  if (determined == model_dtype) return;
  if (!detail::is_data_type(determined) || !is_fp8(determined)) {
    detail::throw_bad_data_type("determined", determined, "the model dtype, and FP8 types");
  }
  auto gain = detail::prefill_gain({model, config.mla_dimensions, config.num_attention_heads});
  if (config.attention_config.prefill_query_mode == PrefillQueryMode::required) {
    model_dtype_ = determined;
    gain = {1, 0, 0};
  }
  attention_ = gain.attention;
  query_cost_ = gain.query_cost;
  context_cost_ = gain.context_cost;
}

}  // namespace mla_dtype
