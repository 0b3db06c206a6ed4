// SPDX-License-Identifier: Apache-2.0

// The numbers are a contract between ranks, of other versions of the library among them. Without
// this they could change unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "support/backend_names.h"
#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/plan_question.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using testing::deepseek_v3;
using testing::expect_invalid;
using testing::fp16;
using testing::InjectedPlan;
using testing::make_config;
using testing::names;
using testing::Question;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(PackedPlan, IsPinned) {
  Question question = deepseek_v3();
  EXPECT_EQ(pack(question.plan()), 0x0000'0103'2333'3381U);
  question.config.attention_config.use_prefill_query_quantization = false;
  EXPECT_EQ(pack(question.plan()), 0x0000'0103'2322'2381U);
  question.config.scheduler_config.enable_chunked_prefill = false;
  EXPECT_EQ(pack(question.plan()), 0x0000'0103'23f2'2381U);
  question.config.cache_config.cache_dtype = "auto";
  EXPECT_EQ(pack(question.plan()), 0x0000'0002'22f2'2221U);
  question.model_dtype = fp16;
  EXPECT_EQ(pack(question.plan()), 0x0000'0001'11f1'1111U);
  question.model_dtype = bf16;
  question.decode_backend = "PACKED";
  question.config.cache_config.cache_dtype = "fp8_ds_mla";
  EXPECT_EQ(pack(question.plan()), 0x0000'0107'22f2'2881U);
  question.device = "gfx942";
  question.model_dtype = fp16;
  question.decode_backend = "ROCM_AITER_MLA";
  question.config.cache_config.cache_dtype = "fp8";
  question.config.cache_config.kv_scales = KvScales::dynamic;
  EXPECT_EQ(pack(question.plan()), 0x0000'0303'14f1'1481U);
  InjectedPlan own(true, true, true);
  EXPECT_EQ(pack(own.plan(make_config("mine", true))) & 0x0000'0fff'ffff'ffffU,
            0x0000'00ff'2233'3881U);
  InjectedPlan float32(false, true, true);
  EXPECT_EQ(pack(plan_attention_data_types(make_config("auto", false), DataType::float32,
                                           float32.env, float32.decode)),
            0x0000'00fe'0000'0001U);
}

// The place of each KV-cache dtype in kv_cache_formats() is part of the contract.
TEST(PackedPlan, KvCacheDtypesAreNumbered) {
  const char* const names[] = {"auto",
                               "float16",
                               "bfloat16",
                               "fp8",
                               "fp8_e4m3",
                               "fp8_e5m2",
                               "fp8_inc",
                               "fp8_ds_mla",
                               "fp8_per_token_head",
                               "int8_per_token_head",
                               "int4_per_token_head",
                               "nvfp4",
                               "nvfp4_4over6",
                               "nvfp4_ds_mla",
                               "turboquant_k8v4",
                               "turboquant_4bit_nc",
                               "turboquant_k3v4_nc",
                               "turboquant_3bit_nc"};
  for (std::size_t i = 1; i < std::size(names); ++i) {
    const bool quantized = is_quantized_kv_cache(names[i]);
    InjectedPlan injected(quantized, true, true);
    const std::uint64_t number = pack(injected.plan(make_config(names[i], false))) >> 32 & 0xff;
    EXPECT_EQ(number, i == 4 ? 3 : i) << names[i] << ": fp8_e4m3 is another name for fp8";
  }
}

TEST(PackedPlan, TwoFormatsOfTheEnginesOwnAreTwo) {
  InjectedPlan injected(true, true, true);
  const auto packed = [&](const char* name) {
    return pack(injected.plan(make_config(name, false)));
  };
  EXPECT_NE(packed("mine1"), packed("mine2"));
  EXPECT_NE(packed("int8"), packed("uint8")) << "names of data types, but not of KV caches";
  const auto differences = rank_differences({packed("mine1"), packed("mine2")});
  ASSERT_THAT(differences, SizeIs(1));
  EXPECT_EQ(differences[0].field, "kv_cache_name");
}

// Ranks may be of processors that do not agree whether char has a sign.
TEST(PackedPlan, ANameIsHashedAsBytes) {
  InjectedPlan injected(true, true, true);
  EXPECT_EQ(pack(injected.plan(make_config("caf\xC3\xA9", false))) >> 44, 0xb5acbU);
}

TEST(PackedPlan, EachDataTypeHasItsOwnPlace) {
  const AttentionPlan plan = deepseek_v3().plan();
  const auto expect_one = [&](const char* field, auto type_of) {
    AttentionPlan changed = plan;
    type_of(changed) = DataType::float32;
    const auto differences = rank_differences({pack(plan), pack(changed)});
    ASSERT_THAT(differences, SizeIs(1)) << field;
    EXPECT_EQ(differences[0].field, field);
    EXPECT_EQ(differences[0].value, "float32");
  };
  for (const auto& [field, planned] :
       {std::pair("kv_cache_storage", &AttentionPlan::kv_cache_storage),
        {"kv_cache_view", &AttentionPlan::kv_cache_view},
        {"prefill_query", &AttentionPlan::prefill_query},
        {"prefill_key_value", &AttentionPlan::prefill_key_value},
        {"decode_query", &AttentionPlan::decode_query},
        {"output", &AttentionPlan::output}}) {
    expect_one(field, [of = planned](AttentionPlan& changed) -> DataType& {
      return (changed.*of).data_type;
    });
  }
  expect_one("chunked_prefill_workspace", [](AttentionPlan& changed) -> DataType& {
    return changed.chunked_prefill_workspace->data_type;
  });
}

TEST(PackedPlan, WhatIsNoDataTypeIsRefused) {
  AttentionPlan plan = deepseek_v3().plan();
  plan.kv_cache_storage.data_type = static_cast<DataType>(0x2f);
  expect_invalid([&] { return pack(plan); }, StartsWith("data_type: DataType(47)"));
  plan = deepseek_v3().plan();
  plan.kv_scales = static_cast<KvScales>(0x35);
  expect_invalid([&] { return pack(plan); }, StartsWith("kv_scales: KvScales(53)"));
}

}  // namespace
}  // namespace mla_dtype
