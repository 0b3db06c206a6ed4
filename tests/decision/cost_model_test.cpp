// SPDX-License-Identifier: Apache-2.0

// Without this a prediction could differ from what its numbers mean, or a break-even not be where
// FP8 becomes faster, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/cost_model.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <variant>

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
using testing::module_of_b200;
using testing::random_models;
using testing::slower_in_fp8;
using ::testing::StartsWith;
using testing::three_numbers;
using testing::wide;

TEST(Throughput, SpeedupIsTheRatioOfTheTimes) {
  for (const PrefillCostModel& model : {three_numbers, module_of_b200}) {
    const auto& throughput = std::get<PrefillThroughput>(model.costs);
    for (const int heads : {1, 16, 128}) {
      for (const MlaDimensions& dimensions : {deepseek, wide, MlaDimensions{1, 1, 1}}) {
        for_each_prefill([&](std::int64_t query, std::int64_t context) {
          const auto q = static_cast<double>(query);
          const auto c = static_cast<double>(context);
          const double expected = bf16_ns(throughput, dimensions, q, c, heads) /
                                  fp8_ns(throughput, dimensions, q, c, heads);
          EXPECT_NEAR(
              predicted_prefill_speedup(model, query, context, dimensions, heads) / expected, 1,
              1e-12)
              << query << " after " << context << " of " << heads << " heads";
        });
      }
    }
  }
}

// What both take alike brings the speedup nearer to 1, and does not move the break-even.
TEST(Throughput, BreakEvenIsThatOfTheDifference) {
  PrefillCostModel without = module_of_b200;
  auto& numbers = std::get<PrefillThroughput>(without.costs);
  numbers.other_ns = numbers.other_token_ns = 0;
  for (const int heads : {8, 16, 128}) {
    EXPECT_EQ(break_even_isl(without, deepseek, heads),
              break_even_isl(module_of_b200, deepseek, heads));
  }
  EXPECT_LT(predicted_prefill_speedup(without, 4096), 0.6);
  EXPECT_GT(predicted_prefill_speedup(module_of_b200, 4096), 0.8);
  EXPECT_GT(break_even_isl(module_of_b200, deepseek, 8),
            break_even_isl(module_of_b200, deepseek, 128));
}

TEST(Throughput, BreakEvenOfAnH100) {
  EXPECT_EQ(break_even_isl(three_numbers), 2915);
  // As many elements are cast for an element of attention, but for the rotary part.
  EXPECT_EQ(break_even_isl(three_numbers, wide), 2733);
}

// A model says with which dimensions it was measured; the others follow from it.
TEST(Throughput, IsConvertedToOtherDimensions) {
  PrefillCostModel measured_wide = three_numbers;
  measured_wide.dimensions = wide;
  const double last_slower = 0.5 * 550e3 / 512 / (1 - 550.0 / 780);
  EXPECT_EQ(break_even_isl(measured_wide, wide), static_cast<std::int64_t>(last_slower) + 1);
}

TEST(Curve, PointsAreMetExactly) {
  const auto& model = h100_prefill_cost_model();
  for (const auto& [isl, bf16_ms, fp8_ms] : std::get<PrefillCurve>(model.costs)) {
    EXPECT_DOUBLE_EQ(predicted_prefill_speedup(model, isl), bf16_ms / fp8_ms) << isl;
  }
}

// Two points of a device with constant throughputs are enough to know it from one to the other.
TEST(Curve, OfTwoPointsIsTheThroughputModel) {
  const auto& throughput = std::get<PrefillThroughput>(three_numbers.costs);
  const auto point = [&](std::int64_t isl) {
    const auto tokens = static_cast<double>(isl);
    return PrefillTiming{isl, bf16_ns(throughput, deepseek, tokens, 0) * 1e-6,
                         fp8_ns(throughput, deepseek, tokens, 0) * 1e-6};
  };
  const PrefillCostModel curve{PrefillCurve{point(1000), point(100'000)}};
  for (const MlaDimensions& dimensions : {deepseek, wide}) {
    EXPECT_EQ(break_even_isl(curve, dimensions), break_even_isl(three_numbers, dimensions));
    for (std::int64_t isl = 1100; isl < 60'000; isl += isl / 7) {
      EXPECT_NEAR(predicted_prefill_speedup(curve, isl, 0, dimensions),
                  predicted_prefill_speedup(three_numbers, isl, 0, dimensions), 1e-9)
          << isl;
      EXPECT_NEAR(predicted_prefill_speedup(curve, isl / 2, isl, dimensions),
                  predicted_prefill_speedup(three_numbers, isl / 2, isl, dimensions), 1e-9)
          << isl;
    }
  }
}

// No gain is predicted that was not measured.
TEST(Curve, EndsConservatively) {
  EXPECT_DOUBLE_EQ(predicted_prefill_speedup(h100_prefill_cost_model(), 131072),
                   predicted_prefill_speedup(h100_prefill_cost_model(), 10'000'000));
  EXPECT_DOUBLE_EQ(predicted_prefill_speedup(h100_prefill_cost_model(), 16),
                   predicted_prefill_speedup(h100_prefill_cost_model(), 256));
  const PrefillCostModel better_when_short{PrefillCurve{{1000, 1.0, 0.5}, {2000, 2.0, 1.5}}};
  EXPECT_DOUBLE_EQ(predicted_prefill_speedup(better_when_short, 1000), 2);
  EXPECT_DOUBLE_EQ(predicted_prefill_speedup(better_when_short, 999), 1);
  EXPECT_DOUBLE_EQ(predicted_prefill_speedup(better_when_short, 100'000), 2.0 / 1.5);
}

TEST(BreakEven, OfTheH100Curve) {
  EXPECT_EQ(break_even_isl(h100_prefill_cost_model()), 2366);
  EXPECT_EQ(break_even_isl(fused), 256) << "the shortest that was measured";
  EXPECT_EQ(break_even_isl(slower_in_fp8), std::nullopt);
  EXPECT_EQ(break_even_isl({PrefillCurve{{1000, 1, 0.9}, {2000, 1, 1.1}}}), std::nullopt)
      << "not from there on";
  EXPECT_EQ(break_even_isl({PrefillCurve{{1000, 1, 1.5}, {2048, 1, 1}, {4000, 1, 0.9}}}), 2049)
      << "as fast is not faster";
  EXPECT_EQ(break_even_isl({PrefillThroughput{1e9 - 1e-6, 1e9, 1e9}}), std::nullopt)
      << "longer than anything";
}

// Where both are as fast at a whole length, the next one is the first that pays, for all who
// answer.
TEST(BreakEven, OfWholeLengths) {
  for (const MlaDimensions& dimensions :
       {deepseek, wide, MlaDimensions{96, 64, 96}, MlaDimensions{192, 128, 192}}) {
    for (const std::int64_t even : {1000, 1024, 2917, 14625, 65536}) {
      const auto isl = static_cast<double>(even);
      PrefillCostModel curve{PrefillCurve{{even / 2, 1, 1.5}, {even, isl, isl}, {even * 2, 4, 3}}};
      curve.dimensions = dimensions;
      // Throughputs that are as fast there: quantizing takes what FP8 saves, in numbers that are
      // exact in binary.
      const double size = static_cast<double>(dimensions.qk_nope_head_dim +
                                              dimensions.qk_rope_head_dim + dimensions.v_head_dim);
      PrefillCostModel numbers{PrefillThroughput{512, 1024, size * isl / (2 * 512e3)}};
      numbers.dimensions = dimensions;
      EngineConfig config;
      config.mla_dimensions = dimensions;
      for (const PrefillCostModel& model : {curve, numbers}) {
        const PrefillQuerySelector selector(model, config, bf16, e4m3);
        const auto found = break_even_isl(model, dimensions);
        ASSERT_TRUE(found);
        EXPECT_NEAR(static_cast<double>(*found), isl + 1, 1);
        EXPECT_EQ(selector.choose(*found, 0), e4m3);
        EXPECT_EQ(selector.choose(*found - 1, 0), bf16);
        EXPECT_NEAR(predicted_prefill_speedup(model, even, 0, dimensions), 1, 1e-12);
      }
      EXPECT_EQ(break_even_isl(curve, dimensions), even + 1);
    }
    // Nothing is rounded where the dimensions are those of the model.
    for (std::int64_t first = 2; first < 3000; ++first) {
      PrefillCostModel faster{PrefillCurve{{first, 2, 1}, {first * 2, 4, 2}}};
      faster.dimensions = dimensions;
      EXPECT_EQ(break_even_isl(faster, dimensions), first);
      EXPECT_EQ(predicted_prefill_speedup(faster, first - 1, 0, dimensions), 1);
      EXPECT_EQ(predicted_prefill_speedup(faster, first, 0, dimensions), 2);
    }
  }
}

// The last crossing counts: what is between two of them is noise, or worth a closer look.
TEST(BreakEven, OfACurveThatCrossesTwice) {
  const PrefillCostModel model{
      PrefillCurve{{100, 1, 0.9}, {200, 1, 1.2}, {400, 1, 1.1}, {800, 1, 0.8}}};
  const auto isl = break_even_isl(model);
  ASSERT_TRUE(isl);
  EXPECT_GT(*isl, 400);
  EXPECT_LT(*isl, 800);
}

TEST(BreakEven, IsWhereFp8BecomesFaster) {
  int found = 0;
  for (const PrefillCostModel& model : random_models()) {
    for (const MlaDimensions& dimensions : {deepseek, wide}) {
      const auto faster = [&](std::int64_t isl) {
        return predicted_prefill_speedup(model, isl, 0, dimensions) > 1;
      };
      const auto isl = break_even_isl(model, dimensions);
      if (!isl) {
        EXPECT_FALSE(faster(1'000'000'000'000));
        continue;
      }
      ++found;
      EXPECT_FALSE(*isl > 1 && faster(*isl - 1)) << *isl;
      for (std::int64_t longer = *isl; longer < 1'000'000'000; longer += 1 + longer / 5) {
        EXPECT_TRUE(faster(longer)) << longer << ", break-even " << *isl;
      }
    }
  }
  EXPECT_GT(found, 400);
}

// A chunk casts the keys and values of all chunks before it again.
TEST(Predictor, AddsUpChunks) {
  const auto& throughput = std::get<PrefillThroughput>(three_numbers.costs);
  const auto predict = make_prefill_speedup_predictor(three_numbers);
  EngineConfig config;
  auto& [is_chunked, chunk_size] = config.scheduler_config;
  for (const std::int64_t isl : {1, 511, 512, 513, 4096, 5000, 32768}) {
    for (const std::int64_t chunk : {512, 2048, 40'000}) {
      double bf16_total = 0;
      double fp8_total = 0;
      for (std::int64_t begin = 0; begin < isl; begin += chunk) {
        const auto query = static_cast<double>(std::min(chunk, isl - begin));
        const auto context = static_cast<double>(begin);
        bf16_total += bf16_ns(throughput, deepseek, query, context);
        fp8_total += fp8_ns(throughput, deepseek, query, context);
      }
      chunk_size = chunk;
      EXPECT_NEAR(predict(config, isl), bf16_total / fp8_total, 1e-12) << isl << " by " << chunk;
    }
    is_chunked = false;
    EXPECT_EQ(predict(config, isl), predicted_prefill_speedup(three_numbers, isl));
    is_chunked = true;
  }
  chunk_size = 512;
  EXPECT_LT(make_prefill_speedup_predictor(h100_prefill_cost_model())(config, 32768), 0.9)
      << "no chunk is long enough to pay";
  chunk_size = 0;
  expect_invalid([&] { predict(config, 1); },
                 StartsWith("max_num_batched_tokens: 0 is not accepted"));
}

TEST(Predictor, PredictsForTheConfiguration) {
  const auto predict = make_prefill_speedup_predictor(h100_prefill_cost_model());
  EngineConfig config;
  EXPECT_EQ(predict(config, 32768), predicted_prefill_speedup(h100_prefill_cost_model(), 32768));
  config.mla_dimensions = wide;
  EXPECT_EQ(predict(config, 2000),
            predicted_prefill_speedup(h100_prefill_cost_model(), 2000, 0, wide));
  config.num_attention_heads = 16;
  EXPECT_EQ(make_prefill_speedup_predictor(module_of_b200)(config, 2000),
            predicted_prefill_speedup(module_of_b200, 2000, 0, wide, 16));
}

}  // namespace
}  // namespace mla_dtype
