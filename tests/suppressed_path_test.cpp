// SPDX-License-Identifier: Apache-2.0

// What the steady state costs, counted instead of timed: allocations, locks, and writes to the
// memory of a OnceLog or OnceSink; and what memory these take. Without it the suppressed path could
// get slower, or the memory larger, unnoticed. A program of its own, since it replaces operator new
// and pthread_mutex_lock.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <mla_dtype/mla_dtype.h>
#include <mla_dtype/once_sink.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/engine_config.h"
#include "support/recording_sink.h"

namespace {

std::atomic<int> allocations{0};
std::atomic<std::size_t> allocated_bytes{0};
std::atomic<int> locks{0};

// Large blocks get pages of their own, so that a test can make them read-only.
constexpr std::size_t page = 4096;
std::size_t large = 4 * page;
struct Pages {
  void* at;
  std::size_t size;
};
Pages page_blocks[64];

void* allocate(std::size_t size) {
  ++allocations;
  allocated_bytes += size;
  if (size >= large) {
    for (Pages& block : page_blocks) {
      if (block.at != nullptr) continue;
      block.size = (size + page - 1) / page * page;
      block.at = std::aligned_alloc(page, block.size);
      if (block.at == nullptr) throw std::bad_alloc();
      return block.at;
    }
  }
  void* const at = std::malloc(size != 0 ? size : 1);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}

void release(void* at) noexcept {
  for (Pages& block : page_blocks) {
    if (at != nullptr && block.at == at) block.at = nullptr;
  }
  std::free(at);
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void operator delete(void* at) noexcept { release(at); }
void operator delete[](void* at) noexcept { release(at); }
void operator delete(void* at, std::size_t) noexcept { release(at); }
void operator delete[](void* at, std::size_t) noexcept { release(at); }

// No static within the function: some standard libraries lock a mutex to initialise one.
using Lock = int (*)(pthread_mutex_t*);
std::atomic<Lock> real_lock{nullptr};

extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  Lock real = real_lock;
  if (real == nullptr) {
    real = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
    real_lock = real;
  }
  ++locks;
  return real(mutex);
}

namespace mla_dtype {
namespace {

using testing::RecordingLogger;

struct Cost {
  int allocations, locks;
};

template <class Call>
Cost cost_of(Call call) {
  const int allocations_before = allocations;
  const int locks_before = locks;
  call();
  return {allocations - allocations_before, locks - locks_before};
}

template <class Call>
void expect_free(Call call) {
  call();
  const Cost cost = cost_of([&] {
    for (int i = 0; i < 1000; ++i) call();
  });
  EXPECT_EQ(cost.allocations, 0);
  EXPECT_EQ(cost.locks, 0);
}

// Runs `call` in a child in which every large block is read-only. True if it wrote to none.
template <class Call>
bool writes_nothing(Call call) {
  const pid_t child = fork();
  if (child == 0) {
    for (const Pages& block : page_blocks) {
      if (block.at != nullptr && mprotect(block.at, block.size, PROT_READ) != 0) _exit(2);
    }
    call();
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  return !WIFSIGNALED(status);
}

// Made with pages for all that it is made of, not for large blocks alone.
template <class Made, class... Arguments>
std::unique_ptr<Made> make_on_pages(const Arguments&... arguments) {
  const std::size_t before = std::exchange(large, 1);
  auto made = std::make_unique<Made>(arguments...);
  large = before;
  return made;
}

const std::string text(100, 'x');

TEST(SuppressedPath, TheCountersCount) {
  RecordingLogger output;
  OnceLog log(output.logger);
  const Cost cost = cost_of([&] { log.info_once(LogScope::local, text); });
  EXPECT_GT(cost.allocations, 0);
  EXPECT_GT(cost.locks, 0);
  EXPECT_FALSE(writes_nothing([&] { log.info_once(LogScope::local, "new"); }));
}

TEST(SuppressedPath, OnceLogNeitherAllocatesLocksNorWrites) {
  RecordingLogger output;
  const auto log = make_on_pages<OnceLog>(output.logger);
  const auto call = [&] { log->info_once(LogScope::local, text); };
  expect_free(call);
  EXPECT_TRUE(writes_nothing(call));
  EXPECT_EQ(output.sink->records().size(), 1U);
}

TEST(SuppressedPath, NorOverTheDefaultLogger) {
  const auto before = spdlog::default_logger();
  RecordingLogger output;
  spdlog::set_default_logger(output.logger);
  const auto log = make_on_pages<OnceLog>();
  const auto call = [&] { log->warning_once(LogScope::global, text); };
  expect_free(call);
  EXPECT_TRUE(writes_nothing(call));
  spdlog::set_default_logger(before);
}

TEST(SuppressedPath, NorForARankThatMayNotSpeak) {
  RecordingLogger output;
  RankInfo rank;
  rank.local_rank = 1;
  const auto log = make_on_pages<OnceLog>(output.logger, rank);
  const auto call = [&] { log->info_once(LogScope::local, text); };
  expect_free(call);
  EXPECT_TRUE(writes_nothing(call));
}

TEST(SuppressedPath, NorForALevelThatIsHeldBack) {
  RecordingLogger output;
  output.logger->set_level(spdlog::level::err);
  OnceLog log(output.logger);
  expect_free([&] { log.info_once(LogScope::local, text); });
}

TEST(SuppressedPath, NorOnceSink) {
  RecordingLogger output;
  const auto sink = make_on_pages<OnceSink>(std::vector<spdlog::sink_ptr>{output.sink});
  const spdlog::details::log_msg msg("engine", spdlog::level::info, text);
  const auto call = [&] { sink->log(msg); };
  expect_free(call);
  EXPECT_TRUE(writes_nothing(call));
}

TEST(SuppressedPath, NorOnceSinkOnARankThatMayNotSpeak) {
  RecordingLogger output;
  const auto sink = make_on_pages<OnceSink>(std::vector<spdlog::sink_ptr>{output.sink},
                                            LogScope::local, RankInfo{0, 1});
  const spdlog::details::log_msg msg("engine", spdlog::level::info, text);
  const auto call = [&] { sink->log(msg); };
  expect_free(call);
  EXPECT_TRUE(writes_nothing(call));
}

// How many bytes are asked for, freed or not.
template <class Call>
std::size_t bytes_of(Call call) {
  const std::size_t before = allocated_bytes;
  call();
  return allocated_bytes - before;
}

constexpr std::size_t one_kib = 1024;

TEST(Memory, NoTableIsTakenBeforeTheFirstWord) {
  const auto sink = testing::make_callback_sink([](const spdlog::details::log_msg&) {});
  const auto logger = std::make_shared<spdlog::logger>("engine", sink);
  logger->set_level(spdlog::level::err);
  const auto say_nothing = [&] {
    OnceLog held_back(logger);
    held_back.info_once(LogScope::local, text);
    OnceLog silent(logger, RankInfo{1, 1});
    silent.info_once(LogScope::local, text);
    silent.reset();
    OnceSink once({sink});
    sink->set_level(spdlog::level::err);
    once.log({"engine", spdlog::level::info, text});
    once.reset();
    sink->set_level(spdlog::level::info);
    OnceSink silent_sink({sink}, LogScope::global, RankInfo{1, 0});
    silent_sink.log({"engine", spdlog::level::info, text});
  };
  EXPECT_LT(bytes_of(say_nothing), 4 * one_kib);
}

TEST(Memory, EachScopeThatSpeaksTakes64KiBAtMost) {
  const auto sink = testing::make_callback_sink([](const spdlog::details::log_msg&) {});
  const auto logger = std::make_shared<spdlog::logger>("engine", sink);
  std::unique_ptr<OnceLog> log;
  const auto speak = [&](LogScope scope) {
    return bytes_of([&] {
      if (log == nullptr) log = std::make_unique<OnceLog>(logger);
      for (int time = 0; time < 2; ++time) log->info_once(scope, text);
      log->warning_once(scope, text);
    });
  };
  for (const LogScope scope : {LogScope::local, LogScope::global, LogScope::process}) {
    const std::size_t bytes = speak(scope);
    EXPECT_GE(bytes, 16 * one_kib);
    EXPECT_LE(bytes, 64 * one_kib);
  }
  EXPECT_LE(bytes_of([&] {
              OnceSink once({sink});
              once.log({"engine", spdlog::level::info, text});
            }),
            64 * one_kib);
  log->reset();
  EXPECT_EQ(speak(LogScope::local), 0U) << "taken once and for all";
}

// The resident memory, as the kernel counts it exactly.
std::size_t resident_kib() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string word; rollup >> word;) {
    std::size_t kib = 0;
    if (word == "Rss:" && rollup >> kib) return kib;
  }
  return 0;
}

// Made by `make`, said to by `say(made, message)`: 10^6 messages in no more than `bound_kib`.
template <class Make, class Say>
void expect_constant_memory(std::size_t bound_kib, Make make, Say say) {
  std::string message = "00000000";
  const auto first = make();  // with it comes code that was not used before
  say(*first, message);
  const std::size_t before = resident_kib();
  const auto made = make();
  const Cost cost = cost_of([&] {
    for (int i = 0; i < 1'000'000; ++i) {
      for (std::size_t digit = 0; ++message[digit] > '9'; ++digit) message[digit] = '0';
      say(*made, message);
    }
  });
  EXPECT_EQ(cost.allocations, 1) << "the table; nothing below the bound, nothing past it";
  if (before == 0) GTEST_SKIP() << "this kernel has no /proc/self/smaps_rollup";
  constexpr std::size_t other_kib = 64;  // what else the first of many calls touches
  EXPECT_LE(resident_kib(), before + bound_kib + other_kib);
}

TEST(SuppressedPath, OnceLogsMemoryIsConstant) {
  std::size_t written = 0;
  const auto logger =
      testing::make_callback_logger([&](const spdlog::details::log_msg&) { ++written; });
  expect_constant_memory(
      64, [&] { return std::make_unique<OnceLog>(logger); },
      [](OnceLog& log, const std::string& message) { log.info_once(LogScope::local, message); });
  EXPECT_EQ(written, 1'000'001U);
}

TEST(SuppressedPath, OnceSinksMemoryIsConstant) {
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
            RecordingLogger output;
            Environment env = built_in;
            env.log = std::make_shared<OnceLog>(output.logger);
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
        RecordingLogger output;
        Environment env;
        env.is_quantized_kv_cache = [quantized](std::string_view) { return quantized; };
        env.backend_supports_prefill_query_quantization =
            [supports](const EngineConfig&, DataType) -> Support { return supports; };
        env.log = std::make_shared<OnceLog>(output.logger);
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
    RecordingLogger output;
    Environment env = make_environment(cuda(9, 0), "FLASHINFER");
    env.backend_supports_prefill_query_quantization = [with_reason](const EngineConfig&,
                                                                    DataType) -> Support {
      if (with_reason) return {false, "This build has no FP8 prefill kernels."};
      return false;
    };
    env.log = std::make_shared<OnceLog>(output.logger);
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
