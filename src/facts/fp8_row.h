// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_backend.h>

namespace mla_dtype::detail {

/// The row of a backend that takes FP8 queries, too, over a KV cache in plain E4M3 with a scale for
/// each tensor.
inline PrefillBackend with_fp8_queries(PrefillBackend backend) {
  backend.fp8_queries = Fp8Queries::optional;
  backend.fp8_kv_cache_dtypes = {"fp8", "fp8_e4m3"};
  return backend;
}

}  // namespace mla_dtype::detail
