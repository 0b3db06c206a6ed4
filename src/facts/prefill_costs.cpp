// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/cost_model.h>

#include <string>
#include <vector>

namespace mla_dtype {
namespace {

// Fitted by tests/benchmark/fit_prefill_costs.py to tests/benchmark/prefill_engines.csv: 3,488 rows
// of ai-dynamo/aiconfigurator@095f58a (2026-08-21), up to ISL 32768.
struct Measured {
  const char* engine;
  const char* device;
  PrefillThroughput throughput;
};

constexpr Measured measured_pairs[] = {
    // BF16 and FP8 in TFLOP/s; ns to quantize, of a token and head and of a token; other ns, of
    // both
    {"SGLang 0.5.14", "NVIDIA B200", {1466, 2007, 0.1618, 1.254, 0.2998, 1.403}},
    {"SGLang 0.5.14", "NVIDIA B300 SXM6 AC", {1633, 2677, 0.1547, 0.9571, 0.2639, 1.273}},
    {"SGLang 0.5.14", "NVIDIA GB200", {1450, 1926, 0.1563, 1.065, 0.2832, 1.265}},
    {"SGLang 0.5.14", "NVIDIA GB300", {1907, 3111, 0.1496, 0.705, 0.2536, 1.54}},
    {"TensorRT-LLM 1.3.0rc20", "NVIDIA B200", {1370, 1880, 0.2504, 0.6293, 0.3082, 1.363}},
    {"TensorRT-LLM 1.3.0rc20", "NVIDIA B300 SXM6 AC", {1537, 2360, 0.2477, 0.1805, 0.2738, 1.511}},
    {"TensorRT-LLM 1.3.0rc20", "NVIDIA GB200", {1458, 2109, 0.2485, 0.4992, 0.2913, 1.604}},
    {"TensorRT-LLM 1.3.0rc20", "NVIDIA GB300", {1783, 2737, 0.2398, 0.1038, 0.2679, 1.726}},
    {"TensorRT-LLM 1.3.0rc20",
     "NVIDIA H100 80GB HBM3",
     {647.7, 786.2, 0.4856, 0.7941, 0.4982, 2.676}},
    {"TensorRT-LLM 1.3.0rc20", "NVIDIA H200", {620.6, 751.5, 0.3525, 0.7378, 0.3939, 2.384}},
    {"TensorRT-LLM 1.3.0rc20",
     "NVIDIA RTX PRO 6000 Blackwell Server Edition",
     {269.3, 456.2, 0.8097, 0, 0.7914, 2.512}},
    {"vLLM 0.24.0", "NVIDIA B200", {2189, 2482, 0.493, 1.963, 1.595, 27.2}},
    {"vLLM 0.24.0", "NVIDIA B300 SXM6 AC", {2299, 3328, 0.5394, 1.451, 2.365, 46.97}},
    {"vLLM 0.24.0", "NVIDIA GB200", {2418, 2773, 0.4898, 2.042, 2.345, 46.93}},
    {"vLLM 0.24.0", "NVIDIA GB300", {2431, 3471, 0.5232, 1.288, 2.268, 45.09}},
};

struct Backends {
  std::string_view engine, bf16, fp8;
};

constexpr Backends backends_of_engines[] = {
    {"SGLang 0.5.14", "trtllm_mla", "trtllm_mla"},
    {"TensorRT-LLM 1.3.0rc20", "TRTLLM_FMHA", "TRTLLM_FMHA"},
    {"vLLM 0.24.0", "FLASH_ATTN", "TRTLLM_RAGGED"}};

std::vector<PrefillCostModel> make_models() {
  std::vector<PrefillCostModel> models;
  for (const auto& [engine, device, throughput] : measured_pairs) {
    models.push_back({throughput, MlaDimensions{},
                      std::string(engine) + ", ai-dynamo/aiconfigurator@095f58a, 2026-08-21",
                      /*longest_isl=*/32768});
  }
  return models;
}

}  // namespace

const PrefillCostModel* find_prefill_cost_model(std::string_view device_name,
                                                std::string_view bf16_backend,
                                                std::string_view fp8_backend) {
  static const auto& models = *new const std::vector<PrefillCostModel>(make_models());
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (device_name != measured_pairs[i].device) continue;
    for (const auto& [engine, bf16, fp8] : backends_of_engines) {
      const bool is_pair = bf16 == bf16_backend && fp8 == fp8_backend;
      if (is_pair && engine == measured_pairs[i].engine) return &models[i];
    }
  }
  return nullptr;
}

}  // namespace mla_dtype
