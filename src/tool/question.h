// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>
#include <mla_dtype/cost_model.h>
#include <mla_dtype/data_type.h>
#include <mla_dtype/platform.h>
#include <mla_dtype/prefill_backend.h>

#include <optional>
#include <string>
#include <vector>

#include "arguments.h"

namespace mla_dtype::tool {

/// What the arguments come to.
struct Question {
  Platform platform;
  std::string device_name;  ///< as the runtime reports it; empty: not known
  DataType model_dtype = DataType::bfloat16;
  EngineConfig config;
  std::optional<std::string> decode_backend;   ///< none: no plan is asked for
  std::optional<PrefillCostModel> cost_model;  ///< none: nothing is predicted
  std::vector<std::string> notes;              ///< on what was not given, or is not looked at
};

/// The table that the chosen backend is in, or vLLM's.
const std::vector<PrefillBackend>& backends_for(const AttentionConfig& attention);

/// Reads the files that the arguments name, too. Throws std::invalid_argument for what cannot be
/// meant, naming the option.
Question read_question(const CLI::App& app, const Arguments& arguments);

}  // namespace mla_dtype::tool
