// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/engine_profile.h>

#include "facts/rows.h"

namespace mla_dtype {
namespace {

const std::vector<DeviceRange>& fp8_devices() {
  static const std::vector<DeviceRange> devices = {cuda(9, 0), cuda(10, 0), cuda(10, 3),
                                                   cuda(12, 0), cuda(12, 1)};
  return devices;
}

// FP8 queries: TensorRT-LLM, cpp/tensorrt_llm/thop/attentionOp.cpp, mFP8ContextMLA; capability 12.1
// counts as 12.0 there (cpp/tensorrt_llm/common/cudaUtils.h, getSMVersion). On other devices, taken
// to be those from capability 8.0 on, the context phase runs in 16 bits. Output: TensorRT-LLM#7581.
PrefillBackend context_mla() {
  PrefillBackend fmha;
  fmha.name = "TRTLLM_FMHA";
  fmha.devices = {DeviceRange(cuda(8, 0), cuda(12, 9))};
  fmha.fp8_devices = fp8_devices();
  fmha.fp8_model_dtypes = {DataType::bfloat16};
  return detail::with_fp8_queries(fmha);
}

// The same file, mFP8GenerationMLA: FP8 with each FP8 KV cache. Latent: kv_lora_rank 512 and
// qk_rope_head_dim 64 (cpp/tensorrt_llm/common/attentionOp.cpp@eea41b73a). Over ranks, and sparse
// attention: not read.
DecodeBackend generation_mla() {
  DecodePair model = detail::decode_pair(DecodeQueries::model, {}, fp8_devices());
  DecodePair fp8 = detail::decode_pair(DecodeQueries::fp8, {"fp8"}, fp8_devices());
  for (DecodePair* pair : {&model, &fp8}) pair->with_decode_context_parallel = false;
  DecodeBackend backend = detail::decode_backend("TRTLLM", {model, fp8});
  backend.latent_sizes = {576};
  return backend;
}

EngineProfile make_tensorrt_llm() {
  EngineProfile engine;
  engine.name = "TensorRT-LLM";
  engine.facts_as_of =
      "1.3, attentionOp.cpp as read in November 2026; sparse attention, NVFP4 and context "
      "parallelism were not read";
  PrefillBackend context = context_mla();
  context.fp8_queries = Fp8Queries::by_kv_cache;  // there is no flag
  context.fp8_kv_cache_dtypes = {"fp8"};          // KvCacheConfig.dtype
  engine.prefill_backends = {context};
  engine.decode_backends = {generation_mla()};
  engine.selection = BackendSelection::first_usable;
  engine.spellings = {"", "--kv_cache_dtype %", "", ""};  // trtllm-serve: TensorRT-LLM#11487
  engine.kv_cache_dtypes = {"auto", "fp8", "nvfp4"};      // the same
  return engine;
}

}  // namespace

// Never destroyed: an engine may ask while it shuts down.
const EngineProfile& tensorrt_llm_engine() {
  static const auto& engine = *new const EngineProfile(make_tensorrt_llm());
  return engine;
}

const std::vector<PrefillBackend>& tensorrt_llm_prefill_backends() {
  static const auto& backends = *new const std::vector<PrefillBackend>{context_mla()};
  return backends;
}

}  // namespace mla_dtype
