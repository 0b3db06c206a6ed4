// SPDX-License-Identifier: Apache-2.0
#pragma once

// The plan and the advice once more: see tables.h. Without this a data type of a plan, or a remedy,
// that differs from the rules could go unnoticed.

#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules.h"
#include "tables.h"

namespace mla_dtype::fuzz {

struct Plan {
  bool no_kernel = false;  // AttentionPlanRefused
  bool no_fp8 = false;     // PrefillQueryRefused
  DataType storage, view, prefill, decode;
  std::optional<DataType> workspace;
  std::string prefill_backend, decode_backend, stored_as;
  std::vector<CautionKind> cautions;
  std::optional<std::size_t> cache_bytes, workspace_bytes;

  bool is_refused() const { return no_kernel || no_fp8; }
};

// Null: it is not read.
inline const DecodeRow::Reads* decode_reads(const World& world, const DecodeRow& row,
                                            bool in_model_dtype, const std::string& cache_dtype) {
  const EngineConfig& config = world.config;
  const MlaDimensions& dimensions = config.mla_dimensions;
  const auto latent = static_cast<std::size_t>(config.kv_lora_rank) +
                      static_cast<std::size_t>(dimensions.qk_rope_head_dim);
  const auto takes = [](const auto& items, const auto& item) {
    return items.empty() || holds(items, item);
  };
  if (row.sparse != is_sparse(world) || !takes(row.latents, latent) ||
      !takes(row.qk_nope, dimensions.qk_nope_head_dim) || !takes(row.dimensions, dimensions)) {
    return nullptr;
  }
  const std::int64_t heads =
      config.num_attention_heads * config.parallel_config.decode_context_parallel_size;
  const bool any_heads = row.one_of.empty() && row.most_heads == 0 && row.multiple_of == 0;
  if (!any_heads && heads > row.most_heads && !holds(row.one_of, heads) &&
      (row.multiple_of == 0 || heads % row.multiple_of != 0)) {
    return nullptr;
  }
  for (const auto& pair : row.pairs) {
    const bool reads = (in_model_dtype && pair.caches.empty()) || holds(pair.caches, cache_dtype);
    const bool here = pair.devices.empty() || contain(pair.devices, world.device);
    const bool computes = pair.queries != DecodeQueries::fp8 || world.device.fp8();
    // DeepSeek's layout keeps the rotary part apart.
    const std::string& stored = pair.stored_as.empty() ? cache_dtype : pair.stored_as;
    const bool has_all_parts = stored != "fp8_ds_mla" || dimensions.qk_rope_head_dim > 0;
    if (reads && here && has_all_parts && takes(pair.model_dtypes, world.model_dtype) && computes &&
        (pair.over_ranks || !is_spread(world))) {
      return &pair;
    }
  }
  return nullptr;
}

// In the order in which they are tried.
inline std::vector<const DecodeRow*> decode_candidates(const World& world, bool quantized) {
  if (world.decode_table.empty()) return {&*world.decode_row};
  std::vector<const DecodeRow*> result;
  for (const bool preferred : {true, false}) {
    for (const DecodeRow& row : world.decode_table) {
      const bool goes_first = (row.preferred_with_quantized && quantized) ||
                              world.config.num_attention_heads <= row.preferred_up_to_heads;
      const bool is_asked_for = world.decode_named.empty() || row.name == world.decode_named;
      if (is_asked_for && goes_first == preferred) result.push_back(&row);
    }
  }
  return result;
}

inline bool has_decode_rows(const World& world) {
  return world.decode_row || !world.decode_table.empty();
}

struct Decoding {
  const DecodeRow* row = nullptr;
  const DecodeRow::Reads* pair = nullptr;  // null: nothing reads the KV cache
};

inline Decoding decode(const World& world, const Setting& setting) {
  const std::string cache_dtype = *effective(world, setting.cache_dtype);
  const bool quantized = is_quantized(world, cache_dtype);
  const Cache* asked = find_cache(world, cache_dtype);
  const KvScales scales = world.config.cache_config.kv_scales;
  const bool in_model_dtype =
      !quantized && (asked == nullptr || !asked->storage || asked->storage == world.model_dtype);
  // The checkpoint's FP8 has no spelling of the operator's, so that it does not ask for another
  // format either.
  const bool is_by_checkpoint = setting.cache_dtype == "auto" && cache_dtype == "fp8_e4m3";
  for (const DecodeRow* row : decode_candidates(world, quantized)) {
    const DecodeRow::Reads* pair = decode_reads(world, *row, in_model_dtype, cache_dtype);
    if (pair == nullptr && is_by_checkpoint) {
      pair = decode_reads(world, *row, false, "fp8");
      if (pair != nullptr && !pair->stored_as.empty()) pair = nullptr;
    }
    const bool are_scales_refused = quantized && row->needs_unit_scales &&
                                    (scales == KvScales::calibrated || scales == KvScales::dynamic);
    if (pair != nullptr && !are_scales_refused) return {row, pair};
  }
  return {};
}

inline std::size_t bits(DataType type) {
  const std::string_view name = to_string(type);
  if (name.find("32") != name.npos) return 32;
  return name.find("8") != name.npos ? 8 : 16;
}

// What the KV cache is stored as, and what that takes.
inline void describe_cache(const World& world, const Setting& setting, Plan& result) {
  const EngineConfig& config = world.config;
  const std::string typed = *effective(world, setting.cache_dtype);
  const std::string cache_dtype = result.stored_as.empty() ? typed : result.stored_as;
  const bool quantized = is_quantized(world, typed) || !result.stored_as.empty();
  const Cache* cache = find_cache(world, cache_dtype);
  if (cache != nullptr && cache->quantized == quantized) {
    result.storage = cache->storage.value_or(world.model_dtype);
    result.view = cache->view.value_or(world.model_dtype);
  } else {
    result.storage = result.view = quantized ? byte_type : world.model_dtype;
  }
  if (world.fp8_data_type == DataType::float8_e4m3fnuz) {
    if (result.view == e4m3) result.view = DataType::float8_e4m3fnuz;
    if (result.view == DataType::float8_e5m2) result.view = DataType::float8_e5m2fnuz;
  }
  if (config.scheduler_config.enable_chunked_prefill) {
    result.workspace = result.prefill;
    if (cache_dtype == "fp8_ds_mla") result.workspace = DataType::bfloat16;
    if (is_spread(world)) result.workspace = world.model_dtype;
  }
  const auto rank = static_cast<std::size_t>(config.kv_lora_rank);
  const auto rope = static_cast<std::size_t>(config.mla_dimensions.qk_rope_head_dim);
  const bool one_scale = cache_dtype.substr(0, 3) == "fp8" && cache != nullptr &&
                         cache_dtype != "fp8_per_token_head" && result.view != byte_type;
  const bool is_own_plain = is_plain_fp8(world, cache_dtype);
  const bool is_turboquant = cache_dtype.substr(0, 10) == "turboquant";
  if ((!quantized && !is_turboquant) || one_scale || is_own_plain)
    result.cache_bytes = (rank + rope) * bits(result.storage) / 8;
  // DeepSeek's layout: a byte for each element of the latent, a float32 scale for each 128 of them,
  // and the rotary part in bfloat16.
  if (quantized && cache_dtype == "fp8_ds_mla") {
    result.cache_bytes = rank + (rank + 127) / 128 * 4 + rope * 2;
  }
  if (cache != nullptr && cache->token_bytes != 0) result.cache_bytes = cache->token_bytes;
  if (result.workspace) result.workspace_bytes = (rank + rope) * bits(*result.workspace) / 8;
}

inline Plan plan(const World& world, const Setting& setting) {
  const EngineConfig& config = world.config;
  const std::string cache_dtype = *effective(world, setting.cache_dtype);
  const bool quantized = is_quantized(world, cache_dtype);
  const KvScales scales = config.cache_config.kv_scales;
  Plan result{};

  result.prefill = decide(world, setting).data_type;
  result.no_fp8 = config.attention_config.prefill_query_mode == PrefillQueryMode::required &&
                  !is_fp8(result.prefill);
  bool ignores_flag = false;
  if (!world.injected) {
    const Row* row = selected(world, setting);
    result.no_kernel = row == nullptr;
    if (row != nullptr) result.prefill_backend = row->name;
    ignores_flag = row != nullptr && contain(row->ignores_flag_on, world.device);
  }

  bool decodes_in_fp8 = quantized && is_plain_fp8(world, cache_dtype) && world.decode_supports;
  Decoding decoding;
  if (has_decode_rows(world)) {
    decoding = decode(world, setting);
    const DecodeRow::Reads* pair = decoding.pair;
    decodes_in_fp8 = pair != nullptr && pair->queries == DecodeQueries::fp8;
    if (pair == nullptr) result.no_kernel = true;
    if (pair != nullptr) result.stored_as = pair->stored_as;
    if (pair != nullptr) result.decode_backend = decoding.row->name;
  }
  describe_cache(world, setting, result);
  result.decode = decodes_in_fp8 ? world.fp8_data_type : world.model_dtype;

  const bool computes_in_fp8 = is_fp8(result.prefill) || decodes_in_fp8;
  if (computes_in_fp8 && scales == KvScales::unit) {
    result.cautions.push_back(CautionKind::unit_scales);
  }
  if (computes_in_fp8 && scales == KvScales::unknown) {
    result.cautions.push_back(CautionKind::unknown_scales);
  }
  if (computes_in_fp8 && config.cache_config.k_and_v_scales_differ) {
    result.cautions.push_back(CautionKind::unequal_scales);
  }
  if (computes_in_fp8 && config.cache_config.kv_scales_are_estimated) {
    result.cautions.push_back(CautionKind::estimated_scales);
  }
  const bool is_stored_quantized = quantized || !result.stored_as.empty();
  if (is_stored_quantized && !decodes_in_fp8) result.cautions.push_back(CautionKind::storage_only);
  if (ignores_flag) result.cautions.push_back(CautionKind::flag_ignored);
  const bool is_device_known = !world.injected || has_decode_rows(world);
  if (is_device_known && computes_in_fp8 && !world.device.fp8()) {
    result.cautions.push_back(CautionKind::no_fp8_units);
  }
  const bool is_wrong_in_some_version = decoding.row != nullptr && decoding.row->known_wrong;
  if (decodes_in_fp8 && is_wrong_in_some_version) {
    result.cautions.push_back(CautionKind::known_wrong);
  }
  return result;
}

// Advice.

using Changes = std::set<std::pair<std::string, std::string>>;  // KV-cache dtype, backend

// Of those that come to the same, the first spelling in the order of `caches`.
inline Changes without_repetitions(const World& world, const Changes& changes) {
  std::vector<Cache> all(std::begin(caches), std::end(caches));
  all.insert(all.end(), world.own_caches.begin(), world.own_caches.end());
  Changes result;
  for (const auto& [cache_dtype, choice] : changes) {
    bool is_repetition = false;
    for (const Cache& before : all) {
      if (before.name == cache_dtype) break;
      is_repetition |= are_one_format(before.name, cache_dtype) &&
                       changes.count({std::string(before.name), choice}) == 1;
    }
    if (!is_repetition) result.emplace(cache_dtype, choice);
  }
  return result;
}

// The least changes, beside requesting FP8 queries, that give them by `gives_fp8(setting)`.
template <class GivesFp8>
Changes least_changes(const World& world, bool may_change_cache, GivesFp8 gives_fp8) {
  const Setting base = setting_of(world);
  const auto gives = [&](const std::string& cache_dtype, const std::string& choice) {
    return gives_fp8({true, cache_dtype, choice});
  };
  // There is no flag to turn on.
  if (is_automatic(world) && !base.requested) return {};
  if (gives(base.cache_dtype, base.choice)) return {{"", ""}};
  std::vector<std::string> cache_dtypes, choices;
  std::vector<Cache> all(std::begin(caches), std::end(caches));
  all.insert(all.end(), world.own_caches.begin(), world.own_caches.end());
  for (const Cache& cache : all) {
    // What auto comes to is offered by its own name.
    const bool other = cache.name != base.cache_dtype && cache.name != "auto";
    const bool is_settable = world.settable.empty() || holds(world.settable, cache.name);
    if (may_change_cache && other && is_settable) cache_dtypes.emplace_back(cache.name);
  }
  for (const Row& row : world.rows) {
    if (row.name != base.choice) choices.push_back(row.name);
  }
  Changes enough;
  for (const std::string& cache_dtype : cache_dtypes) {
    if (gives(cache_dtype, base.choice)) enough.emplace(cache_dtype, "");
  }
  for (const std::string& choice : choices) {
    if (gives(base.cache_dtype, choice)) enough.emplace("", choice);
    for (const std::string& cache_dtype : cache_dtypes) {
      if (gives(cache_dtype, choice)) enough.emplace(cache_dtype, choice);
    }
  }
  // A KV cache alone that is stored like the one of the pair, or the backend alone.
  const auto has_one_to_spare = [&](const std::string& cache_dtype, const std::string& choice) {
    return std::any_of(enough.begin(), enough.end(), [&](const auto& smaller) {
      return smaller.first.empty()
                 ? smaller.second == choice
                 : smaller.second.empty() && are_one_format(smaller.first, cache_dtype);
    });
  };
  Changes result;
  for (const auto& [cache_dtype, choice] : without_repetitions(world, enough)) {
    const bool is_double = !cache_dtype.empty() && !choice.empty();
    if (!is_double || !has_one_to_spare(cache_dtype, choice)) result.emplace(cache_dtype, choice);
  }
  return result;
}

// The same, were there no bars for a KV cache that is spread over ranks, or for its scales.
inline World without_bars(World world) {
  for (Row& row : world.rows) {
    row.fp8_over_ranks = true;
    row.fp8_scales.clear();
  }
  return world;
}

}  // namespace mla_dtype::fuzz
