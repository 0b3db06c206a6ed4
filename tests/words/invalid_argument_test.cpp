// SPDX-License-Identifier: Apache-2.0

// Without this a string from outside could reach the text of an exception raw or long, or a typing
// error be answered without the nearest name, unnoticed.

#include "words/invalid_argument.h"

#include <gmock/gmock.h>

#include "support/expect_invalid.h"

namespace mla_dtype::detail {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(InQuotes, PlainTextStaysAsItIs) {
  EXPECT_EQ(in_quotes(""), R"("")");
  EXPECT_EQ(in_quotes("fp8"), R"("fp8")");
  EXPECT_EQ(in_quotes("{} %s {0}"), R"("{} %s {0}")");
  EXPECT_EQ(in_quotes("é ß 漢 🦙"), "\"é ß 漢 🦙\"");
}

TEST(InQuotes, QuotesAndBackslashesCannotForgeTheEnd) {
  EXPECT_EQ(in_quotes(R"(a"b\c)"), R"("a\"b\\c")");
}

TEST(InQuotes, ControlCharactersAreEscaped) {
  for (int c = 0; c < 0x80; ++c) {
    const std::string text(1, static_cast<char>(c));
    const bool control = c < 0x20 || c == 0x7F;
    EXPECT_EQ(in_quotes(text).find("\\x") != std::string::npos, control) << c;
  }
  EXPECT_EQ(in_quotes("\x1b[31m\r\n"), R"("\x1b[31m\x0d\x0a")");
  EXPECT_EQ(in_quotes(std::string_view("\0", 1)), R"("\x00")");
  EXPECT_EQ(in_quotes("\xC2\x9B"
                      "31m"),
            R"("\xc2\x9b31m")");  // U+009B, the one-character CSI
  EXPECT_EQ(in_quotes("\xC2\xA0"), "\"\xC2\xA0\"");
}

// What changes the direction of a text, breaks its line, or cannot be seen.
TEST(InQuotes, FormatCharactersAreEscaped) {
  for (unsigned low = 0x2000; low < 0x2080; ++low) {
    const std::string text = {'\xE2', static_cast<char>(0x80 | (low >> 6 & 0x3F)),
                              static_cast<char>(0x80 | (low & 0x3F))};
    const bool is_format = (low >= 0x200B && low <= 0x200F) || (low >= 0x2028 && low <= 0x202E) ||
                           (low >= 0x2060 && low <= 0x206F);
    EXPECT_EQ(in_quotes(text) == '"' + text + '"', !is_format) << std::hex << low;
  }
  EXPECT_EQ(in_quotes("\xE2\x80\xAE"), R"("\xe2\x80\xae")");
}

TEST(InQuotes, InvalidUtf8IsEscaped) {
  EXPECT_EQ(in_quotes("\xFF\xFE"), R"("\xff\xfe")");
  EXPECT_EQ(in_quotes("\x80"), R"("\x80")");                  // a stray continuation
  EXPECT_EQ(in_quotes("\xC3("), R"("\xc3(")");                // a missing one
  EXPECT_EQ(in_quotes("\xE6\xBC"), R"("\xe6\xbc")");          // cut off
  EXPECT_EQ(in_quotes("\xC0\xAF"), R"("\xc0\xaf")");          // overlong
  EXPECT_EQ(in_quotes("\xE0\x80\xAF"), R"("\xe0\x80\xaf")");  // overlong
  EXPECT_EQ(in_quotes("\xF0\x80\x80\xAF"), R"("\xf0\x80\x80\xaf")");
  // The highest that would have fitted into fewer bytes, and the lowest that would not.
  EXPECT_EQ(in_quotes("\xE0\x9F\xBF"), R"("\xe0\x9f\xbf")");
  EXPECT_EQ(in_quotes("\xE0\xA0\x80"), "\"\xE0\xA0\x80\"");
  EXPECT_EQ(in_quotes("\xF0\x8F\xBF\xBF"), R"("\xf0\x8f\xbf\xbf")");
  EXPECT_EQ(in_quotes("\xF0\x90\x80\x80"), "\"\xF0\x90\x80\x80\"");
  EXPECT_EQ(in_quotes("\xED\xA0\x80"), R"("\xed\xa0\x80")");          // a surrogate
  EXPECT_EQ(in_quotes("\xF4\x90\x80\x80"), R"("\xf4\x90\x80\x80")");  // above U+10FFFF
  EXPECT_EQ(in_quotes("\xF5\x80\x80\x80"), R"("\xf5\x80\x80\x80")");
  EXPECT_EQ(in_quotes("\xF4\x8F\xBF\xBF"), "\"\xF4\x8F\xBF\xBF\"");
  EXPECT_EQ(in_quotes("\xED\x9F\xBF"), "\"\xED\x9F\xBF\"");
}

TEST(InQuotes, IsCutAfter64Bytes) {
  EXPECT_EQ(in_quotes(std::string(64, 'x')), '"' + std::string(64, 'x') + '"');
  EXPECT_EQ(in_quotes(std::string(65, 'x')), '"' + std::string(64, 'x') + "\"...");
  EXPECT_EQ(in_quotes(std::string(1'000'000, 'x')), '"' + std::string(64, 'x') + "\"...");
  // Never within a character.
  EXPECT_EQ(in_quotes(std::string(63, 'x') + "é"), '"' + std::string(63, 'x') + "\"...");
  EXPECT_LE(in_quotes(std::string(1'000'000, '\x01')).size(), 64U * 4 + 5);
}

TEST(ThrowUnknownName, ListsTheNearestFirst) {
  const auto text_of = [](std::string_view value, std::string_view forms = {}) {
    try {
      throw_unknown_name("field", value, {"alpha", "beta", "gamma_ray"}, forms);
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
  };
  EXPECT_EQ(text_of("betta"),
            R"(field: "betta" is not accepted; accepted: beta (nearest), alpha, gamma_ray)");
  EXPECT_EQ(text_of("zzz"), R"(field: "zzz" is not accepted; accepted: alpha, beta, gamma_ray)");
  EXPECT_EQ(text_of("GAMMA"),
            R"(field: "GAMMA" is not accepted; accepted: gamma_ray (nearest), alpha, beta)");
  EXPECT_EQ(text_of("alpa", "a letter"),
            R"(field: "alpa" is not accepted; accepted: alpha (nearest), a letter)");
  EXPECT_EQ(text_of("zzz", "a letter"), R"(field: "zzz" is not accepted; accepted: a letter)");
  EXPECT_THAT(text_of(std::string(1'000'000, 'a')), Not(HasSubstr("nearest")));
  testing::expect_invalid([] { throw_unknown_name("field", "alpa", {"alpha"}); },
                          "field: \"alpa\" is not accepted; accepted: alpha (nearest)");
}

}  // namespace
}  // namespace mla_dtype::detail
