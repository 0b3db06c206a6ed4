// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace mla_dtype::testing {

/// The number of control and format characters, and of bytes that do not begin one of UTF-8.
inline int unfit_characters(std::string_view text) {
  int result = 0;
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    bool is_valid = length <= text.size() && (lead < 0x80 || lead >= 0xC0) && lead < 0xF8;
    constexpr unsigned lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    unsigned code_point = lead & lead_bits[length];
    for (std::size_t i = 1; is_valid && i < length; ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      is_valid = (byte & 0xC0U) == 0x80;
      code_point = code_point << 6 | (byte & 0x3FU);
    }
    constexpr unsigned first_of_length[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
    if (code_point < first_of_length[length] || surrogate || code_point > 0x10FFFF) {
      is_valid = false;
    }
    const bool is_format = (code_point >= 0x200B && code_point < 0x2010) ||
                           (code_point >= 0x2028 && code_point < 0x202F) ||
                           (code_point >= 0x2060 && code_point < 0x2070);
    const bool is_control = code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
    if (!is_valid || is_format || is_control) ++result;
    text.remove_prefix(is_valid ? length : 1);
  }
  return result;
}

/// Whether the text is UTF-8 without control and format characters: one line in any log.
inline bool is_one_line(std::string_view text) { return unfit_characters(text) == 0; }

}  // namespace mla_dtype::testing
