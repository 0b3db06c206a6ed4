// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/data_type.h>

namespace mla_dtype::testing {

inline constexpr auto bf16 = DataType::bfloat16;
inline constexpr auto fp16 = DataType::float16;
inline constexpr auto fp32 = DataType::float32;
inline constexpr auto e4m3 = DataType::float8_e4m3fn;
/// Of a KV cache that holds no elements of one type.
inline constexpr auto bytes = DataType::uint8;

}  // namespace mla_dtype::testing
