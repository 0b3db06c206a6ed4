// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/cost_model.h>
#include <mla_dtype/engine_profile.h>

#include "arguments.h"

namespace mla_dtype::tool {

/// A model as it was named.
struct ModelName {
  std::string option;  ///< --model or --hf-config; empty: none was
  std::string path;
};

/// What the arguments come to, for one model.
struct Question {
  std::string_view engine_name;  ///< as --engine takes it; static
  EngineProfile engine;
  Platform platform;
  std::string device_name;      ///< as the runtime reports it; empty: not known
  std::string model_path;       ///< of its config.json; empty: none was named
  std::string model_type;       ///< empty: not known
  std::string text_model_type;  ///< of the part that has the attention
  DataType model_dtype = DataType::bfloat16;
  std::int64_t num_attention_heads = EngineConfig{}.num_attention_heads;  ///< of all ranks together
  int tensor_parallel_size = 1;
  EngineConfig config;
  std::string decode_backend;                  ///< empty: the engine selects one
  std::optional<PrefillCostModel> cost_model;  ///< none: nothing is predicted
  std::vector<std::string> notes;              ///< on what was not given, or is not looked at
};

/// The models that the arguments name, or one without a name.
std::vector<ModelName> named_models(const Arguments& arguments);

/// Reads the files that the arguments name, too. Throws std::invalid_argument for what cannot be
/// meant, naming the option.
Question read_question(const CLI::App& app, const Arguments& arguments, const ModelName& model);

}  // namespace mla_dtype::tool
