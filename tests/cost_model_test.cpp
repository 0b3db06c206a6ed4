// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <mla_dtype/cost_model.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using testing::expect_invalid;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr auto bf16 = DataType::bfloat16;
constexpr auto fp8 = DataType::float8_e4m3fn;
constexpr MlaDimensions deepseek = {128, 64, 128};
constexpr MlaDimensions wide = {192, 64, 256};

// The three numbers of an H100.
const PrefillCostModel three_numbers{
    PrefillThroughput{/*bf16_tflops=*/550, /*fp8_tflops=*/780, /*quantize_ns=*/0.5}};

// Where quantizing costs nothing that can be seen.
const PrefillCostModel fused{PrefillCurve{{256, 1.0, 0.9}, {4096, 10.0, 7.0}}};

// Where FP8 is slower at every length.
const PrefillCostModel slow{PrefillThroughput{500, 400, 0.1}};

struct Row {
  int heads, batch;
  std::int64_t isl;
  double bf16_ms, fp8_ms;
};

std::vector<Row> h100_rows() {
  std::ifstream file(MLA_DTYPE_H100_TIMINGS);
  std::vector<Row> rows;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    Row row{};
    char comma = 0;
    if (fields >> row.heads >> comma >> row.batch >> comma >> row.isl >> comma >> row.bf16_ms >>
        comma >> row.fp8_ms) {
      rows.push_back(row);
    }
  }
  return rows;
}

// Prefills from one token to many, without context and with more of it than anything new.
template <class Visit>
void for_each_prefill(Visit visit) {
  for (const std::int64_t query : {1, 7, 64, 513, 1024, 2048, 2366, 4096, 32768, 1'000'000}) {
    for (const std::int64_t context : {0, 1, 512, 2048, 8192, 131072, 1'000'000}) {
      visit(query, context);
    }
  }
}

// Throughput: what the three numbers mean, said once more.

double bf16_ns(const PrefillThroughput& t, const MlaDimensions& d, double query, double context) {
  const double pairs = query * context + query * query / 2;
  const double flop = 2 * pairs * (d.qk_nope_head_dim + d.qk_rope_head_dim + d.v_head_dim);
  return flop / (t.bf16_tflops * 1e12) * 1e9;
}

double fp8_ns(const PrefillThroughput& t, const MlaDimensions& d, double query, double context) {
  const int qk = d.qk_nope_head_dim + d.qk_rope_head_dim;
  const double cast = query * (qk + qk + d.v_head_dim) + context * (qk + d.v_head_dim);
  const double cast_deepseek = 192 + 192 + 128;  // elements that quantize_ns is for
  return bf16_ns(t, d, query, context) * t.bf16_tflops / t.fp8_tflops +
         t.quantize_ns * cast / cast_deepseek;
}

TEST(Throughput, SpeedupIsTheRatioOfTheTimes) {
  const auto& throughput = std::get<PrefillThroughput>(three_numbers.costs);
  for (const MlaDimensions& dimensions : {deepseek, wide, MlaDimensions{1, 1, 1}}) {
    for_each_prefill([&](std::int64_t query, std::int64_t context) {
      const auto q = static_cast<double>(query);
      const auto c = static_cast<double>(context);
      const double expected =
          bf16_ns(throughput, dimensions, q, c) / fp8_ns(throughput, dimensions, q, c);
      EXPECT_NEAR(predicted_prefill_speedup(three_numbers, query, context, dimensions) / expected,
                  1, 1e-12)
          << query << " after " << context;
    });
  }
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

// Curves.

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
  EXPECT_EQ(break_even_isl(slow), std::nullopt);
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
      const double size =
          dimensions.qk_nope_head_dim + dimensions.qk_rope_head_dim + dimensions.v_head_dim;
      PrefillCostModel numbers{PrefillThroughput{512, 1024, size * isl / (2 * 512e3)}};
      numbers.dimensions = dimensions;
      EngineConfig config;
      config.mla_dimensions = dimensions;
      for (const PrefillCostModel& model : {curve, numbers}) {
        const PrefillQuerySelector selector(model, config, bf16, fp8);
        const auto found = break_even_isl(model, dimensions);
        ASSERT_TRUE(found);
        EXPECT_NEAR(static_cast<double>(*found), isl + 1, 1);
        EXPECT_EQ(selector.choose(*found, 0), fp8);
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

// Curves and throughputs of all shapes.
std::vector<PrefillCostModel> random_models() {
  std::mt19937 random(1);
  const auto between = [&](double low, double high) {
    return std::uniform_real_distribution(low, high)(random);
  };
  std::vector<PrefillCostModel> models;
  for (int i = 0; i < 300; ++i) {
    models.push_back(
        {PrefillThroughput{between(100, 2000), between(100, 4000), std::exp(between(-7, 3))}});
    PrefillCurve curve;
    std::int64_t isl = 0;
    for (int point = 0; point < 2 + i % 6; ++point) {
      isl += 1 + static_cast<std::int64_t>(std::exp(between(0, 9)));
      curve.push_back({isl, between(1, 3), between(1, 3)});
    }
    models.push_back({curve});
  }
  return models;
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

// Bad input.

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

// Every function that takes a model refuses a bad one.
template <class Matcher>
void expect_refused(const PrefillCostModel& model, const Matcher& text) {
  expect_invalid([&] { predicted_prefill_speedup(model, 1); }, text);
  expect_invalid([&] { break_even_isl(model); }, text);
  expect_invalid([&] { make_prefill_speedup_predictor(model); }, text);
  expect_invalid([&] { PrefillQuerySelector(model, EngineConfig(), bf16, bf16); }, text);
}

TEST(BadCostModel, Numbers) {
  for (const double bad :
       {nan, inf, -inf, 0.0, -1.0, 1e-10, 1e10, std::numeric_limits<double>::denorm_min()}) {
    const auto expect = [](const PrefillCostModel& model, const std::string& field) {
      expect_refused(model, AllOf(StartsWith(field + ": "),
                                  HasSubstr("is not accepted; accepted: 1e-9 to 1e9")));
    };
    expect({PrefillThroughput{bad, 1, 1}}, "bf16_tflops");
    expect({PrefillThroughput{1, bad, 1}}, "fp8_tflops");
    expect({PrefillThroughput{1, 1, bad}}, "quantize_ns");
    expect({PrefillCurve{{1, bad, 1}, {2, 1, 1}}}, "curve[0].bf16_ms");
    expect({PrefillCurve{{1, 1, 1}, {2, 1, bad}}}, "curve[1].fp8_ms");
  }
}

TEST(BadCostModel, Points) {
  expect_refused({PrefillCurve{}}, StartsWith("curve: of 0 points is not accepted"));
  expect_refused({PrefillCurve{{1024, 1, 1}}}, StartsWith("curve: of 1 points is not accepted"));
  expect_refused({PrefillCurve{{0, 1, 1}, {1, 1, 1}}}, StartsWith("curve[0].isl: 0 is not"));
  expect_refused({PrefillCurve{{-5, 1, 1}, {1, 1, 1}}}, StartsWith("curve[0].isl: -5 is not"));
  expect_refused({PrefillCurve{{2, 1, 1}, {1, 1, 1}}}, StartsWith("curve[1].isl: 1 is not"));
  expect_refused({PrefillCurve{{2, 1, 1}, {2, 1, 1}}},
                 StartsWith("curve[1].isl: 2 is not accepted; accepted: 1 to 1000000000, in "
                            "ascending order"));
  expect_refused({PrefillCurve{{2, 1, 1}, {1'000'000'001, 1, 1}}}, StartsWith("curve[1].isl"));
}

TEST(BadCostModel, Dimensions) {
  PrefillCostModel model = three_numbers;
  model.dimensions.v_head_dim = 0;
  expect_refused(model, StartsWith("v_head_dim: 0 is not accepted"));
  EngineConfig config;
  config.mla_dimensions.qk_rope_head_dim = -1;
  const auto refused = StartsWith("qk_rope_head_dim: -1 is not accepted");
  expect_invalid([&] { predicted_prefill_speedup(three_numbers, 1, 0, config.mla_dimensions); },
                 refused);
  expect_invalid([&] { break_even_isl(three_numbers, config.mla_dimensions); }, refused);
  expect_invalid([&] { make_prefill_speedup_predictor(three_numbers)(config, 1); }, refused);
  expect_invalid([&] { PrefillQuerySelector(three_numbers, config, bf16, fp8); }, refused);
}

TEST(BadPrefill, IsRefused) {
  expect_invalid([] { predicted_prefill_speedup(three_numbers, 0); },
                 StartsWith("query_tokens: 0 is not accepted"));
  expect_invalid([] { predicted_prefill_speedup(three_numbers, -1); },
                 StartsWith("query_tokens: -1 is not accepted"));
  expect_invalid([] { predicted_prefill_speedup(three_numbers, 1, -1); },
                 StartsWith("context_tokens: -1 is not accepted; accepted: 0 and above"));
  expect_invalid([] { make_prefill_speedup_predictor(three_numbers)(EngineConfig(), 0); },
                 StartsWith("isl: 0 is not accepted"));
}

// Whatever is accepted is answered with a number.
TEST(CostModel, IsFiniteAtTheEndsOfWhatIsAccepted) {
  constexpr double low = 1e-9;
  constexpr double high = 1e9;
  constexpr auto longest = std::numeric_limits<std::int64_t>::max();
  constexpr auto largest = std::numeric_limits<int>::max();
  std::vector<PrefillCostModel> models;
  for (const double a : {low, high}) {
    for (const double b : {low, high}) {
      for (const double c : {low, high}) {
        models.push_back({PrefillThroughput{a, b, c}});
        models.push_back({PrefillCurve{{1, a, b}, {2, c, a}, {3, b, a}}});
        models.push_back({PrefillCurve{{999'999'999, a, b}, {1'000'000'000, b, c}}});
      }
    }
  }
  for (const PrefillCostModel& model : models) {
    for (const MlaDimensions& dimensions :
         {deepseek, MlaDimensions{largest, largest, largest}, MlaDimensions{1, 1, largest}}) {
      EngineConfig config;
      config.mla_dimensions = dimensions;
      const PrefillQuerySelector selector(model, config, bf16, fp8);
      for (const std::int64_t query : {std::int64_t{1}, longest}) {
        for (const std::int64_t context : {std::int64_t{0}, longest}) {
          const double speedup = predicted_prefill_speedup(model, query, context, dimensions);
          EXPECT_TRUE(std::isfinite(speedup));
          EXPECT_GT(speedup, 0);
          EXPECT_FALSE(std::isnan(selector.gain(query, context)));
        }
      }
      break_even_isl(model, dimensions);
    }
  }
}

// Models of devices.

TEST(H100, IsTheMeasuredOne) {
  const auto& curve = std::get<PrefillCurve>(h100_prefill_cost_model().costs);
  std::size_t found = 0;
  for (const Row& row : h100_rows()) {
    for (const PrefillTiming& point : curve) {
      found += row.heads == 128 && row.isl == point.isl &&
               row.bf16_ms / row.batch == point.bf16_ms && row.fp8_ms / row.batch == point.fp8_ms;
    }
  }
  EXPECT_EQ(found, curve.size());
  EXPECT_THAT(h100_prefill_cost_model().source, HasSubstr("H100"));
}

TEST(H100, IsFoundByItsName) {
  EXPECT_EQ(find_prefill_cost_model("NVIDIA H100 80GB HBM3"), &h100_prefill_cost_model());
  for (const char* const other : {"", "NVIDIA H20", "NVIDIA H200", "NVIDIA H100 PCIe", "H100"}) {
    EXPECT_EQ(find_prefill_cost_model(other), nullptr) << other;
  }
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
}

// What a policy loses against always choosing the faster of the two, over every measurement: as a
// factor, in the geometric mean and in the worst row.
template <class Chooses>
std::pair<double, double> loss(Chooses chooses_fp8, const std::vector<Row>& rows) {
  double logarithms = 0;
  double worst = 1;
  for (const Row& row : rows) {
    const double time = chooses_fp8(row.isl) ? row.fp8_ms : row.bf16_ms;
    const double factor = time / std::min(row.bf16_ms, row.fp8_ms);
    logarithms += std::log(factor);
    worst = std::max(worst, factor);
  }
  return {std::exp(logarithms / static_cast<double>(rows.size())), worst};
}

auto policy(const PrefillCostModel& model) {
  return [selector = PrefillQuerySelector(model, EngineConfig(), bf16, fp8)](std::int64_t isl) {
    return selector.choose(isl, 0) == fp8;
  };
}

// The figures in README.
TEST(Policies, LossOnAnH100) {
  const std::vector<Row> rows = h100_rows();
  ASSERT_EQ(rows.size(), 32U);
  const auto expect = [&](auto chooses_fp8, double mean, double worst) {
    const auto [actual_mean, actual_worst] = loss(chooses_fp8, rows);
    EXPECT_NEAR(actual_mean, mean, 0.0005);
    EXPECT_NEAR(actual_worst, worst, 0.0005);
  };
  expect([](std::int64_t) { return false; }, 1.126, 1.462);
  expect([](std::int64_t) { return true; }, 1.211, 2.116);
  expect([](std::int64_t isl) { return isl >= 4096; }, 1.000, 1.000);
  expect(policy(three_numbers), 1.000, 1.000);
  expect(policy(h100_prefill_cost_model()), 1.000, 1.000);
}

// Three points know the other measurements, those of 16 heads and of small batches among them.
TEST(Policies, ThreePointsAreEnough) {
  const std::vector<Row> rows = h100_rows();
  const auto& measured = std::get<PrefillCurve>(h100_prefill_cost_model().costs);
  int tried = 0;
  for (const PrefillTiming& a : measured) {
    for (const PrefillTiming& b : measured) {
      for (const PrefillTiming& c : measured) {
        // One well below the break-even, one around it, one well above.
        if (a.isl > 1024 || b.isl < 2048 || b.isl > 8192 || c.isl < 16384) continue;
        ++tried;
        std::vector<Row> unused;
        std::copy_if(rows.begin(), rows.end(), std::back_inserter(unused), [&](const Row& row) {
          const double fp8_ms = row.fp8_ms / row.batch;
          return fp8_ms != a.fp8_ms && fp8_ms != b.fp8_ms && fp8_ms != c.fp8_ms;
        });
        EXPECT_EQ(unused.size(), 29U);
        const auto [mean, worst] = loss(policy({PrefillCurve{a, b, c}}), unused);
        EXPECT_LT(mean, 1.0005) << a.isl << ", " << b.isl << ", " << c.isl;
        EXPECT_LT(worst, 1.0005) << a.isl << ", " << b.isl << ", " << c.isl;
      }
    }
  }
  EXPECT_EQ(tried, 36);
}

// The selector.

static_assert(noexcept(std::declval<const PrefillQuerySelector&>().choose(1, 0)));
static_assert(std::is_trivially_copyable_v<PrefillQuerySelector>);

TEST(Selector, ChoosesWhatIsPredictedToBeFaster) {
  int chosen = 0;
  for (const PrefillCostModel& model : random_models()) {
    for (const MlaDimensions& dimensions : {deepseek, wide}) {
      EngineConfig config;
      config.mla_dimensions = dimensions;
      const PrefillQuerySelector selector(model, config, bf16, fp8);
      const auto break_even = break_even_isl(model, dimensions);
      for_each_prefill([&](std::int64_t query, std::int64_t context) {
        const double speedup = predicted_prefill_speedup(model, query, context, dimensions);
        const bool is_fp8 = selector.choose(query, context) == fp8;
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
  const PrefillQuerySelector selector(three_numbers, EngineConfig(), bf16, fp8);
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
  const PrefillQuerySelector required(slow, config, bf16, DataType::float8_e4m3fnuz);
  for_each_prefill([&](std::int64_t query, std::int64_t context) {
    EXPECT_EQ(required.choose(query, context), DataType::float8_e4m3fnuz);
    EXPECT_GT(required.gain(query, context), 0);
  });
}

TEST(Selector, NothingIsNotFaster) {
  for (const PrefillCostModel& model : {three_numbers, fused, slow}) {
    const PrefillQuerySelector selector(model, EngineConfig(), bf16, fp8);
    EXPECT_EQ(selector.choose(0, 0), bf16);
    EXPECT_EQ(selector.choose(0, 1000), bf16);
    EXPECT_EQ(selector.gain(0, 0), 0);
  }
}

TEST(Selector, BadDataTypesAreRefused) {
  const EngineConfig config;
  expect_invalid([&] { PrefillQuerySelector(fused, config, DataType::int8, fp8); },
                 StartsWith("model_dtype: \"int8\" is not accepted"));
  expect_invalid([&] { PrefillQuerySelector(fused, config, bf16, DataType::float16); },
                 StartsWith("determined: \"float16\" is not accepted; accepted: the model dtype"));
  expect_invalid([&] { PrefillQuerySelector(fused, config, bf16, static_cast<DataType>(99)); },
                 StartsWith("determined: DataType(99) is not accepted"));
}

}  // namespace
}  // namespace mla_dtype
