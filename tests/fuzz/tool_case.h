// SPDX-License-Identifier: Apache-2.0
#pragma once

// Cases that a command line of the tool can express, and that command line. Without this the tool
// could pass something else on than it was given.

#include <mla_dtype/mla_dtype.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "case.h"
#include "input.h"
#include "profile_case.h"
#include "tool.h"

namespace mla_dtype::fuzz {

inline std::vector<std::string> cache_dtypes_of(const World& world) {
  if (!world.settable.empty()) return world.settable;
  std::vector<std::string> result;
  for (const Cache& cache : caches) result.emplace_back(cache.name);
  return result;
}

// Names that the tool takes: of an engine that was read in part, those for such models alone.
template <class Rows>
std::vector<std::string> names_of(const Rows& rows, const Case& made) {
  std::vector<std::string> result;
  for (const auto& row : rows) {
    const bool suits = row.sparse == is_sparse(made.world);
    if (made.engine == Engine::vllm || suits) result.push_back(row.name);
  }
  return result;
}

// One that predicts about this, whatever the ISL.
inline PrefillCostModel cost_model(double speedup) {
  return {PrefillCurve{{1, speedup, 1}, {1'000'000'000, speedup * 1e6, 1e6}}};
}

/// Makes the case one that the tool can be asked; false: it is too bad for that.
inline bool make_expressible(Input& input, Case& made) {
  World& world = made.world;
  EngineConfig& config = world.config;
  const auto speedup = prediction(world);
  const bool is_speedup = !speedup || (std::isfinite(*speedup) && *speedup > 0);
  if (!made.is_valid || !is_speedup) return false;
  if (!speedup) config.attention_config.expected_isl.reset();
  world.injected = made.has_unused_tables = made.is_own_table = false;
  world.named.clear();
  world.decode_row.reset();
  world.own_caches.clear();
  world.settable.clear();
  world.kv_predicate = KvPredicate::built_in;
  world.first_usable = true;
  made.throws = 0;
  if (made.engine == Engine::none || made.engine == Engine::own) {
    made.engine = static_cast<Engine>(2 + input.number(3));
  }
  set_rows_of_engine(made);
  for (Row& row : world.rows) row.available = true;
  made.spellings = profile_of(made).spellings;
  // As the tool has them.
  if (made.engine == Engine::sglang && is_sparse(world)) {
    made.spellings.prefill_backend = "--dsa-prefill-backend %";
    made.spellings.decode_backend = "--dsa-decode-backend %";
  }
  world.fp8_data_type = world.device.fp8().value_or(e4m3);
  config.cache_config.cache_dtype = input.one_of(cache_dtypes_of(world));
  config.cache_config.kv_scales_are_estimated = config.cache_config.k_and_v_scales_differ = false;
  std::string& algo = config.cache_config.checkpoint_kv_cache_quant_algo;
  if (!holds(std::vector<std::string>{"FP8", "nvfp4", "MIXED_PRECISION"}, algo)) algo.clear();
  AttentionConfig& attention = config.attention_config;
  if (made.engine != Engine::vllm) attention.use_prefill_query_quantization = false;
  const auto prefill = names_of(world.rows, made), decode = names_of(world.decode_table, made);
  std::string& choice = attention.mla_prefill_backend;
  choice = choice.empty() || prefill.empty() ? "" : input.one_of(prefill);
  world.decode_named = input.number(3) != 2 || decode.empty() ? "" : input.one_of(decode);
  if (speedup) {
    made.cost_model = *speedup;
    world.speedup =
        make_prefill_speedup_predictor(cost_model(*speedup))(config, *attention.expected_isl);
  }
  return true;
}

/// The command line for a case, as options of the tool or as the engine's command.
class ToolWords {
 public:
  using Words = std::vector<std::string>;

  Words words_for(const Case& made) {
    words_ = rest_for(made);
    static const std::map<Engine, std::string> engines = {
        {Engine::vllm, "vllm"}, {Engine::tensorrt_llm, "tensorrt-llm"}, {Engine::sglang, "sglang"}};
    add("--engine", engines.at(made.engine));
    add("--kv-cache-dtype", made.world.config.cache_config.cache_dtype);
    add_attention(made);
    if (!made.world.decode_named.empty()) add("--decode-backend", made.world.decode_named);
    return words_;
  }

  /// What an operator sets by the engine's command line; empty: not all of it can be.
  static Words command_for(const Case& made) {
    const std::string& cache_dtype = made.world.config.cache_config.cache_dtype;
    const AttentionConfig& attention = made.world.config.attention_config;
    const std::string &prefill = attention.mla_prefill_backend, &decode = made.world.decode_named;
    Words words = {"vllm", "serve", "--kv-cache-dtype", cache_dtype};
    if (made.engine == Engine::tensorrt_llm) {
      if (!prefill.empty() || !decode.empty()) return {};
      return {"mpirun", "trtllm-serve", "--kv_cache_dtype=" + cache_dtype};
    }
    if (made.engine == Engine::sglang) {
      words = {"python3", "-m", "sglang.launch_server", "--kv-cache-dtype=" + cache_dtype};
      const bool sparse = is_sparse(made.world);
      if (!prefill.empty()) {
        words.push_back(sparse ? "--dsa-prefill-backend" : "--prefill-attention-backend");
        words.push_back(prefill);
      }
      if (!decode.empty()) {
        words.push_back(sparse ? "--dsa-decode-backend" : "--decode-attention-backend");
        words.push_back(decode);
      }
      return words;
    }
    if (attention.use_prefill_query_quantization) {
      words.emplace_back("--attention-config.use_prefill_query_quantization=true");
    }
    if (!prefill.empty()) words.push_back("--attention-config.mla_prefill_backend=" + prefill);
    if (!decode.empty()) words.insert(words.end(), {"--attention-backend", decode});
    return words;
  }

  /// All but these settings.
  Words rest_for(const Case& made) {
    const World& world = made.world;
    const EngineConfig& config = world.config;
    words_.clear();
    constexpr const char* scales[] = {"unknown", "calibrated", "unit", "dynamic"};
    constexpr const char* modes[] = {"by_flag", "required", "automatic"};
    add("--device",
        world.device_name.empty() ? to_string(world.device.platform()) : world.device_name);
    add("--kv-scales", scales[static_cast<std::size_t>(config.cache_config.kv_scales)]);
    add("--prefill-query-mode",
        modes[static_cast<std::size_t>(config.attention_config.prefill_query_mode)]);
    add_model(world);
    if (config.attention_config.expected_isl) {
      add("--expected-isl", std::to_string(*config.attention_config.expected_isl));
    }
    if (prediction(world)) add("--cost-model", cost_model_file(made.cost_model));
    add("--local-rank", std::to_string(made.local_rank));
    add("--global-rank", std::to_string(made.local_rank));
    const bool is_warning = made.refused_request_level == LogLevel::warning;
    add("--refused-request-level", is_warning ? "warning" : "info");
    words_.emplace_back("--json");
    return words_;
  }

 private:
  void add(const char* option, const std::string& value) {
    words_.push_back(std::string(option) + '=' + value);
  }

  void add_attention(const Case& made) {
    const AttentionConfig& attention = made.world.config.attention_config;
    const bool flag = attention.use_prefill_query_quantization;
    const std::string& choice = attention.mla_prefill_backend;
    if (made.engine == Engine::vllm && flag && !choice.empty()) {  // the other way
      return add("--attention-config", R"({"use_prefill_query_quantization": true, )"
                                       R"("mla_prefill_backend": ")" +
                                           choice + "\"}");
    }
    if (flag) words_.emplace_back("--use-prefill-query-quantization");
    if (!choice.empty()) add("--prefill-backend", choice);
  }

  void add_model(const World& world) {
    const EngineConfig& config = world.config;
    const std::string& algo = config.cache_config.checkpoint_kv_cache_quant_algo;
    if (!algo.empty()) add("--hf-config", checkpoint_file(algo));
    add("--model-dtype", std::string(to_string(world.model_dtype)));
    add("--qk-nope-head-dim", std::to_string(config.mla_dimensions.qk_nope_head_dim));
    add("--qk-rope-head-dim", std::to_string(config.mla_dimensions.qk_rope_head_dim));
    add("--v-head-dim", std::to_string(config.mla_dimensions.v_head_dim));
    add("--kv-lora-rank", std::to_string(config.kv_lora_rank));
    add("--num-attention-heads", std::to_string(config.num_attention_heads));
    add("--index-topk", std::to_string(config.index_topk));
    add("--decode-context-parallel-size",
        std::to_string(config.parallel_config.decode_context_parallel_size));
    const bool is_chunked = config.scheduler_config.enable_chunked_prefill;
    add("--enable-chunked-prefill", is_chunked ? "true" : "false");
  }

  std::string checkpoint_file(const std::string& algo) {
    std::string& path = checkpoints_[algo];
    if (path.empty()) {
      path = files_.write(algo + ".json", R"({"model_type": "deepseek_v3", "kv_lora_rank": 512, )"
                                          R"("quantization_config": {"quant_method": "modelopt", )"
                                          R"("kv_cache_quant_algo": ")" +
                                              algo + "\"}}");
    }
    return path;
  }

  std::string cost_model_file(double speedup) {
    std::string& path = cost_models_[speedup];
    if (path.empty()) {
      const auto curve = std::get<PrefillCurve>(cost_model(speedup).costs);
      nlohmann::json points = nlohmann::json::array();
      for (const PrefillTiming& point : curve) {
        points.push_back(
            {{"isl", point.isl}, {"bf16_ms", point.bf16_ms}, {"fp8_ms", point.fp8_ms}});
      }
      path = files_.write(std::to_string(cost_models_.size()) + ".json",
                          nlohmann::json{{"curve", points}}.dump());
    }
    return path;
  }

  OwnDirectory files_;
  std::map<std::string, std::string> checkpoints_;
  std::map<double, std::string> cost_models_;
  std::vector<std::string> words_;
};

}  // namespace mla_dtype::fuzz
