// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>

namespace mla_dtype::tool {

/// The plain scalars of a YAML file: those of the top level by their key, those one level below by
/// `key.key`. None where the file cannot be read. What is no plain scalar has the value `?`: it is
/// there, and not read.
std::optional<std::map<std::string, std::string>> read_simple_yaml(const std::string& path);

}  // namespace mla_dtype::tool
