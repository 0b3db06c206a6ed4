// SPDX-License-Identifier: Apache-2.0
#include "simple_yaml.h"

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace mla_dtype::tool {
namespace {

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// Of what stands behind `key:`.
std::string scalar(const std::string& text) {
  std::string value = trimmed(text.substr(0, text.find(" #")));
  if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0]) {
    value = value.substr(1, value.size() - 2);
    return value.find_first_of("\"'\\") == value.npos ? value : "?";
  }
  return value.find_first_of("{}[]&*!|>'\"%@`#") == value.npos ? value : "?";
}

}  // namespace

std::optional<std::map<std::string, std::string>> read_simple_yaml(const std::string& path) {
  std::ifstream file(path);
  std::error_code none;
  if (!file || std::filesystem::is_directory(path, none)) return std::nullopt;
  std::map<std::string, std::string> result;
  std::string parent;
  std::size_t child_indent = 0;
  for (std::string line; std::getline(file, line);) {
    const std::size_t indent = line.find_first_not_of(' ');
    if (trimmed(line).empty() || line[indent] == '#') continue;
    if (line[indent] == '{') return std::nullopt;  // JSON, or the like
    const std::size_t colon = line.find(':');
    if (colon == line.npos || line[indent] == '-') continue;  // an item of a list, a later line
    const std::string key = scalar(line.substr(0, colon));
    const std::string value = scalar(line.substr(colon + 1));
    if (indent == 0) {
      parent = key;
      child_indent = 0;
      if (!value.empty()) result[key] = value;
    } else if (child_indent == 0 || indent == child_indent) {
      child_indent = indent;
      if (!value.empty()) result[fmt::format("{}.{}", parent, key)] = value;
    }
  }
  return result;
}

}  // namespace mla_dtype::tool
