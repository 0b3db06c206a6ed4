// SPDX-License-Identifier: Apache-2.0

// Without this the lines of an explanation, its advice in the engine's own spelling and the names
// of its parts could change, or be forged by an engine's reason, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/prefill_query.h>

#include <set>
#include <string_view>
#include <utility>

#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/injected_engine.h"
#include "support/record_texts.h"
#include "support/records_of.h"

namespace mla_dtype {
namespace {

using ::testing::EndsWith;
using testing::expect_invalid;
using testing::InjectedEngine;
using testing::make_config;
using testing::records_of;
using testing::set_backend;
using ::testing::SizeIs;
using ::testing::StartsWith;

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
                set_backend + "\"TRTLLM_RAGGED\"}'\nremedy: --kv-cache-dtype fp8 " + set_backend +
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
  env.spellings.request_fp8 = "--fp8-prefill";
  const std::string choose = "--attention-config '{\"mla_prefill_backend\": \"TRTLLM_RAGGED\"}'";
  EXPECT_EQ(spelling("fp8", true), choose);
  EXPECT_EQ(spelling("fp8", false), "--fp8-prefill " + choose);
  EXPECT_EQ(spelling("auto", false, "FLASHINFER"), "--kv-cache-dtype fp8 --fp8-prefill");
  env.spellings.kv_cache_dtype = "--kv=%,paged";
  env.spellings.prefill_backend = "--prefill-with";
  EXPECT_EQ(spelling("auto", true), "--kv=fp8,paged --prefill-with TRTLLM_RAGGED");
  env.spellings.prefill_backend = "--prefill %{} --%";
  EXPECT_EQ(spelling("fp8", false), "--fp8-prefill --prefill TRTLLM_RAGGED{} --%");
  EXPECT_EQ(spelling("fp8", false, "FLASHINFER"), "--fp8-prefill");
  env.spellings.request_fp8 = env.spellings.kv_cache_dtype = env.spellings.prefill_backend = "";
  EXPECT_EQ(spelling("auto", true, "FLASHINFER"), "KV-cache dtype fp8");
  EXPECT_EQ(spelling("auto", false),
            "KV-cache dtype fp8 and use_prefill_query_quantization and prefill backend "
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

TEST(Explain, AnEnginesReasonIsOneLine) {
  InjectedEngine fixture(true, false, "No.\nremedy: --none\x1b[2J");
  EXPECT_EQ(to_string(explain_prefill_query_data_type(make_config("fp8", true), DataType::bfloat16,
                                                      fixture.env)),
            "data type: bfloat16\n"
            "outcome: request_refused\n"
            "KV-cache dtype: \"fp8\"\n"
            "blocker: No. remedy: --none [2J");
}

TEST(BlockerKind, HasNames) {
  const std::pair<BlockerKind, std::string_view> names[] = {
      {BlockerKind::not_requested, "not_requested"},
      {BlockerKind::kv_cache_not_quantized, "kv_cache_not_quantized"},
      {BlockerKind::kv_cache_format, "kv_cache_format"},
      {BlockerKind::dynamic_kv_scales, "dynamic_kv_scales"},
      {BlockerKind::decode_context_parallel, "decode_context_parallel"},
      {BlockerKind::backend_device, "backend_device"},
      {BlockerKind::backend_without_fp8, "backend_without_fp8"},
      {BlockerKind::fp8_device, "fp8_device"},
      {BlockerKind::model_dtype, "model_dtype"},
      {BlockerKind::dimensions, "dimensions"},
      {BlockerKind::head_count, "head_count"},
      {BlockerKind::output_dtype, "output_dtype"},
      {BlockerKind::backend_unavailable, "backend_unavailable"},
      {BlockerKind::backend_refused, "backend_refused"},
      {BlockerKind::backend_needs_fp8, "backend_needs_fp8"},
      {BlockerKind::sparse_attention, "sparse_attention"}};
  unsigned number = 0;
  for (const auto& [kind, name] : names) {
    EXPECT_EQ(static_cast<unsigned>(kind), number++);
    EXPECT_EQ(to_string(kind), name);
  }
  expect_invalid([&] { return to_string(static_cast<BlockerKind>(number)); },
                 StartsWith("kind: BlockerKind(16) is not accepted"));
}

}  // namespace
}  // namespace mla_dtype
