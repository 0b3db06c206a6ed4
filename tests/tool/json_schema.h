// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace mla_dtype::tool {

/// What is wrong with the value by the JSON Schema (draft 2020-12) that the tool installs; empty:
/// nothing. A keyword that this does not know is wrong, too.
std::string schema_errors(const nlohmann::ordered_json& value);

}  // namespace mla_dtype::tool
