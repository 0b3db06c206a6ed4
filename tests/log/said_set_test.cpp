// SPDX-License-Identifier: Apache-2.0

// Without these "already said" could forget or invent a key at its corners: writes that fail, that
// meet themselves or a reset, keys that share a place, and the bounds.

#include "log/said_set.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "support/exactly_once.h"

namespace mla_dtype::detail {
namespace {

// Keys as hashes are: all bits differ.
std::uint64_t text(std::uint64_t i) { return (2 * i + 1) * 0x9E3779B97F4A7C15U; }
std::uint64_t decision(std::uint64_t i) { return (2 * i + 2) * 0x9E3779B97F4A7C15U; }

class SaidSetTest : public ::testing::Test {
 protected:
  std::unique_ptr<SaidSet> set = std::make_unique<SaidSet>();
  bool once(std::uint64_t key, std::uint64_t of_decision = 0) {
    return set->once(key, of_decision, [] { return true; });
  }
  bool once_in_vain(std::uint64_t key, std::uint64_t of_decision = 0) {
    return set->once(key, of_decision, [] { return false; });
  }
  void fill_texts(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) ASSERT_TRUE(once(text(i)));
  }
};

TEST_F(SaidSetTest, NothingIsSaidAtFirst) {
  EXPECT_FALSE(set->contains(7));
  EXPECT_FALSE(set->contains(0));
  set->reset();
  EXPECT_TRUE(once(7));
  EXPECT_FALSE(set->contains(0)) << "no decision is none that was said";
}

TEST_F(SaidSetTest, OnlyAWriteThatSucceededIsSaid) {
  EXPECT_FALSE(once_in_vain(7));
  EXPECT_FALSE(set->contains(7));
  EXPECT_THROW(set->once(7, 0, []() -> bool { throw 1; }), int);
  EXPECT_FALSE(set->contains(7));
  EXPECT_TRUE(once(7));
  EXPECT_TRUE(set->contains(7));
  EXPECT_FALSE(once(7));
}

TEST_F(SaidSetTest, AKeyBeingWrittenIsNeitherSaidNorFree) {
  EXPECT_TRUE(set->once(7, 70, [&] {
    EXPECT_FALSE(set->contains(7));
    EXPECT_FALSE(set->contains(70));
    EXPECT_FALSE(once(7, 71));
    EXPECT_TRUE(once(8));
    EXPECT_FALSE(once(7)) << "also when a later write has ended";
    return true;
  }));
  EXPECT_TRUE(set->contains(7));
  EXPECT_TRUE(set->contains(70));
  EXPECT_FALSE(set->contains(71)) << "its text was not yet said";
}

TEST_F(SaidSetTest, AResetDuringAWriteFreesItsKeyAtOnce) {
  EXPECT_TRUE(set->once(7, 70, [&] {
    set->reset();
    EXPECT_TRUE(once(7));  // says it again, and is remembered
    set->reset();
    return true;
  }));
  EXPECT_FALSE(set->contains(7));
  EXPECT_FALSE(set->contains(70));
}

TEST_F(SaidSetTest, WhatWasBegunBeforeAResetDoesNotEndWhatWasBegunAfterIt) {
  EXPECT_TRUE(set->once(7, 0, [&] {
    set->reset();
    EXPECT_TRUE(set->once(8, 0, [&] {
      EXPECT_TRUE(once(7));
      EXPECT_FALSE(once(8));
      return true;
    }));
    return true;
  }));
  EXPECT_TRUE(set->contains(7));
  EXPECT_TRUE(set->contains(8));
}

TEST_F(SaidSetTest, KeysThatShareAPlaceAreToldApart) {
  // The last place of all, from which the search goes on at the first.
  const std::uint64_t last = ~std::uint64_t{0};
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_TRUE(once(last - i));
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_TRUE(set->contains(last - i));
  EXPECT_FALSE(set->contains(last - 100));
}

TEST_F(SaidSetTest, PastItsBoundItStillWritesAndForgetsNothing) {
  fill_texts(SaidSet::text_quota);
  const std::uint64_t past = text(SaidSet::text_quota);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(once(past)) << "written, again";
  EXPECT_FALSE(set->contains(past));
  for (std::uint64_t i = 0; i < SaidSet::text_quota; ++i) EXPECT_TRUE(set->contains(text(i)));
  set->reset();
  EXPECT_TRUE(once(past));
  EXPECT_TRUE(set->contains(past));
}

TEST_F(SaidSetTest, PastItsBoundARecordInProgressIsStillWrittenOnce) {
  fill_texts(SaidSet::text_quota);
  const std::uint64_t past = text(SaidSet::text_quota);
  EXPECT_TRUE(set->once(past, 0, [&] {
    EXPECT_FALSE(once(past));
    return true;
  }));
}

TEST_F(SaidSetTest, WritesThatFailTakeNoPlace) {
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    EXPECT_FALSE(once_in_vain(text(10'000 + i), decision(i)));
    EXPECT_FALSE(once_in_vain(text(9'999), decision(9'999)));
  }
  fill_texts(SaidSet::text_quota);
  for (std::uint64_t i = 0; i < SaidSet::text_quota; ++i) EXPECT_TRUE(set->contains(text(i)));
  for (std::uint64_t i = 0; i < SaidSet::decision_quota; ++i) {
    EXPECT_FALSE(once(text(0), decision(i)));
    EXPECT_TRUE(set->contains(decision(i)));
  }
}

TEST_F(SaidSetTest, ADecisionIsSaidWithItsText) {
  EXPECT_FALSE(once_in_vain(7, 70));
  EXPECT_FALSE(set->contains(70)) << "the write failed";
  EXPECT_TRUE(once(7, 70));
  EXPECT_TRUE(set->contains(70));
  EXPECT_FALSE(once(7, 71)) << "the text was said";
  EXPECT_TRUE(set->contains(71));
  set->reset();
  for (const std::uint64_t key : {7U, 70U, 71U}) EXPECT_FALSE(set->contains(key));
}

TEST_F(SaidSetTest, TheQuotasAreApart) {
  for (std::uint64_t i = 0; i < 2 * SaidSet::decision_quota; ++i) {
    EXPECT_EQ(once(text(0), decision(i)), i == 0);
    EXPECT_EQ(once(text(0), decision(i)), false) << "again, which takes no second place";
    EXPECT_EQ(set->contains(decision(i)), i < SaidSet::decision_quota);
  }
  for (std::uint64_t i = 1; i < 2 * SaidSet::text_quota; ++i) {
    ASSERT_TRUE(once(text(i)));
    ASSERT_EQ(set->contains(text(i)), i < SaidSet::text_quota);
  }
  EXPECT_TRUE(once(text(2 * SaidSet::text_quota), decision(0)));
  EXPECT_TRUE(set->contains(decision(0)));
}

// Fewer texts than there are threads find a place; those that do are said once.
TEST_F(SaidSetTest, TheLastPlaceIsSaidOnceByManyThreads) {
  constexpr int thread_count = 8;
  constexpr int round_count = 300;
  constexpr std::uint64_t last = SaidSet::text_quota - 1;
  std::atomic<int> writes{0};
  testing::StartingLine line(thread_count);
  const auto run = [&](int thread) {
    for (int round = 0; round < round_count; ++round) {
      if (thread == 0) {
        set->reset();
        fill_texts(last);
        writes = 0;
      }
      line.wait();
      for (int i = 0; i < 4; ++i) {
        set->once(text(last), decision(0), [&] {
          ++writes;
          return true;
        });
      }
      line.wait();
      if (thread == 0) {
        EXPECT_EQ(writes, 1) << round;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < thread_count; ++thread) threads.emplace_back(run, thread);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace mla_dtype::detail
