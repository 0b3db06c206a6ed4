// SPDX-License-Identifier: Apache-2.0

// Sinks that throw, block, or come back, below all that logs. Without these a bad sink could keep
// an answer back, lose a record, or hold up threads that have nothing to do with it.

#include <gmock/gmock.h>
#include <mla_dtype/mla_dtype.h>
#include <mla_dtype/once_sink.h>

#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/record_texts.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using ::testing::ElementsAre;
using testing::info;
using testing::make_config;
using testing::RecordingSink;
using testing::row_1;
using ::testing::SizeIs;

// An engine whose sink does what the test wants, and then records.
class Sinks : public ::testing::Test {
 protected:
  std::function<void(const std::string&)> on_log = [](const std::string&) {};
  const std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
  const std::shared_ptr<spdlog::logger> logger =
      testing::make_callback_logger([this](const spdlog::details::log_msg& msg) {
        on_log(std::string(msg.payload.data(), msg.payload.size()));
        sink->log(msg);
      });
  const std::shared_ptr<OnceLog> log = std::make_shared<OnceLog>(logger);

  Environment make_env(const char* prefill_backend = "FLASHINFER") const {
    Environment env = make_environment(cuda(10, 0), prefill_backend);
    env.log = log;
    return env;
  }
  bool say(const std::string& text) const { return log->info_once(LogScope::local, text); }

  // The first "A" stays in the sink, after `inside`, until `go_on`.
  void block_the_first_a() {
    on_log = [this, first = true](const std::string& text) mutable {
      if (text != "A" || !std::exchange(first, false)) return;
      inside.set_value();
      go_on.get_future().wait();
    };
  }
  std::promise<void> inside, go_on;
};

// A decision comes out whatever becomes of its record, and the record is not lost.
TEST_F(Sinks, ThatThrowKeepNoAnswerBack) {
  const std::function<void()> faults[] = {
      [] { throw 42; },
      [] { throw std::runtime_error("disk full"); },  // and then the error handler throws
  };
  logger->set_error_handler([](const std::string& text) { throw std::logic_error(text); });
  for (const auto& fault : faults) {
    log->reset();
    sink->clear();
    bool healthy = false;
    on_log = [&](const std::string&) {
      if (!healthy) fault();
    };
    const auto determine = [&](const char* prefill_backend, bool requested) {
      return determine_prefill_query_data_type(make_config("fp8", requested), bf16,
                                               make_env(prefill_backend));
    };
    const auto selection = select_prefill_backend(make_config("fp8", false), bf16, cuda(10, 0));
    const auto plan =
        plan_attention_data_types(make_config("fp8", true), bf16, make_env(),
                                  make_decode_environment(cuda(10, 0), "FLASHINFER_MLA"));
    for (int call = 0; call < 4; ++call) {
      healthy = call >= 2;
      EXPECT_EQ(determine("FLASHINFER", true), DataType::float8_e4m3fn);
      EXPECT_EQ(determine("FLASH_ATTN", true), bf16);
      EXPECT_EQ(determine("FLASHINFER", false), bf16);
      EXPECT_EQ(log_prefill_backend(selection, make_env()), call == 2);
      EXPECT_EQ(log_attention_plan(plan, make_env()), call == 2);
      // Three rows of the decision, the selection and its hint, a caution.
      EXPECT_THAT(sink->records(), SizeIs(healthy ? 6 : 0));
    }
  }
}

TEST_F(Sinks, MaySayThroughTheLogThatTheyServe) {
  on_log = [&](const std::string& text) {
    EXPECT_FALSE(say(text)) << "it is being said";
    EXPECT_EQ(say("B"), text == "A");
    EXPECT_EQ(determine_prefill_query_data_type(make_config("fp8", true), bf16, make_env()),
              DataType::float8_e4m3fn);
  };
  EXPECT_TRUE(say("A"));
  EXPECT_THAT(sink->records(), ElementsAre(info(row_1), info("B"), info("A")));
  EXPECT_FALSE(say("B"));
}

// If somebody waited, these would not end.
TEST_F(Sinks, ThatBlockHoldNobodyElseUp) {
  block_the_first_a();
  std::thread writer([&] { EXPECT_TRUE(say("A")); });
  inside.get_future().wait();
  EXPECT_TRUE(say("B"));
  EXPECT_EQ(determine_prefill_query_data_type(make_config("fp8", true), bf16, make_env()),
            DataType::float8_e4m3fn);
  EXPECT_FALSE(say("A")) << "it is being said";
  log->set_rank({});
  log->reset();
  EXPECT_TRUE(say("A")) << "what is being said is forgotten, too";
  log->reset();
  go_on.set_value();
  writer.join();
  EXPECT_THAT(sink->records(), SizeIs(4));
  EXPECT_TRUE(say("A")) << "also after it was said";
  EXPECT_FALSE(say("A"));
}

TEST_F(Sinks, ThatBlockHoldNobodyElseUpInOnceSink) {
  block_the_first_a();
  OnceSink once(logger->sinks());
  const auto write = [&](const char* text) { once.log({"engine", spdlog::level::info, text}); };
  std::thread writer([&] { write("A"); });
  inside.get_future().wait();
  write("B");
  write("A");
  EXPECT_THAT(sink->records(), ElementsAre(info("B")));
  once.reset();
  write("A");
  go_on.set_value();
  writer.join();
  EXPECT_THAT(sink->records(), ElementsAre(info("B"), info("A"), info("A")));
  write("A");
  EXPECT_THAT(sink->records(), SizeIs(3));
}

}  // namespace
}  // namespace mla_dtype
