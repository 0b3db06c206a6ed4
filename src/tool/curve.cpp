// SPDX-License-Identifier: Apache-2.0
#include "curve.h"

#include <fmt/format.h>

#include <set>

namespace mla_dtype::tool {

Curve make_curve(const PrefillCostModel& model, const EngineConfig& config,
                 std::int64_t context_tokens) {
  const MlaDimensions& dimensions = config.mla_dimensions;
  std::set<std::int64_t> isls;
  for (std::int64_t isl = 256; isl <= 131072; isl *= 2) isls.insert(isl);
  if (config.attention_config.expected_isl) isls.insert(*config.attention_config.expected_isl);
  Curve curve{dimensions, context_tokens, {}, make_break_even(model, config)};
  for (const std::int64_t isl : isls) {
    curve.points.push_back({isl, predicted_prefill_speedup(model, isl, context_tokens, dimensions,
                                                           config.num_attention_heads)});
  }
  return curve;
}

std::string to_text(const Curve& curve) {
  const std::size_t width = fmt::formatted_size("{}", curve.points.back().isl);
  std::string text = fmt::format("{:>{}}  speedup\n", "ISL", width);
  for (const auto& [isl, speedup] : curve.points) {
    text += fmt::format("{:>{}}  {:>6.2f}x\n", isl, width, speedup);
  }
  text += '\n';
  if (curve.context_tokens != 0) {
    text +=
        fmt::format("context: {} tokens before those of each ISL; the break-even is without it\n",
                    curve.context_tokens);
  }
  append_break_even(text, curve.break_even);
  return text;
}

OrderedJson to_json(const Curve& curve) {
  OrderedJson points = OrderedJson::array();
  for (const auto& [isl, speedup] : curve.points) {
    points.push_back({{"isl", isl}, {"speedup", speedup}});
  }
  return {
      {"schema", schema},
      {"source", curve.break_even.source},
      {"mla_dimensions", to_json(curve.dimensions)},
      {"context_tokens", curve.context_tokens},
      {"points", std::move(points)},
      {"break_even_isl", or_null(curve.break_even.isl)},
      {"longest_isl", curve.break_even.longest_isl != 0 ? OrderedJson(curve.break_even.longest_isl)
                                                        : OrderedJson()}};
}

}  // namespace mla_dtype::tool
