// SPDX-License-Identifier: Apache-2.0

// Without it, the tool could say something else than the library decides and logs, or answer for
// other settings than those given.

#include <gmock/gmock.h>
#include <mla_dtype/mla_dtype.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

TEST(Tool, Row1) {
  const Result result = run(fp8_on_b200 + flag);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(explanation_of(result),
            "data type: float8_e4m3fn\noutcome: quantized\nKV-cache dtype: \"fp8\"\n"
            "prefill backend: TOKENSPEED_MLA\n");
  EXPECT_EQ(lines(result.err).at(0),
            "[info] FP8 prefill attention enabled: query data type is FP8");
}

TEST(Tool, Row2) {
  const std::string text =
      "[info] Unable to perform FP8 prefill attention when use_prefill_query_quantization is "
      "enabled. Please ensure that --kv-cache-dtype is set to fp8 and your prefill backend is "
      "compatible with FP8 attention.";
  for (const auto& [arguments, why] :
       {std::pair<std::string, std::string>("--device sm_100 --prefill-backend FLASHINFER",
                                            " The KV cache is not quantized"),
        {"--device sm_103a", " The KV cache is not quantized"},
        {"--device sm_103a --kv-cache-dtype fp8 --prefill-backend FLASH_ATTN",
         " Prefill backend FLASH_ATTN does not"},
        {"--device 9.0 --kv-cache-dtype fp8",
         " Prefill backend FLASH_ATTN does not take FP8 queries. On this device (sm_90) no setting "
         "helps"},
        {"--device gfx942:sramecc+:xnack- --kv-cache-dtype fp8",
         " Prefill backend ROCM_AITER_FA does not take FP8 queries. On this device (gfx942)"}}) {
    const Result result = run(flag + arguments);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, StartsWith("data type: bfloat16\noutcome: request_refused\n"));
    EXPECT_THAT(result.err, StartsWith(text + why));
    EXPECT_EQ(result.err.rfind("Unable to"), std::string("[info] ").size()) << "one record";
  }
}

TEST(Tool, Row3) {
  const Result result = run(fp8_on_b200);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, StartsWith("data type: float16\noutcome: available_but_off\n"));
  EXPECT_EQ(lines(result.err).at(0),
            "[warning] FP8 KV cache is enabled but prefill queries are not quantized to FP8. For "
            "long-context workloads (ISL >= 4K), enabling FP8 prefill attention can significantly "
            "optimize prefill latency. To enable, add: --attention-config "
            "'{\"use_prefill_query_quantization\": true}' (or, to keep what is set "
            "already: --attention-config '{\"use_prefill_query_quantization\": true, "
            "\"mla_prefill_backend\": \"TOKENSPEED_MLA\"}')");
}

TEST(Tool, Row4) {
  for (const std::string arguments :
       {"--device 10.0 --prefill-backend FLASHINFER", "--kv-cache-dtype fp8 --device 9.0",
        "--kv-cache-dtype fp8 --device 10.0",
        "--device 9.0 --use-prefill-query-quantization=false"}) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, StartsWith("data type: bfloat16\noutcome: not_applicable\n"));
    EXPECT_THAT(result.err, Not(HasSubstr("prefill"))) << "silent, but for what decoding does";
  }
}

TEST(Tool, ShowsTheExplanation) {
  for (const std::string device : {"10.3", "9.0", "gfx950"}) {
    for (const std::string backend : {"FLASH_ATTN", "FLASHINFER", "ROCM_AITER_FA"}) {
      for (const std::string cache_dtype : {"auto", "fp8", "nvfp4"}) {
        for (const bool requested : {false, true}) {
          const std::string arguments = "--device " + device + " --prefill-backend " + backend +
                                        " --kv-cache-dtype " + cache_dtype + ' ' +
                                        (requested ? flag : "");
          SCOPED_TRACE(arguments);
          EngineConfig config;
          config.cache_config.cache_dtype = cache_dtype;
          config.attention_config.use_prefill_query_quantization = requested;
          config.attention_config.mla_prefill_backend = backend;
          const Platform platform = parse_platform(device);
          const Result result = run(arguments);
          try {
            const AttentionPlan plan = plan_attention_data_types(
                config, DataType::bfloat16, make_environment(platform, vllm_engine()),
                make_decode_environment(platform, vllm_engine()));
            EXPECT_EQ(explanation_of(result), to_string(plan.prefill) + '\n');
          } catch (const AttentionPlanRefused& refused) {
            EXPECT_EQ(result.exit_code, 3);
            EXPECT_EQ(result.err, "mla-dtype: " + std::string(refused.what()) + '\n');
          }
        }
      }
    }
  }
}

// vLLM's way: the first that runs, whatever was asked for.
TEST(Tool, SelectsTheBackendAsTheEngineDoes) {
  const Result result = run("--device 10.3 --kv-cache-dtype fp8 " + flag);
  EXPECT_EQ(lines(result.out).at(3), "prefill backend: FLASH_ATTN");
  EXPECT_THAT(result.out, HasSubstr("\njoint selection: float8_e4m3fn with TRTLLM_RAGGED. "));
  EXPECT_THAT(result.out, Not(HasSubstr("ROCM_AITER_FA"))) << "does not run there";
  EXPECT_EQ(run("--device 10.3 --kv-cache-dtype fp8 --prefill-backend auto " + flag).out,
            result.out);
  for (const std::string& same : {std::string(), "--prefill-backend TRTLLM_RAGGED " + flag}) {
    EXPECT_THAT(run("--device 10.3 --kv-cache-dtype fp8 " + same).out,
                Not(HasSubstr("joint selection")));
  }
  EXPECT_EQ(parse(run("--json --device 10.3 --kv-cache-dtype fp8 " + flag)).at("joint"),
            Json({{"data_type", "float8_e4m3fn"}, {"prefill_backend", "TRTLLM_RAGGED"}}));
}

TEST(Tool, TakesTheNamesOfEnginesAsTheySpellThem) {
  for (const auto& [typed, name] : {std::pair<std::string, std::string>("vLLM", "vllm"),
                                    {"SGLang", "sglang"},
                                    {"TensorRT-LLM", "tensorrt-llm"},
                                    {"tensorrt_llm", "tensorrt-llm"},
                                    {"trtllm", "tensorrt-llm"}}) {
    EXPECT_EQ(run("--device H200 --engine " + typed).out,
              run("--device H200 --engine " + name).out);
  }
}

TEST(Tool, SaysWhyNotAnotherBackend) {
  EXPECT_THAT(run("--device 10.3 --model-dtype float32 --v-head-dim 64").out,
              ContainsRegex("\nrejected: FLASHINFER: Prefill backend FLASHINFER does not take "
                            "float32 models. Prefill backend FLASHINFER does not take the head "
                            "dimensions .*"));
  EXPECT_THAT(run("--device 10.3 --prefill-backend FLASHINFER --v-head-dim 64").out,
              Not(HasSubstr("rejected:")))
      << "chosen";
}

TEST(Tool, TakesNamesOfBackendsInAnyCase) {
  const std::string base = "--device 10.0 --kv-cache-dtype fp8 ";
  for (const auto& [typed, name] : {std::pair<std::string, std::string>("flashinfer", "FLASHINFER"),
                                    {"FlashInfer", "FLASHINFER"},
                                    {"AUTO", "auto"},
                                    {"Auto", "auto"}}) {
    const Result result = run(base + "--prefill-backend " + typed);
    const Result expected = run(base + "--prefill-backend " + name);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, expected.out);
    EXPECT_EQ(result.err, expected.err);
  }
  EXPECT_EQ(run(base + "--prefill-backend flashinfer --attention-config "
                       "'{\"mla_prefill_backend\": \"FlashInfer\"}'")
                .out,
            run(base + "--prefill-backend FLASHINFER").out);
  EXPECT_EQ(run(base + "--decode-backend FlashInfer_MLA").out,
            run(base + "--decode-backend FLASHINFER_MLA").out);
}

TEST(Tool, SaysThatNoDeviceWasGivenAndHowToFindIt) {
  for (const std::string more : {"", "--kv-cache-dtype fp8 "}) {
    const Result result = run(more), none = run(more + "--device none");
    EXPECT_EQ(result.exit_code, 3) << "no kernel runs there";
    EXPECT_THAT(lines(result.err),
                ElementsAre(AllOf(StartsWith("mla-dtype: no --device was given"),
                                  HasSubstr("nvidia-smi --query-gpu=name,compute_cap")),
                            StartsWith("mla-dtype: No known decode backend")));
    EXPECT_THAT(lines(none.err), ElementsAre(StartsWith("mla-dtype: No known decode backend")));
    EXPECT_EQ(explanation_of(result), explanation_of(none));
  }
  EXPECT_THAT(run("--prefill-backend x").err, Not(HasSubstr("no --device")))
      << "a bad argument is all that is said";
  EXPECT_THAT(run("--help").err, IsEmpty());
}

TEST(Tool, RequiredAndRefusedIsExitCode3) {
  const Result result =
      run("--device 10.0 --prefill-backend FLASH_ATTN --prefill-query-mode required");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.out,
              AllOf(StartsWith("data type: bfloat16\noutcome: request_refused\n"),
                    HasSubstr("blocker: The KV cache is not quantized"),
                    HasSubstr("blocker: Prefill backend FLASH_ATTN"), HasSubstr("remedy: ")));
  EXPECT_THAT(result.err, MatchesRegex("mla-dtype: FP8 prefill queries are required [ -~]*\n"));

  const Result met =
      run("--device 10.0 --kv-cache-dtype fp8 --prefill-query-mode required "
          "--prefill-backend TRTLLM_RAGGED");
  EXPECT_EQ(met.exit_code, 0);
  EXPECT_THAT(met.out, StartsWith("data type: float8_e4m3fn\n"));
  EXPECT_THAT(met.err, StartsWith("[info] FP8 prefill attention enabled"));
  EXPECT_EQ(run("--device 10.0 --prefill-query-mode by_flag " + flag).exit_code, 0);
}

TEST(Tool, TheRecordFollowsTheExplanation) {
  const std::string path = temporary_path();
  const std::string command = "'" MLA_DTYPE_TOOL "' " + fp8_on_b200 + ">'" + path + "' 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  const std::vector<std::string> all = lines(take(path));
  EXPECT_THAT(all.front(), StartsWith("data type: "));
  EXPECT_THAT(all.back(), StartsWith("[warning] "));
}

TEST(Tool, RefusedRequestLevel) {
  const std::string requested = "--device 9.0 " + flag;
  EXPECT_THAT(run(requested + "--refused-request-level info").err, StartsWith("[info] Unable to "));
  EXPECT_THAT(run(requested + "--refused-request-level warning").err,
              StartsWith("[warning] Unable to "));
}

TEST(Tool, EveryRemedyHelpsAsItIsSpelled) {
  const Json json = parse(run("--json --device 10.0 --prefill-backend FLASH_ATTN"));
  EXPECT_THAT(json.at("remedies"), Not(IsEmpty()));
  for (const Json& remedy : json.at("remedies")) {
    ASSERT_NE(remedy.at("prefill_backend"), nullptr) << "it takes the place of FLASH_ATTN";
    const std::string spelling = remedy.at("spelling");
    EXPECT_THAT(run("--device 10.0 " + spelling).out, StartsWith("data type: float8_e4m3fn\n"))
        << spelling;
  }
}

TEST(Tool, OnlyLocalRank0Logs) {
  EXPECT_THAT(run(fp8_on_b200 + "--local-rank 1 --global-rank 1").err, IsEmpty());
  EXPECT_THAT(run(fp8_on_b200 + "--local-rank 0 --global-rank 8").err, Not(IsEmpty()));
  EXPECT_EQ(parse(run(fp8_on_b200 + "--local-rank 1 --json")).at("log"), Json::array());
}

}  // namespace
}  // namespace mla_dtype::tool
