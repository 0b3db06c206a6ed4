// SPDX-License-Identifier: Apache-2.0

// Without this the record of a selection could name another backend or reason, or be said twice,
// unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/prefill_backend.h>
#include <mla_dtype/prefill_query.h>

#include <string>

#include "support/engine_config.h"
#include "support/injected_engine.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::info;
using testing::InjectedEngine;
using ::testing::IsEmpty;
using testing::make_config;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::warning;

TEST(LogPrefillBackend, SaysWhichAndWhyOnce) {
  InjectedEngine fixture(true, true);
  const auto select = [](bool requested, DataType model_dtype) {
    return select_prefill_backend(make_config("fp8", requested), model_dtype, cuda(10, 0));
  };
  const auto with_fp8 = select(true, DataType::bfloat16);
  EXPECT_TRUE(log_prefill_backend(with_fp8, fixture.env));
  EXPECT_FALSE(log_prefill_backend(with_fp8, fixture.env));
  EXPECT_TRUE(log_prefill_backend(select(false, DataType::bfloat16), fixture.env));
  EXPECT_TRUE(log_prefill_backend(select(false, DataType::float32), fixture.env));
  ASSERT_THAT(fixture.records(), SizeIs(4));
  EXPECT_EQ(fixture.records()[0], info("Using prefill backend TRTLLM_RAGGED. Prefill backend "
                                       "FLASH_ATTN does not take FP8 queries."));
  EXPECT_EQ(fixture.records()[1], info("Using prefill backend FLASH_ATTN."));
  EXPECT_EQ(fixture.records()[2].level, LogLevel::warning);
  EXPECT_THAT(fixture.records()[2].text, HasSubstr("but TRTLLM_RAGGED does: turn"));
  EXPECT_THAT(fixture.records()[3].text,
              AllOf(StartsWith("No prefill backend can be used."), HasSubstr("float32")));
  EngineConfig chosen = make_config("fp8", true);
  chosen.attention_config.mla_prefill_backend = "FLASHINFER";
  log_prefill_backend(select_prefill_backend(chosen, DataType::bfloat16, cuda(9, 0)), fixture.env);
  EXPECT_EQ(
      fixture.records().at(4),
      warning("Prefill backend FLASHINFER cannot be used. Prefill backend FLASHINFER does not "
              "run on this device (sm_90), only on CUDA capability 10.x."));
  // What is wrong with the KV cache is said once, not once for each backend.
  log_prefill_backend(
      select_prefill_backend(make_config("nvfp4", true), DataType::bfloat16, cuda(10, 0)),
      fixture.env);
  EXPECT_EQ(fixture.records().at(5),
            info("Using prefill backend FLASH_ATTN. "
                 "KV-cache dtype nvfp4 is quantized, but FP8 prefill attention does not read it: "
                 "it is packed."));
  EXPECT_THAT(fixture.asked, IsEmpty());
}

// Who runs an H100 does not want to hear of ROCm's backends, nor of Blackwell's.
TEST(LogPrefillBackend, RecitesWhatMattersOnThisDevice) {
  const auto record = [](const Platform& platform, const std::vector<PrefillBackend>& backends) {
    InjectedEngine fixture(true, true);
    log_prefill_backend(
        select_prefill_backend(make_config("fp8", true), DataType::bfloat16, platform, backends),
        fixture.env);
    return fixture.records().at(0).text;
  };
  EXPECT_EQ(record(cuda(9, 0), vllm_prefill_backends()), "Using prefill backend FLASH_ATTN.");
  std::vector<PrefillBackend> elsewhere = vllm_prefill_backends();
  elsewhere.erase(elsewhere.begin() + 1);  // FLASH_ATTN, which runs anywhere
  EXPECT_THAT(record(cuda(9, 0), elsewhere),
              StartsWith("No prefill backend can be used. Prefill backend ROCM_AITER_FA does not "
                         "run on this device (sm_90)"))
      << "where there is nothing else to say";
}

}  // namespace
}  // namespace mla_dtype
