// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mla_dtype::tool {

/// What the files of a model say. A dimension that they do not say is none here.
struct ModelConfig {
  std::string path;             ///< of config.json or params.json
  std::string model_type;       ///< empty: the file names none
  std::string text_model_type;  ///< of the part that has the attention
  std::optional<std::int64_t> qk_nope_head_dim, qk_rope_head_dim, v_head_dim;
  std::optional<std::int64_t> kv_lora_rank;
  std::optional<std::int64_t> num_attention_heads;  ///< of all ranks together
  std::optional<std::int64_t> index_topk;           ///< of sparse attention
  std::string dtype;                                ///< empty: none, or `auto`
  std::string dtype_field;                          ///< where the file says so
  std::string kv_cache_quant_algo;                  ///< CacheConfig::checkpoint_kv_cache_quant_algo
  bool kv_cache_is_vllms = false;  ///< only of vLLM is it known that it goes by that
  std::vector<std::string> notes;
};

/// Reads the model in a directory, or of a file: config.json as Hugging Face has it, or Mistral's
/// params.json, and hf_quant_config.json beside it. std::invalid_argument for a model without the
/// Multi-head Latent Attention that the library knows, naming its model_type, and for what cannot
/// be meant, naming the file and the field.
ModelConfig read_model_config(const std::string& file_or_directory);

}  // namespace mla_dtype::tool
