// SPDX-License-Identifier: Apache-2.0
#include "check_config.h"

#include <fmt/format.h>

#include "invalid_argument.h"

namespace mla_dtype::detail {

void check_positive(std::string_view field, std::int64_t value) {
  if (value < 1) throw_invalid_argument(field, fmt::to_string(value), "1 and above");
}

void check_dimensions(const MlaDimensions& dimensions) {
  check_positive("qk_nope_head_dim", dimensions.qk_nope_head_dim);
  check_positive("qk_rope_head_dim", dimensions.qk_rope_head_dim);
  check_positive("v_head_dim", dimensions.v_head_dim);
}

void check_config(const EngineConfig& config) {
  const AttentionConfig& attention = config.attention_config;
  if (attention.prefill_query_mode > PrefillQueryMode::automatic) {
    throw_out_of_range("prefill_query_mode", "PrefillQueryMode",
                       static_cast<unsigned>(attention.prefill_query_mode));
  }
  if (attention.expected_isl) {
    check_positive("expected_isl", *attention.expected_isl);
  } else if (attention.prefill_query_mode == PrefillQueryMode::automatic) {
    throw_invalid_argument("expected_isl", "none",
                           "1 and above, where prefill_query_mode is automatic");
  }
  if (const auto& chunk = config.scheduler_config.max_num_batched_tokens) {
    check_positive("max_num_batched_tokens", *chunk);
  }
  const KvScales scales = config.cache_config.kv_scales;
  if (scales > KvScales::dynamic) {
    throw_out_of_range("kv_scales", "KvScales", static_cast<unsigned>(scales));
  }
  check_dimensions(config.mla_dimensions);
  check_positive("kv_lora_rank", config.kv_lora_rank);
  check_positive("num_attention_heads", config.num_attention_heads);
  check_positive("decode_context_parallel_size",
                 config.parallel_config.decode_context_parallel_size);
}

}  // namespace mla_dtype::detail
