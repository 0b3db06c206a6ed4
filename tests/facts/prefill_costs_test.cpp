// SPDX-License-Identifier: Apache-2.0

// Without this a cost model could be attached to a device or to backends that it was not measured
// with, or lose more time than is stated, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/cost_model.h>
#include <mla_dtype/platform.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "support/expect_invalid.h"
#include "support/prefill_timings.h"

namespace mla_dtype {
namespace {

using testing::Timing;

// By engine and device.
using Measurements = std::map<std::pair<std::string, std::string>, std::vector<Timing>>;

const Measurements& measurements() {
  static const Measurements all = [] {
    Measurements result;
    std::ifstream file(MLA_DTYPE_PREFILL_ENGINES);
    std::string line;
    while (std::getline(file, line)) {
      if (line[0] == '#' || line.rfind("engine,", 0) == 0) continue;
      std::vector<std::string> cells;
      std::istringstream cell_stream(line);
      for (std::string cell; std::getline(cell_stream, cell, ',');) cells.push_back(cell);
      result[{cells.at(0), cells.at(2)}].push_back({std::stoi(cells.at(3)), std::stoi(cells.at(4)),
                                                    std::stoi(cells.at(5)), std::stod(cells.at(6)),
                                                    std::stod(cells.at(7))});
    }
    return result;
  }();
  return all;
}

std::pair<std::string, std::string> backends_of(const std::string& engine) {
  if (engine == "vLLM") return {"FLASH_ATTN", "TRTLLM_RAGGED"};
  if (engine == "SGLang") return {"trtllm_mla", "trtllm_mla"};
  return {"TRTLLM_FMHA", "TRTLLM_FMHA"};
}

const PrefillCostModel* model_of(const std::string& engine, const std::string& device) {
  const auto [bf16, fp8] = backends_of(engine);
  return find_prefill_cost_model(device, bf16, fp8);
}

// In percent.
template <class TakesFp8>
double time_lost(const std::vector<Timing>& rows, TakesFp8 takes_fp8) {
  return 100 * (testing::loss(rows, takes_fp8).first - 1);
}

double time_lost(const PrefillCostModel& model, const std::vector<Timing>& rows) {
  return time_lost(rows, [&](const Timing& row) {
    EngineConfig config;
    config.num_attention_heads = row.heads;
    const PrefillQuerySelector selector(model, config, DataType::bfloat16, DataType::float8_e4m3fn);
    return selector.choose(row.isl, 0) == DataType::float8_e4m3fn;
  });
}

TEST(PrefillCosts, EachMeasuredPairIsKnown) {
  EXPECT_EQ(measurements().size(), 15U);
  std::size_t count = 0;
  for (const auto& [key, rows] : measurements()) {
    const PrefillCostModel* const model = model_of(key.first, key.second);
    ASSERT_NE(model, nullptr) << key.first << ' ' << key.second;
    EXPECT_EQ(model->longest_isl, 32768);
    EXPECT_THAT(model->source, ::testing::HasSubstr(key.first));
    count += rows.size();
    const auto& all = measured_prefills();
    const auto pair = std::find_if(
        all.begin(), all.end(), [&](const MeasuredPrefill& each) { return &each.model == model; });
    ASSERT_NE(pair, all.end());
    EXPECT_EQ(pair->device_name, key.second);
    for (const Timing& row : rows) {
      EXPECT_TRUE(pair->fewest_heads <= row.heads && row.heads <= pair->most_heads);
      if (row.heads != 128 || row.batch != 1 || row.isl != 4096) continue;
      EXPECT_NEAR(pair->speedup_at_4096, row.bf16_ms / row.fp8_ms, 0.0006);
    }
  }
  EXPECT_EQ(count, 3488U);
}

TEST(PrefillCosts, ArePickedByDeviceAndBothBackends) {
  EXPECT_EQ(find_prefill_cost_model("NVIDIA B200", "FLASH_ATTN", "FLASH_ATTN"), nullptr);
  EXPECT_EQ(find_prefill_cost_model("NVIDIA B200", "TRTLLM_RAGGED", "TRTLLM_RAGGED"), nullptr);
  EXPECT_EQ(find_prefill_cost_model("NVIDIA B200", "FLASH_ATTN", "FLASHINFER"), nullptr);
  EXPECT_EQ(find_prefill_cost_model("NVIDIA B200", "FLASH_ATTN", "TRTLLM_FMHA"), nullptr);
  EXPECT_EQ(find_prefill_cost_model("NVIDIA H200", "FLASH_ATTN", "TRTLLM_RAGGED"), nullptr);
  // Of the capability of the H100, and several times slower.
  for (const char* device :
       {"NVIDIA H20", "NVIDIA H100 PCIe", "NVIDIA H100", "9.0", "sm_100", ""}) {
    EXPECT_EQ(find_prefill_cost_model(device, "TRTLLM_FMHA", "TRTLLM_FMHA"), nullptr) << device;
  }
  std::set<const PrefillCostModel*> models;
  for (const auto& [key, rows] : measurements()) models.insert(model_of(key.first, key.second));
  EXPECT_EQ(models.size(), 15U);
}

// What is published of one sequence and 128 heads: within a fifth.
TEST(PrefillCosts, BreakEvenIsWhereItWasMeasured) {
  const std::map<std::pair<std::string, std::string>, double> published = {
      {{"vLLM", "NVIDIA B200"}, 27000},
      {{"vLLM", "NVIDIA GB200"}, 28000},
      {{"vLLM", "NVIDIA B300 SXM6 AC"}, 13000},
      {{"vLLM", "NVIDIA GB300"}, 13000},
      {{"TensorRT-LLM", "NVIDIA H100 80GB HBM3"}, 5000},
      {{"TensorRT-LLM", "NVIDIA H200"}, 3600},
      {{"TensorRT-LLM", "NVIDIA B200"}, 3900},
      {{"TensorRT-LLM", "NVIDIA B300 SXM6 AC"}, 3100},
      {{"TensorRT-LLM", "NVIDIA RTX PRO 6000 Blackwell Server Edition"}, 1800},
      {{"SGLang", "NVIDIA B200"}, 2800},
      {{"SGLang", "NVIDIA B300 SXM6 AC"}, 2000},
      {{"SGLang", "NVIDIA GB300"}, 2400}};
  for (const auto& [key, isl] : published) {
    const auto break_even = break_even_isl(*model_of(key.first, key.second));
    ASSERT_TRUE(break_even) << key.first << ' ' << key.second;
    EXPECT_NEAR(static_cast<double>(*break_even), isl, isl / 5) << key.first << ' ' << key.second;
  }
}

// A rank of eight has 16 heads of 128: what a token costs is shared by fewer.
TEST(PrefillCosts, FewerHeadsPayLater) {
  const PrefillCostModel& b200 = *model_of("vLLM", "NVIDIA B200");
  EXPECT_GT(*break_even_isl(b200, {}, 16), *break_even_isl(b200, {}, 128) * 6 / 5);
  EXPECT_LT(predicted_prefill_speedup(b200, 16384, 0, {}, 16),
            predicted_prefill_speedup(b200, 16384, 0, {}, 128));
}

TEST(PrefillCosts, SpeedupIsTheMeasuredOne) {
  const PrefillCostModel& b200 = *model_of("vLLM", "NVIDIA B200");
  EXPECT_NEAR(predicted_prefill_speedup(b200, 4096), 0.82, 0.03);
  for (const auto& [key, rows] : measurements()) {
    double sum = 0;
    int count = 0;
    for (const Timing& row : rows) {
      if (row.isl < 1024) continue;
      const double predicted =
          predicted_prefill_speedup(*model_of(key.first, key.second), row.isl, 0, {}, row.heads);
      sum += std::abs(std::log(predicted / (row.bf16_ms / row.fp8_ms)));
      ++count;
    }
    EXPECT_LT(std::expm1(sum / count), 0.09) << key.first << ' ' << key.second;
  }
}

// Hardly more than by hindsight, and less than any rule that knows no device.
TEST(PrefillCosts, LoseLittle) {
  double of_models = 0, of_4096 = 0, of_never = 0, of_always = 0;
  for (const auto& [key, rows] : measurements()) {
    const double lost = time_lost(*model_of(key.first, key.second), rows);
    const bool is_rtx = key.second.find("RTX") != std::string::npos;
    EXPECT_LE(lost, is_rtx ? 1.4 : key.first == "vLLM" ? 0.05 : 0.6) << key.first << key.second;
    of_models += lost / 15;
    of_4096 += time_lost(rows, [](const Timing& row) { return row.isl >= 4096; }) / 15;
    of_never += time_lost(rows, [](const Timing&) { return false; }) / 15;
    of_always += time_lost(rows, [](const Timing&) { return true; }) / 15;
  }
  EXPECT_LE(of_models, 0.2);
  EXPECT_NEAR(of_4096, 0.9, 0.05);
  EXPECT_NEAR(of_never, 4.9, 0.05);
  EXPECT_NEAR(of_always, 20.9, 0.1);
}

// What cost_model.h says of the share of the bandwidth that casts reach.
TEST(PrefillCosts, CastsAreEstimatedByTheBandwidth) {
  EXPECT_NEAR(estimated_cast_ns(3350), 0.573, 0.001);
  std::map<std::string_view, std::pair<double, double>> shares;
  for (const MeasuredPrefill& each : measured_prefills()) {
    const auto& known = known_devices();
    const auto device = std::find_if(known.begin(), known.end(), [&](const KnownDevice& one) {
      return one.name == each.device_name;
    });
    ASSERT_NE(device, known.end()) << each.device_name;
    const auto& costs = std::get<PrefillThroughput>(each.model.costs);
    const double cast_ns = costs.quantize_ns + costs.quantize_token_ns / 128;
    const double share = 0.8 * estimated_cast_ns(device->memory_gb_per_s) / cast_ns;
    auto& [low, high] = shares.try_emplace(each.fp8_backend, share, share).first->second;
    low = std::min(low, share);
    high = std::max(high, share);
  }
  const auto expect = [&](const char* backend, double low, double high) {
    EXPECT_NEAR(shares[backend].first, low, 0.005) << backend;
    EXPECT_NEAR(shares[backend].second, high, 0.005) << backend;
  };
  expect("TRTLLM_FMHA", 0.76, 1.19);
  expect("trtllm_mla", 1.16, 1.24);
  expect("TRTLLM_RAGGED", 0.36, 0.39);
  for (const double bad : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    testing::expect_invalid([&] { return estimated_cast_ns(bad); },
                            ::testing::StartsWith("memory_gb_per_s: "));
  }
}

}  // namespace
}  // namespace mla_dtype
