// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/decode_backend.h>
#include <mla_dtype/prefill_backend.h>

#include <iterator>
#include <utility>

#include "facts/fp8_row.h"

namespace mla_dtype {
namespace {

constexpr MlaDimensions deepseek_r1 = {128, 64, 128};
constexpr MlaDimensions wide = {192, 64, 256};

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

  PrefillBackend flash_attn;  // any device, and any dimensions: it pads
  flash_attn.name = "FLASH_ATTN";

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

// Decode.

using Devices = std::vector<DeviceRange>;

const DataType any_16_bits[] = {DataType::float16, DataType::bfloat16};

// A KV cache that is not quantized, in the model dtype.
DecodePair unquantized(const Devices& devices) {
  DecodePair pair;
  pair.devices = devices;
  pair.model_dtypes.assign(std::begin(any_16_bits), std::end(any_16_bits));
  return pair;
}

DecodePair unquantized_bfloat16(const Devices& devices) {
  DecodePair pair = unquantized(devices);
  pair.model_dtypes = {DataType::bfloat16};
  return pair;
}

// Plain E4M3.
DecodePair plain_fp8(DecodeQueries queries, const Devices& devices) {
  DecodePair pair = unquantized(devices);
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

// FlashInfer: trtllm-gen on 10.0, 10.3 and 10.7 takes FP8 with FP8 and 16 bits with 16 bits
// (flashinfer#5290), XQA on 12.0 and 12.1 FP8 with FP8 and bfloat16 with bfloat16; on 9.0 an FP8
// cache goes with bfloat16 queries only (flashinfer#3694).
DecodeBackend make_flashinfer() {
  const Devices trtllm_gen = {cuda(10, 0), cuda(10, 3), cuda(10, 7)};
  const Devices xqa = {cuda(12, 0), cuda(12, 1)};
  const Devices hopper = {cuda(9, 0)};
  DecodePair bfloat16_on_hopper = plain_fp8(DecodeQueries::model, hopper);
  bfloat16_on_hopper.model_dtypes = {DataType::bfloat16};
  return make_backend("FLASHINFER_MLA",
                      {unquantized(trtllm_gen), plain_fp8(DecodeQueries::fp8, trtllm_gen),
                       unquantized_bfloat16(xqa), plain_fp8(DecodeQueries::fp8, xqa),
                       unquantized(hopper), bfloat16_on_hopper});
}

std::vector<DecodeBackend> make_decode_backends() {
  const Devices blackwell = {cuda_family(10)};
  const Devices flashmla_devices = {cuda(9, 0), cuda_family(10)};
  const Devices mi300 = {rocm("gfx942"), rocm("gfx950")};

  // FlashMLA: the packed layout is read with bfloat16 queries.
  DecodePair packed = unquantized_bfloat16(flashmla_devices);
  packed.kv_cache_dtypes = {"fp8_ds_mla"};

  // vllm#37054
  DecodeBackend cutlass = make_backend(
      "CUTLASS_MLA", {unquantized(blackwell), plain_fp8(DecodeQueries::fp8, blackwell)});
  cutlass.needs_unit_scales = true;

  // Dequantizes as it loads: vllm#34597.
  DecodePair triton = plain_fp8(DecodeQueries::model, {});
  triton.model_dtypes = {};
  DecodePair triton_unquantized = unquantized({});
  triton_unquantized.model_dtypes = {};

  return {
      make_flashinfer(),
      make_backend("FLASHMLA", {unquantized(flashmla_devices),
                                plain_fp8(DecodeQueries::fp8, flashmla_devices), packed}),
      cutlass,
      make_backend("TOKENSPEED_MLA",
                   {unquantized(blackwell), plain_fp8(DecodeQueries::fp8, blackwell)}),
      make_backend("ROCM_AITER_MLA", {unquantized(mi300), plain_fp8(DecodeQueries::fp8, mi300)}),
      make_backend("TRITON_MLA", {triton_unquantized, triton}),
      make_backend("FLASHATTN_MLA", {unquantized({cuda(9, 0)})}),  // FlashAttention 3; no FP8 cache
  };
}

}  // namespace

// Never destroyed: an engine may ask while it shuts down.
const std::vector<PrefillBackend>& vllm_prefill_backends() {
  static const auto& backends = *new const std::vector<PrefillBackend>(make_prefill_backends());
  return backends;
}

// Where neither FlashInfer's nor vLLM's sources say more, the devices are those that the backend is
// made for and the model dtypes are 16 bits wide (vllm/model_executor/layers/attention/
// mla_attention.py, supports_quant_query_input).
const std::vector<DecodeBackend>& vllm_decode_backends() {
  static const auto& backends = *new const std::vector<DecodeBackend>(make_decode_backends());
  return backends;
}

}  // namespace mla_dtype
