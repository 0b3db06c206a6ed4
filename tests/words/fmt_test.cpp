// SPDX-License-Identifier: Apache-2.0

// Without this {fmt} could print something else than to_string(), or ignore a width, unnoticed.

#include <gtest/gtest.h>
#include <mla_dtype/fmt.h>

namespace mla_dtype {
namespace {

TEST(Fmt, PrintsNamesWithStringSpecs) {
  EXPECT_EQ(fmt::format("{}", DataType::float8_e4m3fn), "float8_e4m3fn");
  EXPECT_EQ(fmt::format("[{:>6}|{:<6}]", DataType::int8, DataType::int8), "[  int8|int8  ]");
  EXPECT_EQ(fmt::format("{}", PrefillQueryOutcome::available_but_off), "available_but_off");
  EXPECT_EQ(fmt::format("{:.^8}", cuda(/*major=*/9, /*minor=*/0)), ".sm_90..");
  EXPECT_EQ(fmt::format("{}", BlockerKind::fp8_device), "fp8_device");
  EXPECT_EQ(fmt::format("{:>5}", KvCacheScales::none), " none");
}

TEST(Fmt, PrintsAPlan) {
  const auto plan = plan_attention_data_types(
      EngineConfig(), DataType::bfloat16, make_environment(cuda(10, 0), "FLASHINFER"),
      make_decode_environment(cuda(10, 0), "FLASHINFER_MLA"));
  EXPECT_EQ(fmt::format("{}", plan), to_string(plan));
  EXPECT_EQ(fmt::format("{}", CautionKind::storage_only), "storage_only");
}

TEST(Fmt, PrintsAnExplanation) {
  const auto explanation = explain_prefill_query_data_type(
      EngineConfig(), DataType::bfloat16, make_environment(cuda(10, 0), "FLASHINFER"));
  EXPECT_EQ(fmt::format("{}", explanation), to_string(explanation));
}

}  // namespace
}  // namespace mla_dtype
