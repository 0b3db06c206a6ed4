// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <mla_dtype/fmt.h>

namespace mla_dtype {
namespace {

TEST(Fmt, PrintsNamesWithStringSpecs) {
  EXPECT_EQ(fmt::format("{}", DataType::float8_e4m3fn), "float8_e4m3fn");
  EXPECT_EQ(fmt::format("[{:>6}|{:<6}]", DataType::int8, DataType::int8), "[  int8|int8  ]");
  EXPECT_EQ(fmt::format("{}", PrefillQueryOutcome::available_but_off), "available_but_off");
  EXPECT_EQ(fmt::format("{:.^8}", cuda(/*major=*/9, /*minor=*/0)), ".sm_90..");
}

}  // namespace
}  // namespace mla_dtype
