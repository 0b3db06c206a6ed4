// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/export.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mla_dtype {

/// The data type of a tensor's elements, under torch's names. The `fnuz` types (AMD gfx94x) have no
/// infinities and no negative zero, and the same bits mean half of what they mean in an `fn` type.
enum class DataType : std::uint8_t {
  float32,
  float16,
  bfloat16,
  float8_e4m3fn,
  float8_e4m3fnuz,
  float8_e5m2,
  float8_e5m2fnuz,
  int8,
  uint8,
};

namespace detail {
[[noreturn]] MLA_DTYPE_EXPORT void throw_data_type_out_of_range(DataType type);

struct DataTypeTraits {
  std::string_view name{};
  bool is_fp8 = false;
  std::size_t size = 0;
};

inline constexpr DataTypeTraits data_types[] = {
    {"float32", false, 4},        {"float16", false, 2},        {"bfloat16", false, 2},
    {"float8_e4m3fn", true, 1},   {"float8_e4m3fnuz", true, 1}, {"float8_e5m2", true, 1},
    {"float8_e5m2fnuz", true, 1}, {"int8", false, 1},           {"uint8", false, 1}};

constexpr const DataTypeTraits& traits_of(DataType type) {
  if (type > DataType::uint8) throw_data_type_out_of_range(type);
  return data_types[static_cast<std::size_t>(type)];
}
}  // namespace detail

// The functions below take no lock and do not allocate. Those that take a DataType throw
// std::invalid_argument if it is none of the enumerators.

/// torch's name of the type, without the `torch.`; its data() is null-terminated and static.
[[nodiscard]] constexpr std::string_view to_string(DataType type) {
  return detail::traits_of(type).name;
}

/// Whether an element is an 8-bit float.
[[nodiscard]] constexpr bool is_fp8(DataType type) { return detail::traits_of(type).is_fp8; }

/// The size of one element, in bytes.
[[nodiscard]] constexpr std::size_t size_in_bytes(DataType type) {
  return detail::traits_of(type).size;
}

/// The type to_string() gives exactly this name; none for any other text.
[[nodiscard]] MLA_DTYPE_EXPORT std::optional<DataType> parse_data_type(
    std::string_view name) noexcept;

/// The data type of a model (its activations) by the name that `--dtype` or a checkpoint's
/// config.json gives it: `float32`, `float16` or `bfloat16`. Anything else: std::invalid_argument.
[[nodiscard]] MLA_DTYPE_EXPORT DataType parse_model_data_type(std::string_view name);

}  // namespace mla_dtype
