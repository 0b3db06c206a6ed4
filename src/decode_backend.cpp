// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/decode_backend.h>

#include <algorithm>

namespace mla_dtype {
namespace {

std::vector<DecodeBackend> make_backends() {
  const std::vector<std::string> plain_fp8 = {"fp8", "fp8_e4m3"};

  // FlashInfer's kernels take FP8 with FP8 and 16 bits with 16 bits (trtllm-gen on 10.0, 10.3 and
  // 10.7, XQA on 12.0 and 12.1), but on 9.0 an FP8 cache with 16-bit queries only (flashinfer#3694,
  // flashinfer#5290).
  DecodeBackend flashinfer;
  flashinfer.name = "FLASHINFER_MLA";
  flashinfer.with_fp8_queries = {
      {{cuda(10, 0), cuda(10, 3), cuda(10, 7), cuda(12, 0), cuda(12, 1)}, plain_fp8}};
  flashinfer.with_model_queries = {{{cuda(9, 0)}, plain_fp8}};

  // Plain FP8 with FP8 queries; the packed layout with those of the model (its decode kernel takes
  // bfloat16 queries and is told that the cache is FP8).
  DecodeBackend flashmla;
  flashmla.name = "FLASHMLA";
  flashmla.with_fp8_queries = {{{cuda(9, 0), cuda_family(10)}, plain_fp8}};
  flashmla.with_model_queries = {{{cuda(9, 0), cuda_family(10)}, {"fp8_ds_mla"}}};

  // vllm#37054
  DecodeBackend cutlass;
  cutlass.name = "CUTLASS_MLA";
  cutlass.with_fp8_queries = {{{cuda_family(10)}, plain_fp8}};
  cutlass.needs_unit_scales = true;

  DecodeBackend tokenspeed;
  tokenspeed.name = "TOKENSPEED_MLA";
  tokenspeed.with_fp8_queries = {{{cuda_family(10)}, plain_fp8}};

  DecodeBackend aiter;
  aiter.name = "ROCM_AITER_MLA";
  aiter.with_fp8_queries = {{{rocm("gfx942"), rocm("gfx950")}, plain_fp8}};

  // vllm#34597
  DecodeBackend triton;
  triton.name = "TRITON_MLA";
  triton.with_model_queries = {{{}, plain_fp8}};
  triton.dequantizes_on_load = true;

  DecodeBackend flash_attn;  // reads no FP8 KV cache
  flash_attn.name = "FLASHATTN_MLA";

  return {flashinfer, flashmla, cutlass, tokenspeed, aiter, triton, flash_attn};
}

bool holds(const std::vector<DecodePair>& pairs, const Platform& platform,
           std::string_view kv_cache_dtype) {
  return std::any_of(pairs.begin(), pairs.end(), [&](const DecodePair& pair) {
    const auto& names = pair.kv_cache_dtypes;
    const bool has_device =
        pair.devices.empty()
            ? fp8_data_type(platform).has_value()
            : std::any_of(pair.devices.begin(), pair.devices.end(),
                          [&](const DeviceRange& range) { return range.contains(platform); });
    return has_device && std::find(names.begin(), names.end(), kv_cache_dtype) != names.end();
  });
}

}  // namespace

// Never destroyed, like the tables of prefill backends. The pairs are those that vLLM's backends
// have (vllm/model_executor/layers/attention/mla_attention.py: supports_quant_query_input, and the
// data types that each supports).
const std::vector<DecodeBackend>& vllm_decode_backends() {
  static const auto& backends = *new const std::vector<DecodeBackend>(make_backends());
  return backends;
}

DecodeQueries decode_queries(const DecodeBackend& backend, const Platform& platform,
                             std::string_view kv_cache_dtype) {
  if (holds(backend.with_fp8_queries, platform, kv_cache_dtype)) return DecodeQueries::fp8;
  if (holds(backend.with_model_queries, platform, kv_cache_dtype)) return DecodeQueries::model;
  return DecodeQueries::none;
}

}  // namespace mla_dtype
