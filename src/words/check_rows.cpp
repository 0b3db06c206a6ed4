// SPDX-License-Identifier: Apache-2.0
#include "decision/prefill_question.h"
#include "words/form.h"
#include "words/invalid_argument.h"

namespace mla_dtype::detail {
namespace {

void check_types(std::string_view field, const std::vector<DataType>& types) {
  for (const DataType type : types) check_model_data_type(type, field);
}

void check_prefill_backend(const PrefillBackend& backend) {
  check_name("prefill backend's name", backend.name);
  const std::string row = filled("prefill backend {}, ", backend.name);
  check_types(row + "model_dtypes", backend.model_dtypes);
  check_types(row + "fp8_model_dtypes", backend.fp8_model_dtypes);
  check_at_least(1, row + "head_multiple", backend.head_multiple);
  for (const auto* all : {&backend.dimensions, &backend.preferred_dimensions}) {
    for (const MlaDimensions& dimensions : *all) check_dimensions(dimensions);
  }
  const bool never = backend.fp8_queries == Fp8Queries::never;
  check_enumerator(row + "fp8_queries", "Fp8Queries", backend.fp8_queries, Fp8Queries::by_kv_cache);
  check_that(never == backend.fp8_kv_cache_dtypes.empty(), row + "fp8_kv_cache_dtypes",
             never ? "some" : "none",
             never ? "none where FP8 queries are never taken"
                   : "at least one where FP8 queries are taken");
  for (const std::string& name : backend.fp8_kv_cache_dtypes) {
    const auto* const format = find_kv_cache_format(name);
    check_that(!name.empty() && (format == nullptr || format->quantized),
               row + "fp8_kv_cache_dtypes", in_quotes(name), "quantized KV-cache dtypes");
  }
  for (const KvScales scales : backend.fp8_kv_scales) {
    check_enumerator(row + "fp8_kv_scales", "KvScales", scales, KvScales::dynamic);
  }
  for (const DeviceRange& range : backend.fp8_devices) {
    check_that(!never && accepts(backend.devices, range), row + "fp8_devices", to_string(range),
               never ? "none where FP8 queries are never taken" : "those that it runs on");
  }
}

void check_decode_backend(const DecodeBackend& backend) {
  check_name("decode backend's name", backend.name);
  const std::string row = filled("decode backend {}, ", backend.name);
  for (const MlaDimensions& dimensions : backend.dimensions) check_dimensions(dimensions);
  for (const DecodePair& pair : backend.pairs) {
    check_types(row + "model_dtypes", pair.model_dtypes);
    check_at_least(0, row + "heads.up_to", pair.heads.up_to);
    check_at_least(0, row + "heads.multiple_of", pair.heads.multiple_of);
    for (const int heads : pair.heads.one_of) check_at_least(1, row + "heads.one_of", heads);
    const bool is_fp8_pair = pair.queries == DecodeQueries::fp8;
    check_that(is_fp8_pair ? !pair.kv_cache_dtypes.empty() : pair.queries == DecodeQueries::model,
               row + "queries", filled("DecodeQueries({})", static_cast<unsigned>(pair.queries)),
               "model; or fp8, with quantized KV caches");
    const auto* const stored = find_kv_cache_format(pair.stored_as);
    check_that(pair.stored_as.empty() || (stored != nullptr && stored->quantized),
               row + "stored_as", in_quotes(pair.stored_as), "quantized KV-cache dtypes");
    for (const std::string& name : pair.kv_cache_dtypes) {
      const auto* const format = find_kv_cache_format(name);
      const bool is_fit = format == nullptr || !is_fp8_pair || is_per_tensor_fp8(*format) ||
                          !pair.stored_as.empty();
      check_that(!name.empty() && is_fit, row + "kv_cache_dtypes", in_quotes(name),
                 is_fp8_pair ? "FP8 with one scale, and the engine's own" : "KV-cache dtypes");
    }
  }
}

}  // namespace

void check_prefill_backends(const std::vector<PrefillBackend>& backends) {
  check_that(!backends.empty(), "prefill backends", "none", "at least one");
  std::vector<std::string_view> names;
  for (const PrefillBackend& backend : backends) {
    check_prefill_backend(backend);
    check_that(add_once<std::string_view>(names, backend.name), "prefill backends",
               in_quotes(backend.name) + " twice", "each name once");
  }
}

void check_decode_backends(const std::vector<DecodeBackend>& backends) {
  check_that(!backends.empty(), "decode backends", "none", "at least one");
  for (const DecodeBackend& backend : backends) {
    check_decode_backend(backend);
    const auto is_same = [&](const DecodeBackend& other) {
      return other.name == backend.name && other.sparse == backend.sparse;
    };
    check_that(std::count_if(backends.begin(), backends.end(), is_same) == 1, "decode backends",
               in_quotes(backend.name) + " twice",
               "each name once for dense and once for sparse models");
  }
}

}  // namespace mla_dtype::detail
