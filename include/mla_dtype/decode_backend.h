// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/data_type.h>
#include <mla_dtype/export.h>
#include <mla_dtype/platform.h>
#include <mla_dtype/prefill_backend.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mla_dtype {

/// The quantized KV caches that a decode backend reads on some devices.
struct DecodePair {
  std::vector<DeviceRange> devices;          ///< empty: any that has FP8
  std::vector<std::string> kv_cache_dtypes;  ///< quantized ones
};

/// What a decode backend of MLA can do: one row of a table. Every one reads a KV cache that is not
/// quantized, with queries in the model dtype.
struct DecodeBackend {
  std::string name;  ///< as an operator spells it: letters, digits, `_`, `-` and `.`

  // Quantized KV caches, by the data type that the queries then must have. What is in neither list
  // is no legal pair: kernels reject it, or give wrong outputs.
  std::vector<DecodePair> with_fp8_queries = {};
  std::vector<DecodePair> with_model_queries = {};

  bool dequantizes_on_load = false;  ///< with_model_queries: saves memory, but no time
  bool needs_unit_scales = false;    ///< with_fp8_queries: refuses scales other than 1
};

/// FLASHINFER_MLA, FLASHMLA, CUTLASS_MLA, TOKENSPEED_MLA, ROCM_AITER_MLA, TRITON_MLA and
/// FLASHATTN_MLA of vLLM. Never changes.
MLA_DTYPE_EXPORT const std::vector<DecodeBackend>& vllm_decode_backends();

/// How a decode backend reads a quantized KV cache.
enum class DecodeQueries : std::uint8_t {
  none,   ///< not at all
  model,  ///< with queries in the model dtype
  fp8,    ///< with queries in FP8
};

/// How the backend reads this KV cache on the device; `none` for one that is not quantized, too.
/// Takes no lock and does not allocate.
MLA_DTYPE_EXPORT DecodeQueries decode_queries(const DecodeBackend& backend,
                                              const Platform& platform,
                                              std::string_view kv_cache_dtype);

}  // namespace mla_dtype
