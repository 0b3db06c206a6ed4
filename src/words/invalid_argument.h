// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mla_dtype::detail {

/// The value between double quotes, fit for a log: control characters, invalid UTF-8, quotes and
/// backslashes escaped, cut after 64 bytes (followed by `...`).
std::string in_quotes(std::string_view value);

/// The text with its control characters, as an engine's own reason may hold them, as spaces.
std::string one_line(std::string_view text);

/// Throws std::invalid_argument: "<field>: <value> is not accepted; accepted: <what>".
[[noreturn]] void throw_invalid_argument(std::string_view field, std::string_view value,
                                         std::string_view accepted);

/// Throws it for a name that is not safe in a record and on a command line: letters, digits, `_`,
/// `-` and `.` are.
void check_name(std::string_view field, std::string_view name);

/// The same for a value of the enumeration `type` that is none of its enumerators.
[[noreturn]] void throw_out_of_range(std::string_view field, std::string_view type, unsigned value);

/// The enumerator's name; std::invalid_argument for a value of `type` that is out of range.
template <class Enum, std::size_t count>
std::string_view enumerator_name(const std::string_view (&names)[count], std::string_view field,
                                 std::string_view type, Enum value) {
  const auto number = static_cast<std::size_t>(value);
  if (number >= count) throw_out_of_range(field, type, static_cast<unsigned>(number));
  return names[number];
}

/// The same where the accepted values have names. The one nearest to `value`, if one is near, comes
/// first; then `forms` if there are too many names to list them all, else the other names.
[[noreturn]] void throw_unknown_name(std::string_view field, std::string_view value,
                                     const std::vector<std::string_view>& names,
                                     std::string_view forms = {});

}  // namespace mla_dtype::detail
