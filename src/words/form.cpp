// SPDX-License-Identifier: Apache-2.0
#include "words/form.h"

#include <charconv>
#include <cmath>

namespace mla_dtype::detail {
namespace {

template <class... HowToWrite>
std::string written(HowToWrite... how) {
  char digits[512];  // the largest double in full
  return {digits, std::to_chars(digits, digits + sizeof digits, how...).ptr};
}

}  // namespace

std::string to_text(double number) {
  const double size = std::abs(number);
  const bool is_plain = size == 0 || (size >= 1e-4 && size < 1e16);
  return written(number, is_plain ? std::chars_format::fixed : std::chars_format::scientific);
}

std::string decimals(double number, int digits) {
  return written(number, std::chars_format::fixed, digits);
}

std::string hex_byte(unsigned value) {
  constexpr std::string_view digits = "0123456789abcdef";
  return {digits[value >> 4 & 15U], digits[value & 15U]};
}

std::string fill(std::string_view form, std::initializer_list<std::string> values) {
  auto next = values.begin();
  return fill_in(form, [&](std::string_view) -> std::string_view {
    return next == values.end() ? std::string_view() : *next++;
  });
}

}  // namespace mla_dtype::detail
