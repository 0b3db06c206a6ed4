// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mla_dtype::tool {

/// An option of an engine that is read.
struct EngineOption {
  std::string_view name;     ///< with `-` for `_`, without the dashes before it
  std::string_view setting;  ///< the option of this tool, or a word for what is worked out later
  std::string_view value{};  ///< of an option that takes none
};

/// Those of the engine of this name.
const std::vector<EngineOption>& options_of(std::string_view engine);

/// EngineOption::name of an option as it is written.
std::string option_key(std::string option);

/// Null: not read.
const EngineOption* find_option(std::string_view engine, std::string_view name);

/// Whether an option that is not read takes no value, by its name.
bool is_switch(std::string_view name);

/// std::invalid_argument for a name that is almost one of those that are read.
void check_option_spelling(std::string_view engine, const std::string& name);

}  // namespace mla_dtype::tool
