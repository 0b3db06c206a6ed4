// SPDX-License-Identifier: Apache-2.0

// Without these a OnceLog that was given no logger could speak through one that was replaced, crash
// where there is none, or be gone when a static destructor speaks.

#include <gmock/gmock.h>
#include <mla_dtype/prefill_query.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/engine_config.h"
#include "support/exit_code_of.h"
#include "support/record_texts.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::exit_code_of;
using testing::info;
using testing::RecordingLogger;
using testing::RecordingSink;
using ::testing::SizeIs;

class OnceLogDefaultLogger : public ::testing::Test {
 protected:
  const std::shared_ptr<spdlog::logger> before = spdlog::default_logger();
  ~OnceLogDefaultLogger() override { spdlog::set_default_logger(before); }
};

TEST_F(OnceLogDefaultLogger, TheNullLoggerIsTheDefaultOneAtTheTimeOfTheCall) {
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

TEST_F(OnceLogDefaultLogger, WithoutADefaultLoggerNothingHasBeenSaid) {
  OnceLog log;
  spdlog::set_default_logger(nullptr);
  EXPECT_FALSE(log.info_once(LogScope::local, "A"));
  RecordingLogger output;
  spdlog::set_default_logger(output.logger);
  EXPECT_TRUE(log.info_once(LogScope::local, "A"));
}

TEST_F(OnceLogDefaultLogger, ReplacedDuringCallsLosesNothing) {
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

TEST_F(OnceLogDefaultLogger, TheDefaultLogIsOneAndTheSame) {
  RecordingLogger output;
  spdlog::set_default_logger(output.logger);
  default_once_log().reset();
  EXPECT_EQ(&default_once_log(), &default_once_log());
  EXPECT_TRUE(default_once_log().info_once(LogScope::local, "A"));
  EXPECT_FALSE(default_once_log().info_once(LogScope::local, "A"));
  EXPECT_THAT(output.sink->records(), ElementsAre(info("A")));
}

TEST_F(OnceLogDefaultLogger, SpeaksOfADecisionWithoutALog) {
  RecordingLogger output;
  spdlog::set_default_logger(output.logger);
  default_once_log().reset();
  const Environment env = make_environment(cuda(10, 0), "TRTLLM_RAGGED");
  for (int call = 0; call < 3; ++call) {
    determine_prefill_query_data_type(testing::make_config("fp8", true), DataType::bfloat16, env);
  }
  EXPECT_THAT(output.sink->records(), ElementsAre(info(testing::row_1)));
  default_once_log().reset();
}

// Also what a static destructor or an exit handler has to say.
TEST_F(OnceLogDefaultLogger, TheDefaultLogIsThereUntilTheEnd) {
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
