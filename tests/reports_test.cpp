// SPDX-License-Identifier: Apache-2.0

// What operators met, and what they are told now. Without this one of these reports could come true
// again unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/prefill_query.h>

#include <memory>
#include <string>

#include "support/engine_config.h"
#include "support/record_texts.h"
#include "support/recording_log.h"
#include "support/records_of.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::info;
using ::testing::IsEmpty;
using testing::make_config;
using testing::RecordingLog;
using testing::records_of;
using testing::row_1;
using testing::row_2;
using testing::set_backend;

EngineConfig kimi_k3() {
  EngineConfig config = make_config("fp8", true);
  config.mla_dimensions = {128, 64, 128};
  return config;
}

// Kimi-K3 on Blackwell: the flag was on, FLASH_ATTN was selected all the same, and the engine told
// to turn the flag on. Now another backend is selected; and where FLASH_ATTN was chosen, the record
// says so and what to choose.
TEST(Reports, vllm50056) {
  const EngineConfig config = kimi_k3();
  const Environment automatic = make_environment(cuda(10, 0), vllm_prefill_backends());
  EXPECT_THAT(records_of(config, automatic), ElementsAre(info(row_1)));
  EXPECT_EQ(explain_prefill_query_data_type(config, DataType::bfloat16, automatic).prefill_backend,
            "TRTLLM_RAGGED");

  EXPECT_THAT(records_of(config, make_environment(cuda(10, 0), "FLASH_ATTN")),
              ElementsAre(info(row_2 +
                               " Prefill backend FLASH_ATTN does not take FP8 queries. To enable "
                               "FP8 prefill attention, set: " +
                               set_backend + "\"TRTLLM_RAGGED\"}'")));
}

// The official recipe on B300 names no backend and ends in the same assertion.
TEST(Reports, vllm50586) {
  const EngineConfig config = kimi_k3();
  Environment env = make_environment(cuda(10, 3), vllm_prefill_backends());
  env.log = RecordingLog().log;
  EXPECT_EQ(determine_prefill_query_data_type(config, DataType::bfloat16, env),
            DataType::float8_e4m3fn);
  const auto explanation = explain_prefill_query_data_type(config, DataType::bfloat16, env);
  EXPECT_EQ(to_string(explanation),
            "data type: float8_e4m3fn\n"
            "outcome: quantized\n"
            "KV-cache dtype: \"fp8\"\n"
            "prefill backend: TRTLLM_RAGGED");
  // Without the flag it is not selected; and the operator is told.
  EngineConfig without_flag = config;
  without_flag.attention_config.use_prefill_query_quantization = false;
  EXPECT_EQ(to_string(explain_prefill_query_data_type(without_flag, DataType::bfloat16, env)),
            "data type: bfloat16\n"
            "outcome: not_applicable\n"
            "KV-cache dtype: \"fp8\"\n"
            "prefill backend: FLASH_ATTN\n"
            "blocker: use_prefill_query_quantization is off.\n"
            "remedy: --attention-config '{\"use_prefill_query_quantization\": true}'\n"
            "note: Prefill backend FLASH_ATTN does not take FP8 queries here, but TRTLLM_RAGGED "
            "does: turn use_prefill_query_quantization on to have it selected.");
  EXPECT_THAT(records_of(without_flag, env), IsEmpty());
}

// Kimi-K3 on H200: no flag and no backend can help, and the engine asked for the flag again and
// again, at the first prefill.
TEST(Reports, vllm51313) {
  EngineConfig config = kimi_k3();
  const Environment env = make_environment(cuda(9, 0), vllm_prefill_backends());
  const std::string record =
      row_2 +
      " Prefill backend FLASH_ATTN does not take FP8 queries. On this device (sm_90) no setting "
      "helps: the engine's prefill backends take FP8 queries only on CUDA capability 10.x. Prefill "
      "in the model's data type is the right choice here.";
  EXPECT_THAT(records_of(config, env), ElementsAre(info(record)));
  const auto explanation = explain_prefill_query_data_type(config, DataType::bfloat16, env);
  EXPECT_THAT(explanation.remedies, IsEmpty());
  EXPECT_EQ(explanation.prefill_backend, "FLASH_ATTN");

  config.attention_config.prefill_query_mode = PrefillQueryMode::required;
  try {
    determine_prefill_query_data_type(config, DataType::bfloat16, env);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const PrefillQueryRefused& refused) {
    EXPECT_STREQ(refused.what(),
                 "FP8 prefill queries are required (prefill_query_mode), and not possible. Prefill "
                 "backend FLASH_ATTN does not take FP8 queries. On this device (sm_90) no setting "
                 "helps: the engine's prefill backends take FP8 queries only on CUDA capability "
                 "10.x.");
    EXPECT_THAT(refused.explanation().remedies, IsEmpty());
    EXPECT_EQ(to_string(refused.explanation()),
              to_string(explain_prefill_query_data_type(config, DataType::bfloat16, env)));
  }
}

}  // namespace
}  // namespace mla_dtype
