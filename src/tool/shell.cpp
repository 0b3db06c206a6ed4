// SPDX-License-Identifier: Apache-2.0
#include "shell.h"

#include <cstddef>

namespace mla_dtype::tool {
namespace {

constexpr const char* letters_and_digits =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

std::string quoted(const std::string& word) {
  static const std::string plain = std::string(letters_and_digits) + "@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(plain) == word.npos) return word;
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + '\'';
}

// The length of `NAME=`, or 0.
std::size_t assigned_name(const std::string& word) {
  const std::size_t end = word.find('=');
  const bool is_name = end != word.npos && end != 0 && (word[0] < '0' || word[0] > '9') &&
                       word.find_first_not_of(letters_and_digits) == end;
  return is_name ? end + 1 : 0;
}

}  // namespace

std::string shell_line(const std::vector<std::string>& words) {
  std::string line;
  bool may_assign = true;
  for (const std::string& word : words) {
    const std::size_t name = may_assign ? assigned_name(word) : 0;
    may_assign = name != 0;
    line += (line.empty() ? "" : " ") + word.substr(0, name) + quoted(word.substr(name));
  }
  return line;
}

std::vector<std::string> shell_words(const std::string& line) {
  std::vector<std::string> words;
  char quote = '\0';
  bool in_word = false, is_escaped = false;
  for (const char c : line) {
    const bool was_escaped = is_escaped;
    is_escaped = c == '\\' && quote != '\'' && !was_escaped;
    if (is_escaped || (was_escaped && c == '\n')) continue;
    const bool is_space = c == ' ' || c == '\t' || c == '\n';
    if (is_space && quote == '\0' && !was_escaped) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if ((c == '\'' || c == '"') && !was_escaped && (quote == '\0' || quote == c)) {
      quote = quote == '\0' ? c : '\0';
    } else {
      words.back() += c;
    }
  }
  return words;
}

}  // namespace mla_dtype::tool
