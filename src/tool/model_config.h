// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>

#include <string>

namespace mla_dtype::tool {

/// What a model's config.json says.
struct ModelConfig {
  MlaDimensions dimensions;
  std::int64_t kv_lora_rank = EngineConfig{}.kv_lora_rank;
  std::int64_t num_attention_heads = EngineConfig{}.num_attention_heads;  ///< of all ranks together
  std::int64_t index_topk = 0;      ///< of sparse attention; 0: dense
  std::string dtype;                ///< empty: none, or `auto`
  std::string dtype_field;          ///< where the file says so
  std::string kv_cache_quant_algo;  ///< as CacheConfig::checkpoint_kv_cache_quant_algo
};

/// The file that `--hf-config` names: itself, or config.json of the directory.
std::string hf_config_path(const std::string& file_or_directory);

/// Reads a Hugging Face config.json of a model with MLA. Any other model, and what cannot be meant:
/// std::invalid_argument, naming the field.
ModelConfig read_hf_config(const std::string& path);

}  // namespace mla_dtype::tool
