// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/engine_profile.h>

#include "facts/rows.h"

// SGLang, python/sglang/srt/layers/attention/ and arg_groups/, each file at the commit beside it.

namespace mla_dtype {
namespace {

using Devices = std::vector<DeviceRange>;

// FP8 attention whenever the pool is float8_e4m3fn: there is no flag.
PrefillBackend by_kv_cache(const char* name, Devices devices) {
  PrefillBackend backend;
  backend.name = name;
  backend.devices = std::move(devices);
  backend.fp8_queries = Fp8Queries::by_kv_cache;
  backend.fp8_kv_cache_dtypes = {"fp8_e4m3"};
  return backend;
}

PrefillBackend sparse(const char* name) {
  PrefillBackend backend;
  backend.name = name;
  backend.devices = {cuda_family(9), cuda_family(10)};
  backend.sparse = true;
  return backend;
}

// In the order in which SGLang takes them by default (model_overrides/deepseek_v2.py@0bc643895).
std::vector<PrefillBackend> sglang_prefill_backends() {
  PrefillBackend aiter;
  aiter.name = "aiter";
  aiter.devices = {rocm("gfx942"), rocm("gfx950")};
  aiter.ignores_flag_on = {rocm("gfx950")};  // SGLANG_AITER_FP8_PREFILL_ATTN; @003c5589f

  // dsa_backend.py@0034a3803. q8 (sglang#30514, 2026-07-08) only where an operator chooses it.
  PrefillBackend q8 = by_kv_cache("flashmla_sparse_q8", {cuda_family(9)});
  PrefillBackend trtllm = by_kv_cache("trtllm", {cuda_family(10)});
  for (PrefillBackend* row : {&q8, &trtllm}) row->sparse = row->fp8_with_sparse = true;

  return {
      trtllm,
      sparse("flashmla_sparse"),
      sparse("flashmla_kv"),
      q8,
      // trtllm_mla_backend.py@0042fd977. 12.x passes its check, but takes triton by default.
      by_kv_cache("trtllm_mla", {cuda_family(10)}),
      by_kv_cache("fa3", {cuda(9, 0)}),  // flashattention_backend.py@003e7b77a
      aiter,
  };
}

// Of decoding over ranks nothing is known but where it is said.
DecodePair pair(DecodeQueries queries, std::vector<std::string> kv_caches, Devices devices) {
  DecodePair result = detail::decode_pair(queries, std::move(kv_caches), std::move(devices));
  result.with_decode_context_parallel = false;
  return result;
}

DecodeBackend sglang_decode(const char* name, std::vector<DecodePair> pairs, bool is_sparse) {
  DecodeBackend backend = detail::decode_backend(name, std::move(pairs));
  backend.sparse = is_sparse;
  return backend;
}

std::vector<DecodeBackend> sglang_decode_backends() {
  constexpr auto fp8 = DecodeQueries::fp8;
  constexpr auto model = DecodeQueries::model;
  const Devices hopper = {cuda(9, 0)};
  const Devices blackwell = {cuda_family(10)};
  const Devices both = {cuda_family(9), cuda_family(10)};
  // bfloat16 by its other spelling is refused (overrides.py@003bbaf9a).
  DecodePair trtllm_model = pair(model, {"auto", "bf16"}, blackwell);
  // cutedsl_mla_backend.py@0e73a1333
  DecodePair cutedsl_model = pair(model, {}, blackwell);
  DecodePair cutedsl_fp8 = pair(fp8, {"fp8_e4m3"}, blackwell);
  for (DecodePair* each : {&cutedsl_model, &cutedsl_fp8}) {
    each->with_decode_context_parallel = true;
  }
  DecodePair aiter = pair(model, {}, {rocm("gfx942"), rocm("gfx950")});
  aiter.heads = {{4, 8, 12, 16, 32, 48, 64, 80, 96, 112, 128}, 0, 0};  // aiter_backend.py@003c5589f
  // But for trtllm, sparse FP8 is FlashMLA's layout.
  DecodePair packed = pair(model, {"fp8_e4m3"}, both);
  packed.stored_as = "fp8_ds_mla";
  return {
      sglang_decode("trtllm_mla", {trtllm_model, pair(fp8, {"fp8_e4m3"}, blackwell)}, false),
      sglang_decode("tokenspeed_mla", {pair(fp8, {"fp8_e4m3"}, blackwell)}, false),  // @029806e7d
      sglang_decode("cutedsl_mla", {cutedsl_model, cutedsl_fp8}, false),
      sglang_decode("fa3", {pair(model, {}, hopper), pair(model, {"fp8_e4m3"}, hopper)}, false),
      sglang_decode("aiter", {aiter}, false),
      // dsa_backend.py@0034a3803. The default of 9.0 is fa3, with FP8 flashmla_kv; that of 10.x
      // trtllm, where `auto` comes to fp8_e4m3 (arg_groups/overrides.py@003bbaf9a): an operator has
      // to say which.
      sglang_decode("fa3", {pair(model, {"auto", "bf16", "bfloat16"}, hopper)}, true),
      sglang_decode(
          "trtllm",
          {pair(model, {"bf16", "bfloat16"}, blackwell), pair(fp8, {"fp8_e4m3"}, blackwell)}, true),
      sglang_decode("flashmla_kv", {packed}, true),
      sglang_decode("flashmla_sparse",
                    {pair(model, {"auto", "bf16", "bfloat16"}, hopper),
                     pair(model, {"bf16", "bfloat16"}, blackwell), packed},
                    true),
  };
}

EngineProfile make_sglang() {
  EngineProfile engine;
  engine.name = "SGLang";
  engine.facts_as_of =
      "0.5.14, trtllm_mla_backend.py@0042fd977 and dsa_backend.py@0034a3803, read in November "
      "2026. Not read: flashinfer, flashmla, triton, wave, tilelang; which of the sparse backends "
      "prefills in 16 bits. Those are chosen by --dsa-prefill-backend";
  engine.prefill_backends = sglang_prefill_backends();
  engine.decode_backends = sglang_decode_backends();
  engine.selection = BackendSelection::first_usable;
  engine.spellings = {"", "--kv-cache-dtype %", "--prefill-attention-backend %",
                      "--decode-attention-backend %"};
  // mem_cache/kv_cache_dtype.py; fp4_e2m1 as older versions have it (fields/model.py@0116c6066).
  engine.kv_cache_formats = {
      {{"bf16", false, DataType::bfloat16, false, KvCacheScales::none}, {}},
      {{"fp4_e2m1", true, DataType::uint8, true, KvCacheScales::packed}, {}},
  };
  // python/sglang/srt/server_args.py; there is no bare `fp8`.
  engine.kv_cache_dtypes = {"auto", "fp8_e4m3", "fp8_e5m2", "bf16", "bfloat16", "fp4_e2m1"};
  return engine;
}

}  // namespace

// Never destroyed: an engine may ask while it shuts down.
const EngineProfile& sglang_engine() {
  static const auto& engine = *new const EngineProfile(make_sglang());
  return engine;
}

}  // namespace mla_dtype
