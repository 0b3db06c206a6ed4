// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/kv_cache.h>

#include <vector>

namespace mla_dtype::detail {

/// That of kv_cache_formats(), or `float32`; null if it is not known.
const KvCacheFormat* find_kv_cache_format(std::string_view cache_dtype) noexcept;

/// The KV-cache dtype that a checkpoint's `kv_cache_quant_algo` stands for, in any case; `auto`:
/// none; nullopt: not known.
std::optional<std::string_view> kv_cache_dtype_of(std::string_view quant_algo) noexcept;

/// The quantizations that are known.
std::vector<std::string_view> known_quant_algos();

/// The KV-cache dtype that a decision is taken with: what `auto` comes to where the checkpoint says
/// so, else the string as it is, known or not.
std::string_view effective_cache_dtype(std::string_view cache_dtype,
                                       std::string_view checkpoint_kv_cache_quant_algo) noexcept;

/// Whether it holds E4M3 values with one scale: what FP8 attention reads.
inline bool is_plain_fp8(const KvCacheFormat& format) {
  return format.data_type == DataType::float8_e4m3fn && format.scales == KvCacheScales::per_tensor;
}

/// Whether it holds FP8 values with one scale.
inline bool is_per_tensor_fp8(const KvCacheFormat& format) {
  return format.data_type && is_fp8(*format.data_type) &&
         format.scales == KvCacheScales::per_tensor;
}

/// `fp8` and `fp8_e4m3` are two spellings of one format (vllm/config/cache.py).
inline std::string_view storage_name(std::string_view cache_dtype) {
  return cache_dtype == "fp8_e4m3" ? std::string_view("fp8") : cache_dtype;
}

/// FlashMLA's layout: the latent in FP8, a float32 scale for each 128 elements, then the rotary
/// part in bfloat16 (656 bytes for DeepSeek-V3).
inline bool is_flashmla_layout(const KvCacheFormat* format) {
  return format != nullptr && format->name == "fp8_ds_mla";
}

/// Its place in kv_cache_formats(); none for any other.
std::optional<unsigned> index_of(const KvCacheFormat& format) noexcept;

}  // namespace mla_dtype::detail
