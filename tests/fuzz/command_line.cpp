// SPDX-License-Identifier: Apache-2.0
//
// An engine's command line, a word a line.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "check.h"
#include "tool.h"
#include "tool_refusal.h"

namespace {

using mla_dtype::fuzz::asked_tool;
using mla_dtype::fuzz::OwnDirectory;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

Words lines(const std::string& text) {
  Words result;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.size(), text.find('\n', begin));
    result.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

// As one word, as it is pasted from a recipe.
std::string quoted(const Words& words) {
  std::string result;
  for (const std::string& word : words) {
    result += " '";
    for (const char c : word) result += c == '\'' ? "'\\''" : std::string(1, c);
    result += '\'';
  }
  return result;
}

Json ask(const Words& command) {
  static OwnDirectory files;
  static const std::string model =
      files.write("config.json",
                  R"({"model_type": "deepseek_v3", "torch_dtype": "bfloat16", "kv_lora_rank": 512,
          "num_attention_heads": 128, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
          "v_head_dim": 128})");
  Words words = {"--device=B200", "--hf-config=" + model, "--"};
  words.insert(words.end(), command.begin(), command.end());
  return asked_tool(words);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  // A word of a program has no zero byte, and files that never end are not of interest.
  if (text.find('\0') != text.npos || text.find("/dev") != text.npos) return 0;
  const Words command = lines(text);
  const Json answer = ask(command);
  if (answer.is_null()) return 0;
  // A command within a word of another one is not looked for in a third.
  const bool is_nested = std::any_of(command.begin(), command.end(), [](const std::string& word) {
    return word.find_first_of(" \t") != word.npos;
  });
  const Json pasted = ask({quoted(command)});
  CHECK(pasted == answer || (is_nested && pasted.is_null()));
  for (const char* const list : {"remedies", "run_remedies"}) {
    for (const Json& remedy : answer[list]) {
      if (remedy["command"].is_null()) continue;
      const Json changed = ask({remedy["command"].get<std::string>()});
      CHECK(!changed.is_null() && changed["refused"] == false);
    }
  }
  return 0;
}
