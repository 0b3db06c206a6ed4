// SPDX-License-Identifier: Apache-2.0

// Without this an operator of SGLang or TensorRT-LLM could be told of a flag that they do not have,
// or an engine's own KV cache be planned as another, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>

#include <string>

#include "support/backend_names.h"
#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/engine_on_device.h"
#include "support/expect_invalid.h"
#include "support/record_texts.h"
#include "support/recording_log.h"
#include "support/records_of.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using ::testing::ElementsAre;
using testing::expect_invalid;
using testing::info;
using ::testing::IsEmpty;
using testing::kinds;
using testing::make_config;
using testing::names;
using testing::records_of;
using testing::row_1;
using ::testing::StartsWith;

AttentionPlan plan_of(const EngineProfile& engine, const std::string& device,
                      const EngineConfig& config) {
  return testing::EngineOnDevice(engine, device).plan(config);
}

TEST(Engines, HaveNamesAndDates) {
  for (const EngineProfile* engine : {&vllm_engine(), &tensorrt_llm_engine(), &sglang_engine()}) {
    EXPECT_NE(engine->name, "");
    EXPECT_NE(engine->facts_as_of, "") << engine->name;
    EXPECT_EQ(engine->selection, BackendSelection::first_usable) << engine->name;
    EXPECT_THAT(engine->prefill_backends, ::testing::Not(IsEmpty()));
    EXPECT_THAT(engine->decode_backends, ::testing::Not(IsEmpty()));
  }
}

// trtllm_mla: FP8 prefill whenever the KV cache is FP8; nobody asks for it.
TEST(Engines, SglangGoesByTheKvCache) {
  const Environment env = make_environment(cuda(10, 0), sglang_engine());
  EXPECT_THAT(records_of(make_config("fp8_e4m3", false), env), ElementsAre(info(row_1)));
  const auto decision = evaluate_prefill_query(make_config("fp8_e4m3", false), bf16, env);
  EXPECT_EQ(decision.data_type, DataType::float8_e4m3fn);
  EXPECT_TRUE(decision.facts.requested);
  for (const char* other : {"auto", "bf16", "fp8_e5m2", "fp4_e2m1"}) {
    const auto explanation = explain_prefill_query_data_type(make_config(other, false), bf16, env);
    EXPECT_EQ(explanation.data_type, bf16) << other;
    EXPECT_EQ(explanation.prefill_backend, "trtllm_mla");
    for (const BlockerKind kind : kinds(explanation.blockers)) {
      EXPECT_NE(kind, BlockerKind::not_requested) << "there is no flag";
    }
    ASSERT_EQ(explanation.remedies.size(), 1U) << other;
    EXPECT_EQ(explanation.remedies[0].spelling, "--kv-cache-dtype fp8_e4m3");
    EXPECT_THAT(records_of(make_config(other, false), env), IsEmpty());
  }
}

TEST(Engines, SglangsPlans) {
  const AttentionPlan fp8 = plan_of(sglang_engine(), "10.0", make_config("fp8_e4m3", false));
  EXPECT_EQ(fp8.decode_backend, "trtllm_mla");
  EXPECT_EQ(fp8.prefill_query.data_type, DataType::float8_e4m3fn);
  EXPECT_EQ(fp8.decode_query.data_type, DataType::float8_e4m3fn);
  const AttentionPlan unquantized = plan_of(sglang_engine(), "10.0", make_config("bf16", false));
  EXPECT_EQ(unquantized.decode_backend, "trtllm_mla");
  EXPECT_EQ(unquantized.kv_cache_storage.data_type, DataType::bfloat16);
  EXPECT_EQ(unquantized.kv_cache_bytes, 1152U);
  // By its long name trtllm_mla refuses it.
  EXPECT_EQ(plan_of(sglang_engine(), "10.0", make_config("bfloat16", false)).decode_backend,
            "cutedsl_mla");
  const AttentionPlan hopper = plan_of(sglang_engine(), "9.0", make_config("fp8_e4m3", false));
  EXPECT_EQ(hopper.decode_backend, "fa3");
  EXPECT_EQ(hopper.decode_query.data_type, bf16) << "it reads FP8 with 16-bit queries";
  EngineConfig glm = make_config("fp8_e4m3", false);
  glm.mla_dimensions = {192, 64, 256};
  EXPECT_EQ(plan_of(sglang_engine(), "9.0", glm).prefill_backend.name, "fa3");
  EngineConfig sparse = make_config("auto", false);
  sparse.index_topk = 2048;
  EXPECT_EQ(plan_of(sglang_engine(), "9.0", sparse).decode_backend, "fa3");
  sparse.cache_config.cache_dtype = "fp8_e4m3";
  EXPECT_EQ(plan_of(sglang_engine(), "9.0", sparse).decode_backend, "flashmla_kv");
  EXPECT_EQ(plan_of(sglang_engine(), "10.0", sparse).decode_backend, "trtllm");
}

TEST(Engines, TensorrtLlmGoesByTheKvCache) {
  for (const char* device : {"9.0", "10.0", "10.3", "12.0", "12.1"}) {
    const AttentionPlan fp8 = plan_of(tensorrt_llm_engine(), device, make_config("fp8", false));
    EXPECT_EQ(fp8.prefill_query.data_type, DataType::float8_e4m3fn) << device;
    EXPECT_EQ(fp8.decode_query.data_type, DataType::float8_e4m3fn) << device;
  }
  const Environment ada = make_environment(cuda(8, 9), tensorrt_llm_engine());
  EXPECT_THAT(kinds(explain_prefill_query_data_type(make_config("fp8", false), bf16, ada).blockers),
              ElementsAre(BlockerKind::fp8_device));
  // For an engine that has the flag.
  EXPECT_THAT(names(tensorrt_llm_prefill_backends()), ElementsAre("TRTLLM_FMHA"));
  EXPECT_EQ(tensorrt_llm_prefill_backends()[0].fp8_queries, Fp8Queries::optional);
}

// vLLM refuses them when it is configured (config/vllm.py); no decode backend of it reads one.
TEST(Engines, VllmsPlanRefusesNvfp4) {
  for (const char* cache_dtype : {"nvfp4", "nvfp4_4over6"}) {
    for (const char* device : {"9.0", "10.0", "12.0"}) {
      EXPECT_THROW(
          static_cast<void>(plan_of(vllm_engine(), device, make_config(cache_dtype, false))),
          AttentionPlanRefused);
    }
  }
}

EngineProfile own_engine() {
  EngineProfile engine = vllm_engine();
  engine.kv_cache_formats = {
      {{"int5", true, DataType::uint8, true, KvCacheScales::packed},
       [](const EngineConfig& config) {
         return static_cast<std::size_t>(config.kv_lora_rank) * 5 / 8;
       }},
      {{"half", false, DataType::float16, false, KvCacheScales::none}, {}},
      {{"e4m3", true, DataType::float8_e4m3fn, false, KvCacheScales::per_tensor}, {}}};
  DecodeBackend mine;
  mine.name = "MINE";
  mine.pairs = {{DecodeQueries::model, {"int5", "half", "e4m3"}}};
  engine.decode_backends = {mine};
  for (PrefillBackend& backend : engine.prefill_backends) {
    if (!backend.fp8_kv_cache_dtypes.empty()) backend.fp8_kv_cache_dtypes.push_back("e4m3");
  }
  return engine;
}

TEST(Engines, AKvCacheFormatOfTheirOwn) {
  const AttentionPlan int5 = plan_of(own_engine(), "10.0", make_config("int5", false));
  EXPECT_TRUE(int5.prefill.facts.kv_cache_quantized);
  EXPECT_EQ(int5.kv_cache_storage.data_type, DataType::uint8);
  EXPECT_EQ(int5.kv_cache_bytes, 320U);
  const AttentionPlan half = plan_of(own_engine(), "10.0", make_config("half", false));
  EXPECT_FALSE(half.prefill.facts.kv_cache_quantized);
  EXPECT_EQ(half.kv_cache_view.data_type, DataType::float16);
  EXPECT_EQ(half.kv_cache_bytes, 1152U);
  EngineConfig config = make_config("e4m3", true);
  config.attention_config.mla_prefill_backend = "TRTLLM_RAGGED";
  const AttentionPlan e4m3 = plan_of(own_engine(), "10.0", config);
  EXPECT_EQ(e4m3.prefill_query.data_type, DataType::float8_e4m3fn);
  EXPECT_EQ(e4m3.kv_cache_view.data_type, DataType::float8_e4m3fn);
  EXPECT_EQ(e4m3.kv_cache_bytes, 576U);
  // Of its own are two KV caches, not one.
  EXPECT_NE(pack(int5), pack(half));
  config.cache_config.cache_dtype = "int5";
  const auto explanation =
      explain_prefill_query_data_type(config, bf16, make_environment(cuda(10, 0), own_engine()));
  EXPECT_THAT(kinds(explanation.blockers), ElementsAre(BlockerKind::kv_cache_format));
  EXPECT_THAT(explanation.blockers[0].sentence, ::testing::HasSubstr("it is packed"));
}

TEST(Engines, Float32IsKnown) {
  EXPECT_FALSE(is_quantized_kv_cache("float32"));
  EngineProfile engine = own_engine();
  engine.decode_backends[0].pairs = {{DecodeQueries::model, {"float32"}}};
  const AttentionPlan wide = plan_of(engine, "10.0", make_config("float32", false));
  EXPECT_EQ(wide.kv_cache_storage.data_type, DataType::float32);
  EXPECT_EQ(wide.kv_cache_bytes, 2304U);
  EXPECT_EQ(pack(wide) >> 32 & 0xff, 254U);
}

// Nobody asked for it, and nobody is told that somebody did.
TEST(Engines, APlanSaysThatItGoesByTheKvCache) {
  EXPECT_EQ(plan_of(sglang_engine(), "10.0", make_config("fp8_e4m3", false)).prefill_query.reason,
            "The KV cache is FP8, and the prefill backend goes by it.");
}

// DSA's FP8 is FlashMLA's layout but for trtllm, and of `auto` on Blackwell the operator has to
// say.
TEST(Engines, SglangsSparseKvCaches) {
  EngineConfig config = make_config("fp8_e4m3", false);
  config.index_topk = 2048;
  const AttentionPlan hopper = plan_of(sglang_engine(), "9.0", config);
  EXPECT_EQ(hopper.kv_cache_dtype.resolved, "fp8_ds_mla");
  EXPECT_EQ(hopper.kv_cache_bytes, 656U);
  const AttentionPlan blackwell = plan_of(sglang_engine(), "10.0", config);
  EXPECT_EQ(blackwell.kv_cache_bytes, 576U);
  EXPECT_EQ(blackwell.prefill_backend.name, "trtllm");
  EXPECT_EQ(blackwell.prefill_query.data_type, DataType::float8_e4m3fn);
  EXPECT_EQ(blackwell.decode_query.data_type, DataType::float8_e4m3fn);
  config.cache_config.cache_dtype = "auto";
  EXPECT_THROW(static_cast<void>(plan_of(sglang_engine(), "10.0", config)), AttentionPlanRefused);
}

TEST(Engines, BadFormatsAreRefused) {
  using Formats = std::vector<EngineKvCacheFormat>;
  const auto per_tensor = KvCacheScales::per_tensor;
  for (const Formats& bad :
       {Formats{{{"x", true, {}, false, per_tensor}, {}}},
        Formats{{{"x", true, DataType::int8, false, KvCacheScales::none}, {}}},
        Formats{{{"x", false, DataType::float8_e4m3fn, false, KvCacheScales::none}, {}}},
        Formats{{{"x", false, {}, false, KvCacheScales::none}, {}},
                {{"x", false, {}, false, KvCacheScales::none}, {}}}}) {
    EngineProfile engine = vllm_engine();
    engine.kv_cache_formats = bad;
    expect_invalid([&] { return make_environment(cuda(10, 0), engine); },
                   StartsWith("kv_cache_formats: \"x\""));
  }
  Environment env = make_environment(cuda(10, 0), own_engine());
  expect_invalid([&] { return evaluate_prefill_query(make_config("int6", false), bf16, env); },
                 StartsWith("cache_dtype: \"int6\""));
  for (const char* name : {"", "fp8", "float32", "a b"}) {
    env.kv_cache_formats[0].format.name = name;
    expect_invalid([&] { return evaluate_prefill_query(make_config("fp8", false), bf16, env); },
                   StartsWith("kv_cache_formats: "));
  }
}

}  // namespace
}  // namespace mla_dtype
