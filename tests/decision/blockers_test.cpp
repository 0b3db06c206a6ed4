// SPDX-License-Identifier: Apache-2.0

// Without this an explanation could name an obstacle that is none, or leave one out, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/prefill_query.h>

#include <memory>
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

using ::testing::ElementsAre;
using testing::expect_invalid;
using testing::info;
using testing::InjectedEngine;
using testing::make_config;
using testing::RecordingLog;
using testing::records_of;
using testing::row_2;
using ::testing::SizeIs;
using ::testing::StartsWith;

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

// Which scales, and a KV cache spread over ranks: facts of a row, not of the device.
TEST(Explain, WhatARowSaysOfScalesAndRanks) {
  PrefillBackend backend;
  backend.name = "MINE";
  backend.fp8_queries = Fp8Queries::optional;
  backend.fp8_kv_cache_dtypes = {"fp8"};
  backend.fp8_kv_scales = {KvScales::calibrated, KvScales::unit};
  backend.fp8_with_decode_context_parallel = false;
  const Environment env = make_environment(cuda(10, 0), {backend});
  EngineConfig config = make_config("fp8", true);
  config.cache_config.kv_scales = KvScales::unit;
  EXPECT_TRUE(is_fp8(evaluate_prefill_query(config, DataType::bfloat16, env).data_type));
  config.cache_config.kv_scales = KvScales::dynamic;
  config.parallel_config.decode_context_parallel_size = 8;
  const auto explanation = explain_prefill_query_data_type(config, DataType::bfloat16, env);
  ASSERT_THAT(explanation.blockers, SizeIs(2));
  EXPECT_EQ(explanation.blockers[0].kind, BlockerKind::dynamic_kv_scales);
  EXPECT_EQ(explanation.blockers[0].value, "dynamic");
  EXPECT_EQ(explanation.blockers[0].sentence,
            "Prefill backend MINE takes FP8 queries only with KV scales that are calibrated and "
            "unit, and these are dynamic.");
  EXPECT_EQ(explanation.blockers[1].kind, BlockerKind::decode_context_parallel);
  EXPECT_EQ(explanation.blockers[1].value, "8");
  EXPECT_EQ(explanation.blockers[1].sentence,
            "Prefill backend MINE does not take FP8 queries with a decode-context-parallel size "
            "above 1.");
  EXPECT_EQ(explanation.nothing_helps,
            "No flag, KV-cache dtype or prefill backend helps here. Prefill in the model's data "
            "type is the right choice here.")
      << "not the device";

  // Another row of the table may do.
  backend.name = "OTHER";
  backend.fp8_kv_scales = {KvScales::dynamic};
  backend.fp8_with_decode_context_parallel = true;
  PrefillBackend first;
  first.name = "MINE";
  const Environment both = make_environment(cuda(10, 0), {first, backend});
  EXPECT_EQ(select_prefill_backend(config, DataType::bfloat16, both).name, "OTHER");
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

TEST(Explain, AutoMeansWhatTheCheckpointWasQuantizedFor) {
  EngineConfig config = make_config("auto", true);
  config.cache_config.checkpoint_kv_cache_quant_algo = "FP8";
  Environment env = make_environment(cuda(10, 0), "FLASHINFER");
  env.log = RecordingLog().log;
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

  InjectedEngine fixture(true, true);
  config.cache_config.checkpoint_kv_cache_quant_algo = "fp8";
  determine_prefill_query_data_type(config, DataType::bfloat16, fixture.env);
  EXPECT_EQ(fixture.asked[0], "kv_cache fp8_e4m3") << "the predicate is told what auto means";
}

}  // namespace
}  // namespace mla_dtype
