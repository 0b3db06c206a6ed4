// SPDX-License-Identifier: Apache-2.0
#include "facts/prefill_costs.h"

namespace mla_dtype {
namespace {

// Fitted by tests/benchmark/fit_prefill_costs.py to tests/benchmark/prefill_engines.csv: 3,488 rows
// of ai-dynamo/aiconfigurator@095f58a (2026-08-21), up to ISL 32768, of 16 to 128 heads.
struct Measured {
  const char* engine;
  const char* device;
  double speedup_at_4096;
  PrefillThroughput throughput;
};

constexpr Measured measured_pairs[] = {
    // the speedup; BF16 and FP8 in TFLOP/s; ns to quantize, of a token and head and of a token;
    // what else is timed, of both
    {"SGLang 0.5.14", "NVIDIA B200", 1.016, {1466, 2007, 0.1618, 1.254, 0.2998, 1.403}},
    {"SGLang 0.5.14", "NVIDIA B300 SXM6 AC", 1.130, {1633, 2677, 0.1547, 0.9571, 0.2639, 1.273}},
    {"SGLang 0.5.14", "NVIDIA GB200", 1.007, {1450, 1926, 0.1563, 1.065, 0.2832, 1.265}},
    {"SGLang 0.5.14", "NVIDIA GB300", 1.112, {1907, 3111, 0.1496, 0.705, 0.2536, 1.54}},
    {"TensorRT-LLM 1.3.0rc20", "NVIDIA B200", 0.986, {1370, 1880, 0.2504, 0.6293, 0.3082, 1.363}},
    {"TensorRT-LLM 1.3.0rc20",
     "NVIDIA B300 SXM6 AC",
     1.009,
     {1537, 2360, 0.2477, 0.1805, 0.2738, 1.511}},
    {"TensorRT-LLM 1.3.0rc20", "NVIDIA GB200", 0.960, {1458, 2109, 0.2485, 0.4992, 0.2913, 1.604}},
    {"TensorRT-LLM 1.3.0rc20", "NVIDIA GB300", 0.986, {1783, 2737, 0.2398, 0.1038, 0.2679, 1.726}},
    {"TensorRT-LLM 1.3.0rc20",
     "NVIDIA H100 80GB HBM3",
     0.875,
     {647.7, 786.2, 0.4856, 0.7941, 0.4982, 2.676}},
    {"TensorRT-LLM 1.3.0rc20", "NVIDIA H200", 0.967, {620.6, 751.5, 0.3525, 0.7378, 0.3939, 2.384}},
    {"TensorRT-LLM 1.3.0rc20",
     "NVIDIA RTX PRO 6000 Blackwell Server Edition",
     1.260,
     {269.3, 456.2, 0.8097, 0, 0.7914, 2.512}},
    {"vLLM 0.24.0", "NVIDIA B200", 0.817, {2189, 2482, 0.493, 1.963, 1.595, 27.2}},
    {"vLLM 0.24.0", "NVIDIA B300 SXM6 AC", 0.885, {2299, 3328, 0.5394, 1.451, 2.365, 46.97}},
    {"vLLM 0.24.0", "NVIDIA GB200", 0.862, {2418, 2773, 0.4898, 2.042, 2.345, 46.93}},
    {"vLLM 0.24.0", "NVIDIA GB300", 0.881, {2431, 3471, 0.5232, 1.288, 2.268, 45.09}},
};

struct Backends {
  std::string_view engine, bf16, fp8, timed;
};

constexpr Backends backends_of_engines[] = {
    {"SGLang 0.5.14", "trtllm_mla", "trtllm_mla", "attention"},
    {"TensorRT-LLM 1.3.0rc20", "TRTLLM_FMHA", "TRTLLM_FMHA", "attention"},
    {"vLLM 0.24.0", "FLASH_ATTN", "TRTLLM_RAGGED", "whole MLA module"}};

std::vector<MeasuredPrefill> make_measured() {
  std::vector<MeasuredPrefill> result;
  for (const Measured& pair : measured_pairs) {
    for (const auto& [engine, bf16, fp8, timed] : backends_of_engines) {
      if (engine != pair.engine) continue;
      MeasuredPrefill& made = result.emplace_back();
      made.device_name = pair.device;
      made.bf16_backend = bf16;
      made.fp8_backend = fp8;
      made.speedup_at_4096 = pair.speedup_at_4096;
      made.model.costs = pair.throughput;
      made.model.source = "the " + std::string(timed) + " of " + std::string(engine) +
                          ", measured by ai-dynamo/aiconfigurator@095f58a, 2026-08-21";
      made.model.longest_isl = 32768;
    }
  }
  return result;
}

}  // namespace

const std::vector<MeasuredPrefill>& measured_prefills() {
  static const auto& all = *new const std::vector<MeasuredPrefill>(make_measured());
  return all;
}

const MeasuredPrefill* detail::find_measured_prefill(std::string_view device_name,
                                                     std::string_view bf16_backend,
                                                     std::string_view fp8_backend) {
  for (const MeasuredPrefill& each : measured_prefills()) {
    if (each.device_name == device_name && each.bf16_backend == bf16_backend &&
        each.fp8_backend == fp8_backend) {
      return &each;
    }
  }
  return nullptr;
}

const PrefillCostModel* find_prefill_cost_model(std::string_view device_name,
                                                std::string_view bf16_backend,
                                                std::string_view fp8_backend) {
  const auto* const found = detail::find_measured_prefill(device_name, bf16_backend, fp8_backend);
  return found != nullptr ? &found->model : nullptr;
}

}  // namespace mla_dtype
