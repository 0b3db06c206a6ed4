// SPDX-License-Identifier: Apache-2.0
#include "invalid_argument.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <stdexcept>

namespace mla_dtype::detail {
namespace {

constexpr std::size_t max_quoted_bytes = 64;

// The length of the printable character that `text` begins with; 0 if it begins with a control
// character or is not UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
std::size_t printable_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto continues = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7F ? 1 : 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    // U+0080 to U+009F are control characters, too.
    return continues(1, lead == 0xC2 ? 0xA0 : 0x80) ? 2 : 0;
  }
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool second = continues(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF);
    return second && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool second = continues(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF);
    return second && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool begins_with(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

// Levenshtein's distance, upper and lower case being the same. `b` has at most max_quoted_bytes.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::array<std::size_t, max_quoted_bytes + 1> row;
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (lower(a[i]) == lower(b[j]) ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

// The name that was probably meant: the one with the fewest typing errors if they are at most a
// third of it, else the first that begins with the value (`int8` for `int8_per_token_head`).
std::string_view nearest(std::string_view value, const std::vector<std::string_view>& names) {
  if (value.size() < 2 || value.size() > max_quoted_bytes) return {};
  std::string_view best;
  std::size_t best_distance = max_quoted_bytes;
  for (const std::string_view name : names) {
    const std::size_t distance = edit_distance(name, value);
    if (distance <= name.size() / 3 && distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  if (!best.empty()) return best;
  const auto longer = std::find_if(names.begin(), names.end(),
                                   [&](std::string_view name) { return begins_with(name, value); });
  return longer != names.end() ? *longer : std::string_view{};
}

}  // namespace

std::string in_quotes(std::string_view value) {
  std::string result = "\"";
  std::size_t taken = 0;
  while (taken < value.size()) {
    const std::string_view rest = value.substr(taken);
    const std::size_t length = std::max<std::size_t>(printable_length(rest), 1);
    if (taken + length > max_quoted_bytes) break;
    if (printable_length(rest) == 0) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(rest[0]));
    } else {
      if (rest[0] == '"' || rest[0] == '\\') result += '\\';
      result += rest.substr(0, length);
    }
    taken += length;
  }
  result += taken < value.size() ? "\"..." : "\"";
  return result;
}

std::string in_quotes(DataType type) {
  if (!is_data_type(type)) return fmt::format("DataType({})", static_cast<unsigned>(type));
  return in_quotes(to_string(type));
}

void throw_invalid_argument(std::string_view field, std::string_view value,
                            std::string_view accepted) {
  throw std::invalid_argument(
      fmt::format("{}: {} is not accepted; accepted: {}", field, value, accepted));
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
  const std::string_view note = meant.empty() ? "" : " (nearest), ";
  throw_invalid_argument(field, in_quotes(value),
                         fmt::format("{}{}{}", meant, note, fmt::join(others, ", ")));
}

}  // namespace mla_dtype::detail
