// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/export.h>

#include <optional>
#include <string_view>

namespace mla_dtype {

/// What a KV-cache dtype string means.
struct KvCacheFormat {
  std::string_view name;  ///< as an operator spells it; static
  bool quantized;         ///< stored in fewer bits than the model dtype. Not a synonym of FP8.
};

/// The format of a KV-cache dtype string, or none if the string is not one of the 18 that vLLM
/// accepts (vllm/config/cache.py): `auto`, `float16`, `bfloat16`, `fp8`, `fp8_e4m3`, ... Letter for
/// letter. For an engine that knows formats of its own and asks here for the rest:
///
///     env.is_quantized_kv_cache = [](std::string_view cache_dtype) {
///       if (cache_dtype == "my_format") return true;
///       const auto format = mla_dtype::parse_kv_cache_dtype(cache_dtype);
///       return format && format->quantized;
///     };
MLA_DTYPE_EXPORT std::optional<KvCacheFormat> parse_kv_cache_dtype(
    std::string_view cache_dtype) noexcept;

/// Whether a KV cache of this dtype string is quantized: every known string but `auto`, `float16`
/// and `bfloat16`. An unknown string: std::invalid_argument, naming the nearest known one.
/// Neither function takes a lock or allocates, unless it throws.
MLA_DTYPE_EXPORT bool is_quantized_kv_cache(std::string_view cache_dtype);

}  // namespace mla_dtype
