// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/decode_backend.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_backend.h>

namespace mla_dtype {

/// How an engine selects a prefill backend where its operator chooses none.
enum class BackendSelection : std::uint8_t {
  first_usable,    ///< the first that can run, whether or not FP8 queries are requested
  first_with_fp8,  ///< where they are requested, the first that takes them
};

/// A KV-cache format of an engine's own, which plans, blockers and bytes are then right for.
struct EngineKvCacheFormat {
  KvCacheFormat format{};  ///< its name: a literal, or what lives as long
  /// Of a token and layer; null: as the elements say, or not known if it is packed.
  std::function<std::size_t(const EngineConfig& config)> token_bytes{};
};

/// What is known of one engine. An engine fills in one of its own, or starts from a copy:
///
///     EngineProfile mine = vllm_engine();
///     mine.selection = BackendSelection::first_with_fp8;
///     const auto env = make_environment(platform, mine);
struct MLA_DTYPE_ABI EngineProfile {
  std::string name{};
  std::string facts_as_of{};  ///< the version and the day of which the rest is true
  std::vector<PrefillBackend> prefill_backends{};  ///< in its order of preference
  std::vector<DecodeBackend> decode_backends{};    ///< in its order of preference
  BackendSelection selection = BackendSelection::first_with_fp8;
  Spellings spellings{};
  std::vector<EngineKvCacheFormat> kv_cache_formats{};  ///< besides those of kv_cache.h
  /// The KV-cache dtypes that its operators can set: no other is advised. Empty: all of both.
  std::vector<std::string> kv_cache_dtypes{};
};

/// vLLM, with vllm_prefill_backends() and vllm_decode_backends(): it takes the first usable one,
/// and may then refuse the request (vllm#50181, open in September 2026). These three never change.
/// Each has what its engine's code says as of `facts_as_of`, which also names what was not read.
[[nodiscard]] MLA_DTYPE_EXPORT const EngineProfile& vllm_engine();

/// TensorRT-LLM: its context and generation MLA. It has no flag: prefill runs in FP8 with each FP8
/// KV cache (tensorrt_llm_prefill_backends() has the row for an engine that has one).
[[nodiscard]] MLA_DTYPE_EXPORT const EngineProfile& tensorrt_llm_engine();

/// SGLang: no flag either; FP8 prefill with trtllm_mla and fa3 goes by the KV cache. Of models with
/// sparse attention flashmla_sparse_q8 takes FP8 queries on capability 9.x, where it is chosen.
[[nodiscard]] MLA_DTYPE_EXPORT const EngineProfile& sglang_engine();

}  // namespace mla_dtype
