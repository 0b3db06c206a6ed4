// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/kv_cache.h>

#include <string_view>

namespace mla_dtype::detail {

/// The KV-cache dtype that a decision is taken with: what `auto` comes to where the checkpoint says
/// so, else the string as it is, known or not. Does not allocate. An unknown quantization:
/// std::invalid_argument.
std::string_view effective_cache_dtype(std::string_view cache_dtype,
                                       std::string_view checkpoint_kv_cache_quant_algo);

/// Where the format is in kv_cache_formats(); null if it is not known.
const KvCacheFormat* find_kv_cache_format(std::string_view cache_dtype) noexcept;

/// Whether it holds E4M3 values with one scale: what FP8 attention reads.
inline bool is_plain_fp8(const KvCacheFormat& format) {
  return format.data_type == DataType::float8_e4m3fn && format.scales == KvCacheScales::per_tensor;
}

/// A bit for each of kv_cache_formats().
inline unsigned bit_of(const KvCacheFormat& format) {
  return 1U << (&format - kv_cache_formats().data());
}

}  // namespace mla_dtype::detail
