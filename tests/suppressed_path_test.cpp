// SPDX-License-Identifier: Apache-2.0

// What the steady state costs, counted instead of timed: allocations, locks, and writes to the
// memory of a OnceLog; and what memory it takes. Without it the suppressed path could get slower,
// or the memory larger, unnoticed. A program of its own, since counted_memory.cpp replaces operator
// new and pthread_mutex_lock.

#include <gtest/gtest.h>
#include <mla_dtype/mla_dtype.h>

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "support/counted_memory.h"
#include "support/engine_config.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using testing::bytes_of;
using testing::Cost;
using testing::cost_of;
using testing::expect_constant_memory;
using testing::expect_free;
using testing::make_on_pages;
using testing::one_kib;
using testing::RecordingLog;
using testing::writes_nothing;

const std::string text(100, 'x');

TEST(SuppressedPath, TheCountersCount) {
  const RecordingLog output;
  OnceLog log(output.write);
  const Cost cost = cost_of([&] { log.info_once(LogScope::local, text); });
  EXPECT_GT(cost.allocations, 0);
  EXPECT_GT(cost.locks, 0);
  EXPECT_FALSE(writes_nothing([&] { log.info_once(LogScope::local, "new"); }));
}

TEST(SuppressedPath, OnceLogNeitherAllocatesLocksNorWrites) {
  const RecordingLog output;
  const auto log = make_on_pages<OnceLog>(output.write);
  const auto call = [&] { log->info_once(LogScope::local, text); };
  expect_free(call);
  EXPECT_TRUE(writes_nothing(call));
  EXPECT_EQ(output.records().size(), 1U);
}

TEST(SuppressedPath, NorForARankThatMayNotSpeak) {
  const RecordingLog output;
  RankInfo rank;
  rank.local_rank = 1;
  const auto log = make_on_pages<OnceLog>(output.write, rank);
  const auto call = [&] { log->info_once(LogScope::local, text); };
  expect_free(call);
  EXPECT_TRUE(writes_nothing(call));
}

TEST(Memory, NoTableIsTakenBeforeTheFirstWord) {
  const RecordingLog output;
  const auto say_nothing = [&] {
    OnceLog silent(output.write, RankInfo{1, 1});
    silent.info_once(LogScope::local, text);
    silent.reset();
  };
  EXPECT_LT(bytes_of(say_nothing), 4 * one_kib);
}

TEST(Memory, EachScopeThatSpeaksTakes64KiBAtMost) {
  std::unique_ptr<OnceLog> log;
  const auto speak = [&](LogScope scope) {
    return bytes_of([&] {
      if (log == nullptr) log = std::make_unique<OnceLog>([](LogLevel, std::string_view) {});
      for (int time = 0; time < 2; ++time) log->info_once(scope, text);
      log->warning_once(scope, text);
    });
  };
  for (const LogScope scope : {LogScope::local, LogScope::global, LogScope::process}) {
    const std::size_t bytes = speak(scope);
    EXPECT_GE(bytes, 16 * one_kib);
    EXPECT_LE(bytes, 64 * one_kib);
  }
  log->reset();
  EXPECT_EQ(speak(LogScope::local), 0U) << "taken once and for all";
}

TEST(SuppressedPath, OnceLogsMemoryIsConstant) {
  std::size_t written = 0;
  const auto write = [&](LogLevel, std::string_view) { ++written; };
  expect_constant_memory(
      64, [&] { return std::make_unique<OnceLog>(write); },
      [](OnceLog& log, const std::string& message) { log.info_once(LogScope::local, message); });
  EXPECT_EQ(written, 1'000'001U);
}

TEST(SteadyState, NoRowOfTheDecisionAllocatesOrLocks) {
  const auto& backends = vllm_prefill_backends();
  std::set<PrefillQueryOutcome> rows;
  for (const Environment& built_in :
       {make_environment(cuda(10, 0), "FLASHINFER"), make_environment(cuda(10, 0), "FLASH_ATTN"),
        make_environment(cuda(9, 0), "FLASHINFER"), make_environment(cuda(10, 0), backends),
        make_environment(Platform{}, backends), make_environment(cuda(10, 0), vllm_engine()),
        make_environment(cuda(10, 0), sglang_engine())}) {
    for (const char* cache_dtype : {"fp8", "auto", "nvfp4"}) {
      for (const DataType model_dtype : {DataType::bfloat16, DataType::float32}) {
        for (const bool requested : {true, false}) {
          for (const char* spelling : {"", "--fp8-prefill"}) {
            const RecordingLog output;
            Environment env = built_in;
            env.log = output.log;
            if (*spelling != '\0') env.spellings.request_fp8 = spelling;
            env.device_name = *spelling != '\0' ? "NVIDIA B200" : "";
            const EngineConfig config = testing::make_config(cache_dtype, requested);
            const auto call = [&] { determine_prefill_query_data_type(config, model_dtype, env); };
            expect_free(call);
            EXPECT_TRUE(writes_nothing(call));
            rows.insert(evaluate_prefill_query(config, model_dtype, env).outcome);
          }
        }
      }
    }
  }
  EXPECT_EQ(rows.size(), 4U);
}

TEST(SteadyState, NorWithPredicatesOfTheEnginesOwn) {
  for (const bool quantized : {false, true}) {
    for (const bool supports : {false, true}) {
      for (const bool requested : {false, true}) {
        const RecordingLog output;
        Environment env;
        env.is_quantized_kv_cache = [quantized](std::string_view) { return quantized; };
        env.backend_supports_prefill_query_quantization =
            [supports](const EngineConfig&, DataType) -> Support { return supports; };
        env.log = output.log;
        const EngineConfig config = testing::make_config("my_fp8", requested);
        const auto call = [&] {
          determine_prefill_query_data_type(config, DataType::bfloat16, env);
        };
        expect_free(call);
        EXPECT_TRUE(writes_nothing(call));
      }
    }
  }
}

TEST(SteadyState, OnlyTheReasonOfAnInjectedPredicateIsAllocated) {
  for (const bool with_reason : {false, true}) {
    const RecordingLog output;
    Environment env = make_environment(cuda(9, 0), "FLASHINFER");
    env.backend_supports_prefill_query_quantization = [with_reason](const EngineConfig&,
                                                                    DataType) -> Support {
      if (with_reason) return {false, "This build has no FP8 prefill kernels."};
      return false;
    };
    env.log = output.log;
    const EngineConfig config = testing::make_config("fp8", true);
    const auto call = [&] { determine_prefill_query_data_type(config, DataType::bfloat16, env); };
    call();
    const Cost cost = cost_of(call);
    EXPECT_EQ(cost.allocations, with_reason ? 1 : 0);
    EXPECT_EQ(cost.locks, 0);
  }
}

}  // namespace
}  // namespace mla_dtype
