// SPDX-License-Identifier: Apache-2.0
//
// Lines of three numbers: one line is a throughput, more are the points of a curve.

#include <mla_dtype/cost_model.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "input.h"

namespace {

using namespace mla_dtype;
using fuzz::is_refused;

constexpr auto bf16 = DataType::bfloat16;
constexpr auto e4m3 = DataType::float8_e4m3fn;

PrefillCurve parse(const std::string& text) {
  PrefillCurve lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.size(), text.find('\n', begin));
    const std::string line = text.substr(begin, end - begin);
    char* rest = nullptr;
    PrefillTiming timing{};
    timing.isl = std::strtoll(line.c_str(), &rest, 10);
    timing.bf16_ms = std::strtod(rest, &rest);
    timing.fp8_ms = std::strtod(rest, &rest);
    lines.push_back(timing);
    begin = end + 1;
  }
  return lines;
}

bool in_range(double value) { return value >= 1e-9 && value <= 1e9; }

bool is_valid(const PrefillThroughput& throughput) {
  return in_range(throughput.bf16_tflops) && in_range(throughput.fp8_tflops) &&
         in_range(throughput.quantize_ns);
}

bool is_valid(const PrefillCurve& curve) {
  std::int64_t last = 0;
  for (const PrefillTiming& point : curve) {
    if (point.isl <= last || point.isl > 1'000'000'000) return false;
    if (!in_range(point.bf16_ms) || !in_range(point.fp8_ms)) return false;
    last = point.isl;
  }
  return curve.size() >= 2;
}

// A speedup, and how far from it doubles may lead.
struct Expected {
  double speedup;
  double tolerance = 1e-9;
};

// The three numbers: a causal prefill of DeepSeek's dimensions, by what each of them means.
Expected expected_speedup(const PrefillThroughput& throughput, double isl) {
  const double flop_per_token = (isl / 2) * 2 * (192 + 128);
  const double bf16_ns = flop_per_token / (throughput.bf16_tflops * 1e3);
  const double fp8_ns = flop_per_token / (throughput.fp8_tflops * 1e3);
  return {bf16_ns / (fp8_ns + throughput.quantize_ns)};
}

Expected expected_speedup(const PrefillCurve& curve, double isl) {
  const auto speedup = [](const PrefillTiming& point) { return point.bf16_ms / point.fp8_ms; };
  const auto at = [](const PrefillTiming& point) { return static_cast<double>(point.isl); };
  if (isl <= at(curve.front())) {
    const double first = speedup(curve.front());
    return {isl < at(curve.front()) ? std::min(first, 1.0) : first};
  }
  for (std::size_t i = 1; i < curve.size(); ++i) {
    const PrefillTiming& low = curve[i - 1];
    const PrefillTiming& high = curve[i];
    if (isl > at(high)) continue;
    const double low_part = (at(high) - isl) / (at(high) - at(low));
    const double high_part = (isl - at(low)) / (at(high) - at(low));
    // Between times of very different sizes the digits of the smaller one are lost.
    double tolerance = 1e-9;
    const auto of_a_token = [&](double low_ms, double high_ms) {
      const double of_low = low_ms / at(low), of_high = high_ms / at(high);
      const double result = of_low * low_part + of_high * high_part;
      tolerance += 1e-14 * std::max(of_low, of_high) / result;
      return result;
    };
    const double bf16_ms = of_a_token(low.bf16_ms, high.bf16_ms);
    const double fp8_ms = of_a_token(low.fp8_ms, high.fp8_ms);
    return {bf16_ms / fp8_ms, tolerance};
  }
  return {speedup(curve.back())};
}

template <class Costs>
void check(const Costs& costs, std::vector<std::int64_t> lengths) {
  const PrefillCostModel model{costs};
  const EngineConfig config;
  const auto select = [&](DataType determined) {
    return PrefillQuerySelector(model, config, bf16, determined);
  };
  if (!is_valid(costs)) {
    CHECK(is_refused([&] { return predicted_prefill_speedup(model, 4096); }));
    CHECK(is_refused([&] { return break_even_isl(model); }));
    CHECK(is_refused([&] { return make_prefill_speedup_predictor(model); }));
    CHECK(is_refused([&] { select(e4m3); }));
    return;
  }
  CHECK(is_refused([&] { return predicted_prefill_speedup(model, 0); }));
  CHECK(is_refused([&] { return predicted_prefill_speedup(model, 1, -1); }));
  CHECK(is_refused([&] { return predicted_prefill_speedup(model, 1, 0, {128, -1, 128}); }));

  const auto break_even = break_even_isl(model);
  const auto predict = make_prefill_speedup_predictor(model);
  const PrefillQuerySelector selector = select(e4m3), never = select(bf16);
  if (break_even) {
    CHECK(*break_even >= 1);
    lengths.insert(lengths.end(), {*break_even - 1, *break_even, *break_even + 1});
  }
  for (const std::int64_t length : lengths) {
    if (length < 1 || length > 1'000'000'000'000) continue;
    const double speedup = predicted_prefill_speedup(model, length);
    CHECK(std::isfinite(speedup) && speedup > 0);
    const Expected expected = expected_speedup(costs, static_cast<double>(length));
    CHECK(std::abs(speedup / expected.speedup - 1) < expected.tolerance);
    CHECK(predict(config, length) == speedup);
    CHECK(never.choose(length, 0) == bf16);

    const bool pays = break_even && length >= *break_even;
    // Where both take the same time, either is right.
    const bool is_tie = break_even && (length == *break_even || length + 1 == *break_even) &&
                        std::abs(speedup - 1) < expected.tolerance;
    CHECK(is_tie || (selector.choose(length, 0) == e4m3) == pays);
    // It is the shortest: the one before does not pay, and all that follow do.
    if (pays) CHECK(speedup > 1 - expected.tolerance);
    if (break_even && length == *break_even - 1) CHECK(speedup < 1 + expected.tolerance);
    CHECK(std::isfinite(selector.gain(length, length)));
    CHECK(predicted_prefill_speedup(model, length, length) > 0);
  }
  // Far away nothing changes any more.
  const double far = predicted_prefill_speedup(model, 1'000'000'000'000);
  if (!break_even) CHECK(far < 1 + 1e-9);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const PrefillCurve lines = parse(std::string(reinterpret_cast<const char*>(data), size));
  std::vector<std::int64_t> lengths = {1, 2, 255, 4096, 1'000'000'000'000};
  std::int64_t last = 1;
  for (const PrefillTiming& line : lines) {
    if (line.isl < 1 || line.isl > 1'000'000'000) continue;
    lengths.insert(lengths.end(), {line.isl - 1, line.isl, line.isl + 1, (last + line.isl) / 2});
    last = line.isl;
  }
  if (lines.size() == 1) {
    check(PrefillThroughput{static_cast<double>(lines[0].isl), lines[0].bf16_ms, lines[0].fp8_ms},
          lengths);
  } else {
    check(lines, lengths);
  }
  return 0;
}
