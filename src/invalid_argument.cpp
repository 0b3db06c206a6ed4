// SPDX-License-Identifier: Apache-2.0
#include "invalid_argument.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <numeric>
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

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The name as people mean it: in lower case, without separators, and `float` as short as KV-cache
// dtypes have it, so that `BF16` is near to `bfloat16` and `float8` to `fp8`.
std::string canonical(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (c != '_' && c != '-' && c != ' ') result += lower(c);
  }
  if (const auto at = result.find("float"); at != std::string::npos) {
    result.replace(at, 5, at == 0 ? "fp" : "f");
  }
  return result;
}

bool begins_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// Levenshtein's distance. `b` has at most max_quoted_bytes.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::array<std::size_t, max_quoted_bytes + 1> row;
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

// The name that was probably meant, if any: the one with the fewest typing errors, if they are at
// most a third of it; or one that begins with the value (`int8` for `int8_per_token_head`) or that
// the value begins with.
std::string_view nearest(std::string_view value, const std::vector<std::string_view>& names) {
  const std::string meant = canonical(value.substr(0, max_quoted_bytes));
  if (meant.size() < 2 || value.size() > max_quoted_bytes) return {};
  std::string_view best, longer, shorter;
  std::size_t best_distance = max_quoted_bytes;
  for (const std::string_view name : names) {
    const std::string known = canonical(name);
    const std::size_t distance = edit_distance(known, meant);
    if (distance <= known.size() / 3 && distance < best_distance) {
      best = name;
      best_distance = distance;
    }
    if (longer.empty() && begins_with(known, meant)) longer = name;
    if (begins_with(meant, known) && name.size() > shorter.size()) shorter = name;
  }
  if (!best.empty()) return best;
  return longer.empty() ? shorter : longer;
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

void throw_out_of_range(std::string_view field, std::string_view type, unsigned value) {
  throw_invalid_argument(field, fmt::format("{}({})", type, value),
                         fmt::format("the enumerators of {}", type));
}

void throw_unknown_name(std::string_view field, std::string_view value,
                        const std::vector<std::string_view>& names, std::string_view forms) {
  const std::string_view meant = nearest(value, names);
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
