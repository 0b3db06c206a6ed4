// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <mla_dtype/once_log.h>
#include <pthread.h>
#include <spdlog/async.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>

#include "support/exactly_once.h"
#include "support/expect_invalid.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::expect_invalid;
using ::testing::HasSubstr;
using testing::info;
using ::testing::IsEmpty;
using testing::make_callback_sink;
using testing::RecordingLogger;
using testing::RecordingSink;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::warning;

constexpr LogScope all_scopes[] = {LogScope::process, LogScope::local, LogScope::global};

class OnceLogTest : public ::testing::Test {
 protected:
  RecordingLogger output;
  OnceLog log{output.logger};

  bool say(const std::string& text) { return log.info_once(LogScope::process, text); }
};

// A logger whose sink does what it is told to.
template <class OnLog>
std::shared_ptr<spdlog::logger> make_callback_logger(OnLog on_log) {
  return std::make_shared<spdlog::logger>("engine", make_callback_sink(std::move(on_log)));
}

int exit_code_of(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(OnceLogTest, SaysEachThingOnce) {
  EXPECT_TRUE(say("A"));
  EXPECT_TRUE(say("B"));
  EXPECT_FALSE(say("A"));
  EXPECT_FALSE(say("B"));
  EXPECT_FALSE(say("A"));
  EXPECT_THAT(output.sink->records(), ElementsAre(info("A"), info("B")));
}

TEST_F(OnceLogTest, ALevelDoesNotSilenceTheOther) {
  EXPECT_TRUE(log.info_once(LogScope::process, "A"));
  EXPECT_TRUE(log.warning_once(LogScope::process, "A"));
  EXPECT_FALSE(log.info_once(LogScope::process, "A"));
  EXPECT_FALSE(log.warning_once(LogScope::process, "A"));
  EXPECT_THAT(output.sink->records(), ElementsAre(info("A"), warning("A")));
}

TEST_F(OnceLogTest, AScopeDoesNotSilenceAnother) {
  for (const LogScope scope : all_scopes) EXPECT_TRUE(log.info_once(scope, "A"));
  for (const LogScope scope : all_scopes) EXPECT_FALSE(log.info_once(scope, "A"));
}

TEST_F(OnceLogTest, ALogDoesNotSilenceAnother) {
  OnceLog other(output.logger);
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
  const auto records = output.sink->records();
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

TEST_F(OnceLogTest, WhatTheLoggersLevelHeldBackMayBeSaidLater) {
  output.logger->set_level(spdlog::level::warn);
  EXPECT_FALSE(say("A"));
  EXPECT_TRUE(log.warning_once(LogScope::process, "A"));
  output.logger->set_level(spdlog::level::off);
  EXPECT_FALSE(log.warning_once(LogScope::process, "B"));
  output.logger->set_level(spdlog::level::info);
  EXPECT_TRUE(say("A"));
  EXPECT_TRUE(log.warning_once(LogScope::process, "B"));
  EXPECT_FALSE(say("A"));
  EXPECT_THAT(output.sink->records(), ElementsAre(warning("A"), info("A"), warning("B")));
}

TEST_F(OnceLogTest, WhatAllSinksLevelsHeldBackMayBeSaidLater) {
  const auto second = std::make_shared<RecordingSink>();
  output.logger->sinks().push_back(second);
  output.sink->set_level(spdlog::level::err);
  second->set_level(spdlog::level::err);
  EXPECT_FALSE(say("A"));
  second->set_level(spdlog::level::info);
  EXPECT_TRUE(say("A")) << "one sink is enough";
  output.sink->set_level(spdlog::level::info);
  EXPECT_FALSE(say("A"));
  EXPECT_THAT(output.sink->records(), IsEmpty());
  EXPECT_THAT(second->records(), ElementsAre(info("A")));
}

TEST_F(OnceLogTest, ALoggerWithoutSinksSaysNothing) {
  OnceLog mute(std::make_shared<spdlog::logger>("mute"));
  EXPECT_FALSE(mute.info_once(LogScope::process, "A"));
}

TEST_F(OnceLogTest, TheLoggersNamePatternAndSinksHoldAlsoWhenChanged) {
  output.logger->set_pattern("%n %l %v");
  say("A");
  output.logger->set_pattern("%v!");
  say("B");
  const auto second = std::make_shared<RecordingSink>();
  output.logger->sinks() = {second};
  say("C");
  EXPECT_THAT(output.sink->lines(), ElementsAre("engine info A\n", "B!\n"));
  EXPECT_THAT(second->records(), ElementsAre(info("C")));
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
    OnceLog made_so(output.logger, rank);
    OnceLog set_so(output.logger);
    set_so.set_rank(rank);
    for (OnceLog* each : {&made_so, &set_so}) {
      EXPECT_EQ(each->info_once(LogScope::process, "A"), std::get<0>(speaks));
      EXPECT_EQ(each->info_once(LogScope::local, "A"), std::get<1>(speaks));
      EXPECT_EQ(each->info_once(LogScope::global, "A"), std::get<2>(speaks));
    }
  }
}

TEST_F(OnceLogTest, WhatARankHeldBackMayBeSaidLater) {
  RankInfo second;
  second.global_rank = second.local_rank = 1;
  log.set_rank(second);
  EXPECT_FALSE(log.info_once(LogScope::local, "A"));
  log.set_rank({});
  EXPECT_TRUE(log.info_once(LogScope::local, "A"));
  EXPECT_FALSE(log.info_once(LogScope::local, "A"));
}

TEST_F(OnceLogTest, NegativeRanksAreRefused) {
  RankInfo bad_local, bad_global;
  bad_local.local_rank = -1;
  bad_global.global_rank = -7;
  const auto local = AllOf(StartsWith("local_rank: -1"), HasSubstr("accepted: 0 and above"));
  const auto global = AllOf(StartsWith("global_rank: -7"), HasSubstr("accepted: 0 and above"));
  expect_invalid([&] { OnceLog(output.logger, bad_local); }, local);
  expect_invalid([&] { OnceLog(output.logger, bad_global); }, global);
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
  EXPECT_THAT(output.sink->records(), IsEmpty());
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
  OnceLog made(make_callback_logger([&](const spdlog::details::log_msg&) {
    if (++writes == 1) resetting->reset();
  }));
  resetting = &made;
  EXPECT_TRUE(made.info_once(LogScope::local, "A"));
  EXPECT_TRUE(made.info_once(LogScope::local, "A"));
  EXPECT_FALSE(made.info_once(LogScope::local, "A"));
}

TEST_F(OnceLogTest, ASinksStdExceptionIsSpdlogsToSwallowAndCountsAsSaid) {
  int failures = 0;
  const auto logger = make_callback_logger(
      [](const spdlog::details::log_msg&) { throw std::runtime_error("disk full"); });
  logger->set_error_handler([&](const std::string&) { ++failures; });
  OnceLog failing(logger);
  EXPECT_TRUE(failing.info_once(LogScope::local, "A"));
  EXPECT_FALSE(failing.info_once(LogScope::local, "A"));
  EXPECT_EQ(failures, 1);
}

TEST_F(OnceLogTest, WhatEscapesTheLoggerMakesFalseAndMayBeSaidAgain) {
  bool healthy = false;
  int writes = 0;
  // Not a std::exception: spdlog lets it through.
  const auto not_std = make_callback_logger([&](const spdlog::details::log_msg&) {
    if (!healthy) throw 42;
    ++writes;
  });
  // A std::exception whose error handler throws in turn.
  const auto bad_handler = make_callback_logger([&](const spdlog::details::log_msg&) {
    if (!healthy) throw std::runtime_error("disk full");
    ++writes;
  });
  bad_handler->set_error_handler([](const std::string& text) { throw std::runtime_error(text); });
  for (const auto& logger : {not_std, bad_handler}) {
    OnceLog failing(logger);
    healthy = false;
    writes = 0;
    EXPECT_FALSE(failing.warning_once(LogScope::local, "A"));
    EXPECT_FALSE(failing.warning_once(LogScope::local, "A"));
    healthy = true;
    EXPECT_TRUE(failing.warning_once(LogScope::local, "A"));
    EXPECT_FALSE(failing.warning_once(LogScope::local, "A"));
    EXPECT_EQ(writes, 1);
  }
}

TEST_F(OnceLogTest, AnAsyncLoggerAfterItsPoolIsGoneMakesFalse) {
  auto pool = std::make_shared<spdlog::details::thread_pool>(64, 1);
  const auto logger = std::make_shared<spdlog::async_logger>("engine", output.sink, pool);
  logger->set_error_handler([](const std::string& text) { throw std::runtime_error(text); });
  OnceLog async(logger);
  EXPECT_TRUE(async.info_once(LogScope::local, "A"));
  pool.reset();  // as spdlog::shutdown() does; waits for what was queued
  EXPECT_THAT(output.sink->records(), ElementsAre(info("A")));
  EXPECT_NO_THROW(EXPECT_FALSE(async.info_once(LogScope::local, "B")));
  EXPECT_FALSE(async.info_once(LogScope::local, "A"));
}

TEST_F(OnceLogTest, ARecordInProgressIsNotWaitedFor) {
  std::promise<void> inside, go_on;
  std::atomic<int> writes{0};
  OnceLog slow(make_callback_logger([&](const spdlog::details::log_msg&) {
    ++writes;
    inside.set_value();
    go_on.get_future().wait();
  }));
  std::thread writer([&] { EXPECT_TRUE(slow.info_once(LogScope::local, "A")); });
  inside.get_future().wait();
  EXPECT_FALSE(slow.info_once(LogScope::local, "A"));  // would not return if it waited
  EXPECT_EQ(writes, 1);
  go_on.set_value();
  writer.join();
  EXPECT_FALSE(slow.info_once(LogScope::local, "A"));
}

TEST_F(OnceLogTest, ExactlyOnceUnderThreads) {
  std::atomic<int> written{0};
  testing::expect_exactly_once(
      *output.sink,
      [&](const std::string& text) { written += log.info_once(LogScope::local, text) ? 1 : 0; },
      [&] {
        EXPECT_EQ(written, 64) << "true once for each message";
        written = 0;
        log.reset();
      });
}

TEST_F(OnceLogTest, ResetDuringCallsLosesNothing) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        for (int message = 0; message < 16; ++message) say(std::to_string(message));
      }
    });
  }
  for (int round = 0; round < 2000; ++round) log.reset();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  log.reset();
  output.sink->clear();
  for (int message = 0; message < 16; ++message) EXPECT_TRUE(say(std::to_string(message)));
  for (int message = 0; message < 16; ++message) EXPECT_FALSE(say(std::to_string(message)));
  EXPECT_THAT(output.sink->records(), SizeIs(16));
}

TEST_F(OnceLogTest, OneResetDuringCallsLetsEachMessageOutOnceMoreAtMost) {
  constexpr int thread_count = 4;
  constexpr std::size_t message_count = 8;
  testing::StartingLine line(thread_count);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < thread_count; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 500; ++round) {
        line.wait();
        for (int i = 0; i < 4; ++i) {
          if (thread == 0 && i == 2) log.reset();
          for (std::size_t message = 0; message < message_count; ++message) {
            say(std::to_string(message));
          }
        }
        line.wait();
        if (thread == 0) {
          std::map<std::string, int> written;
          for (const testing::Record& record : output.sink->records()) ++written[record.text];
          EXPECT_EQ(written.size(), message_count);
          for (const auto& [text, times] : written) EXPECT_EQ(times, 2) << text;
          output.sink->clear();
          log.reset();
        }
        line.wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(OnceLogTest, ResetDuringCallsLosesNoRoom) {
  OnceLog busy(make_callback_logger([](const spdlog::details::log_msg&) {}));
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; !stop; ++i) {
        busy.info_once(LogScope::local, std::to_string(thread) + ' ' + std::to_string(i));
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) busy.reset();
    });
  }
  threads[1].join();
  threads[3].join();
  stop = true;
  threads[0].join();
  threads[2].join();
  busy.reset();
  for (int i = 0; i < 4096; ++i) ASSERT_TRUE(busy.info_once(LogScope::local, std::to_string(i)));
  for (int i = 0; i < 4096; ++i) ASSERT_FALSE(busy.info_once(LogScope::local, std::to_string(i)));
}

TEST_F(OnceLogTest, AResetIsSeenByTheNextCallOfAnyThread) {
  // Each round: one thread resets, then all say the message; it must come out exactly once.
  constexpr int thread_count = 4;
  testing::StartingLine line(thread_count);
  std::atomic<int> said{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < thread_count; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 500; ++round) {
        if (thread == 0) {
          EXPECT_EQ(said.exchange(0), round == 0 ? 0 : 1);
          log.reset();
        }
        line.wait();
        said += say("A") ? 1 : 0;
        line.wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(OnceLogTest, PastTheBoundNothingIsLost) {
  std::size_t writes = 0;
  OnceLog counting(make_callback_logger([&](const spdlog::details::log_msg&) { ++writes; }));
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

class DefaultLoggerTest : public ::testing::Test {
 protected:
  const std::shared_ptr<spdlog::logger> before = spdlog::default_logger();
  ~DefaultLoggerTest() override { spdlog::set_default_logger(before); }
};

TEST_F(DefaultLoggerTest, TheNullLoggerIsTheDefaultOneAtTheTimeOfTheCall) {
  RecordingLogger first, second;
  OnceLog log;
  spdlog::set_default_logger(first.logger);
  EXPECT_TRUE(log.info_once(LogScope::local, "A"));
  spdlog::set_default_logger(second.logger);
  EXPECT_FALSE(log.info_once(LogScope::local, "A"));
  EXPECT_TRUE(log.info_once(LogScope::local, "B"));
  EXPECT_THAT(first.sink->records(), ElementsAre(info("A")));
  EXPECT_THAT(second.sink->records(), ElementsAre(info("B")));
}

TEST_F(DefaultLoggerTest, WithoutADefaultLoggerNothingHasBeenSaid) {
  OnceLog log;
  spdlog::set_default_logger(nullptr);
  EXPECT_FALSE(log.info_once(LogScope::local, "A"));
  RecordingLogger output;
  spdlog::set_default_logger(output.logger);
  EXPECT_TRUE(log.info_once(LogScope::local, "A"));
}

TEST_F(DefaultLoggerTest, ReplacedDuringCallsLosesNothing) {
  const auto sink = std::make_shared<RecordingSink>();
  const auto replace = [&] {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("engine", sink));
  };
  replace();
  OnceLog log;
  std::atomic<bool> stop{false};
  std::thread replacing([&] {
    while (!stop) replace();
  });
  constexpr int count = 2000;
  std::vector<std::thread> threads;
  std::atomic<int> written{0};
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int message = 0; message < count; ++message) {
        written += log.info_once(LogScope::local, std::to_string(message)) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  replacing.join();
  EXPECT_EQ(written, count);
  EXPECT_THAT(sink->records(), SizeIs(count));
}

TEST_F(DefaultLoggerTest, TheDefaultLogIsOneAndTheSame) {
  RecordingLogger output;
  spdlog::set_default_logger(output.logger);
  default_once_log().reset();
  EXPECT_EQ(&default_once_log(), &default_once_log());
  EXPECT_TRUE(default_once_log().info_once(LogScope::local, "A"));
  EXPECT_FALSE(default_once_log().info_once(LogScope::local, "A"));
  EXPECT_THAT(output.sink->records(), ElementsAre(info("A")));
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

// A fork at any moment: while one thread is within a write, and while others claim.
TEST_F(OnceLogTest, AChildDoesNotWaitForThreadsThatOnlyItsParentHas) {
  std::promise<void> inside, go_on;
  std::atomic<bool> block{false};
  OnceLog slow(make_callback_logger([&](const spdlog::details::log_msg&) {
    if (!block.exchange(false)) return;
    inside.set_value();
    go_on.get_future().wait();
  }));
  EXPECT_TRUE(slow.info_once(LogScope::local, "said before"));
  block = true;
  std::thread writer([&] { slow.info_once(LogScope::local, "A"); });
  inside.get_future().wait();
  const pid_t child = fork();
  if (child == 0) {
    const bool works =
        !slow.info_once(LogScope::local, "said before") && slow.info_once(LogScope::local, "A") &&
        !slow.info_once(LogScope::local, "A") && slow.info_once(LogScope::local, "B");
    _exit(works ? 0 : 1);
  }
  go_on.set_value();
  writer.join();
  EXPECT_EQ(exit_code_of(child), 0);
}

#ifndef _GLIBCXX_DEBUG  // whose iterators lock, and a lock that is held at a fork stays held
TEST_F(OnceLogTest, AChildOfManyThreadsWorks) {
  OnceLog busy(make_callback_logger([](const spdlog::details::log_msg&) {}));
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; !stop; ++i) {
        busy.info_once(LogScope::local, std::to_string(thread) + ' ' + std::to_string(i));
      }
    });
  }
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      busy.reset();
      const bool works = busy.info_once(LogScope::local, "A") &&
                         !busy.info_once(LogScope::local, "A") &&
                         busy.info_once(LogScope::local, "B");
      _exit(works ? 0 : 1);
    }
    EXPECT_EQ(exit_code_of(child), 0);
    busy.reset();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}
#endif

// The logger tests its levels a second time; what that test holds back has not been said.
TEST_F(OnceLogTest, ALevelRaisedDuringTheCallLosesNothing) {
  struct ClosingLogger final : spdlog::logger {
    using spdlog::logger::logger;
    bool close = false;
    void sink_it_(const spdlog::details::log_msg& msg) override {
      if (close) {
        for (const auto& sink : sinks()) sink->set_level(spdlog::level::off);
      }
      spdlog::logger::sink_it_(msg);
    }
  };
  const auto logger = std::make_shared<ClosingLogger>("engine", output.sink);
  OnceLog closing(logger);
  logger->close = true;
  EXPECT_FALSE(closing.info_once(LogScope::local, "A"));
  logger->close = false;
  output.sink->set_level(spdlog::level::trace);
  EXPECT_TRUE(closing.info_once(LogScope::local, "A"));
  EXPECT_FALSE(closing.info_once(LogScope::local, "A"));
  EXPECT_THAT(output.sink->records(), ElementsAre(info("A")));
}

#ifdef __GLIBCXX__
// Cancellation unwinds the stack as an exception that must not be swallowed.
TEST_F(OnceLogTest, AThreadMayBeCancelledWithinAWrite) {
  static std::promise<void> inside;
  static OnceLog* sleeping;
  std::atomic<bool> sleep{true};
  OnceLog made(make_callback_logger([&](const spdlog::details::log_msg&) {
    if (!sleep) return;
    inside.set_value();
    ::sleep(60);
  }));
  sleeping = &made;
  pthread_t thread;
  const auto body = [](void*) -> void* {
    sleeping->info_once(LogScope::local, "A");
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, nullptr, body, nullptr), 0);
  inside.get_future().wait();
  EXPECT_EQ(pthread_cancel(thread), 0);
  void* result = nullptr;
  EXPECT_EQ(pthread_join(thread, &result), 0);
  EXPECT_EQ(result, PTHREAD_CANCELED);
  sleep = false;
  EXPECT_TRUE(made.info_once(LogScope::local, "A")) << "it had not been said";
}
#endif

// Also what a static destructor or an exit handler has to say.
TEST_F(DefaultLoggerTest, TheDefaultLogIsThereUntilTheEnd) {
  const pid_t child = fork();
  if (child == 0) {
    std::atexit([] {
      const bool said = default_once_log().info_once(LogScope::local, "late") &&
                        !default_once_log().info_once(LogScope::local, "late") &&
                        !default_once_log().info_once(LogScope::local, "early");
      _exit(said ? 0 : 1);
    });
    RecordingLogger output;
    spdlog::set_default_logger(output.logger);
    default_once_log().info_once(LogScope::local, "early");
    std::exit(2);
  }
  EXPECT_EQ(exit_code_of(child), 0);
}

}  // namespace
}  // namespace mla_dtype
