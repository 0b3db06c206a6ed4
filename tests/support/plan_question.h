// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>

#include <string>

#include "engine_config.h"
#include "injected_engine.h"

namespace mla_dtype::testing {

/// Expects AttentionPlanRefused, with `expected` matching its text.
template <class Call, class Matcher>
void expect_refused(Call call, const Matcher& expected) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const AttentionPlanRefused& refused) {
    EXPECT_THAT(std::string(refused.what()), expected);
  }
}

/// A decode backend of the engine's own that reads FlashMLA's packed layout.
inline DecodeBackend packed_backend() {
  DecodePair pair;
  pair.kv_cache_dtypes = {"fp8_ds_mla"};
  pair.model_dtypes = {DataType::bfloat16};
  DecodeBackend backend;
  backend.name = "PACKED";
  backend.pairs = {pair};
  return backend;
}

/// One question to the plan, with the tables of backends, and `PACKED`.
struct Question {
  std::string device, prefill_backend, decode_backend;
  EngineConfig config;
  DataType model_dtype = DataType::bfloat16;

  AttentionPlan plan() const {
    EngineConfig asked = config;
    asked.attention_config.mla_prefill_backend = prefill_backend;
    const Platform platform = make_platform(device);
    return plan_attention_data_types(
        asked, model_dtype, make_environment(platform, vllm_prefill_backends()),
        decode_backend == "PACKED" ? make_decode_environment(platform, packed_backend())
                                   : make_decode_environment(platform, decode_backend));
  }
};

/// DeepSeek-V3 on B200 with everything in FP8 that can be.
inline Question deepseek_v3() {
  Question question;
  question.device = "10.0";
  question.decode_backend = "FLASHINFER_MLA";
  question.config = make_config("fp8", true);
  question.config.cache_config.kv_scales = KvScales::calibrated;
  return question;
}

/// An engine that answers for its decode backend, too.
struct InjectedPlan : InjectedEngine {
  InjectedPlan(bool quantized, bool prefill, const Support& decode_supports)
      : InjectedEngine(quantized, prefill, "No prefill kernels.") {
    decode.decode_backend_supports_quantized_query = [this, decode_supports](const EngineConfig&,
                                                                             DataType) {
      asked.emplace_back("decode");
      return decode_supports;
    };
  }

  AttentionPlan plan(const EngineConfig& config) {
    return plan_attention_data_types(config, DataType::bfloat16, env, decode);
  }

  DecodeEnvironment decode;
};

}  // namespace mla_dtype::testing
