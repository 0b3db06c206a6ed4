// SPDX-License-Identifier: Apache-2.0

// Without this one of the plans that engines got wrong could be made again, or its memory be
// miscounted, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>

#include <optional>
#include <string>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/plan_question.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using testing::bytes;
using testing::deepseek_v3;
using testing::e4m3;
using testing::expect_refused;
using testing::fp16;
using ::testing::HasSubstr;
using testing::InjectedPlan;
using ::testing::IsEmpty;
using testing::make_config;
using testing::Question;
using testing::RecordingLog;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(AttentionPlan, MemoryIsWhatIsPublished) {
  Question question = deepseek_v3();
  AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.kv_cache_bytes, 576U);
  EXPECT_EQ(plan.unquantized_kv_cache_bytes, 1152U);
  EXPECT_EQ(plan.workspace_bytes, 576U);
  question.config.cache_config.cache_dtype = "auto";
  plan = question.plan();
  EXPECT_EQ(plan.kv_cache_bytes, 1152U);
  EXPECT_EQ(plan.workspace_bytes, 1152U);
  question.config.scheduler_config.enable_chunked_prefill = false;
  EXPECT_EQ(question.plan().workspace_bytes, std::nullopt);
  question.decode_backend = "PACKED";
  question.config.cache_config.cache_dtype = "fp8_ds_mla";
  EXPECT_EQ(question.plan().kv_cache_bytes, 656U);
  question.config.kv_lora_rank = 200;  // two scales, of which one is for the last 72
  EXPECT_EQ(question.plan().kv_cache_bytes, 200U + 8U + 128U);
  question.model_dtype = DataType::float32;
  question.decode_backend = "TRITON_MLA";
  question.config.cache_config.cache_dtype = "auto";
  expect_refused([&] { question.plan(); }, HasSubstr("does not take float32 models"));
}

// The checkpoint's own KV quantization is what auto comes to: vllm#34752.
TEST(AttentionPlan, AutoIsTheCheckpoints_vllm34752) {
  Question question = deepseek_v3();
  question.config.cache_config.cache_dtype = "auto";
  question.config.cache_config.checkpoint_kv_cache_quant_algo = "FP8";
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.kv_cache_view.data_type, e4m3);
  EXPECT_EQ(plan.kv_cache_view.reason,
            "KV-cache dtype \"fp8_e4m3\": the checkpoint was quantized for it.");
  EXPECT_EQ(plan.decode_query.data_type, e4m3);
  EXPECT_EQ(plan.prefill_query.data_type, e4m3);
}

// Kimi-K3 asserts the opposite of what the generic rule says: FP8 queries for a packed cache.
TEST(AttentionPlan, APackedCacheHasQueriesOfTheModel_vllm51394) {
  Question question = deepseek_v3();
  question.decode_backend = "PACKED";
  question.config.cache_config.cache_dtype = "fp8_ds_mla";
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.prefill_query.data_type, bf16);
  EXPECT_EQ(plan.decode_query.data_type, bf16);
  EXPECT_EQ(plan.chunked_prefill_workspace->data_type, bf16);
  EXPECT_EQ(plan.kv_cache_view.data_type, bytes);
  question.model_dtype = fp16;
  expect_refused([&] { question.plan(); },
                 StartsWith("Decode backend PACKED does not read a KV cache of dtype "
                            "\"fp8_ds_mla\" for a float16 model on this device (sm_100)."));
}

// Once it crashed; since vllm#44044 the code is there, the cast included.
TEST(AttentionPlan, ASpreadKvCacheIsPrefilledInFp8_vllm44044) {
  Question question = deepseek_v3();
  question.config.parallel_config.decode_context_parallel_size = 2;
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.prefill_query.data_type, e4m3);
  EXPECT_EQ(plan.chunked_prefill_workspace->data_type, bf16);
  EXPECT_EQ(plan.decode_query.data_type, e4m3);
}

TEST(AttentionPlan, WhatWritesOnlyBfloat16DoesNotServeFloat16) {
  Question question = deepseek_v3();
  question.model_dtype = fp16;
  question.prefill_backend = "FLASHINFER";
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.prefill_query.data_type, fp16);
  ASSERT_THAT(plan.prefill.blockers, SizeIs(1));
  EXPECT_EQ(plan.prefill.blockers[0].kind, BlockerKind::output_dtype);
  EXPECT_EQ(plan.prefill.blockers[0].sentence,
            "Prefill backend FLASHINFER does not write float16 from FP8 queries.");
  ASSERT_THAT(plan.prefill.remedies, SizeIs(2));
  for (const Remedy& remedy : plan.prefill.remedies) {
    question.prefill_backend = remedy.prefill_backend;
    EXPECT_EQ(question.plan().prefill_query.data_type, e4m3);
  }
  // One answer in every function.
  question.prefill_backend = "";
  EXPECT_EQ(question.plan().prefill_backend.name, "TRTLLM_RAGGED");
  EXPECT_EQ(question.plan().prefill_query.data_type, e4m3);
  EXPECT_EQ(question.plan().output.data_type, fp16);
  for (const bool is_open : {true, false}) {
    EngineConfig config = question.config;
    config.attention_config.mla_prefill_backend = is_open ? "" : "FLASHINFER";
    Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
    env.log = RecordingLog().log;
    EXPECT_EQ(determine_prefill_query_data_type(config, fp16, env), is_open ? e4m3 : fp16);
    EXPECT_EQ(select_prefill_backend(config, fp16, env).takes_fp8_queries, is_open);
    EXPECT_EQ(explain_prefill_query_data_type(config, fp16, env).prefill_backend,
              is_open ? "TRTLLM_RAGGED" : "FLASHINFER");
  }
}

// CUTLASS decode gives wrong answers with scales other than 1: vllm#37054.
TEST(AttentionPlan, CutlassNeedsUnitScales_vllm37054) {
  Question question = deepseek_v3();
  question.decode_backend = "CUTLASS_MLA";
  expect_refused(
      [&] { question.plan(); },
      std::string("Decode backend CUTLASS_MLA takes KV scales of 1 only, and these are calibrated. "
                  "To run, set: --attention-backend FLASHINFER_MLA"));
  question.config.cache_config.kv_scales = KvScales::unit;
  EXPECT_EQ(question.plan().decode_query.data_type, e4m3);
}

// A draft model on TRITON_MLA asserted at the first decode: vllm#51860; it dequantizes: vllm#34597.
TEST(AttentionPlan, TritonDequantizes_vllm34597) {
  Question question = deepseek_v3();
  question.decode_backend = "TRITON_MLA";
  const AttentionPlan plan = question.plan();
  EXPECT_EQ(plan.decode_query.data_type, bf16);
  ASSERT_THAT(plan.cautions, SizeIs(1));
  EXPECT_EQ(plan.cautions[0].kind, CautionKind::storage_only);
}

TEST(AttentionPlan, AnIllegalPairIsNoAnswer) {
  Question question = deepseek_v3();
  question.decode_backend = "FLASH_ATTN_MLA";
  expect_refused(
      [&] { question.plan(); },
      StartsWith("Decode backend FLASH_ATTN_MLA does not read a KV cache of dtype \"fp8\" "
                 "for a bfloat16 model on this device (sm_100)."));
  question.decode_backend = "FLASHMLA";
  question.prefill_backend = "FLASHINFER";
  question.device = "9.0";
  expect_refused([&] { question.plan(); },
                 StartsWith("Prefill backend FLASHINFER cannot be used. Prefill backend FLASHINFER "
                            "does not run on this device (sm_90)"));
}

TEST(AttentionPlan, WhatIsRequiredAndNotPossibleIsRefused) {
  Question question = deepseek_v3();
  question.device = "9.0";
  question.decode_backend = "FLASHMLA";
  question.config.attention_config.prefill_query_mode = PrefillQueryMode::required;
  EXPECT_THROW(question.plan(), PrefillQueryRefused);
  question.device = "10.0";
  question.decode_backend = "FLASHINFER_MLA";
  EXPECT_EQ(question.plan().prefill_query.data_type, e4m3);
}

// As those who keep it for later do.
TEST(AttentionPlan, ARefusalIsCopied) {
  AttentionPlanRefused kept("first");
  const AttentionPlanRefused other("second");
  const AttentionPlanRefused copy = kept;
  kept = other;
  EXPECT_STREQ(copy.what(), "first");
  EXPECT_STREQ(kept.what(), "second");
}

// Advice on prefill that decode could not follow: the engine would not start.
TEST(AttentionPlan, AdviceIsSuchAsDecodeCanFollow) {
  Question question = deepseek_v3();
  question.decode_backend = "CUTLASS_MLA";
  question.config.cache_config.cache_dtype = "auto";
  EXPECT_THAT(question.plan().prefill.remedies, IsEmpty()) << "calibrated scales";
  EXPECT_NE(question.plan().prefill.nothing_helps, "");
  question.config.cache_config.kv_scales = KvScales::unit;
  EXPECT_THAT(question.plan().prefill.remedies, SizeIs(1));
}

// AITER runs prefill in FP8 on its own: vllm#42509.
TEST(AttentionPlan, AiterIgnoresTheFlag_vllm42509) {
  Question question = deepseek_v3();
  question.device = "gfx950";
  question.decode_backend = "ROCM_AITER_MLA";
  question.config = make_config("auto", false);
  ASSERT_THAT(question.plan().cautions, SizeIs(1));
  EXPECT_EQ(question.plan().cautions[0].kind, CautionKind::flag_ignored);
}

// A BF16 query with an FP8 KV cache has no AITER kernel: vllm#51232.
TEST(AttentionPlan, AiterDecodesFp8WithFp8_vllm51232) {
  Question question = deepseek_v3();
  question.device = "gfx942";
  question.decode_backend = "ROCM_AITER_MLA";
  EXPECT_EQ(question.plan().decode_query.data_type, DataType::float8_e4m3fnuz);
}

}  // namespace
}  // namespace mla_dtype
