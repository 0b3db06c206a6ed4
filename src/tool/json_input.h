// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>

#include <istream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

// Reading JSON that cannot be trusted. The functions throw std::invalid_argument for what cannot be
// meant, naming the field.

namespace mla_dtype::tool {

using Json = nlohmann::json;

/// The value as it may stand in a message: in printable ASCII, and an array or object, which may be
/// nested to any depth, only by what it is.
std::string described(const Json& value);

[[noreturn]] void reject(const std::string& what, std::string_view accepted);
[[noreturn]] void reject(const std::string& field, const Json& value, std::string_view accepted);

/// A JSON object. A key that is given twice is an error: readers differ in which of them they take.
Json parse_object(std::istream& input);

Json read_object(const std::string& path);

/// The member of that name; null where there is none, which means the same here.
const Json& member(const Json& object, const char* name);

const Json& object_or_null(const Json& object, const char* name);

/// Empty: none.
std::string string_member(const Json& object, const char* name);

std::int64_t to_positive_integer(const std::string& field, const Json& value);

/// `where` is what the object's fields are named after.
std::optional<std::int64_t> positive_integer(const Json& object, const char* name,
                                             const std::string& where = {});

/// Those that there are.
void read_dimensions(const Json& object, const std::string& where, MlaDimensions& dimensions);

}  // namespace mla_dtype::tool
