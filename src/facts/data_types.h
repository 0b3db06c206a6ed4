// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/data_type.h>

namespace mla_dtype::detail {

/// Whether the value is one of the enumerators.
constexpr bool is_data_type(DataType type) { return type <= DataType::uint8; }

/// Whether a model can be of this data type.
constexpr bool is_model_data_type(DataType type) { return type <= DataType::bfloat16; }

}  // namespace mla_dtype::detail
