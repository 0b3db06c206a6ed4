// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/data_type.h>

#include <string_view>

namespace mla_dtype::detail {

/// Whether the value is one of the enumerators.
constexpr bool is_data_type(DataType type) { return type <= DataType::uint8; }

/// Throws std::invalid_argument for a type, known or not, that `field` may not have.
[[noreturn]] void throw_bad_data_type(std::string_view field, DataType type,
                                      std::string_view accepted);

/// Throws std::invalid_argument for a data type that no model has.
void check_model_data_type(DataType model_dtype);

}  // namespace mla_dtype::detail
