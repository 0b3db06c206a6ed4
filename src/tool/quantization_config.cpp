// SPDX-License-Identifier: Apache-2.0
#include "quantization_config.h"

#include <algorithm>
#include <array>

namespace mla_dtype::tool {
namespace {

// The algorithm that a kv_cache_scheme stands for: vllm/utils/torch_utils.py,
// get_kv_cache_quant_algo_string.
std::string algo_of_scheme(const Json& scheme) {
  const Json& bits = member(scheme, "num_bits");
  if (member(scheme, "type") != "float") return {};
  if (bits == 8 && member(scheme, "dynamic") == false) return "FP8";
  return bits == 4 ? "NVFP4" : "";
}

// The same function. Schemes before algorithms, the inner object before the outer one.
CheckpointKvCache read_modelopt(const Json& quantization_config) {
  const Json& nested = object_or_null(quantization_config, "quantization");
  const Json& inner = nested.is_null() ? quantization_config : nested;
  for (const char* const name : {"kv_cache_scheme", "kv_cache_quant_algo"}) {
    for (const Json* const from : {&inner, &quantization_config}) {
      const Json& value = member(*from, name);
      if (value.empty() || value == "") continue;  // empty: also null
      if (value.is_object()) return {algo_of_scheme(value), name, {}, false};
      if (!value.is_string()) reject(name, value, "a string, an object");
      return {value, name, {}, false};
    }
  }
  return {};
}

// vllm/model_executor/layers/attention/attention.py: a scheme of llm-compressor's, whatever it
// says, makes `auto` come to fp8. What is no FP8 is left to be said by the engine.
CheckpointKvCache read_compressed_tensors(const Json& quantization_config) {
  const Json& scheme = object_or_null(quantization_config, "kv_cache_scheme");
  if (scheme.empty()) return {};
  const std::string algo = algo_of_scheme(scheme);
  if (algo == "FP8") return {algo, "kv_cache_scheme", {}, /*is_vllms=*/true};
  return {{},
          "kv_cache_scheme",
          "quantization_config's kv_cache_scheme is not static 8-bit float: it is not known what "
          "auto comes to with it; set the KV-cache dtype",
          false};
}

// vllm/model_executor/layers/quantization/quark.py: `export` names the projections whose outputs
// are quantized, and their scales are loaded. No engine turns `auto` into FP8 by it.
CheckpointKvCache read_quark(const Json& quantization_config) {
  const Json& exported = object_or_null(quantization_config, "export");
  if (exported.is_null() || member(exported, "kv_cache_group").empty()) return {};
  return {
      {},
      "export.kv_cache_group",
      "the checkpoint has KV-cache scales (Quark's kv_cache_group), which an FP8 KV cache uses: "
      "auto does not ask for one",
      false};
}

// Of weights alone, as far as is read here.
bool is_of_weights(const std::string& method) {
  constexpr std::array<std::string_view, 13> methods = {
      "",           "auto-round", "awq",   "bitsandbytes", "compressed-tensors",
      "fbgemm_fp8", "fp8",        "gguf",  "gptq",         "mxfp4",
      "quark",      "torchao",    "w4afp8"};
  return std::find(methods.begin(), methods.end(), method) != methods.end();
}

}  // namespace

CheckpointKvCache read_quantization_config(const Json& quantization_config) {
  if (quantization_config.is_null()) return {};
  const std::string method = string_member(quantization_config, "quant_method");
  if (method.rfind("modelopt", 0) == 0) return read_modelopt(quantization_config);
  if (method == "compressed-tensors" || method == "compressed_tensors") {
    return read_compressed_tensors(quantization_config);
  }
  if (method == "quark") return read_quark(quantization_config);
  if (is_of_weights(method)) return {};
  return {{},
          {},
          "quant_method " + described(Json(method)) +
              " is not known: what it says of the KV cache is not read",
          false};
}

CheckpointKvCache read_hf_quant_config(const Json& hf_quant_config) {
  return read_modelopt(hf_quant_config);
}

}  // namespace mla_dtype::tool
