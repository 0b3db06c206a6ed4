// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/data_type.h>

#include <functional>
#include <variant>
#include <vector>

namespace mla_dtype {

/// A cost model in three numbers, each from 1e-9 to 1e9, and three more, which may be 0.
struct PrefillThroughput {
  double bf16_tflops = 0;  ///< sustained by BF16 prefill attention, in 10^12 FLOP/s
  double fp8_tflops = 0;   ///< ... by FP8 prefill attention, without quantizing
  double quantize_ns = 0;  ///< to quantize the query, key and value of one token and head, in ns
  double quantize_token_ns = 0;  ///< ... and what is alike for any number of heads, for a token
  double other_ns = 0;           ///< what BF16 and FP8 take alike besides, for a token and head
  double other_token_ns = 0;     ///< ... and for a token, whatever its heads
};

/// A measurement: a causal prefill without context. Each time is that of one sequence, in ms, from
/// 1e-9 to 1e9: that of a batch of equal sequences is divided by their number.
struct PrefillTiming {
  std::int64_t isl = 0;  ///< tokens of the sequence, 1 to 10^9
  double bf16_ms = 0;    ///< attention in BF16
  double fp8_ms = 0;     ///< the same in FP8, with quantizing
};

/// A cost model as it was measured: two points or more, in ascending order of ISL, all with the
/// same heads, best from below the break-even to beyond it. Between two the times of a token are
/// interpolated; outside, the speedup is that of the nearest point, below the first at most 1.
using PrefillCurve = std::vector<PrefillTiming>;

/// What prefill attention costs on one kind of device, with its kernels.
struct MLA_DTYPE_ABI PrefillCostModel {
  std::variant<PrefillThroughput, PrefillCurve> costs{};
  MlaDimensions dimensions{};    ///< that it was measured with; other ones are converted
  std::string source{};          ///< device and kernels, for humans
  std::int64_t longest_isl = 0;  ///< measured; beyond, predictions extrapolate; 0: not known
};

/// One NVIDIA H100 80GB, FlashAttention-3 and Triton kernels, CUDA 13; 128 heads, 16,384 tokens or
/// more at a time; the fastest BF16 kernel against the fastest FP8 kernel with three static
/// per-tensor quantize kernels. Measured again, ratios differ by 5 %; with 16 heads, or with one
/// short sequence at a time, by up to 20 %, and break-even is at up to ISL 3400. Other kernels, and
/// other devices of its compute capability, as the much slower H20, need a model of their own.
[[nodiscard]] MLA_DTYPE_EXPORT const PrefillCostModel& h100_prefill_cost_model();

/// The same by the name that cudaGetDeviceProperties() reports (`NVIDIA H100 80GB HBM3`), or null.
[[nodiscard]] MLA_DTYPE_EXPORT const PrefillCostModel* find_prefill_cost_model(
    std::string_view device_name);

/// What was measured on a device with the backend that runs in BF16 and the one that runs in FP8.
struct MLA_DTYPE_ABI MeasuredPrefill {
  std::string_view device_name{};  ///< as cudaGetDeviceProperties() reports it
  std::string_view bf16_backend{};
  std::string_view fp8_backend{};
  double speedup_at_4096 = 1;  ///< measured, of one sequence of 4,096 tokens and 128 heads
  int fewest_heads = 16;       ///< that were measured
  int most_heads = 128;
  PrefillCostModel model{};  ///< fitted to all measurements
};

/// All that are built in: FLASH_ATTN and TRTLLM_RAGGED (vLLM) on B200, GB200, B300 and GB300;
/// trtllm_mla and trtllm_mla (SGLang) on the same; TRTLLM_FMHA and TRTLLM_FMHA (TensorRT-LLM) on
/// these, H100, H200 and RTX PRO 6000. Choosing by them takes 0.2 % longer than in hindsight
/// (geometric mean; RTX PRO 6000 1.4 %), FP8 from ISL 4096 on 0.9 % (tests/benchmark/README.md).
[[nodiscard]] MLA_DTYPE_EXPORT const std::vector<MeasuredPrefill>& measured_prefills();

/// The model of such a device (`NVIDIA B200`; parse_device() completes a name) and those backends.
/// Null: not known; no capability, and no backend, stands for another.
[[nodiscard]] MLA_DTYPE_EXPORT const PrefillCostModel* find_prefill_cost_model(
    std::string_view device_name, std::string_view bf16_backend, std::string_view fp8_backend);

/// An estimate, where nothing was measured, of PrefillThroughput::quantize_ns: casting is bound by
/// memory, and moves 1,536 bytes for a token and head, at 80 % of the bandwidth. By the models
/// above TensorRT-LLM's casts reach 76 to 119 %; SGLang's up to 124 %; vLLM's with another backend
/// 36 %; 3,350 GB/s give 0.57 ns; the H100 took 0.49. The library does not use it.
/// std::invalid_argument for what is not 1e-9 to 1e9.
[[nodiscard]] MLA_DTYPE_EXPORT double estimated_cast_ns(double memory_gb_per_s);

/// BF16 time over FP8 time of prefill attention, if each sequence has `query_tokens` new tokens (1
/// or more) after `context_tokens` others (0 or more), as chunked prefill and prefix-cache hits
/// leave them: these are attended to, too, and cast again. The heads are those of one rank; a curve
/// knows only its own. std::invalid_argument: a bad model (see its members), an empty prefill, a
/// dimension below 1. Thread-safe; linear in curve points.
///
///     predicted_prefill_speedup(h100_prefill_cost_model(), 32768)  // 1.34
[[nodiscard]] MLA_DTYPE_EXPORT double predicted_prefill_speedup(
    const PrefillCostModel& model, std::int64_t query_tokens, std::int64_t context_tokens = 0,
    const MlaDimensions& dimensions = {}, std::int64_t num_attention_heads = 128);

/// The shortest ISL in tokens, without context, from which on every prefill is predicted to be
/// faster in FP8 (of a curve, beyond its last crossing); none: there is none. Errors as above.
[[nodiscard]] MLA_DTYPE_EXPORT std::optional<std::int64_t> break_even_isl(
    const PrefillCostModel& model, const MlaDimensions& dimensions = {},
    std::int64_t num_attention_heads = 128);

/// What Environment::predict_prefill_speedup takes: it predicts a whole input of this ISL, with the
/// dimensions and heads of the configuration, in chunks (each casts the keys and values before it
/// again) where SchedulerConfig says how long. A bad model: std::invalid_argument, at once.
[[nodiscard]] MLA_DTYPE_EXPORT std::function<double(const EngineConfig& config, std::int64_t isl)>
make_prefill_speedup_predictor(PrefillCostModel model);

/// The data type of each prefill batch, for an engine that keeps the kernels of both ready. Made at
/// model init; a value of a few bytes, which never changes: any number of threads may use one.
///
///     const auto type = DataType::float8_e4m3fn;  // as determined at init
///     const PrefillQuerySelector selector(h100_prefill_cost_model(), config, model_dtype, type);
///     selector.choose(/*query_tokens=*/1024, /*context_tokens=*/0);      // bfloat16
///     selector.choose(/*query_tokens=*/1024, /*context_tokens=*/32768);  // float8_e4m3fn
class PrefillQuerySelector {
 public:
  /// `determined`: what determine_prefill_query_data_type() gave at init, with FP8 prefill queries
  /// requested by the flag, and without an expected ISL: one length does not stand for every batch.
  /// If it is the model dtype, every batch gets that; if FP8 is required (PrefillQueryMode), every
  /// batch gets FP8. Errors as above, and a `determined` that is neither `model_dtype` nor FP8.
  MLA_DTYPE_EXPORT PrefillQuerySelector(const PrefillCostModel& model, const EngineConfig& config,
                                        DataType model_dtype, DataType determined);

  /// FP8 from the break-even on: without context at break_even_isl() and above, else where as much
  /// is computed for each token that is cast. The numbers (0 or more) are those of one sequence.
  [[nodiscard]] DataType choose(std::int64_t query_tokens,
                                std::int64_t context_tokens) const noexcept {
    return gain(query_tokens, context_tokens) > 0 ? fp8_ : model_dtype_;
  }

  /// How much a sequence speaks for FP8, in no unit: add it up over the sequences of a batch, which
  /// have one kernel, and give it FP8 if the sum is above 0. That is exact for a model in three
  /// numbers; of a curve it knows the break-even, and takes the throughputs for constant.
  [[nodiscard]] double gain(std::int64_t query_tokens, std::int64_t context_tokens) const noexcept {
    const auto query = static_cast<double>(query_tokens);
    const auto context = static_cast<double>(context_tokens);
    return attention_ * query * (query + 2 * context) - query_cost_ * query -
           context_cost_ * context;
  }

 private:
  double attention_ = 0;     // what FP8 saves for two pairs of tokens
  double query_cost_ = 1;    // what it costs for a new token
  double context_cost_ = 1;  // ... and for one of the context
  DataType model_dtype_ = DataType::bfloat16;
  DataType fp8_ = DataType::float8_e4m3fn;
};

}  // namespace mla_dtype
