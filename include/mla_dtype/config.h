// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/features.h>

#include <cstdint>
#include <optional>

namespace mla_dtype {

// What the operator asked for, and of which model, by the names of vLLM's configuration and Hugging
// Face's config.json. Sizes have 64 bits, as engines hold them; above 2^31 - 1 they are refused.

/// How the scales of a quantized KV cache came to be.
enum class KvScales : std::uint8_t {
  unknown,     ///< nobody says: they may be 1 by default
  calibrated,  ///< from the checkpoint
  unit,        ///< 1: values beyond the FP8 type's range are cut off
  dynamic,     ///< computed while the model runs (`calculate_kv_scales`)
};

struct MLA_DTYPE_ABI CacheConfig {
  std::string cache_dtype = "auto";  ///< as the operator gave it: see kv_cache_formats()
  /// The KV-cache quantization that the checkpoint was made for, as its `kv_cache_quant_algo` names
  /// it (`FP8`); what `auto` then means, also to is_quantized_kv_cache predicates. Empty: none.
  std::string checkpoint_kv_cache_quant_algo{};
  KvScales kv_scales = KvScales::unknown;
  bool kv_scales_are_estimated = false;  ///< from a few tokens, or another model's; cautioned about
  bool k_and_v_scales_differ = false;    ///< although MLA has one latent for both; cautioned about
};

/// How strongly FP8 prefill queries are asked for.
enum class PrefillQueryMode : std::uint8_t {
  by_flag,    ///< use_prefill_query_quantization asks for them; without them the model runs, too
  required,   ///< the model cannot run without them, whatever the flag says: an error at init.
              ///< Kimi-K3 with a plain FP8 KV cache (vllm/models/kimi_k3/nvidia/mla.py)
  automatic,  ///< asks for them, whatever the flag says, if they are predicted (Environment) to be
              ///< faster at the expected ISL; both are needed
};

struct MLA_DTYPE_ABI AttentionConfig {
  /// Asks for prefill queries, keys and values in FP8. Off by default: it gains up to 1.28x at ISL
  /// 128K (vllm#39751: kernel latency) and costs about 20 % at ISL 1024 (vllm#39752).
  bool use_prefill_query_quantization = false;
  PrefillQueryMode prefill_query_mode = PrefillQueryMode::by_flag;
  std::string mla_prefill_backend{};  ///< the operator's choice; empty: it is open
  /// The input sequence length that the engine expects, in tokens, 1 or more; none: it cannot say.
  std::optional<std::int64_t> expected_isl{};
};

/// The dimensions of an attention head, in elements; the rotary one may be 0. The defaults are
/// those of DeepSeek-V2, -V3 and -R1 and of Kimi-K2.
struct MlaDimensions {
  std::int64_t qk_nope_head_dim = 128;  ///< queries and keys, the part without a rotary embedding
  std::int64_t qk_rope_head_dim = 64;   ///< queries and keys, the part with one
  std::int64_t v_head_dim = 128;

  friend constexpr bool operator==(const MlaDimensions& a, const MlaDimensions& b) noexcept {
    return a.qk_nope_head_dim == b.qk_nope_head_dim && a.qk_rope_head_dim == b.qk_rope_head_dim &&
           a.v_head_dim == b.v_head_dim;
  }
  friend constexpr bool operator!=(const MlaDimensions& a, const MlaDimensions& b) noexcept {
    return !(a == b);
  }
};

struct ParallelConfig {
  std::int64_t decode_context_parallel_size = 1;  ///< ranks that a sequence's KV cache spans (DCP)
};

struct SchedulerConfig {
  bool enable_chunked_prefill = true;
  /// The tokens of a chunk of a long input, 1 or more; none: predictions take it for one piece.
  std::optional<std::int64_t> max_num_batched_tokens{};
};

struct MLA_DTYPE_ABI EngineConfig {
  CacheConfig cache_config{};
  AttentionConfig attention_config{};
  MlaDimensions mla_dimensions{};
  std::int64_t kv_lora_rank = 512;  ///< elements of the latent that stands for keys and values
  std::int64_t num_attention_heads = 128;  ///< of one rank
  ParallelConfig parallel_config{};
  SchedulerConfig scheduler_config{};
  std::int64_t index_topk = 0;  ///< tokens that sparse attention looks at; 0: dense attention
};

/// How an engine's operators set a thing: what they type, with `%` for the value (or the value
/// behind it; `request_fp8` has none). Keys of one JSON object are given as `--option '{"key": %}'`
/// and put together where two are set. Empty: in words. By default vLLM's.
struct MLA_DTYPE_ABI Spellings {
  std::string request_fp8 = R"(--attention-config '{"use_prefill_query_quantization": true}')";
  std::string kv_cache_dtype = "--kv-cache-dtype %";
  std::string prefill_backend = R"(--attention-config '{"mla_prefill_backend": "%"}')";
  std::string decode_backend = "--attention-backend %";
};

}  // namespace mla_dtype
