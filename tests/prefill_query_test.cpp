// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <mla_dtype/prefill_query.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::expect_invalid;
using ::testing::HasSubstr;
using testing::info;
using ::testing::IsEmpty;
using testing::make_config;
using testing::make_platform;
using ::testing::Not;
using testing::Record;
using testing::RecordingLogger;
using ::testing::SizeIs;
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
    EXPECT_EQ(log_prefill_query(decision, config, DataType::float16, fixture.env),
              !row.records.empty());
    EXPECT_FALSE(log_prefill_query(decision, config, DataType::float16, fixture.env));
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
      ElementsAre(info(row_2 + " The KV cache is not quantized: the KV-cache dtype is \"auto\".")));
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
  expect_invalid([&] { log_prefill_query(decision, {}, DataType::float16, fixture.env); },
                 expected);
  EXPECT_THAT(fixture.records(), IsEmpty());
}

// The built-in predicates.

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
      ElementsAre(info(row_2 + " The KV cache is not quantized: the KV-cache dtype is \"auto\"."),
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

// Whatever was refused before with the same environment, a refusal is in words of its own.
TEST(MakeEnvironment, EachRefusalHasItsOwnWords) {
  struct Case {
    EngineConfig config;
    DataType model_dtype;
    Environment env;
  };
  const auto record_of = [](Case asked) {
    const RecordingLogger output;
    asked.env.log = std::make_shared<OnceLog>(output.logger);
    determine_prefill_query_data_type(asked.config, asked.model_dtype, asked.env);
    const auto records = output.sink->records();
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
    add([](Case& c) { c.env.flag_spelling = "--fp8-prefill"; });
    add([](Case& c) { c.env.kv_cache_dtype_spelling = "--cache"; });
    add([](Case& c) { c.env.prefill_backend_spelling = "--backend"; });
    add([](Case& c) {
      c.config.cache_config.cache_dtype = "auto";
      c.env.kv_cache_dtype_spelling = "--cache";
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
  EXPECT_EQ(std::set<std::string>(expected.begin(), expected.end()).size(), expected.size() - 1)
      << "only the spelling of KV-cache dtypes is not in the advice of another backend";
  for (std::size_t first = 0; first < expected.size(); ++first) {
    const Environment shared = make_env();
    const auto cases = make_cases([&] { return shared; });
    EXPECT_EQ(record_of(cases[first]), expected[first]);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      EXPECT_EQ(record_of(cases[i]), expected[i]) << i << " after " << first;
    }
  }
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

// Everything below is about the tables of backends: every device x backend (each one, and none
// chosen) x KV-cache dtype x flag x model dtype x dimensions.

// The rules once more, in other words than the library's.
bool can_have_fp8(const std::string& device, const std::string& backend,
                  const std::string& cache_dtype, DataType model_dtype,
                  const MlaDimensions& dimensions) {
  const bool deepseek = dimensions == MlaDimensions{128, 64, 128};
  const bool wide = dimensions == MlaDimensions{192, 64, 256};
  if (backend == "E5M2_ONLY" && cache_dtype == "fp8_e5m2") {
    return model_dtype == DataType::bfloat16 && (device == "12.0" || device == "10.0");
  }
  if (cache_dtype != "fp8" && cache_dtype != "fp8_e4m3") return false;
  if (model_dtype == DataType::float32) return false;
  if (backend == "E5M2_ONLY") return false;
  if (backend == "NEEDS_FP8")
    return deepseek && model_dtype == DataType::bfloat16 && device == "gfx950";
  if (backend == "TRTLLM_FMHA") {
    return std::set<std::string>{"9.0", "10.0", "10.3", "12.0", "12.1"}.count(device) == 1;
  }
  if (device.substr(0, 3) != "10.") return false;
  if (backend == "TRTLLM_RAGGED") return deepseek || wide;
  return deepseek && (backend == "FLASHINFER" || backend == "TOKENSPEED_MLA");
}

const std::string no_choice;

struct Setting {
  bool requested;
  std::string cache_dtype, prefill_backend;

  friend bool operator<(const Setting& a, const Setting& b) {
    return std::tie(a.requested, a.cache_dtype, a.prefill_backend) <
           std::tie(b.requested, b.cache_dtype, b.prefill_backend);
  }
  friend bool operator==(const Setting& a, const Setting& b) { return !(a < b) && !(b < a); }
};

Setting with(Setting setting, const Remedy& remedy) {
  setting.requested = setting.requested || remedy.request;
  if (!remedy.cache_dtype.empty()) setting.cache_dtype = remedy.cache_dtype;
  if (!remedy.prefill_backend.empty()) setting.prefill_backend = remedy.prefill_backend;
  return setting;
}

std::size_t change_count(const Remedy& remedy) {
  return (remedy.request ? 1U : 0U) + (remedy.cache_dtype.empty() ? 0U : 1U) +
         (remedy.prefill_backend.empty() ? 0U : 1U);
}

// One device with one table of backends and one model; the settings of an operator vary.
class SettingsTest {
 public:
  SettingsTest(std::string device, const std::vector<PrefillBackend>& backends,
               const PrefillBackendAvailability& is_available, DataType model_dtype,
               const EngineConfig& model)
      : device_(std::move(device)),
        model_dtype_(model_dtype),
        model_(model),
        env_(make_environment(make_platform(device_), backends, is_available)) {
    env_.log = std::make_shared<OnceLog>(output_.logger);
    for (const PrefillBackend& backend : backends) {
      const bool available = is_available == nullptr || is_available(backend.name).supported;
      if (available) available_.insert(backend.name);
    }
    for (const bool requested : {false, true}) {
      for (const KvCacheFormat& format : kv_cache_formats()) {
        settings_.push_back({requested, std::string(format.name), no_choice});
        for (const PrefillBackend& backend : backends) {
          settings_.push_back({requested, std::string(format.name), backend.name});
        }
      }
    }
  }

  void run() {
    for (const Setting& setting : settings_) {
      const auto decision = evaluate_prefill_query(config(setting), model_dtype_, env_);
      fp8_[setting] = is_fp8(decision.data_type);
      ASSERT_EQ(fp8_[setting], expected(setting)) << describe(setting);
    }
    for (const Setting& setting : settings_) {
      SCOPED_TRACE(describe(setting));
      check(setting);
      if (::testing::Test::HasFailure()) return;  // one is enough to read
    }
  }

 private:
  EngineConfig config(const Setting& setting) const {
    EngineConfig result = model_;
    result.cache_config.cache_dtype = setting.cache_dtype;
    result.attention_config.use_prefill_query_quantization = setting.requested;
    result.attention_config.mla_prefill_backend = setting.prefill_backend;
    return result;
  }

  std::string describe(const Setting& setting) const {
    return device_ + ' ' + std::string(to_string(model_dtype_)) + ' ' +
           std::to_string(model_.mla_dimensions.v_head_dim) + ' ' + setting.cache_dtype + ' ' +
           (setting.requested ? "on " : "off ") + setting.prefill_backend;
  }

  bool expected(const Setting& setting) const {
    const auto can = [&](const std::string& backend) {
      return available_.count(backend) == 1 && can_have_fp8(device_, backend, setting.cache_dtype,
                                                            model_dtype_, model_.mla_dimensions);
    };
    const bool vetoed = model_.cache_config.kv_scales == KvScales::dynamic ||
                        model_.parallel_config.decode_context_parallel_size > 1;
    if (!setting.requested || vetoed) return false;
    return setting.prefill_backend.empty() ? std::any_of(available_.begin(), available_.end(), can)
                                           : can(setting.prefill_backend);
  }

  // Whether leaving out some of the changes would do as well.
  bool has_one_to_spare(const Setting& setting, const Remedy& remedy) const {
    for (unsigned left_out = 1; left_out < 8; ++left_out) {
      Remedy fewer = remedy;
      if ((left_out & 1) != 0) fewer.request = false;
      if ((left_out & 2) != 0) fewer.cache_dtype.clear();
      if ((left_out & 4) != 0) fewer.prefill_backend.clear();
      if (change_count(fewer) < change_count(remedy) && fp8_.at(with(setting, fewer))) return true;
    }
    return false;
  }

  // By brute force.
  std::set<Setting> all_remedies(const Setting& setting) const {
    std::set<Setting> result;
    for (const auto& [other, fp8] : fp8_) {
      if (!fp8) continue;
      Remedy remedy{};
      remedy.request = !setting.requested;
      if (other.cache_dtype != setting.cache_dtype) remedy.cache_dtype = other.cache_dtype;
      if (other.prefill_backend != setting.prefill_backend) {
        if (other.prefill_backend == no_choice) continue;  // a choice is changed, not taken back
        remedy.prefill_backend = other.prefill_backend;
      }
      if (!has_one_to_spare(setting, remedy)) result.insert(other);
    }
    return result;
  }

  void check(const Setting& setting) {
    const auto explanation = explain_prefill_query_data_type(config(setting), model_dtype_, env_);
    const auto decision = evaluate_prefill_query(config(setting), model_dtype_, env_);
    const bool fp8 = fp8_.at(setting);
    EXPECT_EQ(is_fp8(explanation.data_type), fp8);
    EXPECT_EQ(explanation.outcome, decision.outcome);
    if (decision.facts.kv_cache_quantized) {
      EXPECT_EQ(explanation.facts.backend_supports, decision.facts.backend_supports);
    } else {
      EXPECT_FALSE(decision.facts.backend_supports);
      const auto with = [&](const char* cache_dtype) {
        return fp8_.at({true, cache_dtype, explanation.prefill_backend});
      };
      EXPECT_EQ(explanation.facts.backend_supports,
                !explanation.prefill_backend.empty() && (with("fp8") || with("fp8_e5m2")));
    }
    EXPECT_EQ(explanation.blockers.empty(), fp8);
    for (const Blocker& blocker : explanation.blockers) {
      EXPECT_NE(blocker.value, "");
      EXPECT_NE(blocker.sentence, "");
    }
    const bool names_flag =
        !explanation.blockers.empty() && explanation.blockers[0].kind == BlockerKind::not_requested;
    EXPECT_EQ(names_flag, !setting.requested);

    // Each remedy, applied, works; none has a change to spare; and there are no others.
    std::set<Setting> offered;
    std::size_t changes = 0;
    for (const Remedy& remedy : explanation.remedies) {
      EXPECT_TRUE(fp8_.at(with(setting, remedy))) << remedy.spelling;
      EXPECT_FALSE(has_one_to_spare(setting, remedy)) << remedy.spelling;
      EXPECT_GE(change_count(remedy), changes) << "the smallest first";
      changes = change_count(remedy);
      EXPECT_TRUE(offered.insert(with(setting, remedy)).second) << "twice: " << remedy.spelling;
    }
    EXPECT_EQ(offered, fp8 ? std::set<Setting>() : all_remedies(setting));
    // What every remedy changes is a blocker.
    const auto all_change = [&](std::string Remedy::*what) {
      return !explanation.remedies.empty() &&
             std::all_of(explanation.remedies.begin(), explanation.remedies.end(),
                         [&](const Remedy& remedy) { return !(remedy.*what).empty(); });
    };
    const auto is_about_cache = [](const Blocker& blocker) {
      return blocker.kind == BlockerKind::kv_cache_not_quantized ||
             blocker.kind == BlockerKind::kv_cache_format;
    };
    const bool names_cache =
        std::any_of(explanation.blockers.begin(), explanation.blockers.end(), is_about_cache);
    const bool names_backend =
        explanation.blockers.size() > (names_flag ? 1U : 0U) + (names_cache ? 1U : 0U);
    if (all_change(&Remedy::cache_dtype)) {
      EXPECT_TRUE(names_cache);
    }
    if (all_change(&Remedy::prefill_backend)) {
      EXPECT_TRUE(names_backend);
    }
    EXPECT_EQ(explanation.nothing_helps.empty(), fp8 || !offered.empty());

    // The record of a refused request says the same.
    output_.sink->clear();
    env_.log->reset();
    determine_prefill_query_data_type(config(setting), model_dtype_, env_);
    if (!setting.requested || fp8) return;
    const auto records = output_.sink->records();
    ASSERT_THAT(records, SizeIs(1));
    const std::string& text = records[0].text;
    const bool helpless = offered.empty();
    EXPECT_THAT(text, StartsWith(row_2 + (helpless ? " " + explanation.nothing_helps + " " : " ")));
    EXPECT_EQ(text.find(") no ") != std::string::npos, helpless);
    for (const Blocker& blocker : explanation.blockers) {
      EXPECT_THAT(text, HasSubstr(" " + blocker.sentence));
    }
    const std::string advice = " To enable FP8 prefill attention, set: ";
    EXPECT_EQ(text.find(advice) == std::string::npos, helpless);
    if (!helpless) {
      EXPECT_THAT(text, EndsWith(advice + explanation.remedies[0].spelling));
    }
  }

  const std::string device_;
  const DataType model_dtype_;
  const EngineConfig model_;
  RecordingLogger output_;
  Environment env_;
  std::set<std::string> available_;
  std::vector<Setting> settings_;
  std::map<Setting, bool> fp8_;
};

// vLLM's, and what it has none of: a backend that needs FP8 queries, and one for another KV cache.
std::vector<PrefillBackend> mixed_backends() {
  PrefillBackend needs_fp8;
  needs_fp8.name = "NEEDS_FP8";
  needs_fp8.devices = {rocm("gfx950")};
  needs_fp8.model_dtypes = {DataType::bfloat16};
  needs_fp8.dimensions = {{128, 64, 128}};
  needs_fp8.fp8_queries = Fp8Queries::required;
  needs_fp8.fp8_kv_cache_dtypes = {"fp8", "fp8_e4m3"};
  PrefillBackend e5m2;
  e5m2.name = "E5M2_ONLY";
  e5m2.model_dtypes = {DataType::bfloat16};
  e5m2.fp8_queries = Fp8Queries::optional;
  e5m2.fp8_devices = {cuda(12, 0), cuda(10, 0)};
  e5m2.fp8_kv_cache_dtypes = {"fp8_e5m2"};
  std::vector<PrefillBackend> backends = vllm_prefill_backends();
  backends.insert(backends.begin(), needs_fp8);
  backends.push_back(e5m2);
  return backends;
}

class Remedies : public ::testing::TestWithParam<const char*> {};

TEST_P(Remedies, EachWorksAndThereAreNoOthers) {
  const auto few = [](std::string_view name) -> Support {
    return name == "FLASH_ATTN" || name == "FLASHINFER";
  };
  const auto none = [](std::string_view) -> Support { return {false, "Not compiled in."}; };
  EngineConfig model;
  for (const DataType model_dtype : {DataType::bfloat16, DataType::float16, DataType::float32}) {
    for (const MlaDimensions& dimensions :
         {MlaDimensions{128, 64, 128}, MlaDimensions{192, 64, 256}, MlaDimensions{64, 32, 64}}) {
      model.mla_dimensions = dimensions;
      for (const PrefillBackendAvailability& is_available :
           {PrefillBackendAvailability(), PrefillBackendAvailability(few),
            PrefillBackendAvailability(none)}) {
        SettingsTest(GetParam(), vllm_prefill_backends(), is_available, model_dtype, model).run();
      }
      SettingsTest(GetParam(), tensorrt_llm_prefill_backends(), nullptr, model_dtype, model).run();
      SettingsTest(GetParam(), mixed_backends(), nullptr, model_dtype, model).run();
    }
  }
  EngineConfig dynamic_scales;
  dynamic_scales.cache_config.kv_scales = KvScales::dynamic;
  EngineConfig context_parallel;
  context_parallel.parallel_config.decode_context_parallel_size = 2;
  for (const EngineConfig& vetoed : {dynamic_scales, context_parallel}) {
    SettingsTest(GetParam(), vllm_prefill_backends(), nullptr, DataType::bfloat16, vetoed).run();
  }
}

INSTANTIATE_TEST_SUITE_P(Device, Remedies, ::testing::ValuesIn(testing::all_devices),
                         [](const auto& device) {
                           std::string name = device.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

// An engine that runs one backend, and an operator who chose it: the same answers.
TEST(MakeEnvironment, ABackendByNameIsThatBackendChosen) {
  for (const std::string device : {"9.0", "10.3", "12.1", "gfx942", "none"}) {
    for (const auto* table : {&vllm_prefill_backends(), &tensorrt_llm_prefill_backends()}) {
      for (const PrefillBackend& backend : *table) {
        for (const KvCacheFormat& format : kv_cache_formats()) {
          EngineConfig config = make_config(std::string(format.name), true);
          const auto by_name = explain_prefill_query_data_type(
              config, DataType::bfloat16, make_environment(make_platform(device), backend.name));
          config.attention_config.mla_prefill_backend = backend.name;
          const auto chosen = explain_prefill_query_data_type(
              config, DataType::bfloat16, make_environment(make_platform(device), *table));
          EXPECT_EQ(to_string(by_name), to_string(chosen));
          EXPECT_EQ(by_name.prefill_backend, backend.name);
        }
      }
    }
  }
}

// What is advised can be done: the same environment, with the remedy in the configuration.
TEST(MakeEnvironment, AChoiceOfTheOperatorsComesBeforeTheName) {
  const Environment env = make_environment(cuda(10, 0), "FLASH_ATTN");
  EngineConfig config = make_config("fp8", true);
  config.attention_config.mla_prefill_backend =
      explain_prefill_query_data_type(config, DataType::bfloat16, env)
          .remedies.at(0)
          .prefill_backend;
  EXPECT_EQ(evaluate_prefill_query(config, DataType::bfloat16, env).data_type,
            DataType::float8_e4m3fn);
}

// What operators met, and what they are told now.

std::vector<Record> records_of(const EngineConfig& config, const Environment& env_without_log) {
  RecordingLogger output;
  Environment env = env_without_log;
  env.log = std::make_shared<OnceLog>(output.logger);
  determine_prefill_query_data_type(config, DataType::bfloat16, env);
  return output.sink->records();
}

EngineConfig kimi_k3() {
  EngineConfig config = make_config("fp8", true);
  config.mla_dimensions = {128, 64, 128};
  return config;
}

const std::string set_backend =
    R"(--attention-config '{"use_prefill_query_quantization": true, "mla_prefill_backend": )";

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
  env.log = std::make_shared<OnceLog>(RecordingLogger().logger);
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
      " On this device (sm_90) no setting helps: the engine's prefill backends take FP8 queries "
      "only on CUDA capability 10.x. Prefill in the model's data type is the right choice here. "
      "Prefill backend FLASH_ATTN does not take FP8 queries.";
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
                 "FP8 prefill queries are required (prefill_query_mode), and not possible. On this "
                 "device (sm_90) no setting helps: the engine's prefill backends take FP8 queries "
                 "only on CUDA capability 10.x. Prefill backend FLASH_ATTN does not take FP8 "
                 "queries.");
    EXPECT_THAT(refused.explanation().remedies, IsEmpty());
    EXPECT_EQ(to_string(refused.explanation()),
              to_string(explain_prefill_query_data_type(config, DataType::bfloat16, env)));
  }
}

TEST(Explain, SaysWhyInLines) {
  EXPECT_EQ(to_string(explain_prefill_query_data_type(make_config("auto", false), DataType::float16,
                                                      make_environment(cuda(10, 0), "FLASH_ATTN"))),
            "data type: float16\n"
            "outcome: not_applicable\n"
            "KV-cache dtype: \"auto\", which is float16: it is the model's data type\n"
            "prefill backend: FLASH_ATTN\n"
            "blocker: use_prefill_query_quantization is off.\n"
            "blocker: The KV cache is not quantized: the KV-cache dtype is \"auto\".\n"
            "blocker: Prefill backend FLASH_ATTN does not take FP8 queries.\n"
            "remedy: --kv-cache-dtype fp8 " +
                set_backend + "\"TRTLLM_RAGGED\"}'\nremedy: --kv-cache-dtype fp8_e4m3 " +
                set_backend + "\"TRTLLM_RAGGED\"}'\nremedy: --kv-cache-dtype fp8 " + set_backend +
                "\"FLASHINFER\"}'\nremedy: --kv-cache-dtype fp8_e4m3 " + set_backend +
                "\"FLASHINFER\"}'\nremedy: --kv-cache-dtype fp8 " + set_backend +
                "\"TOKENSPEED_MLA\"}'\nremedy: --kv-cache-dtype fp8_e4m3 " + set_backend +
                "\"TOKENSPEED_MLA\"}'");
  EXPECT_EQ(to_string(explain_prefill_query_data_type(make_config("nvfp4", true), DataType::float32,
                                                      make_environment(cuda(8, 9), "TRTLLM_FMHA"))),
            "data type: float32\n"
            "outcome: request_refused\n"
            "KV-cache dtype: \"nvfp4\"\n"
            "prefill backend: TRTLLM_FMHA\n"
            "blocker: KV-cache dtype nvfp4 is quantized, but FP8 prefill attention does not read "
            "it: it is packed.\n"
            "blocker: Prefill backend TRTLLM_FMHA does not take FP8 queries on this device "
            "(sm_89), only on sm_90, sm_100, sm_103, sm_120 and sm_121.\n"
            "blocker: Prefill backend TRTLLM_FMHA does not take float32 models.\n"
            "note: On this device (sm_89) no setting helps: the engine's prefill backends take FP8 "
            "queries only on sm_90, sm_100, sm_103, sm_120 and sm_121.");
}

TEST(Explain, AModelMayBeWhatNothingHelps) {
  EngineConfig config = make_config("fp8", true);
  config.mla_dimensions = {64, 32, 64};
  const auto explanation = explain_prefill_query_data_type(
      config, DataType::bfloat16, make_environment(cuda(10, 0), "FLASHINFER"));
  EXPECT_EQ(explanation.nothing_helps,
            "On this device (sm_100) no setting helps this model in this engine.")
      << "FLASHINFER cannot run in the model's data type either";
  ASSERT_THAT(explanation.blockers, SizeIs(1));
  EXPECT_EQ(explanation.blockers[0].kind, BlockerKind::dimensions);

  PrefillBackend without_fp8;
  without_fp8.name = "MINE";
  EXPECT_EQ(explain_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16,
                                            make_environment(cuda(10, 0), {without_fp8}))
                .nothing_helps,
            "On this device (sm_100) no setting helps: no prefill backend of the engine takes FP8 "
            "queries. "
            "Prefill in the model's data type is the right choice here.");
}

// The blockers are those of the backend that comes nearest to running.
TEST(Explain, WhereNoBackendCanRunItIsSaidWhy) {
  const auto explanation =
      explain_prefill_query_data_type(make_config("fp8", true), DataType::float32,
                                      make_environment(cuda(9, 0), vllm_prefill_backends()));
  EXPECT_EQ(explanation.prefill_backend, "");
  ASSERT_THAT(explanation.blockers, SizeIs(2));
  EXPECT_EQ(explanation.blockers[0].sentence,
            "Prefill backend FLASH_ATTN does not take FP8 queries.");
  EXPECT_EQ(explanation.blockers[1].sentence,
            "Prefill backend FLASH_ATTN does not take float32 models.");

  PrefillBackend elsewhere;
  elsewhere.name = "MINE";
  elsewhere.devices = {rocm("gfx942")};
  const auto nowhere = explain_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16,
                                                       make_environment(cuda(9, 0), {elsewhere}));
  ASSERT_THAT(nowhere.blockers, SizeIs(1));
  EXPECT_EQ(nowhere.blockers[0].sentence,
            "Prefill backend MINE does not run on this device (sm_90), only on gfx942.");
}

// Where the choice is open, and none can, each backend that the device would let do it says why.
TEST(Explain, AnOpenChoiceNamesEachObstacle) {
  const auto only_flash_attn = [](std::string_view name) -> Support {
    if (name != "FLASH_ATTN") return {false, "Not compiled in."};
    return true;
  };
  EngineConfig config = make_config("fp8", true);
  const auto explanation = explain_prefill_query_data_type(
      config, DataType::bfloat16,
      make_environment(cuda(10, 0), vllm_prefill_backends(), only_flash_attn));
  std::vector<std::string> sentences;
  for (const Blocker& blocker : explanation.blockers) sentences.push_back(blocker.sentence);
  EXPECT_THAT(sentences,
              ElementsAre("Prefill backend TRTLLM_RAGGED is not available: Not compiled in.",
                          "Prefill backend FLASHINFER is not available: Not compiled in.",
                          "Prefill backend TOKENSPEED_MLA is not available: Not compiled in."));
}

TEST(Explain, Vetoes) {
  const Environment env = make_environment(cuda(10, 0), "FLASHINFER");
  EngineConfig config = make_config("fp8", true);
  config.cache_config.kv_scales = KvScales::dynamic;
  config.parallel_config.decode_context_parallel_size = 8;
  const auto explanation = explain_prefill_query_data_type(config, DataType::bfloat16, env);
  ASSERT_THAT(explanation.blockers, SizeIs(2));
  EXPECT_EQ(explanation.blockers[0].kind, BlockerKind::dynamic_kv_scales);
  EXPECT_EQ(explanation.blockers[0].value, "dynamic");
  EXPECT_EQ(explanation.blockers[0].sentence,
            "FP8 prefill queries need KV scales that do not change, and these are dynamic.");
  EXPECT_EQ(explanation.blockers[1].kind, BlockerKind::decode_context_parallel);
  EXPECT_EQ(explanation.blockers[1].value, "8");
  EXPECT_EQ(explanation.blockers[1].sentence,
            "FP8 prefill queries do not work with a decode-context-parallel size above 1.");
  EXPECT_EQ(explanation.nothing_helps,
            "On this device (sm_100) no flag, KV-cache dtype or prefill backend helps. Prefill in "
            "the model's data type is the right choice here.");
}

TEST(Explain, ABackendForSomeNumbersOfHeads) {
  PrefillBackend backend;
  backend.name = "MINE";
  backend.fp8_queries = Fp8Queries::optional;
  backend.fp8_kv_cache_dtypes = {"fp8"};
  backend.head_multiple = 16;
  const Environment env = make_environment(cuda(10, 0), {backend});
  EngineConfig config = make_config("fp8", true);
  for (const int heads : {16, 128}) {
    config.num_attention_heads = heads;
    EXPECT_TRUE(is_fp8(evaluate_prefill_query(config, DataType::bfloat16, env).data_type));
  }
  config.num_attention_heads = 12;
  const auto explanation = explain_prefill_query_data_type(config, DataType::bfloat16, env);
  ASSERT_THAT(explanation.blockers, SizeIs(1));
  EXPECT_EQ(explanation.blockers[0].kind, BlockerKind::head_count);
  EXPECT_EQ(explanation.blockers[0].value, "12");
  EXPECT_EQ(explanation.blockers[0].sentence,
            "Prefill backend MINE does not take 12 heads, only multiples of 16.");
  EXPECT_EQ(select_prefill_backend(config, DataType::bfloat16, env).name, "");
}

// A table with a KV-cache dtype of the engine's own, which the built-in KV-cache predicate refuses.
TEST(Explain, AKvCacheDtypeThatIsNotKnownIsNoRemedy) {
  PrefillBackend backend;
  backend.name = "MINE";
  backend.fp8_queries = Fp8Queries::optional;
  backend.fp8_kv_cache_dtypes = {"my_fp8"};
  Environment env = make_environment(cuda(9, 0), {backend});
  const std::string nothing_helps =
      "On this device (sm_90) no setting helps this model in this engine. Prefill in the model's "
      "data type is the right choice here.";
  const std::string blocker =
      " KV-cache dtype fp8 is quantized, but FP8 prefill attention does not read it.";
  const auto explain = [&](const char* cache_dtype) {
    return explain_prefill_query_data_type(make_config(cache_dtype, true), DataType::bfloat16, env);
  };
  EXPECT_THAT(explain("fp8").remedies, IsEmpty());
  EXPECT_EQ(explain("fp8").nothing_helps, nothing_helps);
  EXPECT_THAT(records_of(make_config("fp8", true), env),
              ElementsAre(info(row_2 + ' ' + nothing_helps + blocker)));

  env.is_quantized_kv_cache = [](std::string_view) { return true; };
  EXPECT_EQ(explain("my_fp8").data_type, DataType::float8_e4m3fn);
  EXPECT_EQ(explain("my_int4").data_type, DataType::bfloat16) << "the table knows better";
  EXPECT_EQ(explain("my_int4").blockers.at(0).sentence,
            "KV-cache dtype \"my_int4\" is quantized, but FP8 prefill attention does not read it.");
  EXPECT_EQ(select_prefill_backend(make_config("my_fp8", true), DataType::bfloat16, env).name,
            "MINE");
  EXPECT_EQ(explain("fp8").nothing_helps, "");
  EXPECT_THAT(records_of(make_config("fp8", true), env), ElementsAre(info(row_2 + blocker)));
}

TEST(Explain, SpeaksTheEnginesOwnCommandLine) {
  Environment env = make_environment(cuda(10, 0), "FLASH_ATTN");
  const auto spelling = [&](const char* cache_dtype, bool requested, const char* backend = "") {
    EngineConfig config = make_config(cache_dtype, requested);
    config.attention_config.mla_prefill_backend = backend;
    const auto explanation = explain_prefill_query_data_type(config, DataType::bfloat16, env);
    if (requested) {
      EXPECT_THAT(records_of(config, env).at(0).text,
                  EndsWith(" set: " + explanation.remedies.at(0).spelling));
    }
    return explanation.remedies.at(0).spelling;
  };
  env.flag_spelling = "--fp8-prefill";
  EXPECT_EQ(spelling("fp8", true), "--fp8-prefill with prefill backend TRTLLM_RAGGED");
  EXPECT_EQ(spelling("fp8", false), "--fp8-prefill with prefill backend TRTLLM_RAGGED");
  EXPECT_EQ(spelling("auto", false, "FLASHINFER"), "--kv-cache-dtype fp8 --fp8-prefill");
  env.kv_cache_dtype_spelling = "--kv=%,paged";
  env.prefill_backend_spelling = "--fp8-prefill-with";
  EXPECT_EQ(spelling("auto", true), "--kv=fp8,paged --fp8-prefill-with TRTLLM_RAGGED");
  env.prefill_backend_spelling = "--prefill %{} --%";
  EXPECT_EQ(spelling("fp8", false), "--prefill TRTLLM_RAGGED{} --%");
  EXPECT_EQ(spelling("fp8", false, "FLASHINFER"), "--fp8-prefill");
  env.flag_spelling = env.kv_cache_dtype_spelling = env.prefill_backend_spelling = "";
  EXPECT_EQ(spelling("auto", true, "FLASHINFER"), "KV-cache dtype fp8");
  EXPECT_EQ(spelling("auto", false),
            "KV-cache dtype fp8 and use_prefill_query_quantization with prefill backend "
            "TRTLLM_RAGGED");
}

// vLLM's option is one for both settings: requesting FP8 queries by it must not take a choice back.
TEST(Explain, ARemedyKeepsTheOperatorsChoice) {
  const Environment env = make_environment(cuda(10, 0), "FLASH_ATTN");
  EngineConfig config = make_config("fp8", false);
  config.attention_config.mla_prefill_backend = "FLASHINFER";
  const auto explanation = explain_prefill_query_data_type(config, DataType::bfloat16, env);
  ASSERT_THAT(explanation.remedies, SizeIs(1));
  EXPECT_EQ(explanation.remedies[0].prefill_backend, "") << "no change";
  EXPECT_EQ(explanation.remedies[0].spelling, set_backend + "\"FLASHINFER\"}'");
}

// What FP8 needs is not named where it is not enough.
TEST(Explain, ADeviceWithoutFp8IsNotAdvisedToUseItself) {
  PrefillBackend backend;
  backend.name = "MINE";
  backend.devices = {rocm("gfx90a"), DeviceRange(rocm("gfx942"), rocm("gfx950"))};
  backend.fp8_queries = Fp8Queries::optional;
  backend.fp8_kv_cache_dtypes = {"fp8"};
  const auto explanation = explain_prefill_query_data_type(
      make_config("fp8", true), DataType::bfloat16, make_environment(rocm("gfx90a"), {backend}));
  EXPECT_EQ(explanation.nothing_helps,
            "On this device (gfx90a) no setting helps: the engine's prefill backends take FP8 "
            "queries only on gfx942 to gfx950. Prefill in the model's data type is the right "
            "choice here.");
}

TEST(Explain, AutoMeansWhatTheCheckpointWasQuantizedFor) {
  EngineConfig config = make_config("auto", true);
  config.cache_config.checkpoint_kv_cache_quant_algo = "FP8";
  Environment env = make_environment(cuda(10, 0), "FLASHINFER");
  env.log = std::make_shared<OnceLog>(RecordingLogger().logger);
  const auto explanation = explain_prefill_query_data_type(config, DataType::bfloat16, env);
  EXPECT_EQ(explanation.data_type, DataType::float8_e4m3fn);
  EXPECT_EQ(explanation.kv_cache_dtype.requested, "auto");
  EXPECT_EQ(explanation.kv_cache_dtype.resolved, "fp8_e4m3");
  EXPECT_EQ(determine_prefill_query_data_type(config, DataType::bfloat16, env),
            DataType::float8_e4m3fn);

  config.cache_config.checkpoint_kv_cache_quant_algo = "NVFP4";
  EXPECT_THAT(
      records_of(config, env),
      ElementsAre(info(
          row_2 + " KV-cache dtype nvfp4 (auto, by the checkpoint) is quantized, but FP8 prefill "
                  "attention does not read it: it is packed. To enable FP8 prefill attention, set: "
                  "--kv-cache-dtype fp8")));
  config.cache_config.cache_dtype = "bfloat16";  // the operator outranks the checkpoint
  config.cache_config.checkpoint_kv_cache_quant_algo = "FP8";
  EXPECT_EQ(determine_prefill_query_data_type(config, DataType::bfloat16, env), DataType::bfloat16);
  config.cache_config.cache_dtype = "auto";
  config.cache_config.checkpoint_kv_cache_quant_algo = "INT9";
  expect_invalid([&] { determine_prefill_query_data_type(config, DataType::bfloat16, env); },
                 StartsWith("checkpoint_kv_cache_quant_algo: \"INT9\""));

  Fixture fixture(true, true);
  config.cache_config.checkpoint_kv_cache_quant_algo = "fp8";
  determine_prefill_query_data_type(config, DataType::bfloat16, fixture.env);
  EXPECT_EQ(fixture.asked[0], "kv_cache fp8_e4m3") << "the predicate is told what auto means";
}

TEST(Explain, AsksInjectedPredicatesOnceAndAlwaysTheBackend) {
  for (const Row& row : rows) {
    Fixture fixture(row.kv_cache_quantized, row.supports, "Because.");
    fixture.env.fp8_data_type = DataType::float8_e4m3fnuz;
    const auto explanation = explain_prefill_query_data_type(
        make_config("some_format", row.requested), DataType::float16, fixture.env);
    EXPECT_THAT(fixture.asked, ElementsAre("kv_cache some_format", "backend some_format float16"));
    EXPECT_THAT(fixture.records(), IsEmpty());
    EXPECT_EQ(explanation.data_type, row.data_type);
    EXPECT_EQ(explanation.outcome, row.outcome);
    EXPECT_EQ(explanation.facts.backend_supports, row.supports);
    EXPECT_EQ(explanation.prefill_backend, "");
    EXPECT_EQ(explanation.nothing_helps, "") << "other settings were not asked about";

    std::vector<std::pair<BlockerKind, std::string>> expected;
    if (!row.requested) {
      expected.emplace_back(BlockerKind::not_requested, "use_prefill_query_quantization is off.");
    }
    if (!row.kv_cache_quantized) {
      expected.emplace_back(BlockerKind::kv_cache_not_quantized,
                            "The KV cache is not quantized: the KV-cache dtype is "
                            "\"some_format\".");
    }
    if (!row.supports) expected.emplace_back(BlockerKind::backend_refused, "Because.");
    std::vector<std::pair<BlockerKind, std::string>> actual;
    for (const Blocker& blocker : explanation.blockers) {
      actual.emplace_back(blocker.kind, blocker.sentence);
    }
    EXPECT_EQ(actual, expected);
    // The hint of row 3 is all that is known without asking again.
    EXPECT_EQ(explanation.remedies.size(), row.outcome == Outcome::available_but_off ? 1U : 0U);
  }
}

TEST(Explain, AnEnginesReasonIsOneLine) {
  Fixture fixture(true, false, "No.\nremedy: --none\x1b[2J");
  EXPECT_EQ(to_string(explain_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16,
                                                      fixture.env)),
            "data type: bfloat16\n"
            "outcome: request_refused\n"
            "KV-cache dtype: \"fp8\"\n"
            "blocker: No. remedy: --none [2J");
}

// With a KV-cache predicate of the engine's own no other KV-cache dtype can be vouched for; other
// backends can.
TEST(Explain, AdviceStopsWhereOnlyThePredicateKnows) {
  Environment env = make_environment(cuda(10, 0), "FLASH_ATTN");
  int asked = 0;
  env.is_quantized_kv_cache = [&](std::string_view cache_dtype) {
    ++asked;
    return cache_dtype != "auto";
  };
  const auto explain = [&](const char* cache_dtype) {
    return explain_prefill_query_data_type(make_config(cache_dtype, true), DataType::bfloat16, env);
  };
  auto explanation = explain("my_format");
  EXPECT_EQ(explanation.remedies.size(), 3U);
  EXPECT_EQ(explanation.remedies.at(0).prefill_backend, "TRTLLM_RAGGED");
  EXPECT_EQ(explanation.kv_cache_dtype.reason, "the engine knows it");
  explanation = explain("auto");
  EXPECT_THAT(explanation.remedies, IsEmpty());
  EXPECT_EQ(explanation.nothing_helps, "");
  EXPECT_EQ(asked, 2);
  env.is_quantized_kv_cache = +[](std::string_view) { return false; };  // a function, too
  EXPECT_THAT(explain("fp8").remedies, IsEmpty());
  EXPECT_EQ(explain("fp8").nothing_helps, "");
  // Where no KV cache could help, that is known all the same.
  env.backend_supports_prefill_query_quantization =
      make_environment(cuda(9, 0), "FLASH_ATTN").backend_supports_prefill_query_quantization;
  const std::string nothing_helps = explain("auto").nothing_helps;
  EXPECT_THAT(nothing_helps, StartsWith("On this device (sm_90) no setting"));
  EXPECT_THAT(records_of(make_config("auto", true), env),
              ElementsAre(info(row_2 + ' ' + nothing_helps +
                               " The KV cache is not quantized: the KV-cache dtype is \"auto\". "
                               "Prefill backend FLASH_ATTN does not take FP8 queries.")));
}

// The built-in predicate is a predicate like any other, for an engine that asks it itself.
TEST(MakeEnvironment, ThePredicateGivesReasons) {
  const Environment env = make_environment(cuda(10, 0), "FLASH_ATTN");
  const auto ask = [&](const char* cache_dtype) {
    return env.backend_supports_prefill_query_quantization(make_config(cache_dtype, false),
                                                           DataType::bfloat16);
  };
  EXPECT_FALSE(ask("fp8").supported);
  EXPECT_EQ(ask("fp8").reason, "Prefill backend FLASH_ATTN does not take FP8 queries.");
  EXPECT_EQ(ask("int8_per_token_head").reason,
            "KV-cache dtype int8_per_token_head is quantized, but FP8 prefill attention does not "
            "read it: it has a scale for each token and head. Prefill backend FLASH_ATTN does not "
            "take FP8 queries.");
  EXPECT_EQ(ask("auto").reason, "Prefill backend FLASH_ATTN does not take FP8 queries.");
  for (const char* cache_dtype : {"fp8", "auto", "bfloat16"}) {
    EXPECT_TRUE(make_environment(cuda(10, 0), "FLASHINFER")
                    .backend_supports_prefill_query_quantization(make_config(cache_dtype, false),
                                                                 DataType::bfloat16)
                    .supported);
  }
  // With the choice open it speaks of the backend that runs.
  EXPECT_EQ(make_environment(cuda(10, 0), vllm_prefill_backends())
                .backend_supports_prefill_query_quantization(make_config("fp8", false),
                                                             DataType::bfloat16)
                .reason,
            "Prefill backend FLASH_ATTN does not take FP8 queries.");
}

TEST(MakeEnvironment, AsksForAvailabilityOnceAndNeverAgain) {
  int asked = 0;
  const Environment env =
      make_environment(cuda(10, 0), vllm_prefill_backends(), [&](std::string_view) -> Support {
        ++asked;
        return true;
      });
  EXPECT_EQ(asked, 5);
  for (const char* cache_dtype : {"fp8", "auto"}) {
    EXPECT_THAT(records_of(make_config(cache_dtype, true), env), SizeIs(1));
    explain_prefill_query_data_type(make_config(cache_dtype, true), DataType::bfloat16, env);
  }
  EXPECT_EQ(asked, 5);
}

TEST(MakeEnvironment, ABackendThatIsNoneIsRefusedBeforeAnythingIsSaid) {
  RecordingLogger output;
  Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
  env.log = std::make_shared<OnceLog>(output.logger);
  for (const char* cache_dtype : {"fp8", "auto"}) {
    EngineConfig config = make_config(cache_dtype, true);
    config.attention_config.mla_prefill_backend = "FLASHINFRE";
    const auto expected = AllOf(StartsWith("mla_prefill_backend: \"FLASHINFRE\""),
                                HasSubstr("accepted: FLASHINFER (nearest), "));
    expect_invalid([&] { determine_prefill_query_data_type(config, DataType::bfloat16, env); },
                   expected);
    expect_invalid([&] { explain_prefill_query_data_type(config, DataType::bfloat16, env); },
                   expected);
  }
  EXPECT_THAT(output.sink->records(), IsEmpty());
  expect_invalid([] { make_environment(cuda(10, 0), std::vector<PrefillBackend>()); },
                 StartsWith("prefill backends: none"));
}

TEST(Required, IsARequestWhateverTheFlagSays) {
  for (const bool flag : {false, true}) {
    for (const Row& row : rows) {
      Fixture fixture(row.kv_cache_quantized, row.supports, "Because.");
      fixture.env.fp8_data_type = DataType::float8_e4m3fnuz;
      EngineConfig config = make_config("x", flag);
      config.attention_config.prefill_query_mode = PrefillQueryMode::required;
      if (row.kv_cache_quantized && row.supports) {
        EXPECT_EQ(determine_prefill_query_data_type(config, DataType::float16, fixture.env),
                  DataType::float8_e4m3fnuz);
        EXPECT_THAT(fixture.records(), ElementsAre(info(row_1)));
        continue;
      }
      try {
        determine_prefill_query_data_type(config, DataType::float16, fixture.env);
        ADD_FAILURE() << "nothing was thrown";
      } catch (const PrefillQueryRefused& refused) {
        const PrefillQueryRefused copy = refused;
        EXPECT_THAT(copy.what(),
                    StartsWith("FP8 prefill queries are required (prefill_query_mode), and not "
                               "possible. "));
        EXPECT_EQ(copy.explanation().outcome, Outcome::request_refused);
        ASSERT_THAT(copy.explanation().blockers, SizeIs(1)) << "the backend is not asked in vain";
        EXPECT_EQ(copy.explanation().blockers[0].kind, row.kv_cache_quantized
                                                           ? BlockerKind::backend_refused
                                                           : BlockerKind::kv_cache_not_quantized);
      }
      EXPECT_THAT(fixture.records(), IsEmpty());
      EXPECT_THAT(fixture.asked, SizeIs(row.kv_cache_quantized ? 2 : 1));
      // Asking is no error.
      EXPECT_EQ(evaluate_prefill_query(config, DataType::float16, fixture.env).outcome,
                Outcome::request_refused);
      EXPECT_EQ(explain_prefill_query_data_type(config, DataType::float16, fixture.env).outcome,
                Outcome::request_refused);
    }
  }
}

// As those who keep it for later do.
TEST(Required, ARefusalIsCopied) {
  PrefillQueryExplanation explanation{};
  explanation.prefill_backend = "A";
  PrefillQueryRefused kept("first", explanation);
  explanation.prefill_backend = "B";
  const PrefillQueryRefused other("second", explanation);
  const PrefillQueryRefused copy = kept;
  kept = other;
  EXPECT_STREQ(copy.what(), "first");
  EXPECT_EQ(copy.explanation().prefill_backend, "A");
  EXPECT_STREQ(kept.what(), "second");
  EXPECT_EQ(kept.explanation().prefill_backend, "B");
}

TEST(PrefillQuery, TheLevelOfARefusalIsTheEngines) {
  Fixture fixture(true, false, "Because.");
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

TEST(PrefillQuery, NumbersAreChecked) {
  Fixture fixture(true, true);
  const auto refused = [&](auto change, const char* expected) {
    EngineConfig config = make_config("fp8", true);
    change(config);
    expect_invalid(
        [&] { determine_prefill_query_data_type(config, DataType::bfloat16, fixture.env); },
        StartsWith(expected));
  };
  refused([](EngineConfig& config) { config.kv_lora_rank = 0; }, "kv_lora_rank: 0 is not");
  refused([](EngineConfig& config) { config.num_attention_heads = -1; },
          "num_attention_heads: -1 is not");
  refused([](EngineConfig& config) { config.parallel_config.decode_context_parallel_size = 0; },
          "decode_context_parallel_size: 0 is not");
  refused([](EngineConfig& config) { config.cache_config.kv_scales = static_cast<KvScales>(4); },
          "kv_scales: KvScales(4) is not");
}

TEST(PrefillQuery, DimensionsAndModeAreChecked) {
  Fixture fixture(true, true);
  EngineConfig config = make_config("fp8", true);
  config.mla_dimensions.v_head_dim = 0;
  expect_invalid(
      [&] { determine_prefill_query_data_type(config, DataType::bfloat16, fixture.env); },
      StartsWith("v_head_dim: 0 is not accepted; accepted: 1 and above"));
  config = make_config("fp8", true);
  config.attention_config.prefill_query_mode = static_cast<PrefillQueryMode>(7);
  expect_invalid(
      [&] { determine_prefill_query_data_type(config, DataType::bfloat16, fixture.env); },
      StartsWith("prefill_query_mode: PrefillQueryMode(7)"));
  EXPECT_THAT(fixture.asked, IsEmpty());
  EXPECT_THAT(fixture.records(), IsEmpty());
}

// A draft and its target, with one log: each gets its own answer, and its own record.
TEST(PrefillQuery, TwoModelsInOneProcessAreEachHeard) {
  RecordingLogger output;
  const auto log = std::make_shared<OnceLog>(output.logger);
  Environment target = make_environment(cuda(10, 0), vllm_prefill_backends());
  target.log = log;
  Environment draft = make_environment(cuda(10, 0), "FLASH_ATTN");
  draft.log = log;
  EngineConfig odd = make_config("fp8", true);
  odd.mla_dimensions = {64, 32, 64};
  for (int layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(
        determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16, target),
        DataType::float8_e4m3fn);
    EXPECT_EQ(determine_prefill_query_data_type(make_config("fp8", true), DataType::float16, draft),
              DataType::float16);
    EXPECT_EQ(determine_prefill_query_data_type(odd, DataType::bfloat16, draft),
              DataType::bfloat16);
  }
  EXPECT_THAT(
      output.sink->records(),
      ElementsAre(
          info(row_1),
          info(row_2 +
               " Prefill backend FLASH_ATTN does not take FP8 queries. To enable "
               "FP8 prefill attention, set: " +
               set_backend + "\"TRTLLM_RAGGED\"}'"),
          info(row_2 +
               " On this device (sm_100) no setting helps this model in this engine. Prefill "
               "in the model's data type is the right choice here. Prefill backend "
               "FLASH_ATTN does not take FP8 queries.")));
}

TEST(SelectPrefillBackend, WithAnEnvironment) {
  int available_asked = 0;
  Environment env =
      make_environment(cuda(10, 0), vllm_prefill_backends(), [&](std::string_view name) -> Support {
        ++available_asked;
        return name != "TRTLLM_RAGGED";
      });
  EngineConfig config = make_config("fp8", true);
  auto selection = select_prefill_backend(config, DataType::bfloat16, env);
  EXPECT_EQ(selection.name, "FLASHINFER");
  EXPECT_EQ(available_asked, 5);
  config.attention_config.mla_prefill_backend = "FLASH_ATTN";
  EXPECT_EQ(select_prefill_backend(config, DataType::bfloat16, env).name, "FLASH_ATTN");
  EXPECT_EQ(select_prefill_backend(make_config("fp8", true), DataType::bfloat16,
                                   make_environment(cuda(10, 0), "TOKENSPEED_MLA"))
                .chosen,
            "TOKENSPEED_MLA");
  env.backend_supports_prefill_query_quantization = [](const EngineConfig&, DataType) -> Support {
    return true;
  };
  expect_invalid([&] { select_prefill_backend(config, DataType::bfloat16, env); },
                 StartsWith("backend_supports_prefill_query_quantization: "));
}

TEST(LogPrefillBackend, SaysWhichAndWhyOnce) {
  Fixture fixture(true, true);
  const auto select = [](bool requested, DataType model_dtype) {
    return select_prefill_backend(make_config("fp8", requested), model_dtype, cuda(10, 0));
  };
  const std::string not_aiter =
      " Prefill backend ROCM_AITER_FA does not run on this device (sm_100), only on gfx942 and "
      "gfx950.";
  const auto with_fp8 = select(true, DataType::bfloat16);
  EXPECT_TRUE(log_prefill_backend(with_fp8, fixture.env));
  EXPECT_FALSE(log_prefill_backend(with_fp8, fixture.env));
  EXPECT_TRUE(log_prefill_backend(select(false, DataType::bfloat16), fixture.env));
  EXPECT_TRUE(log_prefill_backend(select(false, DataType::float32), fixture.env));
  ASSERT_THAT(fixture.records(), SizeIs(4));
  EXPECT_EQ(fixture.records()[0], info("Using prefill backend TRTLLM_RAGGED." + not_aiter +
                                       " Prefill backend FLASH_ATTN does not take FP8 queries."));
  EXPECT_EQ(fixture.records()[1], info("Using prefill backend FLASH_ATTN." + not_aiter));
  EXPECT_EQ(fixture.records()[2].level, spdlog::level::warn);
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
            info("Using prefill backend FLASH_ATTN." + not_aiter +
                 " KV-cache dtype nvfp4 is quantized, but FP8 prefill attention does not read it: "
                 "it is packed."));
  EXPECT_THAT(fixture.asked, IsEmpty());
}

}  // namespace
}  // namespace mla_dtype
