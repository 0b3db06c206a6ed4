// SPDX-License-Identifier: Apache-2.0
#include "known_models.h"

#include <algorithm>
#include <array>

namespace mla_dtype::tool {
namespace {

// vllm/transformers_utils/model_arch_config_convertor.py@00bb6f59a, is_deepseek_mla(); glm5_next
// (GLM-5.3-Flash) is in the list of a later vLLM, as vllm-ascend's patch of an older one says.
constexpr std::array<std::string_view, 21> vllm_types = {
    "axk1",           "deepseek_v2",        "deepseek_v3",
    "deepseek_v32",   "deepseek_mtp",       "k3_dspark",
    "glm_moe_dsa",    "glm5_next",          "glm5_next_text",
    "glm4_moe_lite",  "glm4_moe_lite_mtp",  "kimi_k2",
    "kimi_linear",    "longcat_flash",      "longcat_flash_ngram",
    "longcat_next",   "pangu_ultra_moe",    "pangu_ultra_moe_mtp",
    "bailing_hybrid", "bailing_hybrid_mtp", "bailing_hybrid_v3_mtp",
};

}  // namespace

bool is_known_model_type(std::string_view type) {
  return type == "minicpm3" || type == "kimi_k25" || type == "kimi_k3" ||
         std::find(vllm_types.begin(), vllm_types.end(), type) != vllm_types.end();
}

// transformers has a default of 2048 for them (configuration_glm_moe_dsa.py@008e57439).
bool is_sparse_model_type(std::string_view type) {
  return type == "deepseek_v32" || type == "glm_moe_dsa" || type == "glm5_next" ||
         type == "glm5_next_text";
}

std::string note_on_model(std::string_view engine, std::string_view model_type,
                          std::string_view text_model_type, std::string_view kv_cache_dtype) {
  if (engine != "vllm") return {};
  if (text_model_type == "minicpm3") {
    return "model_type minicpm3 is not one that vLLM@00bb6f59a runs with its MLA backends: the "
           "answer holds if yours does";
  }
  if (text_model_type.substr(0, 9) == "glm5_next") {
    return "the vLLM of which the facts are has no glm5_next yet: a later one may run it otherwise";
  }
  // vllm/models/kimi_k3/nvidia/mla.py asserts it.
  if (model_type == "kimi_k3" && (kv_cache_dtype == "fp8" || kv_cache_dtype == "fp8_e4m3")) {
    return "vLLM stops with an error at kimi_k3 with a plain FP8 KV cache where prefill queries "
           "are "
           "not FP8; if they are not here, it takes a remedy, or --kv-cache-dtype auto";
  }
  return {};
}

}  // namespace mla_dtype::tool
