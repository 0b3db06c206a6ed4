// SPDX-License-Identifier: Apache-2.0

// Without it, the tool could answer for another model than the config.json describes, or take a
// broken file for a good one.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>
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
using ::testing::StartsWith;

TEST(Tool, ReadsTheModelsConfig) {
  for (const std::string name : {"deepseek-v2-lite", "deepseek-v3", "kimi-k2"}) {
    const Result result = run("--device 10.0 --kv-cache-dtype fp8 --prefill-backend FLASHINFER " +
                              flag + "--hf-config" + quoted(MLA_DTYPE_MODELS + name + ".json"));
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, StartsWith("data type: float8_e4m3fn\n"));
  }
}

// What the tool takes from a config.json, seen in what it says.
struct ReadModel {
  std::string dtype, resolved_cache_dtype;
  std::vector<int> dimensions;

  friend bool operator==(const ReadModel& a, const ReadModel& b) {
    return a.dtype == b.dtype && a.resolved_cache_dtype == b.resolved_cache_dtype &&
           a.dimensions == b.dimensions;
  }
};

ReadModel read_model(const std::string& config, const std::string& options = {}) {
  const Json decision = parse_answer(run_with_config(config, "--device 10.0 --json " + options));
  const Json& model = decision.at("model");
  return {decision.at("model_dtype"),
          decision.at("kv_cache_dtype").at("resolved"),
          {model.at("qk_nope_head_dim").get<int>(), model.at("qk_rope_head_dim").get<int>(),
           model.at("v_head_dim").get<int>()}};
}

TEST(Tool, TakesDimensionsAndDtypeFromTheConfigUnlessAnOptionSaysOtherwise) {
  const std::vector<int> v3 = {128, 64, 128};
  const auto expect = [](const std::string& config, const ReadModel& expected,
                         const char* options = "") {
    SCOPED_TRACE(config);
    EXPECT_TRUE(read_model(config, options) == expected);
  };
  expect(config_with(), {"bfloat16", "bfloat16", v3});
  expect(config_with(R"({"qk_nope_head_dim": 192, "qk_rope_head_dim": 32, "v_head_dim": 256,
                         "dtype": "float16", "torch_dtype": null})"),
         {"float16", "float16", {192, 32, 256}});
  expect(config_with(R"({"torch_dtype": "float32"})"), {"float32", "float32", v3});
  expect(config_with(R"({"qk_rope_head_dim": 0})"), {"bfloat16", "bfloat16", {128, 0, 128}});
  expect(config_with(R"({"dtype": "auto"})"), {"bfloat16", "bfloat16", v3});
  expect(config_with(R"({"dtype": "float16", "torch_dtype": "float32"})"),
         {"float16", "float16", v3});
  // Multimodal.
  for (const std::string part : {"text_config", "language_config"}) {
    const auto nested = [&](const std::string& members, const std::string& outer) {
      return R"({"model_type": "kimi_vl", ")" + part + "\": " + config_with(members) + outer + '}';
    };
    expect(nested(R"({"v_head_dim": 64, "torch_dtype": "float16"})",
                  R"(, "v_head_dim": 9, "vision_config": {"v_head_dim": 8})"),
           {"float16", "float16", {128, 64, 64}});
    expect(nested(R"({"torch_dtype": null})", R"(, "torch_dtype": "float16")"),
           {"float16", "float16", v3});
    expect(nested(R"({"dtype": "float32"})", R"(, "torch_dtype": "float16")"),
           {"float16", "float16", v3});
  }
  expect(config_with(R"({"text_config": null})"), {"bfloat16", "bfloat16", v3});
  // Options.
  expect(config_with(R"({"qk_nope_head_dim": 192, "v_head_dim": 256, "torch_dtype": "int8"})"),
         {"float16", "float16", {64, 32, 256}},
         "--model-dtype float16 --qk-nope-head-dim 64 --qk-rope-head-dim 32");
  expect(config_with(R"({"v_head_dim": null, "torch_dtype": "float16"})"),
         {"bfloat16", "bfloat16", {128, 64, 1}}, "--model-dtype bfloat16 --v-head-dim 1");
}

TEST(Tool, AnAbsentDimensionIsAnErrorThatNamesItAndTheOption) {
  for (const auto& [field, option] :
       {std::pair<std::string, std::string>("v_head_dim", "--v-head-dim"),
        {"qk_nope_head_dim", "--qk-nope-head-dim"},
        {"qk_rope_head_dim", "--qk-rope-head-dim"},
        {"num_attention_heads", "--num-attention-heads"}}) {
    const std::string config = config_with("{\"" + field + "\": null}");
    const Result result = run_with_config(config, "--device 10.0");
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, ContainsRegex(field + ": none; .*" + option));
    EXPECT_NE(run_with_config(config, "--device 10.0 " + option + " 64").exit_code, 2);
  }
  const std::string sparse = config_with(R"({"model_type": "glm_moe_dsa"})");
  EXPECT_THAT(run_with_config(sparse, "--device 10.0").err,
              ContainsRegex("index_topk: none; .*--index-topk"));
  EXPECT_THAT(run_with_config(sparse, "--device 10.0 --index-topk 2048").out,
              HasSubstr("sparse (index_topk 2048)"));
}

TEST(Tool, NotesADataTypeThatTheEngineMayNotTake) {
  EXPECT_THAT(run_with_config(config_with(R"({"torch_dtype": null})"), "--device 10.0").err,
              ContainsRegex("states no data type, and bfloat16 is taken; .*--model-dtype"));
  EXPECT_THAT(run_with_config(config_with(R"({"torch_dtype": "float32"})"), "--device 10.0").err,
              HasSubstr("is in float32"));
  EXPECT_THAT(run_with_config(config_with(), "--device 10.0").err, IsEmpty());
}

TEST(Tool, ReadsTheConfigOfADirectory) {
  const std::string directory = temporary_path() + ".model", path = directory + "/config.json";
  ASSERT_EQ(mkdir(directory.c_str(), 0700), 0);
  std::ofstream(path) << config_with(R"({"v_head_dim": 0})");
  for (const std::string slash : {"", "/"}) {
    const Result bad = run("--device 10.0 --hf-config" + quoted(directory + slash));
    EXPECT_EQ(bad.exit_code, 2);
    EXPECT_THAT(bad.err, HasSubstr("--hf-config: " + path + ": v_head_dim: 0 is not accepted"));
  }
  std::ofstream(path) << config_with(R"({"torch_dtype": "float16"})");
  EXPECT_THAT(run("--device 10.0 --hf-config" + quoted(directory)).out,
              StartsWith("data type: float16\n"));
  std::remove(path.c_str());
  EXPECT_THAT(run("--device 10.0 --hf-config" + quoted(directory)).err,
              HasSubstr(path + ": cannot be read"));
  std::remove(directory.c_str());
}

TEST(Tool, DimensionsCountInTheDecision) {
  const std::string arguments = "--device 10.0 --kv-cache-dtype fp8 " + flag;
  const Result result =
      run_with_config(config_with(R"({"qk_nope_head_dim": 192, "v_head_dim": 256})"),
                      arguments + "--prefill-backend FLASHINFER");
  EXPECT_THAT(result.out,
              HasSubstr("blocker: Prefill backend FLASHINFER does not take the head dimensions "
                        "(qk_nope, qk_rope, v) (192, 64, 256)"));
  EXPECT_EQ(explanation_of(run(arguments + "--prefill-backend FLASHINFER --qk-nope-head-dim 192 "
                                           "--v-head-dim 256")),
            explanation_of(result));
}

// As GLM-5.3-Flash, which has no rotary part.
TEST(Tool, ASparseModelMayHaveNoRotaryPart) {
  const std::string flash = R"({"model_type": "glm5_next", "text_config": )" +
                            config_with(R"({"model_type": "glm5_next_text", "index_topk": 2048,
                                            "qk_nope_head_dim": 192, "qk_rope_head_dim": 0,
                                            "v_head_dim": 256})") +
                            '}';
  EXPECT_THAT(run_with_config(flash, "--device B200").out,
              HasSubstr("\nmodel: glm5_next/glm5_next_text: (qk_nope, qk_rope, v) (192, 0, 256), "
                        "kv_lora_rank 512, 128 heads, sparse (index_topk 2048) attention, "));
}

// DeepSeek-V3.2 is not answered as DeepSeek-V3.
TEST(Tool, SparseAttentionCountsInTheDecisionAndThePlan) {
  const std::string v3_2 = config_with(R"({"index_topk": 2048})");
  const std::string arguments = "--device 10.0 --kv-cache-dtype fp8 " + flag;
  EXPECT_THAT(run_with_config(v3_2, arguments).out,
              HasSubstr("does not take FP8 queries of a model with sparse attention."));
  const Result dense = run_with_config(v3_2, arguments + "--decode-backend FLASHINFER_MLA");
  EXPECT_EQ(dense.exit_code, 3);
  EXPECT_THAT(dense.err, HasSubstr("To run, set: --attention-backend FLASHINFER_MLA_SPARSE"));
  const Result sparse = run_with_config(v3_2, arguments + "--decode-backend FLASHINFER_MLA_SPARSE");
  EXPECT_EQ(sparse.exit_code, 0);
  EXPECT_THAT(sparse.out, HasSubstr("decode query              float8_e4m3fn"));
}

TEST(Tool, TakesTheCheckpointsKvCacheQuantizationFromTheConfig) {
  // What `auto` comes to, by what quantization_config holds.
  for (const auto& [quantization_config, expected] : {
           std::pair<std::string, std::string>("null", "bfloat16"),
           {"{}", "bfloat16"},
           {R"({"quant_method": "modelopt"})", "bfloat16"},
           {R"({"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"})", "fp8_e4m3"},
           {R"({"quant_method": "modelopt_fp4", "kv_cache_quant_algo": "nvfp4"})", "nvfp4"},
           {R"({"quant_method": "modelopt", "kv_cache_quant_algo": null})", "bfloat16"},
           {R"({"quant_method": "modelopt", "kv_cache_quant_algo": ""})", "bfloat16"},
           {R"({"quant_method": "fp8", "kv_cache_quant_algo": "FP8"})", "bfloat16"},
           {R"({"quant_method": null, "kv_cache_quant_algo": "FP8"})", "bfloat16"},
           {R"({"kv_cache_quant_algo": "FP8"})", "bfloat16"},
           {R"({"quant_method": "modelopt", "kv_cache_scheme":
                {"dynamic": false, "num_bits": 8, "type": "float"}})",
            "fp8_e4m3"},
           {R"({"quant_method": "modelopt", "kv_cache_scheme":
                {"dynamic": true, "num_bits": 8, "type": "float"}})",
            "bfloat16"},
           {R"({"quant_method": "modelopt", "kv_cache_scheme":
                {"dynamic": false, "num_bits": 8, "type": "int"}})",
            "bfloat16"},
           {R"({"quant_method": "modelopt", "kv_cache_scheme": {"num_bits": 8, "type": "float"}})",
            "bfloat16"},
           {R"({"quant_method": "modelopt", "kv_cache_scheme":
                {"dynamic": false, "num_bits": 16, "type": "float"}})",
            "bfloat16"},
           {R"({"quant_method": "modelopt", "kv_cache_scheme": {"num_bits": 4, "type": "float"}})",
            "nvfp4"},
           // The order: schemes before algorithms, the inner object before the outer one.
           {R"({"quant_method": "modelopt", "quantization": {"kv_cache_quant_algo": "FP8"}})",
            "fp8_e4m3"},
           {R"({"quant_method": "modelopt", "quantization": {}, "kv_cache_quant_algo": "FP8"})",
            "fp8_e4m3"},
           {R"({"quant_method": "modelopt", "quantization": {"kv_cache_quant_algo": "FP8"},
                "kv_cache_quant_algo": "NVFP4"})",
            "fp8_e4m3"},
           {R"({"quant_method": "modelopt", "quantization": {"kv_cache_quant_algo": "FP8"},
                "kv_cache_scheme": "NVFP4"})",
            "nvfp4"},
           {R"({"quant_method": "modelopt", "kv_cache_scheme": {"num_bits": 2},
                "kv_cache_quant_algo": "FP8"})",
            "bfloat16"},
           {R"({"quant_method": "modelopt", "kv_cache_scheme": {}, "kv_cache_quant_algo": "FP8"})",
            "fp8_e4m3"},
           // llm-compressor.
           {R"({"quant_method": "compressed-tensors", "kv_cache_scheme": null})", "bfloat16"},
           {R"({"quant_method": "compressed-tensors", "kv_cache_scheme":
                {"dynamic": false, "num_bits": 8, "type": "float", "strategy": "tensor"}})",
            "fp8_e4m3"},
           {R"({"quant_method": "compressed-tensors", "kv_cache_scheme":
                {"dynamic": true, "num_bits": 8, "type": "float"}})",
            "bfloat16"},
           // Quark: scales, which `auto` does not look at.
           {R"({"quant_method": "quark", "export": {"kv_cache_group": ["*kv_b_proj"]}})",
            "bfloat16"},
           {R"({"quant_method": "quark", "export": {"kv_cache_group": []}})", "bfloat16"},
       }) {
    SCOPED_TRACE(quantization_config);
    const std::string own = R"("quantization_config": )" + quantization_config;
    const std::string whole = config_with('{' + own + '}');
    EXPECT_EQ(read_model(whole).resolved_cache_dtype, expected);
    EXPECT_EQ(read_model(R"({"text_config": )" + whole + '}').resolved_cache_dtype, expected);
    EXPECT_EQ(
        read_model(R"({"text_config": )" + config_with() + ", " + own + '}').resolved_cache_dtype,
        expected);
  }
}

// Of two files that differ; one that says nothing outranks none.
TEST(Tool, ConfigOutranksHfQuantConfigBesideIt) {
  const std::string directory = temporary_path() + ".quantized", path = directory + "/config.json",
                    beside = directory + "/hf_quant_config.json";
  ASSERT_EQ(mkdir(directory.c_str(), 0700), 0);
  std::ofstream(beside) << R"({"quantization": {"kv_cache_quant_algo": "NVFP4"}})";
  for (const auto& [own, expected] :
       {std::pair<std::string, std::string>(R"({"quant_method": "modelopt"})", "nvfp4"),
        {R"({"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"})", "fp8_e4m3"}}) {
    std::ofstream(path) << config_with(R"({"quantization_config": )" + own + '}');
    EXPECT_THAT(run("--device 10.0 --model" + quoted(directory)).out,
                HasSubstr("\nKV-cache dtype: \"auto\", which is " + expected));
  }
  std::remove(path.c_str());
  std::remove(beside.c_str());
  std::remove(directory.c_str());
}

TEST(Tool, ACheckpointsFp8KvCacheAllowsFp8Queries) {
  const std::string config = config_with(
      R"({"quantization_config": {"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}})");
  const Result result =
      run_with_config(config, "--device 10.0 --prefill-backend TRTLLM_RAGGED " + flag);
  EXPECT_THAT(explanation_of(result),
              StartsWith("data type: float8_e4m3fn\noutcome: quantized\nKV-cache dtype: \"auto\", "
                         "which is fp8_e4m3: the checkpoint was quantized for it\n"));
  // The operator's choice outranks it.
  EXPECT_THAT(run_with_config(config, "--device 10.0 --kv-cache-dtype bfloat16 " + flag).out,
              StartsWith("data type: bfloat16\n"));
}

// Of llm-compressor's scheme it is known what vLLM does.
TEST(Tool, WhatACheckpointMeansDependsOnTheEngine) {
  const std::string scheme = config_with(
      R"({"quantization_config": {"quant_method": "compressed-tensors", "kv_cache_scheme":
          {"dynamic": false, "num_bits": 8, "type": "float"}}})");
  EXPECT_EQ(read_model(scheme).resolved_cache_dtype, "fp8_e4m3");
  EXPECT_EQ(read_model(scheme, "--engine sglang").resolved_cache_dtype, "bfloat16");
  EXPECT_THAT(run_with_config(scheme, "--device 10.0 --engine sglang").err,
              HasSubstr("whether SGLang goes by it is not known: set the KV-cache dtype"));
  const std::string modelopt = config_with(
      R"({"quantization_config": {"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}})");
  for (const std::string engine : {"vllm", "sglang", "tensorrt-llm"}) {
    EXPECT_EQ(read_model(modelopt, "--engine " + engine).resolved_cache_dtype, "fp8_e4m3");
  }
}

TEST(Tool, NotesWhatIsNotReadOfTheQuantization) {
  const auto note = [](const char* quantization_config) {
    return run_with_config(
               config_with(R"({"quantization_config": )" + std::string(quantization_config) + '}'),
               "--device 10.0")
        .err;
  };
  EXPECT_THAT(note(R"({"quant_method": "compressed-tensors", "kv_cache_scheme":
                       {"dynamic": true, "num_bits": 8, "type": "float"}})"),
              HasSubstr("is not static 8-bit float"));
  EXPECT_THAT(note(R"({"quant_method": "quark", "export": {"kv_cache_group": ["*kv_b_proj"]}})"),
              HasSubstr("Quark's kv_cache_group"));
  EXPECT_THAT(note(R"({"quant_method": "mine"})"), HasSubstr("\"mine\" is not known"));
  EXPECT_THAT(note(R"({"quant_method": "fp8"})"), IsEmpty());
}

TEST(Tool, AConfigThatCannotBeMeantIsAnErrorThatNamesFileAndField) {
  const auto expect = [](const Result& result, const char* names) {
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, AllOf(StartsWith("mla-dtype: --hf-config: "), ContainsRegex(names)));
    EXPECT_THAT(result.err, MatchesRegex("[ -~]*\n")) << "one line of plain text";
    EXPECT_LT(result.err.size(), 1000U);
  };
  for (const auto& [config, names] : {
           std::pair<std::string, const char*>("", "json: not JSON: .+"),
           {"{", "not JSON: .+"},
           {"[]", "json: an array is not accepted"},
           {"12", "json: 12 is not accepted; accepted: a JSON object"},
           {R"({"kv_lora_rank": 512} x)", "not JSON"},
           {R"({"kv_lora_rank": 512, })", "not JSON"},
           {"{\"kv_lora_rank\": 512, // comment\n}", "not JSON"},
           {"{\"kv_lora_rank\": 512, \"\xff\033\": 1}", "not JSON"},
           {R"({"kv_lora_rank": 1e999})", "not JSON: number overflow"},
           {"{\"" + std::string(100000, 'x'), "not JSON"},
           {R"({"kv_lora_rank": 512, "kv_lora_rank": 512})", "\"kv_lora_rank\" twice"},
           {R"({"kv_lora_rank": 512, "a": {"b": 1, "c": {"b": 1}, "b": 1}})", "\"b\" twice"},
           {R"({"v_head_dim": 128})",
            "model_type none is not covered: kv_lora_rank: none, so it has no "
            "Multi-head Latent Attention"},
           {R"({"kv_lora_rank": null})", "kv_lora_rank: none"},
           {config_with(R"({"use_mla": false})"), "not covered: use_mla is false"},
           {R"({"kv_lora_rank": 512, "text_config": {"v_head_dim": 8}})", "kv_lora_rank: none"},
           {R"({"kv_lora_rank": "512"})", "kv_lora_rank: \"512\" is not accepted"},
           {"{\"kv_lora_rank\": " + std::string(100000, '[') + std::string(100000, ']') + '}',
            "kv_lora_rank: an array is not accepted"},
           {R"({"kv_lora_rank": 512, "num_attention_heads": 0})",
            "num_attention_heads: 0 is not accepted; accepted: a whole number from 1 to"},
           {R"({"kv_lora_rank": 512, "num_attention_heads": "128"})",
            "num_attention_heads: \"128\""},
           {R"({"kv_lora_rank": 0})", "kv_lora_rank: 0 is not accepted"},
           {R"({"kv_lora_rank": 512, "v_head_dim": 0})", "v_head_dim: 0 is not accepted"},
           {R"({"kv_lora_rank": 512, "v_head_dim": -1})", "v_head_dim: -1 is not accepted"},
           {R"({"kv_lora_rank": 512, "v_head_dim": 1.5})", "v_head_dim: 1.5 is not accepted"},
           {R"({"kv_lora_rank": 512, "v_head_dim": true})", "v_head_dim: true is not accepted"},
           {R"({"kv_lora_rank": 512, "qk_nope_head_dim": 1e30})", "qk_nope_head_dim: 1e.30 is not"},
           {R"({"kv_lora_rank": 512, "qk_rope_head_dim": 2147483648})",
            "qk_rope_head_dim: 2147483648 is not accepted; accepted: a whole number from 1 to "
            "2147483647"},
           {R"({"kv_lora_rank": 512, "v_head_dim": 18446744073709551615})", "v_head_dim: 184"},
           {R"({"kv_lora_rank": 512, "v_head_dim": 99999999999999999999})", "v_head_dim: 1e.20"},
           {config_with(R"({"dtype": "int8"})"), "json: dtype: .*\"int8\" is not accepted"},
           {config_with(R"({"torch_dtype": "int8"})"), "json: torch_dtype: .*\"int8\""},
           {config_with(R"({"dtype": 16})"), "dtype: 16 is not accepted"},
           {config_with(R"({"dtype": ")" + std::string(100000, 'x') + "\"}"), "dtype: "},
           {R"({"kv_lora_rank": 512, "text_config": 5})", "text_config: 5 is not accepted"},
           {config_with(R"({"quantization_config": "x"})"), "quantization_config: \"x\""},
           {config_with(R"({"quantization_config": {"quant_method": 8}})"),
            "quant_method: 8 is not accepted"},
           {config_with(R"({"quantization_config":
                {"quant_method": "modelopt", "quantization": []}})"),
            "quantization: an array is not accepted"},
           {config_with(R"({"quantization_config":
                {"quant_method": "modelopt", "kv_cache_scheme": 8}})"),
            "kv_cache_scheme: 8 is not accepted"},
           {config_with(R"({"quantization_config":
                {"quant_method": "modelopt", "kv_cache_quant_algo": "FP9"}})"),
            "kv_cache_quant_algo: \"FP9\" is not accepted; accepted: FP8 .nearest."},
       }) {
    SCOPED_TRACE(config.substr(0, 200));
    expect(run_with_config(config, ""), names);
  }
  expect(run("--hf-config /no/such/file"), "/no/such/file: cannot be read");
  expect(run("--hf-config" + quoted(::testing::TempDir())), "/config.json: cannot be read");
  expect(run("--hf-config ''"), "cannot be read");
  expect(run("--hf-config \"$(printf '\\033[31m\\n\\377')\""), "cannot be read");
}

}  // namespace
}  // namespace mla_dtype::tool
