// SPDX-License-Identifier: Apache-2.0

// Without this an engine that does not log through spdlog could lose a record, get one twice, or an
// exception of its own logger back, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/once_log.h>
#include <mla_dtype/prefill_query.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/record_texts.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::StartsWith;

struct Engine {
  std::vector<std::pair<LogLevel, std::string>> records;
  std::function<void(LogLevel, std::string_view)> write =
      [this](LogLevel level, std::string_view text) { records.emplace_back(level, text); };
};

TEST(OnceLogFunction, GetsEachRecordOnce) {
  Engine engine;
  OnceLog log(engine.write);
  EXPECT_TRUE(log.info_once(LogScope::local, "A {}"));
  EXPECT_FALSE(log.info_once(LogScope::local, "A {}"));
  EXPECT_TRUE(log.warning_once(LogScope::local, "A {}"));
  EXPECT_TRUE(log.info_once(LogScope::global, "A {}"));
  EXPECT_THAT(engine.records,
              ElementsAre(Pair(LogLevel::info, "A {}"), Pair(LogLevel::warning, "A {}"),
                          Pair(LogLevel::info, "A {}")));
  log.reset();
  EXPECT_TRUE(log.info_once(LogScope::local, "A {}"));
}

TEST(OnceLogFunction, SpeaksByRank) {
  Engine engine;
  OnceLog log(engine.write, {/*global_rank=*/9, /*local_rank=*/1});
  EXPECT_FALSE(log.info_once(LogScope::local, "A"));
  EXPECT_TRUE(log.info_once(LogScope::process, "A"));
  EXPECT_EQ(engine.records.size(), 1U);
  testing::expect_invalid([&] { OnceLog(engine.write, {-1, 0}); }, StartsWith("global_rank: -1"));
}

TEST(OnceLogFunction, WhatItThrowsIsNotSaid) {
  int calls = 0;
  OnceLog log([&](LogLevel, std::string_view) {
    if (++calls == 1) throw std::runtime_error("disk full");
  });
  EXPECT_FALSE(log.info_once(LogScope::local, "A"));
  EXPECT_TRUE(log.info_once(LogScope::local, "A"));
  EXPECT_FALSE(log.info_once(LogScope::local, "A"));
  EXPECT_EQ(calls, 2);
}

TEST(OnceLogFunction, MayItselfLog) {
  std::unique_ptr<OnceLog> log;
  std::vector<std::string> texts;
  log = std::make_unique<OnceLog>([&](LogLevel, std::string_view text) {
    texts.emplace_back(text);
    log->info_once(LogScope::local, "B");
    log->info_once(LogScope::local, text);
  });
  EXPECT_TRUE(log->info_once(LogScope::local, "A"));
  EXPECT_THAT(texts, ElementsAre("A", "B"));
}

TEST(OnceLogFunction, NoneIsRefused) {
  const std::function<void(LogLevel, std::string_view)> none;
  testing::expect_invalid([&] { OnceLog{none}; }, StartsWith("write: null is not accepted"));
}

TEST(OnceLogFunction, ExactlyOnceUnderThreads) {
  constexpr int thread_count = 8, text_count = 200;
  std::atomic<int> written{0};
  OnceLog log([&](LogLevel, std::string_view) { ++written; });
  std::atomic<int> told{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < thread_count; ++i) {
    threads.emplace_back([&] {
      for (int text = 0; text < text_count; ++text) {
        told += log.info_once(LogScope::local, std::to_string(text));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(written, text_count);
  EXPECT_EQ(told, text_count);
}

TEST(OnceLogFunction, OfADecision) {
  Engine engine;
  Environment env = make_environment(cuda(10, 0), "TRTLLM_RAGGED");
  env.log = std::make_shared<OnceLog>(engine.write);
  for (int layer = 0; layer < 3; ++layer) {
    determine_prefill_query_data_type(testing::make_config("fp8", true), DataType::bfloat16, env);
    determine_prefill_query_data_type(testing::make_config("fp8", false), DataType::bfloat16, env);
  }
  EXPECT_THAT(engine.records, ElementsAre(Pair(LogLevel::info, testing::row_1),
                                          Pair(LogLevel::warning, StartsWith(testing::row_3))));
}

}  // namespace
}  // namespace mla_dtype
