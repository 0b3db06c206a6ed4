// SPDX-License-Identifier: Apache-2.0

// Without these a message that a level or a rank held back could count as said, and be lost when it
// may be said.

#include <gmock/gmock.h>
#include <mla_dtype/once_log.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "support/once_log_over_spdlog.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::info;
using ::testing::IsEmpty;
using testing::RecordingSink;
using testing::warning;

using OnceLogHeldBack = testing::OnceLogOverSpdlog;

TEST_F(OnceLogHeldBack, WhatTheLoggersLevelHeldBackMayBeSaidLater) {
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

TEST_F(OnceLogHeldBack, WhatAllSinksLevelsHeldBackMayBeSaidLater) {
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

TEST_F(OnceLogHeldBack, ALoggerWithoutSinksSaysNothing) {
  OnceLog mute(std::make_shared<spdlog::logger>("mute"));
  EXPECT_FALSE(mute.info_once(LogScope::process, "A"));
}

TEST_F(OnceLogHeldBack, WhatARankHeldBackMayBeSaidLater) {
  RankInfo second;
  second.global_rank = second.local_rank = 1;
  log.set_rank(second);
  EXPECT_FALSE(log.info_once(LogScope::local, "A"));
  log.set_rank({});
  EXPECT_TRUE(log.info_once(LogScope::local, "A"));
  EXPECT_FALSE(log.info_once(LogScope::local, "A"));
}

// The logger tests its levels a second time; what that test holds back has not been said.
TEST_F(OnceLogHeldBack, ALevelRaisedDuringTheCallLosesNothing) {
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

}  // namespace
}  // namespace mla_dtype
