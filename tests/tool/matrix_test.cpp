// SPDX-License-Identifier: Apache-2.0

// Without it, the table could show FP8 where the library decides otherwise, or for another model.

#include <gmock/gmock.h>

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tool/process.h"

namespace mla_dtype::tool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

TEST(Tool, MatrixTakesTheModelAndItsRanks) {
  const std::string matrix = "--matrix --device 10.0 ";
  const std::string all = run(matrix).out;
  EXPECT_EQ(run(matrix + "--kv-lora-rank 256 --num-attention-heads 16").out, all)
      << "no row asks for them";
  for (const std::string of_rows : {"--decode-context-parallel-size 2", "--kv-scales dynamic"}) {
    EXPECT_EQ(run(matrix + of_rows).out, all) << "no row is barred by " << of_rows;
  }
  EXPECT_THAT(run(matrix + "--model-dtype float32").out, Not(HasSubstr("  FP8")));
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
  const std::vector<std::string> on_blackwell = {"TRTLLM_RAGGED", "FLASHINFER", "TOKENSPEED_MLA"};
  for (const auto& [device, fp8_backends] :
       {std::pair<std::string, std::vector<std::string>>("10.0", on_blackwell),
        {"9.0", {}},
        {"gfx942", {}},
        {"none", {}}}) {
    SCOPED_TRACE(device);
    const Result result = run("--matrix --device " + device);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.err, IsEmpty());
    std::set<std::pair<std::string, std::string>> fp8, expected;
    const auto cells = table(result.out);
    EXPECT_THAT(cells, SizeIs(18 * 5));
    for (const auto& [cell, word] : cells) {
      if (word == "FP8") fp8.insert(cell);
      EXPECT_THAT(word, ::testing::AnyOf("FP8", "-"));
    }
    for (const std::string& backend : fp8_backends) {
      expected.insert({{"fp8", backend}, {"fp8_e4m3", backend}});
    }
    EXPECT_EQ(fp8, expected);
    EXPECT_THAT(result.out, HasSubstr("\nFLASH_ATTN: Prefill backend FLASH_ATTN does not " +
                                      std::string(device == "none" ? "run on this device"
                                                                   : "take FP8 queries.\n")));
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
      config_with(
          R"({"quantization_config": {"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}})"),
      on_b200);
  EXPECT_TRUE(fp8(checkpoint, "auto", "FLASHINFER"));
  EXPECT_FALSE(fp8(run(on_b200), "auto", "FLASHINFER"));
}

TEST(Tool, MatrixIsOfTheEngine) {
  const auto trtllm = table(run("--engine tensorrt-llm --matrix --device H200").out);
  EXPECT_THAT(trtllm, SizeIs(3));
  EXPECT_EQ(trtllm.at({"fp8", "TRTLLM_FMHA"}), "FP8");
  EXPECT_EQ(trtllm.at({"auto", "TRTLLM_FMHA"}), "-");
  const auto sglang = table(run("--engine sglang --matrix --device H200").out);
  EXPECT_EQ(sglang.at({"fp8_e4m3", "fa3"}), "FP8");
  EXPECT_EQ(sglang.at({"bf16", "fa3"}), "-");
  EXPECT_EQ(sglang.count({"fp8", "fa3"}), 0U) << "SGLang takes no such dtype";
}

TEST(Tool, MatrixAsJsonHoldsTheSame) {
  const auto cells = table(run("--matrix --device 10.0").out);
  const Json json = parse(run("--matrix --device 10.0 --json"));
  EXPECT_THAT(keys(json), ElementsAre("schema", "engine", "facts_as_of", "device", "model_dtype",
                                      "mla_dimensions", "cells"));
  EXPECT_EQ(json.at("schema"), 2);
  EXPECT_EQ(json.at("engine"), "vllm");
  EXPECT_EQ(json.at("device").at("capability"), "sm_100");
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

}  // namespace
}  // namespace mla_dtype::tool
