// SPDX-License-Identifier: Apache-2.0

// Without it, the tool could answer for other settings than the engine's command line makes, or
// drop one without a word.

#include <gmock/gmock.h>

#include <fstream>
#include <string>
#include <utility>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string r1 = quoted(MLA_DTYPE_CONFIGS "deepseek-ai--DeepSeek-R1");
const std::string v32 = quoted(MLA_DTYPE_CONFIGS "deepseek-ai--DeepSeek-V3.2");
const std::string on_b200 = "--device B200 --kv-scales calibrated ";

Json answer(const std::string& command, const std::string& model = r1) {
  return parse_answer(run(on_b200 + "--json --model" + model + "-- " + command));
}

int heads(const Json& json) { return json.at("model").at("heads_of_a_rank"); }

// What the fixture says of a command of a recipe, against the answer.
void expect_options(const Json& json, const Json& options) {
  const int divided_by =
      options.value("heads_divided_by", options.value("tensor_parallel_size", 1));
  if (!options.contains("enable_dp_attention") || options.contains("heads_divided_by")) {
    EXPECT_EQ(heads(json), 128 / divided_by);
  }
  EXPECT_EQ(json.at("kv_cache_dtype").at("requested"), options.value("kv_cache_dtype", "auto"));
  const Json attention = options.value("attention_config", Json::object());
  if (json.at("engine") == "vllm") {
    EXPECT_EQ(json.at("facts").at("requested"),
              attention.value("use_prefill_query_quantization", false));
  }
  if (options.contains("decode_backend")) {
    EXPECT_EQ(json.at("decode_backend"), options.at("decode_backend"));
  }
}

TEST(ToolCommandLine, IsUnderstoodAsRecipesHaveIt) {
  const Json all = Json::parse(std::ifstream(MLA_DTYPE_CONFIGS "../commands.json"));
  EXPECT_GT(all.size(), 50U);
  int declined = 0;
  for (const Json& recipe : all) {
    const std::string command = recipe.at("command"), engine = recipe.at("engine");
    SCOPED_TRACE(command);
    const Result result = run(on_b200 + "--json --model" + r1 + "-- " + command);
    if (result.exit_code == 2) {  // a backend of SGLang's of which nothing is known
      EXPECT_THAT(result.err, HasSubstr("nothing is known here"));
      ++declined;
      continue;
    }
    const Json json = parse_answer(result);
    EXPECT_EQ(json.at("engine"), engine);
    expect_options(json, recipe.at("options"));
  }
  EXPECT_LT(declined, 10);
}

TEST(ToolCommandLine, NamesTheEngine) {
  for (const auto& [command, engine] :
       {std::pair<std::string, std::string>("vllm serve X", "vllm"),
        {"/opt/venv/bin/vllm serve X", "vllm"},
        {"python -m vllm.entrypoints.openai.api_server --model X", "vllm"},
        {"docker run --gpus all vllm/vllm-openai:v0.24 --model X", "vllm"},
        {"python3 -m sglang.launch_server --model-path X", "sglang"},
        {"sglang serve --model-path X", "sglang"},
        {"A=1 trtllm-serve X", "tensorrt-llm"},
        {"trtllm-serve serve X", "tensorrt-llm"},
        {"srun bash -c 'trtllm-llmapi-launch trtllm-serve X --tp_size 8'", "tensorrt-llm"}}) {
    EXPECT_EQ(answer(command).at("engine"), engine) << command;
  }
  const std::string both = "--engine sglang --device B200 --model" + r1 + "-- vllm serve X";
  EXPECT_THAT(run(both).err, HasSubstr("--engine says sglang, and the command line is of vllm"));
  EXPECT_THAT(run("--device B200 -- llama-server -m X").err,
              HasSubstr("understood: vllm serve ..., python3 -m sglang.launch_server"));
  EXPECT_EQ(run("--device B200 --").exit_code, 2);
  EXPECT_THAT(run("--device B200 vllm serve X").err, HasSubstr("goes behind --"));
}

TEST(ToolCommandLine, NamesTheModel) {
  for (const std::string& command :
       {"vllm serve" + v32, "vllm serve --trust-remote-code" + v32, "vllm serve --model" + v32,
        "vllm serve --port 8000" + v32 + "-tp 8", "sglang serve --model-path" + v32,
        "trtllm-serve" + v32}) {
    const Json json = parse_answer(run("--device B200 --json -- " + command));
    EXPECT_EQ(json.at("model").at("model_type"), "deepseek_v32") << command;
  }
  EXPECT_EQ(answer("vllm serve" + v32).at("model").at("model_type"), "deepseek_v3")
      << "--model takes the place of a name";
  EXPECT_THAT(run("--device B200 -- vllm serve deepseek-ai/DeepSeek-R1").err,
              HasSubstr("give --model DIR"));
}

// As it is pasted in quotes, or behind `bash -c`.
TEST(ToolCommandLine, MayBeOneWord) {
  const Json expected = answer("vllm serve X -tp 8 --kv-cache-dtype fp8 -ac '{\"backend\": null}'");
  for (const char* const command :
       {R"('vllm serve X -tp 8 --kv-cache-dtype fp8')",
        R"("vllm serve 'X' \\
             -tp   8 --kv-cache-dtype fp8 -ac '{\"backend\": null}'")",
        R"(bash -c 'vllm serve X "-tp" 8 --kv-cache-dtype fp8 -ac {\"backend\":null}')",
        R"('docker run vllm/vllm-openai:v0.24 --model X -tp 8 --kv-cache-dtype fp8')",
        R"('vllm.entrypoints.openai.api_server --model X -tp 8 --kv-cache-dtype fp8')"}) {
    SCOPED_TRACE(command);
    const Json json = answer(command);
    EXPECT_EQ(heads(json), 16);
    EXPECT_EQ(json.at("plan"), expected.at("plan"));
  }
}

TEST(ToolCommandLine, DashesUnderscoresAndEqualsSignsAreOne) {
  const Json expected = answer(
      "vllm serve X --kv-cache-dtype fp8 --tensor-parallel-size 8 --attention-config "
      "'{\"use_prefill_query_quantization\": true, \"mla_prefill_backend\": "
      "\"TRTLLM_RAGGED\"}' --attention-backend TRITON_MLA");
  EXPECT_EQ(expected.at("data_type"), "float8_e4m3fn");
  EXPECT_EQ(expected.at("decode_backend"), "TRITON_MLA");
  for (const char* const command :
       {"vllm serve X --kv_cache_dtype=fp8 -tp 8 --attention_config.mla_prefill_backend "
        "TRTLLM_RAGGED --attention-config.use_prefill_query_quantization=true "
        "--attention-backend=TRITON_MLA",
        "vllm serve X -tp=8 --kv-cache-dtype=auto --kv-cache-dtype=fp8 "
        "-ac.mla_prefill_backend=TRTLLM_RAGGED -ac.use_prefill_query_quantization=True "
        "-ac.backend=TRITON_MLA",
        "vllm serve X -tp 8 --kv-cache-dtype fp8 -ac '{}' -ac "
        "'{\"use_prefill_query_quantization\": true, \"mla_prefill_backend\": \"TRTLLM_RAGGED\", "
        "\"backend\": \"TRITON_MLA\"}'"}) {
    const Json json = answer(command);
    for (const char* const key : {"data_type", "prefill_backend", "decode_backend", "plan"}) {
      EXPECT_EQ(json.at(key), expected.at(key)) << command;
    }
    EXPECT_EQ(heads(json), 16) << command;
  }
}

TEST(ToolCommandLine, WhatIsMeantOtherwiseIsNotIgnored) {
  for (const auto& [command, why] : {
           std::pair<std::string, std::string>("vllm serve X --kv-cache-dtyp fp8",
                                               "--kv-cache-dtyp is not known; if --kv-cache-dtype"),
           {"vllm serve X --tensor-parallel 8", "if --tensor-parallel-size is meant, write it so"},
           {"vllm serve X --kv-cache-dtype", "--kv-cache-dtype has no value"},
           {"vllm serve X --kv-cache-dtype=", "--kv-cache-dtype= has no value"},
           {"vllm serve X -tp ''", "-tp has no value"},
           {"vllm serve X --kv-cache-dtype fp9", "--kv-cache-dtype: .*fp8 .nearest."},
           {"vllm serve X -tp 3", "--tensor-parallel-size: 3 does not divide"},
           {"vllm serve X -tp 0x8", "--tensor-parallel-size: \"0x8\""},
           {"vllm serve X -ac '{}' -ac.mla_prefill_backend FLASHINFER", "give it once"},
           {"vllm serve X -ac '{\"mla_prefil_backend\": \"FLASHINFER\"}'", "mla_prefill_backend"},
           {"sglang serve --model-path X --tp 8 --dp 3 --enable-dp-attention",
            "8 ranks .--tp. cannot be divided by 3"},
           {"sglang serve --model-path X --tp 8 --attn-cp-size two", "attn-cp-size: \"two\""},
           {"sglang serve --model-path X --tp 8 --attn-cp-size 0", "attn-cp-size: \"0\""},
           {"sglang serve --model-path X --kv-cache-dtype fp8", "fp8_e4m3 .nearest."},
           {"sglang serve --model-path X --attention-backend flashinfer",
            "of SGLang's \"flashinfer\" nothing is known"},
           {"trtllm-serve X --kv_cache_dtype fp8_e4m3", "accepted: auto, fp8, nvfp4"},
       }) {
    const Result result = run(on_b200 + "--model" + r1 + "-- " + command);
    EXPECT_EQ(result.exit_code, 2) << command;
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, ContainsRegex(why)) << command;
  }
  const Result twice =
      run(on_b200 + "--kv-cache-dtype fp8 --model" + r1 + "-- vllm serve X --kv-cache-dtype auto");
  EXPECT_THAT(twice.err, HasSubstr("--kv-cache-dtype: given before -- and in the command line"));
}

TEST(ToolCommandLine, SwitchesAreTurnedOnAndOff) {
  const auto workspace = [](const std::string& options) {
    return answer("vllm serve X " + options).at("plan").at("chunked_prefill_workspace");
  };
  const Json on = workspace("");
  EXPECT_NE(on, nullptr);
  for (const char* const off : {"--no-enable-chunked-prefill", "--enable-chunked-prefill False",
                                "--enable_chunked_prefill=false"}) {
    EXPECT_EQ(workspace(off), nullptr) << off;
  }
  for (const char* const same : {"--enable-chunked-prefill", "--enable-chunked-prefill --port 1",
                                 "--no-enable-chunked-prefill --enable-chunked-prefill=true",
                                 "--no-enable-chunked-prefill=false"}) {
    EXPECT_EQ(workspace(same), on) << same;
  }
  EXPECT_EQ(workspace("--calculate-kv-scales=false"), on) << "else it is at odds with --kv-scales";
  const std::string sglang = "sglang serve --model-path X --chunked-prefill-size ";
  EXPECT_NE(answer(sglang + "8192").at("plan").at("chunked_prefill_workspace"), nullptr);
  EXPECT_EQ(answer(sglang + "-1").at("plan").at("chunked_prefill_workspace"), nullptr);
}

TEST(ToolCommandLine, VerboseNamesWhatIsIgnored) {
  const std::string command = "--model" + r1 +
                              "-- vllm serve X --port 8000 --enable-expert-parallel "
                              "--served-model-name 'a b' --kv-cache-dtype fp8";
  EXPECT_THAT(run(on_b200 + command).err, IsEmpty());
  EXPECT_THAT(
      lines(run(on_b200 + "--verbose " + command).err),
      ElementsAre("mla-dtype: ignored: --port 8000", "mla-dtype: ignored: --enable-expert-parallel",
                  "mla-dtype: ignored: --served-model-name 'a b'"));
}

TEST(ToolCommandLine, SglangDividesTheHeadsByItsGroups) {
  const std::string sglang = "sglang serve --model-path X --tp 8 ";
  EXPECT_EQ(heads(answer(sglang)), 16);
  EXPECT_EQ(heads(answer(sglang + "--dp 2")), 16) << "replicas";
  EXPECT_EQ(heads(answer(sglang + "--dp 2 --enable-dp-attention")), 32);
  EXPECT_EQ(heads(answer(sglang + "--dp-size=8 --enable-dp-attention")), 128);
  EXPECT_EQ(heads(answer(sglang + "--attn-cp-size 4")), 64);
}

TEST(ToolCommandLine, SglangHasBackendsForTwoPhases) {
  const std::string sglang = "sglang serve --model-path X --kv-cache-dtype fp8_e4m3 ";
  const Json both = answer(sglang + "--attention-backend trtllm_mla");
  EXPECT_EQ(both.at("prefill_backend"), "trtllm_mla");
  EXPECT_EQ(both.at("decode_backend"), "trtllm_mla");
  const Json two = answer(sglang +
                          "--attention-backend trtllm_mla "
                          "--decode-attention-backend cutedsl_mla");
  EXPECT_EQ(two.at("prefill_backend"), "trtllm_mla");
  EXPECT_EQ(two.at("decode_backend"), "cutedsl_mla");
  for (const std::string prefix : {"dsa", "nsa"}) {
    const Json sparse =
        answer(sglang + "--attention-backend " + prefix + " --" + prefix +
                   "-prefill-backend flashmla_sparse --" + prefix + "-decode-backend flashmla_kv",
               v32);
    EXPECT_EQ(sparse.at("prefill_backend"), "flashmla_sparse");
    EXPECT_EQ(sparse.at("decode_backend"), "flashmla_kv");
  }
  EXPECT_EQ(run(on_b200 + "--model" + v32 + "-- " + sglang + "--dsa-prefill-backend fa3").exit_code,
            2)
      << "of fa3 with sparse attention nothing is known";
}

// A YAML file as recipes have it.
class ToolCommandFile : public ::testing::Test {
 protected:
  void write(const std::string& yaml) { std::ofstream(path) << yaml; }
  void TearDown() override { std::remove(path.c_str()); }

  const std::string path = temporary_path() + ".yaml";
};

TEST_F(ToolCommandFile, OfTensorRtLlmIsReadIfItIsSimple) {
  write(
      "# a comment\ncuda_graph_config:\n  enable_padding: true\n  batch_sizes:\n  - 1\n"
      "kv_cache_config:\n  free_gpu_memory_fraction: 0.8\n  dtype: \"fp8\" # quoted\n"
      "moe_config: {backend: CUTLASS}\ntensor_parallel_size: 8\n");
  for (const std::string option : {"--extra_llm_api_options ", "--config="}) {
    const Json json = answer("trtllm-serve X " + option + path);
    EXPECT_EQ(json.at("kv_cache_dtype").at("requested"), "fp8");
    EXPECT_EQ(json.at("data_type"), "float8_e4m3fn");
    EXPECT_EQ(heads(json), 16);
  }
  write("enable_attention_dp: true\n");
  EXPECT_EQ(heads(answer("trtllm-serve X --tp_size 8 --config " + path)), 128);
  EXPECT_EQ(heads(answer("trtllm-serve X --tp_size 8 --config " + path +
                         " --set kv_cache_config.dtype=fp8")),
            128);
  EXPECT_EQ(answer("trtllm-serve X --set kv_cache_config.dtype=fp8").at("data_type"),
            "float8_e4m3fn");
}

TEST_F(ToolCommandFile, ThatIsNotReadIsNamed) {
  write("kv_cache_config: {dtype: fp8}\n");
  const auto err = [&](const std::string& command) {
    return run(on_b200 + "--model" + r1 + "-- " + command).err;
  };
  EXPECT_THAT(err("trtllm-serve X --config " + path),
              HasSubstr(path + ": kv_cache_config is not read"));
  write("{\n  \"kv_cache_config\": {\"dtype\": \"fp8\"}\n}\n");
  EXPECT_THAT(err("trtllm-serve X --config " + path), HasSubstr("the file is not read"));
  EXPECT_THAT(err("trtllm-serve X --config /"), HasSubstr("the file is not read"));
  EXPECT_THAT(err("trtllm-serve X --config /no/such.yaml"),
              HasSubstr("/no/such.yaml: the file is not read"));
  EXPECT_THAT(err("vllm serve X --config /no/such.yaml"), HasSubstr("the file is not read"));
}

TEST_F(ToolCommandFile, AgainstTheCommandLine) {
  write("kv-cache-dtype: fp8\ntensor_parallel_size: 4\n");
  const Json json = answer("vllm serve X --config " + path + " -tp 8");
  EXPECT_EQ(json.at("kv_cache_dtype").at("requested"), "fp8");
  EXPECT_EQ(heads(json), 16) << "vLLM's command line counts";
  const Result differ =
      run(on_b200 + "--model" + r1 + "-- trtllm-serve X --tp_size 8 --config " + path);
  EXPECT_EQ(differ.exit_code, 2);
  EXPECT_THAT(differ.err, AllOf(HasSubstr("--tensor-parallel-size is 4 in "),
                                HasSubstr("and 8 in the command line"), HasSubstr("give it once")));
}

TEST(ToolCommandLine, NotesWhatLiesElsewhere) {
  const auto err = [](const std::string& command) {
    return run(on_b200 + "--model" + r1 + "-- " + command).err;
  };
  EXPECT_THAT(err("VLLM_ATTENTION_BACKEND=FLASHINFER_MLA vllm serve X"),
              HasSubstr("VLLM_ATTENTION_BACKEND is not read"));
  EXPECT_THAT(err("vllm serve X --speculative-config '{\"model\": \"draft\"}'"),
              HasSubstr("not of the draft model"));
  EXPECT_THAT(err("vllm serve X --speculative-config '{\"method\": \"mtp\"}'"), IsEmpty());
}

}  // namespace
}  // namespace mla_dtype::tool
