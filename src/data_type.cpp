// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <mla_dtype/data_type.h>

#include <string>

#include "bad_data_type.h"
#include "invalid_argument.h"

namespace mla_dtype {
namespace {

constexpr DataType all_data_types[] = {
    DataType::float32,         DataType::float16,
    DataType::bfloat16,        DataType::float8_e4m3fn,
    DataType::float8_e4m3fnuz, DataType::float8_e5m2,
    DataType::float8_e5m2fnuz, DataType::int8,
    DataType::uint8,
};

}  // namespace

void detail::throw_bad_data_type(std::string_view field, DataType type, std::string_view accepted) {
  const std::string value = is_data_type(type)
                                ? in_quotes(to_string(type))
                                : fmt::format("DataType({})", static_cast<unsigned>(type));
  throw_invalid_argument(field, value, accepted);
}

void detail::check_model_data_type(DataType model_dtype) {
  if (model_dtype != DataType::bfloat16 && model_dtype != DataType::float16 &&
      model_dtype != DataType::float32) {
    throw_bad_data_type("model_dtype", model_dtype, "bfloat16, float16, float32");
  }
}

void detail::throw_data_type_out_of_range(DataType type) {
  throw_bad_data_type("data_type", type, "the enumerators of DataType");
}

std::optional<DataType> parse_data_type(std::string_view name) noexcept {
  for (const DataType type : all_data_types) {
    if (to_string(type) == name) return type;
  }
  return std::nullopt;
}

DataType parse_model_data_type(std::string_view name) {
  for (const DataType type : {DataType::bfloat16, DataType::float16, DataType::float32}) {
    if (to_string(type) == name) return type;
  }
  detail::throw_unknown_name("model_dtype", name, {"bfloat16", "float16", "float32"});
}

}  // namespace mla_dtype
