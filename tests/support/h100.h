// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/cost_model.h>
#include <mla_dtype/prefill_query.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "recording_log.h"

namespace mla_dtype::testing {

/// The sentence on what a prediction came to.
inline std::string predicted(std::int64_t isl, const std::string& speedup) {
  return "At the expected ISL of " + std::to_string(isl) +
         " tokens FP8 prefill attention is predicted to be " + speedup +
         "x as fast as in the model's data type.";
}

inline EngineConfig with_isl(EngineConfig config, std::int64_t isl,
                             PrefillQueryMode mode = PrefillQueryMode::by_flag) {
  config.attention_config.expected_isl = isl;
  config.attention_config.prefill_query_mode = mode;
  return config;
}

/// An H100 with TensorRT-LLM's backend, whose FP8 prefill runs there.
struct H100 {
  explicit H100(std::string_view prefill_backend = "TRTLLM_FMHA")
      : env(make_environment(cuda(/*major=*/9, /*minor=*/0), prefill_backend)) {
    env.predict_prefill_speedup = make_prefill_speedup_predictor(h100_prefill_cost_model());
    env.log = output.log;
  }

  DataType determine(const EngineConfig& config) {
    return determine_prefill_query_data_type(config, DataType::bfloat16, env);
  }
  std::vector<Record> records() { return output.records(); }

  RecordingLog output;
  Environment env;
};

}  // namespace mla_dtype::testing
