// SPDX-License-Identifier: Apache-2.0

// Without these a OnceLog over an spdlog logger could write another text than it was given, past
// the logger's pattern or sinks, at another level, or more than once.

#include <gmock/gmock.h>
#include <mla_dtype/once_log.h>
#include <spdlog/logger.h>

#include <atomic>
#include <memory>
#include <string>

#include "support/exactly_once.h"
#include "support/once_log_over_spdlog.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::info;
using testing::RecordingSink;
using testing::warning;

using OnceLogLogger = testing::OnceLogOverSpdlog;

TEST_F(OnceLogLogger, GetsEachLevelAndTextOnceAndAsItIs) {
  const std::string text = "{0} {:d} }{ %v %d" + std::string("a\0b", 3);
  for (int time = 0; time < 2; ++time) {
    EXPECT_EQ(log.info_once(LogScope::local, text), time == 0);
    EXPECT_EQ(log.warning_once(LogScope::local, text), time == 0);
    EXPECT_EQ(log.info_once(LogScope::local, ""), time == 0);
  }
  EXPECT_THAT(output.sink->records(), ElementsAre(info(text), warning(text), info("")));
}

TEST_F(OnceLogLogger, TheLoggersNamePatternAndSinksHoldAlsoWhenChanged) {
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

TEST_F(OnceLogLogger, ExactlyOnceUnderThreads) {
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

}  // namespace
}  // namespace mla_dtype
