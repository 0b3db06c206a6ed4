// SPDX-License-Identifier: Apache-2.0

// Without this a prediction could change a decision that it only comments on, or a flag that cannot
// pay be advised, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/cost_model.h>
#include <mla_dtype/prefill_query.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/h100.h"
#include "support/injected_engine.h"
#include "support/record_texts.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using testing::e4m3;
using ::testing::ElementsAre;
using testing::expect_invalid;
using testing::H100;
using ::testing::HasSubstr;
using testing::info;
using testing::injected_environment;
using ::testing::IsEmpty;
using testing::make_config;
using testing::predicted;
using testing::Record;
using testing::RecordingLog;
using testing::row_1;
using testing::row_2;
using testing::row_3;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::warning;
using testing::with_isl;

using Mode = PrefillQueryMode;
using Outcome = PrefillQueryOutcome;

// The whole space with injected predicates: what is asked, decided and said.
TEST(ExpectedIsl, EveryModeFlagFactAndPrediction) {
  constexpr std::optional<double> none;
  for (const Mode mode : {Mode::by_flag, Mode::automatic}) {
    for (const bool flag : {false, true}) {
      for (const bool quantized : {false, true}) {
        for (const bool supports : {false, true}) {
          for (const std::optional<double> speedup :
               {none, std::optional(0.5), std::optional(1 / 1.02), std::optional(0.99),
                std::optional(1.0), std::optional(1.01), std::optional(1.02), std::optional(1.5)}) {
            if (mode == Mode::automatic && !speedup) continue;
            SCOPED_TRACE(::testing::Message()
                         << "automatic " << (mode == Mode::automatic) << ", flag " << flag
                         << ", quantized " << quantized << ", supports " << supports << ", speedup "
                         << speedup.value_or(0));
            std::vector<std::string> asked;
            RecordingLog output;
            Environment env = injected_environment(quantized, supports, &asked);
            if (speedup) {
              env.predict_prefill_speedup = [&](const EngineConfig&, std::int64_t isl) {
                asked.push_back("speedup at " + std::to_string(isl));
                return *speedup;
              };
            }
            env.log = output.log;
            const auto config = with_isl(make_config("fp8", flag), 3000, mode);

            const bool requested = mode == Mode::automatic ? speedup > 1 : flag;
            const Outcome outcome = decide_prefill_query({quantized, requested, supports});
            const DataType type = outcome == Outcome::quantized ? e4m3 : bf16;
            std::vector<std::string> expected_asked = {"kv_cache fp8"};
            if (speedup) expected_asked.emplace_back("speedup at 3000");
            if (quantized) expected_asked.emplace_back("backend fp8 bfloat16");

            EXPECT_EQ(determine_prefill_query_data_type(config, bf16, env), type);
            EXPECT_EQ(asked, expected_asked);
            const auto decision = evaluate_prefill_query(config, bf16, env);
            EXPECT_EQ(decision.outcome, outcome);
            EXPECT_EQ(decision.prediction.has_value(), speedup.has_value());
            asked.clear();
            EXPECT_FALSE(log_prefill_query(decision, config, bf16, env)) << "said already";
            EXPECT_THAT(asked, IsEmpty());

            std::vector<Record> expected;  // their beginnings
            const bool automatic = mode == Mode::automatic;
            if (outcome == Outcome::quantized) {
              expected.push_back(info(row_1 + (automatic ? ". At the expected ISL of 3000" : "")));
              if (!automatic && speedup && *speedup <= 1 / 1.02) {
                expected.push_back(
                    warning("FP8 prefill queries are enabled, but do not pay. At the expected"));
              }
            } else if (outcome == Outcome::request_refused) {
              expected.push_back(info(row_2));
            } else if (outcome == Outcome::available_but_off && automatic) {
              expected.push_back(
                  info("FP8 prefill attention is possible, and not enabled: prefill_query_mode is "
                       "automatic. At the expected ISL of 3000"));
            } else if (outcome == Outcome::available_but_off && (!speedup || *speedup >= 1.02)) {
              expected.push_back(warning(row_3));
            }
            const auto records = output.records();
            ASSERT_EQ(records.size(), expected.size());
            for (std::size_t i = 0; i < records.size(); ++i) {
              EXPECT_EQ(records[i].level, expected[i].level);
              EXPECT_THAT(records[i].text, StartsWith(expected[i].text));
            }
            if (outcome == Outcome::request_refused) {
              const std::string figure = " At the expected ISL of 3000 tokens FP8";
              const bool is_said = automatic || speedup.value_or(2) < 1.02;
              EXPECT_EQ(records[0].text.find(figure) != std::string::npos, is_said);
              EXPECT_EQ(records[0].text.find("mode is automatic." + figure) != std::string::npos,
                        automatic);
            }
          }
        }
      }
    }
  }
}

// Who does not ask gets the table, letter for letter.
TEST(ExpectedIsl, NothingChangesWithoutItOrWithoutAPrediction) {
  H100 silent;
  silent.determine(make_config("fp8", false));
  EXPECT_THAT(silent.records(), ElementsAre(warning(row_3)));

  H100 without_model;
  without_model.env.predict_prefill_speedup = nullptr;
  without_model.determine(with_isl(make_config("fp8", false), 256));
  without_model.determine(with_isl(make_config("fp8", true), 256));
  EXPECT_THAT(without_model.records(), ElementsAre(warning(row_3), info(row_1)));
}

// Where prefill runs in FP8 only, the flag cannot be turned off.
TEST(ExpectedIsl, WhatCannotRunOtherwiseIsNotAdvisedAgainst) {
  PrefillBackend asm_backend;
  asm_backend.name = "AITER_ASM";
  asm_backend.fp8_queries = Fp8Queries::required;
  asm_backend.fp8_kv_cache_dtypes = {"fp8"};
  RecordingLog output;
  Environment env = make_environment(rocm("gfx950"), {asm_backend});
  env.log = output.log;
  env.predict_prefill_speedup = make_prefill_speedup_predictor(h100_prefill_cost_model());
  EXPECT_EQ(determine_prefill_query_data_type(with_isl(make_config("fp8", true), 256), bf16, env),
            e4m3);
  EXPECT_THAT(output.records(), ElementsAre(info(row_1)));

  // The mode `automatic` is a plain rule: predicted to be slower, FP8 is not asked for.
  auto automatic = with_isl(make_config("fp8", false), 256, Mode::automatic);
  EXPECT_EQ(select_prefill_backend(automatic, bf16, env).name, "");
  EXPECT_EQ(determine_prefill_query_data_type(automatic, bf16, env), bf16);
  EXPECT_THAT(explain_prefill_query_data_type(automatic, bf16, env).remedies, IsEmpty());
  automatic = with_isl(make_config("fp8", false), 32768, Mode::automatic);
  EXPECT_EQ(select_prefill_backend(automatic, bf16, env).name, "AITER_ASM");
  EXPECT_EQ(determine_prefill_query_data_type(automatic, bf16, env), e4m3);

  PrefillBackend other;
  other.name = "OTHER";
  Environment both = make_environment(rocm("gfx950"), {asm_backend, other});
  both.predict_prefill_speedup = env.predict_prefill_speedup;
  automatic = with_isl(make_config("fp8", false), 256, Mode::automatic);
  EXPECT_EQ(select_prefill_backend(automatic, bf16, both).name, "OTHER");
  EXPECT_EQ(evaluate_prefill_query(automatic, bf16, both).data_type, bf16);
}

TEST(ExpectedIsl, RequiredAsksForNoPrediction) {
  H100 h100;
  h100.env.predict_prefill_speedup = [](const EngineConfig&, std::int64_t) -> double {
    throw std::logic_error("asked");
  };
  EXPECT_EQ(h100.determine(with_isl(make_config("fp8", false), 256, Mode::required)), e4m3);
  EXPECT_THAT(h100.records(), ElementsAre(info(row_1)));
}

// The hint of a selection is advice, too.
TEST(ExpectedIsl, NoOtherBackendIsAdvisedWhereItDoesNotPay) {
  const Platform blackwell = cuda(/*major=*/10, /*minor=*/0);
  Environment env = make_environment(blackwell, vllm_prefill_backends());
  env.predict_prefill_speedup = make_prefill_speedup_predictor(h100_prefill_cost_model());
  const auto hint = [&](std::int64_t isl, bool flag, Mode mode) {
    const auto config = with_isl(make_config("fp8", flag), isl, mode);
    return select_prefill_backend(config, bf16, env).hint;
  };
  EXPECT_THAT(hint(32768, false, Mode::by_flag), HasSubstr("TRTLLM_RAGGED does: turn"));
  EXPECT_EQ(hint(1024, false, Mode::by_flag), "");
  EXPECT_EQ(hint(1024, false, Mode::automatic), "");
}

TEST(ExpectedIsl, BadInputIsRefused) {
  H100 h100;
  for (const std::int64_t isl : {std::int64_t{0}, std::numeric_limits<std::int64_t>::min()}) {
    expect_invalid(
        [&] { h100.determine(with_isl(make_config("fp8", false), isl)); },
        "expected_isl: " + std::to_string(isl) + " is not accepted; accepted: 1 and above");
  }
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {0.0, -1.0, infinity, std::numeric_limits<double>::quiet_NaN()}) {
    h100.env.predict_prefill_speedup = [&](const EngineConfig&, std::int64_t) { return bad; };
    expect_invalid([&] { h100.determine(with_isl(make_config("fp8", false), 1)); },
                   StartsWith("answer of predict_prefill_speedup: "));
  }
  EXPECT_THAT(h100.records(), IsEmpty());
}

TEST(ExpectedIsl, WhatThePredictionThrowsReachesTheCallerAndNothingIsSaid) {
  H100 h100;
  h100.env.predict_prefill_speedup = [](const EngineConfig&, std::int64_t) -> double {
    throw std::out_of_range("no model");
  };
  EXPECT_THROW(h100.determine(with_isl(make_config("fp8", false), 1)), std::out_of_range);
  EXPECT_THAT(h100.records(), IsEmpty());
}

// A plan decides and says the same.
TEST(ExpectedIsl, InAPlan) {
  const auto decode = make_decode_environment(cuda(/*major=*/9, /*minor=*/0), "FLASHMLA");
  const auto plan_and_log = [&](const EngineConfig& config) {
    H100 h100;
    const auto plan = plan_attention_data_types(config, bf16, h100.env, decode);
    EXPECT_TRUE(plan.prefill.prediction);
    log_attention_plan(plan, h100.env);
    auto records = h100.records();
    H100 alone;
    EXPECT_EQ(plan.prefill_query.data_type, alone.determine(config));
    for (std::size_t i = 0; i < alone.records().size(); ++i) {
      EXPECT_EQ(records.at(i), alone.records()[i]);
    }
    return plan.prefill_query.reason;
  };
  EXPECT_EQ(plan_and_log(with_isl(make_config("fp8", true), 1024)),
            "FP8 prefill queries are requested and possible.");
  EXPECT_EQ(plan_and_log(with_isl(make_config("fp8", false), 32768)),
            "use_prefill_query_quantization is off.");
  EXPECT_EQ(plan_and_log(with_isl(make_config("fp8", false), 1024, Mode::automatic)),
            predicted(1024, "0.75"));
  EXPECT_EQ(plan_and_log(with_isl(make_config("fp8", false), 32768, Mode::automatic)),
            "FP8 prefill queries are possible, and predicted to be faster.");
}

// A plan advises as the determination does.
TEST(ExpectedIsl, InAPlanWithAnInjectedPredicate) {
  H100 h100;
  h100.env.backend_supports_prefill_query_quantization = [](const EngineConfig&,
                                                            DataType) -> Support { return true; };
  auto config = with_isl(make_config("fp8", true), 1024);
  config.cache_config.kv_scales = KvScales::dynamic;
  const auto decode = make_decode_environment(cuda(/*major=*/9, /*minor=*/0), "FLASHMLA");
  const auto plan = plan_attention_data_types(config, bf16, h100.env, decode);
  EXPECT_EQ(plan.prefill.outcome, Outcome::quantized);
  ASSERT_TRUE(plan.prefill.prediction);
  EXPECT_TRUE(plan.prefill.prediction->advises_change);
}

}  // namespace
}  // namespace mla_dtype
