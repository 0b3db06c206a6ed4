// SPDX-License-Identifier: Apache-2.0

// Logs whose writes throw, block, or come back. Without these a bad one could keep an answer back,
// lose a record, or hold up threads that have nothing to do with it.

#include <gmock/gmock.h>
#include <mla_dtype/mla_dtype.h>

#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/record_texts.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using ::testing::ElementsAre;
using testing::info;
using testing::make_config;
using testing::RecordingLog;
using testing::row_1;
using ::testing::SizeIs;

// An engine whose log does what the test wants, and then records.
class Writes : public ::testing::Test {
 protected:
  std::function<void(const std::string&)> on_log = [](const std::string&) {};
  const RecordingLog output;
  const std::shared_ptr<OnceLog> log =
      std::make_shared<OnceLog>([this](LogLevel level, std::string_view text) {
        on_log(std::string(text));
        output.write(level, text);
      });

  Environment make_env(const char* prefill_backend = "FLASHINFER") const {
    Environment env = make_environment(cuda(10, 0), prefill_backend);
    env.log = log;
    return env;
  }
  bool say(const std::string& text) const { return log->info_once(LogScope::local, text); }

  // The first "A" is being written, after `inside`, until `go_on`.
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
TEST_F(Writes, ThatThrowKeepNoAnswerBack) {
  const std::function<void()> faults[] = {
      [] { throw 42; },
      [] { throw std::runtime_error("disk full"); },
  };
  for (const auto& fault : faults) {
    log->reset();
    output.clear();
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
      EXPECT_THAT(output.records(), SizeIs(healthy ? 6 : 0));
    }
  }
}

TEST_F(Writes, MaySayThroughTheLogThatTheyServe) {
  on_log = [&](const std::string& text) {
    EXPECT_FALSE(say(text)) << "it is being said";
    EXPECT_EQ(say("B"), text == "A");
    EXPECT_EQ(determine_prefill_query_data_type(make_config("fp8", true), bf16, make_env()),
              DataType::float8_e4m3fn);
  };
  EXPECT_TRUE(say("A"));
  EXPECT_THAT(output.records(), ElementsAre(info(row_1), info("B"), info("A")));
  EXPECT_FALSE(say("B"));
}

// If somebody waited, these would not end.
TEST_F(Writes, ThatBlockHoldNobodyElseUp) {
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
  EXPECT_THAT(output.records(), SizeIs(4));
  EXPECT_TRUE(say("A")) << "also after it was said";
  EXPECT_FALSE(say("A"));
}

}  // namespace
}  // namespace mla_dtype
