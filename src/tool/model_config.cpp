// SPDX-License-Identifier: Apache-2.0
#include "model_config.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "json_input.h"

namespace mla_dtype::tool {
namespace {

// `dtype`, in older files `torch_dtype`; in a multimodal model's file also beside the dimensions.
void read_dtype(const Json& model, const Json& text_model, ModelConfig& result) {
  for (const Json* const from : {&model, &text_model}) {
    for (const char* const field : {"dtype", "torch_dtype"}) {
      std::string dtype = string_member(*from, field);
      if (dtype.empty()) continue;
      if (dtype != "auto") result.dtype = std::move(dtype);
      result.dtype_field = field;
      return;
    }
  }
}

// The algorithm that a kv_cache_scheme stands for.
std::string algo_of_scheme(const Json& scheme) {
  const Json& bits = member(scheme, "num_bits");
  if (member(scheme, "type") != "float") return {};
  if (bits == 8 && member(scheme, "dynamic") == false) return "FP8";
  return bits == 4 ? "NVFP4" : "";
}

// vllm/utils/torch_utils.py, get_kv_cache_quant_algo_string.
std::string read_kv_cache_quant_algo(const Json& quantization_config) {
  const std::string method = string_member(quantization_config, "quant_method");
  if (method.rfind("modelopt", 0) != 0) return {};
  const Json& nested = object_or_null(quantization_config, "quantization");
  const Json& inner = nested.is_null() ? quantization_config : nested;
  for (const char* const name : {"kv_cache_scheme", "kv_cache_quant_algo"}) {
    for (const Json* const from : {&inner, &quantization_config}) {
      const Json& value = member(*from, name);
      if (value.empty() || value == "") continue;  // empty: also null
      if (value.is_object()) return algo_of_scheme(value);
      if (!value.is_string()) reject(name, value, "a string, an object");
      return value;
    }
  }
  return {};
}

}  // namespace

std::string hf_config_path(const std::string& file_or_directory) {
  const std::filesystem::path path = file_or_directory;
  std::error_code none;  // what cannot be looked at is not a directory, and cannot be read either
  return std::filesystem::is_directory(path, none) ? (path / "config.json").string()
                                                   : file_or_directory;
}

ModelConfig read_hf_config(const std::string& path) {
  const Json model = read_object(path);
  // Of a multimodal model, the part that has the attention.
  const Json& nested = object_or_null(model, "text_config");
  const Json& text_model = nested.is_null() ? model : nested;

  if (!positive_integer(text_model, "kv_lora_rank")) {
    reject("kv_lora_rank: none", "a model with Multi-head Latent Attention");
  }
  ModelConfig result;
  const auto read = [&](const char* name, std::int64_t& number) {
    number = positive_integer(text_model, name).value_or(number);
  };
  read("kv_lora_rank", result.kv_lora_rank);
  read("num_attention_heads", result.num_attention_heads);
  read("index_topk", result.index_topk);
  read_dimensions(text_model, "", result.dimensions);
  read_dtype(model, text_model, result);
  const Json& own = object_or_null(model, "quantization_config");
  result.kv_cache_quant_algo = read_kv_cache_quant_algo(
      own.is_null() ? object_or_null(text_model, "quantization_config") : own);
  return result;
}

}  // namespace mla_dtype::tool
