// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/platform.h>

namespace mla_dtype {

/// The queries that a decode backend reads a KV cache with.
enum class DecodeQueries : std::uint8_t {
  none,   ///< it does not read it
  model,  ///< in the model dtype
  fp8,    ///< in FP8
};

/// How many attention heads of a rank kernels take: each of these says some. None set: any.
struct HeadCounts {
  std::vector<int> one_of{};
  int up_to = 0;
  int multiple_of = 0;
};

/// KV caches that a decode backend reads on some devices, and the queries that go with them.
struct MLA_DTYPE_ABI DecodePair {
  DecodeQueries queries = DecodeQueries::model;
  std::vector<std::string> kv_cache_dtypes{};  ///< as operators spell them; empty: the model dtype
  std::vector<DeviceRange> devices{};          ///< empty: any; for FP8 queries, any that has FP8
  std::vector<DataType> model_dtypes{};        ///< empty: any
  HeadCounts heads{};                          ///< of a rank
  bool with_decode_context_parallel = true;    ///< also over a KV cache spread over ranks
  std::string stored_as{};  ///< the KV-cache dtype that these become; empty: they stay
};

/// What a decode backend of MLA can do: one row of a table. What is in none of its pairs is not
/// legal: kernels reject it, or give wrong outputs without an error.
struct MLA_DTYPE_ABI DecodeBackend {
  std::string name{};  ///< as an operator spells it
  std::vector<DecodePair> pairs{};
  bool needs_unit_scales = false;  ///< of a quantized KV cache: refuses scales other than 1
  bool sparse = false;             ///< runs models with index_topk, and only those
  std::vector<MlaDimensions> dimensions{};  ///< empty: any
  std::vector<int> qk_nope_head_dims{};     ///< empty: any
  std::vector<std::size_t> latent_sizes{};  ///< kv_lora_rank + qk_rope_head_dim; empty: any
  std::string known_wrong{};  ///< when FP8 was wrong: "with ..., before 1.2 (source)"; or none

  bool preferred_with_quantized_kv_cache = false;  ///< goes before the other rows then
  int preferred_up_to_heads = 0;                   ///< ... and with as many heads of a rank
};

/// vLLM's, those for dense models first, each in its order (engine_profile.h). Never changes.
[[nodiscard]] MLA_DTYPE_EXPORT const std::vector<DecodeBackend>& vllm_decode_backends();

/// The queries that the backend reads a KV cache with on the device; an empty dtype string: one in
/// the model dtype. Takes no lock and does not allocate.
[[nodiscard]] MLA_DTYPE_EXPORT DecodeQueries decode_queries(const DecodeBackend& backend,
                                                            const Platform& platform,
                                                            std::string_view kv_cache_dtype,
                                                            DataType model_dtype) noexcept;

}  // namespace mla_dtype
