// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/mla_dtype.h>
#include <mla_dtype/nearest_name.h>

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "data_types.h"
#include "engine_config.h"

namespace mla_dtype::testing {

// Calls that std::invalid_argument answers, one or more of each kind.

using BadInputs = std::vector<std::function<void()>>;

template <class Enumeration>
constexpr Enumeration out_of_range() {
  return static_cast<Enumeration>(99);
}

/// Names and devices.
inline BadInputs bad_names() {
  const Platform b200 = cuda(10, 0);
  BadInputs calls;
  const auto add = [&](auto call) { calls.emplace_back([=] { static_cast<void>(call()); }); };
  for (const char* device : {"B201", "sm_", "\n"}) {
    add([=] { return parse_platform(device); });
    add([=] { return parse_device(device); });
    add([=] { return rocm(device); });
  }
  add([] { return cuda(0, 0); });
  add([=] { return DeviceRange(b200, cuda(9, 0)); });
  add([=] { return DeviceRange(b200, Platform{}); });
  for (const char* name : {"bfloat", "int8"}) {
    add([=] { return parse_model_data_type(name); });
  }
  for (const char* name : {"fp7", "unheard"}) {
    add([=] { return is_quantized_kv_cache(name); });
    add([=] { return resolve_kv_cache_dtype(name, bf16); });
    add([=] { return resolve_kv_cache_dtype("auto", bf16, name); });
    add([=] { return make_environment(b200, name); });
    add([=] { return make_decode_environment(b200, name); });
    add([=] { return make_decode_environment(b200, sglang_engine(), nullptr, name); });
  }
  add([=] { return make_environment(b200, "flash_attn"); });
  add([=] { return make_decode_environment(b200, "FLASHMLA_SPRSE"); });
  return calls;
}

/// Enumerators out of range, and what loggers and ranks refuse.
inline BadInputs bad_values() {
  BadInputs calls;
  const auto add = [&](auto call) { calls.emplace_back([=] { static_cast<void>(call()); }); };
  add([] { return to_string(out_of_range<DataType>()); });
  add([] { return to_string(out_of_range<KvCacheScales>()); });
  add([] { return to_string(out_of_range<BlockerKind>()); });
  add([] { return to_string(out_of_range<PrefillQueryOutcome>()); });
  add([] { return to_string(out_of_range<CautionKind>()); });
  add([] { return resolve_kv_cache_dtype("auto", e4m3); });
  const auto write = [](LogLevel, std::string_view) {};
  calls.emplace_back([] { OnceLog log(std::function<void(LogLevel, std::string_view)>{}); });
  calls.emplace_back([=] { OnceLog log(write, {-1, 0}); });
  calls.emplace_back([=] { OnceLog log(write, {0, -1}); });
  add([=] { return OnceLog(write).info_once(out_of_range<LogScope>(), ""); });
  const auto add_plan = [&](auto change) {
    calls.emplace_back([=] {
      AttentionPlan plan;
      change(plan);
      static_cast<void>(pack(plan));
    });
  };
  add_plan([](AttentionPlan& p) { p.kv_scales = out_of_range<KvScales>(); });
  add_plan([](AttentionPlan& p) { p.output.data_type = out_of_range<DataType>(); });
  calls.emplace_back([] { check_ranks_agree({}); });
  return calls;
}

/// Cost models.
inline BadInputs bad_costs() {
  BadInputs calls;
  const auto add = [&](const PrefillCostModel& model) {
    calls.emplace_back([=] { static_cast<void>(predicted_prefill_speedup(model, 1)); });
  };
  const double bad = std::nan("");
  add({PrefillThroughput{bad, 1, 1}});
  add({PrefillThroughput{1, bad, 1}});
  add({PrefillThroughput{1, 1, bad}});
  add({PrefillThroughput{1, 1, 1, bad}});
  add({PrefillThroughput{1, 1, 1, 0, bad}});
  add({PrefillThroughput{1, 1, 1, 0, 0, bad}});
  add({PrefillCurve{{1, bad, 1}, {2, 1, 1}}});
  add({PrefillCurve{{1, 1, 1}, {2, 1, bad}}});
  calls.emplace_back([=] { static_cast<void>(estimated_cast_ns(bad)); });
  add({PrefillCurve{{1, 1, 1}}});
  add({PrefillCurve{{2, 1, 1}, {1, 1, 1}}});
  const PrefillCostModel good = h100_prefill_cost_model();
  const auto speedup = [&](auto... arguments) {
    calls.emplace_back([=] { static_cast<void>(predicted_prefill_speedup(good, arguments...)); });
  };
  speedup(0);
  speedup(1, -1);
  speedup(1, 0, MlaDimensions{0, 64, 128});
  speedup(1, 0, MlaDimensions{128, -1, 128});
  speedup(1, 0, MlaDimensions{128, 64, 0});
  speedup(1, 0, MlaDimensions{}, 0);
  calls.emplace_back([=] { make_prefill_speedup_predictor(good)(EngineConfig{}, 0); });
  for (const DataType type : {out_of_range<DataType>(), fp16, bytes}) {
    calls.emplace_back([=] { PrefillQuerySelector(good, EngineConfig{}, bf16, type); });
    calls.emplace_back([=] { PrefillQuerySelector(good, EngineConfig{}, type, bf16); });
  }
  return calls;
}

/// Configurations that every door refuses, each as a change of a good one.
inline std::vector<std::function<void(EngineConfig&)>> bad_configs() {
  return {
      [](EngineConfig& c) { c.cache_config.cache_dtype = "fp9"; },
      [](EngineConfig& c) { c.cache_config.cache_dtype = "unheard\x1b"; },
      [](EngineConfig& c) {
        c.cache_config = {"auto", "FP9"};
      },
      [](EngineConfig& c) { c.cache_config.kv_scales = out_of_range<KvScales>(); },
      [](EngineConfig& c) {
        c.attention_config.prefill_query_mode = out_of_range<PrefillQueryMode>();
      },
      [](EngineConfig& c) { c.attention_config.prefill_query_mode = PrefillQueryMode::automatic; },
      [](EngineConfig& c) {
        c.attention_config.prefill_query_mode = PrefillQueryMode::automatic;
        c.attention_config.expected_isl = 1;
      },
      [](EngineConfig& c) { c.attention_config.mla_prefill_backend = "FLASH_ATN"; },
      [](EngineConfig& c) { c.attention_config.mla_prefill_backend = "not a name"; },
      [](EngineConfig& c) { c.attention_config.expected_isl = 0; },
      [](EngineConfig& c) { c.scheduler_config.max_num_batched_tokens = 0; },
      [](EngineConfig& c) { c.mla_dimensions.qk_nope_head_dim = 0; },
      [](EngineConfig& c) { c.mla_dimensions.qk_rope_head_dim = -1; },
      [](EngineConfig& c) { c.mla_dimensions.v_head_dim = 0; },
      [](EngineConfig& c) { c.kv_lora_rank = 0; },
      [](EngineConfig& c) { c.index_topk = -1; },
      [](EngineConfig& c) { c.num_attention_heads = 0; },
      [](EngineConfig& c) { c.parallel_config.decode_context_parallel_size = 0; },
  };
}

/// Rows of prefill backends, each as a change of two good ones.
inline std::vector<std::function<void(std::vector<PrefillBackend>&)>> bad_prefill_rows() {
  using Rows = std::vector<PrefillBackend>;
  return {
      [](Rows& rows) { rows.clear(); },
      [](Rows& rows) { rows[1] = rows[0]; },
      [](Rows& rows) { rows[0].name = "no name"; },
      [](Rows& rows) { rows[0].model_dtypes = {e4m3}; },
      [](Rows& rows) { rows[0].fp8_model_dtypes = {e4m3}; },
      [](Rows& rows) { rows[0].head_multiple = 0; },
      [](Rows& rows) {
        rows[0].dimensions = {{0, 0, 0}};
      },
      [](Rows& rows) { rows[0].fp8_queries = out_of_range<Fp8Queries>(); },
      [](Rows& rows) { rows[0].fp8_queries = Fp8Queries::never; },
      [](Rows& rows) { rows[0].fp8_kv_cache_dtypes = {}; },
      [](Rows& rows) { rows[0].fp8_kv_cache_dtypes = {"auto"}; },
      [](Rows& rows) { rows[0].fp8_kv_scales = {out_of_range<KvScales>()}; },
      [](Rows& rows) { rows[0].fp8_devices = {cuda(9, 0)}; },
      [](Rows& rows) {
        rows[0].fp8_queries = Fp8Queries::never;
        rows[0].fp8_kv_cache_dtypes = {};
        rows[0].fp8_devices = {cuda(10, 0)};
      },
  };
}

/// Rows of decode backends, each as a change of one that reads FP8.
inline std::vector<std::function<void(DecodeBackend&)>> bad_decode_rows() {
  return {
      [](DecodeBackend& row) { row.name = ""; },
      [](DecodeBackend& row) {
        row.dimensions = {{0, 0, 0}};
      },
      [](DecodeBackend& row) { row.pairs[0].model_dtypes = {e4m3}; },
      [](DecodeBackend& row) { row.pairs[0].heads.up_to = -1; },
      [](DecodeBackend& row) { row.pairs[0].heads.multiple_of = -1; },
      [](DecodeBackend& row) { row.pairs[0].heads.one_of = {0}; },
      [](DecodeBackend& row) { row.pairs[0].queries = DecodeQueries::none; },
      [](DecodeBackend& row) { row.pairs[0].stored_as = "auto"; },
      [](DecodeBackend& row) { row.pairs[0].kv_cache_dtypes = {"nvfp4"}; },
      [](DecodeBackend& row) {
        row.pairs[0].queries = DecodeQueries::model;
        row.pairs[0].kv_cache_dtypes = {""};
      },
  };
}

/// KV-cache formats of an engine's own.
inline std::vector<KvCacheFormat> bad_kv_cache_formats() {
  return {{"no name", true, e4m3, false, KvCacheScales::per_tensor},
          {"fp8", true, e4m3, false, KvCacheScales::per_tensor},
          {"mine", true, e4m3, false, out_of_range<KvCacheScales>()},
          {"mine", true, out_of_range<DataType>(), false, KvCacheScales::per_tensor},
          {"mine", true, e4m3, false, KvCacheScales::none},
          {"mine", false, e4m3, false, KvCacheScales::none}};
}

}  // namespace mla_dtype::testing
