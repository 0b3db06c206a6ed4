// SPDX-License-Identifier: Apache-2.0

// What a message that has been said costs, and a decision in its steady state, beside what engines
// use today. Figures of one run belong together; those of two runs on a shared machine do not.

#include <benchmark/benchmark.h>
#include <mla_dtype/mla_dtype.h>
#include <mla_dtype/once_sink.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/dup_filter_sink.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

namespace {

using namespace mla_dtype;

// Unlike spdlog's null_sink_mt it locks, as every sink that writes somewhere does.
class LockingNullSink final : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg&) override {}
  void flush_() override {}
};

const std::string text(100, 'x');

std::shared_ptr<spdlog::logger> logger_over(spdlog::sink_ptr sink) {
  return std::make_shared<spdlog::logger>("engine", std::move(sink));
}

// Floor: nothing can tell whether a thing was said with less than one load.
void one_relaxed_load(benchmark::State& state) {
  static std::atomic<bool> said{true};
  for (auto _ : state) benchmark::DoNotOptimize(said.load(std::memory_order_relaxed));
}

void once_log(benchmark::State& state) {
  static OnceLog log(logger_over(std::make_shared<LockingNullSink>()));
  for (auto _ : state) benchmark::DoNotOptimize(log.info_once(LogScope::local, text));
}

void once_log_silent_rank(benchmark::State& state) {
  static OnceLog log(logger_over(std::make_shared<LockingNullSink>()),
                     {/*global_rank=*/1, /*local_rank=*/1});
  for (auto _ : state) benchmark::DoNotOptimize(log.info_once(LogScope::local, text));
}

void spdlog_through_once_sink(benchmark::State& state) {
  static const auto logger = logger_over(std::make_shared<OnceSink>(
      std::vector<spdlog::sink_ptr>{std::make_shared<LockingNullSink>()}));
  for (auto _ : state) logger->info(text);
}

void spdlog_through_dup_filter(benchmark::State& state) {
  static const auto logger = [] {
    auto filter = std::make_shared<spdlog::sinks::dup_filter_sink_mt>(std::chrono::hours(24));
    filter->add_sink(std::make_shared<LockingNullSink>());
    return logger_over(filter);
  }();
  for (auto _ : state) logger->info(text);
}

void spdlog_into_locking_null_sink(benchmark::State& state) {
  static const auto logger = logger_over(std::make_shared<LockingNullSink>());
  for (auto _ : state) logger->info(text);
}

void mutex_and_set(benchmark::State& state) {
  static std::mutex mutex;
  static std::unordered_set<std::string> said{text};
  for (auto _ : state) {
    const std::lock_guard lock(mutex);
    benchmark::DoNotOptimize(said.find(text));
  }
}

#define ONE_AND_TWO_THREADS(name) BENCHMARK(name)->Threads(1)->Threads(2)->UseRealTime()
ONE_AND_TWO_THREADS(one_relaxed_load);
ONE_AND_TWO_THREADS(once_log);
ONE_AND_TWO_THREADS(once_log_silent_rank);
ONE_AND_TWO_THREADS(spdlog_through_once_sink);
ONE_AND_TWO_THREADS(spdlog_through_dup_filter);
ONE_AND_TWO_THREADS(spdlog_into_locking_null_sink);
ONE_AND_TWO_THREADS(mutex_and_set);

// `kv_cache_dtype` and `backend` choose the row; the device is a B300.
void determine(benchmark::State& state, const char* kv_cache_dtype, bool requested,
               const char* backend) {
  Environment env = make_environment(cuda(/*major=*/10, /*minor=*/3), backend);
  env.log = std::make_shared<OnceLog>(logger_over(std::make_shared<LockingNullSink>()));
  EngineConfig config;
  config.cache_config.cache_dtype = kv_cache_dtype;
  config.attention_config.use_prefill_query_quantization = requested;
  for (auto _ : state) {
    benchmark::DoNotOptimize(determine_prefill_query_data_type(config, DataType::bfloat16, env));
  }
}
BENCHMARK_CAPTURE(determine, row_1, "fp8", true, "FLASHINFER");
BENCHMARK_CAPTURE(determine, row_2_kv_cache, "auto", true, "FLASHINFER");
BENCHMARK_CAPTURE(determine, row_2_backend, "fp8", true, "FLASH_ATTN");
BENCHMARK_CAPTURE(determine, row_3, "fp8", false, "FLASHINFER");
BENCHMARK_CAPTURE(determine, row_4_kv_cache, "auto", false, "FLASHINFER");
BENCHMARK_CAPTURE(determine, row_4_backend, "fp8", false, "FLASH_ATTN");

// With all its reasons, for an operator who gets two blockers and six remedies.
void explain(benchmark::State& state) {
  const Environment env = make_environment(cuda(/*major=*/10, /*minor=*/3), "FLASH_ATTN");
  EngineConfig config;
  config.attention_config.use_prefill_query_quantization = true;
  for (auto _ : state) {
    benchmark::DoNotOptimize(explain_prefill_query_data_type(config, DataType::bfloat16, env));
  }
}
BENCHMARK(explain);

void make_and_select(benchmark::State& state) {
  EngineConfig config;
  config.attention_config.use_prefill_query_quantization = true;
  for (auto _ : state) {
    const Environment env =
        make_environment(cuda(/*major=*/10, /*minor=*/3), vllm_prefill_backends());
    benchmark::DoNotOptimize(select_prefill_backend(config, DataType::bfloat16, env));
  }
}
BENCHMARK(make_and_select);

void plan(benchmark::State& state) {
  const Platform platform = cuda(/*major=*/10, /*minor=*/3);
  const Environment env = make_environment(platform, vllm_prefill_backends());
  const DecodeEnvironment decode = make_decode_environment(platform, "FLASHINFER_MLA");
  EngineConfig config;
  config.cache_config.cache_dtype = "fp8";
  config.attention_config.use_prefill_query_quantization = true;
  for (auto _ : state) {
    benchmark::DoNotOptimize(plan_attention_data_types(config, DataType::bfloat16, env, decode));
  }
}
BENCHMARK(plan);

}  // namespace

BENCHMARK_MAIN();
