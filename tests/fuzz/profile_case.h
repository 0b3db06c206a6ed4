// SPDX-License-Identifier: Apache-2.0
#pragma once

// Cases of engine profiles, of an engine's own KV-cache formats and of devices by name. Without
// this what the library knows of an engine could differ from its restatement in some combination.

#include <mla_dtype/mla_dtype.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "case.h"
#include "input.h"
#include "restatement/engines.h"
#include "restatement/plan.h"

namespace mla_dtype::fuzz {

inline EngineKvCacheFormat to_library(const Cache& cache) {
  EngineKvCacheFormat result;
  const bool is_packed = cache.view == byte_type;
  const auto scales = !cache.quantized ? KvCacheScales::none
                      : is_packed      ? KvCacheScales::packed
                                       : KvCacheScales::per_tensor;
  result.format = {cache.name, cache.quantized, cache.view, is_packed, scales};
  if (const std::size_t bytes = cache.token_bytes; bytes != 0) {
    result.token_bytes = [bytes](const EngineConfig&) { return bytes; };
  }
  return result;
}

// The profile as the library has it, or as an engine of its own fills it in.
inline EngineProfile profile_of(const Case& made) {
  switch (made.engine) {
    case Engine::vllm:
      return vllm_engine();
    case Engine::tensorrt_llm:
      return tensorrt_llm_engine();
    case Engine::sglang:
      return sglang_engine();
    default:
      break;
  }
  EngineProfile profile;
  profile.name = "an engine";
  for (const Row& row : made.world.rows) profile.prefill_backends.push_back(row.to_library());
  for (const DecodeRow& row : made.world.decode_table) {
    profile.decode_backends.push_back(row.to_library());
  }
  profile.kv_cache_dtypes = made.world.settable;
  profile.selection =
      made.world.first_usable ? BackendSelection::first_usable : BackendSelection::first_with_fp8;
  for (const Cache& cache : made.world.own_caches) {
    profile.kv_cache_formats.push_back(to_library(cache));
  }
  return profile;
}

inline std::vector<Cache> make_own_caches(Input& input) {
  const std::size_t token_bytes = input.flag() ? 77 : 0;
  std::vector<Cache> result = {input.one_of(std::vector<Cache>{
      {"mine", true, byte_type, e4m3}, {"mine", false, DataType::bfloat16, DataType::bfloat16}})};
  if (input.flag()) result.push_back({"yours", true, byte_type, byte_type, token_bytes});
  return result;
}

// What is known of an engine.
inline void set_rows_of_engine(Case& made) {
  World& world = made.world;
  world.first_usable = true;
  switch (made.engine) {
    case Engine::vllm:
      world.rows = vllm_rows();
      world.decode_table = decode_rows();
      break;
    case Engine::tensorrt_llm:
      world.rows = tensorrt_llm_engine_rows();
      world.decode_table = tensorrt_llm_decode_rows();
      world.settable = {"auto", "fp8", "nvfp4"};
      break;
    case Engine::sglang:
      world.rows = sglang_rows();
      world.decode_table = sglang_decode_rows();
      world.own_caches = sglang_caches;
      world.settable = {"auto", "fp8_e4m3", "fp8_e5m2", "bf16", "bfloat16", "fp4_e2m1"};
      break;
    default:
      break;
  }
}

inline void make_rows_of_engine(Input& input, Case& made) {
  World& world = made.world;
  made.engine = static_cast<Engine>(1 + input.number(4));
  set_rows_of_engine(made);
  if (made.engine != Engine::own) return;
  world.first_usable = input.flag();
  if (!made.is_own_table) world.rows = make_rows(input);
  world.own_caches = make_own_caches(input);
  world.decode_table = decode_rows();
  if (input.flag()) world.settable = {"fp8_e4m3", "mine", "bfloat16", "nvfp4"};
  if (input.flag()) world.decode_table.resize(1 + input.number(6));
}

inline void make_profile(Input& input, Case& made) {
  World& world = made.world;
  if (input.flag()) {
    const std::vector<NamedDevice> devices = named_devices();
    const NamedDevice& named = input.one_of(devices);
    world.device = named.device;
    world.device_name = named.name;
  }
  if (input.number(3) == 0) {
    if (input.flag()) world.own_caches = make_own_caches(input);
  } else {
    world.injected = false;
    world.named.clear();
    world.decode_row.reset();
    make_rows_of_engine(input, made);
    world.decode_named = input.number(3) == 2 ? input.one_of(world.decode_table).name : "";
    for (Row& row : world.rows) row.available = input.number(6) != 5;
    std::string& choice = world.config.attention_config.mla_prefill_backend;
    if (!choice.empty()) choice = input.one_of(world.rows).name;
    if (input.flag()) {
      world.config.cache_config.cache_dtype =
          input.one_of(std::vector<std::string>{"fp8_e4m3", "fp8", "auto", "bf16", "fp4_e2m1"});
    }
  }
  const bool is_platforms = !world.injected && made.is_valid;
  if (is_platforms) world.fp8_data_type = world.device.fp8().value_or(e4m3);
}

/// One of tables and predicates, or of a profile.
inline Case make_any_case(Input& input) {
  Case made = make_case(input);
  if (input.flag()) make_profile(input, made);
  return made;
}

}  // namespace mla_dtype::fuzz
