// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace mla_dtype {

// What the operator asked for. The names are those of vLLM's configuration.

struct CacheConfig {
  /// The KV-cache dtype as the operator gave it; kv_cache.h says which strings there are.
  std::string cache_dtype = "auto";
};

struct AttentionConfig {
  /// Asks for prefill queries, keys and values in FP8. Off by default: it gains up to 1.28x at long
  /// input sequence lengths (vllm#39751: kernel latency at ISL 128K) and costs about 20 % at ISL
  /// 1024 (vllm#39752).
  bool use_prefill_query_quantization = false;
};

struct EngineConfig {
  CacheConfig cache_config;
  AttentionConfig attention_config;
};

}  // namespace mla_dtype
