// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/data_type.h>
#include <mla_dtype/features.h>

#include <array>

namespace mla_dtype {

/// How many elements of a quantized KV cache share a scale.
enum class KvCacheScales : std::uint8_t {
  none,            ///< not quantized
  per_tensor,      ///< one for the cache of a layer, from the checkpoint
  per_token_head,  ///< one for each token and head, computed as they are written
  packed,          ///< several for each token, stored beside its elements
};

/// The enumerator's name, null-terminated and static; std::invalid_argument for what is none.
[[nodiscard]] MLA_DTYPE_EXPORT std::string_view to_string(KvCacheScales scales);

/// What a KV-cache dtype string means.
struct KvCacheFormat {
  std::string_view name{};  ///< as an operator spells it; static
  bool quantized = false;   ///< what is_quantized_kv_cache() answers; no synonym of FP8
  /// The elements of the cache tensor: uint8 where they are packed; none for `auto`. float8_e4m3fn
  /// stands for the platform's E4M3 type, which is float8_e4m3fnuz on some (platform.h).
  std::optional<DataType> data_type{};
  bool packed = false;  ///< an element is not a value: 4-bit pairs, or values beside scales
  KvCacheScales scales = KvCacheScales::none;
};

/// All of them: the 18 strings that vLLM accepts (vllm/config/cache.py).
[[nodiscard]] MLA_DTYPE_EXPORT const std::array<KvCacheFormat, 18>& kv_cache_formats() noexcept;

/// The format of exactly this name; none if there is none. Takes no lock and does not allocate.
[[nodiscard]] MLA_DTYPE_EXPORT std::optional<KvCacheFormat> parse_kv_cache_dtype(
    std::string_view cache_dtype) noexcept;

/// Whether vLLM takes a KV cache of this dtype string for quantized: every known one but `auto`,
/// those of 16 and 32 bits and the packed `turboquant_*` (vllm/utils/torch_utils.py). Unknown:
/// std::invalid_argument, naming the nearest. Takes no lock; does not allocate, unless it throws.
[[nodiscard]] MLA_DTYPE_EXPORT bool is_quantized_kv_cache(std::string_view cache_dtype);

/// What a KV-cache dtype string comes to.
struct MLA_DTYPE_ABI KvCacheResolution {
  std::string requested{};  ///< as the operator gave it
  std::string resolved{};   ///< never `auto`: one of the other strings, or the model dtype's name
  std::string reason{};     ///< why, as part of a sentence
};

/// What `auto` comes to: the KV-cache dtype that the checkpoint was quantized for, as its
/// `kv_cache_quant_algo` names it (`FP8` or `NVFP4`, in any case; empty, and `MIXED_PRECISION`:
/// none), else the model dtype (vllm/utils/torch_utils.py, resolve_kv_cache_dtype_string). Any
/// other string comes to itself, whatever the checkpoint. std::invalid_argument for an unknown
/// string, model dtype, or quantization that `auto` asks for (vLLM warns, and takes model_dtype).
[[nodiscard]] MLA_DTYPE_EXPORT KvCacheResolution
resolve_kv_cache_dtype(std::string_view cache_dtype, DataType model_dtype,
                       std::string_view checkpoint_kv_cache_quant_algo = {});

}  // namespace mla_dtype
