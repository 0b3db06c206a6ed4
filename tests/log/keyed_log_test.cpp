// SPDX-License-Identifier: Apache-2.0

// Without these the record of a decision could be lost because its key counts as said and its text
// was never written, come twice, or be composed again and again.

#include "log/keyed_log.h"

#include <gmock/gmock.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "log/said_key.h"
#include "log/said_set.h"
#include "support/exactly_once.h"
#include "support/expect_invalid.h"
#include "support/once_log_fixture.h"
#include "support/recording_log.h"

namespace mla_dtype::detail {
namespace {

using ::testing::ElementsAre;
using testing::expect_invalid;
using testing::info;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::warning;

// No level has this number: no text has one of these keys.
std::uint64_t key_of(std::string_view decision) { return said_key(1000, decision); }

class KeyedLogTest : public testing::OnceLogFixture {
 protected:
  bool may_say(const std::string& decision, LogScope scope = LogScope::local) {
    return KeyedLog::may_say(log, scope, LogLevel::info, key_of(decision));
  }
  bool say(const std::string& decision, const std::string& text, LogScope scope = LogScope::local) {
    return KeyedLog::say_once(log, scope, LogLevel::info, key_of(decision), text);
  }
};

TEST_F(KeyedLogTest, KeyAndTextAreSaidTogether) {
  EXPECT_TRUE(may_say("a"));
  EXPECT_TRUE(may_say("a")) << "asking says nothing";
  EXPECT_TRUE(say("a", "A"));
  EXPECT_FALSE(may_say("a"));
  EXPECT_FALSE(say("a", "A"));
  EXPECT_FALSE(log.info_once(LogScope::local, "A")) << "whoever says it";
  EXPECT_TRUE(may_say("b"));
  EXPECT_THAT(output.records(), ElementsAre(info("A")));
}

TEST_F(KeyedLogTest, AResetForgetsBoth) {
  EXPECT_TRUE(say("a", "A"));
  log.reset();
  EXPECT_TRUE(may_say("a"));
  EXPECT_TRUE(say("a", "A"));
  EXPECT_FALSE(may_say("a"));
  EXPECT_THAT(output.records(), SizeIs(2));
}

TEST_F(KeyedLogTest, AResetDuringTheWriteForgetsBoth) {
  OnceLog* resetting = nullptr;
  OnceLog made([&](LogLevel, std::string_view) { resetting->reset(); });
  resetting = &made;
  EXPECT_TRUE(KeyedLog::say_once(made, LogScope::local, LogLevel::info, key_of("a"), "A"));
  EXPECT_TRUE(KeyedLog::may_say(made, LogScope::local, LogLevel::info, key_of("a")));
  EXPECT_TRUE(made.info_once(LogScope::local, "A"));
}

TEST_F(KeyedLogTest, TwoKeysWithOneTextGiveOneRecord) {
  EXPECT_TRUE(say("a", "A"));
  EXPECT_TRUE(may_say("b"));
  EXPECT_FALSE(say("b", "A"));
  EXPECT_FALSE(may_say("b")) << "its text was said";
  EXPECT_TRUE(log.info_once(LogScope::local, "B"));
  EXPECT_FALSE(say("c", "B"));
  EXPECT_FALSE(may_say("c"));
  EXPECT_THAT(output.records(), ElementsAre(info("A"), info("B")));
}

TEST_F(KeyedLogTest, OneKeyWithTwoTextsGivesTwoRecords) {
  EXPECT_TRUE(say("a", "A"));
  EXPECT_TRUE(say("a", "B")) << "a text is never lost";
  EXPECT_THAT(output.records(), ElementsAre(info("A"), info("B")));
}

TEST_F(KeyedLogTest, WhatWasHeldBackHasSaidNeither) {
  log.set_rank({/*global_rank=*/1, /*local_rank=*/1});
  EXPECT_FALSE(may_say("a"));
  EXPECT_FALSE(say("a", "A"));
  log.set_rank({});
  EXPECT_TRUE(may_say("a"));
  EXPECT_TRUE(say("a", "A"));
  EXPECT_THAT(output.records(), ElementsAre(info("A")));
}

TEST_F(KeyedLogTest, ALoggerThatThrowsHasSaidNeither) {
  bool healthy = false;
  OnceLog failing([&](LogLevel, std::string_view) {
    if (!healthy) throw 42;
  });
  const auto say_it = [&] {
    return KeyedLog::say_once(failing, LogScope::local, LogLevel::info, key_of("a"), "A");
  };
  EXPECT_FALSE(say_it());
  EXPECT_TRUE(KeyedLog::may_say(failing, LogScope::local, LogLevel::info, key_of("a")));
  healthy = true;
  EXPECT_TRUE(say_it());
  EXPECT_FALSE(say_it());
}

TEST_F(KeyedLogTest, LevelsAndScopesHold) {
  EXPECT_TRUE(KeyedLog::say_once(log, LogScope::local, LogLevel::warning, key_of("a"), "A"));
  EXPECT_TRUE(say("a", "A", LogScope::global));
  EXPECT_TRUE(may_say("a", LogScope::process));
  EXPECT_THAT(output.records(), ElementsAre(warning("A"), info("A")));
}

TEST_F(KeyedLogTest, PastTheQuotaARecordStillComesOnceByItsText) {
  for (std::size_t i = 0; i < SaidSet::decision_quota; ++i) say(std::to_string(i), "A");
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(may_say("past")) << "not remembered";
    EXPECT_EQ(say("past", "B"), i == 0);
  }
  EXPECT_THAT(output.records(), ElementsAre(info("A"), info("B")));
}

TEST_F(KeyedLogTest, ScopesOutOfRangeAreRefused) {
  const auto scope = static_cast<LogScope>(3);
  const auto expected = StartsWith("scope: LogScope(3)");
  expect_invalid([&] { (void)may_say("a", scope); }, expected);
  expect_invalid([&] { say("a", "A", scope); }, expected);
  EXPECT_THAT(output.records(), IsEmpty());
}

TEST_F(KeyedLogTest, ExactlyOnceUnderThreads) {
  std::atomic<int> written{0};
  testing::expect_exactly_once(
      output,
      [&](const std::string& text) {
        if (may_say(text)) written += say(text, text) ? 1 : 0;
      },
      [&] {
        EXPECT_EQ(written, 64) << "true once for each message";
        written = 0;
        log.reset();
      });
}

}  // namespace
}  // namespace mla_dtype::detail
