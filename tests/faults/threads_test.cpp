// SPDX-License-Identifier: Apache-2.0

// Everything at once from 64 threads, for MLA_DTYPE_STRESS_SECONDS (1 if it is not set). Above all
// for ThreadSanitizer: without it a race between two functions that are tested apart is not seen.

#include <gtest/gtest.h>
#include <mla_dtype/mla_dtype.h>
#include <mla_dtype/once_sink.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/exactly_once.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using testing::make_config;

constexpr int thread_count = 64;

std::chrono::seconds duration() {
  const char* const seconds = std::getenv("MLA_DTYPE_STRESS_SECONDS");
  return std::chrono::seconds(seconds != nullptr ? std::atoi(seconds) : 1);
}

using Texts = std::vector<std::string>;

// Counts the records of each text, without a lock, and those whose text is none of them.
class Counts {
 public:
  explicit Counts(const Texts& texts) {
    for (const std::string& text : texts) of_[text] = 0;
  }

  std::shared_ptr<spdlog::logger> make_logger() {
    return std::make_shared<spdlog::logger>("engine", make_sink());
  }
  spdlog::sink_ptr make_sink() {
    return testing::make_callback_sink([this](const spdlog::details::log_msg& msg) {
      const auto found = of_.find(std::string_view(msg.payload.data(), msg.payload.size()));
      ++(found != of_.end() ? found->second : broken_);
    });
  }

  void expect_each_once(const Texts& texts) const {
    int lost = 0, repeated = 0;
    for (const std::string& text : texts) {
      const int count = of_.at(text);
      lost += count == 0 ? 1 : 0;
      repeated += count > 1 ? 1 : 0;
    }
    EXPECT_EQ(lost, 0);
    EXPECT_EQ(repeated, 0);
  }
  void expect_no_other() const { EXPECT_EQ(broken_, 0) << "no text but these, and none in part"; }
  void clear() {
    for (auto& [text, count] : of_) count = 0;
  }

 private:
  std::map<std::string, std::atomic<int>, std::less<>> of_;
  std::atomic<int> broken_{0};
};

// A layer of an engine, and what one thread is told of it.
struct Layer {
  EngineConfig config;
  Environment env;
  DecodeEnvironment decode;
  DataType data_type;
  std::string explanation;
  std::uint64_t packed_plan;
};

DataType determine(const Layer& layer, const Environment& env) {
  return determine_prefill_query_data_type(layer.config, bf16, env);
}

std::string explain(const Layer& layer) {
  return to_string(explain_prefill_query_data_type(layer.config, bf16, layer.env));
}

std::uint64_t plan_and_log(const Layer& layer, const Environment& env) {
  const auto plan = plan_attention_data_types(layer.config, bf16, env, layer.decode);
  log_attention_plan(plan, env);
  return pack(plan);
}

std::vector<Layer> make_layers(const std::shared_ptr<OnceLog>& log) {
  std::vector<Layer> layers;
  for (const char* prefill_backend : {"FLASHINFER", "FLASH_ATTN"}) {
    for (const char* cache_dtype : {"fp8", "bfloat16"}) {
      for (const bool requested : {true, false}) {
        Layer layer{};
        layer.config = make_config(cache_dtype, requested);
        layer.env = make_environment(cuda(10, 0), prefill_backend);
        layer.env.log = log;
        layer.decode = make_decode_environment(cuda(10, 0), "FLASHINFER_MLA");
        layer.data_type = determine(layer, layer.env);
        layer.explanation = explain(layer);
        layer.packed_plan = plan_and_log(layer, layer.env);
        layers.push_back(layer);
      }
    }
  }
  return layers;
}

TEST(Threads, MayDoEverythingAtOnce) {
  testing::RecordingLogger single;
  std::vector<Layer> layers = make_layers(std::make_shared<OnceLog>(single.logger));
  Texts of_layers, messages;
  for (const testing::Record& record : single.sink->records()) of_layers.push_back(record.text);
  for (int i = 0; i < 1000; ++i) messages.push_back("message " + std::to_string(i));
  Texts all = of_layers;
  all.insert(all.end(), messages.begin(), messages.end());

  // A log that is left alone; and another, and a OnceSink, that are not.
  Counts steady_counts(all), shaken_counts(all), sink_counts(all);
  const auto steady = std::make_shared<OnceLog>(steady_counts.make_logger());
  const auto shaken_logger = shaken_counts.make_logger();
  const auto shaken = std::make_shared<OnceLog>(shaken_logger);
  OnceSink once_sink({sink_counts.make_sink()});
  std::vector<Environment> shaken_envs;
  for (Layer& layer : layers) {
    layer.env.log = steady;
    shaken_envs.push_back(layer.env);
    shaken_envs.back().log = shaken;
  }

  std::atomic<int> wrong_answers{0};
  const auto expect = [&](bool right) { wrong_answers += right ? 0 : 1; };
  const auto one_step = [&](std::size_t i) {
    const std::size_t at = i % layers.size();
    const Layer& layer = layers[at];
    const std::string& message = messages[i % messages.size()];
    expect(determine(layer, layer.env) == layer.data_type);
    expect(determine(layer, shaken_envs[at]) == layer.data_type);
    steady->info_once(LogScope::local, message);
    shaken->info_once(LogScope::global, message);
    once_sink.log({"engine", spdlog::level::info, message});
    const std::size_t turn = i / layers.size();
    switch (turn % 8) {
      case 0:
        return expect(explain(layer) == layer.explanation);
      case 1:
        return expect(plan_and_log(layer, layer.env) == layer.packed_plan);
      case 2:
        return expect(plan_and_log(layer, shaken_envs[at]) == layer.packed_plan);
      case 3:
        return shaken->reset();
      case 4:
        return once_sink.reset();
      case 5:
        return shaken->set_rank({static_cast<int>(i % 2), static_cast<int>(i / 2 % 2)});
      case 6:
        return shaken_logger->set_level(i % 2 == 0 ? spdlog::level::info : spdlog::level::err);
      default:
        return;
    }
  };
  const auto end = std::chrono::steady_clock::now() + duration();
  testing::StartingLine line(thread_count);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < thread_count; ++thread) {
    threads.emplace_back([&, thread] {
      auto i = static_cast<std::size_t>(thread) * 7919;  // each from a place of its own
      line.wait();
      do {
        for (int step = 0; step < 64; ++step) one_step(i++);
      } while (std::chrono::steady_clock::now() < end);
      // However far it came: what nobody has said yet.
      for (const std::string& message : messages) steady->info_once(LogScope::local, message);
      for (const Layer& layer : layers) plan_and_log(layer, layer.env);
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(wrong_answers, 0);
  steady_counts.expect_each_once(all);
  for (const Counts* counts : {&steady_counts, &shaken_counts, &sink_counts}) {
    counts->expect_no_other();
  }
  // Those that were shaken are as good as new.
  shaken_logger->set_level(spdlog::level::info);
  shaken->set_rank({});
  shaken->reset();
  once_sink.reset();
  shaken_counts.clear();
  sink_counts.clear();
  for (int time = 0; time < 2; ++time) {
    for (const std::string& message : messages) {
      shaken->info_once(LogScope::global, message);
      once_sink.log({"engine", spdlog::level::info, message});
    }
  }
  shaken_counts.expect_each_once(messages);
  sink_counts.expect_each_once(messages);
}

}  // namespace
}  // namespace mla_dtype
