// SPDX-License-Identifier: Apache-2.0
#pragma once

// Makes a case up from bytes: likely values, so that rules are met often, and some that cannot be
// meant.

#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "input.h"
#include "restatement/rules.h"
#include "restatement/tables.h"

namespace mla_dtype::fuzz {

/// Whose profile, if any.
enum class Engine { none, own, vllm, tensorrt_llm, sglang };

/// All that a decision and a plan depend on, and what they are to be asked like.
struct Case {
  World world;
  Engine engine = Engine::none;
  std::string reason;         // of the injected backend predicate
  bool is_valid = true;       // whether everything can be meant
  bool is_own_table = false;  // rows of the engine's own
  char throws = 0;            // the question that throws instead of being answered: see Asked
  int local_rank = 0;
  LogLevel refused_request_level = LogLevel::info;
  Spellings spellings;
  double cost_model = 1;           // the speedup that the tool's cost model is made for
  bool has_unused_tables = false;  // beneath the injected predicates, which answer alone
};

inline Device make_device(Input& input) {
  switch (input.number(4)) {
    case 0:
      return {Device::cuda, 10, static_cast<int>(input.number(4))};
    case 1: {
      const int major = input.one_of(std::vector<int>{8, 9, 10, 11, 12, 13});
      return {Device::cuda, major, static_cast<int>(input.number(10))};
    }
    case 2: {
      const std::vector<Device> devices = {gfx942,
                                           gfx950,
                                           {Device::rocm, 9, 0, 10},
                                           {Device::rocm, 11, 0, 0},
                                           {Device::rocm, 12, 0, 1}};
      return input.one_of(devices);
    }
    default:
      return {};
  }
}

inline Ranges make_ranges(Input& input) {
  Ranges ranges;
  for (unsigned count = input.number(3); count > 0; --count) {
    const Device device = make_device(input);
    if (device.runtime == Device::none) continue;
    Device last = device;
    if (input.flag()) last.minor = std::max(device.minor, static_cast<int>(input.number(10)));
    ranges.push_back({device, last});
  }
  return ranges;
}

inline std::vector<DataType> make_model_dtypes(Input& input) {
  const std::vector<std::vector<DataType>> sets = {
      {},
      {DataType::bfloat16},
      {DataType::float16, DataType::float32},
      {DataType::bfloat16, DataType::float16, DataType::float32}};
  return input.one_of(sets);
}

inline MlaDimensions make_dimensions(Input& input) {
  return input.one_of(
      std::vector<MlaDimensions>{deepseek, wide, {64, 32, 64}, {64, 64, 128}, {128, 0, 128}});
}

inline std::vector<MlaDimensions> make_dimension_list(Input& input) {
  std::vector<MlaDimensions> result;
  for (unsigned count = input.number(3); count > 0; --count) {
    result.push_back(make_dimensions(input));
  }
  return result;
}

inline const std::vector<std::string> quantized_names = {
    "fp8", "fp8_e4m3", "fp8_e5m2", "nvfp4", "fp8_inc", "fp8_ds_mla", "mine", "yours"};

inline std::vector<std::string> make_caches(Input& input) {
  std::vector<std::string> result;
  for (unsigned count = 1 + input.number(3); count > 0; --count) {
    result.push_back(input.one_of(quantized_names));
  }
  return result;
}

inline std::vector<Row> make_rows(Input& input) {
  std::vector<Row> rows;
  for (unsigned count = 1 + input.number(4); count > 0; --count) {
    Row row;
    row.name = std::string("ROW_") + static_cast<char>('A' + rows.size());
    row.devices = make_ranges(input);
    row.model_dtypes = make_model_dtypes(input);
    row.dimensions = make_dimension_list(input);
    row.preferred_dimensions = make_dimension_list(input);
    row.head_multiple = input.one_of(std::vector<int>{1, 16, 128});
    row.fp8_queries = static_cast<Fp8Queries>(input.number(4));
    row.fp8_with_sparse = input.flag();
    row.sparse = input.number(6) == 5;
    if (row.fp8_queries != Fp8Queries::never) {
      // Some of those that it runs on.
      for (const Range& range : row.devices.empty() ? make_ranges(input) : row.devices) {
        if (input.flag()) row.fp8_devices.push_back(range);
      }
      const auto model_dtypes = row.model_dtypes.empty()
                                    ? std::vector{DataType::float16, DataType::bfloat16}
                                    : row.model_dtypes;
      for (const DataType type : model_dtypes) {
        if (input.flag()) row.fp8_model_dtypes.push_back(type);
      }
      row.fp8_caches = make_caches(input);
    }
    rows.push_back(row);
  }
  return rows;
}

inline DecodeRow make_decode_row(Input& input) {
  if (input.flag()) return input.one_of(decode_rows());
  DecodeRow row;
  row.name = "DECODE";
  row.needs_unit_scales = input.flag();
  row.sparse = input.number(4) == 3;
  row.most_heads = input.number(4) == 3 ? 16 : 0;
  row.pairs.push_back({DecodeQueries::model, {}, make_ranges(input), make_model_dtypes(input)});
  if (input.flag()) {
    row.pairs.push_back(
        {DecodeQueries::fp8, {"fp8", "fp8_e4m3"}, make_ranges(input), make_model_dtypes(input)});
  } else {
    row.pairs.push_back(
        {DecodeQueries::model, make_caches(input), make_ranges(input), make_model_dtypes(input)});
  }
  return row;
}

inline std::string make_cache_dtype(Input& input) {
  const unsigned choice = input.number(6);
  if (choice < 2) return "fp8";
  if (choice < 5) return std::string(input.one_of(caches).name);
  return input.one_of(std::vector<std::string>{"mine", "yours", "", "fp9", "a\nb\x1b[2J{}\xFF",
                                               std::string(100, 'x')});
}

inline void make_backends(Input& input, Case& made) {
  World& world = made.world;
  switch (input.number(5)) {
    case 0:
      world.rows = vllm_rows();
      break;
    case 1:
      world.rows = tensorrt_llm_rows();
      break;
    case 2:
      world.rows = make_rows(input);
      made.is_own_table = true;
      break;
    case 3:
      world.rows = input.number(6) == 0 ? tensorrt_llm_rows() : vllm_rows();
      world.named = input.one_of(world.rows).name;
      break;
    default:
      world.injected = true;
      world.supports = input.flag();
      made.reason =
          input.one_of(std::vector<std::string>{"Because.", "", "No {}\nblocker: none\x1b[2J"});
      world.fp8_data_type = static_cast<DataType>(3 + input.number(4));
  }
  if (world.named.empty()) {
    for (Row& row : world.rows) row.available = input.number(4) != 3;
  }
  if (!world.injected) world.fp8_data_type = world.device.fp8().value_or(e4m3);
}

// A configuration, now and then one that cannot be meant.
inline void make_config(Input& input, Case& made) {
  World& world = made.world;
  EngineConfig& config = world.config;
  config.cache_config.cache_dtype = make_cache_dtype(input);
  config.cache_config.checkpoint_kv_cache_quant_algo = input.one_of(
      std::vector<std::string>{"", "FP8", "nvfp4", "MIXED_PRECISION", "INT9", "\n\xFF"});
  config.cache_config.kv_scales = static_cast<KvScales>(input.number(4));
  config.cache_config.kv_scales_are_estimated = input.number(4) == 3;
  config.cache_config.k_and_v_scales_differ = input.number(4) == 3;
  AttentionConfig& attention = config.attention_config;
  attention.use_prefill_query_quantization = input.flag();
  attention.prefill_query_mode = static_cast<PrefillQueryMode>(input.number(4) == 3);
  const unsigned choice = input.number(4);
  if (choice == 1 && !world.rows.empty()) {
    attention.mla_prefill_backend = input.one_of(world.rows).name;
  } else if (choice == 2 && input.flag()) {
    attention.mla_prefill_backend = "flashinfre";
  }
  config.mla_dimensions = make_dimensions(input);
  config.index_topk = input.number(4) == 3 ? 2048 : 0;
  config.num_attention_heads = input.one_of(std::vector<int>{128, 16, 12});
  config.kv_lora_rank = input.one_of(std::vector<int>{512, 200, 2147483647});
  config.parallel_config.decode_context_parallel_size = 1 + static_cast<int>(input.number(4)) / 3;
  config.scheduler_config.enable_chunked_prefill = !input.flag();
  world.model_dtype = input.one_of(std::vector<DataType>{DataType::bfloat16, DataType::float16,
                                                         DataType::float32, DataType::bfloat16});
  if (input.number(3) == 2) attention.expected_isl = input.one_of(std::vector<int>{4096, 1});
  if (input.number(3) == 2) {
    world.speedup = input.one_of(
        std::vector<double>{1.5, 0.5, 1.05, 0.97, 1.01, 0.99, 1, 0, -1, std::nan(""), HUGE_VAL});
  }
  if (input.number(6) == 5) attention.prefill_query_mode = PrefillQueryMode::automatic;
  if (is_automatic(world) && !(attention.expected_isl && world.speedup)) made.is_valid = false;
  if (input.number(16) != 15) return;

  made.is_valid = false;
  const int bad = -static_cast<int>(input.number(2));
  switch (input.number(11)) {
    case 0:
      config.mla_dimensions.qk_nope_head_dim = bad;
      break;
    case 1:
      config.mla_dimensions.qk_rope_head_dim = bad - 1;
      break;
    case 2:
      config.mla_dimensions.v_head_dim = bad;
      break;
    case 3:
      config.num_attention_heads = bad;
      break;
    case 4:
      config.kv_lora_rank = bad;
      break;
    case 5:
      config.parallel_config.decode_context_parallel_size = bad;
      break;
    case 6:
      config.cache_config.kv_scales = static_cast<KvScales>(4 + input.number(90));
      break;
    case 7:
      attention.prefill_query_mode = static_cast<PrefillQueryMode>(3 + input.number(90));
      break;
    case 8:
      attention.expected_isl = bad;
      break;
    case 9:
      world.model_dtype = static_cast<DataType>(3 + input.number(90));
      break;
    default:
      world.fp8_data_type = static_cast<DataType>(7 + input.number(90));
  }
}

inline void make_spellings(Input& input, Case& made) {
  Spellings& spellings = made.spellings;
  switch (input.number(8)) {
    case 3:
    case 7:
      spellings.request_fp8 = "--fp8 {on}";
      break;
    case 5:
      spellings.request_fp8 = R"(--config '{"fp8_prefill": true}')";
      break;
    case 6:
      spellings.request_fp8.clear();
  }
  spellings.kv_cache_dtype = input.one_of(std::vector<std::string>{
      spellings.kv_cache_dtype, "--kv=%", "kv_cache: %", "--kv {%}", "--kv-cache", ""});
}

// What bars FP8 queries, or the flag, from rows of the engine's own.
inline void make_facts_of_rows(Input& input, Case& made) {
  const std::vector<std::vector<KvScales>> scales = {
      {},
      {KvScales::unknown, KvScales::calibrated, KvScales::unit},
      {KvScales::calibrated},
      {KvScales::dynamic}};
  made.has_unused_tables = input.flag();
  if (!made.is_own_table) return;
  for (Row& row : made.world.rows) {
    if (input.flag()) row.ignores_flag_on = make_ranges(input);
    if (row.fp8_queries == Fp8Queries::never) continue;
    row.fp8_over_ranks = !input.flag();
    row.fp8_scales = input.one_of(scales);
    if (input.flag()) row.fp8_caches = {input.one_of(std::vector<std::string>{"fp8_e4m3", "fp8"})};
  }
}

inline Case make_case(Input& input) {
  Case made;
  World& world = made.world;
  world.device = make_device(input);
  make_backends(input, made);
  make_config(input, made);
  const unsigned kv_predicate = input.number(8);
  if (kv_predicate > 4) world.kv_predicate = static_cast<KvPredicate>(kv_predicate - 4);
  if (input.flag()) {
    world.decode_row = make_decode_row(input);
  } else {
    world.decode_supports = input.flag();
  }
  const unsigned throws = input.number(20);
  if (throws < 4) made.throws = "kspd"[throws];
  made.local_rank = input.number(8) == 7 ? 1 : 0;
  if (input.flag()) made.refused_request_level = LogLevel::warning;
  make_spellings(input, made);
  make_facts_of_rows(input, made);
  return made;
}

}  // namespace mla_dtype::fuzz
