// SPDX-License-Identifier: Apache-2.0

// Without this a sink that blocks could hold up threads that have nothing to do with it, or make a
// OnceSink lose a record, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/once_sink.h>

#include <future>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::info;
using testing::make_callback_sink;
using testing::RecordingSink;
using ::testing::SizeIs;

TEST(Sinks, ThatBlockHoldNobodyElseUp) {
  // The first "A" stays in the sink, after `inside`, until `go_on`.
  std::promise<void> inside, go_on;
  bool is_first = true;
  const auto sink = std::make_shared<RecordingSink>();
  OnceSink once({make_callback_sink([&](const spdlog::details::log_msg& msg) {
    if (std::string_view(msg.payload.data(), msg.payload.size()) == "A" &&
        std::exchange(is_first, false)) {
      inside.set_value();
      go_on.get_future().wait();
    }
    sink->log(msg);
  })});
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
