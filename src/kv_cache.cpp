// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/kv_cache.h>

#include "words/invalid_argument.h"
#include "words/sentences.h"

namespace mla_dtype {

std::string_view to_string(KvCacheScales scales) {
  constexpr std::string_view names[] = {"none", "per_tensor", "per_token_head", "packed"};
  return detail::enumerator_name(names, "scales", "KvCacheScales", scales);
}

std::optional<KvCacheFormat> parse_kv_cache_dtype(std::string_view cache_dtype) noexcept {
  const auto* const format = detail::find_kv_cache_format(cache_dtype);
  return format != nullptr ? std::optional(*format) : std::nullopt;
}

bool is_quantized_kv_cache(std::string_view cache_dtype) {
  return detail::known_kv_cache_format(cache_dtype).quantized;
}

KvCacheResolution resolve_kv_cache_dtype(std::string_view cache_dtype, DataType model_dtype,
                                         std::string_view checkpoint_kv_cache_quant_algo) {
  detail::check_model_data_type(model_dtype);
  detail::known_kv_cache_format(cache_dtype);
  detail::check_quant_algo(cache_dtype, checkpoint_kv_cache_quant_algo);
  return detail::resolution(cache_dtype, checkpoint_kv_cache_quant_algo, model_dtype);
}

}  // namespace mla_dtype
