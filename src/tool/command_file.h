// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "command_line.h"

namespace mla_dtype::tool {

/// Reads the YAML file that the settings name as `config` into the other ones, as far as it is
/// simple; the rest is noted. std::invalid_argument where versions of TensorRT-LLM differ in
/// whether the file or the command line counts.
void read_command_file(CommandLine& command);

/// Reads TensorRT-LLM's `--set PATH=VALUE`, which outranks the rest.
void set_path(CommandLine& command, const std::string& path_and_value);

}  // namespace mla_dtype::tool
