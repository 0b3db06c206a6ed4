// SPDX-License-Identifier: Apache-2.0

// Without it, the tool could show another plan than the library makes, or none without saying why.

#include <gmock/gmock.h>
#include <mla_dtype/mla_dtype.h>

#include <regex>
#include <string>
#include <utility>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

const std::string fp8_plan =
    "--device 10.0 --kv-cache-dtype fp8 --decode-backend FLASHINFER_MLA --kv-scales calibrated " +
    flag;

// What the library answers for an operator who gives nothing but these.
AttentionPlan plan_of(const EngineConfig& config, const char* device, const char* decode_backend,
                      DataType model_dtype = DataType::bfloat16) {
  const Platform platform = parse_platform(device);
  return plan_attention_data_types(
      config, model_dtype, make_environment(platform, vllm_engine()),
      make_decode_environment(platform, vllm_engine(), nullptr, decode_backend));
}

// The part of the output that is the plan, and the part before it.
std::pair<std::string, std::string> explanation_and_plan(const Result& result) {
  const std::size_t at = result.out.find("\n\n");
  if (at == std::string::npos) return {result.out, {}};
  return {result.out.substr(0, at + 1), result.out.substr(at + 2)};
}

std::string without_advice(const std::string& out) {
  return std::regex_replace(out, std::regex("(remedy|note|to run|rejected): [^\n]*\n"), "");
}

TEST(Tool, PrintsThePlanAfterTheExplanation) {
  struct Case {
    const char *device, *cache_dtype, *decode_backend;
  };
  for (const auto& [device, cache_dtype, decode_backend] :
       {Case{"10.0", "fp8", "FLASHINFER_MLA"}, Case{"10.3", "fp8_e4m3", "FLASHINFER_MLA"},
        Case{"9.0", "fp8", "FLASHMLA"}, Case{"9.0", "fp8", "TRITON_MLA"},
        Case{"9.0", "auto", "FLASH_ATTN_MLA"}, Case{"gfx950", "fp8", "ROCM_AITER_MLA"}}) {
    for (const bool requested : {false, true}) {
      const std::string arguments = std::string("--device ") + device + " --kv-cache-dtype " +
                                    cache_dtype + ' ' + (requested ? flag : "");
      SCOPED_TRACE(arguments + "--decode-backend " + decode_backend);
      EngineConfig config;
      config.cache_config.cache_dtype = cache_dtype;
      config.attention_config.use_prefill_query_quantization = requested;
      const AttentionPlan plan = plan_of(config, device, decode_backend);

      const Result result = run(arguments + "--decode-backend " + decode_backend);
      EXPECT_EQ(result.exit_code, 0);
      const auto [explanation, text] = explanation_and_plan(result);
      EXPECT_THAT(explanation, StartsWith(to_string(plan.prefill) + '\n'));
      EXPECT_THAT(explanation,
                  HasSubstr("\ndecode backend: " + std::string(decode_backend) + '\n'));
      EXPECT_EQ(text, to_string(plan) + '\n');
      const auto env = make_environment(parse_platform(device), vllm_engine());
      std::string log;
      for (const LogRecord& record : records(plan, env)) {
        log += (record.level == LogLevel::info ? "[info] " : "[warning] ") + record.text + '\n';
      }
      EXPECT_EQ(result.err, log) << "the plan's records";
    }
  }
}

// As vLLM would (vllm/platforms/cuda.py), unless one is named.
TEST(Tool, SelectsTheDecodeBackendAsTheEngineDoes) {
  const auto selected = [](const std::string& arguments) {
    return parse(run("--json " + arguments)).at("decode_backend").get<std::string>();
  };
  EXPECT_EQ(selected("--device H200"), "FLASH_ATTN_MLA");
  EXPECT_EQ(selected("--device H200 --kv-cache-dtype fp8"), "FLASHMLA");
  EXPECT_EQ(selected("--device B200 --kv-cache-dtype fp8"), "FLASHINFER_MLA");
  EXPECT_EQ(selected("--device 12.0 --kv-cache-dtype fp8"), "TRITON_MLA");
  EXPECT_EQ(selected("--device MI300X"), "ROCM_AITER_MLA");
  EXPECT_EQ(selected("--device B200 --index-topk 2048 --kv-cache-dtype fp8"),
            "FLASHINFER_MLA_SPARSE");
  EXPECT_EQ(selected("--engine sglang --device B200 --kv-cache-dtype fp8_e4m3"), "trtllm_mla");
  EXPECT_EQ(selected("--engine tensorrt-llm --device H200 --kv-cache-dtype fp8"), "TRTLLM");
  EXPECT_EQ(run("--device H200 --decode-backend auto").out, run("--device H200").out);
}

TEST(Tool, AnEngineWithoutTheFlagGoesByTheKvCache) {
  for (const std::string engine :
       {"tensorrt-llm --kv-cache-dtype fp8", "sglang --kv-cache-dtype fp8_e4m3"}) {
    const Result result = run("--device H200 --engine " + engine);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, StartsWith("data type: float8_e4m3fn\noutcome: quantized\n"));
    EXPECT_THAT(result.out, HasSubstr("facts as of "));
    EXPECT_THAT(result.out, Not(HasSubstr("use_prefill_query_quantization")));
  }
}

// Of vLLM all rows are known; of the others what is known may be too little.
TEST(Tool, ARefusalSaysIfNotAllOfTheEngineWasRead) {
  const std::string sparse = "--device H200 --index-topk 2048 --engine ";
  const Result trtllm = run(sparse + "tensorrt-llm");
  EXPECT_EQ(trtllm.exit_code, 3);
  EXPECT_THAT(trtllm.err, HasSubstr("of TensorRT-LLM not all was read"));
  const Result vllm = run("--device 8.0 --kv-cache-dtype fp8");
  EXPECT_EQ(vllm.exit_code, 3);
  EXPECT_THAT(vllm.err, Not(HasSubstr("not all was read")));
}

TEST(Tool, ThePlansExplanationIsShown) {
  const std::string arguments =
      "--device 10.0 --kv-cache-dtype fp8 --model-dtype float16 --prefill-backend FLASHINFER " +
      flag;
  const Result planned = run(arguments + "--decode-backend FLASHINFER_MLA");
  EXPECT_EQ(planned.exit_code, 0);
  EXPECT_THAT(planned.out, AllOf(StartsWith("data type: float16\noutcome: request_refused\n"),
                                 HasSubstr("\nblocker: Prefill backend FLASHINFER does not write "
                                           "float16")));
  EXPECT_THAT(planned.err, StartsWith("[info] Unable to perform FP8 prefill attention"));
  EXPECT_EQ(run(arguments).out, planned.out) << "vLLM's selection";
  const Json json = parse(run(arguments + "--json --decode-backend FLASHINFER_MLA"));
  EXPECT_EQ(json.at("data_type"), "float16");
  EXPECT_EQ(json.at("plan").at("prefill_query").at("data_type"), "float16");
  EXPECT_EQ(json.at("blockers").at(0).at("kind"), "output_dtype");

  const Result required =
      run(arguments + "--prefill-query-mode required --decode-backend FLASHINFER_MLA");
  EXPECT_EQ(required.exit_code, 3);
  EXPECT_THAT(required.out, StartsWith("data type: float16\noutcome: request_refused\n"));
  EXPECT_THAT(explanation_and_plan(required).second, IsEmpty());
  EXPECT_THAT(required.err, MatchesRegex("mla-dtype: FP8 prefill queries are required [ -~]*\n"));
}

// What decoding cannot follow is no remedy: with it the engine would not start either.
TEST(Tool, ARemedyIsTriedAgainstThePlan) {
  const std::string arguments =
      "--json --device 10.0 --kv-cache-dtype fp8 --prefill-query-mode required "
      "--decode-backend FLASH_ATTN_MLA --prefill-backend FLASH_ATTN";
  const Result refused = run(arguments);
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(Json::parse(refused.out).at("remedies"), IsEmpty());
}

TEST(Tool, APlanThatNoKernelCanRunIsExitCode3) {
  for (const auto& [arguments, why] :
       {std::pair<std::string, std::string>(
            "--device 9.0 --kv-cache-dtype fp8 --decode-backend FLASH_ATTN_MLA",
            "Decode backend FLASH_ATTN_MLA does not read a KV cache of dtype .fp8. "),
        {"--device 10.0 --kv-cache-dtype nvfp4 --decode-backend FLASHINFER_MLA", "dtype .nvfp4."},
        {"--device none --kv-cache-dtype fp8 --decode-backend FLASHMLA", "no CUDA or ROCm device"},
        {"--device 10.0 --kv-cache-dtype fp8 --decode-backend CUTLASS_MLA --kv-scales calibrated",
         "CUTLASS_MLA"},
        {"--device gfx942 --prefill-backend FLASHINFER --decode-backend TRITON_MLA",
         "FLASHINFER"}}) {
    SCOPED_TRACE(arguments);
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_EQ(without_advice(explanation_of(result)),
              without_advice(
                  explanation_of(run(arguments.substr(0, arguments.find("--decode-backend"))))))
        << "as without the option";
    EXPECT_THAT(result.err, MatchesRegex("mla-dtype: [ -~]*" + why + "[ -~]*\n"));

    const Result json = run(arguments + " --json");
    EXPECT_EQ(json.exit_code, 3);
    EXPECT_EQ(json.err, result.err);
    EXPECT_EQ(Json::parse(json.out).at("refused"), true);
    EXPECT_EQ(Json::parse(json.out).at("plan"), nullptr);
    EXPECT_EQ(Json::parse(json.out).at("log"), Json::array());
    EXPECT_EQ(Json::parse(json.out).at("hint"), nullptr);
  }
}

TEST(Tool, WhatAPlanThatIsRefusedAdvisesIsNotRefused) {
  int followed = 0;
  for (const std::string device : {"9.0", "10.0"}) {
    for (const std::string cache_dtype : {"fp8", "nvfp4", "fp8_ds_mla"}) {
      for (const DecodeBackend& decode : vllm_decode_backends()) {
        const std::string others = "--device " + device + " --decode-backend " + decode.name;
        const Result refused = run(others + " --kv-cache-dtype " + cache_dtype + " --json");
        if (refused.exit_code != 3) continue;
        const Json report = Json::parse(refused.out);
        for (const Json& remedy : report.at("remedies")) {
          const std::string spelling = remedy.at("spelling");
          SCOPED_TRACE(others + ' ' + spelling);
          const bool sets_cache = !remedy.at("cache_dtype").is_null();
          EXPECT_EQ(
              run(others + (sets_cache ? "" : " --kv-cache-dtype " + cache_dtype) + ' ' + spelling)
                  .exit_code,
              0);
          ++followed;
        }
      }
    }
  }
  EXPECT_GT(followed, 0);
}

TEST(Tool, JsonHoldsThePlan) {
  EngineConfig config;
  config.cache_config.cache_dtype = "fp8";
  config.cache_config.kv_scales = KvScales::unit;
  config.attention_config.use_prefill_query_quantization = true;
  const AttentionPlan plan = plan_of(config, "10.0", "FLASHINFER_MLA");

  const Json json =
      parse(run("--json --device 10.0 --kv-cache-dtype fp8 --decode-backend FLASHINFER_MLA "
                "--kv-scales unit " +
                flag));
  EXPECT_EQ(keys(json).back(), "plan");
  const Json& shown = json.at("plan");
  EXPECT_THAT(keys(shown),
              ElementsAre("kv_cache_storage", "kv_cache_view", "prefill_query", "prefill_key_value",
                          "chunked_prefill_workspace", "decode_query", "output", "kv_cache_bytes",
                          "unquantized_kv_cache_bytes", "workspace_bytes", "cautions", "packed"));
  const auto expect = [&](const char* name, const PlannedDataType& planned) {
    EXPECT_EQ(shown.at(name),
              Json({{"data_type", to_string(planned.data_type)}, {"reason", planned.reason}}))
        << name;
    EXPECT_THAT(keys(shown.at(name)), ElementsAre("data_type", "reason"));
  };
  expect("kv_cache_storage", plan.kv_cache_storage);
  expect("kv_cache_view", plan.kv_cache_view);
  expect("prefill_query", plan.prefill_query);
  expect("prefill_key_value", plan.prefill_key_value);
  expect("chunked_prefill_workspace", *plan.chunked_prefill_workspace);
  expect("decode_query", plan.decode_query);
  expect("output", plan.output);
  EXPECT_EQ(shown.at("kv_cache_storage").at("data_type"), "uint8");
  EXPECT_EQ(shown.at("decode_query").at("data_type"), "float8_e4m3fn");
  EXPECT_EQ(shown.at("kv_cache_bytes"), 576);
  EXPECT_EQ(shown.at("unquantized_kv_cache_bytes"), 1152);
  EXPECT_EQ(shown.at("workspace_bytes"), *plan.workspace_bytes);
  ASSERT_THAT(shown.at("cautions"), SizeIs(1));
  EXPECT_EQ(shown.at("cautions").at(0).dump(),
            Json({{"kind", "unit_scales"}, {"sentence", plan.cautions.at(0).sentence}}).dump());
  ASSERT_THAT(shown.at("packed").get<std::string>(), MatchesRegex("0x[0-9a-f]{16}"));
  EXPECT_EQ(std::stoull(shown.at("packed").get<std::string>(), nullptr, 16), pack(plan));
  ASSERT_THAT(json.at("log"), SizeIs(2));
  EXPECT_EQ(json.at("log").at(1).at("text"), plan.cautions.at(0).sentence);
}

TEST(Tool, JsonPlanHasNullWithoutChunkedPrefill) {
  const Json without = parse(run("--json --enable-chunked-prefill=false " + fp8_plan)).at("plan");
  EXPECT_EQ(without.at("chunked_prefill_workspace"), nullptr);
  EXPECT_EQ(without.at("workspace_bytes"), nullptr);
  EXPECT_EQ(without.at("cautions"), Json::array());
  for (const std::string on : {"--enable-chunked-prefill ", "--enable-chunked-prefill=true "}) {
    EXPECT_EQ(run(on + fp8_plan).out, run(fp8_plan).out);
  }
}

TEST(Tool, OnlyLocalRank0LogsThePlan) {
  EXPECT_THAT(run(fp8_plan).err, Not(IsEmpty()));
  EXPECT_THAT(run(fp8_plan + "--local-rank 1 --global-rank 1").err, IsEmpty());
}

TEST(Tool, TheModelAndItsRanksCountInThePlan) {
  const auto bytes = [](const Result& result) {
    return parse(result).at("plan").at("unquantized_kv_cache_bytes").get<int>();
  };
  const std::string plan =
      "--json --device 10.0 --kv-cache-dtype fp8 --decode-backend TRITON_MLA "
      "--prefill-backend TRTLLM_RAGGED " +
      flag;
  EXPECT_EQ(bytes(run(plan + "--kv-lora-rank 256")), (256 + 64) * 2);
  EXPECT_EQ(bytes(run_with_config(config_with(R"({"kv_lora_rank": 1024})"), plan)),
            (1024 + 64) * 2);
  EXPECT_EQ(bytes(run_with_config(
                R"({"text_config": )" + config_with(R"({"kv_lora_rank": 1024})") + '}', plan)),
            (1024 + 64) * 2);
  EXPECT_EQ(
      bytes(run_with_config(config_with(R"({"kv_lora_rank": 1024})"), plan + "--kv-lora-rank 512")),
      1152);

  const Json spread = parse(run(plan + "--decode-context-parallel-size 2")).at("plan");
  EXPECT_EQ(spread.at("prefill_query").at("data_type"), "float8_e4m3fn");
  EXPECT_EQ(spread.at("chunked_prefill_workspace").at("data_type"), "bfloat16");
}

TEST(Tool, ScalesAndRanksAreFactsOfRows) {
  const std::string base = "--device 10.0 --kv-cache-dtype fp8 " + flag;
  for (const std::string harmless :
       {"--kv-scales unit", "--kv-scales calibrated", "--kv-scales unknown", "--kv-scales dynamic",
        "--decode-context-parallel-size 1", "--decode-context-parallel-size 2",
        "--num-attention-heads 64"}) {
    EXPECT_EQ(explanation_of(run(base + harmless)), explanation_of(run(base))) << harmless;
  }
}

TEST(Tool, TheHeadsOfTheModelAreDividedAmongTheRanks) {
  const std::string config = config_with(R"({"num_attention_heads": 96})");
  const auto heads = [&](const std::string& options) {
    return parse(run_with_config(config, "--device H200 --json " + options))
        .at("model")
        .at("heads_of_a_rank")
        .get<int>();
  };
  EXPECT_EQ(heads(""), 96);
  EXPECT_EQ(heads("--tensor-parallel-size 8"), 12);
  EXPECT_EQ(heads("--tensor-parallel-size 8 --num-attention-heads 64"), 8);
  const Result odd = run_with_config(config, "--device H200 --tensor-parallel-size 64");
  EXPECT_EQ(odd.exit_code, 2);
  EXPECT_THAT(odd.err,
              AllOf(HasSubstr("--tensor-parallel-size: 64 does not divide the model's 96 heads"),
                    HasSubstr("accepted: 1, 2, 3, 4, 6, 8, 12, ")));
  EXPECT_THAT(run_with_config(config, "--device H200 --tensor-parallel-size 8").out,
              HasSubstr(", 12 of 96 heads a rank, dense attention, "));
}

}  // namespace
}  // namespace mla_dtype::tool
