// SPDX-License-Identifier: Apache-2.0

// Without this the model of an H100 could differ from its measurements, or the figures on policies
// that README gives, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/cost_model.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "support/cost_models.h"
#include "support/data_types.h"
#include "support/prefill_timings.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using testing::e4m3;
using ::testing::HasSubstr;
using testing::loss;
using testing::three_numbers;
using testing::Timing;

std::vector<Timing> h100_rows() {
  std::ifstream file(MLA_DTYPE_H100_TIMINGS);
  std::vector<Timing> rows;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    Timing row{};
    char comma = 0;
    if (fields >> row.heads >> comma >> row.batch >> comma >> row.isl >> comma >> row.bf16_ms >>
        comma >> row.fp8_ms) {
      rows.push_back(row);
    }
  }
  return rows;
}

TEST(H100, IsTheMeasuredOne) {
  const auto& curve = std::get<PrefillCurve>(h100_prefill_cost_model().costs);
  std::size_t found = 0;
  for (const Timing& row : h100_rows()) {
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

auto policy(const PrefillCostModel& model) {
  return [selector = PrefillQuerySelector(model, EngineConfig(), bf16, e4m3)](const Timing& row) {
    return selector.choose(row.isl, 0) == e4m3;
  };
}

// The figures in README.
TEST(Policies, LossOnAnH100) {
  const std::vector<Timing> rows = h100_rows();
  ASSERT_EQ(rows.size(), 32U);
  const auto expect = [&](auto chooses_fp8, double mean, double worst) {
    const auto [actual_mean, actual_worst] = loss(rows, chooses_fp8);
    EXPECT_NEAR(actual_mean, mean, 0.0005);
    EXPECT_NEAR(actual_worst, worst, 0.0005);
  };
  expect([](const Timing&) { return false; }, 1.126, 1.462);
  expect([](const Timing&) { return true; }, 1.211, 2.116);
  expect([](const Timing& row) { return row.isl >= 4096; }, 1.000, 1.000);
  expect(policy(three_numbers), 1.000, 1.000);
  expect(policy(h100_prefill_cost_model()), 1.000, 1.000);
}

// Three points know the other measurements, those of 16 heads and of small batches among them.
TEST(Policies, ThreePointsAreEnough) {
  const std::vector<Timing> rows = h100_rows();
  const auto& measured = std::get<PrefillCurve>(h100_prefill_cost_model().costs);
  int tried = 0;
  for (const PrefillTiming& a : measured) {
    for (const PrefillTiming& b : measured) {
      for (const PrefillTiming& c : measured) {
        // One well below the break-even, one around it, one well above.
        if (a.isl > 1024 || b.isl < 2048 || b.isl > 8192 || c.isl < 16384) continue;
        ++tried;
        std::vector<Timing> unused;
        std::copy_if(rows.begin(), rows.end(), std::back_inserter(unused), [&](const Timing& row) {
          const double fp8_ms = row.fp8_ms / row.batch;
          return fp8_ms != a.fp8_ms && fp8_ms != b.fp8_ms && fp8_ms != c.fp8_ms;
        });
        EXPECT_EQ(unused.size(), 29U);
        const auto [mean, worst] = loss(unused, policy({PrefillCurve{a, b, c}}));
        EXPECT_LT(mean, 1.0005) << a.isl << ", " << b.isl << ", " << c.isl;
        EXPECT_LT(worst, 1.0005) << a.isl << ", " << b.isl << ", " << c.isl;
      }
    }
  }
  EXPECT_EQ(tried, 36);
}

}  // namespace
}  // namespace mla_dtype
