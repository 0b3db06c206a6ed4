// SPDX-License-Identifier: Apache-2.0

// Without this an operator would hear nothing of scales that are not what kernels take them for, or
// of a backend whose FP8 was wrong, or would hear it where it does not matter.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>

#include <algorithm>
#include <memory>
#include <string>

#include "support/plan_question.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using testing::deepseek_v3;
using testing::Question;

std::string sentence(const AttentionPlan& plan, CautionKind kind) {
  for (const Caution& caution : plan.cautions) {
    if (caution.kind == kind) return caution.sentence;
  }
  return {};
}

TEST(Cautions, OfScalesWhereAttentionIsInFp8) {
  Question question = deepseek_v3();
  CacheConfig& cache = question.config.cache_config;
  EXPECT_TRUE(question.plan().cautions.empty());
  cache.k_and_v_scales_differ = true;  // sglang#34765
  EXPECT_EQ(
      sentence(question.plan(), CautionKind::unequal_scales),
      "Attention is computed in FP8 with a scale of keys that is not that of values, although "
      "MLA has one latent for both.");
  cache.kv_scales_are_estimated = true;  // ATOM#2191
  EXPECT_EQ(sentence(question.plan(), CautionKind::estimated_scales),
            "Attention is computed in FP8 with KV scales that are estimated.");
  EXPECT_EQ(question.plan().cautions.size(), 2U);
  cache.cache_dtype = "auto";
  EXPECT_TRUE(question.plan().cautions.empty()) << "nothing is computed in FP8";
}

TEST(Cautions, OfABackendThatHasBeenWrong_vllm51011) {
  Question question = deepseek_v3();
  question.device = "gfx942";
  question.decode_backend = "ROCM_AITER_MLA";
  EXPECT_EQ(sentence(question.plan(), CautionKind::known_wrong),
            "FP8 attention of backend ROCM_AITER_MLA was wrong with fewer than 16 heads of a rank, "
            "before "
            "vllm#51011 (2026-08-04).");
  question.config.cache_config.cache_dtype = "auto";
  EXPECT_EQ(sentence(question.plan(), CautionKind::known_wrong), "");

  // A row of prefill says it, too.
  std::vector<PrefillBackend> backends = vllm_prefill_backends();
  for (PrefillBackend& backend : backends) backend.known_wrong = "before 1.2: P saturates";
  const auto plan = plan_attention_data_types(
      deepseek_v3().config, DataType::bfloat16, make_environment(cuda(10, 0), backends),
      make_decode_environment(cuda(10, 0), "FLASHINFER_MLA"));
  EXPECT_EQ(sentence(plan, CautionKind::known_wrong),
            "FP8 attention of backend TRTLLM_RAGGED was wrong before 1.2: P saturates.");
}

TEST(Cautions, OfFp8QueriesWithoutFp8Units) {
  DecodeEnvironment decode;
  decode.decode_backend_supports_quantized_query = [](const EngineConfig&, DataType) -> Support {
    return true;
  };
  for (const auto& [device, is_slow] : {std::pair(cuda(8, 0), true), {cuda(8, 9), false}}) {
    const auto plan = plan_attention_data_types(deepseek_v3().config, DataType::bfloat16,
                                                make_environment(device, vllm_engine()), decode);
    EXPECT_EQ(
        sentence(plan, CautionKind::no_fp8_units),
        is_slow ? "On this device (sm_80) FP8 queries are slower: it computes in no FP8." : "");
  }
}

TEST(Cautions, AreLoggedOnce) {
  Question question = deepseek_v3();
  question.config.cache_config.k_and_v_scales_differ = true;
  const testing::RecordingLog recording;
  Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
  env.log = recording.log;
  const AttentionPlan plan = question.plan();
  EXPECT_TRUE(log_attention_plan(plan, env));
  EXPECT_FALSE(log_attention_plan(plan, env));
  const auto records = recording.records();
  EXPECT_EQ(std::count(records.begin(), records.end(),
                       testing::warning(sentence(plan, CautionKind::unequal_scales))),
            1);
}

}  // namespace
}  // namespace mla_dtype
