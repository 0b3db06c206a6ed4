// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>

#include <cstdint>
#include <string_view>

namespace mla_dtype::detail {

// All throw std::invalid_argument.

/// For a number below 1.
void check_positive(std::string_view field, std::int64_t value);

void check_dimensions(const MlaDimensions& dimensions);

/// For an enumerator out of range or a number below 1.
void check_config(const EngineConfig& config);

}  // namespace mla_dtype::detail
