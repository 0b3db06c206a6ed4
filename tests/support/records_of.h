// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_query.h>

#include <memory>
#include <vector>

#include "recording_log.h"

namespace mla_dtype::testing {

/// What a determination says where nothing was said before.
inline std::vector<Record> records_of(const EngineConfig& config,
                                      const Environment& env_without_log,
                                      DataType model_dtype = DataType::bfloat16) {
  RecordingLog output;
  Environment env = env_without_log;
  env.log = output.log;
  determine_prefill_query_data_type(config, model_dtype, env);
  return output.records();
}

}  // namespace mla_dtype::testing
