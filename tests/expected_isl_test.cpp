// SPDX-License-Identifier: Apache-2.0

// Decisions where the engine states the input sequence length that it expects, and predicts what
// FP8 brings there.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/cost_model.h>
#include <mla_dtype/prefill_query.h>

#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::expect_invalid;
using ::testing::HasSubstr;
using testing::info;
using ::testing::IsEmpty;
using testing::make_config;
using ::testing::Not;
using testing::Record;
using testing::RecordingLogger;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::warning;

constexpr auto bf16 = DataType::bfloat16;
constexpr auto fp8 = DataType::float8_e4m3fn;
using Mode = PrefillQueryMode;
using Outcome = PrefillQueryOutcome;

const std::string row_1 = "FP8 prefill attention enabled: query data type is FP8";
const std::string row_2 = "Unable to perform FP8 prefill attention";
const std::string row_3 =
    "FP8 KV cache is enabled but prefill queries are not quantized to FP8. For long-context "
    "workloads (ISL >= 4K), enabling FP8 prefill attention can significantly optimize prefill "
    "latency. To enable, add: --attention-config '{\"use_prefill_query_quantization\": true}'";

std::string predicted(std::int64_t isl, const std::string& speedup) {
  return "At the expected ISL of " + std::to_string(isl) +
         " tokens FP8 prefill attention is predicted to be " + speedup +
         "x as fast as in the model's data type.";
}

EngineConfig with_isl(EngineConfig config, std::int64_t isl, Mode mode = Mode::by_flag) {
  config.attention_config.expected_isl = isl;
  config.attention_config.prefill_query_mode = mode;
  return config;
}

// An H100 with TensorRT-LLM's backend, whose FP8 prefill runs there.
struct H100 {
  explicit H100(std::string_view prefill_backend = "TRTLLM_FMHA")
      : env(make_environment(cuda(/*major=*/9, /*minor=*/0), prefill_backend)) {
    env.predict_prefill_speedup = make_prefill_speedup_predictor(h100_prefill_cost_model());
    env.log = std::make_shared<OnceLog>(output.logger);
  }

  DataType determine(const EngineConfig& config) {
    return determine_prefill_query_data_type(config, bf16, env);
  }
  std::vector<Record> records() { return output.sink->records(); }

  RecordingLogger output;
  Environment env;
};

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
            RecordingLogger output;
            Environment env;
            env.is_quantized_kv_cache = [&](std::string_view) {
              asked.emplace_back("kv_cache");
              return quantized;
            };
            env.backend_supports_prefill_query_quantization = [&](const EngineConfig&,
                                                                  DataType) -> Support {
              asked.emplace_back("backend");
              return supports;
            };
            if (speedup) {
              env.predict_prefill_speedup = [&](const EngineConfig&, std::int64_t isl) {
                asked.push_back("speedup at " + std::to_string(isl));
                return *speedup;
              };
            }
            env.log = std::make_shared<OnceLog>(output.logger);
            const auto config = with_isl(make_config("fp8", flag), 3000, mode);

            const bool requested = mode == Mode::automatic ? speedup > 1 : flag;
            const Outcome outcome = decide_prefill_query({quantized, requested, supports});
            const DataType type = outcome == Outcome::quantized ? fp8 : bf16;
            std::vector<std::string> expected_asked = {"kv_cache"};
            if (speedup) expected_asked.emplace_back("speedup at 3000");
            if (quantized) expected_asked.emplace_back("backend");

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
            const auto records = output.sink->records();
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

TEST(ExpectedIsl, TheAdviceCarriesTheFigure) {
  H100 h100;
  h100.determine(with_isl(make_config("fp8", false), 32768));
  EXPECT_THAT(h100.records(), ElementsAre(warning(row_3 + " (" + predicted(32768, "1.34") + ")")));
}

TEST(ExpectedIsl, TheOppositeMistakeIsToldToo) {
  H100 h100;
  h100.env.flag_spelling = "--fp8-prefill";
  EXPECT_EQ(h100.determine(with_isl(make_config("fp8", true), 1024)), fp8);
  EXPECT_THAT(h100.records(),
              ElementsAre(info(row_1),
                          warning("FP8 prefill queries are enabled, but do not pay. " +
                                  predicted(1024, "0.75") + " To disable, remove: --fp8-prefill")));

  // vLLM's is one setting of an option that may hold others.
  for (const char* const spelling :
       {"", "--attention-config '{\"use_prefill_query_quantization\": true}'"}) {
    H100 other;
    other.env.flag_spelling = spelling;
    other.determine(with_isl(make_config("fp8", true), 1024));
    EXPECT_THAT(other.records().back().text,
                EndsWith(" To disable, turn off: use_prefill_query_quantization"));
  }
}

TEST(ExpectedIsl, NothingIsAdvisedForLessThanTwoPercent) {
  H100 h100;
  const std::int64_t even = *break_even_isl(h100_prefill_cost_model());
  h100.determine(with_isl(make_config("fp8", false), even));
  EXPECT_THAT(h100.records(), IsEmpty());
  h100.determine(with_isl(make_config("fp8", true), even));
  EXPECT_THAT(h100.records(), ElementsAre(info(row_1)));
}

// Where prefill runs in FP8 only, the flag cannot be turned off.
TEST(ExpectedIsl, WhatCannotRunOtherwiseIsNotAdvisedAgainst) {
  PrefillBackend asm_backend;
  asm_backend.name = "AITER_ASM";
  asm_backend.fp8_queries = Fp8Queries::required;
  asm_backend.fp8_kv_cache_dtypes = {"fp8"};
  RecordingLogger output;
  Environment env = make_environment(rocm("gfx950"), {asm_backend});
  env.log = std::make_shared<OnceLog>(output.logger);
  env.predict_prefill_speedup = make_prefill_speedup_predictor(h100_prefill_cost_model());
  EXPECT_EQ(determine_prefill_query_data_type(with_isl(make_config("fp8", true), 256), bf16, env),
            fp8);
  EXPECT_THAT(output.sink->records(), ElementsAre(info(row_1)));

  // In mode `automatic` there is nothing to choose either.
  auto automatic = with_isl(make_config("fp8", false), 256, Mode::automatic);
  EXPECT_EQ(select_prefill_backend(automatic, bf16, env).name, "AITER_ASM");
  EXPECT_EQ(determine_prefill_query_data_type(automatic, bf16, env), fp8);
  EXPECT_EQ(explain_prefill_query_data_type(automatic, bf16, env).data_type, fp8);
  automatic.cache_config.cache_dtype = "auto";
  EXPECT_EQ(evaluate_prefill_query(automatic, bf16, env).outcome, Outcome::request_refused);

  // What it lacks the remedies bring, with no backend that would run without FP8.
  PrefillBackend optional = asm_backend;
  optional.name = "OPTIONAL";
  optional.fp8_queries = Fp8Queries::optional;
  Environment chosen = make_environment(rocm("gfx950"), {optional, asm_backend});
  chosen.predict_prefill_speedup = env.predict_prefill_speedup;
  automatic.attention_config.mla_prefill_backend = "AITER_ASM";
  const auto remedies = explain_prefill_query_data_type(automatic, bf16, chosen).remedies;
  ASSERT_THAT(remedies, SizeIs(1));
  EXPECT_EQ(remedies[0].cache_dtype, "fp8");
  EXPECT_EQ(remedies[0].prefill_backend, "");
  automatic.attention_config.mla_prefill_backend = "";

  // Beside another backend there is; but not if the operator chooses.
  PrefillBackend other;
  other.name = "OTHER";
  Environment both = make_environment(rocm("gfx950"), {asm_backend, other});
  both.predict_prefill_speedup = env.predict_prefill_speedup;
  automatic.cache_config.cache_dtype = "fp8";
  EXPECT_EQ(select_prefill_backend(automatic, bf16, both).name, "OTHER");
  EXPECT_EQ(evaluate_prefill_query(automatic, bf16, both).data_type, bf16);
  automatic.attention_config.mla_prefill_backend = "AITER_ASM";
  EXPECT_EQ(select_prefill_backend(automatic, bf16, both).name, "AITER_ASM");
  EXPECT_EQ(evaluate_prefill_query(automatic, bf16, both).data_type, fp8);
}

TEST(ExpectedIsl, RequiredAsksForNoPrediction) {
  H100 h100;
  h100.env.predict_prefill_speedup = [](const EngineConfig&, std::int64_t) -> double {
    throw std::logic_error("asked");
  };
  EXPECT_EQ(h100.determine(with_isl(make_config("fp8", false), 256, Mode::required)), fp8);
  EXPECT_THAT(h100.records(), ElementsAre(info(row_1)));
}

TEST(ExpectedIsl, ARefusalAdvisesOnlyWhatPays) {
  H100 h100;
  h100.determine(with_isl(make_config("auto", true), 32768));
  ASSERT_THAT(h100.records(), SizeIs(1));
  EXPECT_THAT(h100.records()[0].text,
              EndsWith("To enable FP8 prefill attention, set: --kv-cache-dtype fp8"));
  h100.determine(with_isl(make_config("auto", true), 1024));
  ASSERT_THAT(h100.records(), SizeIs(2));
  EXPECT_THAT(h100.records()[1].text, StartsWith(row_2));
  EXPECT_THAT(h100.records()[1].text,
              EndsWith("the KV-cache dtype is \"auto\". " + predicted(1024, "0.75")));
  EXPECT_THAT(to_string(explain_prefill_query_data_type(with_isl(make_config("auto", true), 1024),
                                                        bf16, h100.env)),
              EndsWith(predicted(1024, "0.75") + " The remedies do not pay."));

  // In mode `automatic` the flag that the text speaks of may be off.
  H100 automatic;
  automatic.determine(with_isl(make_config("auto", false), 32768, Mode::automatic));
  ASSERT_THAT(automatic.records(), SizeIs(1));
  EXPECT_THAT(automatic.records()[0].text,
              EndsWith(" prefill_query_mode is automatic. " + predicted(32768, "1.34") +
                       " To enable FP8 prefill attention, set: --kv-cache-dtype fp8"));
}

TEST(ExpectedIsl, FiguresNearOneHaveThreeDigits) {
  H100 h100;
  h100.env.predict_prefill_speedup = [](const EngineConfig&, std::int64_t) { return 0.9987; };
  h100.determine(with_isl(make_config("fp8", false), 7, Mode::automatic));
  ASSERT_THAT(h100.records(), SizeIs(1));
  EXPECT_THAT(h100.records()[0].text, EndsWith(predicted(7, "0.999")));
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

TEST(Automatic, IsDecidedByTheModel) {
  const std::int64_t even = *break_even_isl(h100_prefill_cost_model());
  for (const bool flag : {false, true}) {
    for (const std::int64_t isl : {std::int64_t{1}, even - 1, even, std::int64_t{131072}}) {
      H100 h100;
      EXPECT_EQ(h100.determine(with_isl(make_config("fp8", flag), isl, Mode::automatic)),
                isl < even ? bf16 : fp8)
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
        select_prefill_backend(with_isl(make_config("fp8", false), 1024, Mode::automatic), bf16,
                               blackwell);
      },
      StartsWith("prefill_query_mode: automatic is not accepted; accepted: by_flag, required"));
}

// The predicate of a table answers whether the backend could, not whether it pays.
TEST(Automatic, ThePredicateAnswersForTheBackend) {
  H100 h100;
  const auto config = with_isl(make_config("fp8", false), 256, Mode::automatic);
  EXPECT_TRUE(h100.env.backend_supports_prefill_query_quantization(config, bf16).supported);
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
    EXPECT_EQ(explain_prefill_query_data_type(changed, bf16, h100.env).data_type, fp8)
        << remedy.spelling;
  }
}

TEST(Automatic, NeedsAnExpectedIslAndAPrediction) {
  H100 h100;
  EngineConfig config = make_config("fp8", false);
  config.attention_config.prefill_query_mode = Mode::automatic;
  const auto expect_both = [&](const std::string& text) {
    expect_invalid([&] { h100.determine(config); }, text);
    expect_invalid([&] { explain_prefill_query_data_type(config, bf16, h100.env); }, text);
    expect_invalid([&] { select_prefill_backend(config, bf16, h100.env); }, text);
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

// A veto of the plan's own leaves nothing to advise.
TEST(ExpectedIsl, InAPlanThatRefuses) {
  H100 h100;
  h100.env.backend_supports_prefill_query_quantization = [](const EngineConfig&,
                                                            DataType) -> Support { return true; };
  auto config = with_isl(make_config("fp8", true), 1024);
  config.cache_config.kv_scales = KvScales::dynamic;
  const auto decode = make_decode_environment(cuda(/*major=*/9, /*minor=*/0), "FLASHMLA");
  const auto plan = plan_attention_data_types(config, bf16, h100.env, decode);
  EXPECT_EQ(plan.prefill.outcome, Outcome::request_refused);
  ASSERT_TRUE(plan.prefill.prediction);
  EXPECT_FALSE(plan.prefill.prediction->advises_change);
}

}  // namespace
}  // namespace mla_dtype
