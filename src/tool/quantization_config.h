// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "json_input.h"

namespace mla_dtype::tool {

/// What a checkpoint says of its KV cache, as CacheConfig::checkpoint_kv_cache_quant_algo takes it.
struct CheckpointKvCache {
  std::string algo;       ///< empty: nothing that an engine turns `auto` into
  std::string field;      ///< that says so, for messages; empty: none does
  std::string note;       ///< on what it says besides; empty: nothing
  bool is_vllms = false;  ///< only of vLLM is it known that it turns `auto` into that
};

/// Of a config.json's `quantization_config`, an object or null: ModelOpt's, compressed-tensors' and
/// Quark's.
CheckpointKvCache read_quantization_config(const Json& quantization_config);

/// Of ModelOpt's hf_quant_config.json.
CheckpointKvCache read_hf_quant_config(const Json& hf_quant_config);

}  // namespace mla_dtype::tool
