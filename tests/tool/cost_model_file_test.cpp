// SPDX-License-Identifier: Apache-2.0

// Without it, a cost model's file could be read wrong, or be read with a mistake in it.

#include <gmock/gmock.h>
#include <mla_dtype/mla_dtype.h>

#include <string>
#include <utility>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

// What a prediction for 1000 tokens is made of, seen in JSON.
Json prediction_with(const std::string& cost_model, const std::string& arguments = {}) {
  return parse(run_with_cost_model(cost_model,
                                   fp8_kv_cache + "--json --expected-isl 1000 " + arguments))
      .at("prediction");
}

void expect_same(const Json& prediction, const PrefillCostModel& model,
                 const MlaDimensions& dimensions = {}) {
  EXPECT_EQ(prediction.at("speedup"), predicted_prefill_speedup(model, 1000, 0, dimensions));
  const auto break_even = break_even_isl(model, dimensions);
  EXPECT_EQ(prediction.at("break_even_isl"), break_even ? Json(*break_even) : Json());
}

TEST(Tool, ReadsACostModel) {
  const std::string numbers = R"("bf16_tflops": 550, "fp8_tflops": 780.5, "quantize_ns": 0.5)";
  const std::string curve = R"("curve": [{"isl": 512, "bf16_ms": 1, "fp8_ms": 1.5},
                                         {"isl": 4096, "fp8_ms": 20.25, "bf16_ms": 24}])";
  const PrefillThroughput throughput{550, 780.5, 0.5};
  const PrefillCurve timings{{512, 1, 1.5}, {4096, 24, 20.25}};
  const std::string dimensions = R"(, "dimensions": {"qk_nope_head_dim": 192, "v_head_dim": 256})";
  const MlaDimensions wide{192, 64, 256};
  expect_same(prediction_with("{" + numbers + "}"), {throughput});
  expect_same(prediction_with("{" + curve + "}"), {timings});
  expect_same(prediction_with("{" + numbers + dimensions + "}"), {throughput, wide});
  expect_same(prediction_with("{" + curve + dimensions + "}"), {timings, wide});
  expect_same(prediction_with("{" + curve + "}", "--qk-nope-head-dim 192 --v-head-dim 256"),
              {timings}, wide);
  // Null is as good as nothing.
  expect_same(prediction_with("{" + numbers + R"(, "curve": null, "dimensions": null})"),
              {throughput});
  expect_same(prediction_with(R"({"bf16_tflops": 2, "fp8_tflops": 1, "quantize_ns": 1})"),
              {PrefillThroughput{2, 1, 1}});

  EXPECT_EQ(prediction_with("{" + numbers + R"(, "source": "a B200\n\u00b5"})").at("source"),
            "a B200\n\u00b5");
  EXPECT_THAT(prediction_with("{" + numbers + "}").at("source").get<std::string>(),
              HasSubstr(temporary_path()));
  EXPECT_THAT(run_with_cost_model("{" + numbers + R"(, "source": "a B200\n\u001b[31m"})",
                                  fp8_kv_cache + "--expected-isl 1000")
                  .out,
              HasSubstr("\ncost model: a B200??[31m\n"));
}

TEST(Tool, ACostModelThatGainsNothingHasNoBreakEven) {
  const std::string slow = R"({"bf16_tflops": 2, "fp8_tflops": 1, "quantize_ns": 1})";
  EXPECT_THAT(run_with_cost_model(slow, fp8_kv_cache + "--expected-isl 1000").out,
              HasSubstr('\n' + break_even_line(std::nullopt) + '\n'));
  const std::string fast = R"({"bf16_tflops": 1, "fp8_tflops": 2, "quantize_ns": 1e-9})";
  EXPECT_THAT(run_with_cost_model(fast, fp8_kv_cache + "--expected-isl 1000").out,
              HasSubstr("\nbreak-even: FP8 prefill attention is predicted to be faster at every "
                        "ISL\n"));
}

TEST(Tool, ACostModelThatCannotBeMeantIsAnErrorThatNamesFileAndField) {
  const auto expect = [](const Result& result, const std::string& names) {
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, MatchesRegex("mla-dtype: --cost-model: [ -~]*: " + names + "[ -~]*\n"));
  };
  const std::string curve = R"({"curve": [{"isl": 8, "bf16_ms": 1, "fp8_ms": 1}, )";
  for (const auto& [model, names] : {
           std::pair<std::string, std::string>("{", "not JSON: "),
           {"[]", "an array is not accepted; accepted: a JSON object"},
           {"{}", "bf16_tflops, curve: none is not accepted; accepted: either bf16_tflops, "},
           {R"({"source": "x"})", "bf16_tflops, curve: none is not accepted"},
           {R"({"bf16_tflops": 1, "fp8_tflops": 1, "quantize_ns": 1, "curve": []})",
            "quantize_ns with curve is not accepted; accepted: either "},
           {R"({"bf16_tflops": 1, "curve": []})", "bf16_tflops with curve is not accepted"},
           {R"({"bf16_tflop": 1})", "\"bf16_tflop\" is not accepted; accepted: bf16_tflops, fp8_"},
           {R"({"bf16_tflops": 1, "fp8_tflops": 1})", "quantize_ns: null is not accepted"},
           {R"({"bf16_tflops": "1"})", "bf16_tflops: \"1\" is not accepted; accepted: a number"},
           {R"({"bf16_tflops": 1, "fp8_tflops": true})", "fp8_tflops: true is not accepted"},
           {R"({"bf16_tflops": NaN})", "not JSON: "},
           {R"({"bf16_tflops": 1, "fp8_tflops": 1, "quantize_ns": 1, "source": 1})", "source: 1 "},
           {R"({"bf16_tflops": 1, "fp8_tflops": 1, "quantize_ns": 1, "dimensions": []})",
            "dimensions: an array is not accepted; accepted: an object"},
           {R"({"bf16_tflops": 1, "fp8_tflops": 1, "quantize_ns": 1, "dimensions": {"v": 1}})",
            "dimensions.\"v\" is not accepted; accepted: qk_nope_head_dim, "},
           {R"({"bf16_tflops": 1, "fp8_tflops": 1, "quantize_ns": 1,
                "dimensions": {"v_head_dim": 0}})",
            "dimensions.v_head_dim: 0 is not accepted; accepted: a whole number from 1 to "},
           {R"({"curve": {"isl": 8}})", "curve: an object is not accepted; accepted: an array"},
           {curve + "[16, 1, 1]]}", "curve.1.: an array is not accepted; accepted: an object"},
           {curve + R"({"isl": 16, "bf16_ms": 1}]})", "curve.1..fp8_ms: null is not accepted"},
           {curve + R"({"isl": 16, "bf16_ms": [1], "fp8_ms": 1}]})", "curve.1..bf16_ms: an array"},
           {curve + R"({"bf16_ms": 1, "fp8_ms": 1}]})", "curve.1..isl: null is not accepted"},
           {curve + R"({"isl": 16.5, "bf16_ms": 1, "fp8_ms": 1}]})", "curve.1..isl: 16.5 is not"},
           {curve + R"({"isl": 16, "bf16_ms": 1, "fp8_ms": 1, "fp16_ms": 1}]})",
            "curve.1..\"fp16_ms\" is not accepted; accepted: isl, bf16_ms, fp8_ms"},
           // What the library finds.
           {R"({"bf16_tflops": 0, "fp8_tflops": 1, "quantize_ns": 1})", "bf16_tflops: 0 is not"},
           {R"({"bf16_tflops": 1, "fp8_tflops": 1, "quantize_ns": -1})", "quantize_ns: -1 is not"},
           {R"({"curve": []})", "curve: "},
           {R"({"curve": [{"isl": 8, "bf16_ms": 1, "fp8_ms": 1}]})", "curve: "},
           {curve + R"({"isl": 8, "bf16_ms": 1, "fp8_ms": 1}]})", "curve.1..isl: 8 is not"},
           {curve + R"({"isl": 16, "bf16_ms": 1, "fp8_ms": 0}]})", "curve.1..fp8_ms: 0 is not"},
       }) {
    SCOPED_TRACE(model);
    expect(run_with_cost_model(model, "--device 9.0 --expected-isl 1000"), names);
  }
  expect(run("--expected-isl 1000 --cost-model /no/such/file"), "cannot be read");
  expect(run("--expected-isl 1000 --cost-model ''"), "cannot be read");
}

}  // namespace
}  // namespace mla_dtype::tool
