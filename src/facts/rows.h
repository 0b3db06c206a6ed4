// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/decode_backend.h>
#include <mla_dtype/prefill_backend.h>

// What rows of all engines are made with.

namespace mla_dtype::detail {

/// The row of a backend that takes FP8 queries, too, over a KV cache in plain E4M3 with a scale for
/// each tensor.
inline PrefillBackend with_fp8_queries(PrefillBackend backend) {
  backend.fp8_queries = Fp8Queries::optional;
  backend.fp8_kv_cache_dtypes = {"fp8", "fp8_e4m3"};
  return backend;
}

/// These KV caches with these queries, of 16-bit models. No KV caches: one in the model dtype.
inline DecodePair decode_pair(DecodeQueries queries, std::vector<std::string> kv_caches,
                              std::vector<DeviceRange> devices) {
  DecodePair pair;
  pair.queries = queries;
  pair.kv_cache_dtypes = std::move(kv_caches);
  pair.devices = std::move(devices);
  pair.model_dtypes = {DataType::float16, DataType::bfloat16};
  return pair;
}

inline DecodeBackend decode_backend(const char* name, std::vector<DecodePair> pairs) {
  DecodeBackend backend;
  backend.name = name;
  backend.pairs = std::move(pairs);
  return backend;
}

}  // namespace mla_dtype::detail
