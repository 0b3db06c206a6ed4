// SPDX-License-Identifier: Apache-2.0
#pragma once

// The decision once more: see tables.h. Without this a rule that the library breaks, in whatever
// combination, could go unnoticed.

#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tables.h"

namespace mla_dtype::fuzz {

// The engine, the device and the model; what an operator can change is in a Setting.

enum class KvPredicate { built_in, as_built_in, always, never };

struct World {
  Device device;
  DataType model_dtype = DataType::bfloat16;
  EngineConfig config;

  bool injected = false;  // a prefill predicate of the engine's own, which says `supports`
  bool supports = false;
  std::vector<Row> rows;
  std::string named;          // the row that make_environment() was asked for by name
  bool first_usable = false;  // the backend is selected without a look at the flag
  std::vector<Cache> own_caches;
  std::vector<std::string> settable;  // KV-cache dtypes that may be advised; empty: any
  std::string device_name;
  KvPredicate kv_predicate = KvPredicate::built_in;
  std::optional<double> speedup;  // what the engine predicts; none: it does not
  DataType fp8_data_type = e4m3;

  std::optional<DecodeRow> decode_row;
  std::vector<DecodeRow> decode_table;  // of a profile, which goes before the row
  std::string decode_named;             // the row of it that was asked for
  bool decode_supports = false;
};

struct Setting {
  bool requested;
  std::string cache_dtype, choice;
};

// Asked for where the engine says what ISL it expects, and whether FP8 pays is open.
inline std::optional<double> prediction(const World& world) {
  const AttentionConfig& attention = world.config.attention_config;
  const bool is_asked =
      attention.expected_isl && attention.prefill_query_mode != PrefillQueryMode::required;
  return is_asked ? world.speedup : std::nullopt;
}

inline const Cache* find_cache(const World& world, std::string_view name) {
  for (const Cache& own : world.own_caches) {
    if (own.name == name) return &own;
  }
  return find_cache(name);
}

inline bool is_automatic(const World& world) {
  return world.config.attention_config.prefill_query_mode == PrefillQueryMode::automatic;
}

// What auto comes to by the checkpoint; none where that is not known.
inline std::optional<std::string> effective(const World& world, const std::string& cache_dtype) {
  if (cache_dtype != "auto") return cache_dtype;
  std::string algo = world.config.cache_config.checkpoint_kv_cache_quant_algo;
  for (char& c : algo) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  if (algo.empty() || algo == "MIXED_PRECISION") return "auto";
  if (algo == "FP8") return "fp8_e4m3";
  if (algo == "NVFP4") return "nvfp4";
  return std::nullopt;
}

// E4M3 values with one scale, also of an engine's own.
inline bool is_plain_fp8(const World& world, std::string_view name) {
  const Cache* cache = find_cache(world, name);
  return is_plain_fp8(name) ||
         (cache != nullptr && find_cache(name) == nullptr && cache->view == e4m3);
}

inline bool is_quantized(const World& world, const std::string& effective_dtype) {
  if (world.kv_predicate == KvPredicate::always) return true;
  if (world.kv_predicate == KvPredicate::never) return false;
  const Cache* cache = find_cache(world, effective_dtype);
  return cache != nullptr && cache->quantized;
}

// Whether the operator's own words are accepted. What cannot be meant at all is not asked here.
inline bool is_known(const World& world, const Setting& setting) {
  const auto cache_dtype = effective(world, setting.cache_dtype);
  if (!cache_dtype) return false;
  if (world.kv_predicate == KvPredicate::built_in && find_cache(world, *cache_dtype) == nullptr) {
    return false;
  }
  return world.injected || setting.choice.empty() ||
         std::any_of(world.rows.begin(), world.rows.end(),
                     [&](const Row& row) { return row.name == setting.choice; });
}

inline bool is_sparse(const World& world) { return world.config.index_topk > 0; }

inline bool can_run_at_all(const World& world, const Row& row) {
  const std::vector<DataType> any_16_bits = {DataType::float16, DataType::bfloat16};
  return row.available && (row.devices.empty() || contain(row.devices, world.device)) &&
         holds(row.model_dtypes.empty() ? any_16_bits : row.model_dtypes, world.model_dtype) &&
         (row.dimensions.empty() || holds(row.dimensions, world.config.mla_dimensions)) &&
         world.config.num_attention_heads % row.head_multiple == 0 &&
         (!row.sparse || is_sparse(world));
}

// What the operator typed is listed letter for letter, what `auto` comes to by its format.
inline bool reads_in_fp8(const World& world, const Row& row, const std::string& typed) {
  const std::string cache_dtype = *effective(world, typed);
  if (!is_quantized(world, cache_dtype)) return false;
  const auto is_unknown = [](const std::string& name) { return find_cache(name) == nullptr; };
  for (const std::string& listed : row.fp8_caches) {
    if (listed == cache_dtype) return true;
    if (typed == "auto" && are_one_format(listed, cache_dtype)) return true;
  }
  return find_cache(world, cache_dtype) == nullptr &&
         std::none_of(row.fp8_caches.begin(), row.fp8_caches.end(), is_unknown);
}

inline bool is_spread(const World& world) {
  return world.config.parallel_config.decode_context_parallel_size > 1;
}

inline bool takes_scales(const World& world, const Row& row) {
  return row.fp8_scales.empty() || holds(row.fp8_scales, world.config.cache_config.kv_scales);
}

inline bool is_barred(const World& world, const Row& row) {
  return (is_spread(world) && !row.fp8_over_ranks) || !takes_scales(world, row);
}

// With a KV cache that it reads.
inline bool may_take_fp8(const World& world, const Row& row) {
  const bool writes_output =
      row.fp8_model_dtypes.empty() || holds(row.fp8_model_dtypes, world.model_dtype);
  return can_run_at_all(world, row) && row.fp8_queries != Fp8Queries::never && writes_output &&
         world.device.fp8() &&
         (row.fp8_devices.empty() || contain(row.fp8_devices, world.device)) &&
         !is_barred(world, row) && (!is_sparse(world) || row.sparse || row.fp8_with_sparse);
}

inline bool takes_fp8(const World& world, const Row& row, const Setting& setting) {
  return may_take_fp8(world, row) && reads_in_fp8(world, row, setting.cache_dtype);
}

inline bool runs(const World& world, const Row& row, const Setting& setting) {
  const bool gets_fp8 = setting.requested && takes_fp8(world, row, setting);
  const bool is_required =
      world.config.attention_config.prefill_query_mode == PrefillQueryMode::required;
  return can_run_at_all(world, row) &&
         (gets_fp8 || (row.fp8_queries != Fp8Queries::required && !is_required));
}

// What the engine takes without a look at the flag, where it selects so; empty: it does not.
inline std::string fixed_choice(const World& world, const Setting& setting);

// In order of preference: those that are preferred for the dimensions go first.
inline std::vector<const Row*> candidates(const World& world, const Setting& setting) {
  std::vector<const Row*> result;
  const std::string choice = fixed_choice(world, setting);
  for (const bool preferred : {true, false}) {
    for (const Row& row : world.rows) {
      const bool chosen = choice.empty() || row.name == choice;
      if (chosen && holds(row.preferred_dimensions, world.config.mla_dimensions) == preferred) {
        result.push_back(&row);
      }
    }
  }
  return result;
}

inline std::string fixed_choice(const World& world, const Setting& setting) {
  if (!setting.choice.empty() || !world.first_usable) return setting.choice;
  World any_order = world;
  any_order.first_usable = false;
  for (const Row* row : candidates(any_order, setting)) {
    if (can_run_at_all(world, *row) && row->fp8_queries != Fp8Queries::required) return row->name;
  }
  return {};
}

// Null: none can be used.
inline const Row* selected(const World& world, const Setting& setting) {
  const auto rows = candidates(world, setting);
  if (setting.requested) {
    for (const Row* row : rows) {
      if (takes_fp8(world, *row, setting)) return row;
    }
  }
  for (const Row* row : rows) {
    if (runs(world, *row, setting)) return row;
  }
  return nullptr;
}

inline bool is_requested(const World& world) {
  const AttentionConfig& attention = world.config.attention_config;
  const PrefillQueryMode mode = attention.prefill_query_mode;
  return mode == PrefillQueryMode::required ||
         (mode == PrefillQueryMode::by_flag && attention.use_prefill_query_quantization) ||
         (mode == PrefillQueryMode::automatic && prediction(world) > 1.0);
}

inline Setting setting_of(const World& world) {
  const std::string& choice = world.config.attention_config.mla_prefill_backend;
  return {is_requested(world), world.config.cache_config.cache_dtype,
          choice.empty() ? world.named : choice};
}

// The third column of the table of rows, for a KV cache that is quantized.
inline bool backend_supports(const World& world, const Setting& setting) {
  if (world.injected) return world.supports;
  if (!fixed_choice(world, setting).empty()) {
    return takes_fp8(world, *candidates(world, setting).front(), setting);
  }
  const Row* row = selected(world, setting);
  return row != nullptr && takes_fp8(world, *row, setting);
}

// The same of a KV cache that is not quantized: with some other one.
inline bool backend_would_support(const World& world, const Setting& setting) {
  if (world.injected) return world.supports;
  const auto may = [&](const Row& row) { return may_take_fp8(world, row); };
  if (!fixed_choice(world, setting).empty()) return may(*candidates(world, setting).front());
  if (setting.requested) return std::any_of(world.rows.begin(), world.rows.end(), may);
  const Row* row = selected(world, setting);
  return row != nullptr && may(*row);
}

// The backend that runs asks for FP8 queries itself.
inline bool asks_by_kv_cache(const World& world, const Setting& setting) {
  if (world.injected) return false;
  const Row* row = fixed_choice(world, setting).empty() ? selected(world, setting)
                                                        : candidates(world, setting).front();
  return row != nullptr && row->fp8_queries == Fp8Queries::by_kv_cache;
}

// Whether there is a flag: some backend takes FP8 queries by it, or none takes them at all.
inline bool has_flag(const World& world) {
  const auto count = [&](Fp8Queries queries) {
    return std::count_if(world.rows.begin(), world.rows.end(),
                         [&](const Row& row) { return row.fp8_queries == queries; });
  };
  return world.injected || count(Fp8Queries::by_kv_cache) == 0 ||
         count(Fp8Queries::optional) + count(Fp8Queries::required) > 0;
}

struct Decision {
  PrefillQueryOutcome outcome;
  DataType data_type;
  bool quantized, supports;
};

inline Decision decide(const World& world, const Setting& setting) {
  const bool quantized = is_quantized(world, *effective(world, setting.cache_dtype));
  const bool supports = quantized && backend_supports(world, setting);
  if (supports && (setting.requested || asks_by_kv_cache(world, setting))) {
    return {PrefillQueryOutcome::quantized, world.fp8_data_type, quantized, supports};
  }
  const PrefillQueryOutcome outcome = setting.requested ? PrefillQueryOutcome::request_refused
                                      : supports        ? PrefillQueryOutcome::available_but_off
                                                        : PrefillQueryOutcome::not_applicable;
  return {outcome, world.model_dtype, quantized, supports};
}

// Whether the operator is told to change the flag: where it is what decides, and 2 % are to be had.
inline bool advises_change(const World& world, const Setting& setting) {
  const auto speedup = prediction(world);
  if (!speedup || is_automatic(world)) return false;
  if (decide(world, setting).supports && asks_by_kv_cache(world, setting)) return false;
  const auto outcome = decide(world, setting).outcome;
  if (outcome == PrefillQueryOutcome::available_but_off) return *speedup >= 1.02;
  const Setting off = {false, setting.cache_dtype, setting.choice};
  const bool runs_without = world.injected || selected(world, off) != nullptr;
  return outcome == PrefillQueryOutcome::quantized && runs_without && *speedup <= 1 / 1.02;
}

}  // namespace mla_dtype::fuzz
