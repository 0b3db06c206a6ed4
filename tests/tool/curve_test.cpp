// SPDX-License-Identifier: Apache-2.0

// Without it, the curve could differ from what the library predicts, or its break-even from its
// points.

#include <gmock/gmock.h>
#include <mla_dtype/mla_dtype.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

// ISL and predicted speedup, as they are shown.
std::vector<std::pair<std::int64_t, double>> points(const Json& curve) {
  std::vector<std::pair<std::int64_t, double>> result;
  for (const Json& point : curve.at("points")) {
    EXPECT_THAT(keys(point), ElementsAre("isl", "speedup"));
    result.emplace_back(point.at("isl"), point.at("speedup"));
  }
  return result;
}

TEST(Tool, CurveShowsTheSpeedupByIsl) {
  const PrefillCostModel& model = h100_prefill_cost_model();
  for (const std::int64_t context : {0, 8192}) {
    const std::string arguments =
        "--curve --cost-model h100 --v-head-dim 256 --expected-isl 3000 --context-tokens " +
        std::to_string(context);
    SCOPED_TRACE(arguments);
    const MlaDimensions dimensions{128, 64, 256};
    const Json json = parse(run(arguments + " --json"));
    EXPECT_THAT(keys(json), ElementsAre("schema", "source", "mla_dimensions", "context_tokens",
                                        "points", "break_even_isl", "longest_isl"));
    EXPECT_EQ(json.at("longest_isl"), nullptr);
    EXPECT_EQ(json.at("schema"), 2);
    EXPECT_EQ(json.at("source"), model.source);
    EXPECT_EQ(json.at("mla_dimensions").dump(),
              R"({"qk_nope_head_dim":128,"qk_rope_head_dim":64,"v_head_dim":256})");
    EXPECT_EQ(json.at("context_tokens"), context);
    EXPECT_EQ(json.at("break_even_isl"), *break_even_isl(model, dimensions));

    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 0);
    std::string expected = "   ISL  speedup\n";
    std::vector<std::int64_t> isls;
    for (const auto& [isl, speedup] : points(json)) {
      isls.push_back(isl);
      EXPECT_EQ(speedup, predicted_prefill_speedup(model, isl, context, dimensions));
      char row[64];
      std::snprintf(row, sizeof row, "%6d  %6.2fx\n", static_cast<int>(isl), speedup);
      expected += row;
    }
    EXPECT_THAT(isls,
                ElementsAre(256, 512, 1024, 2048, 3000, 4096, 8192, 16384, 32768, 65536, 131072));
    expected += '\n';
    if (context != 0) {
      expected += "context: 8192 tokens before those of each ISL; the break-even is without it\n";
    }
    expected +=
        break_even_line(break_even_isl(model, dimensions)) + "\ncost model: " + model.source + '\n';
    EXPECT_EQ(result.out, expected);
  }
}

// Of a rank of eight, too.
TEST(Tool, CurveOfWhatWasMeasuredWithTwoBackends) {
  const auto* const model = find_prefill_cost_model("NVIDIA B200", "FLASH_ATTN", "TRTLLM_RAGGED");
  for (const int heads : {16, 128}) {
    const Json json =
        parse(run("--curve --json --cost-model B200:FLASH_ATTN:TRTLLM_RAGGED "
                  "--num-attention-heads " +
                  std::to_string(heads)));
    EXPECT_EQ(json.at("break_even_isl"), *break_even_isl(*model, {}, heads));
    EXPECT_EQ(json.at("source"), model->source);
    EXPECT_EQ(json.at("longest_isl"), 32768);
    for (const auto& [isl, speedup] : points(json)) {
      EXPECT_EQ(speedup, predicted_prefill_speedup(*model, isl, 0, {}, heads));
    }
  }
}

TEST(Tool, TheCurvesBreakEvenAgreesWithItsPoints) {
  const std::string measured = R"({"curve": [{"isl": 1024, "bf16_ms": 1, "fp8_ms": 1.5},
                                             {"isl": 4096, "bf16_ms": 8, "fp8_ms": 7},
                                             {"isl": 65536, "bf16_ms": 1000, "fp8_ms": 700}]})";
  const std::string computed = R"({"bf16_tflops": 550, "fp8_tflops": 780, "quantize_ns": 0.5})";
  for (const std::string& model : {measured, computed}) {
    for (const std::string dimensions : {"", "--qk-nope-head-dim 192 --v-head-dim 256 "}) {
      SCOPED_TRACE(model + dimensions);
      const auto curve = [&](const std::string& arguments) {
        return parse(run_with_cost_model(model, "--curve --json " + dimensions + arguments));
      };
      const std::int64_t break_even = curve("").at("break_even_isl");
      ASSERT_GT(break_even, 256);
      ASSERT_LT(break_even, 131072);
      for (const std::int64_t expected : {break_even - 1, break_even}) {
        const auto all = points(curve("--expected-isl " + std::to_string(expected)));
        EXPECT_THAT(all, SizeIs(11));
        for (const auto& [isl, speedup] : all) EXPECT_EQ(speedup > 1, isl >= break_even) << isl;
      }
    }
  }
  const std::string slow = R"({"bf16_tflops": 2, "fp8_tflops": 1, "quantize_ns": 1})";
  const Json none = parse(run_with_cost_model(slow, "--curve --json"));
  EXPECT_EQ(none.at("break_even_isl"), nullptr);
  for (const auto& [isl, speedup] : points(none)) EXPECT_LT(speedup, 1) << isl;
  EXPECT_THAT(run_with_cost_model(slow, "--curve").out,
              HasSubstr('\n' + break_even_line(std::nullopt) + '\n'));
}

TEST(Tool, TheCurveIsOfTheModel) {
  const std::string curve = "--curve --cost-model h100 ";
  EXPECT_EQ(
      run_with_config(config_with(R"({"qk_nope_head_dim": 192, "v_head_dim": 256})"), curve).out,
      run(curve + "--qk-nope-head-dim 192 --v-head-dim 256").out);
  EXPECT_NE(run(curve + "--qk-nope-head-dim 192 --v-head-dim 256").out, run(curve).out);
}

TEST(Tool, TheCurveIsThatOfAnH100UnlessToldOtherwise) {
  const Result result = run("--curve");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, run("--curve --cost-model h100").out);
  EXPECT_THAT(result.err, MatchesRegex("mla-dtype: no --cost-model was given: [ -~]*H100[ -~]*\n"));
  EXPECT_EQ(run("--curve --device sm_90a").exit_code, 2) << "which H20 is, too";
  EXPECT_EQ(run("--curve --device 10.0 --cost-model h100").out, result.out);
}

}  // namespace
}  // namespace mla_dtype::tool
