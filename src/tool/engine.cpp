// SPDX-License-Identifier: Apache-2.0
#include "engine.h"

#include <algorithm>
#include <stdexcept>

#include "json_input.h"

namespace mla_dtype::tool {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

const std::vector<Engine>& engines() {
  static const std::vector<Engine> all = {
      {"vllm", vllm_engine},
      {"tensorrt-llm", tensorrt_llm_engine},
      {"sglang", sglang_engine},
  };
  return all;
}

std::vector<std::string_view> kv_cache_dtypes(const Engine& engine) {
  const auto& own = engine.profile().kv_cache_dtypes;
  std::vector<std::string_view> result(own.begin(), own.end());
  if (!result.empty()) return result;
  for (const KvCacheFormat& format : kv_cache_formats()) result.push_back(format.name);
  return result;
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
