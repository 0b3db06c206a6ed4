// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <mla_dtype/prefill_query.h>
#include <spdlog/spdlog.h>

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/expect_invalid.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::expect_invalid;
using ::testing::HasSubstr;
using testing::info;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::Record;
using testing::RecordingLogger;
using ::testing::StartsWith;
using testing::warning;

// The specification's texts, letter for letter.
const std::string row_1 = "FP8 prefill attention enabled: query data type is FP8";
const std::string row_2 =
    "Unable to perform FP8 prefill attention when use_prefill_query_quantization is enabled. "
    "Please "
    "ensure that --kv-cache-dtype is set to fp8 and your prefill backend is compatible with FP8 "
    "attention.";
const std::string row_3 =
    "FP8 KV cache is enabled but prefill queries are not quantized to FP8. For long-context "
    "workloads (ISL >= 4K), enabling FP8 prefill attention can significantly optimize prefill "
    "latency. To enable, add: --attention-config '{\"use_prefill_query_quantization\": true}'";

constexpr PrefillQueryOutcome decide(bool kv_cache_quantized, bool requested, bool supports) {
  return decide_prefill_query({kv_cache_quantized, requested, supports});
}
using Outcome = PrefillQueryOutcome;
static_assert(decide(true, true, true) == Outcome::quantized);
static_assert(decide(true, true, false) == Outcome::request_refused);
static_assert(decide(false, true, true) == Outcome::request_refused);
static_assert(decide(false, true, false) == Outcome::request_refused);
static_assert(decide(true, false, true) == Outcome::available_but_off);
static_assert(decide(true, false, false) == Outcome::not_applicable);
static_assert(decide(false, false, true) == Outcome::not_applicable);
static_assert(decide(false, false, false) == Outcome::not_applicable);
static_assert(noexcept(decide_prefill_query({})));

EngineConfig make_config(std::string cache_dtype, bool requested) {
  EngineConfig config;
  config.cache_config.cache_dtype = std::move(cache_dtype);
  config.attention_config.use_prefill_query_quantization = requested;
  return config;
}

// An environment whose predicates say what the test wants, and write down that they were asked.
struct Fixture {
  explicit Fixture(bool kv_cache_quantized, bool supports, std::string reason = {},
                   RankInfo rank = {}) {
    env.is_quantized_kv_cache = [this, kv_cache_quantized](std::string_view cache_dtype) {
      asked.push_back("kv_cache " + std::string(cache_dtype));
      return kv_cache_quantized;
    };
    env.backend_supports_prefill_query_quantization =
        [this, supports, reason](const EngineConfig& config, DataType model_dtype) -> Support {
      asked.push_back("backend " + config.cache_config.cache_dtype + ' ' +
                      std::string(to_string(model_dtype)));
      if (supports) return true;
      return {false, reason};
    };
    env.log = std::make_shared<OnceLog>(output.logger, rank);
  }

  std::vector<Record> records() { return output.sink->records(); }

  RecordingLogger output;
  std::vector<std::string> asked;
  Environment env;
};

struct Row {
  bool kv_cache_quantized, requested, supports;
  DataType data_type;
  Outcome outcome;
  std::vector<Record> records;  // the beginnings of
};

const Row rows[] = {
    {true, true, true, DataType::float8_e4m3fnuz, Outcome::quantized, {info(row_1)}},
    {true, true, false, DataType::float16, Outcome::request_refused, {info(row_2)}},
    {false, true, true, DataType::float16, Outcome::request_refused, {info(row_2)}},
    {false, true, false, DataType::float16, Outcome::request_refused, {info(row_2)}},
    {true, false, true, DataType::float16, Outcome::available_but_off, {warning(row_3)}},
    {true, false, false, DataType::float16, Outcome::not_applicable, {}},
    {false, false, true, DataType::float16, Outcome::not_applicable, {}},
    {false, false, false, DataType::float16, Outcome::not_applicable, {}},
};

TEST(PrefillQuery, EveryRowReturnsLogsAndAsksWhatTheTableSays) {
  for (const Row& row : rows) {
    SCOPED_TRACE(::testing::Message() << row.kv_cache_quantized << row.requested << row.supports);
    Fixture fixture(row.kv_cache_quantized, row.supports);
    fixture.env.fp8_data_type = DataType::float8_e4m3fnuz;
    const EngineConfig config = make_config("some_format", row.requested);
    std::vector<std::string> expected_asked;
    for (int call = 0; call < 3; ++call) {
      expected_asked.emplace_back("kv_cache some_format");
      if (row.kv_cache_quantized) expected_asked.emplace_back("backend some_format float16");
      EXPECT_EQ(determine_prefill_query_data_type(config, DataType::float16, fixture.env),
                row.data_type);
      EXPECT_EQ(fixture.asked, expected_asked);
      ASSERT_EQ(fixture.records().size(), row.records.size());
      for (std::size_t i = 0; i < row.records.size(); ++i) {
        EXPECT_EQ(fixture.records()[i].level, row.records[i].level);
        EXPECT_THAT(fixture.records()[i].text, StartsWith(row.records[i].text));
      }
    }
  }
}

TEST(PrefillQuery, TheDecisionAsAValueLogsNothing) {
  for (const Row& row : rows) {
    Fixture fixture(row.kv_cache_quantized, row.supports, "Because.");
    fixture.env.fp8_data_type = DataType::float8_e4m3fnuz;
    const EngineConfig config = make_config("some_format", row.requested);
    const auto decision = evaluate_prefill_query(config, DataType::float16, fixture.env);
    EXPECT_EQ(decision.data_type, row.data_type);
    EXPECT_EQ(decision.outcome, row.outcome);
    EXPECT_EQ(decision.facts.kv_cache_quantized, row.kv_cache_quantized);
    EXPECT_EQ(decision.facts.requested, row.requested);
    EXPECT_EQ(decision.facts.backend_supports, row.kv_cache_quantized && row.supports);
    EXPECT_EQ(decision.backend_reason, row.kv_cache_quantized && !row.supports ? "Because." : "");
    EXPECT_THAT(fixture.records(), IsEmpty());
    const auto asked = fixture.asked;
    EXPECT_EQ(log_prefill_query(decision, config, fixture.env), !row.records.empty());
    EXPECT_FALSE(log_prefill_query(decision, config, fixture.env));
    EXPECT_EQ(fixture.records().size(), row.records.size());
    EXPECT_EQ(fixture.asked, asked) << "no predicate is asked to compose a message";
  }
}

TEST(PrefillQuery, OnlyLocalRank0Speaks) {
  for (const Row& row : rows) {
    Fixture silent(row.kv_cache_quantized, row.supports, {}, {/*global_rank=*/0, /*local_rank=*/1});
    Fixture speaks(row.kv_cache_quantized, row.supports, {}, {/*global_rank=*/8, /*local_rank=*/0});
    const EngineConfig config = make_config("x", row.requested);
    EXPECT_EQ(determine_prefill_query_data_type(config, DataType::float16, silent.env),
              determine_prefill_query_data_type(config, DataType::float16, speaks.env));
    EXPECT_THAT(silent.records(), IsEmpty());
    EXPECT_EQ(speaks.records().size(), row.records.size());
  }
}

TEST(PrefillQuery, ARefusalSaysWhichConditionFailed) {
  Fixture backend(true, false, "Compiled without FP8 kernels.");
  determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16, backend.env);
  EXPECT_THAT(backend.records(), ElementsAre(info(row_2 + " Compiled without FP8 kernels.")));

  Fixture silent_backend(true, false);
  determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16,
                                    silent_backend.env);
  EXPECT_THAT(silent_backend.records(),
              ElementsAre(info(row_2 + " The prefill backend does not support FP8 queries and gave "
                                       "no reason.")));

  Fixture kv_cache(false, true);
  determine_prefill_query_data_type(make_config("auto", true), DataType::bfloat16, kv_cache.env);
  EXPECT_THAT(
      kv_cache.records(),
      ElementsAre(info(row_2 + " The KV cache is not quantized: --kv-cache-dtype is \"auto\".")));
}

TEST(PrefillQuery, AReasonGivenWithAYesIsIgnored) {
  Fixture fixture(true, true);
  fixture.env.backend_supports_prefill_query_quantization = [](const EngineConfig&,
                                                               DataType) -> Support {
    return {true, "Because."};
  };
  const auto decision =
      evaluate_prefill_query(make_config("fp8", true), DataType::bfloat16, fixture.env);
  EXPECT_EQ(decision.outcome, Outcome::quantized);
  EXPECT_EQ(decision.backend_reason, "");
}

TEST(PrefillQuery, RefusalsThatDifferAreBothLogged) {
  Fixture fixture(false, true);
  determine_prefill_query_data_type(make_config("auto", true), DataType::bfloat16, fixture.env);
  determine_prefill_query_data_type(make_config("float16", true), DataType::bfloat16, fixture.env);
  EXPECT_EQ(fixture.records().size(), 2U);
}

TEST(PrefillQuery, AConfiguredStringIsNeverRawInARecord) {
  Fixture fixture(false, true);
  determine_prefill_query_data_type(make_config("\x1b[2J{}\n\xFF", true), DataType::bfloat16,
                                    fixture.env);
  ASSERT_EQ(fixture.records().size(), 1U);
  EXPECT_THAT(fixture.records()[0].text, HasSubstr(R"("\x1b[2J{}\x0a\xff")"));
}

TEST(PrefillQuery, ALongReasonIsLoggedWhole) {
  const std::string reason(100'000, 'r');
  Fixture fixture(true, false, reason);
  determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16, fixture.env);
  EXPECT_THAT(fixture.records(), ElementsAre(info(row_2 + ' ' + reason)));
}

TEST(PrefillQuery, TheHintSpeaksTheEnginesOwnFlag) {
  Fixture fixture(true, true);
  fixture.env.flag_spelling = "--fp8-prefill {on}";
  determine_prefill_query_data_type(make_config("fp8", false), DataType::bfloat16, fixture.env);
  const std::string before_flag = row_3.substr(0, row_3.find("add: ") + 5);
  EXPECT_THAT(fixture.records(), ElementsAre(warning(before_flag + "--fp8-prefill {on}")));
}

TEST(PrefillQuery, WhatAPredicateThrowsReachesTheCallerAndNothingIsSaid) {
  struct NotStd {};
  for (const bool kv_cache_throws : {true, false}) {
    Fixture fixture(true, true);
    const Environment good = fixture.env;
    Environment bad = fixture.env;
    if (kv_cache_throws) {
      bad.is_quantized_kv_cache = [](std::string_view) -> bool { throw NotStd{}; };
    } else {
      bad.backend_supports_prefill_query_quantization =
          [](const EngineConfig&, DataType) -> Support { throw std::runtime_error("driver gone"); };
    }
    const EngineConfig config = make_config("fp8", true);
    if (kv_cache_throws) {
      EXPECT_THROW(determine_prefill_query_data_type(config, DataType::bfloat16, bad), NotStd);
      EXPECT_THAT(fixture.asked, IsEmpty()) << "the backend is not asked after that";
    } else {
      EXPECT_THROW(determine_prefill_query_data_type(config, DataType::bfloat16, bad),
                   std::runtime_error);
    }
    EXPECT_THAT(fixture.records(), IsEmpty());
    determine_prefill_query_data_type(config, DataType::bfloat16, good);
    EXPECT_THAT(fixture.records(), ElementsAre(info(row_1)));
  }
}

TEST(PrefillQuery, BadInputIsRefusedBeforeAnythingIsAskedOrLogged) {
  const EngineConfig config = make_config("fp8", true);
  const auto refused = [&](Fixture& fixture, DataType model_dtype, const auto& expected) {
    expect_invalid([&] { determine_prefill_query_data_type(config, model_dtype, fixture.env); },
                   expected);
    EXPECT_THAT(fixture.asked, IsEmpty());
    EXPECT_THAT(fixture.records(), IsEmpty());
  };
  {
    Fixture fixture(true, true);
    fixture.env.is_quantized_kv_cache = nullptr;
    refused(fixture, DataType::bfloat16,
            AllOf(StartsWith("is_quantized_kv_cache: null"), HasSubstr("accepted: a callable")));
  }
  {
    Fixture fixture(true, true);
    fixture.env.backend_supports_prefill_query_quantization = nullptr;
    refused(fixture, DataType::bfloat16,
            AllOf(StartsWith("backend_supports_prefill_query_quantization: null"),
                  HasSubstr("accepted: a callable")));
  }
  for (int value = 0; value < 256; ++value) {
    const auto type = static_cast<DataType>(value);
    const std::string name = value < 9 ? '"' + std::string(to_string(type)) + '"'
                                       : "DataType(" + std::to_string(value) + ")";
    if (type != DataType::float32 && type != DataType::float16 && type != DataType::bfloat16) {
      Fixture fixture(true, true);
      refused(fixture, type,
              AllOf(StartsWith("model_dtype: " + name), HasSubstr("bfloat16, float16, float32")));
    }
    if (value >= 9 || !is_fp8(type)) {
      Fixture fixture(true, true);
      fixture.env.fp8_data_type = type;
      refused(fixture, DataType::bfloat16,
              AllOf(StartsWith("fp8_data_type: " + name), HasSubstr("float8_e4m3fnuz")));
    }
  }
}

TEST(PrefillQuery, EveryFp8TypeAndModelTypeIsAccepted) {
  for (const DataType fp8 : {DataType::float8_e4m3fn, DataType::float8_e4m3fnuz,
                             DataType::float8_e5m2, DataType::float8_e5m2fnuz}) {
    for (const DataType model : {DataType::float32, DataType::float16, DataType::bfloat16}) {
      Fixture fixture(true, true);
      fixture.env.fp8_data_type = fp8;
      EXPECT_EQ(determine_prefill_query_data_type(make_config("fp8", true), model, fixture.env),
                fp8);
      EXPECT_EQ(determine_prefill_query_data_type(make_config("fp8", false), model, fixture.env),
                model);
    }
  }
}

TEST(PrefillQuery, WithoutALogTheDefaultOneSpeaks) {
  const auto before = spdlog::default_logger();
  RecordingLogger output;
  spdlog::set_default_logger(output.logger);
  default_once_log().reset();
  Fixture fixture(true, true);
  fixture.env.log = nullptr;
  for (int call = 0; call < 3; ++call) {
    determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16, fixture.env);
  }
  EXPECT_THAT(output.sink->records(), ElementsAre(info(row_1)));
  spdlog::set_default_logger(before);
  default_once_log().reset();
}

TEST(PrefillQuery, OutcomesHaveNames) {
  EXPECT_EQ(to_string(Outcome::quantized), "quantized");
  EXPECT_EQ(to_string(Outcome::request_refused), "request_refused");
  EXPECT_EQ(to_string(Outcome::available_but_off), "available_but_off");
  EXPECT_EQ(to_string(Outcome::not_applicable), "not_applicable");
  const auto expected =
      AllOf(StartsWith("outcome: PrefillQueryOutcome(4)"), HasSubstr("enumerators"));
  expect_invalid([] { to_string(static_cast<Outcome>(4)); }, expected);
  Fixture fixture(true, true);
  PrefillQueryDecision decision{};
  decision.outcome = static_cast<Outcome>(4);
  expect_invalid([&] { log_prefill_query(decision, {}, fixture.env); }, expected);
  EXPECT_THAT(fixture.records(), IsEmpty());
}

// The built-in predicates.

TEST(MakeEnvironment, TheWholeMatrix) {
  const std::set<std::string> plain = {"auto", "float16", "bfloat16"};
  const std::set<std::string> fp8_backends = {"FLASHINFER", "TRTLLM_RAGGED", "TOKENSPEED_MLA"};
  for (const std::string cache_dtype :
       {"auto", "float16", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "fp8_ds_mla",
        "nvfp4_ds_mla", "turboquant_k8v4", "turboquant_4bit_nc", "turboquant_k3v4_nc",
        "turboquant_3bit_nc", "int4_per_token_head", "int8_per_token_head", "fp8_per_token_head",
        "nvfp4", "nvfp4_4over6"}) {
    for (const std::string device : {"8.0", "8.9", "9.0", "10.0", "10.3", "10.7", "11.0", "12.0",
                                     "12.1", "gfx90a", "gfx942", "gfx950", "none"}) {
      for (const std::string backend :
           {"FLASH_ATTN", "FLASHINFER", "TRTLLM_RAGGED", "TOKENSPEED_MLA", "ROCM_AITER_FA"}) {
        for (const bool requested : {false, true}) {
          SCOPED_TRACE(cache_dtype + ' ' + device + ' ' + backend + (requested ? " on" : " off"));
          const Platform platform = device == "none" ? Platform{} : parse_platform(device);
          RecordingLogger output;
          Environment env = make_environment(platform, backend);
          env.log = std::make_shared<OnceLog>(output.logger);
          const DataType type = determine_prefill_query_data_type(
              make_config(cache_dtype, requested), DataType::bfloat16, env);

          const bool family_10 = device.substr(0, 3) == "10.";
          const bool possible =
              plain.count(cache_dtype) == 0 && family_10 && fp8_backends.count(backend) == 1;
          EXPECT_EQ(type, possible && requested ? DataType::float8_e4m3fn : DataType::bfloat16);
          const auto records = output.sink->records();
          if (possible) {
            EXPECT_THAT(records, ElementsAre(requested ? info(row_1) : warning(row_3)));
          } else if (requested) {
            ASSERT_EQ(records.size(), 1U);
            EXPECT_EQ(records[0].level, spdlog::level::info);
            EXPECT_THAT(records[0].text,
                        StartsWith(row_2 + (family_10 ? " " : " On this device (")));
            EXPECT_EQ(
                records[0].text.find(" The KV cache is not quantized: --kv-cache-dtype is \"" +
                                     cache_dtype + "\".") != std::string::npos,
                plain.count(cache_dtype) == 1);
            EXPECT_EQ(records[0].text.find("On this device") != std::string::npos, !family_10);
            EXPECT_EQ(records[0].text.find("Prefill backend " + backend + ' ') != std::string::npos,
                      plain.count(cache_dtype) == 0 && fp8_backends.count(backend) == 0);
          } else {
            EXPECT_THAT(records, IsEmpty());
          }
        }
      }
    }
  }
}

TEST(MakeEnvironment, TheFp8TypeIsThePlatforms) {
  EXPECT_EQ(make_environment(cuda(10, 0), "FLASHINFER").fp8_data_type, DataType::float8_e4m3fn);
  EXPECT_EQ(make_environment(rocm("gfx942"), "ROCM_AITER_FA").fp8_data_type,
            DataType::float8_e4m3fnuz);
  EXPECT_EQ(make_environment(rocm("gfx950"), "ROCM_AITER_FA").fp8_data_type,
            DataType::float8_e4m3fn);
  for (const Platform& without_fp8 : {cuda(8, 0), rocm("gfx90a"), Platform{}}) {
    EXPECT_NO_THROW(determine_prefill_query_data_type(make_config("fp8", false), DataType::bfloat16,
                                                      make_environment(without_fp8, "FLASH_ATTN")));
  }
}

TEST(MakeEnvironment, AnUnknownBackendIsRefused) {
  expect_invalid([] { make_environment(cuda(10, 0), "FLASHINFRE"); },
                 AllOf(StartsWith("prefill_backend: \"FLASHINFRE\""),
                       HasSubstr("accepted: FLASHINFER (nearest), ")));
}

TEST(MakeEnvironment, AnUnknownKvCacheDtypeIsRefusedAndNothingLogged) {
  RecordingLogger output;
  Environment env = make_environment(cuda(10, 0), "FLASHINFER");
  env.log = std::make_shared<OnceLog>(output.logger);
  expect_invalid(
      [&] {
        determine_prefill_query_data_type(make_config("fp8_e4m4", true), DataType::bfloat16, env);
      },
      AllOf(StartsWith("cache_dtype: \"fp8_e4m4\""), HasSubstr("accepted: fp8_e4m3 (nearest), ")));
  EXPECT_THAT(output.sink->records(), IsEmpty());
}

// What the built-in predicate says of the device must not outlive it.
TEST(MakeEnvironment, APredicatePutInItsPlaceKnowsBetter) {
  RecordingLogger output;
  Environment env = make_environment(cuda(9, 0), "FLASHINFER");
  env.log = std::make_shared<OnceLog>(output.logger);
  env.backend_supports_prefill_query_quantization = [](const EngineConfig&, DataType) -> Support {
    return true;
  };
  determine_prefill_query_data_type(make_config("auto", true), DataType::bfloat16, env);
  EXPECT_EQ(determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16, env),
            DataType::float8_e4m3fn);
  EXPECT_THAT(
      output.sink->records(),
      ElementsAre(info(row_2 + " The KV cache is not quantized: --kv-cache-dtype is \"auto\"."),
                  info(row_1)));
}

TEST(MakeEnvironment, AnEngineMayKnowFormatsOfItsOwn) {
  Environment env = make_environment(cuda(10, 0), "FLASHINFER");
  env.log = std::make_shared<OnceLog>(RecordingLogger().logger);
  env.is_quantized_kv_cache = [](std::string_view cache_dtype) {
    if (cache_dtype == "my_format") return true;
    const auto format = parse_kv_cache_dtype(cache_dtype);
    return format && format->quantized;
  };
  const auto determine = [&](std::string cache_dtype) {
    return determine_prefill_query_data_type(make_config(std::move(cache_dtype), true),
                                             DataType::bfloat16, env);
  };
  EXPECT_EQ(determine("my_format"), DataType::float8_e4m3fn);
  EXPECT_EQ(determine("fp8"), DataType::float8_e4m3fn);
  EXPECT_EQ(determine("auto"), DataType::bfloat16);
  EXPECT_EQ(determine("unknown"), DataType::bfloat16);
}

TEST(MakeEnvironment, TwoModelsInOneProcessGetTheirOwnAnswers) {
  const Environment target = make_environment(cuda(10, 0), "FLASHINFER");
  const Environment draft = make_environment(cuda(10, 0), "FLASH_ATTN");
  const EngineConfig config = make_config("fp8", true);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(evaluate_prefill_query(config, DataType::bfloat16, target).data_type,
              DataType::float8_e4m3fn);
    EXPECT_EQ(evaluate_prefill_query(config, DataType::bfloat16, draft).data_type,
              DataType::bfloat16);
  }
}

}  // namespace
}  // namespace mla_dtype
