// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/attention_plan.h>

#include <string>

#include "engine_config.h"

namespace mla_dtype::testing {

/// One engine on one device; its operator may have named a decode backend.
struct EngineOnDevice {
  EngineOnDevice(const EngineProfile& of, const std::string& on,
                 const std::string& decode_backend = {}, DataType type = DataType::bfloat16)
      : engine(of),
        device(on),
        model_dtype(type),
        env(make_environment(make_platform(on), of)),
        decode(make_decode_environment(make_platform(on), of, nullptr, decode_backend)) {}

  AttentionPlan plan(const EngineConfig& config) const {
    return plan_attention_data_types(config, model_dtype, env, decode);
  }
  DecodeBackendSelection select(const EngineConfig& config) const {
    return select_decode_backend(config, model_dtype, env, decode);
  }
  /// Whether there is something to run with, without a plan.
  bool runs(const EngineConfig& config) const {
    return !select(config).name.empty() &&
           !select_prefill_backend(config, model_dtype, env).name.empty();
  }

  const EngineProfile& engine;
  std::string device;
  DataType model_dtype;
  Environment env;
  DecodeEnvironment decode;
};

}  // namespace mla_dtype::testing
