// SPDX-License-Identifier: Apache-2.0

// What a whole process says that ends, or forks, while the library is in use. The scenarios are
// those of process.cpp. Without these a process could crash or hang at its end.

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cstdio>
#include <string>
#include <vector>

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;

// What the scenario writes to stdout and stderr, without the time, name and level of each record.
// Expects it to end well.
std::vector<std::string> said_in(const std::string& scenario) {
  std::FILE* const pipe = popen(("exec '" FAULTS_PROCESS "' " + scenario + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return {"popen failed"};
  std::vector<std::string> lines;
  std::string line;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    const std::size_t prefix_end = line.rfind("] ");
    lines.push_back(prefix_end == line.npos ? line : line.substr(prefix_end + 2));
    line.clear();
  }
  const int status = pclose(pipe);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(line, "") << "the end is a whole line";
  return lines;
}

const std::string enabled = "FP8 prefill attention enabled: query data type is FP8";

TEST(Process, AStaticObjectMaySpeakAfterSpdlogIsGone) {
  EXPECT_THAT(said_in("a_static_object_speaks_last"), ElementsAre(enabled));
}

TEST(Process, AlsoForTheFirstTime) {
  EXPECT_THAT(said_in("a_rank_that_was_silent_speaks_last"), ElementsAre("the engine's own"));
}

TEST(Process, ADefaultLoggerThatIsHeldSpeaksToTheEnd) {
  EXPECT_THAT(said_in("a_default_logger_that_is_held_speaks_last"), ElementsAre(enabled, "late"));
}

TEST(Process, ALoggerThatIsHeldSpeaksToTheEnd) {
  EXPECT_THAT(said_in("a_logger_outlives_spdlog"),
              ElementsAre(enabled, "after shutdown()", "late"));
}

TEST(Process, AfterShutdownAnAsyncLoggerSaysNothingMore) {
  EXPECT_THAT(said_in("shutdown_with_an_async_logger"), ElementsAre(enabled));
}

TEST(Process, WhatWasNotSaidAfterShutdownMayBeSaidLater) {
  EXPECT_THAT(said_in("shutdown_with_the_default_logger"),
              ElementsAre(enabled, "after shutdown()"));
}

TEST(Process, ASinkMaySpeakWhileItIsDestroyedAtTheEnd) {
  EXPECT_THAT(said_in("sinks_are_destroyed_at_the_end"),
              ElementsAre(enabled, "through the sink", "the sink is destroyed"));
}

TEST(Process, AWriteThatIsStuckDoesNotHoldUpTheEnd) {
  EXPECT_THAT(said_in("a_write_is_stuck_at_the_end"), ElementsAre("stuck", "late", enabled));
}

TEST(Process, ForksSpeakForThemselves) {
  const std::string own = "each process says this once";
  EXPECT_THAT(said_in("a_fork_after_first_use"), ElementsAre(enabled, own, own, own));
}

}  // namespace
}  // namespace mla_dtype
