// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/mla_dtype.h>
#include <mla_dtype/once_sink.h>

mla_dtype::DataType prefill_query_data_type(const mla_dtype::EngineConfig& config) {
  return mla_dtype::determine_prefill_query_data_type(
      config, mla_dtype::DataType::bfloat16,
      mla_dtype::make_environment(mla_dtype::cuda(/*major=*/9, /*minor=*/0), "FLASH_ATTN"));
}
