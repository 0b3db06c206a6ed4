// SPDX-License-Identifier: Apache-2.0
#pragma once

// A case for a human, who has to find out which side is wrong.

#include <mla_dtype/mla_dtype.h>

#include <cstdio>
#include <string>
#include <vector>

#include "case.h"
#include "restatement/rules.h"

namespace mla_dtype::fuzz {

inline std::string in_words(const Row& row) {
  std::string text = "  row " + row.name + (row.available ? "" : " (not available)");
  for (const Range& range : row.devices) {
    text +=
        " [" + to_string(range.first.platform()) + ".." + to_string(range.last.platform()) + "]";
  }
  text += " fp8_queries " + std::to_string(static_cast<int>(row.fp8_queries));
  for (const std::string& cache : row.fp8_caches) text += " " + cache;
  if (row.sparse) text += ", sparse";
  if (row.fp8_with_sparse) text += ", fp8_with_sparse";
  if (!row.fp8_over_ranks) text += ", not over ranks";
  return text + "\n";
}

inline std::string in_words(const Case& made) {
  const World& world = made.world;
  const EngineConfig& config = world.config;
  const AttentionConfig& attention = config.attention_config;
  const auto number = [](auto value) { return std::to_string(static_cast<long long>(value)); };
  std::string text = "engine " + number(made.engine) + ", device " +
                     to_string(world.device.platform()) + " \"" + world.device_name + "\", model " +
                     number(world.model_dtype) + ", fp8 " + number(world.fp8_data_type) + "\n";
  text += "KV cache \"" + config.cache_config.cache_dtype + "\" of checkpoint \"" +
          config.cache_config.checkpoint_kv_cache_quant_algo + "\", scales " +
          number(config.cache_config.kv_scales) + ", predicate " + number(world.kv_predicate) +
          "\n";
  text += "flag " + number(attention.use_prefill_query_quantization) + ", mode " +
          number(attention.prefill_query_mode) + ", choice \"" + attention.mla_prefill_backend +
          "\", named \"" + world.named + "\", first usable " + number(world.first_usable) +
          ", speedup " + std::to_string(prediction(world).value_or(-1)) + "\n";
  const MlaDimensions& sizes = config.mla_dimensions;
  text += "sizes " + number(sizes.qk_nope_head_dim) + " " + number(sizes.qk_rope_head_dim) + " " +
          number(sizes.v_head_dim) + ", rank " + number(config.kv_lora_rank) + ", heads " +
          number(config.num_attention_heads) + ", index_topk " + number(config.index_topk) +
          ", over ranks " + number(config.parallel_config.decode_context_parallel_size) + "\n";
  text += "injected " + number(world.injected) + " " + number(world.supports) +
          ", decode named \"" + world.decode_named + "\", row \"" +
          (world.decode_row ? world.decode_row->name : "") + "\", throws " + number(made.throws) +
          ", valid " + number(made.is_valid) + "\n";
  for (const Cache& cache : world.own_caches) {
    text +=
        "  own cache " + std::string(cache.name) + ", quantized " + number(cache.quantized) + "\n";
  }
  for (const Row& row : world.rows) text += in_words(row);
  for (const DecodeRow& row : world.decode_table) text += "  decode " + row.name + "\n";
  return text;
}

}  // namespace mla_dtype::fuzz
