// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/cost_model.h>

#include <optional>
#include <string>
#include <vector>

// What the tool reads as JSON. The functions throw std::invalid_argument for what cannot be meant,
// naming the field.

namespace mla_dtype::tool {

/// What the value of `--attention-config` says; nothing where it is silent or says null.
struct AttentionConfigArgument {
  std::optional<bool> use_prefill_query_quantization;
  std::optional<std::string> mla_prefill_backend;  ///< as typed; never empty
  std::vector<std::string> other_keys;             ///< quoted, in printable ASCII
};

/// Reads a JSON object as vLLM's option of that name takes it. A key that is almost one of the two
/// is a typing error.
AttentionConfigArgument parse_attention_config(const std::string& json);

/// What a model's config.json says.
struct ModelConfig {
  MlaDimensions dimensions;
  int kv_lora_rank = EngineConfig{}.kv_lora_rank;
  int num_attention_heads = EngineConfig{}.num_attention_heads;  ///< of all ranks together
  std::string dtype;                                             ///< empty: none, or `auto`
  std::string dtype_field;                                       ///< where the file says so
  std::string kv_cache_quant_algo;  ///< as CacheConfig::checkpoint_kv_cache_quant_algo
};

/// The file that `--hf-config` names: itself, or config.json of the directory.
std::string hf_config_path(const std::string& file_or_directory);

/// Reads a Hugging Face config.json of a model with MLA; any other model is not accepted.
ModelConfig read_hf_config(const std::string& path);

/// Reads a cost model, which the library accepts, from a JSON object: `bf16_tflops`, `fp8_tflops`
/// and `quantize_ns`, or `curve`, an array of objects of `isl`, `bf16_ms` and `fp8_ms`. Either with
/// `dimensions`, an object of dimensions as config.json names them, and with `source`; without it
/// the source is the path.
PrefillCostModel read_cost_model(const std::string& path);

}  // namespace mla_dtype::tool
