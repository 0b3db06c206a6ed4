// SPDX-License-Identifier: Apache-2.0

// Without this the text or the level of a decision's record could change, or two decisions share
// one record, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/prefill_query.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/injected_engine.h"
#include "support/record_texts.h"
#include "support/recording_log.h"
#include "support/records_of.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::expect_invalid;
using ::testing::HasSubstr;
using testing::info;
using testing::InjectedEngine;
using ::testing::IsEmpty;
using testing::make_config;
using testing::RecordingLog;
using testing::records_of;
using testing::row_1;
using testing::row_2;
using testing::row_3;
using testing::set_backend;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::warning;

using Outcome = PrefillQueryOutcome;

TEST(PrefillQuery, ARefusalSaysWhichConditionFailed) {
  InjectedEngine backend(true, false, "Compiled without FP8 kernels.");
  determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16, backend.env);
  EXPECT_THAT(backend.records(), ElementsAre(info(row_2 + " Compiled without FP8 kernels.")));

  InjectedEngine silent_backend(true, false);
  determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16,
                                    silent_backend.env);
  EXPECT_THAT(silent_backend.records(),
              ElementsAre(info(row_2 + " The prefill backend does not support FP8 queries and gave "
                                       "no reason.")));

  InjectedEngine kv_cache(false, true);
  determine_prefill_query_data_type(make_config("auto", true), DataType::bfloat16, kv_cache.env);
  EXPECT_THAT(
      kv_cache.records(),
      ElementsAre(info(row_2 + " The KV cache is not quantized: the KV-cache dtype is \"auto\".")));
}

TEST(PrefillQuery, RefusalsThatDifferAreBothLogged) {
  InjectedEngine fixture(false, true);
  determine_prefill_query_data_type(make_config("auto", true), DataType::bfloat16, fixture.env);
  determine_prefill_query_data_type(make_config("float16", true), DataType::bfloat16, fixture.env);
  EXPECT_EQ(fixture.records().size(), 2U);
}

TEST(PrefillQuery, AConfiguredStringIsNeverRawInARecord) {
  InjectedEngine fixture(false, true);
  determine_prefill_query_data_type(make_config("\x1b[2J{}\n\xFF", true), DataType::bfloat16,
                                    fixture.env);
  ASSERT_EQ(fixture.records().size(), 1U);
  EXPECT_THAT(fixture.records()[0].text, HasSubstr(R"("\x1b[2J{}\x0a\xff")"));
}

TEST(PrefillQuery, ALongReasonIsLoggedWhole) {
  const std::string reason(100'000, 'r');
  InjectedEngine fixture(true, false, reason);
  determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16, fixture.env);
  EXPECT_THAT(fixture.records(), ElementsAre(info(row_2 + ' ' + reason)));
}

TEST(PrefillQuery, TheHintSpeaksTheEnginesOwnFlag) {
  InjectedEngine fixture(true, true);
  fixture.env.spellings.request_fp8 = "--fp8-prefill {on}";
  determine_prefill_query_data_type(make_config("fp8", false), DataType::bfloat16, fixture.env);
  const std::string before_flag = row_3.substr(0, row_3.find("add: ") + 5);
  EXPECT_THAT(fixture.records(), ElementsAre(warning(before_flag + "--fp8-prefill {on}")));
}

TEST(PrefillQuery, TheLevelOfARefusalIsTheEngines) {
  InjectedEngine fixture(true, false, "Because.");
  fixture.env.refused_request_level = LogLevel::warning;
  determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16, fixture.env);
  EXPECT_THAT(fixture.records(), ElementsAre(warning(row_2 + " Because.")));
  fixture.env.refused_request_level = static_cast<LogLevel>(2);
  expect_invalid(
      [&] {
        determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16,
                                          fixture.env);
      },
      StartsWith("refused_request_level: LogLevel(2) is not accepted"));
}

TEST(PrefillQuery, OutcomesHaveNames) {
  EXPECT_EQ(to_string(Outcome::quantized), "quantized");
  EXPECT_EQ(to_string(Outcome::request_refused), "request_refused");
  EXPECT_EQ(to_string(Outcome::available_but_off), "available_but_off");
  EXPECT_EQ(to_string(Outcome::not_applicable), "not_applicable");
  const auto expected =
      AllOf(StartsWith("outcome: PrefillQueryOutcome(4)"), HasSubstr("enumerators"));
  expect_invalid([] { return to_string(static_cast<Outcome>(4)); }, expected);
  InjectedEngine fixture(true, true);
  PrefillQueryDecision decision{};
  decision.outcome = static_cast<Outcome>(4);
  expect_invalid([&] { log_prefill_query(decision, {}, DataType::float16, fixture.env); },
                 expected);
  EXPECT_THAT(fixture.records(), IsEmpty());
}

// Whatever was refused before with the same environment, a refusal is in words of its own.
TEST(MakeEnvironment, EachRefusalHasItsOwnWords) {
  struct Case {
    EngineConfig config;
    DataType model_dtype;
    Environment env;
  };
  const auto record_of = [](const Case& asked) {
    const auto records = records_of(asked.config, asked.env, asked.model_dtype);
    EXPECT_THAT(records, SizeIs(1));
    return records.empty() ? std::string() : records[0].text;
  };
  const auto make_cases = [](auto make_env) {
    std::vector<Case> cases;
    const auto add = [&](auto change) {
      cases.push_back({make_config("fp8", true), DataType::bfloat16, make_env()});
      change(cases.back());
    };
    add([](Case&) {});
    add([](Case& c) { c.config.cache_config.cache_dtype = "auto"; });
    add([](Case& c) { c.config.cache_config.cache_dtype = "bfloat16"; });
    add([](Case& c) { c.config.cache_config.cache_dtype = "nvfp4"; });
    add([](Case& c) {
      c.config.cache_config.cache_dtype = "auto";
      c.config.cache_config.checkpoint_kv_cache_quant_algo = "NVFP4";
    });
    add([](Case& c) { c.model_dtype = DataType::float32; });
    add([](Case& c) { c.config.mla_dimensions.v_head_dim = 96; });
    add([](Case& c) { c.config.cache_config.kv_scales = KvScales::dynamic; });
    add([](Case& c) { c.config.parallel_config.decode_context_parallel_size = 2; });
    add([](Case& c) {
      c.config.attention_config.mla_prefill_backend = "FLASHINFER";
      c.config.num_attention_heads = 17;
      c.model_dtype = DataType::float32;
    });
    add([](Case& c) { c.env.spellings.request_fp8 = "--fp8-prefill"; });
    add([](Case& c) { c.env.spellings.kv_cache_dtype = "--cache"; });
    add([](Case& c) { c.env.spellings.prefill_backend = "--backend"; });
    add([](Case& c) {
      c.config.cache_config.cache_dtype = "auto";
      c.env.spellings.kv_cache_dtype = "--cache";
    });
    add([](Case& c) { c.env.is_quantized_kv_cache = [](std::string_view) { return false; }; });
    add([](Case& c) {
      c.config.attention_config.expected_isl = 1024;
      c.env.predict_prefill_speedup = [](const EngineConfig&, std::int64_t) { return 0.75; };
    });
    add([](Case& c) {
      c.config.attention_config.expected_isl = 1025;
      c.env.predict_prefill_speedup = [](const EngineConfig&, std::int64_t) { return 0.75; };
    });
    add([](Case& c) {
      c.config.attention_config.expected_isl = 1024;
      c.env.predict_prefill_speedup = [](const EngineConfig&, std::int64_t) { return 0.5; };
    });
    return cases;
  };
  const auto make_env = [] {
    return make_environment(cuda(/*major=*/10, /*minor=*/0), "FLASH_ATTN");
  };
  std::vector<std::string> expected;
  for (const Case& alone : make_cases(make_env)) expected.push_back(record_of(alone));
  EXPECT_EQ(std::set<std::string>(expected.begin(), expected.end()).size(), expected.size() - 2)
      << "only dynamic scales and a spread KV cache are none of this table's obstacles";
  for (std::size_t first = 0; first < expected.size(); ++first) {
    const Environment shared = make_env();
    const auto cases = make_cases([&] { return shared; });
    EXPECT_EQ(record_of(cases[first]), expected[first]);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      EXPECT_EQ(record_of(cases[i]), expected[i]) << i << " after " << first;
    }
  }
}

// A draft and its target, with one log: each gets its own answer, and its own record.
TEST(PrefillQuery, TwoModelsInOneProcessAreEachHeard) {
  RecordingLog output;
  const auto log = output.log;
  Environment target = make_environment(cuda(10, 0), vllm_prefill_backends());
  target.log = log;
  Environment draft = make_environment(cuda(10, 0), "FLASH_ATTN");
  draft.log = log;
  EngineConfig odd_model = make_config("fp8", true);
  odd_model.mla_dimensions = {64, 64, 128};
  for (int layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(
        determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16, target),
        DataType::float8_e4m3fn);
    EXPECT_EQ(determine_prefill_query_data_type(make_config("fp8", true), DataType::float16, draft),
              DataType::float16);
    EXPECT_EQ(determine_prefill_query_data_type(odd_model, DataType::bfloat16, draft),
              DataType::bfloat16);
  }
  EXPECT_THAT(
      output.records(),
      ElementsAre(
          info(row_1),
          info(row_2 +
               " Prefill backend FLASH_ATTN does not take FP8 queries. To enable "
               "FP8 prefill attention, set: " +
               set_backend + "\"TRTLLM_RAGGED\"}'"),
          info(row_2 +
               " Prefill backend FLASH_ATTN does not take FP8 queries. On this device (sm_100) no "
               "setting helps this model in this engine. Prefill in the model's data type is the "
               "right choice here.")));
}

}  // namespace
}  // namespace mla_dtype
