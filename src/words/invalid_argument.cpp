// SPDX-License-Identifier: Apache-2.0
#include "words/invalid_argument.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mla_dtype/nearest_name.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <stdexcept>

namespace mla_dtype::detail {
namespace {

constexpr std::size_t max_quoted_bytes = 64;

// How many characters at the beginning stand for themselves.
std::size_t plain_length(std::string_view text) {
  const auto end = std::find_if_not(text.begin(), text.end(), [](char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
  });
  return static_cast<std::size_t>(end - text.begin());
}

// The length of the printable character beyond ASCII that `text` begins with; 0 if it begins with
// any other, or is not UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
std::size_t printable_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto continues = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 0;  // plain, or to be escaped
  if (lead >= 0xC2 && lead <= 0xDF) {
    // U+0080 to U+009F are control characters, too.
    return continues(1, lead == 0xC2 ? 0xA0 : 0x80) ? 2 : 0;
  }
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool second = continues(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF);
    // U+200B to U+200F, U+2028 to U+202E and U+2060 to U+206F break a line, change the direction of
    // the text behind them, or cannot be seen.
    const bool is_format =
        lead == 0xE2 &&
        ((byte(1) == 0x80 && (continues(2, 0x8B, 0x8F) || continues(2, 0xA8, 0xAE))) ||
         (byte(1) == 0x81 && continues(2, 0xA0, 0xAF)));
    return second && continues(2) && !is_format ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool second = continues(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF);
    return second && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string in_quotes(std::string_view value) {
  std::string result = "\"";
  std::size_t taken = 0;
  while (taken < value.size()) {
    const std::string_view rest = value.substr(taken, max_quoted_bytes - taken);
    const std::size_t plain = plain_length(rest);
    const std::size_t printable = plain != 0 ? plain : printable_length(rest);
    result.append(rest, 0, printable);
    taken += printable;
    if (printable != 0) continue;
    // The first byte of a character that is cut off is not a bad one.
    if (rest.empty() || printable_length(value.substr(taken)) > rest.size()) break;
    if (rest[0] == '"' || rest[0] == '\\') {
      result += {'\\', rest[0]};
    } else {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(rest[0]));
    }
    ++taken;
  }
  result += taken < value.size() ? "\"..." : "\"";
  return result;
}

std::string one_line(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool two_bytes = byte == 0xC2 && next >= 0x80 && next <= 0x9F;  // U+0080 to U+009F
    result += byte < 0x20 || byte == 0x7F || two_bytes ? ' ' : text[i];
    if (two_bytes) ++i;
  }
  return result;
}

void throw_invalid_argument(std::string_view field, std::string_view value,
                            std::string_view accepted) {
  throw std::invalid_argument(
      fmt::format("{}: {} is not accepted; accepted: {}", field, value, accepted));
}

void check_name(std::string_view field, std::string_view name) {
  const auto is_safe = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  if (name.empty() || !std::all_of(name.begin(), name.end(), is_safe)) {
    throw_invalid_argument(field, in_quotes(name), "letters, digits, '_', '-' and '.'");
  }
}

void check_not_negative(std::string_view field, std::int64_t value) {
  if (value < 0) throw_invalid_argument(field, fmt::to_string(value), "0 and above");
}

void throw_out_of_range(std::string_view field, std::string_view type, unsigned value) {
  throw_invalid_argument(field, fmt::format("{}({})", type, value),
                         fmt::format("the enumerators of {}", type));
}

void throw_unknown_name(std::string_view field, std::string_view value,
                        const std::vector<std::string_view>& names, std::string_view forms) {
  const std::string_view meant = nearest_name(value, names);
  std::vector<std::string_view> others;
  if (!forms.empty()) {
    others.push_back(forms);
  } else {
    std::copy_if(names.begin(), names.end(), std::back_inserter(others),
                 [&](std::string_view name) { return name != meant; });
  }
  const std::string_view note = meant.empty() ? "" : others.empty() ? " (nearest)" : " (nearest), ";
  throw_invalid_argument(field, in_quotes(value),
                         fmt::format("{}{}{}", meant, note, fmt::join(others, ", ")));
}

}  // namespace mla_dtype::detail
