// SPDX-License-Identifier: Apache-2.0

// Without this input that cannot be meant could be decided on, or a predicate that throws leave a
// record behind, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/prefill_query.h>

#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/injected_engine.h"
#include "support/record_texts.h"
#include "support/recording_log.h"

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
using testing::row_1;
using ::testing::StartsWith;

TEST(PrefillQuery, BadInputIsRefusedBeforeAnythingIsAskedOrLogged) {
  const EngineConfig config = make_config("fp8", true);
  const auto refused = [&](InjectedEngine& fixture, DataType model_dtype, const auto& expected) {
    expect_invalid([&] { determine_prefill_query_data_type(config, model_dtype, fixture.env); },
                   expected);
    EXPECT_THAT(fixture.asked, IsEmpty());
    EXPECT_THAT(fixture.records(), IsEmpty());
  };
  {
    InjectedEngine fixture(true, true);
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
      InjectedEngine fixture(true, true);
      refused(fixture, type,
              AllOf(StartsWith("model_dtype: " + name), HasSubstr("bfloat16, float16, float32")));
    }
    if (value >= 9 || !is_fp8(type)) {
      InjectedEngine fixture(true, true);
      fixture.env.fp8_data_type = type;
      refused(fixture, DataType::bfloat16,
              AllOf(StartsWith("fp8_data_type: " + name), HasSubstr("float8_e4m3fnuz")));
    }
  }
}

TEST(PrefillQuery, NumbersAreChecked) {
  InjectedEngine fixture(true, true);
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
  refused([](EngineConfig& config) { config.num_attention_heads = 0; },
          "num_attention_heads: 0 is not");
  refused([](EngineConfig& config) { config.parallel_config.decode_context_parallel_size = 0; },
          "decode_context_parallel_size: 0 is not");
  refused([](EngineConfig& config) { config.cache_config.kv_scales = static_cast<KvScales>(4); },
          "kv_scales: KvScales(4) is not");
}

// As an engine holds them: without a cast, and refused where they would have to be cut.
TEST(PrefillQuery, SizesOf64BitsAreTakenOrRefused) {
  const InjectedEngine fixture(true, true);
  std::int64_t EngineConfig::*const sizes[] = {
      &EngineConfig::kv_lora_rank, &EngineConfig::num_attention_heads, &EngineConfig::index_topk};
  for (const auto size : sizes) {
    for (const std::int64_t value : {std::int64_t{0x7fffffff}, std::int64_t{0x80000000},
                                     std::int64_t{1} << 32, std::int64_t{1} << 62}) {
      EngineConfig config = make_config("fp8", true);
      config.*size = value;
      const auto decide = [&] {
        determine_prefill_query_data_type(config, DataType::bfloat16, fixture.env);
      };
      if (value == 0x7fffffff) {
        EXPECT_NO_THROW(decide());
      } else {
        expect_invalid(decide, HasSubstr(std::to_string(value) +
                                         " is not accepted; accepted: at most 2147483647"));
      }
    }
  }
}

TEST(PrefillQuery, DimensionsAndModeAreChecked) {
  InjectedEngine fixture(true, true);
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

// Whoever logs a decision of their own making is checked like one who asks for it.
TEST(PrefillQuery, ADecisionThatCannotBeIsNotLogged) {
  testing::RecordingLog output;
  Environment env = make_environment(cuda(10, 0), "TRTLLM_RAGGED");
  env.log = output.log;
  const auto log = [&](const PrefillQueryDecision& decision, const char* cache_dtype = "fp8") {
    return [&env, decision, cache_dtype] {
      log_prefill_query(decision, make_config(cache_dtype, true), DataType::bfloat16, env);
    };
  };
  const auto decision = evaluate_prefill_query(make_config("fp8", true), DataType::bfloat16, env);
  expect_invalid(log(decision, "fp7"), StartsWith("cache_dtype: \"fp7\""));
  PrefillQueryDecision wrong = decision;
  wrong.outcome = static_cast<PrefillQueryOutcome>(77);
  expect_invalid(log(wrong), StartsWith("outcome: PrefillQueryOutcome(77)"));
  wrong = decision;
  wrong.prediction = PrefillPrediction{-5, 2, false, false};
  expect_invalid(log(wrong), StartsWith("isl: -5"));
  wrong.prediction = PrefillPrediction{1024, std::nan(""), false, false};
  expect_invalid(log(wrong), StartsWith("answer of predict_prefill_speedup: nan"));

  const auto decode = make_decode_environment(cuda(10, 0), "FLASHINFER_MLA");
  AttentionPlan plan =
      plan_attention_data_types(make_config("fp8", true), DataType::bfloat16, env, decode);
  plan.prefill.outcome = static_cast<PrefillQueryOutcome>(77);
  expect_invalid([&] { log_attention_plan(plan, env); }, StartsWith("outcome: "));
  plan.prefill.outcome = PrefillQueryOutcome::request_refused;
  env.refused_request_level = static_cast<LogLevel>(9);
  expect_invalid([&] { log_attention_plan(plan, env); }, StartsWith("refused_request_level: "));
  EXPECT_THAT(output.records(), IsEmpty());
}

TEST(PrefillQuery, WhatAPredicateThrowsReachesTheCallerAndNothingIsSaid) {
  struct NotStd {};
  for (const bool kv_cache_throws : {true, false}) {
    InjectedEngine fixture(true, true);
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

}  // namespace
}  // namespace mla_dtype
