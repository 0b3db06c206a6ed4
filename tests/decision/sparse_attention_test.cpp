// SPDX-License-Identifier: Apache-2.0

// Without this a model with sparse attention could be answered as a dense one, or get a KV cache
// that no sparse backend reads, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>

#include <string>

#include "support/backend_names.h"
#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/engine_on_device.h"
#include "support/follow.h"
#include "support/plan_question.h"
#include "support/record_texts.h"
#include "support/recording_log.h"
#include "support/records_of.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using ::testing::ElementsAre;
using testing::EngineOnDevice;
using testing::expect_refused;
using testing::follow;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kinds;
using testing::make_config;
using testing::records_of;
using testing::row_2;
using ::testing::StartsWith;

// DeepSeek-V3.2 has DeepSeek-V3's dimensions, GLM-5.2 wider heads.
EngineConfig deepseek_v3_2(const std::string& cache_dtype, bool flag = false) {
  EngineConfig config = make_config(cache_dtype, flag);
  config.index_topk = 2048;
  return config;
}

EngineConfig glm_5_2(const std::string& cache_dtype) {
  EngineConfig config = deepseek_v3_2(cache_dtype);
  config.mla_dimensions = {192, 64, 256};
  config.num_attention_heads = 64;
  return config;
}

EngineOnDevice vllm_with(const std::string& device, const std::string& decode_backend = "") {
  return {vllm_engine(), device, decode_backend};
}

// H200: fp8_e4m3 is what the recipe said, and what FLASHMLA_SPARSE refuses.
TEST(SparseAttention, Glm52OnH200TakesFp8ByItsShortName_recipes565) {
  const EngineConfig config = glm_5_2("fp8_e4m3");
  for (const std::string named : {"", "FLASHMLA_SPARSE"}) {
    const EngineOnDevice vllm = vllm_with("9.0", named);
    try {
      static_cast<void>(vllm.plan(config));
      FAIL() << "nothing was thrown";
    } catch (const AttentionPlanRefused& refused) {
      EXPECT_THAT(refused.what(),
                  HasSubstr("Decode backend FLASHMLA_SPARSE does not read a KV cache of dtype "
                            "\"fp8_e4m3\" for a bfloat16 model on this device (sm_90)."));
      EXPECT_THAT(refused.what(), HasSubstr("To run, set: --kv-cache-dtype fp8"));
      ASSERT_FALSE(refused.remedies().empty());
      EXPECT_EQ(refused.remedies()[0].cache_dtype, "fp8");
      EXPECT_EQ(refused.remedies()[0].spelling, "--kv-cache-dtype fp8");
      const AttentionPlan plan = vllm.plan(follow(config, refused.remedies()[0]));
      EXPECT_EQ(plan.decode_backend, "FLASHMLA_SPARSE");
      EXPECT_EQ(plan.kv_cache_dtype.requested, "fp8");
      EXPECT_EQ(plan.kv_cache_dtype.resolved, "fp8_ds_mla");
      EXPECT_EQ(plan.kv_cache_dtype.reason, "decode backend FLASHMLA_SPARSE stores it so");
      EXPECT_EQ(plan.kv_cache_storage.data_type, DataType::uint8);
      EXPECT_EQ(plan.kv_cache_bytes, 656U);
      EXPECT_EQ(plan.decode_query.data_type, DataType::bfloat16);
      EXPECT_EQ(plan.chunked_prefill_workspace->data_type, DataType::bfloat16);
    }
  }
}

// The dense part of prefill is in the model dtype, and the flag, which vLLM never asks, is refused.
TEST(SparseAttention, DetermineAnswersForTheDensePart) {
  for (const char* choice : {"", "TRTLLM_RAGGED"}) {
    EngineConfig config = deepseek_v3_2("fp8", /*flag=*/true);
    config.attention_config.mla_prefill_backend = choice;
    const Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
    const auto explanation = explain_prefill_query_data_type(config, bf16, env);
    EXPECT_EQ(explanation.data_type, DataType::bfloat16);
    EXPECT_EQ(explanation.outcome, PrefillQueryOutcome::request_refused);
    EXPECT_FALSE(explanation.facts.backend_supports);
    EXPECT_THAT(kinds(explanation.blockers), ::testing::Contains(BlockerKind::sparse_attention));
    EXPECT_THAT(explanation.remedies, IsEmpty());
    EXPECT_THAT(explanation.nothing_helps, StartsWith("On this device (sm_100)"));
    const auto records = records_of(config, env);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_THAT(records[0].text, StartsWith(row_2));
    EXPECT_THAT(records[0].text,
                HasSubstr("does not take FP8 queries of a model with sparse attention."));
    config.attention_config.use_prefill_query_quantization = false;
    EXPECT_THAT(records_of(config, env), IsEmpty()) << "no hint at what would be refused";
  }
}

TEST(SparseAttention, ThePlansDecodeQueryAnswersForTheRest) {
  const AttentionPlan plan = vllm_with("10.0").plan(deepseek_v3_2("fp8"));
  EXPECT_EQ(plan.prefill_query.data_type, DataType::bfloat16);
  EXPECT_EQ(plan.decode_query.data_type, DataType::float8_e4m3fn);
  EXPECT_EQ(plan.decode_backend, "FLASHINFER_MLA_SPARSE");
  EXPECT_EQ(plan.kv_cache_dtype.resolved, "fp8");
}

TEST(SparseAttention, VllmsOrderOfDecodeBackends) {
  const auto selected = [](const char* device, const char* cache_dtype, int heads) {
    EngineConfig config = deepseek_v3_2(cache_dtype);
    config.num_attention_heads = heads;
    return vllm_with(device).select(config).name;
  };
  EXPECT_EQ(selected("9.0", "auto", 128), "FLASH_ATTN_MLA_SPARSE");
  EXPECT_EQ(selected("9.0", "fp8", 128), "FLASHMLA_SPARSE");
  EXPECT_EQ(selected("9.0", "fp8_ds_mla", 128), "FLASHMLA_SPARSE");
  EXPECT_EQ(selected("10.0", "auto", 128), "FLASHMLA_SPARSE");
  EXPECT_EQ(selected("10.0", "auto", 16), "FLASHINFER_MLA_SPARSE");
  EXPECT_EQ(selected("10.0", "fp8", 128), "FLASHINFER_MLA_SPARSE");
  EXPECT_EQ(selected("10.0", "fp8_ds_mla", 16), "FLASHMLA_SPARSE");
  EXPECT_EQ(selected("12.0", "auto", 128), "FLASHINFER_MLA_SPARSE_SM120");
  EXPECT_EQ(selected("gfx950", "fp8", 128), "ROCM_AITER_MLA_SPARSE");
  EXPECT_EQ(selected("8.0", "auto", 128), "");
}

// On capability 12 even `auto` becomes the packed format.
TEST(SparseAttention, AutoIsStoredAsTheDecodeBackendHasIt) {
  for (const char* cache_dtype : {"auto", "fp8", "fp8_e4m3", "fp8_ds_mla"}) {
    const AttentionPlan plan = vllm_with("12.0").plan(deepseek_v3_2(cache_dtype));
    EXPECT_EQ(plan.kv_cache_dtype.requested, cache_dtype);
    EXPECT_EQ(plan.kv_cache_dtype.resolved, "fp8_ds_mla");
    EXPECT_EQ(plan.kv_cache_bytes, 656U);
    EXPECT_EQ(plan.decode_query.data_type, DataType::bfloat16);
  }
  // Ranks that name it otherwise agree.
  EngineConfig by_auto = deepseek_v3_2("auto"), by_name = deepseek_v3_2("fp8");
  by_auto.cache_config.kv_scales = by_name.cache_config.kv_scales = KvScales::calibrated;
  EXPECT_EQ(pack(vllm_with("12.0").plan(by_auto)), pack(vllm_with("12.0").plan(by_name)));
  expect_refused([] { return vllm_with("12.0").plan(deepseek_v3_2("bfloat16")); },
                 HasSubstr("does not read a KV cache of dtype \"bfloat16\""));
}

TEST(SparseAttention, IsNeverAnsweredAsDense) {
  for (const std::string device : {"8.0", "8.9", "none"}) {
    expect_refused([&] { return vllm_with(device).plan(deepseek_v3_2("auto")); },
                   StartsWith("No known decode backend can be used."));
  }
  for (const DecodeBackend& backend : vllm_decode_backends()) {
    for (const char* device : {"9.0", "10.0", "12.0", "gfx950"}) {
      for (const int index_topk : {0, 2048}) {
        EngineConfig config = make_config("auto", false);
        config.index_topk = index_topk;
        const auto selection = vllm_with(device, backend.name).select(config);
        if (selection.name.empty()) continue;
        EXPECT_EQ(backend.sparse, index_topk != 0) << backend.name;
      }
    }
  }
  expect_refused([] { return vllm_with("10.0", "FLASHINFER_MLA").plan(deepseek_v3_2("fp8")); },
                 HasSubstr("does not run models with sparse attention (index_topk)."));
  expect_refused(
      [] { return vllm_with("10.0", "FLASHMLA_SPARSE").plan(make_config("fp8", false)); },
      HasSubstr("runs models with sparse attention (index_topk) alone."));
}

// The packed format keeps the rotary part beside the latent: without one there is nothing to keep.
TEST(SparseAttention, APackedCacheNeedsARotaryPart_vllm55543) {
  for (const char* device : {"9.0", "10.0", "12.0"}) {
    EngineConfig config = deepseek_v3_2("fp8_ds_mla");
    config.mla_dimensions.qk_rope_head_dim = 0;
    expect_refused([&] { return vllm_with(device).plan(config); },
                   HasSubstr("needs a rotary part, and qk_rope_head_dim is 0."));
  }
  // Also where the latent is as long as with one.
  EngineConfig long_latent = deepseek_v3_2("fp8_ds_mla");
  long_latent.mla_dimensions.qk_rope_head_dim = 0;
  long_latent.kv_lora_rank = 576;
  expect_refused([&] { return vllm_with("9.0").plan(long_latent); },
                 HasSubstr("needs a rotary part, and qk_rope_head_dim is 0."));
  // What needs none runs.
  EngineConfig dense = make_config("auto", false);
  dense.mla_dimensions = {128, 0, 128};
  EXPECT_EQ(vllm_with("9.0", "TRITON_MLA").select(dense).name, "TRITON_MLA");
}

// SGLang has FP8 queries of such models on Hopper, where an operator chooses that backend.
TEST(SparseAttention, SglangTakesFp8QueriesOnHopper_sglang30514) {
  EngineConfig config = deepseek_v3_2("fp8_e4m3");
  const Environment hopper = make_environment(cuda(9, 0), sglang_engine());
  const auto by_default = explain_prefill_query_data_type(config, bf16, hopper);
  EXPECT_EQ(by_default.data_type, DataType::bfloat16);
  EXPECT_EQ(by_default.hint,
            "Prefill backend flashmla_sparse does not take FP8 queries here, but "
            "flashmla_sparse_q8 does: choose it.");
  config.attention_config.mla_prefill_backend = "flashmla_sparse_q8";
  EXPECT_EQ(explain_prefill_query_data_type(config, bf16, hopper).data_type,
            DataType::float8_e4m3fn);
  const Environment blackwell = make_environment(cuda(10, 0), sglang_engine());
  EXPECT_THAT(kinds(explain_prefill_query_data_type(config, bf16, blackwell).blockers),
              ::testing::Contains(BlockerKind::backend_device));
  config.index_topk = 0;
  EXPECT_THAT(kinds(explain_prefill_query_data_type(config, bf16, hopper).blockers),
              ElementsAre(BlockerKind::sparse_attention));
}

}  // namespace
}  // namespace mla_dtype
