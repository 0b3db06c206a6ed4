// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/engine_profile.h>

#include <utility>

#include "facts/fp8_row.h"

namespace mla_dtype {
namespace {

constexpr MlaDimensions deepseek_r1 = {128, 64, 128};
constexpr MlaDimensions wide = {192, 64, 256};

// Those that were asked about. Of newer ones nothing is known.
DeviceRange cuda_from(int major, int minor) { return {cuda(major, minor), cuda(12, 9)}; }
DeviceRange cdna() { return {rocm("gfx90a"), rocm("gfx950")}; }

// Order, devices, model dtypes and dimensions: vllm/v1/attention/backends/mla/prefill/, selector.py
// and a file for each backend. FP8 queries: vllm/model_executor/layers/attention/mla_attention.py,
// backend_supports_prefill_query_quantization. KV-cache formats: they cast queries, keys and values
// with one scale per tensor, which fp8_ds_mla (vllm/models/kimi_k3/nvidia/mla.py) and the formats
// with more scales have no place for, and to E4M3, which fp8_e5m2 is not. Outputs
// (flashinfer@fb28d724): trtllm_ragged_attention_deepseek refuses FP8 ones only; CUTLASS ragged
// (csrc/fmha_cutlass_sm100.cu, DISPATCH_DTYPE_IN_OUT) writes bfloat16 from FP8 queries, into
// whatever it is given.
std::vector<PrefillBackend> make_prefill_backends() {
  PrefillBackend aiter;
  aiter.name = "ROCM_AITER_FA";  // first on ROCm: vllm#45033
  aiter.devices = {rocm("gfx942"), rocm("gfx950")};
  aiter.ignores_flag_on = {rocm("gfx950")};  // vllm#42509

  PrefillBackend flash_attn;
  flash_attn.name = "FLASH_ATTN";
  flash_attn.devices = {cuda_from(8, 0), cdna()};
  flash_attn.dimensions = {deepseek_r1, wide, {64, 64, 128}};  // vllm#48631, #48855

  PrefillBackend trtllm_ragged;
  trtllm_ragged.name = "TRTLLM_RAGGED";
  trtllm_ragged.devices = {cuda_family(10)};
  trtllm_ragged.dimensions = {deepseek_r1, wide};
  trtllm_ragged.preferred_dimensions = {wide};

  PrefillBackend flashinfer;
  flashinfer.name = "FLASHINFER";
  flashinfer.devices = {cuda_family(10)};
  flashinfer.dimensions = {deepseek_r1};

  PrefillBackend tokenspeed = flashinfer;
  tokenspeed.name = "TOKENSPEED_MLA";

  flashinfer.fp8_model_dtypes = {DataType::bfloat16};

  return {aiter, flash_attn, detail::with_fp8_queries(trtllm_ragged),
          detail::with_fp8_queries(flashinfer), detail::with_fp8_queries(tokenspeed)};
}

// Decode. What each backend reads, and with which queries, is what its class in vLLM@cda3868f5
// (2026-08-21; vllm/v1/attention/backends/mla/) answers: supported_dtypes,
// supported_kv_cache_dtypes, supports_compute_capability and supports_combination, executed;
// tests/reference/vllm_decode.csv has the answers.

using Devices = std::vector<DeviceRange>;

// A KV cache in the model dtype, with queries in it.
DecodePair unquantized(Devices devices) {
  DecodePair pair;
  pair.devices = std::move(devices);
  pair.model_dtypes = {DataType::float16, DataType::bfloat16};
  return pair;
}

// Plain E4M3.
DecodePair plain_fp8(DecodeQueries queries, Devices devices) {
  DecodePair pair = unquantized(std::move(devices));
  pair.queries = queries;
  pair.kv_cache_dtypes = {"fp8", "fp8_e4m3"};
  return pair;
}

DecodeBackend make_backend(const char* name, std::vector<DecodePair> pairs) {
  DecodeBackend backend;
  backend.name = name;
  backend.pairs = std::move(pairs);
  return backend;
}

// In the order of vllm/platforms/cuda.py for capability 10.x and rocm.py. On other devices that
// order is the same but for rows that do not run there.
std::vector<DecodeBackend> make_decode_backends() {
  const Devices hopper = {cuda_family(9)};
  const Devices blackwell = {cuda_family(10)};

  // Queries are E4M3 with E5M2, too.
  DecodePair aiter_fp8 = plain_fp8(DecodeQueries::fp8, {cdna()});
  aiter_fp8.kv_cache_dtypes.emplace_back("fp8_e5m2");

  DecodeBackend cutlass = make_backend(
      "CUTLASS_MLA", {unquantized(blackwell), plain_fp8(DecodeQueries::fp8, blackwell)});
  cutlass.needs_unit_scales = true;  // vllm#37054

  return {
      make_backend("ROCM_AITER_MLA", {unquantized({cdna()}), aiter_fp8}),
      make_backend("FLASHINFER_MLA",
                   {unquantized(blackwell), plain_fp8(DecodeQueries::fp8, blackwell)}),
      make_backend("TOKENSPEED_MLA", {plain_fp8(DecodeQueries::fp8, blackwell)}),
      cutlass,
      make_backend("FLASH_ATTN_MLA", {unquantized(hopper)}),
      make_backend("FLASHMLA", {unquantized(hopper), plain_fp8(DecodeQueries::fp8, hopper)}),
      // Dequantizes as it loads (vllm#34597): FP8 from capability 8.9 on (vllm#47060).
      make_backend("TRITON_MLA", {unquantized({cuda_from(8, 0), cdna()}),
                                  plain_fp8(DecodeQueries::model, {cuda_from(8, 9), cdna()})}),
  };
}

}  // namespace

// Never destroyed: an engine may ask while it shuts down.
const EngineProfile& vllm_engine() {
  static const auto& engine =
      *new const EngineProfile{"vLLM",
                               "cda3868f5, 2026-08-21",
                               make_prefill_backends(),
                               make_decode_backends(),
                               BackendSelection::first_usable,  // selector.py; vllm#50181
                               {}};
  return engine;
}

const std::vector<PrefillBackend>& vllm_prefill_backends() {
  return vllm_engine().prefill_backends;
}

const std::vector<DecodeBackend>& vllm_decode_backends() { return vllm_engine().decode_backends; }

}  // namespace mla_dtype
