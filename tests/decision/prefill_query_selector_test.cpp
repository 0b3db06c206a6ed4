// SPDX-License-Identifier: Apache-2.0

// Without this a batch could get the slower data type, or one that was ruled out when the engine
// started, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/cost_model.h>

#include <cstdint>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "support/cost_models.h"
#include "support/data_types.h"
#include "support/dimensions.h"
#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using testing::bf16_ns;
using testing::deepseek;
using testing::e4m3;
using testing::expect_invalid;
using testing::for_each_prefill;
using testing::fp8_ns;
using testing::fused;
using testing::random_models;
using testing::slower_in_fp8;
using ::testing::StartsWith;
using testing::three_numbers;
using testing::wide;

static_assert(noexcept(std::declval<const PrefillQuerySelector&>().choose(1, 0)));
static_assert(std::is_trivially_copyable_v<PrefillQuerySelector>);

TEST(Selector, ChoosesWhatIsPredictedToBeFaster) {
  int chosen = 0;
  for (const PrefillCostModel& model : random_models()) {
    for (const MlaDimensions& dimensions : {deepseek, wide}) {
      EngineConfig config;
      config.mla_dimensions = dimensions;
      config.num_attention_heads = dimensions == wide ? 16 : 128;
      const std::int64_t heads = config.num_attention_heads;
      const PrefillQuerySelector selector(model, config, bf16, e4m3);
      const auto break_even = break_even_isl(model, dimensions, heads);
      for_each_prefill([&](std::int64_t query, std::int64_t context) {
        const double speedup = predicted_prefill_speedup(model, query, context, dimensions, heads);
        const bool is_fp8 = selector.choose(query, context) == e4m3;
        chosen += is_fp8;
        // Before the last crossing FP8 is not chosen, even where it is a little faster.
        if (is_fp8) {
          EXPECT_GT(speedup, 1 - 1e-9) << query << " after " << context;
        }
        if (std::holds_alternative<PrefillThroughput>(model.costs) && speedup > 1 + 1e-9) {
          EXPECT_TRUE(is_fp8) << query << " after " << context;
        }
        if (context == 0) {
          EXPECT_EQ(is_fp8, break_even && query >= *break_even) << query;
        }
      });
    }
  }
  EXPECT_GT(chosen, 10'000);
}

TEST(Selector, SumsUpABatch) {
  const PrefillQuerySelector selector(three_numbers, EngineConfig(), bf16, e4m3);
  const auto& throughput = std::get<PrefillThroughput>(three_numbers.costs);
  const std::vector<std::pair<std::int64_t, std::int64_t>> batches[] = {
      {{4096, 0}},
      {{1024, 0}, {1024, 0}, {1024, 0}, {1024, 0}},
      {{32768, 0}, {100, 0}, {100, 0}},
      {{512, 131072}, {16, 131072}},
      {{5000, 0}, {2000, 0}, {1800, 0}},
      {{2000, 2000}, {1, 100'000}},
  };
  int fp8_is_faster = 0;
  for (const auto& batch : batches) {
    double gain = 0;
    double saved_ns = 0;
    for (const auto& [query, context] : batch) {
      const auto q = static_cast<double>(query);
      const auto c = static_cast<double>(context);
      gain += selector.gain(query, context);
      saved_ns += bf16_ns(throughput, deepseek, q, c) - fp8_ns(throughput, deepseek, q, c);
    }
    EXPECT_EQ(gain > 0, saved_ns > 0) << batch.size() << " from " << batch[0].first;
    fp8_is_faster += saved_ns > 0;
  }
  EXPECT_EQ(fp8_is_faster, 3);
}

TEST(Selector, WhatBlocksFp8AtInitBlocksItInEveryBatch) {
  const PrefillQuerySelector blocked(fused, EngineConfig(), DataType::float16, DataType::float16);
  for_each_prefill([&](std::int64_t query, std::int64_t context) {
    EXPECT_EQ(blocked.choose(query, context), DataType::float16);
    EXPECT_LT(blocked.gain(query, context), 0);
  });
}

TEST(Selector, WhatIsRequiredIsGivenToEveryBatch) {
  EngineConfig config;
  config.attention_config.prefill_query_mode = PrefillQueryMode::required;
  const PrefillQuerySelector required(slower_in_fp8, config, bf16, DataType::float8_e4m3fnuz);
  for_each_prefill([&](std::int64_t query, std::int64_t context) {
    EXPECT_EQ(required.choose(query, context), DataType::float8_e4m3fnuz);
    EXPECT_GT(required.gain(query, context), 0);
  });
}

TEST(Selector, NothingIsNotFaster) {
  for (const PrefillCostModel& model : {three_numbers, fused, slower_in_fp8}) {
    const PrefillQuerySelector selector(model, EngineConfig(), bf16, e4m3);
    EXPECT_EQ(selector.choose(0, 0), bf16);
    EXPECT_EQ(selector.choose(0, 1000), bf16);
    EXPECT_EQ(selector.gain(0, 0), 0);
  }
}

TEST(Selector, BadDataTypesAreRefused) {
  const EngineConfig config;
  expect_invalid([&] { PrefillQuerySelector(fused, config, DataType::int8, e4m3); },
                 StartsWith("model_dtype: \"int8\" is not accepted"));
  expect_invalid([&] { PrefillQuerySelector(fused, config, bf16, DataType::float16); },
                 StartsWith("determined: \"float16\" is not accepted; accepted: the model dtype"));
  expect_invalid([&] { PrefillQuerySelector(fused, config, bf16, static_cast<DataType>(99)); },
                 StartsWith("determined: DataType(99) is not accepted"));
}

}  // namespace
}  // namespace mla_dtype
