// SPDX-License-Identifier: Apache-2.0

// Without this a number in a text could be cut, rounded or read as another type, unnoticed.

#include "words/form.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace mla_dtype::detail {
namespace {

TEST(Form, ValuesTakeThePlacesInOrder) {
  EXPECT_EQ(filled("{} of {}: {}.", "a", std::string("b"), std::string_view("c")), "a of b: c.");
  EXPECT_EQ(filled("{}{}", 1, 2), "12");
  EXPECT_EQ(filled("nothing"), "nothing");
  EXPECT_EQ(filled("{}", ""), "");
  EXPECT_EQ(filled("{}", "{} and } and {name}"), "{} and } and {name}") << "a value is no form";
}

TEST(Form, NumbersAreWholeAndExact) {
  EXPECT_EQ(to_text(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(to_text(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(to_text(static_cast<unsigned char>(200)), "200");
  EXPECT_EQ(to_text(short{-3}), "-3");
  EXPECT_EQ(filled("{} {}", true, false), "true false");
  for (const double number : {0.1, 1.0 / 3, 1e300, 2.5e-300, -2.5}) {
    EXPECT_EQ(std::stod(to_text(number)), number);
  }
  EXPECT_EQ(to_text(100000.0), "100000");
  EXPECT_EQ(to_text(-2e9), "-2000000000");
  EXPECT_EQ(to_text(0.0005), "0.0005");
  EXPECT_EQ(to_text(1e16), "1e+16");
  EXPECT_EQ(to_text(0.0), "0");
  EXPECT_EQ(to_text(HUGE_VAL), "inf");
  EXPECT_EQ(to_text(std::numeric_limits<double>::quiet_NaN()).find("nan"), 0U);
}

TEST(Form, Decimals) {
  EXPECT_EQ(decimals(0.846, 2), "0.85");
  EXPECT_EQ(decimals(1, 3), "1.000");
  EXPECT_EQ(decimals(std::numeric_limits<double>::max(), 2).size(), 312U);
  EXPECT_EQ(hex_byte(0x0A), "0a");
  EXPECT_EQ(hex_byte(0xF3), "f3");
}

TEST(Form, NamesAreFilledIn) {
  const auto value = [](std::string_view name) { return '<' + std::string(name) + '>'; };
  EXPECT_EQ(fill_in("{a}, {bc} and {a}", value), "<a>, <bc> and <a>");
  EXPECT_EQ(fill_in("", value), "");
  EXPECT_EQ(fill_in("{a} and {", value), "<a> and {");
  EXPECT_EQ(filled("{} and {}", "a"), "a and ");
}

TEST(Form, Joined) {
  using Words = std::vector<std::string_view>;
  EXPECT_EQ(join(Words{}, ", "), "");
  EXPECT_EQ(join(Words{"a"}, ", "), "a");
  EXPECT_EQ(join(Words{"a", "", "c"}, ", "), "a, , c");
  EXPECT_EQ(join(std::vector<std::size_t>{320, 576}, " or "), "320 or 576");
}

}  // namespace
}  // namespace mla_dtype::detail
