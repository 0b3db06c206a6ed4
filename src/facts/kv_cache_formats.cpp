// SPDX-License-Identifier: Apache-2.0
#include "facts/kv_cache_formats.h"

#include <algorithm>
#include <functional>

namespace mla_dtype {
namespace {

using Scales = KvCacheScales;
constexpr auto e4m3 = DataType::float8_e4m3fn;
constexpr auto e5m2 = DataType::float8_e5m2;
constexpr auto bytes = DataType::uint8;

// The names are those of vllm/config/cache.py, CacheDType; the scales and what is packed those of
// vllm/v1/kv_cache_interface.py, KVQuantMode; what counts as quantized that of
// vllm/utils/torch_utils.py, is_quantized_kv_cache, which vLLM decides with.
constexpr std::array<KvCacheFormat, 18> formats = {{
    // name, quantized, data type, packed, scales
    {"auto", false, std::nullopt, false, Scales::none},
    {"float16", false, DataType::float16, false, Scales::none},
    {"bfloat16", false, DataType::bfloat16, false, Scales::none},
    {"fp8", true, e4m3, false, Scales::per_tensor},
    {"fp8_e4m3", true, e4m3, false, Scales::per_tensor},
    {"fp8_e5m2", true, e5m2, false, Scales::per_tensor},
    {"fp8_inc", true, e4m3, false, Scales::per_tensor},  // Intel Gaudi's name for it
    {"fp8_ds_mla", true, bytes, true, Scales::packed},   // 656 bytes a token (FlashMLA)
    {"fp8_per_token_head", true, e4m3, false, Scales::per_token_head},
    {"int8_per_token_head", true, DataType::int8, false, Scales::per_token_head},
    {"int4_per_token_head", true, bytes, true, Scales::per_token_head},  // two to a byte
    {"nvfp4", true, bytes, true, Scales::packed},
    {"nvfp4_4over6", true, bytes, true, Scales::packed},
    {"nvfp4_ds_mla", true, bytes, true, Scales::packed},
    {"turboquant_k8v4", false, bytes, true, Scales::packed},
    {"turboquant_4bit_nc", false, bytes, true, Scales::packed},
    {"turboquant_k3v4_nc", false, bytes, true, Scales::packed},
    {"turboquant_3bit_nc", false, bytes, true, Scales::packed},
}};

// No string of vLLM's; engines that compute in float32 have it.
constexpr KvCacheFormat float32 = {"float32", false, DataType::float32, false, Scales::none};

// vllm/utils/torch_utils.py, MODELOPT_TO_VLLM_KV_CACHE_DTYPE_MAP.
struct QuantAlgo {
  std::string_view name, cache_dtype;
};
constexpr QuantAlgo quant_algos[] = {
    {"FP8", "fp8_e4m3"}, {"NVFP4", "nvfp4"}, {"MIXED_PRECISION", "auto"}};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return upper(x) == upper(y); });
}

}  // namespace

const std::array<KvCacheFormat, 18>& kv_cache_formats() noexcept { return formats; }

const KvCacheFormat* detail::find_kv_cache_format(std::string_view cache_dtype) noexcept {
  for (const KvCacheFormat& format : formats) {
    if (format.name == cache_dtype) return &format;
  }
  return cache_dtype == float32.name ? &float32 : nullptr;
}

std::optional<unsigned> detail::index_of(const KvCacheFormat& format) noexcept {
  const KvCacheFormat* const first = formats.data();
  const std::less<const KvCacheFormat*> before;
  if (before(&format, first) || !before(&format, first + formats.size())) return std::nullopt;
  return static_cast<unsigned>(&format - first);
}

std::optional<std::string_view> detail::kv_cache_dtype_of(std::string_view quant_algo) noexcept {
  for (const QuantAlgo& algo : quant_algos) {
    if (equal_ignoring_case(quant_algo, algo.name)) return algo.cache_dtype;
  }
  return std::nullopt;
}

std::vector<std::string_view> detail::known_quant_algos() {
  std::vector<std::string_view> names;
  for (const QuantAlgo& algo : quant_algos) names.push_back(algo.name);
  return names;
}

std::string_view detail::effective_cache_dtype(
    std::string_view cache_dtype, std::string_view checkpoint_kv_cache_quant_algo) noexcept {
  if (cache_dtype != "auto" || checkpoint_kv_cache_quant_algo.empty()) return cache_dtype;
  return kv_cache_dtype_of(checkpoint_kv_cache_quant_algo).value_or(cache_dtype);
}

}  // namespace mla_dtype
