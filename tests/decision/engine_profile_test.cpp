// SPDX-License-Identifier: Apache-2.0

// Without this an operator of vLLM could be told what vLLM does not do, or an engine with a profile
// of its own get another engine's way or words, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_query.h>

#include <memory>
#include <string>

#include "support/backend_names.h"
#include "support/data_types.h"
#include "support/dimensions.h"
#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/follow.h"
#include "support/record_texts.h"
#include "support/recording_log.h"
#include "support/records_of.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using ::testing::ElementsAre;
using testing::expect_invalid;
using ::testing::HasSubstr;
using testing::info;
using testing::kinds;
using testing::make_config;
using testing::make_platform;
using testing::names;
using testing::records_of;
using testing::row_1;
using testing::row_2;
using testing::set_backend;
using ::testing::SizeIs;
using ::testing::StartsWith;

Environment vllm_on(const std::string& device) {
  return make_environment(make_platform(device), vllm_engine());
}

// The flag is on, the KV cache FP8, the device can, and still: FLASH_ATTN was taken first.
TEST(EngineProfile, VllmTakesTheFirstUsableAndRefuses_vllm50056_recipes701) {
  const Environment env = vllm_on("10.0");
  const EngineConfig config = make_config("fp8", true);
  EXPECT_THAT(records_of(config, env),
              ElementsAre(info(row_2 +
                               " Prefill backend FLASH_ATTN does not take FP8 queries. To enable "
                               "FP8 prefill attention, set: " +
                               set_backend + "\"TRTLLM_RAGGED\"}'")));
  const auto explanation = explain_prefill_query_data_type(config, bf16, env);
  EXPECT_EQ(explanation.prefill_backend, "FLASH_ATTN");
  EXPECT_THAT(kinds(explanation.blockers), ElementsAre(BlockerKind::backend_without_fp8));
  const auto selection = select_prefill_backend(config, bf16, env);
  EXPECT_EQ(selection.name, "FLASH_ATTN");
  EXPECT_EQ(selection.chosen, "") << "by the engine, and not by its operator";
  EXPECT_FALSE(selection.takes_fp8_queries);
  EXPECT_THAT(names(selection.rejected), ElementsAre("ROCM_AITER_FA"));
  EXPECT_EQ(selection.hint,
            "Prefill backend FLASH_ATTN does not take FP8 queries here, but TRTLLM_RAGGED does: "
            "choose it.");

  EngineConfig chosen = config;
  chosen.attention_config.mla_prefill_backend = "TRTLLM_RAGGED";
  EXPECT_THAT(records_of(chosen, env), ElementsAre(info(row_1)));
}

// The official recipe on B300 names no backend: it has to.
TEST(EngineProfile, VllmsRecipeOnB300NamesNoBackend_vllm50586) {
  const EngineConfig config = make_config("fp8", true);
  const Environment env = vllm_on("10.3");
  const auto explanation = explain_prefill_query_data_type(config, bf16, env);
  EXPECT_EQ(explanation.outcome, PrefillQueryOutcome::request_refused);
  ASSERT_FALSE(explanation.remedies.empty());
  EXPECT_EQ(explanation.remedies[0].spelling,
            "--attention-config '{\"use_prefill_query_quantization\": true, "
            "\"mla_prefill_backend\": \"TRTLLM_RAGGED\"}'");
  EXPECT_THAT(records_of(testing::follow(config, explanation.remedies[0]), env),
              ElementsAre(info(row_1)));
}

// Nothing helps on H200, and nobody is told that something would.
TEST(EngineProfile, VllmOnHopperHasNoFp8Prefill_vllm51313) {
  const auto explanation =
      explain_prefill_query_data_type(make_config("fp8", true), bf16, vllm_on("9.0"));
  EXPECT_EQ(explanation.outcome, PrefillQueryOutcome::request_refused);
  EXPECT_TRUE(explanation.remedies.empty());
  EXPECT_THAT(explanation.nothing_helps, StartsWith("On this device (sm_90) no setting helps"));
  EXPECT_EQ(explanation.hint, "");
}

// FLASH_ATTN takes three head dimensions; a model with others has no prefill backend.
TEST(EngineProfile, VllmsFlashAttnTakesThreeDimensions_vllm48855) {
  EngineConfig config = make_config("auto", false);
  for (const MlaDimensions& known : {MlaDimensions{128, 64, 128}, {192, 64, 256}, {64, 64, 128}}) {
    config.mla_dimensions = known;
    EXPECT_EQ(select_prefill_backend(config, bf16, vllm_on("9.0")).name, "FLASH_ATTN");
  }
  config.mla_dimensions = {64, 64, 64};
  const auto selection = select_prefill_backend(config, bf16, vllm_on("9.0"));
  EXPECT_EQ(selection.name, "");
  EXPECT_THAT(kinds(selection.rejected.at(1).blockers), ElementsAre(BlockerKind::dimensions));
}

// The flag alone does nothing there, so that nobody is told to set it alone.
TEST(EngineProfile, VllmsFlagAloneIsNoRemedy_vllm50181) {
  const auto explanation =
      explain_prefill_query_data_type(make_config("fp8", false), bf16, vllm_on("10.0"));
  EXPECT_EQ(explanation.outcome, PrefillQueryOutcome::not_applicable);
  ASSERT_FALSE(explanation.remedies.empty());
  for (const Remedy& remedy : explanation.remedies) {
    EXPECT_TRUE(remedy.request);
    EXPECT_NE(remedy.prefill_backend, "");
  }
  // But where the first usable one takes FP8 queries.
  EngineConfig glm = make_config("fp8", false);
  glm.mla_dimensions = testing::wide;
  const auto of_glm = explain_prefill_query_data_type(glm, bf16, vllm_on("10.0"));
  EXPECT_EQ(of_glm.outcome, PrefillQueryOutcome::available_but_off);
  ASSERT_FALSE(of_glm.remedies.empty());
  EXPECT_EQ(of_glm.remedies[0].prefill_backend, "");
}

TEST(EngineProfile, WhatIsNotAvailableIsNotTheFirst) {
  const Environment env =
      make_environment(cuda(10, 0), vllm_engine(), [](std::string_view name) -> Support {
        return {name != "FLASH_ATTN", "not compiled in"};
      });
  EXPECT_EQ(select_prefill_backend(make_config("fp8", false), bf16, env).name, "TRTLLM_RAGGED");
}

TEST(EngineProfile, EachRemedyWorksAndWhatHelpsIsTold) {
  int followed = 0;
  for (const std::string device : testing::all_devices) {
    const Environment env = vllm_on(device);
    for (const KvCacheFormat& format : kv_cache_formats()) {
      for (const auto& dimensions : {testing::deepseek, testing::wide, testing::odd}) {
        for (const bool requested : {false, true}) {
          EngineConfig config = make_config(std::string(format.name), requested);
          config.mla_dimensions = dimensions;
          const auto explanation = explain_prefill_query_data_type(config, bf16, env);
          EXPECT_EQ(explanation.blockers.empty(), is_fp8(explanation.data_type));
          for (const Remedy& remedy : explanation.remedies) {
            const EngineConfig followed_config = testing::follow(config, remedy);
            EXPECT_EQ(evaluate_prefill_query(followed_config, bf16, env).outcome,
                      PrefillQueryOutcome::quantized)
                << device << ' ' << format.name << ' ' << remedy.spelling;
            ++followed;
          }
          if (HasFailure()) return;  // one is enough to read
        }
      }
    }
  }
  EXPECT_GT(followed, 100);
}

TEST(EngineProfile, OfTheEnginesOwn) {
  EngineProfile mine = vllm_engine();
  mine.selection = BackendSelection::first_with_fp8;
  mine.spellings.request_fp8 = "--fp8-prefill";
  const Environment env = make_environment(cuda(10, 0), mine);
  EXPECT_THAT(records_of(make_config("fp8", true), env), ElementsAre(info(row_1)));
  EXPECT_THAT(
      explain_prefill_query_data_type(make_config("fp8", false), bf16, env).remedies.at(0).spelling,
      "--fp8-prefill");
  EXPECT_THAT(vllm_engine().facts_as_of, HasSubstr("2026-"));

  mine.selection = static_cast<BackendSelection>(2);
  expect_invalid([&] { return make_environment(cuda(10, 0), mine); },
                 StartsWith("selection: BackendSelection(2)"));
  expect_invalid([&] { return make_environment(cuda(10, 0), EngineProfile{}); },
                 StartsWith("prefill backends: none"));
}

// One log for both ways: what was said of one is not taken for said of the other.
TEST(EngineProfile, TheWayCountsForWhatWasSaid) {
  testing::RecordingLog output;
  const auto log = output.log;
  EngineProfile engine = vllm_engine();
  for (const auto selection : {BackendSelection::first_usable, BackendSelection::first_with_fp8}) {
    engine.selection = selection;
    Environment env = make_environment(cuda(10, 0), engine);
    env.log = log;
    for (int layer = 0; layer < 2; ++layer) {
      determine_prefill_query_data_type(make_config("fp8", true), bf16, env);
    }
  }
  ASSERT_THAT(output.records(), SizeIs(2));
  EXPECT_THAT(output.records()[0].text, StartsWith(row_2));
  EXPECT_EQ(output.records()[1], info(row_1));
}

}  // namespace
}  // namespace mla_dtype
