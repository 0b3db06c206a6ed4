// SPDX-License-Identifier: Apache-2.0

// Without this a decision's record that a level of an spdlog logger or sink held back could count
// as said, and be lost when it may be said.

#include <gmock/gmock.h>
#include <mla_dtype/prefill_query.h>
#include <spdlog/logger.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/record_texts.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using ::testing::HasSubstr;
using testing::info;
using ::testing::IsEmpty;
using testing::make_config;
using testing::row_1;
using testing::row_2;
using ::testing::SizeIs;
using ::testing::StartsWith;

class HeldBackDecision : public ::testing::Test {
 protected:
  Environment make(const char* backend) const {
    Environment env = make_environment(cuda(10, 0), backend);
    env.log = log;
    return env;
  }
  std::vector<testing::Record> records() { return output.sink->records(); }
  static void determine(const EngineConfig& config, const Environment& env) {
    determine_prefill_query_data_type(config, testing::bf16, env);
  }

  testing::RecordingLogger output;
  const std::shared_ptr<OnceLog> log = std::make_shared<OnceLog>(output.logger);
  const EngineConfig on = make_config("fp8", true);
};

TEST_F(HeldBackDecision, EachOfRow1sRecordsMayBeHeldBackAlone) {
  Environment env = make("TRTLLM_RAGGED");
  env.predict_prefill_speedup = [](const EngineConfig&, std::int64_t) { return 0.8; };
  EngineConfig config = on;
  config.attention_config.expected_isl = 1024;
  const auto does_not_pay = HasSubstr("do not pay");
  output.logger->set_level(spdlog::level::warn);
  determine(config, env);
  ASSERT_THAT(records(), SizeIs(1));
  EXPECT_EQ(records()[0].level, LogLevel::warning);
  EXPECT_THAT(records()[0].text, does_not_pay);
  output.logger->set_level(spdlog::level::info);
  determine(config, env);
  determine(config, env);
  ASSERT_THAT(records(), SizeIs(2));
  EXPECT_EQ(records()[1], info(row_1));

  // Where another decision said the first, the second is still to be said.
  log->reset();
  output.sink->clear();
  determine(on, env);
  determine(config, env);
  ASSERT_THAT(records(), SizeIs(2));
  EXPECT_EQ(records()[0], info(row_1));
  EXPECT_THAT(records()[1].text, does_not_pay);
}

TEST_F(HeldBackDecision, WhatALevelOrARankHeldBackMayBeSaidLater) {
  const auto decide = [&] {
    determine(on, make("TRTLLM_RAGGED"));
    determine(on, make("FLASH_ATTN"));
  };
  output.logger->set_level(spdlog::level::warn);
  decide();
  output.logger->set_level(spdlog::level::info);
  output.sink->set_level(spdlog::level::err);
  decide();
  output.sink->set_level(spdlog::level::trace);
  log->set_rank({/*global_rank=*/1, /*local_rank=*/1});
  decide();
  EXPECT_THAT(records(), IsEmpty());
  log->set_rank({/*global_rank=*/8, /*local_rank=*/0});
  decide();
  decide();
  ASSERT_THAT(records(), SizeIs(2));
  EXPECT_EQ(records()[0], info(row_1));
  EXPECT_THAT(records()[1].text, StartsWith(row_2));
}

}  // namespace
}  // namespace mla_dtype
