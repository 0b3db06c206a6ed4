// SPDX-License-Identifier: Apache-2.0

// Without this a data type could lose its name, size or kind, or a tenth value pass for one,
// unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/data_type.h>

#include <cstring>

#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct TypeRow {
  DataType type;
  const char* name;
  std::size_t bytes;
  bool fp8;
};

constexpr TypeRow type_rows[] = {
    {DataType::float32, "float32", 4, false},
    {DataType::float16, "float16", 2, false},
    {DataType::bfloat16, "bfloat16", 2, false},
    {DataType::float8_e4m3fn, "float8_e4m3fn", 1, true},
    {DataType::float8_e4m3fnuz, "float8_e4m3fnuz", 1, true},
    {DataType::float8_e5m2, "float8_e5m2", 1, true},
    {DataType::float8_e5m2fnuz, "float8_e5m2fnuz", 1, true},
    {DataType::int8, "int8", 1, false},
    {DataType::uint8, "uint8", 1, false},
};

static_assert(is_fp8(DataType::float8_e4m3fn) && size_in_bytes(DataType::bfloat16) == 2 &&
              to_string(DataType::int8) == "int8");

TEST(DataType, EveryTypeHasItsNameSizeAndKind) {
  for (const TypeRow& row : type_rows) {
    EXPECT_EQ(to_string(row.type), row.name);
    EXPECT_EQ(std::strlen(to_string(row.type).data()), to_string(row.type).size()) << row.name;
    EXPECT_EQ(parse_data_type(row.name), row.type);
    EXPECT_EQ(size_in_bytes(row.type), row.bytes) << row.name;
    EXPECT_EQ(is_fp8(row.type), row.fp8) << row.name;
  }
}

TEST(DataType, ExactlyNineValuesAreTypes) {
  for (int value = 0; value < 256; ++value) {
    const auto type = static_cast<DataType>(value);
    if (value < 9) {
      EXPECT_NO_THROW(static_cast<void>(to_string(type)));
      continue;
    }
    const auto expected =
        AllOf(HasSubstr("data_type"), HasSubstr("DataType(" + std::to_string(value) + ")"),
              HasSubstr("enumerators"));
    testing::expect_invalid([&] { return to_string(type); }, expected);
    testing::expect_invalid([&] { return is_fp8(type); }, expected);
    testing::expect_invalid([&] { return size_in_bytes(type); }, expected);
  }
}

TEST(DataType, ParsesNothingButTheNames) {
  for (const char* text : {"", "fp8", "Bfloat16", "bfloat16 ", " bfloat16", "torch.bfloat16",
                           "bf16", "float8_e4m3", "half"}) {
    EXPECT_EQ(parse_data_type(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_data_type(std::string_view("int8\0", 5)), std::nullopt);
}

TEST(DataType, AModelIsAFloatOf16Or32Bits) {
  EXPECT_EQ(parse_model_data_type("bfloat16"), DataType::bfloat16);
  EXPECT_EQ(parse_model_data_type("float16"), DataType::float16);
  EXPECT_EQ(parse_model_data_type("float32"), DataType::float32);
  for (const char* text : {"", "int8", "float8_e4m3fn", "float64", "auto"}) {
    testing::expect_invalid(
        [&] { return parse_model_data_type(text); },
        AllOf(StartsWith("model_dtype: \"" + std::string(text) + "\" is not accepted"),
              HasSubstr("bfloat16"), HasSubstr("float16"), HasSubstr("float32")));
  }
  testing::expect_invalid([] { return parse_model_data_type("Float16"); },
                          HasSubstr("accepted: float16 (nearest), bfloat16, float32"));
}

}  // namespace
}  // namespace mla_dtype
