// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_query.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "recording_log.h"

namespace mla_dtype::testing {

/// An environment whose predicates say what the test wants, and write down in `asked`, if there is
/// one, what they were asked.
inline Environment injected_environment(bool kv_cache_quantized, const Support& support,
                                        std::vector<std::string>* asked = nullptr) {
  Environment env;
  env.is_quantized_kv_cache = [=](std::string_view cache_dtype) {
    if (asked != nullptr) asked->push_back("kv_cache " + std::string(cache_dtype));
    return kv_cache_quantized;
  };
  env.backend_supports_prefill_query_quantization = [=](const EngineConfig& config,
                                                        DataType model_dtype) -> Support {
    if (asked != nullptr) {
      asked->push_back("backend " + config.cache_config.cache_dtype + ' ' +
                       std::string(to_string(model_dtype)));
    }
    return support;
  };
  return env;
}

/// Such an environment, with a log, and what was asked and said.
struct InjectedEngine {
  InjectedEngine(bool kv_cache_quantized, bool supports, const std::string& reason = {},
                 RankInfo rank = {})
      : output(rank),
        env(injected_environment(kv_cache_quantized, {supports, supports ? "" : reason}, &asked)) {
    env.log = output.log;
  }
  InjectedEngine(const InjectedEngine&) = delete;
  InjectedEngine& operator=(const InjectedEngine&) = delete;

  std::vector<Record> records() { return output.records(); }

  RecordingLog output;
  std::vector<std::string> asked;
  Environment env;
};

}  // namespace mla_dtype::testing
