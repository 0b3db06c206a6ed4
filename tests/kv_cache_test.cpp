// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <mla_dtype/kv_cache.h>

#include <string>

#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* plain[] = {"auto", "float16", "bfloat16"};
constexpr const char* quantized[] = {"fp8",
                                     "fp8_e4m3",
                                     "fp8_e5m2",
                                     "fp8_inc",
                                     "fp8_ds_mla",
                                     "nvfp4_ds_mla",
                                     "turboquant_k8v4",
                                     "turboquant_4bit_nc",
                                     "turboquant_k3v4_nc",
                                     "turboquant_3bit_nc",
                                     "int4_per_token_head",
                                     "int8_per_token_head",
                                     "fp8_per_token_head",
                                     "nvfp4",
                                     "nvfp4_4over6"};

TEST(KvCache, All18StringsAreKnown) {
  static_assert(std::size(plain) + std::size(quantized) == 18);
  for (const char* text : plain) EXPECT_FALSE(is_quantized_kv_cache(text)) << text;
  for (const char* text : quantized) EXPECT_TRUE(is_quantized_kv_cache(text)) << text;
}

TEST(KvCache, ParsesToTheSameAnswer) {
  for (const char* text : plain) {
    ASSERT_TRUE(parse_kv_cache_dtype(text)) << text;
    EXPECT_EQ(parse_kv_cache_dtype(text)->name, text);
    EXPECT_FALSE(parse_kv_cache_dtype(text)->quantized);
  }
  for (const char* text : quantized) {
    ASSERT_TRUE(parse_kv_cache_dtype(text)) << text;
    EXPECT_EQ(parse_kv_cache_dtype(text)->name, text);
    EXPECT_TRUE(parse_kv_cache_dtype(text)->quantized);
  }
}

TEST(KvCache, UnknownStringsAreNotFormats) {
  for (const std::string text :
       {"", "FP8", "fp8 ", " fp8", "fp8_", "fp", "bf16", "int8", "fp8_e4m3fn"}) {
    EXPECT_FALSE(parse_kv_cache_dtype(text)) << text;
    testing::expect_invalid([&] { is_quantized_kv_cache(text); },
                            AllOf(StartsWith("cache_dtype: \"" + text + "\" is not accepted"),
                                  HasSubstr("auto"), HasSubstr("turboquant_3bit_nc")));
  }
  EXPECT_FALSE(parse_kv_cache_dtype(std::string_view("fp8\0", 4)));
}

TEST(KvCache, TheNearestSpellingComesFirst) {
  const auto nearest = [](const std::string& text, const std::string& expected) {
    testing::expect_invalid([&] { is_quantized_kv_cache(text); },
                            HasSubstr("; accepted: " + expected + " (nearest), "));
  };
  nearest("FP8", "fp8");
  nearest("fp9", "fp8");
  nearest("fp8_e4m3fn", "fp8_e4m3");
  nearest("fp8-e5m2", "fp8_e5m2");
  nearest("bfloat", "bfloat16");
  nearest("int8", "int8_per_token_head");
  nearest("turboquant", "turboquant_k8v4");
  nearest("float8", "fp8");
  nearest("float8_e4m3fn", "fp8_e4m3");
  nearest("fp8_e4m3fnuz", "fp8_e4m3");
  nearest("bf16", "bfloat16");
  nearest("fp16", "float16");
  testing::expect_invalid([] { is_quantized_kv_cache("q"); },
                          AllOf(HasSubstr("accepted: auto, "), Not(HasSubstr("nearest"))));
  testing::expect_invalid([] { is_quantized_kv_cache("gguf_q4_0"); }, Not(HasSubstr("nearest")));
}

}  // namespace
}  // namespace mla_dtype
