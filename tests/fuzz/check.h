// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

/// Says which property does not hold, and aborts: what a fuzzer, and ctest, take for a finding.
#define CHECK(condition)      \
  ((condition)                \
       ? static_cast<void>(0) \
       : (std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), std::abort()))

namespace mla_dtype::fuzz {

/// Whether the text is UTF-8 without control and format characters: one line in any log.
inline bool is_one_line(std::string_view text) {
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (length > text.size() || (lead >= 0x80 && lead < 0xC0) || lead >= 0xF8) return false;
    constexpr unsigned lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    unsigned code_point = lead & lead_bits[length];
    for (std::size_t i = 1; i < length; ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      if ((byte & 0xC0U) != 0x80) return false;
      code_point = code_point << 6 | (byte & 0x3FU);
    }
    constexpr unsigned first_of_length[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
    if (code_point < first_of_length[length] || surrogate || code_point > 0x10FFFF) return false;
    const bool is_format = (code_point >= 0x200B && code_point < 0x2010) ||
                           (code_point >= 0x2028 && code_point < 0x202F) ||
                           (code_point >= 0x2060 && code_point < 0x2070);
    const bool is_control = code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
    if (is_format || is_control) return false;
    text.remove_prefix(length);
  }
  return true;
}

/// Bad input is refused by a text that fits a log, whatever the input.
inline void check_refusal(const std::invalid_argument& refusal) {
  const std::string_view text = refusal.what();
  CHECK(text.size() < 1024);
  CHECK(is_one_line(text));
  CHECK(text.find(" is not accepted; accepted: ") != text.npos);
}

/// Whether the call refuses its input.
template <class Call>
bool is_refused(Call call) {
  try {
    call();
    return false;
  } catch (const std::invalid_argument& refusal) {
    check_refusal(refusal);
    return true;
  }
}

}  // namespace mla_dtype::fuzz
