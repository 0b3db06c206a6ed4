// SPDX-License-Identifier: Apache-2.0

// Without this mode `automatic` could decide against the prediction, select a backend for another
// decision, or advise what it would not do, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/cost_model.h>
#include <mla_dtype/prefill_query.h>

#include <cstdint>
#include <string>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/h100.h"
#include "support/record_texts.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using testing::e4m3;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::expect_invalid;
using testing::H100;
using testing::info;
using ::testing::IsEmpty;
using testing::make_config;
using ::testing::Not;
using testing::predicted;
using testing::row_1;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::with_isl;

using Mode = PrefillQueryMode;
using Outcome = PrefillQueryOutcome;

TEST(Automatic, IsDecidedByTheModel) {
  const std::int64_t even = *break_even_isl(h100_prefill_cost_model());
  for (const bool flag : {false, true}) {
    for (const std::int64_t isl : {std::int64_t{1}, even - 1, even, std::int64_t{131072}}) {
      H100 h100;
      EXPECT_EQ(h100.determine(with_isl(make_config("fp8", flag), isl, Mode::automatic)),
                isl < even ? bf16 : e4m3)
          << isl;
    }
  }
  H100 h100;
  h100.determine(with_isl(make_config("fp8", false), 32768, Mode::automatic));
  h100.determine(with_isl(make_config("fp8", true), 1024, Mode::automatic));
  EXPECT_THAT(h100.records(),
              ElementsAre(info(row_1 + ". " + predicted(32768, "1.34")),
                          info("FP8 prefill attention is possible, and not enabled: "
                               "prefill_query_mode is automatic. " +
                               predicted(1024, "0.75"))));
}

// It takes the backend that the decision is for.
TEST(Automatic, SelectsTheBackend) {
  const Platform blackwell = cuda(/*major=*/10, /*minor=*/0);
  Environment env = make_environment(blackwell, vllm_prefill_backends());
  env.predict_prefill_speedup = make_prefill_speedup_predictor(h100_prefill_cost_model());
  const auto selected = [&](std::int64_t isl) {
    const auto config = with_isl(make_config("fp8", false), isl, Mode::automatic);
    return select_prefill_backend(config, bf16, env);
  };
  EXPECT_EQ(selected(1024).name, "FLASH_ATTN");
  EXPECT_FALSE(selected(1024).takes_fp8_queries);
  EXPECT_EQ(selected(32768).name, "TRTLLM_RAGGED");
  EXPECT_TRUE(selected(32768).takes_fp8_queries);
  expect_invalid(
      [&] {
        return select_prefill_backend(with_isl(make_config("fp8", false), 1024, Mode::automatic),
                                      bf16, blackwell);
      },
      StartsWith("prefill_query_mode: automatic is not accepted; accepted: by_flag, required"));
}

// The predicate of a table answers whether the backend could, not whether it pays.
TEST(Automatic, ThePredicateAnswersForTheBackend) {
  H100 h100;
  const auto config = with_isl(make_config("fp8", false), 256, Mode::automatic);
  EXPECT_TRUE(prefill_backend_supports(config, bf16, h100.env).supported);
}

TEST(Automatic, WhatItKeepsAwayNothingBrings) {
  H100 h100;
  const auto config = with_isl(make_config("fp8", false), 1024, Mode::automatic);
  const auto explanation = explain_prefill_query_data_type(config, bf16, h100.env);
  EXPECT_EQ(explanation.outcome, Outcome::available_but_off);
  ASSERT_THAT(explanation.blockers, SizeIs(1));
  EXPECT_EQ(explanation.blockers[0].kind, BlockerKind::not_requested);
  EXPECT_EQ(explanation.blockers[0].value, "automatic");
  EXPECT_EQ(explanation.blockers[0].sentence, predicted(1024, "0.75"));
  EXPECT_THAT(explanation.remedies, IsEmpty());
  EXPECT_EQ(explanation.nothing_helps,
            "On this device (sm_90) FP8 prefill queries are not predicted to be faster at the "
            "expected ISL. Prefill in the model's data type is the right choice here.");
  ASSERT_TRUE(explanation.prediction);
  EXPECT_EQ(explanation.prediction->isl, 1024);
  EXPECT_NEAR(explanation.prediction->speedup, 0.749, 0.001);
  EXPECT_TRUE(explanation.prediction->decides);
  EXPECT_FALSE(explanation.prediction->advises_change);
  EXPECT_THAT(to_string(explanation), EndsWith("\nprediction: " + predicted(1024, "0.75")));

  // Nor where the engine's own predicate answers.
  h100.env.backend_supports_prefill_query_quantization = [](const EngineConfig&,
                                                            DataType) -> Support { return true; };
  const auto injected = explain_prefill_query_data_type(config, bf16, h100.env);
  EXPECT_THAT(injected.remedies, IsEmpty());
  ASSERT_THAT(injected.blockers, SizeIs(1));
  EXPECT_EQ(injected.blockers[0].sentence, predicted(1024, "0.75"));
}

// A device that could not anyway is told so.
TEST(Automatic, TheDeviceComesFirst) {
  Environment env = make_environment(cuda(/*major=*/8, /*minor=*/0), vllm_prefill_backends());
  env.predict_prefill_speedup = make_prefill_speedup_predictor(h100_prefill_cost_model());
  const auto config = with_isl(make_config("fp8", false), 1024, Mode::automatic);
  EXPECT_THAT(explain_prefill_query_data_type(config, bf16, env).nothing_helps,
              StartsWith("On this device (sm_80) no setting helps: "));
}

// Nor does it ask where the backend does not run at all.
TEST(Automatic, ABackendOfAnotherDeviceIsNoReasonToAsk) {
  H100 h100("ROCM_AITER_FA");
  h100.env.predict_prefill_speedup = [](const EngineConfig&, std::int64_t) { return 0.5; };
  const auto config = with_isl(make_config("fp8", false), 4096, Mode::automatic);
  const auto explanation = explain_prefill_query_data_type(config, bf16, h100.env);
  EXPECT_EQ(explanation.outcome, Outcome::not_applicable);
  EXPECT_THAT(explanation.remedies, IsEmpty());
  EXPECT_THAT(explanation.nothing_helps, StartsWith("On this device (sm_90) no"));
}

// What it asks for, the remedies bring, with no flag in them.
TEST(Automatic, RemediesWorkWithoutTheFlag) {
  H100 h100;
  const auto config = with_isl(make_config("auto", false), 32768, Mode::automatic);
  const auto explanation = explain_prefill_query_data_type(config, bf16, h100.env);
  EXPECT_EQ(explanation.outcome, Outcome::request_refused);
  ASSERT_THAT(explanation.remedies, Not(IsEmpty()));
  for (const Remedy& remedy : explanation.remedies) {
    EXPECT_FALSE(remedy.request);
    EngineConfig changed = config;
    if (!remedy.cache_dtype.empty()) changed.cache_config.cache_dtype = remedy.cache_dtype;
    changed.attention_config.mla_prefill_backend = remedy.prefill_backend;
    EXPECT_EQ(explain_prefill_query_data_type(changed, bf16, h100.env).data_type, e4m3)
        << remedy.spelling;
  }
}

TEST(Automatic, NeedsAnExpectedIslAndAPrediction) {
  H100 h100;
  EngineConfig config = make_config("fp8", false);
  config.attention_config.prefill_query_mode = Mode::automatic;
  const auto expect_both = [&](const std::string& text) {
    expect_invalid([&] { h100.determine(config); }, text);
    expect_invalid([&] { return explain_prefill_query_data_type(config, bf16, h100.env); }, text);
    expect_invalid([&] { return select_prefill_backend(config, bf16, h100.env); }, text);
    EXPECT_THAT(h100.records(), IsEmpty());
  };
  expect_both(
      "expected_isl: none is not accepted; accepted: 1 and above, where prefill_query_mode is "
      "automatic");
  config.attention_config.expected_isl = 4096;
  h100.env.predict_prefill_speedup = nullptr;
  expect_both(
      "predict_prefill_speedup: null is not accepted; accepted: a callable, where "
      "prefill_query_mode is automatic");
}

}  // namespace
}  // namespace mla_dtype
