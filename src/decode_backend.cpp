// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/decode_backend.h>

#include "decision/attention_plan.h"

namespace mla_dtype {

DecodeQueries decode_queries(const DecodeBackend& backend, const Platform& platform,
                             std::string_view kv_cache_dtype, DataType model_dtype) noexcept {
  for (const DecodePair& pair : backend.pairs) {
    const bool reads_cache = kv_cache_dtype.empty()
                                 ? pair.kv_cache_dtypes.empty()
                                 : detail::holds(pair.kv_cache_dtypes, kv_cache_dtype);
    const bool takes_model = detail::accepts(pair.model_dtypes, model_dtype);
    if (reads_cache && takes_model && detail::runs_on(pair, platform)) return pair.queries;
  }
  return DecodeQueries::none;
}

}  // namespace mla_dtype
