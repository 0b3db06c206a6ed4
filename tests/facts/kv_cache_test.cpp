// SPDX-License-Identifier: Apache-2.0

// Without this one of the 18 KV-cache dtypes could change its layout or what it is counted as, or
// `auto` come to another one, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/kv_cache.h>

#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* plain[] = {"auto",
                                 "float16",
                                 "bfloat16",
                                 "turboquant_k8v4",
                                 "turboquant_4bit_nc",
                                 "turboquant_k3v4_nc",
                                 "turboquant_3bit_nc"};
constexpr const char* quantized[] = {"fp8",
                                     "fp8_e4m3",
                                     "fp8_e5m2",
                                     "fp8_inc",
                                     "fp8_ds_mla",
                                     "nvfp4_ds_mla",
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
    testing::expect_invalid([&] { return is_quantized_kv_cache(text); },
                            AllOf(StartsWith("cache_dtype: \"" + text + "\" is not accepted"),
                                  HasSubstr("auto"), HasSubstr("turboquant_3bit_nc")));
  }
  EXPECT_FALSE(parse_kv_cache_dtype(std::string_view("fp8\0", 4)));
}

TEST(KvCache, TheNearestSpellingComesFirst) {
  const auto nearest = [](const std::string& text, const std::string& expected) {
    testing::expect_invalid([&] { return is_quantized_kv_cache(text); },
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
  testing::expect_invalid([] { return is_quantized_kv_cache("q"); },
                          AllOf(HasSubstr("accepted: auto, "), Not(HasSubstr("nearest"))));
  testing::expect_invalid([] { return is_quantized_kv_cache("gguf_q4_0"); },
                          Not(HasSubstr("nearest")));
}

TEST(KvCache, TheListHasEachOnce) {
  std::set<std::string_view> names;
  for (const KvCacheFormat& format : kv_cache_formats()) {
    names.insert(format.name);
    EXPECT_EQ(parse_kv_cache_dtype(format.name)->name.data(), format.name.data());
  }
  EXPECT_EQ(names.size(), 18U);
}

TEST(KvCache, HowItIsStored) {
  using Scales = KvCacheScales;
  struct Expected {
    const char* name;
    std::optional<DataType> data_type;
    bool packed;
    Scales scales;
  };
  const Expected all[] = {
      {"auto", {}, false, Scales::none},
      {"float16", DataType::float16, false, Scales::none},
      {"bfloat16", DataType::bfloat16, false, Scales::none},
      {"fp8", DataType::float8_e4m3fn, false, Scales::per_tensor},
      {"fp8_e4m3", DataType::float8_e4m3fn, false, Scales::per_tensor},
      {"fp8_e5m2", DataType::float8_e5m2, false, Scales::per_tensor},
      {"fp8_inc", DataType::float8_e4m3fn, false, Scales::per_tensor},
      {"fp8_ds_mla", DataType::uint8, true, Scales::packed},
      {"nvfp4_ds_mla", DataType::uint8, true, Scales::packed},
      {"turboquant_k8v4", DataType::uint8, true, Scales::packed},
      {"turboquant_4bit_nc", DataType::uint8, true, Scales::packed},
      {"turboquant_k3v4_nc", DataType::uint8, true, Scales::packed},
      {"turboquant_3bit_nc", DataType::uint8, true, Scales::packed},
      {"int4_per_token_head", DataType::uint8, true, Scales::per_token_head},
      {"int8_per_token_head", DataType::int8, false, Scales::per_token_head},
      {"fp8_per_token_head", DataType::float8_e4m3fn, false, Scales::per_token_head},
      {"nvfp4", DataType::uint8, true, Scales::packed},
      {"nvfp4_4over6", DataType::uint8, true, Scales::packed},
  };
  static_assert(std::size(all) == 18);
  for (const Expected& expected : all) {
    const auto format = parse_kv_cache_dtype(expected.name);
    ASSERT_TRUE(format) << expected.name;
    EXPECT_EQ(format->data_type, expected.data_type) << expected.name;
    EXPECT_EQ(format->packed, expected.packed) << expected.name;
    EXPECT_EQ(format->scales, expected.scales) << expected.name;
    const bool is_turboquant = std::string_view(expected.name).substr(0, 5) == "turbo";
    EXPECT_EQ(format->quantized, expected.scales != Scales::none && !is_turboquant)
        << expected.name;
  }
}

TEST(KvCache, ScalesHaveNames) {
  EXPECT_EQ(to_string(KvCacheScales::none), "none");
  EXPECT_EQ(to_string(KvCacheScales::per_tensor), "per_tensor");
  EXPECT_EQ(to_string(KvCacheScales::per_token_head), "per_token_head");
  EXPECT_EQ(to_string(KvCacheScales::packed), "packed");
  testing::expect_invalid([] { return to_string(static_cast<KvCacheScales>(4)); },
                          StartsWith("scales: KvCacheScales(4) is not accepted"));
}

TEST(KvCache, AutoIsResolved) {
  const auto resolve = [](const char* cache_dtype, DataType model_dtype, const char* checkpoint) {
    const auto resolution = resolve_kv_cache_dtype(cache_dtype, model_dtype, checkpoint);
    EXPECT_EQ(resolution.requested, cache_dtype);
    return std::pair(resolution.resolved, resolution.reason);
  };
  using Answer = std::pair<std::string, std::string>;
  const std::string by_model = "it is the model's data type";
  const std::string by_checkpoint = "the checkpoint was quantized for it";
  EXPECT_EQ(resolve("auto", DataType::bfloat16, ""), Answer("bfloat16", by_model));
  EXPECT_EQ(resolve("auto", DataType::float16, ""), Answer("float16", by_model));
  EXPECT_EQ(resolve("auto", DataType::float32, ""), Answer("float32", by_model));
  for (const char* name : {"FP8", "fp8", "Fp8"}) {
    EXPECT_EQ(resolve("auto", DataType::bfloat16, name), Answer("fp8_e4m3", by_checkpoint));
  }
  EXPECT_EQ(resolve("auto", DataType::bfloat16, "NVFP4"), Answer("nvfp4", by_checkpoint));
  EXPECT_EQ(resolve("auto", DataType::float16, "mixed_precision"), Answer("float16", by_model));
  for (const KvCacheFormat& format : kv_cache_formats()) {
    if (format.name == "auto") continue;
    const std::string name(format.name);
    for (const char* checkpoint : {"", "FP8", "not known"}) {
      EXPECT_EQ(resolve(name.c_str(), DataType::bfloat16, checkpoint),
                Answer(name, "the operator chose it"));
    }
  }
}

TEST(KvCache, WhatCannotBeResolvedIsRefused) {
  testing::expect_invalid([] { return resolve_kv_cache_dtype("fp9", DataType::bfloat16); },
                          StartsWith("cache_dtype: \"fp9\" is not accepted"));
  testing::expect_invalid([] { return resolve_kv_cache_dtype("auto", DataType::int8); },
                          StartsWith("model_dtype: \"int8\""));
  for (const char* name : {"INT8", "FP8 ", "FP", "FP88"}) {
    testing::expect_invalid(
        [&] { return resolve_kv_cache_dtype("auto", DataType::bfloat16, name); },
        AllOf(StartsWith("checkpoint_kv_cache_quant_algo: \""), HasSubstr("FP8"),
              HasSubstr("NVFP4")));
  }
}

}  // namespace
}  // namespace mla_dtype
