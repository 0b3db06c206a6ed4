// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/cost_model.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace mla_dtype::testing {

/// The three numbers of an H100.
inline const PrefillCostModel three_numbers{
    PrefillThroughput{/*bf16_tflops=*/550, /*fp8_tflops=*/780, /*quantize_ns=*/0.5}};

/// A whole module on a B200: more than attention was timed, and some of it is alike for any heads.
inline const PrefillCostModel module_of_b200{
    PrefillThroughput{2189, 2482, 0.493, 1.963, /*other_ns=*/1.595, /*other_token_ns=*/27.2}};

/// Where quantizing costs nothing that can be seen.
inline const PrefillCostModel fused{PrefillCurve{{256, 1.0, 0.9}, {4096, 10.0, 7.0}}};

/// Where FP8 is slower at every length.
inline const PrefillCostModel slower_in_fp8{PrefillThroughput{500, 400, 0.1}};

/// Prefills from one token to many, without context and with more of it than anything new.
template <class Visit>
void for_each_prefill(Visit visit) {
  for (const std::int64_t query : {1, 7, 64, 513, 1024, 2048, 2366, 4096, 32768, 1'000'000}) {
    for (const std::int64_t context : {0, 1, 512, 2048, 8192, 131072, 1'000'000}) {
      visit(query, context);
    }
  }
}

// What the numbers of a throughput mean, said once more: of one head.

inline double attention_ns(double tflops, const MlaDimensions& d, double query, double context) {
  const double pairs = query * context + query * query / 2;
  const double flop =
      2 * pairs * static_cast<double>(d.qk_nope_head_dim + d.qk_rope_head_dim + d.v_head_dim);
  return flop / (tflops * 1e12) * 1e9;
}

// Tokens, by the elements that are cast of each: 512 of a new one of DeepSeek's.
inline double tokens_to_cast(const MlaDimensions& d, double query, double context) {
  const auto qk = static_cast<double>(d.qk_nope_head_dim + d.qk_rope_head_dim);
  const auto v = static_cast<double>(d.v_head_dim);
  return (query * (qk + qk + v) + context * (qk + v)) / (192 + 192 + 128);
}

inline double bf16_ns(const PrefillThroughput& t, const MlaDimensions& d, double query,
                      double context, int heads = 128) {
  return attention_ns(t.bf16_tflops, d, query, context) +
         tokens_to_cast(d, query, context) * (t.other_ns + t.other_token_ns / heads);
}

inline double fp8_ns(const PrefillThroughput& t, const MlaDimensions& d, double query,
                     double context, int heads = 128) {
  return attention_ns(t.fp8_tflops, d, query, context) +
         tokens_to_cast(d, query, context) *
             (t.other_ns + t.quantize_ns + (t.other_token_ns + t.quantize_token_ns) / heads);
}

/// Curves and throughputs of all shapes.
inline std::vector<PrefillCostModel> random_models() {
  std::mt19937 random(1);
  const auto between = [&](double low, double high) {
    return std::uniform_real_distribution(low, high)(random);
  };
  std::vector<PrefillCostModel> models;
  for (int i = 0; i < 300; ++i) {
    PrefillThroughput numbers{between(100, 2000), between(100, 4000), std::exp(between(-7, 3))};
    if (i % 2 == 1) {
      numbers.quantize_token_ns = between(0, 5);
      numbers.other_ns = between(0, 3);
      numbers.other_token_ns = between(0, 50);
    }
    models.push_back({numbers});
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

}  // namespace mla_dtype::testing
