// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/config.h>

namespace mla_dtype::testing {

inline constexpr MlaDimensions deepseek = {128, 64, 128};
inline constexpr MlaDimensions wide = {192, 64, 256};
/// That no FP8 kernel is for.
inline constexpr MlaDimensions odd = {64, 64, 128};

}  // namespace mla_dtype::testing
