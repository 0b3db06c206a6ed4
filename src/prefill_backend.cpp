// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_backend.h>

#include "bad_data_type.h"
#include "cache_dtype.h"
#include "check_config.h"
#include "invalid_argument.h"
#include "prefill_candidates.h"

namespace mla_dtype {
namespace {

constexpr MlaDimensions deepseek_r1 = {128, 64, 128};
constexpr MlaDimensions wide = {192, 64, 256};

// Plain E4M3 with a scale per tensor.
const char* const plain_fp8[] = {"fp8", "fp8_e4m3"};

PrefillBackend with_fp8_queries(PrefillBackend backend) {
  backend.fp8_queries = Fp8Queries::optional;
  backend.fp8_kv_cache_dtypes.assign(std::begin(plain_fp8), std::end(plain_fp8));
  return backend;
}

// Order, devices, model dtypes and dimensions: vllm/v1/attention/backends/mla/prefill/, selector.py
// and a file for each backend. FP8 queries: vllm/model_executor/layers/attention/mla_attention.py,
// backend_supports_prefill_query_quantization. KV-cache formats: they cast queries, keys and values
// with one scale per tensor, which fp8_ds_mla (vllm/models/kimi_k3/nvidia/mla.py) and the formats
// with more scales have no place for, and to E4M3, which fp8_e5m2 is not. Outputs: from FP8 queries
// FlashInfer's kernels write bfloat16 only (trtllm_ragged_attention_deepseek, and CUTLASS ragged).
std::vector<PrefillBackend> make_vllm_backends() {
  PrefillBackend aiter;
  aiter.name = "ROCM_AITER_FA";  // first on ROCm: vllm#45033
  aiter.devices = {rocm("gfx942"), rocm("gfx950")};

  PrefillBackend flash_attn;  // any device, and any dimensions: it pads
  flash_attn.name = "FLASH_ATTN";

  PrefillBackend trtllm_ragged;
  trtllm_ragged.name = "TRTLLM_RAGGED";
  trtllm_ragged.devices = {cuda_family(10)};
  trtllm_ragged.dimensions = {deepseek_r1, wide};
  trtllm_ragged.preferred_dimensions = {wide};
  trtllm_ragged.fp8_model_dtypes = {DataType::bfloat16};

  PrefillBackend flashinfer;
  flashinfer.name = "FLASHINFER";
  flashinfer.devices = {cuda_family(10)};
  flashinfer.dimensions = {deepseek_r1};

  PrefillBackend tokenspeed = flashinfer;
  tokenspeed.name = "TOKENSPEED_MLA";

  flashinfer.fp8_model_dtypes = {DataType::bfloat16};

  return {aiter, flash_attn, with_fp8_queries(trtllm_ragged), with_fp8_queries(flashinfer),
          with_fp8_queries(tokenspeed)};
}

// FP8 queries: TensorRT-LLM, cpp/tensorrt_llm/thop/attentionOp.cpp, mFP8ContextMLA; capability 12.1
// counts as 12.0 there (cpp/tensorrt_llm/common/cudaUtils.h, getSMVersion). On other devices, taken
// to be those from capability 8.0 on, the context phase runs in 16 bits. Output: TensorRT-LLM#7581.
std::vector<PrefillBackend> make_tensorrt_llm_backends() {
  PrefillBackend fmha;
  fmha.name = "TRTLLM_FMHA";
  fmha.devices = {DeviceRange(cuda(8, 0), cuda(12, 9))};
  fmha.fp8_devices = {cuda(9, 0), cuda(10, 0), cuda(10, 3), cuda(12, 0), cuda(12, 1)};
  fmha.fp8_model_dtypes = {DataType::bfloat16};
  return {with_fp8_queries(fmha)};
}

}  // namespace

// Never destroyed: an engine may ask while it shuts down.
const std::vector<PrefillBackend>& vllm_prefill_backends() {
  static const auto& backends = *new const std::vector<PrefillBackend>(make_vllm_backends());
  return backends;
}

const std::vector<PrefillBackend>& tensorrt_llm_prefill_backends() {
  static const auto& backends =
      *new const std::vector<PrefillBackend>(make_tensorrt_llm_backends());
  return backends;
}

std::string_view to_string(BlockerKind kind) {
  switch (kind) {
    case BlockerKind::not_requested:
      return "not_requested";
    case BlockerKind::kv_cache_not_quantized:
      return "kv_cache_not_quantized";
    case BlockerKind::kv_cache_format:
      return "kv_cache_format";
    case BlockerKind::dynamic_kv_scales:
      return "dynamic_kv_scales";
    case BlockerKind::decode_context_parallel:
      return "decode_context_parallel";
    case BlockerKind::head_count:
      return "head_count";
    case BlockerKind::output_dtype:
      return "output_dtype";
    case BlockerKind::backend_device:
      return "backend_device";
    case BlockerKind::backend_without_fp8:
      return "backend_without_fp8";
    case BlockerKind::fp8_device:
      return "fp8_device";
    case BlockerKind::model_dtype:
      return "model_dtype";
    case BlockerKind::dimensions:
      return "dimensions";
    case BlockerKind::backend_unavailable:
      return "backend_unavailable";
    case BlockerKind::backend_refused:
      return "backend_refused";
    case BlockerKind::backend_needs_fp8:
      return "backend_needs_fp8";
  }
  detail::throw_out_of_range("kind", "BlockerKind", static_cast<unsigned>(kind));
}

PrefillBackendSelection select_prefill_backend(const EngineConfig& config, DataType model_dtype,
                                               const Platform& platform,
                                               const std::vector<PrefillBackend>& backends,
                                               const PrefillBackendAvailability& is_available) {
  detail::check_config(config);
  detail::check_model_data_type(model_dtype);
  if (config.attention_config.prefill_query_mode == PrefillQueryMode::automatic) {
    detail::throw_invalid_argument("prefill_query_mode", "automatic",
                                   "by_flag, required; with an Environment automatic, too");
  }
  const bool quantized = is_quantized_kv_cache(detail::effective_cache_dtype(config));
  const detail::PrefillCandidates candidates(platform, backends, is_available);
  const auto* const chosen = candidates.choice(config.attention_config, nullptr);
  return candidates.selection({config, model_dtype, quantized, chosen, std::nullopt});
}

}  // namespace mla_dtype
