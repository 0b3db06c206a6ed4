// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/attention_plan.h>

#include <string>

#include "engine_config.h"

namespace mla_dtype::testing {

/// One engine on one device; its operator may have named a decode backend.
struct EngineOnDevice {
  const EngineProfile& engine;
  std::string device;
  std::string decode_backend = {};
  DataType model_dtype = DataType::bfloat16;

  AttentionPlan plan(const EngineConfig& config) const {
    return plan_attention_data_types(config, model_dtype, env(), decode());
  }
  DecodeBackendSelection select(const EngineConfig& config) const {
    return select_decode_backend(config, model_dtype, env(), decode());
  }

 private:
  Environment env() const { return make_environment(make_platform(device), engine); }
  DecodeEnvironment decode() const {
    return make_decode_environment(make_platform(device), engine, nullptr, decode_backend);
  }
};

}  // namespace mla_dtype::testing
