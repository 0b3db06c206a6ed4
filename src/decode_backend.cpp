// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/decode_backend.h>

#include "decision/blockers.h"

namespace mla_dtype {
namespace {

bool runs_on(const DecodePair& pair, const Platform& platform) {
  const bool has_fp8 = fp8_data_type(platform).has_value();
  if (pair.queries == DecodeQueries::fp8 && !has_fp8) return false;
  return detail::accepts(pair.devices, platform);
}

}  // namespace

DecodeQueries decode_queries(const DecodeBackend& backend, const Platform& platform,
                             std::string_view kv_cache_dtype, DataType model_dtype) noexcept {
  for (const DecodePair& pair : backend.pairs) {
    const bool reads_cache = kv_cache_dtype.empty()
                                 ? pair.kv_cache_dtypes.empty()
                                 : detail::holds(pair.kv_cache_dtypes, kv_cache_dtype);
    const bool takes_model = detail::accepts(pair.model_dtypes, model_dtype);
    if (reads_cache && takes_model && runs_on(pair, platform)) return pair.queries;
  }
  return DecodeQueries::none;
}

}  // namespace mla_dtype
