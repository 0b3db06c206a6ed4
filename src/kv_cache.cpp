// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/kv_cache.h>

#include <algorithm>
#include <vector>

#include "bad_data_type.h"
#include "cache_dtype.h"
#include "invalid_argument.h"

namespace mla_dtype {
namespace {

using Scales = KvCacheScales;
constexpr auto e4m3 = DataType::float8_e4m3fn;
constexpr auto e5m2 = DataType::float8_e5m2;
constexpr auto bytes = DataType::uint8;

// The names are those of vllm/config/cache.py, CacheDType; the scales and what is packed those of
// vllm/v1/kv_cache_interface.py, KVQuantMode.
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
    {"turboquant_k8v4", true, bytes, true, Scales::packed},
    {"turboquant_4bit_nc", true, bytes, true, Scales::packed},
    {"turboquant_k3v4_nc", true, bytes, true, Scales::packed},
    {"turboquant_3bit_nc", true, bytes, true, Scales::packed},
}};

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

[[noreturn]] void throw_unknown_cache_dtype(std::string_view cache_dtype) {
  std::vector<std::string_view> names;
  names.reserve(formats.size());
  for (const KvCacheFormat& format : formats) names.push_back(format.name);
  detail::throw_unknown_name("cache_dtype", cache_dtype, names);
}

}  // namespace

std::string_view to_string(KvCacheScales scales) {
  switch (scales) {
    case Scales::none:
      return "none";
    case Scales::per_tensor:
      return "per_tensor";
    case Scales::per_token_head:
      return "per_token_head";
    case Scales::packed:
      return "packed";
  }
  detail::throw_out_of_range("scales", "KvCacheScales", static_cast<unsigned>(scales));
}

const std::array<KvCacheFormat, 18>& kv_cache_formats() noexcept { return formats; }

const KvCacheFormat* detail::find_kv_cache_format(std::string_view cache_dtype) noexcept {
  for (const KvCacheFormat& format : formats) {
    if (format.name == cache_dtype) return &format;
  }
  return nullptr;
}

std::optional<KvCacheFormat> parse_kv_cache_dtype(std::string_view cache_dtype) noexcept {
  const auto* const format = detail::find_kv_cache_format(cache_dtype);
  return format != nullptr ? std::optional(*format) : std::nullopt;
}

bool is_quantized_kv_cache(std::string_view cache_dtype) {
  const auto* const format = detail::find_kv_cache_format(cache_dtype);
  if (format == nullptr) throw_unknown_cache_dtype(cache_dtype);
  return format->quantized;
}

std::string_view detail::effective_cache_dtype(std::string_view cache_dtype,
                                               std::string_view checkpoint_kv_cache_quant_algo) {
  if (cache_dtype != "auto" || checkpoint_kv_cache_quant_algo.empty()) return cache_dtype;
  for (const QuantAlgo& algo : quant_algos) {
    if (equal_ignoring_case(checkpoint_kv_cache_quant_algo, algo.name)) return algo.cache_dtype;
  }
  std::vector<std::string_view> names;
  names.reserve(std::size(quant_algos));
  for (const QuantAlgo& algo : quant_algos) names.push_back(algo.name);
  throw_unknown_name("checkpoint_kv_cache_quant_algo", checkpoint_kv_cache_quant_algo, names);
}

KvCacheResolution resolve_kv_cache_dtype(std::string_view cache_dtype, DataType model_dtype,
                                         std::string_view checkpoint_kv_cache_quant_algo) {
  detail::check_model_data_type(model_dtype);
  if (!parse_kv_cache_dtype(cache_dtype)) throw_unknown_cache_dtype(cache_dtype);
  const std::string requested(cache_dtype);
  if (requested != "auto") return {requested, requested, "the operator chose it"};
  const std::string resolved(
      detail::effective_cache_dtype(cache_dtype, checkpoint_kv_cache_quant_algo));
  if (resolved != "auto") return {requested, resolved, "the checkpoint was quantized for it"};
  return {requested, std::string(to_string(model_dtype)), "it is the model's data type"};
}

}  // namespace mla_dtype
