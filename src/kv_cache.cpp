// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/kv_cache.h>

#include <vector>

#include "invalid_argument.h"

namespace mla_dtype {
namespace {

// vllm/config/cache.py, CacheDType.
constexpr KvCacheFormat formats[] = {
    {"auto", false},
    {"float16", false},
    {"bfloat16", false},
    {"fp8", true},
    {"fp8_e4m3", true},
    {"fp8_e5m2", true},
    {"fp8_inc", true},
    {"fp8_ds_mla", true},
    {"fp8_per_token_head", true},
    {"int8_per_token_head", true},
    {"int4_per_token_head", true},
    {"nvfp4", true},
    {"nvfp4_4over6", true},
    {"nvfp4_ds_mla", true},
    {"turboquant_k8v4", true},
    {"turboquant_4bit_nc", true},
    {"turboquant_k3v4_nc", true},
    {"turboquant_3bit_nc", true},
};

}  // namespace

std::optional<KvCacheFormat> parse_kv_cache_dtype(std::string_view cache_dtype) noexcept {
  for (const KvCacheFormat& format : formats) {
    if (format.name == cache_dtype) return format;
  }
  return std::nullopt;
}

bool is_quantized_kv_cache(std::string_view cache_dtype) {
  if (const auto format = parse_kv_cache_dtype(cache_dtype)) return format->quantized;
  std::vector<std::string_view> names;
  for (const KvCacheFormat& format : formats) names.push_back(format.name);
  detail::throw_unknown_name("cache_dtype", cache_dtype, names);
}

}  // namespace mla_dtype
