// SPDX-License-Identifier: Apache-2.0

// The command-line tool, as a process of its own.

#include <gmock/gmock.h>
#include <mla_dtype/mla_dtype.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

using Json = nlohmann::ordered_json;

struct Result {
  int exit_code;
  std::string out, err;
};

std::string take(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  std::remove(path.c_str());
  return text.str();
}

std::string temporary_path() {
  return ::testing::TempDir() + "mla_dtype_tool_" + std::to_string(getpid());
}

// `arguments` as a shell would have them.
Result run(const std::string& arguments) {
  const std::string base = temporary_path();
  const std::string command =
      "'" MLA_DTYPE_TOOL "' " + arguments + " >'" + base + ".out' 2>'" + base + ".err'";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, take(base + ".out"), take(base + ".err")};
}

// One argument, for a shell. It has no single quotes in it.
std::string quoted(const std::string& argument) { return " '" + argument + "' "; }

// With the option naming a file of this content.
Result run_with_file(const std::string& option, const std::string& content,
                     const std::string& arguments) {
  const std::string path = temporary_path() + ".json";
  std::ofstream(path) << content;
  const Result result = run(option + quoted(path) + arguments);
  std::remove(path.c_str());
  return result;
}

Result run_with_config(const std::string& config, const std::string& arguments) {
  return run_with_file("--hf-config", config, arguments);
}

Result run_with_cost_model(const std::string& model, const std::string& arguments) {
  return run_with_file("--cost-model", model, arguments);
}

Json parse(const Result& result) {
  EXPECT_THAT(result.err, IsEmpty());
  EXPECT_EQ(result.out.back(), '\n');
  return Json::parse(result.out);
}

std::vector<std::string> keys(const Json& object) {
  std::vector<std::string> result;
  for (const auto& item : object.items()) result.push_back(item.key());
  return result;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) result.push_back(line);
  return result;
}

const std::string flag = "--use-prefill-query-quantization ";
const std::string fp8_on_b200 =
    "--kv-cache-dtype fp8 --device 10.0 --prefill-backend FLASHINFER --model-dtype float16 ";

TEST(Tool, Row1) {
  const Result result = run(fp8_on_b200 + flag);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out,
            "data type: float8_e4m3fn\noutcome: quantized\nKV-cache dtype: \"fp8\"\n"
            "prefill backend: FLASHINFER\n");
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
        {"--device 9.0 --kv-cache-dtype fp8", " On this device (sm_90) no setting helps"},
        {"--device gfx942:sramecc+:xnack- --kv-cache-dtype fp8", " On this device (gfx942)"},
        {"--device none", " On this device (no CUDA or ROCm device)"}}) {
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
            "'{\"use_prefill_query_quantization\": true}'\n");
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

TEST(Tool, AttentionConfigSaysWhatTheOptionsSay) {
  const std::string base = "--device 10.0 --kv-cache-dtype fp8 ";
  const auto same = [&](const std::string& json, const std::string& options) {
    SCOPED_TRACE(json);
    const Result result = run(base + "--attention-config" + quoted(json));
    const Result expected = run(base + options);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, expected.out);
    EXPECT_EQ(result.err, expected.err);
  };
  same("{}", "");
  same(R"({"use_prefill_query_quantization": true})", flag);
  same(R"({"use_prefill_query_quantization": false})", "");
  same(R"({"mla_prefill_backend": "FLASHINFER"})", "--prefill-backend FLASHINFER");
  same(R"({"mla_prefill_backend": "flash_attn"})", "--prefill-backend FLASH_ATTN");
  same(R"({"mla_prefill_backend": null})", "");
  same(R"({"use_prefill_query_quantization": true, "mla_prefill_backend": "TRTLLM_RAGGED"})",
       flag + "--prefill-backend TRTLLM_RAGGED");

  // Together with the options.
  const Result expected = run(base + flag + "--prefill-backend FLASHINFER");
  for (const char* const arguments :
       {"--use-prefill-query-quantization --attention-config "
        "'{\"mla_prefill_backend\": \"FLASHINFER\"}'",
        "--prefill-backend FLASHINFER --attention-config "
        "'{\"use_prefill_query_quantization\": true, \"mla_prefill_backend\": null}'",
        "--prefill-backend FLASHINFER --use-prefill-query-quantization --attention-config "
        "'{\"use_prefill_query_quantization\": true, \"mla_prefill_backend\": \"FLASHINFER\"}'"}) {
    EXPECT_EQ(run(base + arguments).out, expected.out) << arguments;
  }
}

TEST(Tool, AttentionConfigNotesTheKeysThatAreNotLookedAt) {
  const std::string json =
      R"({"flash_attn_version": 3, "a\n\"\u00e9": [{}], "mla_prefill_backend": "FLASHINFER"})";
  for (const std::string more : {"", "--json"}) {
    const Result result = run("--device 10.0 --attention-config" + quoted(json) + more);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, R"(mla-dtype: --attention-config: "a\n\"\u00e9" is not looked at)"
                          "\n"
                          R"(mla-dtype: --attention-config: "flash_attn_version" is not looked at)"
                          "\n");
  }
  EXPECT_THAT(lines(run("--device 9.9.9 --attention-config" + quoted(json)).err), SizeIs(1))
      << "a bad argument is all that is said";
}

TEST(Tool, AttentionConfigTakesNoMisspelledKeyForOneThatIsNotLookedAt) {
  const std::string use = "use_prefill_query_quantization", backend = "mla_prefill_backend";
  const auto expect = [](const std::string& key, const std::string& accepted) {
    SCOPED_TRACE(key);
    const Result result = run("--device 10.0 --attention-config" + quoted("{\"" + key + "\": 1}"));
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_EQ(result.err, "mla-dtype: --attention-config: \"" + key +
                              "\" is not accepted; accepted: " + accepted + '\n');
  };
  for (const char* const key :
       {"use_prefill_query_quantisation", "use_prefill_query_quantiztion",
        "use-prefill-query-quantization", "use_prefil_qeury_quantization",
        "Use_Prefill_Query_Quantization", "use_prefill_query_quantizationXYZ"}) {
    expect(key, use + " (nearest), " + backend);
  }
  for (const char* const key :
       {"mla_prefill_backnd", "mla_prefill_backends", "MLA-prefill-backend", "_prefill_backend"}) {
    expect(key, backend + " (nearest), " + use);
  }
}

TEST(Tool, AttentionConfigMayHoldTheOtherKeysOfVllm) {
  for (const std::string key :
       {"backend", "flash_attn_version", "use_prefill_decode_attention", "use_cudnn_prefill",
        "use_trtllm_ragged_deepseek_prefill", "disable_flashinfer_prefill",
        "disable_flashinfer_q_quantization", "mla_decode_backend", "prefill_backend",
        "use_prefill_query_quantizationWXYZ", "", "x"}) {
    const Result result = run("--device 10.0 --attention-config" + quoted("{\"" + key + "\": 1}"));
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "mla-dtype: --attention-config: \"" + key + "\" is not looked at\n");
  }
  const std::string longest(100000, 'u');
  EXPECT_EQ(run("--device 10.0 --attention-config" + quoted("{\"" + longest + "\": 1}")).exit_code,
            0);
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
  EXPECT_EQ(run(base + "--decode-backend FlashMLA").out,
            run(base + "--decode-backend FLASHMLA").out);
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
  const Json decision = parse(run_with_config(config, "--device none --json " + options));
  const Json matrix = parse(run_with_config(config, "--device none --matrix --json " + options));
  EXPECT_EQ(matrix.at("model_dtype"), decision.at("model_dtype"));
  const Json& dimensions = matrix.at("mla_dimensions");
  EXPECT_THAT(keys(dimensions), ElementsAre("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"));
  return {decision.at("model_dtype"),
          decision.at("kv_cache_dtype").at("resolved"),
          {dimensions.begin()->get<int>(), dimensions.at("qk_rope_head_dim").get<int>(),
           dimensions.at("v_head_dim").get<int>()}};
}

TEST(Tool, TakesDimensionsAndDtypeFromTheConfigUnlessAnOptionSaysOtherwise) {
  const std::vector<int> defaults = {128, 64, 128};
  const auto expect = [](const char* config, const ReadModel& expected, const char* options = "") {
    SCOPED_TRACE(config);
    EXPECT_TRUE(read_model(config, options) == expected);
  };
  expect(R"({"kv_lora_rank": 512})", {"bfloat16", "bfloat16", defaults});
  expect(R"({"kv_lora_rank": 512, "qk_nope_head_dim": 192, "qk_rope_head_dim": 32,
             "v_head_dim": 256, "dtype": "float16"})",
         {"float16", "float16", {192, 32, 256}});
  expect(R"({"kv_lora_rank": 512, "v_head_dim": null, "torch_dtype": "float32", "dtype": null})",
         {"float32", "float32", defaults});
  expect(R"({"kv_lora_rank": 512, "dtype": "auto"})", {"bfloat16", "bfloat16", defaults});
  expect(R"({"kv_lora_rank": 512, "dtype": "float16", "torch_dtype": "float32"})",
         {"float16", "float16", defaults});
  // Multimodal.
  expect(R"({"text_config": {"kv_lora_rank": 512, "v_head_dim": 64, "dtype": "float16"},
             "v_head_dim": 9, "vision_config": {"v_head_dim": 8}})",
         {"float16", "float16", {128, 64, 64}});
  expect(R"({"text_config": {"kv_lora_rank": 512}, "torch_dtype": "float16"})",
         {"float16", "float16", defaults});
  expect(R"({"text_config": {"kv_lora_rank": 512, "dtype": "float32"}, "torch_dtype": "float16"})",
         {"float16", "float16", defaults});
  expect(R"({"text_config": null, "kv_lora_rank": 512})", {"bfloat16", "bfloat16", defaults});
  // Options.
  expect(R"({"kv_lora_rank": 512, "qk_nope_head_dim": 192, "v_head_dim": 256, "dtype": "int8"})",
         {"float16", "float16", {64, 32, 256}},
         "--model-dtype float16 --qk-nope-head-dim 64 --qk-rope-head-dim 32");
  expect(R"({"kv_lora_rank": 512, "dtype": "float16"})", {"bfloat16", "bfloat16", {128, 64, 1}},
         "--model-dtype bfloat16 --v-head-dim 1");
}

TEST(Tool, ReadsTheConfigOfADirectory) {
  const std::string directory = temporary_path() + ".model", path = directory + "/config.json";
  ASSERT_EQ(mkdir(directory.c_str(), 0700), 0);
  std::ofstream(path) << R"({"kv_lora_rank": 512, "dtype": "float16", "v_head_dim": 0})";
  for (const std::string slash : {"", "/"}) {
    const Result bad = run("--device none --hf-config" + quoted(directory + slash));
    EXPECT_EQ(bad.exit_code, 2);
    EXPECT_THAT(bad.err, HasSubstr("--hf-config: " + path + ": v_head_dim: 0 is not accepted"));
  }
  std::ofstream(path) << R"({"kv_lora_rank": 512, "dtype": "float16"})";
  EXPECT_THAT(run("--device none --hf-config" + quoted(directory)).out,
              StartsWith("data type: float16\n"));
  std::remove(path.c_str());
  EXPECT_THAT(run("--device none --hf-config" + quoted(directory)).err,
              HasSubstr(path + ": cannot be read"));
  std::remove(directory.c_str());
}

TEST(Tool, DimensionsCountInTheDecision) {
  const std::string arguments = "--device 10.0 --kv-cache-dtype fp8 " + flag;
  const Result result =
      run_with_config(R"({"kv_lora_rank": 512, "qk_nope_head_dim": 192, "v_head_dim": 256})",
                      arguments + "--prefill-backend FLASHINFER");
  EXPECT_THAT(result.out,
              HasSubstr("blocker: Prefill backend FLASHINFER does not take the head dimensions "
                        "(qk_nope, qk_rope, v) (192, 64, 256)"));
  EXPECT_EQ(
      run(arguments + "--prefill-backend FLASHINFER --qk-nope-head-dim 192 --v-head-dim 256").out,
      result.out);
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
       }) {
    SCOPED_TRACE(quantization_config);
    const std::string own = R"("quantization_config": )" + quantization_config;
    EXPECT_EQ(read_model(R"({"kv_lora_rank": 512, )" + own + "}").resolved_cache_dtype, expected);
    EXPECT_EQ(
        read_model(R"({"text_config": {"kv_lora_rank": 512, )" + own + "}}").resolved_cache_dtype,
        expected);
    EXPECT_EQ(
        read_model(R"({"text_config": {"kv_lora_rank": 512}, )" + own + "}").resolved_cache_dtype,
        expected);
  }
}

TEST(Tool, ACheckpointsFp8KvCacheAllowsFp8Queries) {
  const std::string config =
      R"({"kv_lora_rank": 512,
          "quantization_config": {"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}})";
  const Result result = run_with_config(config, "--device 10.0 " + flag);
  EXPECT_THAT(lines(result.out),
              ElementsAre("data type: float8_e4m3fn", "outcome: quantized",
                          "KV-cache dtype: \"auto\", which is fp8_e4m3: the checkpoint was "
                          "quantized for it",
                          "prefill backend: TRTLLM_RAGGED", StartsWith("rejected: FLASH_ATTN: ")));
  // The operator's choice outranks it.
  EXPECT_THAT(run_with_config(config, "--device 10.0 --kv-cache-dtype bfloat16 " + flag).out,
              StartsWith("data type: bfloat16\n"));
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
           std::pair<std::string, const char*>("", "json: not JSON: .*unexpected end"),
           {"{", "not JSON: .*line 1, column 2"},
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
           {R"({"v_head_dim": 128})", "kv_lora_rank: none .*Multi-head Latent Attention"},
           {R"({"kv_lora_rank": null})", "kv_lora_rank: none"},
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
           {R"({"kv_lora_rank": 512, "dtype": "int8"})", "json: dtype: .*\"int8\" is not accepted"},
           {R"({"kv_lora_rank": 512, "torch_dtype": "int8"})", "json: torch_dtype: .*\"int8\""},
           {R"({"kv_lora_rank": 512, "dtype": 16})", "dtype: 16 is not accepted"},
           {R"({"kv_lora_rank": 512, "dtype": ")" + std::string(100000, 'x') + "\"}", "dtype: "},
           {R"({"kv_lora_rank": 512, "text_config": 5})", "text_config: 5 is not accepted"},
           {R"({"kv_lora_rank": 512, "quantization_config": "x"})", "quantization_config: \"x\""},
           {R"({"kv_lora_rank": 512, "quantization_config": {"quant_method": 8}})",
            "quant_method: 8 is not accepted"},
           {R"({"kv_lora_rank": 512, "quantization_config":
                {"quant_method": "modelopt", "quantization": []}})",
            "quantization: an array is not accepted"},
           {R"({"kv_lora_rank": 512, "quantization_config":
                {"quant_method": "modelopt", "kv_cache_scheme": 8}})",
            "kv_cache_scheme: 8 is not accepted"},
           {R"({"kv_lora_rank": 512, "quantization_config":
                {"quant_method": "modelopt", "kv_cache_quant_algo": "FP9"}})",
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

// What is predicted.

const std::string fp8_kv_cache = "--device 10.0 --kv-cache-dtype fp8 ";

std::string break_even_line(std::optional<std::int64_t> isl) {
  if (!isl) {
    return "break-even: none: there is no ISL from which on FP8 prefill attention is predicted to "
           "be faster";
  }
  return "break-even: FP8 prefill attention is predicted to be faster from ISL " +
         std::to_string(*isl) +
         " on; below, quantizing queries, keys and values may cost more than it gains";
}

TEST(Tool, SaysWhatIsPredictedAndWhy) {
  const PrefillCostModel& model = h100_prefill_cost_model();
  for (const int isl : {1000, 20000}) {
    for (const std::string request : {"", "--use-prefill-query-quantization "}) {
      const std::string arguments =
          fp8_kv_cache + request + "--cost-model h100 --expected-isl " + std::to_string(isl);
      SCOPED_TRACE(arguments);
      EngineConfig config;
      config.cache_config.cache_dtype = "fp8";
      config.attention_config.use_prefill_query_quantization = !request.empty();
      config.attention_config.expected_isl = isl;
      Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
      env.predict_prefill_speedup = make_prefill_speedup_predictor(model);
      const std::string explanation =
          to_string(explain_prefill_query_data_type(config, DataType::bfloat16, env));
      ASSERT_THAT(lines(explanation).back(), StartsWith("prediction: At the expected ISL of "));

      const Result result = run(arguments);
      EXPECT_EQ(result.exit_code, 0);
      EXPECT_THAT(result.out,
                  StartsWith(explanation + '\n' + break_even_line(break_even_isl(model)) +
                             "\ncost model: " + model.source + '\n'));
      EXPECT_THAT(run(arguments + " --decode-backend FLASHMLA").out, StartsWith(result.out));
    }
  }
}

TEST(Tool, TheModeAutomaticAsksForWhatIsPredictedToBeFaster) {
  const std::string automatic = fp8_kv_cache + "--prefill-query-mode automatic --cost-model H100 ";
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
  EXPECT_EQ(
      parse(run(arguments + "--cost-model h100 --prefill-query-mode required")).at("prediction"),
      nullptr)
      << "nothing to decide";
}

TEST(Tool, SaysWhoseCostModelItTakes) {
  const std::string isl = "--expected-isl 2000 ";
  const Result on_h100 = run(isl + "--device 9.0");
  EXPECT_EQ(on_h100.exit_code, 0);
  EXPECT_EQ(on_h100.out, run(isl + "--device 9.0 --cost-model h100").out);
  EXPECT_EQ(on_h100.err, "mla-dtype: no --cost-model was given: it is that of " +
                             h100_prefill_cost_model().source +
                             "; other devices of its capability, such as H20, differ\n");
  EXPECT_THAT(run(isl + "--device 9.0 --cost-model h100").err, IsEmpty());

  for (const std::string device : {"8.9", "10.0", "gfx90a", "none"}) {
    const Result other = run(isl + "--device " + device);
    EXPECT_EQ(other.exit_code, 0);
    EXPECT_EQ(other.out, run("--device " + device).out) << "nothing is predicted";
    EXPECT_EQ(other.err, "mla-dtype: --expected-isl: no cost model of device " +
                             to_string(device == "none" ? Platform{} : parse_platform(device)) +
                             " is known, so nothing is predicted: --cost-model gives one\n");
    EXPECT_EQ(Json::parse(run(isl + "--json --device " + device).out).at("prediction"), nullptr);
  }
}

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
                                        "points", "break_even_isl"));
    EXPECT_EQ(json.at("schema"), 1);
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
      run_with_config(R"({"kv_lora_rank": 512, "qk_nope_head_dim": 192, "v_head_dim": 256})", curve)
          .out,
      run(curve + "--qk-nope-head-dim 192 --v-head-dim 256").out);
  EXPECT_NE(run(curve + "--qk-nope-head-dim 192 --v-head-dim 256").out, run(curve).out);
}

TEST(Tool, TheCurveIsThatOfAnH100UnlessToldOtherwise) {
  const Result result = run("--curve");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, run("--curve --cost-model h100").out);
  EXPECT_THAT(result.err, MatchesRegex("mla-dtype: no --cost-model was given: [ -~]*H20[ -~]*\n"));
  EXPECT_EQ(run("--curve --device sm_90a").out, result.out);
  EXPECT_EQ(run("--curve --device sm_90a").err, result.err);
  EXPECT_EQ(run("--curve --device 10.0 --cost-model h100").out, result.out);
}

// The plan.

const std::string fp8_plan =
    "--device 10.0 --kv-cache-dtype fp8 --decode-backend FLASHMLA --kv-scales calibrated " + flag;

// What the library answers for an operator who gives nothing but these.
AttentionPlan plan_of(const EngineConfig& config, const char* device, const char* decode_backend,
                      DataType model_dtype = DataType::bfloat16) {
  const Platform platform = parse_platform(device);
  return plan_attention_data_types(config, model_dtype,
                                   make_environment(platform, vllm_prefill_backends()),
                                   make_decode_environment(platform, decode_backend));
}

// The part of the output that is the plan, and the part before it.
std::pair<std::string, std::string> explanation_and_plan(const Result& result) {
  const std::size_t at = result.out.find("\n\n");
  if (at == std::string::npos) return {result.out, {}};
  return {result.out.substr(0, at + 1), result.out.substr(at + 2)};
}

TEST(Tool, PrintsThePlanAfterTheExplanation) {
  struct Case {
    const char *device, *cache_dtype, *decode_backend;
  };
  for (const auto& [device, cache_dtype, decode_backend] :
       {Case{"10.0", "fp8", "FLASHMLA"}, Case{"10.3", "fp8_e4m3", "FLASHINFER_MLA"},
        Case{"9.0", "fp8_ds_mla", "FLASHMLA"}, Case{"9.0", "fp8", "TRITON_MLA"},
        Case{"9.0", "auto", "FLASHATTN_MLA"}, Case{"gfx950", "fp8", "ROCM_AITER_MLA"}}) {
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
      EXPECT_EQ(explanation, run(arguments).out);
      EXPECT_THAT(explanation, StartsWith(to_string(plan.prefill) + '\n'));
      EXPECT_EQ(text, to_string(plan) + '\n');
      std::string cautions;
      for (const Caution& caution : plan.cautions)
        cautions += "[warning] " + caution.sentence + '\n';
      EXPECT_EQ(result.err, run(arguments).err + cautions) << "the plan's records";
    }
  }
}

TEST(Tool, ThePlansExplanationIsShown) {
  // A plan answers for the output, too.
  const std::string arguments =
      "--device 10.0 --kv-cache-dtype fp8 --model-dtype float16 "
      "--prefill-backend TRTLLM_RAGGED " +
      flag;
  EXPECT_THAT(run(arguments).out, StartsWith("data type: float8_e4m3fn\n"));
  const Result planned = run(arguments + "--decode-backend FLASHMLA");
  EXPECT_EQ(planned.exit_code, 0);
  EXPECT_THAT(planned.out, AllOf(StartsWith("data type: float16\noutcome: request_refused\n"),
                                 HasSubstr("\nblocker: Prefill backend TRTLLM_RAGGED does not "
                                           "write float16")));
  EXPECT_THAT(planned.err, StartsWith("[info] Unable to perform FP8 prefill attention"));
  const Json json = parse(run(arguments + "--json --decode-backend FLASHMLA"));
  EXPECT_EQ(json.at("data_type"), "float16");
  EXPECT_EQ(json.at("plan").at("prefill_query").at("data_type"), "float16");
  EXPECT_EQ(json.at("blockers").at(0).at("kind"), "output_dtype");

  const Result required =
      run(arguments + "--prefill-query-mode required --decode-backend FLASHMLA");
  EXPECT_EQ(required.exit_code, 3);
  EXPECT_THAT(required.out, StartsWith("data type: float16\noutcome: request_refused\n"));
  EXPECT_THAT(explanation_and_plan(required).second, IsEmpty());
  EXPECT_THAT(required.err, MatchesRegex("mla-dtype: FP8 prefill queries are required [ -~]*\n"));
}

TEST(Tool, APlanThatNoKernelCanRunIsExitCode3) {
  for (const auto& [arguments, why] :
       {std::pair<std::string, std::string>(
            "--device 9.0 --kv-cache-dtype fp8 --decode-backend FLASHATTN_MLA",
            "Decode backend FLASHATTN_MLA does not read a KV cache of dtype .fp8. "),
        {"--device 10.0 --kv-cache-dtype nvfp4 --decode-backend FLASHMLA", "dtype .nvfp4."},
        {"--device none --kv-cache-dtype fp8 --decode-backend FLASHMLA", "no CUDA or ROCm device"},
        {"--device 10.0 --kv-cache-dtype fp8 --decode-backend CUTLASS_MLA --kv-scales calibrated",
         "CUTLASS_MLA"},
        {"--device gfx942 --prefill-backend FLASHINFER --decode-backend TRITON_MLA",
         "FLASHINFER"}}) {
    SCOPED_TRACE(arguments);
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_EQ(result.out, run(arguments.substr(0, arguments.find("--decode-backend"))).out)
        << "as without the option";
    EXPECT_THAT(result.err, MatchesRegex("mla-dtype: [ -~]*" + why + "[ -~]*\n"));

    const Result json = run(arguments + " --json");
    EXPECT_EQ(json.exit_code, 3);
    EXPECT_EQ(json.err, result.err);
    EXPECT_EQ(Json::parse(json.out).at("refused"), true);
    EXPECT_EQ(Json::parse(json.out).at("plan"), nullptr);
    EXPECT_EQ(Json::parse(json.out).at("log"), Json::array());
  }
}

TEST(Tool, JsonHoldsThePlan) {
  EngineConfig config;
  config.cache_config.cache_dtype = "fp8";
  config.cache_config.kv_scales = KvScales::unit;
  config.attention_config.use_prefill_query_quantization = true;
  const AttentionPlan plan = plan_of(config, "10.0", "FLASHMLA");

  const Json json = parse(
      run("--json --device 10.0 --kv-cache-dtype fp8 --decode-backend FLASHMLA --kv-scales unit " +
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
  const std::string plan = "--json " + fp8_plan;
  EXPECT_EQ(bytes(run(plan + "--kv-lora-rank 256")), (256 + 64) * 2);
  EXPECT_EQ(bytes(run_with_config(R"({"kv_lora_rank": 1024})", plan)), (1024 + 64) * 2);
  EXPECT_EQ(bytes(run_with_config(R"({"text_config": {"kv_lora_rank": 1024}})", plan)),
            (1024 + 64) * 2);
  EXPECT_EQ(bytes(run_with_config(R"({"kv_lora_rank": 1024})", plan + "--kv-lora-rank 512")), 1152);

  const Json spread = parse(run(plan + "--decode-context-parallel-size 2")).at("plan");
  EXPECT_EQ(spread.at("prefill_query").at("data_type"), "bfloat16");
  EXPECT_EQ(spread.at("chunked_prefill_workspace").at("data_type"), "bfloat16");
}

TEST(Tool, VetoesCountWithoutAPlan) {
  const std::string base = "--device 10.0 --kv-cache-dtype fp8 " + flag;
  const auto expect = [](const Result& result, const char* kind) {
    EXPECT_EQ(result.exit_code, 0);
    const Json json = parse(result);
    EXPECT_EQ(json.at("outcome"), "request_refused");
    ASSERT_THAT(json.at("blockers"), SizeIs(1));
    EXPECT_EQ(json.at("blockers").at(0).at("kind"), kind);
  };
  expect(run("--json --kv-scales dynamic " + base), "dynamic_kv_scales");
  expect(run("--json --decode-context-parallel-size 2 " + base), "decode_context_parallel");
  for (const std::string harmless :
       {"--kv-scales unit", "--kv-scales calibrated", "--kv-scales unknown",
        "--decode-context-parallel-size 1", "--num-attention-heads 64"}) {
    EXPECT_EQ(run(base + harmless).out, run(base).out) << harmless;
  }
}

// No row of the library's tables asks for the number of heads: it is read, and changes nothing.
TEST(Tool, TakesTheNumberOfHeads) {
  const Result expected = run(fp8_plan);
  EXPECT_EQ(run(fp8_plan + "--num-attention-heads 16").out, expected.out);
  const std::string config = R"({"kv_lora_rank": 512, "num_attention_heads": 100})";
  EXPECT_EQ(run_with_config(config, fp8_plan).out, expected.out);
  EXPECT_EQ(run_with_config(config, fp8_plan + "--num-attention-heads 16").out, expected.out);
}

TEST(Tool, MatrixTakesTheModelAndItsRanks) {
  const std::string matrix = "--matrix --device 10.0 ";
  const std::string all = run(matrix).out;
  EXPECT_EQ(run(matrix + "--kv-lora-rank 256 --num-attention-heads 16").out, all)
      << "no row asks for them";
  for (const std::string veto : {"--decode-context-parallel-size 2", "--kv-scales dynamic"}) {
    const Result result = run(matrix + veto);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, Not(HasSubstr("  FP8"))) << veto;
  }
}

// The cells of the table: KV-cache dtype, backend, and `FP8` or `-`.
std::map<std::pair<std::string, std::string>, std::string> table(const std::string& text) {
  std::map<std::pair<std::string, std::string>, std::string> result;
  const std::vector<std::string> rows = lines(text);
  std::vector<std::string> backends;
  for (std::size_t row = 0; row < rows.size() && !rows[row].empty(); ++row) {
    EXPECT_NE(rows[row].back(), ' ');
    std::istringstream words(rows[row]);
    std::string name, word;
    words >> name;
    if (row == 0) words >> name;  // KV-cache dtype
    for (std::size_t column = 0; words >> word; ++column) {
      if (row == 0) {
        backends.push_back(word);
        continue;
      }
      EXPECT_EQ(rows[row].find(word, rows[0].find(backends.at(column))),
                rows[0].find(backends.at(column)))
          << "aligned";
      result[{name, backends.at(column)}] = word;
    }
  }
  return result;
}

TEST(Tool, MatrixShowsWhereQueriesAreFp8) {
  const std::vector<std::string> on_blackwell = {"TRTLLM_RAGGED", "FLASHINFER", "TOKENSPEED_MLA",
                                                 "TRTLLM_FMHA"};
  for (const auto& [device, fp8_backends] :
       {std::pair<std::string, std::vector<std::string>>("10.0", on_blackwell),
        {"9.0", {"TRTLLM_FMHA"}},
        {"gfx942", {}},
        {"none", {}}}) {
    SCOPED_TRACE(device);
    const Result result = run("--matrix --device " + device);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.err, IsEmpty());
    std::set<std::pair<std::string, std::string>> fp8, expected;
    const auto cells = table(result.out);
    EXPECT_THAT(cells, SizeIs(18 * 6));
    for (const auto& [cell, word] : cells) {
      if (word == "FP8") fp8.insert(cell);
      EXPECT_THAT(word, ::testing::AnyOf("FP8", "-"));
    }
    for (const std::string& backend : fp8_backends) {
      expected.insert({{"fp8", backend}, {"fp8_e4m3", backend}});
    }
    EXPECT_EQ(fp8, expected);
    EXPECT_THAT(result.out,
                HasSubstr("\nFLASH_ATTN: Prefill backend FLASH_ATTN does not take FP8 queries.\n"));
    EXPECT_THAT(result.out, HasSubstr("\nevery backend: KV-cache dtype nvfp4 is quantized, but "));
    std::set<std::string> sentences;
    for (const std::string& line : lines(result.out.substr(result.out.find("\n\n") + 2))) {
      EXPECT_TRUE(sentences.insert(line.substr(line.find(": "))).second) << "twice: " << line;
    }
  }
}

TEST(Tool, MatrixIsOfTheModel) {
  const std::string on_b200 = "--matrix --device 10.0 ";
  const auto fp8 = [](const Result& result, const char* cache_dtype, const char* backend) {
    return table(result.out).at({cache_dtype, backend}) == "FP8";
  };
  const Result wide = run(on_b200 + "--qk-nope-head-dim 192 --v-head-dim 256");
  EXPECT_TRUE(fp8(wide, "fp8", "TRTLLM_RAGGED"));
  EXPECT_FALSE(fp8(wide, "fp8", "FLASHINFER"));
  EXPECT_THAT(wide.out, HasSubstr("\nFLASHINFER: Prefill backend FLASHINFER does not take the head "
                                  "dimensions (qk_nope, qk_rope, v) (192, 64, 256)"));
  EXPECT_FALSE(fp8(run(on_b200 + "--model-dtype float32"), "fp8", "TRTLLM_RAGGED"));
  const Result checkpoint = run_with_config(
      R"({"kv_lora_rank": 512,
          "quantization_config": {"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}})",
      on_b200);
  EXPECT_TRUE(fp8(checkpoint, "auto", "FLASHINFER"));
  EXPECT_FALSE(fp8(run(on_b200), "auto", "FLASHINFER"));
}

TEST(Tool, MatrixAsJsonHoldsTheSame) {
  const auto cells = table(run("--matrix --device 10.0").out);
  const Json json = parse(run("--matrix --device 10.0 --json"));
  EXPECT_THAT(keys(json),
              ElementsAre("schema", "device", "model_dtype", "mla_dimensions", "cells"));
  EXPECT_EQ(json.at("schema"), 1);
  EXPECT_EQ(json.at("device"), "sm_100");
  EXPECT_EQ(json.at("model_dtype"), "bfloat16");
  EXPECT_EQ(json.at("cells").size(), cells.size());
  for (const Json& cell : json.at("cells")) {
    EXPECT_THAT(keys(cell),
                ElementsAre("prefill_backend", "kv_cache_dtype", "data_type", "blockers"));
    const bool fp8 = cell.at("data_type") == "float8_e4m3fn";
    EXPECT_TRUE(fp8 || cell.at("data_type") == "bfloat16");
    EXPECT_EQ(cells.at({cell.at("kv_cache_dtype"), cell.at("prefill_backend")}), fp8 ? "FP8" : "-");
    EXPECT_EQ(cell.at("blockers").empty(), fp8);
    for (const Json& blocker : cell.at("blockers")) {
      EXPECT_THAT(keys(blocker), ElementsAre("kind", "value", "sentence"));
    }
  }
}

TEST(Tool, JsonHoldsTheExplanation) {
  const Result result =
      run("--json --device 10.0 --model-dtype float16 --prefill-backend FLASH_ATTN " + flag);
  EXPECT_EQ(result.exit_code, 0);
  const Json json = parse(result);
  EXPECT_EQ(result.out, json.dump(2) + '\n') << "two spaces";
  EXPECT_THAT(keys(json), ElementsAre("schema", "device", "model_dtype", "data_type", "outcome",
                                      "facts", "kv_cache_dtype", "prefill_backend", "blockers",
                                      "remedies", "nothing_helps", "hint", "prediction",
                                      "rejected_prefill_backends", "log", "refused", "plan"));
  EXPECT_EQ(json.at("schema"), 1);
  EXPECT_EQ(json.at("device"), "sm_100");
  EXPECT_EQ(json.at("model_dtype"), "float16");
  EXPECT_EQ(json.at("data_type"), "float16");
  EXPECT_EQ(json.at("outcome"), "request_refused");
  EXPECT_EQ(json.at("facts").dump(),
            R"({"kv_cache_quantized":false,"requested":true,"backend_supports":false})");
  EXPECT_EQ(json.at("kv_cache_dtype").dump(),
            R"({"requested":"auto","resolved":"float16","reason":"it is the model's data type"})");
  EXPECT_EQ(json.at("prefill_backend"), "FLASH_ATTN");
  EXPECT_EQ(json.at("blockers").dump(),
            R"([{"kind":"kv_cache_not_quantized","value":"auto","sentence":)"
            R"("The KV cache is not quantized: the KV-cache dtype is \"auto\"."},)"
            R"({"kind":"backend_without_fp8","value":"FLASH_ATTN","sentence":)"
            R"("Prefill backend FLASH_ATTN does not take FP8 queries."}])");
  EXPECT_THAT(keys(json.at("remedies").at(0)),
              ElementsAre("request", "cache_dtype", "prefill_backend", "spelling"));
  EXPECT_EQ(json.at("remedies").at(0).at("request"), false);
  EXPECT_EQ(json.at("remedies").at(0).at("cache_dtype"), "fp8");
  EXPECT_EQ(json.at("remedies").at(0).at("prefill_backend"), "TRTLLM_RAGGED");
  EXPECT_EQ(json.at("nothing_helps"), nullptr);
  EXPECT_EQ(json.at("hint"), nullptr);
  EXPECT_EQ(json.at("prediction"), nullptr);
  EXPECT_EQ(json.at("rejected_prefill_backends"), Json::array());
  ASSERT_THAT(json.at("log"), SizeIs(1));
  EXPECT_THAT(keys(json.at("log").at(0)), ElementsAre("level", "text"));
  EXPECT_EQ(json.at("log").at(0).at("level"), "info");
  EXPECT_EQ("[info] " + json.at("log").at(0).at("text").get<std::string>() + '\n',
            run("--device 10.0 --model-dtype float16 --prefill-backend FLASH_ATTN " + flag).err);
  EXPECT_EQ(json.at("refused"), false);
  EXPECT_EQ(json.at("plan"), nullptr);
}

TEST(Tool, JsonHasNullForWhatDoesNotApply) {
  const Json row3 = parse(run("--json " + fp8_on_b200));
  EXPECT_EQ(row3.at("remedies").dump(),
            R"([{"request":true,"cache_dtype":null,"prefill_backend":null,)"
            R"("spelling":"--attention-config '{\"use_prefill_query_quantization\": true, )"
            R"(\"mla_prefill_backend\": \"FLASHINFER\"}'"}])");
  EXPECT_EQ(row3.at("log").at(0).at("level"), "warning");

  const Json nothing = parse(run("--json --device none --model-dtype float32"));
  EXPECT_EQ(nothing.at("device"), "none");
  EXPECT_EQ(nothing.at("prefill_backend"), nullptr);
  EXPECT_THAT(nothing.at("nothing_helps").get<std::string>(), StartsWith("On this device "));
  EXPECT_THAT(nothing.at("rejected_prefill_backends"), SizeIs(5));
  EXPECT_EQ(nothing.at("log"), Json::array());

  const Json automatic = parse(run("--json --kv-cache-dtype fp8 --device 10.0"));
  EXPECT_THAT(automatic.at("hint").get<std::string>(), HasSubstr("TRTLLM_RAGGED does"));
  EXPECT_THAT(automatic.at("rejected_prefill_backends"), SizeIs(1));
  const Json& rejected = automatic.at("rejected_prefill_backends").at(0);
  EXPECT_THAT(keys(rejected), ElementsAre("name", "blockers"));
  EXPECT_EQ(rejected.at("name"), "ROCM_AITER_FA");
  EXPECT_EQ(rejected.at("blockers").at(0).at("kind"), "backend_device");
}

TEST(Tool, JsonSaysWhetherWhatIsRequiredIsRefused) {
  const Result refused = run("--json --device 10.0 --prefill-query-mode required");
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_EQ(Json::parse(refused.out).at("refused"), true);
  EXPECT_EQ(Json::parse(refused.out).at("log"), Json::array());
  EXPECT_THAT(refused.err, MatchesRegex("mla-dtype: FP8 prefill [ -~]*\n"));

  const Json met =
      parse(run("--json --device 10.0 --kv-cache-dtype fp8 --prefill-query-mode required"));
  EXPECT_EQ(met.at("refused"), false);
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

TEST(Tool, HelpAndVersion) {
  const Result help = run("--help");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* option : {"--device",
                             "--hf-config",
                             "--model-dtype",
                             "--qk-nope-head-dim",
                             "--qk-rope-head-dim",
                             "--v-head-dim",
                             "--kv-lora-rank",
                             "--num-attention-heads",
                             "--kv-scales",
                             "--decode-backend",
                             "--decode-context-parallel-size",
                             "--enable-chunked-prefill",
                             "--kv-cache-dtype",
                             "--use-prefill-query-quantization",
                             "--prefill-backend",
                             "--attention-config",
                             "--prefill-query-mode",
                             "--expected-isl",
                             "--cost-model",
                             "--curve",
                             "--context-tokens",
                             "--local-rank",
                             "--global-rank",
                             "--refused-request-level",
                             "--matrix",
                             "--json",
                             "--help",
                             "--version"}) {
    EXPECT_THAT(help.out, HasSubstr(option));
  }
  EXPECT_THAT(help.out, HasSubstr("3: FP8 prefill queries"));
  EXPECT_THAT(help.out, HasSubstr("or no kernel can run"));
  EXPECT_THAT(help.err, IsEmpty());
  const Result version = run("--version");
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out, "mla-dtype " MLA_DTYPE_PROJECT_VERSION "\n");
}

TEST(Tool, BadArgumentsAreOneClearLineAndExitCode2) {
  for (const auto& [arguments, names] :
       {std::pair<std::string, std::string>("--kv-cache-dtype fp9", "accepted: fp8 .nearest."),
        {"--kv-cache-dtype ''", "--kv-cache-dtype: "},
        {"--kv-cache-dtype", "--kv-cache-dtype"},
        {"--kv-cache-dtype fp8 --kv-cache-dtype auto", "--kv-cache-dtype"},
        {"--model-dtype int8", "--model-dtype: .*bfloat16"},
        {"--device sm_10.3", "--device: .*sm_103"},
        {"--device B200", "--device: .*gfx942"},
        {"--prefill-backend FLASHINFRE", "--prefill-backend: .*accepted: FLASHINFER .nearest."},
        {"--prefill-backend TRTLLM_FMHAA", "--prefill-backend: .*accepted: TRTLLM_FMHA .nearest."},
        {"--prefill-backend flashinfre", "--prefill-backend: .*\"flashinfre\".*: FLASHINFER .near"},
        {"--prefill-backend ''", "--prefill-backend: .*\"\""},
        {"--prefill-backend FLASHINFE", "--prefill-backend: .*\"FLASHINFE\""},
        {"--decode-backend FLASHMAL",
         "--decode-backend: .*\"FLASHMAL\" is not accepted; accepted: FLASHMLA .nearest., FLASHI"},
        {"--decode-backend ''", "--decode-backend: .*\"\" is not accepted; accepted: FLASHINFER_"},
        {"--decode-backend FLASHINFER", "--decode-backend: .*accepted: FLASHINFER_MLA .nearest."},
        {"--num-attention-heads 0", "--num-attention-heads"},
        {"--num-attention-heads ''", "--num-attention-heads"},
        {"--kv-lora-rank -1", "--kv-lora-rank"},
        {"--decode-context-parallel-size 0", "--decode-context-parallel-size"},
        {"--decode-context-parallel-size 99999999999", "--decode-context-parallel-size"},
        {"--enable-chunked-prefill=maybe", "--enable-chunked-prefill"},
        {"--kv-scales static", "--kv-scales: .*unknown,calibrated,unit,dynamic"},
        {"--model-dtype ''", "--model-dtype: "},
        {"--qk-nope-head-dim 0", "--qk-nope-head-dim"},
        {"--qk-rope-head-dim ''", "--qk-rope-head-dim"},
        {"--v-head-dim 128.5", "--v-head-dim"},
        {"--v-head-dim 99999999999", "--v-head-dim"},
        {"--prefill-query-mode always", "--prefill-query-mode: .*by_flag,required,automatic"},
        {"--prefill-query-mode automatic --cost-model h100",
         "--prefill-query-mode automatic: needs --expected-isl"},
        {"--prefill-query-mode automatic --expected-isl 2000 --device 10.0",
         "--prefill-query-mode automatic: no cost model of device sm_100 .*--cost-model gives one"},
        {"--cost-model h100", "--cost-model: needs --expected-isl or --curve"},
        {"--curve --device 10.0", "--curve: no cost model of device sm_100 .*--cost-model gives"},
        {"--curve --device none", "--curve: no cost model of device none .*--cost-model gives"},
        {"--curve --context-tokens -1", "--context-tokens: "},
        {"--curve --context-tokens ''", "--context-tokens: "},
        {"--context-tokens 8", "--context-tokens requires --curve"},
        {"--curve --model-dtype float16", "--model-dtype: not together with --curve"},
        {"--curve --kv-cache-dtype fp8", "--kv-cache-dtype: not together with --curve"},
        {"--curve --prefill-query-mode automatic", "--prefill-query-mode: not together with --cu"},
        {"--curve --num-attention-heads 64", "--num-attention-heads: not together with --curve"},
        {"--curve --matrix --device 9.0", "--curve: not together with --matrix"},
        {"--matrix --device 9.0 --expected-isl 8", "--expected-isl: not together with --matrix"},
        {"--matrix --device 9.0 --cost-model h100", "--cost-model: not together with --matrix"},
        {"--curve=1", "curve"},
        {"--expected-isl 0", "--expected-isl: "},
        {"--expected-isl ''", "--expected-isl: "},
        {"--expected-isl 2048.5", "--expected-isl: "},
        {"--expected-isl 99999999999999999999", "--expected-isl: "},
        {"--refused-request-level error", "--refused-request-level: .*info,warning"},
        {"--json=1", "json"},
        {"--matrix", "--matrix: needs --device"},
        {"--matrix --device 10.0 --kv-cache-dtype fp8", "--kv-cache-dtype: not together with"},
        {"--matrix --device 10.0 --attention-config '{}'", "--attention-config: not together"},
        {"--matrix --device 10.0 --decode-backend FLASHMLA", "--decode-backend: not together"},
        {"--matrix --device 10.0 --enable-chunked-prefill=false",
         "--enable-chunked-prefill: not together"},
        {"--attention-config ''", "--attention-config: not JSON"},
        {"--attention-config '{\"a\": 1,}'", "--attention-config: not JSON"},
        {"--attention-config '{} {}'", "--attention-config: not JSON"},
        {"--attention-config \"{\\\"$(printf '\\377')\\\": 1}\"", "--attention-config: not JSON"},
        {"--attention-config '[]'", "--attention-config: an array is not accepted"},
        {"--attention-config true", "--attention-config: true is not .*: a JSON object"},
        {"--attention-config '{\"use_prefill_query_quantization\": 1}'",
         "use_prefill_query_quantization: 1 is not accepted; accepted: true, false"},
        {"--attention-config '{\"use_prefill_query_quantization\": null}'",
         "use_prefill_query_quantization: null"},
        {"--attention-config '{\"mla_prefill_backend\": [\"FLASHINFER\"]}'",
         "mla_prefill_backend: an array is not accepted; accepted: the name of a prefill backend, "
         "null"},
        {"--attention-config '{\"mla_prefill_backend\": \"FLASHINFRE\"}'",
         "--attention-config: mla_prefill_backend: \"FLASHINFRE\" is not accepted; accepted: "
         "FLASHINFER .nearest."},
        {"--attention-config '{\"mla_prefill_backend\": \"auto\"}'",
         "--attention-config: mla_prefill_backend: \"auto\" is not accepted; accepted: ROCM_"},
        {"--attention-config '{\"mla_prefill_backend\": \"\"}'",
         "--attention-config: mla_prefill_backend: \"\" is not accepted"},
        {"--attention-config '{\"x\": {\"y\": 1, \"y\": 1}}'", "--attention-config: \"y\" twice"},
        {"--prefill-backend FLASH_ATTN --attention-config "
         "'{\"mla_prefill_backend\": \"FLASHINFER\"}'",
         "--prefill-backend says FLASH_ATTN, and --attention-config FLASHINFER"},
        {"--prefill-backend auto --attention-config '{\"mla_prefill_backend\": \"FLASHINFER\"}'",
         "--prefill-backend says auto, and --attention-config FLASHINFER"},
        {"--use-prefill-query-quantization=false --attention-config "
         "'{\"use_prefill_query_quantization\": true}'",
         "--use-prefill-query-quantization says false, and --attention-config true"},
        {"--local-rank -1", "local_rank: -1"},
        {"--global-rank -1", "global_rank: -1"},
        {"--local-rank one", "--local-rank"},
        {"--local-rank 99999999999", "--local-rank"},
        {"--local-rank ''", "--local-rank"},
        {"--global-rank=", "--global-rank"},
        {"--use-prefill-query-quantization=maybe", "--use-prefill-query-quantization"},
        {"--use-prefill-query-quantization=5", "--use-prefill-query-quantization"},
        {"--no-such-option", "--no-such-option"},
        {"stray", "stray"},
        {"\"$(printf '\\033[31m\\nstray\\377')\"", "stray"},
        {"--device \"$(printf '\\033[31m\\n\\377')\"", "--device"}}) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments;
    EXPECT_THAT(result.out, IsEmpty()) << arguments;
    EXPECT_THAT(result.err, AllOf(StartsWith("mla-dtype: "), ContainsRegex(names)));
    EXPECT_THAT(result.err, MatchesRegex("[ -~]*\n")) << "one line of plain text: " << arguments;
  }
}

TEST(Tool, NoValueIsRawInAMessage) {
  const std::string longest(100'000, '\x1b');
  const auto expect = [&](const char* option, std::size_t most_bytes) {
    for (const std::string& value :
         {std::string("{} %s {0}"), std::string("\x1b[2J\n\xff\xc2\x9b"), longest}) {
      const Result result = run(std::string(option) + '=' + quoted(value));
      EXPECT_EQ(result.exit_code, 2) << option;
      EXPECT_THAT(result.out, IsEmpty()) << option;
      EXPECT_THAT(result.err, AllOf(StartsWith("mla-dtype: "), MatchesRegex("[ -~]*\n"))) << option;
      EXPECT_LT(result.err.size(), most_bytes) << option;
    }
  };
  for (const char* const option : {"--kv-cache-dtype", "--model-dtype", "--device",
                                   "--prefill-backend", "--decode-backend", "--attention-config"}) {
    expect(option, 1000);
  }
  // Where the parser of the command line speaks, or a path is named, it is whole.
  for (const char* const option :
       {"--hf-config", "--kv-scales", "--prefill-query-mode", "--refused-request-level",
        "--kv-lora-rank", "--local-rank", "--use-prefill-query-quantization", "--no-such-option"}) {
    expect(option, longest.size() + 1000);
  }
  for (const std::string& key :
       {std::string(R"(\u0000\u001b[2J\u009b\u2028{} %s)"), std::string(100'000, '{')}) {
    const Result result = run("--device 10.0 --attention-config" + quoted("{\"" + key + "\": 1}"));
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.err, MatchesRegex("[ -~]* is not looked at\n"));
    EXPECT_LT(result.err.size(), 1000U);
  }
}

TEST(Tool, OutputThatCannotBeWrittenIsAnError) {
  const auto exit_code = [](const std::string& arguments) {
    const int status = std::system(("'" MLA_DTYPE_TOOL "' " + arguments).c_str());
    return WEXITSTATUS(status);
  };
  EXPECT_EQ(exit_code(fp8_on_b200 + ">/dev/full 2>/dev/null"), 1);
  EXPECT_EQ(exit_code(fp8_on_b200 + ">/dev/null 2>/dev/full"), 1);
  EXPECT_EQ(exit_code(fp8_on_b200 + "--json >/dev/full"), 1);
  EXPECT_EQ(exit_code("--device 10.0 --matrix >/dev/full"), 1);
  EXPECT_EQ(exit_code("--curve --cost-model h100 >/dev/full"), 1);
  EXPECT_EQ(exit_code("--curve >/dev/null 2>/dev/full"), 1);
  EXPECT_EQ(exit_code("--prefill-query-mode required >/dev/full 2>/dev/null"), 1);
  EXPECT_EQ(exit_code("--prefill-query-mode required >/dev/null 2>/dev/full"), 1);
  EXPECT_EQ(exit_code("--device 10.0 --decode-backend FLASHMLA >/dev/full 2>/dev/null"), 1);
}

}  // namespace
}  // namespace mla_dtype
