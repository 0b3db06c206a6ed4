// SPDX-License-Identifier: Apache-2.0

// Without these a OnceSink could let a record pass twice or never, on a rank that must be silent,
// or hide from the engine that a sink behind it failed.

#include <gmock/gmock.h>
#include <mla_dtype/once_sink.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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
using testing::Record;
using testing::RecordingSink;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::warning;

class OnceSinkTest : public ::testing::Test {
 protected:
  std::shared_ptr<RecordingSink> wrapped = std::make_shared<RecordingSink>();
  std::shared_ptr<OnceSink> sink =
      std::make_shared<OnceSink>(std::vector<spdlog::sink_ptr>{wrapped});
  spdlog::logger logger{"engine", sink};

  void write(spdlog::level::level_enum level, const std::string& text) {
    sink->log({"engine", level, spdlog::string_view_t(text.data(), text.size())});
  }
};

TEST_F(OnceSinkTest, EachLevelAndTextPassesOnce) {
  for (int i = 0; i < 3; ++i) {
    logger.info("A");
    logger.info("B");
    logger.warn("A");
    logger.info("{} {}", "A", 1);
  }
  EXPECT_THAT(wrapped->records(), ElementsAre(info("A"), info("B"), warning("A"), info("A 1")));
}

TEST_F(OnceSinkTest, ResetForgets) {
  logger.info("A");
  sink->reset();
  logger.info("A");
  logger.info("A");
  EXPECT_THAT(wrapped->records(), ElementsAre(info("A"), info("A")));
}

TEST_F(OnceSinkTest, OneThatNoSinksLevelLetsThroughHasNotBeenSaid) {
  wrapped->set_level(spdlog::level::err);
  logger.info("A");
  EXPECT_THAT(wrapped->records(), IsEmpty());
  wrapped->set_level(spdlog::level::info);
  logger.info("A");
  EXPECT_THAT(wrapped->records(), ElementsAre(info("A")));
}

TEST_F(OnceSinkTest, EachSinksLevelHolds) {
  const auto warnings = std::make_shared<RecordingSink>();
  warnings->set_level(spdlog::level::warn);
  spdlog::logger both(
      "engine", {std::make_shared<OnceSink>(std::vector<spdlog::sink_ptr>{wrapped, warnings})});
  both.info("A");
  both.warn("B");
  EXPECT_THAT(wrapped->records(), ElementsAre(info("A"), warning("B")));
  EXPECT_THAT(warnings->records(), ElementsAre(warning("B")));
  warnings->set_level(spdlog::level::trace);
  both.info("A");
  EXPECT_THAT(warnings->records(), ElementsAre(warning("B"))) << "said, if not in every sink";
}

TEST_F(OnceSinkTest, PatternFormatterAndFlushAreForwarded) {
  const auto second = std::make_shared<RecordingSink>();
  OnceSink two({wrapped, second});
  two.set_pattern("<%n %l> %v");
  two.log({"engine", spdlog::level::info, "A"});
  two.flush();
  two.set_formatter(std::make_unique<spdlog::pattern_formatter>("[%v]"));
  two.log({"engine", spdlog::level::info, "B"});
  for (const auto& each : {wrapped, second}) {
    EXPECT_THAT(each->lines(), ElementsAre("<engine info> A\n", "[B]\n"));
    EXPECT_EQ(each->flushes(), 1);
  }
}

TEST_F(OnceSinkTest, AThrowingSinkIsHeardAndTheRecordComesAgain) {
  struct NotStd {};
  int failure = 1;
  OnceSink two({make_callback_sink([&](const spdlog::details::log_msg&) {
                  if (failure == 1) throw std::runtime_error("disk full");
                  if (failure == 2) throw NotStd{};
                }),
                wrapped});
  const spdlog::details::log_msg msg("engine", spdlog::level::info, "A");
  EXPECT_THROW(two.log(msg), std::runtime_error);
  EXPECT_THAT(wrapped->records(), ElementsAre(info("A"))) << "the other sink gets it all the same";
  failure = 2;
  EXPECT_THROW(two.log(msg), NotStd);
  wrapped->clear();
  failure = 0;
  two.log(msg);
  EXPECT_THAT(wrapped->records(), ElementsAre(info("A")));
  two.log(msg);
  EXPECT_THAT(wrapped->records(), ElementsAre(info("A")));
}

TEST_F(OnceSinkTest, TheFirstExceptionIsTheOneRethrown) {
  const auto throwing = [](const char* text) {
    return make_callback_sink(
        [text](const spdlog::details::log_msg&) { throw std::runtime_error(text); });
  };
  OnceSink two({throwing("first"), throwing("second")});
  try {
    two.log({"engine", spdlog::level::info, "A"});
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "first");
  }
}

TEST_F(OnceSinkTest, TheLoggersErrorHandlerHearsOfAFullDisk) {
  spdlog::logger failing(
      "engine",
      std::make_shared<OnceSink>(std::vector<spdlog::sink_ptr>{make_callback_sink(
          [](const spdlog::details::log_msg&) { throw std::runtime_error("disk full"); })}));
  std::string heard;
  failing.set_error_handler([&](const std::string& text) { heard = text; });
  failing.info("A");
  EXPECT_THAT(heard, HasSubstr("disk full"));
}

TEST_F(OnceSinkTest, ARecordInProgressIsNotWaitedFor) {
  std::promise<void> inside, go_on;
  std::atomic<int> writes{0};
  OnceSink slow({make_callback_sink([&](const spdlog::details::log_msg&) {
    ++writes;
    inside.set_value();
    go_on.get_future().wait();
  })});
  const spdlog::details::log_msg msg("engine", spdlog::level::info, "A");
  std::thread writer([&] { slow.log(msg); });
  inside.get_future().wait();
  slow.log(msg);  // would not return if it waited
  EXPECT_EQ(writes, 1);
  go_on.set_value();
  writer.join();
}

TEST_F(OnceSinkTest, AWrappedSinkMayLogThroughIt) {
  std::vector<std::string> texts;
  std::unique_ptr<OnceSink> nested;
  nested = std::make_unique<OnceSink>(
      std::vector<spdlog::sink_ptr>{make_callback_sink([&](const spdlog::details::log_msg& msg) {
        texts.emplace_back(msg.payload.data(), msg.payload.size());
        nested->log({"engine", spdlog::level::info, "A"});
        nested->log({"engine", spdlog::level::info, "B"});
      })});
  nested->log({"engine", spdlog::level::info, "A"});
  EXPECT_THAT(texts, ElementsAre("A", "B"));
}

TEST_F(OnceSinkTest, AResetWhileARecordIsWrittenForgetsItToo) {
  int writes = 0;
  std::unique_ptr<OnceSink> resetting;
  resetting = std::make_unique<OnceSink>(
      std::vector<spdlog::sink_ptr>{make_callback_sink([&](const spdlog::details::log_msg&) {
        if (++writes == 1) resetting->reset();
      })});
  for (int i = 0; i < 3; ++i) resetting->log({"engine", spdlog::level::info, "A"});
  EXPECT_EQ(writes, 2);
}

TEST_F(OnceSinkTest, ExactlyOnceUnderThreads) {
  testing::expect_exactly_once(
      *wrapped, [&](const std::string& text) { write(spdlog::level::info, text); },
      [&] { sink->reset(); });
}

TEST_F(OnceSinkTest, PastTheBoundNothingIsLost) {
  std::size_t writes = 0;
  OnceSink counting({make_callback_sink([&](const spdlog::details::log_msg&) { ++writes; })});
  constexpr std::size_t count = 1'000'000;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string text = std::to_string(i);
    counting.log({"engine", spdlog::level::info, spdlog::string_view_t(text.data(), text.size())});
  }
  EXPECT_EQ(writes, count);
  for (std::size_t i = 0; i < 4096; ++i) {
    const std::string text = std::to_string(i);
    counting.log({"engine", spdlog::level::info, spdlog::string_view_t(text.data(), text.size())});
  }
  EXPECT_EQ(writes, count) << "the first 4,096 are remembered";
}

TEST_F(OnceSinkTest, RanksSpeakInTheirScope) {
  for (const int global_rank : {0, 3}) {
    for (const int local_rank : {0, 2}) {
      const std::pair<LogScope, bool> expected[] = {{LogScope::process, true},
                                                    {LogScope::local, local_rank == 0},
                                                    {LogScope::global, global_rank == 0}};
      for (const auto& [scope, speaks] : expected) {
        wrapped->clear();
        OnceSink once({wrapped}, scope, {global_rank, local_rank});
        for (int i = 0; i < 2; ++i) once.log({"engine", spdlog::level::info, "A"});
        EXPECT_THAT(wrapped->records(), SizeIs(speaks ? 1 : 0)) << global_rank << local_rank;
      }
    }
  }
}

TEST_F(OnceSinkTest, ScopesAndRanksOutOfRangeAreRefused) {
  expect_invalid([this] { OnceSink({wrapped}, static_cast<LogScope>(3)); },
                 AllOf(StartsWith("scope: LogScope(3)"), HasSubstr("enumerators")));
  expect_invalid(
      [this] {
        OnceSink({wrapped}, LogScope::process, {-1, 0});
      },
      AllOf(StartsWith("global_rank: -1"), HasSubstr("accepted: 0 and above")));
  expect_invalid(
      [this] {
        OnceSink({wrapped}, LogScope::process, {0, -1});
      },
      AllOf(StartsWith("local_rank: -1"), HasSubstr("accepted: 0 and above")));
}

TEST_F(OnceSinkTest, SinksAreRequired) {
  expect_invalid([] { OnceSink({}); }, AllOf(StartsWith("sinks: an empty list is not accepted"),
                                             HasSubstr("one or more sinks")));
  expect_invalid(
      [this] {
        OnceSink({wrapped, nullptr});
      },
      AllOf(StartsWith("sinks: null at index 1 is not accepted"), HasSubstr("none of them null")));
}

}  // namespace
}  // namespace mla_dtype
