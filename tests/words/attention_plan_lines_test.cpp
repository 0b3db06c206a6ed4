// SPDX-License-Identifier: Apache-2.0

// Without this the lines of a plan, its records or the names of its cautions could change, or be
// forged by an engine's reason, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/plan_question.h"
#include "support/record_texts.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using testing::deepseek_v3;
using testing::expect_invalid;
using ::testing::HasSubstr;
using testing::info;
using testing::InjectedPlan;
using ::testing::IsEmpty;
using testing::make_config;
using testing::Question;
using testing::RecordingLog;
using testing::row_1;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::warning;

TEST(AttentionPlan, AnswersInLines) {
  EXPECT_EQ(to_string(deepseek_v3().plan()),
            "KV-cache storage          uint8            KV-cache dtype \"fp8\": the operator chose "
            "it.\n"
            "KV-cache view             float8_e4m3fn    KV-cache dtype \"fp8\": the operator chose "
            "it.\n"
            "prefill query             float8_e4m3fn    FP8 prefill queries are requested and "
            "possible.\n"
            "prefill key and value     float8_e4m3fn    Always that of the prefill queries.\n"
            "chunked-prefill workspace float8_e4m3fn    That of the prefill queries.\n"
            "decode query              float8_e4m3fn    The KV cache is FP8, and decode backend "
            "FLASHINFER_MLA takes FP8 queries with it.\n"
            "output                    bfloat16         Always the model's data type.\n"
            "KV cache                  576 bytes        For a token and layer; 1152 in the model's "
            "data type.\n"
            "workspace                 576 bytes        For a token.");
}

TEST(AttentionPlan, WhatTheTypeDoesNotSayIsNotKnown) {
  for (const char* cache_dtype : {"nvfp4", "fp8_per_token_head", "int8_per_token_head"}) {
    InjectedPlan injected(true, true, true);
    const AttentionPlan plan = injected.plan(make_config(cache_dtype, false));
    EXPECT_EQ(plan.kv_cache_bytes, std::nullopt) << cache_dtype;
    EXPECT_THAT(to_string(plan), HasSubstr("not known"));
  }
}

TEST(AttentionPlan, AnEnginesReasonIsOneLine) {
  InjectedPlan injected(true, false, {false, "no\noutput  float32\x1b[2J"});
  const std::string text = to_string(injected.plan(make_config("fp8", true)));
  EXPECT_THAT(text, HasSubstr("no output  float32 [2J"));
  EXPECT_EQ(text.find('\x1b'), text.npos);
}

TEST(AttentionPlan, CautionsHaveNames) {
  std::set<std::string_view> all;
  for (unsigned kind = 0; kind <= static_cast<unsigned>(CautionKind::no_fp8_units); ++kind) {
    all.insert(to_string(static_cast<CautionKind>(kind)));
  }
  EXPECT_THAT(all, SizeIs(8));
  EXPECT_EQ(to_string(CautionKind::storage_only), "storage_only");
  expect_invalid([] { return to_string(static_cast<CautionKind>(8)); },
                 StartsWith("kind: CautionKind(8) is not accepted"));
}

TEST(AttentionPlan, LogsTheDecisionAndEachCautionOnce) {
  Question question = deepseek_v3();
  question.config.cache_config.kv_scales = KvScales::unit;
  RecordingLog output;
  Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
  env.log = output.log;
  const AttentionPlan plan = plan_attention_data_types(
      question.config, bf16, env, make_decode_environment(cuda(10, 0), "FLASHINFER_MLA"));
  EXPECT_THAT(output.records(), IsEmpty());
  for (int layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(log_attention_plan(plan, env), layer == 0);
  }
  ASSERT_THAT(output.records(), SizeIs(2));
  EXPECT_EQ(output.records()[0], info(row_1));
  EXPECT_EQ(output.records()[1], warning(plan.cautions[0].sentence));
}

}  // namespace
}  // namespace mla_dtype
