// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/engine_profile.h>

#include "facts/rows.h"

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
// tests/reference/vllm_decode.csv has the answers. Latent sizes: get_supported_head_sizes().

using Devices = std::vector<DeviceRange>;

// A KV cache in the model dtype, with queries in it.
DecodePair unquantized(Devices devices) {
  return detail::decode_pair(DecodeQueries::model, {}, std::move(devices));
}

// Plain E4M3.
DecodePair plain_fp8(DecodeQueries queries, Devices devices) {
  return detail::decode_pair(queries, {"fp8", "fp8_e4m3"}, std::move(devices));
}

DecodeBackend make_backend(const char* name, std::vector<DecodePair> pairs,
                           std::vector<std::size_t> latent_sizes = {}) {
  DecodeBackend backend = detail::decode_backend(name, std::move(pairs));
  backend.latent_sizes = std::move(latent_sizes);
  return backend;
}

DecodeBackend aiter(const char* name) {
  DecodePair model = unquantized({cdna()});
  // Queries are E4M3 with E5M2, too.
  DecodePair fp8 =
      detail::decode_pair(DecodeQueries::fp8, {"fp8", "fp8_e4m3", "fp8_e5m2"}, {cdna()});
  // Up to 128 are padded (rocm_aiter_mla.py, AiterMLAHelper; vllm#35850, #50817).
  for (DecodePair* pair : {&model, &fp8}) pair->heads = {{}, /*up_to=*/128, /*multiple_of=*/16};
  DecodeBackend backend = make_backend(name, {model, fp8});
  backend.known_wrong = "with fewer than 16 heads of a rank, before vllm#51011 (2026-08-04)";
  return backend;
}

DecodeBackend flashinfer() {
  const Devices blackwell = {cuda_family(10)};  // vllm#32732
  DecodeBackend backend =
      make_backend("FLASHINFER_MLA",
                   {unquantized(blackwell), plain_fp8(DecodeQueries::fp8, blackwell)}, {320, 576});
  backend.qk_nope_head_dims = {64, 128, 192};  // flashinfer_mla.py@002d68ef0
  return backend;                              // over ranks since vllm#54012 (2026-08-27)
}

DecodeBackend tokenspeed() {
  DecodePair fp8 = plain_fp8(DecodeQueries::fp8, {cuda_family(10)});
  fp8.with_decode_context_parallel = false;  // tokenspeed_mla.py@002285924 returns no LSE
  DecodeBackend backend = make_backend("TOKENSPEED_MLA", {fp8}, {320, 576});
  backend.dimensions = {deepseek_r1};
  return backend;
}

DecodeBackend cutlass() {
  const Devices blackwell = {cuda_family(10)};
  DecodePair model = unquantized(blackwell);
  DecodePair fp8 = plain_fp8(DecodeQueries::fp8, blackwell);
  for (DecodePair* pair : {&model, &fp8}) pair->heads.up_to = 128;  // cutlass_mla.py@008c4fe44
  DecodeBackend backend = make_backend("CUTLASS_MLA", {model, fp8}, {576});
  backend.needs_unit_scales = true;  // vllm#37054
  return backend;
}

// Models with index_topk: decode, and the prefills that are longer than that
// (mla_attention.py, sparse_mla_attention.py). None is known to decode over ranks (vllm#53134).
std::vector<DecodeBackend> sparse_backends() {
  const Devices hopper = {cuda_family(9)};
  const Devices blackwell = {cuda_family(10)};
  const auto bf16 = [](DecodePair pair) {
    pair.model_dtypes = {DataType::bfloat16};
    return pair;
  };
  const auto stored_as_ds_mla = [&](std::vector<std::string> kv_caches, Devices devices) {
    DecodePair pair =
        bf16(detail::decode_pair(DecodeQueries::model, std::move(kv_caches), std::move(devices)));
    pair.stored_as = "fp8_ds_mla";
    return pair;
  };
  const Devices both = {cuda_family(9), cuda_family(10)};
  std::vector<DecodeBackend> backends = {
      make_backend("FLASH_ATTN_MLA_SPARSE", {unquantized(hopper)}),  // @0299fca75
      // @008a0c31d; fp8_e4m3 is refused: recipes#565.
      make_backend("FLASHMLA_SPARSE",
                   {bf16(unquantized(both)), stored_as_ds_mla({"fp8"}, both),
                    bf16(detail::decode_pair(DecodeQueries::model, {"fp8_ds_mla"}, both))},
                   {576}),
      make_backend("FLASHINFER_MLA_SPARSE",  // @02bd256dc
                   {unquantized(blackwell), plain_fp8(DecodeQueries::fp8, blackwell)}, {576}),
      make_backend(
          "FLASHINFER_MLA_SPARSE_SM120",  // @034334a16
          {stored_as_ds_mla({"auto", "fp8", "fp8_e4m3"}, {cuda_family(12)}),
           bf16(detail::decode_pair(DecodeQueries::model, {"fp8_ds_mla"}, {cuda_family(12)}))},
          {576}),
      make_backend("ROCM_AITER_MLA_SPARSE",
                   {unquantized({cdna()}), plain_fp8(DecodeQueries::fp8, {cdna()})}, {576}),
  };
  DecodeBackend& flashinfer_sparse = backends[2];
  flashinfer_sparse.qk_nope_head_dims = {128, 192};
  flashinfer_sparse.preferred_with_quantized_kv_cache = true;  // vllm/platforms/cuda.py
  flashinfer_sparse.preferred_up_to_heads = 16;
  for (DecodeBackend& backend : backends) {
    backend.sparse = true;
    for (DecodePair& pair : backend.pairs) pair.with_decode_context_parallel = false;
  }
  return backends;
}

// In the order of vllm/platforms/cuda.py for capability 10.x and rocm.py. On other devices that
// order is the same but for rows that do not run there.
std::vector<DecodeBackend> make_decode_backends() {
  const Devices hopper = {cuda_family(9)};
  std::vector<DecodeBackend> backends = {
      aiter("ROCM_AITER_MLA"),
      flashinfer(),
      tokenspeed(),
      cutlass(),
      make_backend("FLASH_ATTN_MLA", {unquantized(hopper)}, {320, 576}),
      // vLLM's check lets 320 pass; FlashMLA's kernel does not (FlashMLA#78).
      make_backend("FLASHMLA", {unquantized(hopper), plain_fp8(DecodeQueries::fp8, hopper)}, {576}),
      // Dequantizes as it loads (vllm#34597): FP8 from capability 8.9 on (vllm#47060).
      make_backend("TRITON_MLA", {unquantized({cuda_from(8, 0), cdna()}),
                                  plain_fp8(DecodeQueries::model, {cuda_from(8, 9), cdna()})}),
      // Differs from its parent in prefill alone (aiter_triton_mla.py@3ac1a52fb).
      aiter("ROCM_AITER_TRITON_MLA"),
  };
  for (DecodeBackend& backend : sparse_backends()) backends.push_back(std::move(backend));
  return backends;
}

}  // namespace

// Never destroyed: an engine may ask while it shuts down.
const EngineProfile& vllm_engine() {
  static const auto& engine =
      *new const EngineProfile{"vLLM",
                               "0.24, cda3868f5, 2026-08-21",
                               make_prefill_backends(),
                               make_decode_backends(),
                               BackendSelection::first_usable,  // selector.py; vllm#50181
                               {},
                               {},
                               {}};
  return engine;
}

const std::vector<PrefillBackend>& vllm_prefill_backends() {
  return vllm_engine().prefill_backends;
}

const std::vector<DecodeBackend>& vllm_decode_backends() { return vllm_engine().decode_backends; }

}  // namespace mla_dtype
