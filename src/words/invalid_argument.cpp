// SPDX-License-Identifier: Apache-2.0
#include "words/invalid_argument.h"

#include <mla_dtype/nearest_name.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "words/form.h"

namespace mla_dtype::detail {
namespace {

constexpr std::size_t max_quoted_bytes = 64;

// The code points beyond ASCII that do not belong in a log.
constexpr unsigned unfit[][2] = {
    {0x80, 0x9F},  // control characters
    // They break a line, change the direction of the text behind them, or cannot be seen.
    {0x200B, 0x200F},
    {0x2028, 0x202E},
    {0x2060, 0x206F},
    {0xD800, 0xDFFF},      // surrogates, no characters
    {0x110000, 0x1FFFFF},  // beyond Unicode
};

// The length of the character that `text`, which is not empty, begins with; 0 if it has to be
// escaped, or is not UTF-8 (RFC 3629).
std::size_t printable_length(std::string_view text) {
  const unsigned lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return lead >= ' ' && lead <= '~' && lead != '"' && lead != '\\' ? 1 : 0;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC0 || lead >= 0xF8 || text.size() < length) return 0;
  unsigned code = lead & (0x7FU >> length);
  for (const char c : text.substr(1, length - 1)) {
    if ((c & 0xC0) != 0x80) return 0;
    code = code << 6 | (static_cast<unsigned>(c) & 0x3F);
  }
  constexpr unsigned shortest[] = {0x80, 0x800, 0x10000};  // else it is overlong
  const bool is_unfit = std::any_of(std::begin(unfit), std::end(unfit), [&](const auto& range) {
    return range[0] <= code && code <= range[1];
  });
  return is_unfit || code < shortest[length - 2] ? 0 : length;
}

}  // namespace

std::string in_quotes(std::string_view value) {
  std::string result = "\"";
  std::size_t taken = 0;
  while (taken < std::min(value.size(), max_quoted_bytes)) {
    const char c = value[taken];
    const std::size_t printable = printable_length(value.substr(taken));
    if (taken + printable > max_quoted_bytes) break;
    if (printable != 0) {
      result += value.substr(taken, printable);
    } else if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else {
      result += "\\x" + hex_byte(static_cast<unsigned char>(c));
    }
    taken += std::max(printable, std::size_t{1});
  }
  result += taken < value.size() ? "\"..." : "\"";
  return result;
}

std::string one_line(std::string_view text) {
  std::string result;
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
      filled("{}: {} is not accepted; accepted: {}", field, value, accepted));
}

void check_name(std::string_view field, std::string_view name) {
  constexpr std::string_view safe =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
  if (name.empty() || name.find_first_not_of(safe) != name.npos) {
    throw_invalid_argument(field, in_quotes(name), "letters, digits, '_', '-' and '.'");
  }
}

void throw_no_size(std::string_view field, std::int64_t value, int least) {
  throw_invalid_argument(field, to_text(value),
                         value < least ? filled("{} and above", least) : "at most 2147483647");
}

void throw_out_of_range(std::string_view field, std::string_view type, unsigned value) {
  throw_invalid_argument(field, filled("{}({})", type, value),
                         filled("the enumerators of {}", type));
}

void throw_unknown_name(std::string_view field, std::string_view value,
                        const std::vector<std::string_view>& names, std::string_view forms) {
  const std::string_view meant = nearest_name(value, names);
  std::vector<std::string_view> others = forms.empty() ? names : std::vector{forms};
  others.erase(std::remove(others.begin(), others.end(), meant), others.end());
  const std::string_view note = meant.empty() ? "" : others.empty() ? " (nearest)" : " (nearest), ";
  throw_invalid_argument(field, in_quotes(value),
                         filled("{}{}{}", meant, note, join(others, ", ")));
}

}  // namespace mla_dtype::detail
