// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tool may do with input that cannot be trusted.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "tool.h"

namespace mla_dtype::fuzz {

/// Each line a message of the tool's own, printable, of bounded length.
inline void check_messages(const std::string& text) {
  constexpr std::string_view beginning = "mla-dtype: ";
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    CHECK(end != text.npos);
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    CHECK(line.substr(0, beginning.size()) == beginning);
    CHECK(line.size() < 4096);
    for (const char c : line) CHECK(c >= ' ' && c <= '~');
    begin = end + 1;
  }
}

/// Runs it with `--json`. Null where it refuses its arguments, which it says in a line.
inline nlohmann::json asked_tool(std::vector<std::string> words) {
  words.insert(words.begin(), "--json");
  const ToolAnswer answer = run_tool(words);
  check_messages(answer.err);
  CHECK(answer.exit_code == 0 || answer.exit_code == 2 || answer.exit_code == 3);
  CHECK((answer.exit_code == 2) == answer.out.empty());
  CHECK(answer.exit_code == 0 || !answer.err.empty());
  return answer.out.empty() ? nlohmann::json() : nlohmann::json::parse(answer.out);
}

}  // namespace mla_dtype::fuzz
