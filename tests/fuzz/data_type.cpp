// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/data_type.h>

#include <algorithm>
#include <iterator>

#include "check.h"
#include "input.h"

using mla_dtype::DataType;

namespace {

constexpr std::string_view names[] = {
    "float32",     "float16",         "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz",
    "float8_e5m2", "float8_e5m2fnuz", "int8",     "uint8"};

// Any value of the enumeration's type, an enumerator or not.
void check_value(unsigned value) {
  const auto type = static_cast<DataType>(value);
  const bool known = value < std::size(names);
  using mla_dtype::fuzz::is_refused;
  CHECK(is_refused([&] { return to_string(type); }) == !known);
  CHECK(is_refused([&] { return is_fp8(type); }) == !known);
  CHECK(is_refused([&] { return size_in_bytes(type); }) == !known);
  if (!known) return;
  CHECK(to_string(type) == names[value]);
  CHECK(to_string(type).data()[names[value].size()] == '\0');
  CHECK(is_fp8(type) == (names[value].substr(0, 6) == "float8"));
  // The number in the name is that of the bits.
  const bool is_8 = names[value].find('8') != std::string_view::npos;
  const bool is_32 = names[value].find("32") != std::string_view::npos;
  CHECK(size_in_bytes(type) == (is_8 ? 1U : is_32 ? 4U : 2U));
}

void check_name(std::string_view name) {
  const auto type = mla_dtype::parse_data_type(name);
  const auto* const known = std::find(std::begin(names), std::end(names), name);
  CHECK(type.has_value() == (known != std::end(names)));
  if (type) CHECK(to_string(*type) == name);

  DataType model{};
  const bool refused =
      mla_dtype::fuzz::is_refused([&] { model = mla_dtype::parse_model_data_type(name); });
  CHECK(refused == (name != "float32" && name != "float16" && name != "bfloat16"));
  if (!refused) CHECK(model == type);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_name(text);
  for (const char c : text.substr(0, 16)) check_value(static_cast<unsigned char>(c));
  return 0;
}
