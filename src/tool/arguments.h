// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/once_log.h>

#include <CLI/CLI.hpp>
#include <vector>

namespace mla_dtype::tool {

/// What the command line says, as typed but for numbers.
struct Arguments {
  std::string engine = "vllm";
  std::string kv_cache_dtype = "auto";
  bool use_prefill_query_quantization = false;
  std::string prefill_backend = "auto";
  std::string attention_config;
  std::string prefill_query_mode = "by_flag";
  std::optional<int> expected_isl;
  std::optional<int> max_num_batched_tokens;
  std::string cost_model;
  bool curve = false;
  int context_tokens = 0;
  std::optional<std::string> hf_config;
  std::vector<std::string> models;
  std::string model_dtype = "bfloat16";
  MlaDimensions dimensions;
  std::int64_t kv_lora_rank = EngineConfig{}.kv_lora_rank;
  std::int64_t num_attention_heads = EngineConfig{}.num_attention_heads;
  std::int64_t index_topk = 0;
  std::string kv_scales = "unknown";
  int tensor_parallel_size = 1;
  int decode_context_parallel_size = 1;
  bool enable_chunked_prefill = true;
  std::string decode_backend = "auto";
  std::string device = "none";
  RankInfo rank;
  std::string refused_request_level = "info";
  bool matrix = false;
  bool json = false;
  bool verbose = false;
};

/// Adds the options, which read into `arguments`.
void add_options(CLI::App& app, Arguments& arguments);

/// Throws std::invalid_argument for an option that would not matter beside `--matrix` or `--curve`.
void check_combination(const CLI::App& app, const Arguments& arguments);

}  // namespace mla_dtype::tool
