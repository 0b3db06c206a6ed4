// SPDX-License-Identifier: Apache-2.0

// Without these a logger that fails could throw at the engine, or silence a message for ever that
// nobody has read; or a thread that is cancelled could end the process.

#include <gmock/gmock.h>
#include <mla_dtype/once_log.h>
#include <pthread.h>
#include <spdlog/async.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>

#include "support/once_log_over_spdlog.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::info;
using testing::make_callback_logger;

using OnceLogFailure = testing::OnceLogOverSpdlog;

TEST_F(OnceLogFailure, ASinksStdExceptionIsSpdlogsToSwallowAndCountsAsSaid) {
  int failures = 0;
  const auto logger = make_callback_logger(
      [](const spdlog::details::log_msg&) { throw std::runtime_error("disk full"); });
  logger->set_error_handler([&](const std::string&) { ++failures; });
  OnceLog failing(logger);
  EXPECT_TRUE(failing.info_once(LogScope::local, "A"));
  EXPECT_FALSE(failing.info_once(LogScope::local, "A"));
  EXPECT_EQ(failures, 1);
}

TEST_F(OnceLogFailure, WhatEscapesTheLoggerMakesFalseAndMayBeSaidAgain) {
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

TEST_F(OnceLogFailure, AnAsyncLoggerAfterItsPoolIsGoneMakesFalse) {
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

#ifdef __GLIBCXX__
// Cancellation unwinds the stack as an exception that must not be swallowed.
TEST_F(OnceLogFailure, AThreadMayBeCancelledWithinAWrite) {
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

}  // namespace
}  // namespace mla_dtype
