// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/kv_cache.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "check.h"
#include "input.h"

namespace {

using mla_dtype::DataType;
using mla_dtype::fuzz::is_refused;

constexpr std::string_view unquantized[] = {"auto",
                                            "float16",
                                            "bfloat16",
                                            "turboquant_k8v4",
                                            "turboquant_4bit_nc",
                                            "turboquant_k3v4_nc",
                                            "turboquant_3bit_nc"};
constexpr std::string_view quantized[] = {"fp8",
                                          "fp8_e4m3",
                                          "fp8_e5m2",
                                          "fp8_inc",
                                          "fp8_ds_mla",
                                          "nvfp4",
                                          "nvfp4_4over6",
                                          "nvfp4_ds_mla",
                                          "fp8_per_token_head",
                                          "int8_per_token_head",
                                          "int4_per_token_head"};

template <class Names>
bool holds(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

void check_format(std::string_view name) {
  const bool known = holds(unquantized, name) || holds(quantized, name);
  const auto format = mla_dtype::parse_kv_cache_dtype(name);
  CHECK(format.has_value() == known);
  bool is_quantized = false;
  CHECK(is_refused([&] { is_quantized = mla_dtype::is_quantized_kv_cache(name); }) == !known);
  if (!format) return;
  CHECK(format->name == name);
  CHECK(format->quantized == is_quantized);
  CHECK(is_quantized == holds(quantized, name));
  // Packed, and not called quantized.
  const bool is_turboquant = name.substr(0, 10) == "turboquant";
  CHECK((format->scales != mla_dtype::KvCacheScales::none) == (is_quantized || is_turboquant));
  CHECK(format->data_type.has_value() == (name != "auto"));
  if (format->packed) CHECK(format->data_type == DataType::uint8);
}

std::string in_upper_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return result;
}

// What `cache_dtype` comes to; empty where it has to be refused.
std::string expected_resolution(std::string_view cache_dtype, std::string_view algo,
                                DataType model_dtype) {
  const bool is_model = model_dtype == DataType::float32 || model_dtype == DataType::float16 ||
                        model_dtype == DataType::bfloat16;
  if (!is_model) return {};
  if (cache_dtype != "auto") {
    return holds(unquantized, cache_dtype) || holds(quantized, cache_dtype)
               ? std::string(cache_dtype)
               : std::string();
  }
  const std::string upper = in_upper_case(algo);
  if (upper == "FP8") return "fp8_e4m3";
  if (upper == "NVFP4") return "nvfp4";
  if (upper.empty() || upper == "MIXED_PRECISION") return std::string(to_string(model_dtype));
  return {};
}

void check_resolution(std::string_view cache_dtype, std::string_view algo, DataType model_dtype) {
  const std::string expected = expected_resolution(cache_dtype, algo, model_dtype);
  mla_dtype::KvCacheResolution resolution;
  const bool refused = is_refused(
      [&] { resolution = mla_dtype::resolve_kv_cache_dtype(cache_dtype, model_dtype, algo); });
  CHECK(refused == expected.empty());
  if (refused) return;
  CHECK(resolution.requested == cache_dtype);
  CHECK(resolution.resolved == expected);
  CHECK(!resolution.reason.empty());
}

}  // namespace

// The first line is a KV-cache dtype, the rest a checkpoint's quantization.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view cache_dtype = text.substr(0, text.find('\n'));
  const std::string_view algo = text.substr(std::min(text.size(), cache_dtype.size() + 1));
  check_format(cache_dtype);
  for (unsigned type = 0; type < 10; ++type) {
    check_resolution(cache_dtype, algo, static_cast<DataType>(type));
  }
  return 0;
}
