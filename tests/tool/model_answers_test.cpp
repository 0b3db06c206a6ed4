// SPDX-License-Identifier: Apache-2.0

// Without it, a published model could be answered for with other dimensions than it has, or one
// that is not covered as if it were. configs/README.md has the sources.

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::string in(const std::string& name) { return quoted(MLA_DTYPE_CONFIGS + name); }

struct Answer {
  std::string name, model_type, text_model_type;
  std::vector<int> dimensions;  // qk_nope, qk_rope, v, latent, heads
  std::optional<int> index_topk = {};
  std::string model_dtype = "bfloat16", kv_cache = "bfloat16";
};

TEST(ToolModels, AreAnsweredFor) {
  const std::vector<int> v3 = {128, 64, 128, 512, 128}, k2 = {128, 64, 128, 512, 64};
  const std::vector<int> lite = {128, 64, 128, 512, 16}, glm = {192, 64, 256, 512, 64};
  for (const Answer& expected : {
           Answer{"deepseek-ai--DeepSeek-R1", "deepseek_v3", "deepseek_v3", v3},
           {"deepseek-ai--DeepSeek-V3", "deepseek_v3", "deepseek_v3", v3},
           {"deepseek-ai--DeepSeek-V3.2", "deepseek_v32", "deepseek_v32", v3, 2048},
           {"nvidia--DeepSeek-V3.1-NVFP4",
            "deepseek_v3",
            "deepseek_v3",
            v3,
            {},
            "bfloat16",
            "fp8_e4m3"},
           {"moonshotai--Kimi-K2-Instruct", "kimi_k2", "kimi_k2", k2},
           {"moonshotai--Kimi-K2.5", "kimi_k25", "kimi_k2", k2},
           {"case-kimi-k2.5-flattened", "kimi_k25", "kimi_k25", k2},
           {"nvidia--Kimi-K2.5-NVFP4", "kimi_k25", "kimi_k2", k2},
           {"moonshotai--Kimi-K3", "kimi_k3", "kimi_linear", {128, 64, 128, 512, 96}},
           {"moonshotai--Kimi-Linear-48B-A3B-testcopy",
            "kimi_linear",
            "kimi_linear",
            {128, 64, 128, 512, 32}},
           {"zai-org--GLM-4.7-Flash", "glm4_moe_lite", "glm4_moe_lite", {192, 64, 256, 512, 20}},
           {"HawkBearPig--GLM-5.3-Int4-Int8Mix-RTN-g64", "glm_moe_dsa", "glm_moe_dsa", glm, 2048},
           {"deepseek-ai--DeepSeek-V2-Lite", "deepseek_v2", "deepseek_v2", lite},
           {"deepseek-ai--DeepSeek-Coder-V2-Lite-Instruct", "deepseek_v2", "deepseek_v2", lite},
           {"hf-internal-testing--LongCat-ShortCat",
            "longcat_flash",
            "longcat_flash",
            k2,
            {},
            "float32",
            "float32"},
           {"mlx-community--LongCat-Flash-Chat-bf16", "longcat_flash", "longcat_flash", k2},
           {"inclusionAI--Ling-3.0-tiny", "bailing_hybrid", "bailing_hybrid", lite},
           {"mistralai--Mistral4-testfixture", "", "", {64, 64, 128, 256, 32}},
           {"case-deepseek-vl2", "deepseek_vl_v2", "deepseek_v2", lite},
           {"case-minicpm3", "minicpm3", "minicpm3", {64, 32, 64, 256, 40}},
       }) {
    SCOPED_TRACE(expected.name);
    const Json json = parse_answer(run("--json --device H200 --model" + in(expected.name)));
    const Json& model = json.at("model");
    const auto text = [&](const char* key) {
      return model.at(key).is_null() ? "" : model.at(key).get<std::string>();
    };
    EXPECT_EQ(text("model_type"), expected.model_type);
    EXPECT_EQ(text("text_model_type"), expected.text_model_type);
    std::vector<int> dimensions;
    for (const char* const key : {"qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim",
                                  "kv_lora_rank", "num_attention_heads"}) {
      dimensions.push_back(model.at(key));
    }
    EXPECT_EQ(dimensions, expected.dimensions);
    EXPECT_EQ(model.at("index_topk"), expected.index_topk ? Json(*expected.index_topk) : Json());
    EXPECT_EQ(json.at("model_dtype"), expected.model_dtype);
    EXPECT_EQ(json.at("kv_cache_dtype").at("resolved"), expected.kv_cache);
  }
}

TEST(ToolModels, AreDeclinedByTheirType) {
  for (const auto& [name, why] : {
           std::pair<std::string, std::string>("deepseek-ai--DeepSeek-V4-Pro",
                                               "model_type \"deepseek_v4\" is not covered"),
           {"RedHatAI--DeepSeek-V4-Flash-NVFP4-FP8", "model_type \"deepseek_v4\" is not covered"},
           {"nvidia--DeepSeek-V4-Flash-NVFP4", "model_type \"deepseek_v4\" is not covered"},
           {"case-kimi-k3-dspark-5mla", "model_type \"qwen3\" is not covered"},
           {"case-create-bot-v2-k2", "model_type \"Create-Bot-V2_k2\" is not covered"},
           {"tencent--Youtu-LLM-2B", "model_type \"youtu\" is not covered"},
           {"deepseek-ai--inference-config_16B", "model_type none is not covered"},
           {"deepseek-ai--inference-config_671B_v3.2", "model_type none is not covered"},
           {"mistralai--Ministral3-testfixture", "kv_lora_rank: none"},
           {"nvidia--DeepSeek-V3-0324-NVFP4", "the directory has no config.json"},
           {"nvidia--GLM-5-NVFP4", "the directory has no config.json"},
           {"zai-org--GLM-5-FP8", "index_topk: none; .*--index-topk"},
           {"case-duplicate-key", "\"quantization_config\" twice"},
       }) {
    const Result result = run("--device H200 --model" + in(name));
    EXPECT_EQ(result.exit_code, 2) << name;
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, AllOf(StartsWith("mla-dtype: --model: "), ContainsRegex(why)));
  }
}

TEST(ToolModels, AFileIsTakenAsItsDirectoryIs) {
  const auto answer = [](const std::string& path) {
    return run("--device H200 --model" + in(path)).out;
  };
  EXPECT_EQ(answer("nvidia--DeepSeek-V3.1-NVFP4/config.json"),
            answer("nvidia--DeepSeek-V3.1-NVFP4"));
  EXPECT_EQ(answer("mistralai--Mistral4-testfixture/params.json"),
            answer("mistralai--Mistral4-testfixture"));
}

// A target and its draft: one answer each.
TEST(ToolModels, SeveralAreAnsweredOneByOne) {
  const std::string both = "--device H200 --kv-scales calibrated --model" +
                           in("moonshotai--Kimi-K2.5") + "--model" + in("case-deepseek-vl2");
  const Result result = run(both);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, ContainsRegex("== .*Kimi-K2.5/config.json\n"));
  EXPECT_THAT(result.out, ContainsRegex("\n\n== .*case-deepseek-vl2/config.json\n"));
  const Json json = parse(run("--json " + both));
  ASSERT_EQ(json.size(), 2U);
  EXPECT_EQ(json[0].at("model").at("model_type"), "kimi_k25");
  EXPECT_EQ(json[1].at("model").at("model_type"), "deepseek_vl_v2");
}

// A name on a hub is no file: it is looked for where it was downloaded, else the message says how.
TEST(ToolModels, ANameOnAHubIsNotGuessedAt) {
  namespace fs = std::filesystem;
  const fs::path cache = temporary_path() + ".hub";
  const fs::path model = cache / "models--deepseek-ai--DeepSeek-R1";
  const auto ask = [&] {
    setenv("HF_HUB_CACHE", cache.c_str(), 1);
    return run("--device H200 --kv-scales calibrated -- vllm serve deepseek-ai/DeepSeek-R1");
  };
  const Result absent = ask();
  EXPECT_EQ(absent.exit_code, 2);
  EXPECT_THAT(absent.err,
              AllOf(HasSubstr("hf download deepseek-ai/DeepSeek-R1"), HasSubstr("--model DIR")));
  fs::create_directories(model / "refs");
  fs::create_directories(model / "snapshots");
  fs::copy(MLA_DTYPE_CONFIGS "deepseek-ai--DeepSeek-R1", model / "snapshots" / "abc123");
  std::ofstream(model / "refs" / "main") << "abc123";
  const Result present = ask();
  EXPECT_EQ(present.exit_code, 0);
  EXPECT_THAT(present.out, HasSubstr("\nmodel: deepseek_v3: "));
  EXPECT_THAT(present.err, HasSubstr("deepseek-ai/DeepSeek-R1 is read from "));
  fs::remove_all(cache);
  unsetenv("HF_HUB_CACHE");
}

// Each of these outranks those before it (huggingface_hub's constants.py).
TEST(ToolModels, TheHubsCacheIsWhereTheHubHasIt) {
  namespace fs = std::filesystem;
  const fs::path caches = temporary_path() + ".caches";
  const std::pair<const char*, const char*> places[] = {
      {"XDG_CACHE_HOME", "huggingface/hub"}, {"HF_HOME", "hub"}, {"HF_HUB_CACHE", ""}};
  for (const auto& [name, below] : places) unsetenv(name);
  for (const auto& [name, below] : places) {
    const fs::path model = caches / name / below / "models--deepseek-ai--DeepSeek-R1";
    fs::create_directories(model / "refs");
    fs::create_directories(model / "snapshots");
    fs::copy(MLA_DTYPE_CONFIGS "deepseek-ai--DeepSeek-R1", model / "snapshots" / "abc123");
    std::ofstream(model / "refs" / "main") << "abc123";
    setenv(name, (caches / name).c_str(), 1);
    EXPECT_THAT(run("--device H200 -- vllm serve deepseek-ai/DeepSeek-R1").err,
                HasSubstr("is read from " + model.string()));
  }
  fs::remove_all(caches);
  for (const auto& [name, below] : places) unsetenv(name);

  const std::string home = getenv("HOME") != nullptr ? getenv("HOME") : "";
  unsetenv("HOME");
  EXPECT_THAT(run("--device H200 -- vllm serve deepseek-ai/DeepSeek-R1").err,
              HasSubstr("give --model DIR"));
  if (!home.empty()) setenv("HOME", home.c_str(), 1);
}

TEST(ToolModels, WhatAnEngineDoesWithAModelIsNoted) {
  const std::string k3 = "--device H200 --kv-cache-dtype fp8 --model" + in("moonshotai--Kimi-K3");
  EXPECT_THAT(run(k3).err, HasSubstr("vLLM stops with an error at kimi_k3"));
  EXPECT_THAT(run("--device H200 --model" + in("case-minicpm3")).err,
              HasSubstr("is not one that vLLM"));
  EXPECT_EQ(parse_answer(run("--json " + k3)).at("notes").size(), 1U);
}

}  // namespace
}  // namespace mla_dtype::tool
