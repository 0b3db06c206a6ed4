// SPDX-License-Identifier: Apache-2.0

// What a message that has been said costs, and a decision in its steady state, beside what engines
// use today. Figures of one run belong together; those of two runs on a shared machine do not:
// report.py makes one of many rounds, and tables and ratios of it.

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <mla_dtype/mla_dtype.h>
#include <mla_dtype/once_sink.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/dup_filter_sink.h>
#include <spdlog/version.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

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

// The floor: nothing can tell whether a thing was said with less than one load.
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
  static std::unordered_set<std::string> said;
  static const auto logger = logger_over(std::make_shared<LockingNullSink>());
  for (auto _ : state) {
    const std::lock_guard lock(mutex);
    if (said.insert(text).second) logger->info(text);
  }
}

// It knows nothing of texts: one flag for each place in the code.
void call_once(benchmark::State& state) {
  static std::once_flag said;
  static const auto logger = logger_over(std::make_shared<LockingNullSink>());
  for (auto _ : state) std::call_once(said, [] { logger->info(text); });
}

#define SAID_BEFORE(name) BENCHMARK(name)->Threads(1)->Threads(2)->Threads(4)->Threads(8)
SAID_BEFORE(one_relaxed_load);
SAID_BEFORE(once_log);
SAID_BEFORE(once_log_silent_rank);
SAID_BEFORE(spdlog_through_once_sink);
SAID_BEFORE(spdlog_through_dup_filter);
SAID_BEFORE(spdlog_into_locking_null_sink);
SAID_BEFORE(mutex_and_set);
SAID_BEFORE(call_once);

// Each of so many messages in turn, once all were said; 4,096 are remembered at least.
void once_log_among(benchmark::State& state) {
  OnceLog log(logger_over(std::make_shared<LockingNullSink>()));
  std::vector<std::string> messages(static_cast<std::size_t>(state.range(0)), text);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    messages[i].replace(0, 4, std::to_string(1000 + i));
    log.info_once(LogScope::local, messages[i]);
  }
  std::size_t next = 0;
  for (auto _ : state) {
    if (log.info_once(LogScope::local, messages[next])) {
      state.SkipWithError("not remembered");
      break;
    }
    if (++next == messages.size()) next = 0;
  }
}
BENCHMARK(once_log_among)->Arg(1)->Arg(10)->Arg(1000)->Arg(4096);

const Platform b300 = cuda(/*major=*/10, /*minor=*/3);

// A row of the decision, and a case that leads to it on a B300.
struct Row {
  PrefillQueryOutcome outcome;
  const char* kv_cache_dtype;
  bool requested;
  const char* backend;
};
using Outcome = PrefillQueryOutcome;
const Row row_1{Outcome::quantized, "fp8", true, "FLASHINFER"};
const Row row_2_kv_cache{Outcome::request_refused, "auto", true, "FLASHINFER"};
const Row row_2_backend{Outcome::request_refused, "fp8", true, "FLASH_ATTN"};
const Row row_3{Outcome::available_but_off, "fp8", false, "FLASHINFER"};
const Row row_4_kv_cache{Outcome::not_applicable, "auto", false, "FLASHINFER"};
const Row row_4_backend{Outcome::not_applicable, "fp8", false, "FLASH_ATTN"};

void time_determine(benchmark::State& state, const Row& row, Environment env) {
  env.log = std::make_shared<OnceLog>(logger_over(std::make_shared<LockingNullSink>()));
  EngineConfig config;
  config.cache_config.cache_dtype = row.kv_cache_dtype;
  config.attention_config.use_prefill_query_quantization = row.requested;
  if (evaluate_prefill_query(config, DataType::bfloat16, env).outcome != row.outcome) {
    return state.SkipWithError("another row");
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(determine_prefill_query_data_type(config, DataType::bfloat16, env));
  }
}

void determine(benchmark::State& state, const Row& row) {
  time_determine(state, row, make_environment(b300, row.backend));
}

// With predicates of the engine's own.
void determine_own(benchmark::State& state, const Row& row) {
  Environment env;
  env.is_quantized_kv_cache = [](std::string_view cache_dtype) { return cache_dtype != "auto"; };
  const bool takes_fp8 = row.backend == std::string_view("FLASHINFER");
  env.backend_supports_prefill_query_quantization = [takes_fp8](const EngineConfig&,
                                                                DataType) -> Support {
    if (!takes_fp8) return {false, "This build has no FP8 prefill kernels."};
    return true;
  };
  time_determine(state, row, env);
}

#define EACH_ROW(name)                                     \
  BENCHMARK_CAPTURE(name, row_1, row_1);                   \
  BENCHMARK_CAPTURE(name, row_2_kv_cache, row_2_kv_cache); \
  BENCHMARK_CAPTURE(name, row_2_backend, row_2_backend);   \
  BENCHMARK_CAPTURE(name, row_3, row_3);                   \
  BENCHMARK_CAPTURE(name, row_4_kv_cache, row_4_kv_cache); \
  BENCHMARK_CAPTURE(name, row_4_backend, row_4_backend)
EACH_ROW(determine);
EACH_ROW(determine_own);

// With a table of so many rows: before vLLM's some that do not run on this device.
void determine_among(benchmark::State& state, const Row& row, const Platform& device) {
  std::vector<PrefillBackend> backends = vllm_prefill_backends();
  PrefillBackend other =
      *std::find_if(backends.begin(), backends.end(),
                    [](const PrefillBackend& backend) { return backend.name == "FLASHINFER"; });
  other.devices = {cuda(/*major=*/9, /*minor=*/0)};
  for (auto count = static_cast<std::size_t>(state.range(0)); backends.size() < count;) {
    other.name = "OTHER_" + std::to_string(backends.size());
    backends.insert(backends.begin(), other);
  }
  time_determine(state, row, make_environment(device, backends));
}
BENCHMARK_CAPTURE(determine_among, row_1, row_1, b300)->Arg(5)->Arg(20)->Arg(100);
BENCHMARK_CAPTURE(determine_among, row_2, row_2_backend, cuda(/*major=*/8, /*minor=*/9))
    ->Arg(5)
    ->Arg(20)
    ->Arg(100);

// With all its reasons, for an operator who gets two blockers and six remedies.
void explain(benchmark::State& state) {
  const Environment env = make_environment(b300, "FLASH_ATTN");
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
    const Environment env = make_environment(b300, vllm_prefill_backends());
    benchmark::DoNotOptimize(select_prefill_backend(config, DataType::bfloat16, env));
  }
}
BENCHMARK(make_and_select);

void plan(benchmark::State& state) {
  const Environment env = make_environment(b300, vllm_prefill_backends());
  const DecodeEnvironment decode = make_decode_environment(b300, "FLASHINFER_MLA");
  EngineConfig config;
  config.cache_config.cache_dtype = "fp8";
  config.attention_config.use_prefill_query_quantization = true;
  for (auto _ : state) {
    benchmark::DoNotOptimize(plan_attention_data_types(config, DataType::bfloat16, env, decode));
  }
}
BENCHMARK(plan);

// The data type of a prefill batch.
void choose(benchmark::State& state) {
  const PrefillQuerySelector selector(h100_prefill_cost_model(), EngineConfig(), DataType::bfloat16,
                                      DataType::float8_e4m3fn);
  std::int64_t query_tokens = 1024;
  std::int64_t context_tokens = 512;
  for (auto _ : state) {
    benchmark::DoNotOptimize(query_tokens);
    benchmark::DoNotOptimize(context_tokens);
    benchmark::DoNotOptimize(selector.choose(query_tokens, context_tokens));
  }
}
BENCHMARK(choose);

}  // namespace

int main(int argc, char** argv) {
  benchmark::AddCustomContext("compiler", MLA_DTYPE_BENCHMARK_COMPILER);
  benchmark::AddCustomContext(
      "spdlog", fmt::format("{}.{}.{}", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH));
#ifdef MLA_DTYPE_BENCHMARK_GLOG
  benchmark::AddCustomContext("glog", MLA_DTYPE_BENCHMARK_GLOG);
#endif
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
