// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/export.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mla_dtype {

/// The data type of a tensor's elements, under torch's names.
///
/// The FP8 types differ in more than their range: `fnuz` types (AMD gfx94x) have no infinities and
/// no negative zero, and the same bits mean half the value they mean in the `fn` type.
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
}  // namespace detail

// The functions below take no lock and do not allocate. Those that take a DataType throw
// std::invalid_argument if it is none of the enumerators.

/// torch's name of the type, without the `torch.`; its data() is null-terminated and static.
constexpr std::string_view to_string(DataType type) {
  switch (type) {
    case DataType::float32:
      return "float32";
    case DataType::float16:
      return "float16";
    case DataType::bfloat16:
      return "bfloat16";
    case DataType::float8_e4m3fn:
      return "float8_e4m3fn";
    case DataType::float8_e4m3fnuz:
      return "float8_e4m3fnuz";
    case DataType::float8_e5m2:
      return "float8_e5m2";
    case DataType::float8_e5m2fnuz:
      return "float8_e5m2fnuz";
    case DataType::int8:
      return "int8";
    case DataType::uint8:
      return "uint8";
  }
  detail::throw_data_type_out_of_range(type);
}

/// Whether an element is an 8-bit float.
constexpr bool is_fp8(DataType type) {
  switch (type) {
    case DataType::float8_e4m3fn:
    case DataType::float8_e4m3fnuz:
    case DataType::float8_e5m2:
    case DataType::float8_e5m2fnuz:
      return true;
    case DataType::float32:
    case DataType::float16:
    case DataType::bfloat16:
    case DataType::int8:
    case DataType::uint8:
      return false;
  }
  detail::throw_data_type_out_of_range(type);
}

/// The size of one element, in bytes.
constexpr std::size_t size_in_bytes(DataType type) {
  switch (type) {
    case DataType::float32:
      return 4;
    case DataType::float16:
    case DataType::bfloat16:
      return 2;
    case DataType::float8_e4m3fn:
    case DataType::float8_e4m3fnuz:
    case DataType::float8_e5m2:
    case DataType::float8_e5m2fnuz:
    case DataType::int8:
    case DataType::uint8:
      return 1;
  }
  detail::throw_data_type_out_of_range(type);
}

/// The type to_string() gives exactly this name; none for any other text.
MLA_DTYPE_EXPORT std::optional<DataType> parse_data_type(std::string_view name) noexcept;

/// The data type of a model (its activations) by the name that `--dtype` or a checkpoint's
/// config.json gives it: `float32`, `float16` or `bfloat16`. Anything else: std::invalid_argument.
MLA_DTYPE_EXPORT DataType parse_model_data_type(std::string_view name);

}  // namespace mla_dtype
