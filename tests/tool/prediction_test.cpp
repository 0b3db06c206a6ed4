// SPDX-License-Identifier: Apache-2.0

// Without it, the speedup that is shown, or asked for with the mode automatic, could be that of
// another cost model or another length than the one given.

#include <gmock/gmock.h>
#include <mla_dtype/mla_dtype.h>

#include <cstdint>
#include <string>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST(Tool, SaysWhatIsPredictedAndWhy) {
  const PrefillCostModel& model = h100_prefill_cost_model();
  for (const int isl : {1000, 20000}) {
    for (const std::string request : {"", "--use-prefill-query-quantization "}) {
      const std::string arguments = fp8_kv_cache + "--prefill-backend TRTLLM_RAGGED " + request +
                                    "--cost-model h100 --expected-isl " + std::to_string(isl);
      SCOPED_TRACE(arguments);
      EngineConfig config;
      config.cache_config.cache_dtype = "fp8";
      config.attention_config.use_prefill_query_quantization = !request.empty();
      config.attention_config.expected_isl = isl;
      config.attention_config.mla_prefill_backend = "TRTLLM_RAGGED";
      Environment env = make_environment(cuda(10, 0), vllm_engine());
      env.predict_prefill_speedup = make_prefill_speedup_predictor(model);
      const std::string explanation =
          to_string(explain_prefill_query_data_type(config, DataType::bfloat16, env));
      ASSERT_THAT(lines(explanation).back(), StartsWith("prediction: At the expected ISL of "));

      const Result result = run(arguments);
      EXPECT_EQ(result.exit_code, 0);
      EXPECT_THAT(result.out,
                  StartsWith(explanation + '\n' + break_even_line(break_even_isl(model)) +
                             "\ncost model: " + model.source + '\n'));
      EXPECT_THAT(run(arguments + " --decode-backend FLASHINFER_MLA").out, StartsWith(result.out));
    }
  }
}

TEST(Tool, TheModeAutomaticAsksForWhatIsPredictedToBeFaster) {
  const std::string automatic = fp8_kv_cache +
                                "--prefill-backend TRTLLM_RAGGED --prefill-query-mode automatic "
                                "--cost-model H100 --kv-scales calibrated ";
  const std::int64_t isl = *break_even_isl(h100_prefill_cost_model());
  const auto data_type = [&](const std::string& arguments) {
    const Result result = run(automatic + arguments);
    EXPECT_EQ(result.exit_code, 0);
    return lines(result.out).at(0);
  };
  EXPECT_EQ(data_type("--expected-isl " + std::to_string(isl)), "data type: float8_e4m3fn");
  EXPECT_EQ(data_type(flag + "--expected-isl " + std::to_string(isl - 1)), "data type: bfloat16");

  const Json json = parse(run(automatic + "--json --expected-isl 1000")).at("prediction");
  EXPECT_EQ(json.at("decides"), true);
  EXPECT_EQ(json.at("advises_change"), false);
}

TEST(Tool, ChunksCount) {
  const std::string arguments =
      fp8_kv_cache + "--cost-model h100 --expected-isl 32768 --max-num-batched-tokens ";
  EXPECT_THAT(run(arguments + "32768").out, HasSubstr("predicted to be 1.34x as fast"));
  EXPECT_THAT(run(arguments + "2048").out, HasSubstr("predicted to be 1.17x as fast"));
  EXPECT_THAT(run(arguments + "512").out, HasSubstr("predicted to be 0.88x as fast"));
  EXPECT_THAT(run(arguments + "512 --enable-chunked-prefill=false").out,
              HasSubstr("predicted to be 1.34x as fast"));
}

TEST(Tool, JsonHoldsThePrediction) {
  const std::string arguments = fp8_kv_cache + flag + "--expected-isl 1000 --json ";
  const PrefillCostModel& model = h100_prefill_cost_model();
  const Json json =
      parse(run(arguments + "--cost-model h100 --qk-nope-head-dim 192 --v-head-dim 256"));
  const MlaDimensions dimensions = {192, 64, 256};
  EXPECT_EQ(json.at("prediction"),
            Json({{"isl", 1000},
                  {"speedup", predicted_prefill_speedup(model, 1000, 0, dimensions)},
                  {"decides", false},
                  {"advises_change", true},
                  {"break_even_isl", *break_even_isl(model, dimensions)},
                  {"source", model.source}}));
  EXPECT_THAT(
      keys(json.at("prediction")),
      ElementsAre("isl", "speedup", "decides", "advises_change", "break_even_isl", "source"));
  EXPECT_EQ(parse(run(arguments + "--prefill-backend TRTLLM_RAGGED --cost-model h100 "
                                  "--prefill-query-mode required"))
                .at("prediction"),
            nullptr)
      << "nothing to decide";
}

TEST(Tool, SaysWhoseCostModelItTakes) {
  const std::string isl = "--expected-isl 2000 ";
  // That of the backends in question: vLLM's here.
  const std::string on_b200 = isl + "--device B200 --kv-cache-dtype fp8 --kv-scales calibrated ";
  const Result result = run(on_b200);
  EXPECT_EQ(result.exit_code, 0);
  const std::string pair = "--cost-model B200:FLASH_ATTN:TRTLLM_RAGGED";
  EXPECT_EQ(result.out, run(on_b200 + pair).out);
  EXPECT_EQ(result.err,
            "mla-dtype: no --cost-model was given: it is that of " +
                find_prefill_cost_model("NVIDIA B200", "FLASH_ATTN", "TRTLLM_RAGGED")->source +
                '\n');
  EXPECT_THAT(run(on_b200 + pair).err, IsEmpty());
  EXPECT_THAT(run(isl + "--device H20").err, HasSubstr("no cost model of device NVIDIA H20 is "));
  EXPECT_THAT(run(isl + "--device 'NVIDIA H100 80GB HBM3'").err,
              HasSubstr("no cost model of device"))
      << "that one is of no engine's kernels";

  // 9.0 is H20's capability, too, which is several times slower.
  for (const std::string device : {"8.9", "9.0", "10.0", "gfx90a"}) {
    const Result other = run(isl + "--device " + device);
    EXPECT_EQ(other.exit_code, 0);
    EXPECT_EQ(other.out, run("--device " + device).out) << "nothing is predicted";
    EXPECT_EQ(other.err, "mla-dtype: --expected-isl: no cost model of device " +
                             to_string(parse_platform(device)) +
                             " is known with these backends, so nothing is predicted: "
                             "--cost-model gives one\n");
    EXPECT_EQ(Json::parse(run(isl + "--json --device " + device).out).at("prediction"), nullptr);
  }
}

}  // namespace
}  // namespace mla_dtype::tool
