// SPDX-License-Identifier: Apache-2.0
#include "tool/process.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tool/json_schema.h"

namespace mla_dtype::tool {

std::string take(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  std::remove(path.c_str());
  return text.str();
}

std::string temporary_path() {
  return ::testing::TempDir() + "mla_dtype_tool_" + std::to_string(getpid());
}

Result run(const std::string& arguments) {
  const std::string base = temporary_path();
  const std::string command =
      "'" MLA_DTYPE_TOOL "' " + arguments + " >'" + base + ".out' 2>'" + base + ".err'";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, take(base + ".out"), take(base + ".err")};
}

std::string quoted(const std::string& argument) { return " '" + argument + "' "; }

namespace {

Result run_with_file(const std::string& option, const std::string& content,
                     const std::string& arguments) {
  const std::string path = temporary_path() + ".json";
  std::ofstream(path) << content;
  const Result result = run(option + quoted(path) + arguments);
  std::remove(path.c_str());
  return result;
}

}  // namespace

std::string config_with(const std::string& members) {
  Json config = {{"model_type", "deepseek_v3"},
                 {"torch_dtype", "bfloat16"},
                 {"kv_lora_rank", 512},
                 {"num_attention_heads", 128},
                 {"qk_nope_head_dim", 128},
                 {"qk_rope_head_dim", 64},
                 {"v_head_dim", 128}};
  config.merge_patch(Json::parse(members));
  return config.dump();
}

std::string explanation_of(const Result& result) {
  return result.out.substr(0, result.out.find("engine: "));
}

Result run_with_config(const std::string& config, const std::string& arguments) {
  return run_with_file("--hf-config", config, arguments);
}

Result run_with_cost_model(const std::string& model, const std::string& arguments) {
  return run_with_file("--cost-model", model, arguments);
}

Json parse_answer(const Result& result) {
  Json json = Json::parse(result.out);
  EXPECT_EQ(schema_errors(json), "");
  return json;
}

Json parse(const Result& result) {
  EXPECT_THAT(result.err, ::testing::IsEmpty());
  EXPECT_EQ(result.out.back(), '\n');
  return parse_answer(result);
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

std::string break_even_line(std::optional<std::int64_t> isl) {
  if (!isl) {
    return "break-even: none: there is no ISL from which on FP8 prefill attention is predicted to "
           "be faster";
  }
  return "break-even: FP8 prefill attention is predicted to be faster from ISL " +
         std::to_string(*isl) +
         " on; below, quantizing queries, keys and values may cost more than it gains";
}

}  // namespace mla_dtype::tool
