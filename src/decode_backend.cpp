// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/decode_backend.h>

#include <algorithm>

namespace mla_dtype {
namespace {

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

std::vector<DecodeBackend> make_backends() {
  const Devices blackwell = {cuda_family(10)};
  const Devices flashmla_devices = {cuda(9, 0), cuda_family(10)};
  const Devices mi300 = {rocm("gfx942"), rocm("gfx950")};

  // FlashInfer: trtllm-gen on 10.0, 10.3 and 10.7 takes FP8 with FP8 and 16 bits with 16 bits
  // (flashinfer#5290), XQA on 12.0 and 12.1 FP8 with FP8 and bfloat16 with bfloat16; on 9.0 an FP8
  // cache goes with bfloat16 queries only (flashinfer#3694).
  const Devices trtllm_gen = {cuda(10, 0), cuda(10, 3), cuda(10, 7)};
  const Devices xqa = {cuda(12, 0), cuda(12, 1)};
  const Devices hopper = {cuda(9, 0)};
  DecodePair bfloat16_on_hopper = plain_fp8(DecodeQueries::model, hopper);
  bfloat16_on_hopper.model_dtypes = {DataType::bfloat16};

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
      make_backend("FLASHINFER_MLA",
                   {unquantized(trtllm_gen), plain_fp8(DecodeQueries::fp8, trtllm_gen),
                    unquantized_bfloat16(xqa), plain_fp8(DecodeQueries::fp8, xqa),
                    unquantized(hopper), bfloat16_on_hopper}),
      make_backend("FLASHMLA", {unquantized(flashmla_devices),
                                plain_fp8(DecodeQueries::fp8, flashmla_devices), packed}),
      cutlass,
      make_backend("TOKENSPEED_MLA",
                   {unquantized(blackwell), plain_fp8(DecodeQueries::fp8, blackwell)}),
      make_backend("ROCM_AITER_MLA", {unquantized(mi300), plain_fp8(DecodeQueries::fp8, mi300)}),
      make_backend("TRITON_MLA", {triton_unquantized, triton}),
      make_backend("FLASHATTN_MLA", {unquantized(hopper)}),  // FlashAttention 3; no FP8 KV cache
  };
}

template <class Items, class Item>
bool holds(const Items& items, const Item& item) {
  return std::find(items.begin(), items.end(), item) != items.end();
}

bool runs_on(const DecodePair& pair, const Platform& platform) {
  const bool has_fp8 = fp8_data_type(platform).has_value();
  if (pair.queries == DecodeQueries::fp8 && !has_fp8) return false;
  return pair.devices.empty() ||
         std::any_of(pair.devices.begin(), pair.devices.end(),
                     [&](const DeviceRange& range) { return range.contains(platform); });
}

}  // namespace

// Never destroyed, like the tables of prefill backends. Where neither FlashInfer's nor vLLM's
// sources say more, the devices are those that the backend is made for and the model dtypes are 16
// bits wide (vllm/model_executor/layers/attention/mla_attention.py, supports_quant_query_input).
const std::vector<DecodeBackend>& vllm_decode_backends() {
  static const auto& backends = *new const std::vector<DecodeBackend>(make_backends());
  return backends;
}

DecodeQueries decode_queries(const DecodeBackend& backend, const Platform& platform,
                             std::string_view kv_cache_dtype, DataType model_dtype) noexcept {
  for (const DecodePair& pair : backend.pairs) {
    const bool reads_cache = kv_cache_dtype.empty() ? pair.kv_cache_dtypes.empty()
                                                    : holds(pair.kv_cache_dtypes, kv_cache_dtype);
    const bool takes_model = pair.model_dtypes.empty() || holds(pair.model_dtypes, model_dtype);
    if (reads_cache && takes_model && runs_on(pair, platform)) return pair.queries;
  }
  return DecodeQueries::none;
}

}  // namespace mla_dtype
