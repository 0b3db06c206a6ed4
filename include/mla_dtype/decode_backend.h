// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/data_type.h>
#include <mla_dtype/export.h>
#include <mla_dtype/platform.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mla_dtype {

/// The queries that a decode backend reads a KV cache with.
enum class DecodeQueries : std::uint8_t {
  none,   ///< it does not read it
  model,  ///< in the model dtype
  fp8,    ///< in FP8
};

/// KV caches that a decode backend reads on some devices, and the queries that go with them.
struct DecodePair {
  DecodeQueries queries = DecodeQueries::model;
  std::vector<std::string> kv_cache_dtypes = {};  ///< quantized ones; empty: those that are not
  std::vector<DeviceRange> devices = {};          ///< empty: any; for FP8 queries, any that has FP8
  std::vector<DataType> model_dtypes = {};        ///< empty: any
};

/// What a decode backend of MLA can do: one row of a table. What is in none of its pairs is not
/// legal: kernels reject it, or give wrong outputs without an error.
struct DecodeBackend {
  std::string name = {};  ///< as an operator spells it
  std::vector<DecodePair> pairs = {};
  bool needs_unit_scales = false;  ///< of a quantized KV cache: refuses scales other than 1
};

/// vLLM's, in its order: ROCM_AITER_MLA, FLASHINFER_MLA, TOKENSPEED_MLA, CUTLASS_MLA,
/// FLASH_ATTN_MLA, FLASHMLA, TRITON_MLA. Never changes.
[[nodiscard]] MLA_DTYPE_EXPORT const std::vector<DecodeBackend>& vllm_decode_backends();

/// The queries that the backend reads a KV cache with on the device. An empty dtype string stands
/// for a KV cache in the model dtype. Takes no lock and does not allocate.
[[nodiscard]] MLA_DTYPE_EXPORT DecodeQueries decode_queries(const DecodeBackend& backend,
                                                            const Platform& platform,
                                                            std::string_view kv_cache_dtype,
                                                            DataType model_dtype) noexcept;

}  // namespace mla_dtype
