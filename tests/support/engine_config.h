// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/platform.h>

#include <string>
#include <utility>

namespace mla_dtype::testing {

/// Every device that a rule knows, and some that none does.
inline constexpr const char* all_devices[] = {
    "8.0",  "8.9",  "9.0",  "10.0",   "10.1",   "10.3",   "10.7",    "11.0",
    "12.0", "12.1", "13.0", "gfx90a", "gfx942", "gfx950", "gfx1201", "none"};

inline Platform make_platform(const std::string& device) {
  return device == "none" ? Platform{} : parse_platform(device);
}

inline EngineConfig make_config(std::string cache_dtype, bool requested) {
  EngineConfig config;
  config.cache_config.cache_dtype = std::move(cache_dtype);
  config.attention_config.use_prefill_query_quantization = requested;
  return config;
}

}  // namespace mla_dtype::testing
