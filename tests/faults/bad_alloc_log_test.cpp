// SPDX-License-Identifier: Apache-2.0

// Memory that runs out while something is said. Without these it could throw at an engine that only
// logs, or a record that was never written could count as said.

#include <gtest/gtest.h>
#include <mla_dtype/once_log.h>
#include <mla_dtype/once_sink.h>
#include <spdlog/spdlog.h>

#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "faults/failing_memory.h"
#include "log/keyed_log.h"
#include "log/said_set.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using testing::at_every_allocation;
using testing::make_callback_sink;
using testing::memory;
using testing::Suspended;
using testing::with_fault;

// The memory runs out in a sink: that is spdlog's to handle, and the record counts as said, unless
// there is a OnceSink, which knows better. `written` counts records that were.
class SinkWithoutMemory : public ::testing::Test {
 protected:
  // Whose records are lost unless it has memory for them.
  spdlog::sink_ptr make_sink() {
    return make_callback_sink([this](const spdlog::details::log_msg& msg) {
      const std::string kept(msg.payload.data(), msg.payload.size());
      const Suspended own;
      EXPECT_EQ(kept, text);
      ++written;
    });
  }
  std::shared_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink) {
    auto logger = std::make_shared<spdlog::logger>("engine", std::move(sink));
    logger->set_error_handler([this](const std::string&) { ++lost; });
    written = lost = 0;
    return logger;
  }

  const std::string text = std::string(1000, 'x');
  int written = 0;
  int lost = 0;
};

TEST_F(SinkWithoutMemory, ThroughOnceLog) {
  const int failures = at_every_allocation([&](long n, bool and_after) {
    OnceLog log(make_logger(make_sink()));
    const auto say = [&] { return log.warning_once(LogScope::local, text); };
    const std::optional<bool> said = with_fault(n, and_after, say);
    ASSERT_TRUE(said.has_value()) << "it throws nothing at its caller";
    EXPECT_NE(say(), *said);
    EXPECT_EQ(written + lost, 1);
  });
  EXPECT_GT(failures, 0);
}

TEST_F(SinkWithoutMemory, ThroughOnceSink) {
  const int failures = at_every_allocation([&](long n, bool and_after) {
    const auto logger =
        make_logger(std::make_shared<OnceSink>(std::vector<spdlog::sink_ptr>{make_sink()}));
    with_fault(n, and_after, [&] {
      logger->warn(text);
      return true;
    });
    EXPECT_EQ(written + lost, 1) << "the error handler hears of it";
    for (int i = 0; i < 2; ++i) logger->warn(text);
    EXPECT_EQ(written, 1);
  });
  EXPECT_GT(failures, 0);
}

TEST_F(SinkWithoutMemory, ThroughKeyedLog) {
  constexpr std::uint64_t key = 0x9E3779B97F4A7C15;
  const int failures = at_every_allocation([&](long n, bool and_after) {
    OnceLog log(make_logger(make_sink()));
    const auto may_say = [&] {
      return detail::KeyedLog::may_say(log, LogScope::local, LogLevel::warning, key);
    };
    const auto say = [&] {
      return may_say() &&
             detail::KeyedLog::say_once(log, LogScope::local, LogLevel::warning, key, text);
    };
    const std::optional<bool> said = with_fault(n, and_after, say);
    ASSERT_TRUE(said.has_value()) << "it throws nothing at its caller";
    EXPECT_EQ(may_say(), !*said);
    EXPECT_NE(say(), *said);
    EXPECT_FALSE(may_say());
    EXPECT_EQ(written + lost, 1);
  });
  EXPECT_GT(failures, 0);
}

// The first allocation is that of the table.
TEST_F(SinkWithoutMemory, WithoutATableNothingIsWritten) {
  detail::SaidSet set;
  const auto say = [&] { return set.once(7, 70, [] { return true; }); };
  EXPECT_FALSE(with_fault(1, /*and_after=*/false, say).has_value()) << "it throws";
  EXPECT_FALSE(set.contains(7));
  EXPECT_TRUE(say());

  OnceLog log(make_logger(make_sink()));
  EXPECT_EQ(
      with_fault(1, /*and_after=*/false, [&] { return log.info_once(LogScope::local, text); }),
      false);
  EXPECT_EQ(written + lost, 0);
  EXPECT_TRUE(log.info_once(LogScope::local, text));
  EXPECT_EQ(written, 1);

  OnceSink sink({make_sink()});
  written = 0;
  const auto write = [&] {
    sink.log({"engine", spdlog::level::info, text});
    return true;
  };
  EXPECT_FALSE(with_fault(1, /*and_after=*/false, write).has_value()) << "it throws";
  EXPECT_EQ(written, 0);
  EXPECT_TRUE(write());
  EXPECT_EQ(written, 1);
}

TEST_F(SinkWithoutMemory, OnceLogAndOnceSinkAreMadeOrNot) {
  const auto logger = make_logger(make_sink());
  const auto make = [](auto call) {
    return at_every_allocation([&](long n, bool and_after) {
      with_fault(n, and_after, [&] {
        call();
        return true;
      });
    });
  };
  EXPECT_GT(make([&] { OnceLog{logger}; }), 0);
  EXPECT_GT(make([&] { OnceSink{logger->sinks()}; }), 0);
  const auto refused = [] {
    try {
      OnceSink({nullptr});
    } catch (const std::invalid_argument&) {
    }
  };
  EXPECT_GT(make(refused), 0);
}

}  // namespace
}  // namespace mla_dtype
