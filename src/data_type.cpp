// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/data_type.h>

#include "facts/data_types.h"
#include "words/invalid_argument.h"

namespace mla_dtype {

void detail::throw_data_type_out_of_range(DataType type) {
  throw_bad_data_type("data_type", type, "the enumerators of DataType");
}

std::optional<DataType> parse_data_type(std::string_view name) noexcept {
  for (unsigned number = 0; detail::is_data_type(static_cast<DataType>(number)); ++number) {
    if (to_string(static_cast<DataType>(number)) == name) return static_cast<DataType>(number);
  }
  return std::nullopt;
}

DataType parse_model_data_type(std::string_view name) {
  const auto type = parse_data_type(name);
  if (type && detail::is_model_data_type(*type)) return *type;
  detail::throw_unknown_name("model_dtype", name, {"bfloat16", "float16", "float32"});
}

}  // namespace mla_dtype
