// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_query.h>

namespace mla_dtype::testing {

/// The configuration of an operator who does what the remedy says.
inline EngineConfig follow(EngineConfig config, const Remedy& remedy) {
  AttentionConfig& attention = config.attention_config;
  attention.use_prefill_query_quantization |= remedy.request;
  if (!remedy.cache_dtype.empty()) config.cache_config.cache_dtype = remedy.cache_dtype;
  if (!remedy.prefill_backend.empty()) attention.mla_prefill_backend = remedy.prefill_backend;
  return config;
}

}  // namespace mla_dtype::testing
