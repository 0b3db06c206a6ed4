// SPDX-License-Identifier: Apache-2.0

// The same of a OnceLog over an spdlog logger, and of a OnceSink: see suppressed_path_test.cpp.

#include <gtest/gtest.h>
#include <mla_dtype/mla_dtype.h>
#include <mla_dtype/once_sink.h>
#include <spdlog/spdlog.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "support/counted_memory.h"
#include "support/engine_config.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using testing::bytes_of;
using testing::expect_constant_memory;
using testing::expect_free;
using testing::make_on_pages;
using testing::one_kib;
using testing::RecordingLogger;
using testing::writes_nothing;

const std::string message_text(100, 'x');

TEST(SuppressedPathOfSpdlog, OverTheDefaultLogger) {
  const auto before = spdlog::default_logger();
  RecordingLogger output;
  spdlog::set_default_logger(output.logger);
  const auto log = make_on_pages<OnceLog>();
  const auto call = [&] { log->warning_once(LogScope::global, message_text); };
  expect_free(call);
  EXPECT_TRUE(writes_nothing(call));
  spdlog::set_default_logger(before);
}

TEST(SuppressedPathOfSpdlog, ForALevelThatIsHeldBack) {
  RecordingLogger output;
  output.logger->set_level(spdlog::level::err);
  OnceLog log(output.logger);
  expect_free([&] { log.info_once(LogScope::local, message_text); });
}

TEST(SuppressedPathOfSpdlog, NoRecordOfADecisionIsComposedForALevelThatIsHeldBack) {
  RecordingLogger output;
  output.logger->set_level(spdlog::level::err);
  Environment env = make_environment(cuda(9, 0), vllm_engine());
  env.log = std::make_shared<OnceLog>(output.logger);
  const EngineConfig config = testing::make_config("fp8", /*requested=*/true);
  expect_free([&] { determine_prefill_query_data_type(config, DataType::bfloat16, env); });
}

TEST(SuppressedPathOfSpdlog, OnceSink) {
  RecordingLogger output;
  const auto sink = make_on_pages<OnceSink>(std::vector<spdlog::sink_ptr>{output.sink});
  const spdlog::details::log_msg msg("engine", spdlog::level::info, message_text);
  const auto call = [&] { sink->log(msg); };
  expect_free(call);
  EXPECT_TRUE(writes_nothing(call));
}

TEST(SuppressedPathOfSpdlog, OnceSinkOnARankThatMayNotSpeak) {
  RecordingLogger output;
  const auto sink = make_on_pages<OnceSink>(std::vector<spdlog::sink_ptr>{output.sink},
                                            LogScope::local, RankInfo{0, 1});
  const spdlog::details::log_msg msg("engine", spdlog::level::info, message_text);
  const auto call = [&] { sink->log(msg); };
  expect_free(call);
  EXPECT_TRUE(writes_nothing(call));
}

TEST(SuppressedPathOfSpdlog, NoTableIsTakenBeforeTheFirstWord) {
  const auto sink = testing::make_callback_sink([](const spdlog::details::log_msg&) {});
  const auto logger = std::make_shared<spdlog::logger>("engine", sink);
  logger->set_level(spdlog::level::err);
  const auto say_nothing = [&] {
    OnceLog held_back(logger);
    held_back.info_once(LogScope::local, message_text);
    OnceSink once({sink});
    sink->set_level(spdlog::level::err);
    once.log({"engine", spdlog::level::info, message_text});
    once.reset();
    sink->set_level(spdlog::level::info);
    OnceSink silent_sink({sink}, LogScope::global, RankInfo{1, 0});
    silent_sink.log({"engine", spdlog::level::info, message_text});
  };
  EXPECT_LT(bytes_of(say_nothing), 4 * one_kib);
}

TEST(SuppressedPathOfSpdlog, ASinkTakes64KiBAtMost) {
  const auto sink = testing::make_callback_sink([](const spdlog::details::log_msg&) {});
  EXPECT_LE(bytes_of([&] {
              OnceSink once({sink});
              once.log({"engine", spdlog::level::info, message_text});
            }),
            64 * one_kib);
}

TEST(SuppressedPathOfSpdlog, OnceSinksMemoryIsConstant) {
  std::size_t written = 0;
  const auto sink =
      testing::make_callback_sink([&](const spdlog::details::log_msg&) { ++written; });
  expect_constant_memory(
      64, [&] { return std::make_unique<OnceSink>(std::vector<spdlog::sink_ptr>{sink}); },
      [](OnceSink& once, const std::string& message) {
        once.log({"engine", spdlog::level::info, message});
      });
  EXPECT_EQ(written, 1'000'001U);
}

}  // namespace
}  // namespace mla_dtype
