// SPDX-License-Identifier: Apache-2.0

// Without this the built-in predicates could answer for another device, backend or KV cache than
// the engine's, or be asked too often, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_query.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/engine_config.h"
#include "support/expect_invalid.h"
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
using ::testing::IsEmpty;
using testing::make_config;
using testing::make_platform;
using testing::RecordingLog;
using testing::records_of;
using testing::row_1;
using testing::row_2;
using ::testing::SizeIs;
using ::testing::StartsWith;

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
  expect_invalid([] { return make_environment(cuda(10, 0), "FLASHINFRE"); },
                 AllOf(StartsWith("prefill_backend: \"FLASHINFRE\""),
                       HasSubstr("accepted: FLASHINFER (nearest), ")));
}

TEST(MakeEnvironment, AnUnknownKvCacheDtypeIsRefusedAndNothingLogged) {
  RecordingLog output;
  Environment env = make_environment(cuda(10, 0), "FLASHINFER");
  env.log = output.log;
  expect_invalid(
      [&] {
        determine_prefill_query_data_type(make_config("fp8_e4m4", true), DataType::bfloat16, env);
      },
      AllOf(StartsWith("cache_dtype: \"fp8_e4m4\""), HasSubstr("accepted: fp8_e4m3 (nearest), ")));
  EXPECT_THAT(output.records(), IsEmpty());
}

// What the built-in predicate says of the device must not outlive it.
TEST(MakeEnvironment, APredicatePutInItsPlaceKnowsBetter) {
  RecordingLog output;
  Environment env = make_environment(cuda(9, 0), "FLASHINFER");
  env.log = output.log;
  env.backend_supports_prefill_query_quantization = [](const EngineConfig&, DataType) -> Support {
    return true;
  };
  determine_prefill_query_data_type(make_config("auto", true), DataType::bfloat16, env);
  EXPECT_EQ(determine_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16, env),
            DataType::float8_e4m3fn);
  EXPECT_THAT(
      output.records(),
      ElementsAre(info(row_2 + " The KV cache is not quantized: the KV-cache dtype is \"auto\"."),
                  info(row_1)));
}

TEST(MakeEnvironment, AnEngineMayKnowFormatsOfItsOwn) {
  Environment env = make_environment(cuda(10, 0), "FLASHINFER");
  env.log = RecordingLog().log;
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
          EXPECT_EQ(by_name.data_type, chosen.data_type);
          ASSERT_EQ(by_name.blockers.size(), chosen.blockers.size());
          for (std::size_t i = 0; i < chosen.blockers.size(); ++i) {
            EXPECT_EQ(by_name.blockers[i].sentence, chosen.blockers[i].sentence);
          }
          ASSERT_EQ(by_name.remedies.size(), chosen.remedies.size());
          for (std::size_t i = 0; i < chosen.remedies.size(); ++i) {
            EXPECT_EQ(by_name.remedies[i].spelling, chosen.remedies[i].spelling);
          }
          EXPECT_EQ(by_name.nothing_helps, chosen.nothing_helps);
          // Who made no choice is not told to leave it open.
          const bool is_open = chosen.hint.find(", or leave the choice open") != std::string::npos;
          EXPECT_EQ(by_name.hint, is_open
                                      ? chosen.hint.substr(0, chosen.hint.find(", or leave")) + '.'
                                      : chosen.hint);
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

// The built-in predicate is a predicate like any other, for an engine that asks it itself.
TEST(MakeEnvironment, ThePredicateGivesReasons) {
  const Environment env = make_environment(cuda(10, 0), "FLASH_ATTN");
  const auto ask = [&](const char* cache_dtype) {
    return prefill_backend_supports(make_config(cache_dtype, false), DataType::bfloat16, env);
  };
  EXPECT_FALSE(ask("fp8").supported);
  EXPECT_EQ(ask("fp8").reason, "Prefill backend FLASH_ATTN does not take FP8 queries.");
  EXPECT_EQ(ask("int8_per_token_head").reason,
            "KV-cache dtype int8_per_token_head is quantized, but FP8 prefill attention does not "
            "read it: it has a scale for each token and head. Prefill backend FLASH_ATTN does not "
            "take FP8 queries.");
  EXPECT_EQ(ask("auto").reason, "Prefill backend FLASH_ATTN does not take FP8 queries.");
  for (const char* cache_dtype : {"fp8", "auto", "bfloat16"}) {
    EXPECT_TRUE(prefill_backend_supports(make_config(cache_dtype, false), DataType::bfloat16,
                                         make_environment(cuda(10, 0), "FLASHINFER"))
                    .supported);
  }
  // With the choice open it speaks of the backend that runs.
  EXPECT_EQ(prefill_backend_supports(make_config("fp8", false), DataType::bfloat16,
                                     make_environment(cuda(10, 0), vllm_prefill_backends()))
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
    static_cast<void>(
        explain_prefill_query_data_type(make_config(cache_dtype, true), DataType::bfloat16, env));
  }
  EXPECT_EQ(asked, 5);
}

TEST(MakeEnvironment, ABackendThatIsNoneIsRefusedBeforeAnythingIsSaid) {
  RecordingLog output;
  Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
  env.log = output.log;
  for (const char* cache_dtype : {"fp8", "auto"}) {
    EngineConfig config = make_config(cache_dtype, true);
    config.attention_config.mla_prefill_backend = "FLASHINFRE";
    const auto expected = AllOf(StartsWith("mla_prefill_backend: \"FLASHINFRE\""),
                                HasSubstr("accepted: FLASHINFER (nearest), "));
    expect_invalid([&] { determine_prefill_query_data_type(config, DataType::bfloat16, env); },
                   expected);
    expect_invalid([&] { return explain_prefill_query_data_type(config, DataType::bfloat16, env); },
                   expected);
  }
  EXPECT_THAT(output.records(), IsEmpty());
  expect_invalid([] { return make_environment(cuda(10, 0), std::vector<PrefillBackend>()); },
                 StartsWith("prefill backends: none"));
}

}  // namespace
}  // namespace mla_dtype
