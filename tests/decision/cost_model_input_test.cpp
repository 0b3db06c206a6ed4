// SPDX-License-Identifier: Apache-2.0

// Without this a cost model or a prefill that cannot be meant could be answered, or one at the ends
// of what is accepted get no number, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/cost_model.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "support/cost_models.h"
#include "support/data_types.h"
#include "support/dimensions.h"
#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using testing::bf16;
using testing::deepseek;
using testing::e4m3;
using testing::expect_invalid;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::three_numbers;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

// Every function that takes a model refuses a bad one.
template <class Matcher>
void expect_refused(const PrefillCostModel& model, const Matcher& text) {
  expect_invalid([&] { return predicted_prefill_speedup(model, 1); }, text);
  expect_invalid([&] { return break_even_isl(model); }, text);
  expect_invalid([&] { return make_prefill_speedup_predictor(model); }, text);
  expect_invalid([&] { PrefillQuerySelector(model, EngineConfig(), bf16, bf16); }, text);
}

TEST(BadCostModel, Numbers) {
  for (const double bad :
       {nan, inf, -inf, 0.0, -1.0, 1e-10, 1e10, std::numeric_limits<double>::denorm_min()}) {
    const auto expect = [](const PrefillCostModel& model, const std::string& field) {
      expect_refused(model, AllOf(StartsWith(field + ": "),
                                  HasSubstr("is not accepted; accepted: 1e-9 to 1e9")));
    };
    expect({PrefillThroughput{bad, 1, 1}}, "bf16_tflops");
    expect({PrefillThroughput{1, bad, 1}}, "fp8_tflops");
    expect({PrefillThroughput{1, 1, bad}}, "quantize_ns");
    if (bad != 0) {
      expect({PrefillThroughput{1, 1, 1, bad}}, "quantize_token_ns");
      expect({PrefillThroughput{1, 1, 1, 0, bad}}, "other_ns");
      expect({PrefillThroughput{1, 1, 1, 0, 0, bad}}, "other_token_ns");
    }
    expect({PrefillCurve{{1, bad, 1}, {2, 1, 1}}}, "curve[0].bf16_ms");
    expect({PrefillCurve{{1, 1, 1}, {2, 1, bad}}}, "curve[1].fp8_ms");
  }
}

TEST(BadCostModel, Points) {
  expect_refused({PrefillCurve{}}, StartsWith("curve: of 0 points is not accepted"));
  expect_refused({PrefillCurve{{1024, 1, 1}}}, StartsWith("curve: of 1 points is not accepted"));
  expect_refused({PrefillCurve{{0, 1, 1}, {1, 1, 1}}}, StartsWith("curve[0].isl: 0 is not"));
  expect_refused({PrefillCurve{{-5, 1, 1}, {1, 1, 1}}}, StartsWith("curve[0].isl: -5 is not"));
  expect_refused({PrefillCurve{{2, 1, 1}, {1, 1, 1}}}, StartsWith("curve[1].isl: 1 is not"));
  expect_refused({PrefillCurve{{2, 1, 1}, {2, 1, 1}}},
                 StartsWith("curve[1].isl: 2 is not accepted; accepted: 1 to 1000000000, in "
                            "ascending order"));
  expect_refused({PrefillCurve{{2, 1, 1}, {1'000'000'001, 1, 1}}}, StartsWith("curve[1].isl"));
}

TEST(BadCostModel, Dimensions) {
  PrefillCostModel model = three_numbers;
  model.dimensions.v_head_dim = 0;
  expect_refused(model, StartsWith("v_head_dim: 0 is not accepted"));
  EngineConfig config;
  config.mla_dimensions.qk_rope_head_dim = -1;
  const auto refused = StartsWith("qk_rope_head_dim: -1 is not accepted");
  expect_invalid(
      [&] { return predicted_prefill_speedup(three_numbers, 1, 0, config.mla_dimensions); },
      refused);
  expect_invalid([&] { return break_even_isl(three_numbers, config.mla_dimensions); }, refused);
  expect_invalid([&] { return make_prefill_speedup_predictor(three_numbers)(config, 1); }, refused);
  expect_invalid([&] { PrefillQuerySelector(three_numbers, config, bf16, e4m3); }, refused);
}

TEST(BadPrefill, IsRefused) {
  expect_invalid([] { return predicted_prefill_speedup(three_numbers, 0); },
                 StartsWith("query_tokens: 0 is not accepted"));
  expect_invalid([] { return predicted_prefill_speedup(three_numbers, -1); },
                 StartsWith("query_tokens: -1 is not accepted"));
  const auto no_heads = StartsWith("num_attention_heads: 0 is not accepted");
  expect_invalid([] { return predicted_prefill_speedup(three_numbers, 1, 0, {}, 0); }, no_heads);
  expect_invalid([] { return break_even_isl(three_numbers, {}, 0); }, no_heads);
  EngineConfig config;
  config.num_attention_heads = 0;
  expect_invalid([&] { PrefillQuerySelector(three_numbers, config, bf16, e4m3); }, no_heads);
  expect_invalid([] { return predicted_prefill_speedup(three_numbers, 1, -1); },
                 StartsWith("context_tokens: -1 is not accepted; accepted: 0 and above"));
  expect_invalid([] { return make_prefill_speedup_predictor(three_numbers)(EngineConfig(), 0); },
                 StartsWith("isl: 0 is not accepted"));
}

// Whatever is accepted is answered with a number.
TEST(CostModel, IsFiniteAtTheEndsOfWhatIsAccepted) {
  constexpr double low = 1e-9;
  constexpr double high = 1e9;
  constexpr auto longest = std::numeric_limits<std::int64_t>::max();
  constexpr auto largest = std::numeric_limits<int>::max();
  std::vector<PrefillCostModel> models;
  for (const double a : {low, high}) {
    for (const double b : {low, high}) {
      for (const double c : {low, high}) {
        models.push_back({PrefillThroughput{a, b, c}});
        models.push_back({PrefillCurve{{1, a, b}, {2, c, a}, {3, b, a}}});
        models.push_back({PrefillCurve{{999'999'999, a, b}, {1'000'000'000, b, c}}});
      }
    }
  }
  for (const PrefillCostModel& model : models) {
    for (const MlaDimensions& dimensions :
         {deepseek, MlaDimensions{largest, largest, largest}, MlaDimensions{1, 1, largest}}) {
      EngineConfig config;
      config.mla_dimensions = dimensions;
      const PrefillQuerySelector selector(model, config, bf16, e4m3);
      for (const std::int64_t query : {std::int64_t{1}, longest}) {
        for (const std::int64_t context : {std::int64_t{0}, longest}) {
          const double speedup = predicted_prefill_speedup(model, query, context, dimensions);
          EXPECT_TRUE(std::isfinite(speedup));
          EXPECT_GT(speedup, 0);
          EXPECT_FALSE(std::isnan(selector.gain(query, context)));
        }
      }
      static_cast<void>(break_even_isl(model, dimensions));
    }
  }
}

}  // namespace
}  // namespace mla_dtype
