// SPDX-License-Identifier: Apache-2.0

// Without these a OnceLog could say a thing twice, keep one scope, level or log silent for what
// another said, write a text other than it was given, or speak on a rank that must be silent.

#include <gmock/gmock.h>
#include <mla_dtype/once_log.h>
#include <unistd.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "support/exit_code_of.h"
#include "support/expect_invalid.h"
#include "support/once_log_fixture.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using testing::all_scopes;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::exit_code_of;
using testing::expect_invalid;
using ::testing::HasSubstr;
using testing::info;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::warning;

using OnceLogTest = testing::OnceLogFixture;

TEST_F(OnceLogTest, SaysEachThingOnce) {
  EXPECT_TRUE(say("A"));
  EXPECT_TRUE(say("B"));
  EXPECT_FALSE(say("A"));
  EXPECT_FALSE(say("B"));
  EXPECT_FALSE(say("A"));
  EXPECT_THAT(output.records(), ElementsAre(info("A"), info("B")));
}

TEST_F(OnceLogTest, ALevelDoesNotSilenceTheOther) {
  EXPECT_TRUE(log.info_once(LogScope::process, "A"));
  EXPECT_TRUE(log.warning_once(LogScope::process, "A"));
  EXPECT_FALSE(log.info_once(LogScope::process, "A"));
  EXPECT_FALSE(log.warning_once(LogScope::process, "A"));
  EXPECT_THAT(output.records(), ElementsAre(info("A"), warning("A")));
}

TEST_F(OnceLogTest, AScopeDoesNotSilenceAnother) {
  for (const LogScope scope : all_scopes) EXPECT_TRUE(log.info_once(scope, "A"));
  for (const LogScope scope : all_scopes) EXPECT_FALSE(log.info_once(scope, "A"));
}

TEST_F(OnceLogTest, ALogDoesNotSilenceAnother) {
  OnceLog other(output.write);
  EXPECT_TRUE(say("A"));
  EXPECT_TRUE(other.info_once(LogScope::process, "A"));
}

TEST_F(OnceLogTest, MessagesAreWrittenAsTheyAre) {
  const std::string texts[] = {"",
                               "{}",
                               "{0} {:d} }{ %v %d",
                               std::string("a\0b", 3),
                               std::string(100'000, 'x'),
                               std::string(100'000, 'x') + 'y'};
  for (const std::string& text : texts) EXPECT_TRUE(say(text));
  for (const std::string& text : texts) EXPECT_FALSE(say(text));
  const auto records = output.records();
  ASSERT_THAT(records, SizeIs(std::size(texts)));
  for (std::size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i].text, texts[i]);
  EXPECT_FALSE(log.info_once(LogScope::process, std::string_view{})) << "the empty text, said";
}

TEST_F(OnceLogTest, TextsOfAllLengthsAreTold) {
  // Every prefix, and every change of one byte, is a text of its own.
  std::string text;
  for (int length = 0; length < 150; ++length) {
    EXPECT_TRUE(say(text)) << length;
    for (std::size_t i = 0; i < text.size() && text.size() < 80; ++i) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ 0x20);
      EXPECT_TRUE(say(changed)) << length << ' ' << i;
    }
    text += static_cast<char>('a' + length % 26);
    if (length == 79) log.reset();  // stay under the bound
  }
}

TEST_F(OnceLogTest, RanksSpeakInTheirScopes) {
  // global rank, local rank -> process, local, global
  const std::map<std::pair<int, int>, std::tuple<bool, bool, bool>> expected = {
      {{0, 0}, {true, true, true}},
      {{3, 3}, {true, false, false}},
      {{8, 0}, {true, true, false}},
      {{0, 5}, {true, false, true}},
  };
  for (const auto& [ranks, speaks] : expected) {
    RankInfo rank;
    rank.global_rank = ranks.first;
    rank.local_rank = ranks.second;
    OnceLog made_so(output.write, rank);
    OnceLog set_so(output.write);
    set_so.set_rank(rank);
    for (OnceLog* each : {&made_so, &set_so}) {
      EXPECT_EQ(each->info_once(LogScope::process, "A"), std::get<0>(speaks));
      EXPECT_EQ(each->info_once(LogScope::local, "A"), std::get<1>(speaks));
      EXPECT_EQ(each->info_once(LogScope::global, "A"), std::get<2>(speaks));
    }
  }
}

TEST_F(OnceLogTest, NegativeRanksAreRefused) {
  RankInfo bad_local, bad_global;
  bad_local.local_rank = -1;
  bad_global.global_rank = -7;
  const auto local = AllOf(StartsWith("local_rank: -1"), HasSubstr("accepted: 0 and above"));
  const auto global = AllOf(StartsWith("global_rank: -7"), HasSubstr("accepted: 0 and above"));
  expect_invalid([&] { OnceLog(output.write, bad_local); }, local);
  expect_invalid([&] { OnceLog(output.write, bad_global); }, global);
  expect_invalid([&] { log.set_rank(bad_local); }, local);
  expect_invalid([&] { log.set_rank(bad_global); }, global);
  EXPECT_TRUE(log.info_once(LogScope::local, "A")) << "the rank stays what it was";
}

TEST_F(OnceLogTest, ScopesOutOfRangeAreRefused) {
  for (const int value : {3, 255}) {
    const auto scope = static_cast<LogScope>(value);
    const auto expected = AllOf(StartsWith("scope: LogScope(" + std::to_string(value) + ")"),
                                HasSubstr("enumerators"));
    expect_invalid([&] { log.info_once(scope, "A"); }, expected);
    expect_invalid([&] { log.warning_once(scope, "A"); }, expected);
  }
  EXPECT_THAT(output.records(), IsEmpty());
}

TEST_F(OnceLogTest, ResetForgetsEveryScope) {
  for (int round = 0; round < 3; ++round) {
    for (const LogScope scope : all_scopes) EXPECT_TRUE(log.info_once(scope, "A"));
    for (const LogScope scope : all_scopes) EXPECT_FALSE(log.info_once(scope, "A"));
    log.reset();
  }
}

TEST_F(OnceLogTest, AResetWhileARecordIsWrittenForgetsItToo) {
  OnceLog* resetting = nullptr;
  int writes = 0;
  OnceLog made([&](LogLevel, std::string_view) {
    if (++writes == 1) resetting->reset();
  });
  resetting = &made;
  EXPECT_TRUE(made.info_once(LogScope::local, "A"));
  EXPECT_TRUE(made.info_once(LogScope::local, "A"));
  EXPECT_FALSE(made.info_once(LogScope::local, "A"));
}

TEST_F(OnceLogTest, PastTheBoundNothingIsLost) {
  std::size_t writes = 0;
  OnceLog counting([&](LogLevel, std::string_view) { ++writes; });
  constexpr std::size_t count = 1'000'000;
  std::size_t written = 0;
  for (std::size_t i = 0; i < count; ++i) {
    written += counting.info_once(LogScope::local, std::to_string(i)) ? 1 : 0;
  }
  EXPECT_EQ(written, count);
  EXPECT_EQ(writes, count);
  std::size_t repeated = 0;
  for (std::size_t i = 0; i < 4096; ++i) {
    repeated += counting.info_once(LogScope::local, std::to_string(i)) ? 1 : 0;
  }
  EXPECT_EQ(repeated, 0U) << "the first 4,096 are remembered";
  EXPECT_TRUE(counting.info_once(LogScope::global, "0")) << "the bound is each scope's own";
  counting.reset();
  EXPECT_TRUE(counting.info_once(LogScope::local, "0"));
  EXPECT_FALSE(counting.info_once(LogScope::local, "0"));
}

TEST_F(OnceLogTest, AChildInheritsWhatWasSaid) {
  EXPECT_TRUE(say("A"));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool inherited = !say("A") && say("B") && !say("B");
    _exit(inherited ? 0 : 1);
  }
  EXPECT_EQ(exit_code_of(child), 0);
  EXPECT_TRUE(say("B")) << "what the child says is the child's";
}

}  // namespace
}  // namespace mla_dtype
