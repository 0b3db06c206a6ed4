// SPDX-License-Identifier: Apache-2.0
#include "engine.h"

#include <mla_dtype/kv_cache.h>

#include <algorithm>
#include <stdexcept>

#include "json_input.h"

namespace mla_dtype::tool {
namespace {

std::vector<std::string_view> formats_of_the_library() {
  std::vector<std::string_view> result;
  for (const KvCacheFormat& format : kv_cache_formats()) result.push_back(format.name);
  return result;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

// KV-cache dtypes: vllm/config/cache.py; python/sglang/srt/server_args.py, without a bare `fp8`;
// trtllm-serve's --kv_cache_dtype (TensorRT-LLM#11487).
const std::vector<Engine>& engines() {
  static const std::vector<Engine> all = {
      {"vllm", vllm_engine, formats_of_the_library()},
      {"tensorrt-llm", tensorrt_llm_engine, {"auto", "fp8", "nvfp4"}},
      {"sglang", sglang_engine, {"auto", "fp8_e4m3", "fp8_e5m2", "bf16", "bfloat16", "fp4_e2m1"}},
  };
  return all;
}

const Engine& find_engine(std::string_view name) {
  for (const Engine& engine : engines()) {
    if (spells(name, engine.name)) return engine;
  }
  if (spells(name, "trtllm") || spells(name, "tensorrt_llm")) return find_engine("tensorrt-llm");
  reject('"' + std::string(name) + '"', "vllm, tensorrt-llm, sglang");
}

EngineProfile profile_for(const Engine& engine, bool is_sparse) {
  EngineProfile profile = engine.profile();
  if (engine.name == "sglang" && is_sparse) {
    profile.spellings.prefill_backend = "--dsa-prefill-backend %";
    profile.spellings.decode_backend = "--dsa-decode-backend %";
  }
  return profile;
}

bool spells(std::string_view typed, std::string_view name) {
  return std::equal(name.begin(), name.end(), typed.begin(), typed.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace mla_dtype::tool
