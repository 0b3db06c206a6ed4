// SPDX-License-Identifier: Apache-2.0

// Without this a plan could ask an engine's own predicates too often, believe them where they
// contradict each other, or take a row that cannot be meant, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/plan_question.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using testing::bf16;
using testing::bytes;
using testing::e4m3;
using ::testing::ElementsAre;
using testing::expect_invalid;
using ::testing::HasSubstr;
using testing::InjectedPlan;
using ::testing::IsEmpty;
using testing::make_config;
using testing::RecordingLog;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(AttentionPlan, AsksInjectedPredicatesOnce) {
  InjectedPlan yes(true, true, true);
  AttentionPlan plan = yes.plan(make_config("fp8", true));
  EXPECT_THAT(yes.asked, ElementsAre("kv_cache fp8", "backend fp8 bfloat16", "decode"));
  EXPECT_EQ(plan.prefill_query.data_type, e4m3);
  EXPECT_EQ(plan.decode_query.data_type, e4m3);

  InjectedPlan no(true, false, {false, "No decode kernels."});
  plan = no.plan(make_config("fp8", true));
  EXPECT_EQ(plan.prefill_query.reason, "No prefill kernels.");
  EXPECT_EQ(plan.decode_query.data_type, bf16);
  EXPECT_EQ(plan.decode_query.reason, "No decode kernels.");

  for (const std::string name : {"nvfp4", "fp8_ds_mla", "fp8_per_token_head", "fp8_e5m2", "mine"}) {
    InjectedPlan packed(true, true, true);
    plan = packed.plan(make_config(name, false));
    EXPECT_THAT(packed.asked, ElementsAre("kv_cache " + name, "backend " + name + " bfloat16"))
        << "not plain FP8";
    EXPECT_EQ(plan.decode_query.data_type, bf16);
  }
  InjectedPlan unquantized(false, true, true);
  EXPECT_EQ(unquantized.plan(make_config("auto", true)).decode_query.data_type, bf16);
  EXPECT_THAT(unquantized.asked, ElementsAre("kv_cache auto"));
}

// The engine's own predicate answers alone, in a plan as in the determination.
TEST(AttentionPlan, AnInjectedPredicateAnswersAlone) {
  EngineConfig config = make_config("fp8_ds_mla", true);
  config.cache_config.kv_scales = KvScales::dynamic;
  config.parallel_config.decode_context_parallel_size = 4;
  for (const bool supports : {true, false}) {
    InjectedPlan injected(true, supports, true);
    RecordingLog output;
    injected.env.log = output.log;
    const AttentionPlan plan = injected.plan(config);
    const auto alone = explain_prefill_query_data_type(config, bf16, injected.env);
    EXPECT_EQ(to_string(plan.prefill), to_string(alone));
    EXPECT_EQ(plan.prefill.data_type, supports ? e4m3 : bf16);
    EXPECT_EQ(plan.prefill_query.data_type, plan.prefill.data_type);
    determine_prefill_query_data_type(config, bf16, injected.env);
    const auto records = output.records();
    injected.env.log->reset();
    log_attention_plan(plan, injected.env);
    EXPECT_EQ(output.records().at(records.size()), records.at(0));
  }
}

TEST(AttentionPlan, AKvCacheOfTheEnginesOwn) {
  InjectedPlan injected(true, true, true);
  const AttentionPlan plan = injected.plan(make_config("mine", true));
  EXPECT_EQ(plan.kv_cache_storage.data_type, bytes);
  EXPECT_EQ(plan.kv_cache_bytes, std::nullopt);
  InjectedPlan unquantized(false, true, true);
  const AttentionPlan model = unquantized.plan(make_config("mine", true));
  EXPECT_EQ(model.kv_cache_storage.data_type, bf16);
  EXPECT_EQ(model.kv_cache_bytes, 1152U);
  // A decode backend reads it as any that is not quantized.
  unquantized.decode = make_decode_environment(cuda(9, 0), "FLASHMLA");
  EXPECT_EQ(unquantized.plan(make_config("mine", true)).decode_query.data_type, bf16);
}

TEST(AttentionPlan, WhatIsInjectedMustAgree) {
  // A KV-cache predicate that is wrong about a dtype that is known; `auto` may be the engine's own.
  InjectedPlan wrong(false, true, true);
  expect_invalid([&] { wrong.plan(make_config("fp8", true)); },
                 StartsWith("is_quantized_kv_cache: false for fp8"));
  EngineConfig by_checkpoint = make_config("auto", true);
  by_checkpoint.cache_config.checkpoint_kv_cache_quant_algo = "NVFP4";
  expect_invalid([&] { wrong.plan(by_checkpoint); },
                 StartsWith("is_quantized_kv_cache: false for nvfp4"));
  InjectedPlan by_auto(true, true, true);
  EXPECT_EQ(by_auto.plan(make_config("auto", true)).kv_cache_storage.data_type, bytes);
  expect_invalid([&] { by_auto.plan(make_config("bfloat16", true)); },
                 StartsWith("is_quantized_kv_cache: true for bfloat16"));
  // Two devices.
  expect_invalid(
      [] {
        return plan_attention_data_types(EngineConfig(), bf16,
                                         make_environment(cuda(10, 0), vllm_prefill_backends()),
                                         make_decode_environment(rocm("gfx942"), "ROCM_AITER_MLA"));
      },
      StartsWith("device of the decode backend: gfx942 is not accepted; accepted: that of the "
                 "prefill backends, sm_100"));
  InjectedPlan fnuz(true, true, true);
  fnuz.decode = make_decode_environment(rocm("gfx942"), "ROCM_AITER_MLA");
  expect_invalid([&] { fnuz.plan(make_config("fp8", true)); },
                 StartsWith("fp8_data_type: \"float8_e4m3fn\" is not accepted; accepted: "
                            "float8_e4m3fnuz"));
  InjectedPlan e5m2(true, true, true);
  e5m2.env.fp8_data_type = DataType::float8_e5m2;
  expect_invalid([&] { e5m2.plan(make_config("fp8", true)); },
                 StartsWith("fp8_data_type: \"float8_e5m2\""));
}

TEST(AttentionPlan, RowsOfTheEnginesOwnAreChecked) {
  const auto refused = [](const char* name, DecodeQueries queries,
                          std::vector<std::string> kv_cache_dtypes, const char* expected) {
    DecodePair pair;
    pair.queries = queries;
    pair.kv_cache_dtypes = std::move(kv_cache_dtypes);
    DecodeBackend backend;
    backend.name = name;
    backend.pairs = {pair};
    expect_invalid([&] { return make_decode_environment(cuda(9, 0), backend); },
                   StartsWith(expected));
  };
  refused("", DecodeQueries::model, {}, "decode backend's name: \"\"");
  refused("A B", DecodeQueries::model, {}, "decode backend's name: \"A B\"");
  refused("A", DecodeQueries::none, {}, "decode backend A, queries: DecodeQueries(0)");
  refused("A", static_cast<DecodeQueries>(3), {}, "decode backend A, queries: DecodeQueries(3)");
  refused("A", DecodeQueries::fp8, {}, "decode backend A, queries: DecodeQueries(2)");
  refused("A", DecodeQueries::fp8, {"nvfp4"}, "decode backend A, kv_cache_dtypes: \"nvfp4\"");
  refused("A", DecodeQueries::fp8, {"auto"}, "decode backend A, kv_cache_dtypes: \"auto\"");
  refused("A", DecodeQueries::model, {""}, "decode backend A, kv_cache_dtypes: \"\"");
  DecodeBackend of_int8;
  of_int8.name = "A";
  of_int8.pairs = {{DecodeQueries::model, {}, {}, {DataType::int8}}};
  expect_invalid([&] { return make_decode_environment(cuda(9, 0), of_int8); },
                 StartsWith("decode backend A, model_dtypes: \"int8\""));
}

TEST(AttentionPlan, BadInputIsRefused) {
  InjectedPlan injected(true, true, true);
  injected.decode.decode_backend_supports_quantized_query = nullptr;
  expect_invalid([&] { injected.plan(make_config("fp8", true)); },
                 StartsWith("decode_backend_supports_quantized_query: null"));
  EXPECT_THAT(injected.asked, IsEmpty());
  expect_invalid([] { return make_decode_environment(cuda(9, 0), "FLASH_MLA"); },
                 AllOf(StartsWith("decode_backend: \"FLASH_MLA\""),
                       HasSubstr("accepted: FLASHMLA (nearest), ")));
  expect_invalid([] { return to_string(static_cast<CautionKind>(8)); },
                 StartsWith("kind: CautionKind(8)"));
}

}  // namespace
}  // namespace mla_dtype
