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
  EXPECT_EQ(result.out,
            "data type: float8_e4m3fn\noutcome: quantized\nKV-cache dtype: \"fp8\"\n"
            "prefill backend: TOKENSPEED_MLA\n");
  EXPECT_EQ(result.err, "[info] FP8 prefill attention enabled: query data type is FP8\n");
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
         " Prefill backend ROCM_AITER_FA does not take FP8 queries. On this device (gfx942)"},
        {"--device none",
         " The KV cache is not quantized: the KV-cache dtype is \"auto\". Prefill backend "
         "TRTLLM_RAGGED does not run on this device (no CUDA or ROCm device), only on CUDA "
         "capability 10.x. On this device (no CUDA or ROCm device)"}}) {
    const Result result = run(flag + arguments);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, StartsWith("data type: bfloat16\noutcome: request_refused\n"));
    EXPECT_THAT(result.err, StartsWith(text + why));
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << "one record";
  }
}

TEST(Tool, Row3) {
  const Result result = run(fp8_on_b200);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, StartsWith("data type: float16\noutcome: available_but_off\n"));
  EXPECT_EQ(result.err,
            "[warning] FP8 KV cache is enabled but prefill queries are not quantized to FP8. For "
            "long-context workloads (ISL >= 4K), enabling FP8 prefill attention can significantly "
            "optimize prefill latency. To enable, add: --attention-config "
            "'{\"use_prefill_query_quantization\": true}' (or, to keep what is set "
            "already: --attention-config '{\"use_prefill_query_quantization\": true, "
            "\"mla_prefill_backend\": \"TOKENSPEED_MLA\"}')\n");
}

TEST(Tool, Row4) {
  for (const std::string arguments :
       {"--device none", "--device 10.0 --prefill-backend FLASHINFER",
        "--kv-cache-dtype fp8 --device 9.0", "--kv-cache-dtype fp8 --device 10.0",
        "--device none --use-prefill-query-quantization=false"}) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, StartsWith("data type: bfloat16\noutcome: not_applicable\n"));
    EXPECT_THAT(result.err, IsEmpty());
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
          const auto env = make_environment(parse_platform(device), vllm_prefill_backends());
          EXPECT_EQ(
              run(arguments).out,
              to_string(explain_prefill_query_data_type(config, DataType::bfloat16, env)) + '\n');
        }
      }
    }
  }
}

TEST(Tool, SelectsTheBackendAndSaysWhyNotAnother) {
  const Result result = run("--device 10.3 --kv-cache-dtype fp8 " + flag);
  EXPECT_EQ(lines(result.out).at(3), "prefill backend: TRTLLM_RAGGED");
  EXPECT_THAT(lines(result.out).back(),
              "rejected: FLASH_ATTN: Prefill backend FLASH_ATTN does not take FP8 queries.");
  EXPECT_THAT(result.out, Not(HasSubstr("ROCM_AITER_FA"))) << "does not run there";
  EXPECT_EQ(run("--device 10.3 --kv-cache-dtype fp8 --prefill-backend auto " + flag).out,
            result.out);

  EXPECT_THAT(run("--device 10.3 --model-dtype float32 --v-head-dim 64").out,
              ContainsRegex("\nrejected: FLASHINFER: Prefill backend FLASHINFER does not take "
                            "float32 models. Prefill backend FLASHINFER does not take the head "
                            "dimensions .*"));
  EXPECT_THAT(run("--device 10.3 --prefill-backend FLASHINFER --v-head-dim 64").out,
              Not(HasSubstr("rejected:")))
      << "chosen";
}

TEST(Tool, KnowsTheBackendOfTensorRtLlm) {
  const Result result =
      run("--device 9.0 --kv-cache-dtype fp8 --prefill-backend TRTLLM_FMHA " + flag);
  EXPECT_THAT(result.out, StartsWith("data type: float8_e4m3fn\n"));
}

TEST(Tool, TakesNamesOfBackendsInAnyCase) {
  const std::string base = "--device 10.0 --kv-cache-dtype fp8 ";
  for (const auto& [typed, name] : {std::pair<std::string, std::string>("flashinfer", "FLASHINFER"),
                                    {"FlashInfer", "FLASHINFER"},
                                    {"trtllm_fmha", "TRTLLM_FMHA"},
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

TEST(Tool, SaysThatNoDeviceWasGiven) {
  const std::string note = "mla-dtype: no --device was given: the answer is for none\n";
  for (const std::string more : {"", "--json ", "--kv-cache-dtype fp8 "}) {
    const Result result = run(more);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, note);
    EXPECT_EQ(result.out, run(more + "--device none").out);
    EXPECT_THAT(run(more + "--device none").err, IsEmpty());
  }
  EXPECT_THAT(lines(run("--prefill-query-mode required").err),
              ElementsAre(note.substr(0, note.size() - 1), StartsWith("mla-dtype: FP8 prefill")));
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

  const Result met = run("--device 10.0 --kv-cache-dtype fp8 --prefill-query-mode required");
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
  const std::string requested = "--device none " + flag;
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
