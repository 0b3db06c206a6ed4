// SPDX-License-Identifier: Apache-2.0
#include "said_set.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <unordered_set>

#include "multiply.h"

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

class SaidSetTest : public ::testing::Test {
 protected:
  std::unique_ptr<SaidSet> set = std::make_unique<SaidSet>();
  bool once(std::uint64_t key, bool written = true) {
    return set->once(key, [&] { return written; });
  }
};

TEST_F(SaidSetTest, OnlyAWriteThatSucceededIsSaid) {
  EXPECT_FALSE(once(7, false));
  EXPECT_FALSE(set->contains(7));
  EXPECT_THROW(set->once(7, []() -> bool { throw 1; }), int);
  EXPECT_FALSE(set->contains(7));
  EXPECT_TRUE(once(7));
  EXPECT_TRUE(set->contains(7));
  EXPECT_FALSE(once(7));
}

TEST_F(SaidSetTest, AKeyBeingWrittenIsNeitherSaidNorFree) {
  EXPECT_TRUE(set->once(7, [&] {
    EXPECT_FALSE(set->contains(7));
    EXPECT_FALSE(once(7));
    EXPECT_TRUE(once(8));
    return true;
  }));
  EXPECT_TRUE(set->contains(7));
}

TEST_F(SaidSetTest, AResetDuringAWriteFreesItsKeyAtOnce) {
  EXPECT_TRUE(set->once(7, [&] {
    set->reset();
    EXPECT_TRUE(once(7));  // says it again, and is remembered
    set->reset();
    return true;
  }));
  EXPECT_FALSE(set->contains(7));
}

TEST_F(SaidSetTest, KeysThatShareASlotAreToldApart) {
  const std::uint64_t step = std::uint64_t{2} * SaidSet::capacity;
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_TRUE(once(8191 + i * step));
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_TRUE(set->contains(8191 + i * step));
  EXPECT_FALSE(set->contains(8191 + 100 * step));
}

TEST_F(SaidSetTest, PastItsBoundItStillWritesAndForgetsNothing) {
  std::uint64_t key = 1;
  while (once(key), set->contains(key)) ++key;
  EXPECT_GT(key, SaidSet::capacity);
  EXPECT_TRUE(once(key)) << "written, again";
  for (std::uint64_t said = 1; said < key; ++said) EXPECT_TRUE(set->contains(said));
  set->reset();
  EXPECT_TRUE(once(key));
  EXPECT_TRUE(set->contains(key));
}

TEST_F(SaidSetTest, FailedWritesLeaveRoomForItsCapacity) {
  for (std::uint64_t key = 1; key <= 2048; ++key) EXPECT_FALSE(once(key << 20, false));
  for (std::uint64_t key = 1; key <= SaidSet::capacity; ++key) EXPECT_TRUE(once(key));
  for (std::uint64_t key = 1; key <= SaidSet::capacity; ++key) EXPECT_TRUE(set->contains(key));
}

TEST_F(SaidSetTest, FailingAgainAndAgainTakesNoRoom) {
  for (int i = 0; i < 100'000; ++i) EXPECT_FALSE(once(7, false));
  EXPECT_TRUE(once(7));
  EXPECT_TRUE(set->contains(7));
  EXPECT_TRUE(once(8));
  EXPECT_TRUE(set->contains(8));
}

}  // namespace
}  // namespace mla_dtype::detail
