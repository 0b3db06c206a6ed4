// SPDX-License-Identifier: Apache-2.0
#include "cost_model_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "json_input.h"

namespace mla_dtype::tool {
namespace {

// Nothing else is in a file that is made for the tool.
void check_keys(const Json& object, const std::string& where,
                const std::vector<std::string_view>& known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      reject(where + described(key), fmt::format("{}", fmt::join(known, ", ")));
    }
  }
}

double read_number(const Json& object, const std::string& where, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_number()) reject(where + name, value, "a number");
  return value;
}

PrefillTiming read_timing(const std::string& field, const Json& point) {
  if (!point.is_object()) reject(field, point, "an object");
  const std::string where = field + '.';
  check_keys(point, where, {"isl", "bf16_ms", "fp8_ms"});
  return {to_positive_integer(where + "isl", member(point, "isl")),
          read_number(point, where, "bf16_ms"), read_number(point, where, "fp8_ms")};
}

PrefillCurve read_curve(const Json& points) {
  if (!points.is_array()) reject("curve", points, "an array");
  PrefillCurve result;
  for (const Json& point : points) {
    result.push_back(read_timing(fmt::format("curve[{}]", result.size()), point));
  }
  return result;
}

// In whichever of the two forms they have.
std::variant<PrefillThroughput, PrefillCurve> read_costs(const Json& model) {
  constexpr std::string_view forms = "either bf16_tflops, fp8_tflops and quantize_ns, or curve";
  const Json& curve = member(model, "curve");
  std::string numbers;
  for (const char* const name : {"bf16_tflops", "fp8_tflops", "quantize_ns"}) {
    if (!member(model, name).is_null()) numbers = name;
  }
  if (numbers.empty() && curve.is_null()) reject("bf16_tflops, curve: none", forms);
  if (numbers.empty()) return read_curve(curve);
  if (!curve.is_null()) reject(numbers + " with curve", forms);
  const auto or_nothing = [&](const char* name) {
    return member(model, name).is_null() ? 0 : read_number(model, "", name);
  };
  return PrefillThroughput{read_number(model, "", "bf16_tflops"),
                           read_number(model, "", "fp8_tflops"),
                           read_number(model, "", "quantize_ns"),
                           or_nothing("quantize_token_ns"),
                           or_nothing("other_ns"),
                           or_nothing("other_token_ns")};
}

}  // namespace

PrefillCostModel read_cost_model(const std::string& path) {
  const Json model = read_object(path);
  check_keys(model, "",
             {"bf16_tflops", "fp8_tflops", "quantize_ns", "quantize_token_ns", "other_ns",
              "other_token_ns", "curve", "dimensions", "source"});
  PrefillCostModel result{read_costs(model)};
  const Json& dimensions = object_or_null(model, "dimensions");
  check_keys(dimensions, "dimensions.", {"qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"});
  read_dimensions(dimensions, "dimensions.", result.dimensions);
  result.source = string_member(model, "source");
  if (result.source.empty()) result.source = path;
  static_cast<void>(make_prefill_speedup_predictor(result));  // checks it
  return result;
}

}  // namespace mla_dtype::tool
