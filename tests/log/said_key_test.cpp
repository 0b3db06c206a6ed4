// SPDX-License-Identifier: Apache-2.0

// Without these two texts that engines log could have one key: the second would never be written.

#include "log/said_key.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <unordered_set>

namespace mla_dtype::detail {
namespace {

TEST(MultiplyFold, IsTheSameWithAndWithoutA128BitInteger) {
  constexpr std::uint64_t most = ~std::uint64_t{0};
  EXPECT_EQ(multiply_fold_portable(most, most), std::uint64_t{1} ^ (most - 1));
  EXPECT_EQ(multiply_fold_portable(std::uint64_t{1} << 63, 4), 2U ^ (std::uint64_t{1} << 63) ^ 4U);
  EXPECT_EQ(multiply_fold_portable(0, 7), 7U);
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t a = random() >> (random() % 64);
    const std::uint64_t b = random() >> (random() % 64);
    ASSERT_EQ(multiply_fold(a, b), multiply_fold_portable(a, b)) << a << ' ' << b;
  }
}

TEST(SaidKey, TextsThatEnginesLogHaveKeysOfTheirOwn) {
  std::unordered_set<std::uint64_t> keys;
  std::size_t texts = 0;
  const auto add = [&](int level, const std::string& text) {
    keys.insert(said_key(level, text));
    ++texts;
  };
  for (int i = 0; i < 300'000; ++i) add(2, std::to_string(i));
  for (int i = 0; i < 300'000; ++i) add(2, "layer " + std::to_string(i) + ": KV cache is bfloat16");
  for (int i = 0; i < 300'000; ++i) add(3, "layer " + std::to_string(i) + ": KV cache is bfloat16");
  for (int length = 0; length < 2'000; ++length) {
    add(2, std::string(static_cast<std::size_t>(length), 'x'));
    add(2, std::string(static_cast<std::size_t>(length), '\0'));
    texts -= length == 0 ? 1 : 0;  // the empty text twice
  }
  EXPECT_EQ(keys.size(), texts);
  EXPECT_EQ(keys.count(0), 0U);
}

// Words that make a factor zero must not wipe out what stood before them.
TEST(SaidKey, NoWordWipesOutAnother) {
  const auto bytes = [](std::uint64_t word) {
    return std::string(reinterpret_cast<const char*>(&word), sizeof word);
  };
  std::unordered_set<std::uint64_t> keys;
  std::size_t texts = 0;
  for (const std::uint64_t word :
       {0x9E3779B97F4A7C15U, 0x6A09E667F3BCC909U, 0x243F6A8885A308D3U, 0xB7E151628AED2A6BU}) {
    std::string same;
    for (int i = 0; i < 8; ++i) same += bytes(word);
    for (std::uint64_t other = 0; other < 100; ++other) {
      for (std::size_t at = 0; at < same.size(); at += 8) {
        for (const int level : {2, 3}) {
          std::string text = same;
          text.replace(at, 8, bytes(other));
          keys.insert(said_key(level, text));
          ++texts;
        }
      }
    }
  }
  EXPECT_EQ(keys.size(), texts);
}

// Each bit of a text, whatever its place, changes each bit of the key half of the time.
TEST(SaidKey, EveryBitMatters) {
  std::mt19937_64 random(2);
  for (const std::size_t length : {1U, 7U, 8U, 15U, 16U, 17U, 31U, 32U, 33U, 64U, 100U, 300U}) {
    std::array<int, 64> flips{};
    int trials = 0;
    for (int round = 0; round < 4; ++round) {
      std::string text(length, ' ');
      for (char& c : text) c = static_cast<char>('a' + random() % 26);
      for (std::size_t bit = 0; bit < 8 * length; ++bit, ++trials) {
        std::string changed = text;
        changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
        std::uint64_t difference = said_key(2, text) ^ said_key(2, changed);
        ASSERT_NE(difference, 0U);
        for (int& flip : flips) {
          flip += static_cast<int>(difference & 1);
          difference >>= 1;
        }
      }
    }
    if (trials < 400) continue;
    for (const int flip : flips) {
      EXPECT_GT(flip, trials * 35 / 100) << length;
      EXPECT_LT(flip, trials * 65 / 100) << length;
    }
  }
}

}  // namespace
}  // namespace mla_dtype::detail
