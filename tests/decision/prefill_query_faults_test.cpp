// SPDX-License-Identifier: Apache-2.0

// What the library once got wrong, shown by small programs. Without these it could answer so again,
// unnoticed: one question twice differently, or advice that is none.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_query.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "support/backend_names.h"
#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/expect_invalid.h"
#include "support/record_texts.h"
#include "support/recording_log.h"
#include "support/records_of.h"

namespace mla_dtype {
namespace {

using testing::all_devices;
using testing::bf16;
using testing::e4m3;
using ::testing::ElementsAre;
using testing::expect_invalid;
using testing::fp16;
using ::testing::HasSubstr;
using testing::info;
using ::testing::IsEmpty;
using testing::kinds;
using testing::make_config;
using testing::make_platform;
using ::testing::Not;
using testing::records_of;
using testing::row_2;
using testing::row_3;
using testing::set_backend;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::warning;

PrefillBackend fp8_row(const char* name, std::vector<std::string> kv_cache_dtypes) {
  PrefillBackend backend;
  backend.name = name;
  backend.fp8_queries = Fp8Queries::optional;
  backend.fp8_kv_cache_dtypes = std::move(kv_cache_dtypes);
  return backend;
}

EngineConfig chosen(EngineConfig config, const char* backend) {
  config.attention_config.mla_prefill_backend = backend;
  return config;
}

TEST(Faults, AFloat16ModelGetsOneAnswerFromEveryFunction) {
  const Platform platform = cuda(10, 0);
  const Environment env = make_environment(platform, vllm_prefill_backends());
  const auto decode = make_decode_environment(platform, "FLASHINFER_MLA");
  const auto expect_one_answer = [&](const EngineConfig& config, const char* backend,
                                     DataType expected) {
    SCOPED_TRACE(config.attention_config.mla_prefill_backend);
    const auto selection = select_prefill_backend(config, fp16, env);
    EXPECT_EQ(selection.name, backend);
    EXPECT_EQ(selection.takes_fp8_queries, is_fp8(expected));
    EXPECT_EQ(select_prefill_backend(config, fp16, platform).name, backend);
    EXPECT_EQ(prefill_backend_supports(config, fp16, env).supported, is_fp8(expected));
    EXPECT_EQ(evaluate_prefill_query(config, fp16, env).data_type, expected);
    testing::RecordingLog output;
    Environment speaking = env;
    speaking.log = output.log;
    EXPECT_EQ(determine_prefill_query_data_type(config, fp16, speaking), expected);
    const auto explanation = explain_prefill_query_data_type(config, fp16, env);
    EXPECT_EQ(explanation.prefill_backend, backend);
    EXPECT_EQ(explanation.data_type, expected);
    const auto plan = plan_attention_data_types(config, fp16, env, decode);
    EXPECT_EQ(plan.prefill_backend.name, backend);
    EXPECT_EQ(plan.prefill.prefill_backend, backend);
    EXPECT_EQ(plan.prefill_query.data_type, expected);
    EXPECT_EQ(plan.prefill_key_value.data_type, expected);
    EXPECT_EQ(plan.chunked_prefill_workspace->data_type, expected);
  };
  const EngineConfig open = make_config("fp8", true);
  expect_one_answer(open, "TRTLLM_RAGGED", e4m3);
  expect_one_answer(chosen(open, "TRTLLM_RAGGED"), "TRTLLM_RAGGED", e4m3);
  expect_one_answer(chosen(open, "TOKENSPEED_MLA"), "TOKENSPEED_MLA", e4m3);
  expect_one_answer(chosen(open, "FLASHINFER"), "FLASHINFER", fp16);
  expect_one_answer(chosen(open, "FLASH_ATTN"), "FLASH_ATTN", fp16);
  EXPECT_THAT(
      kinds(explain_prefill_query_data_type(chosen(open, "FLASHINFER"), fp16, env).blockers),
      ElementsAre(BlockerKind::output_dtype));
}

// vLLM's option sets both: followed literally, the text of the row would take the choice back.
TEST(Faults, TheHintOfRow3KeepsTheOperatorsChoice) {
  std::vector<PrefillBackend> backends = vllm_prefill_backends();
  backends.push_back(tensorrt_llm_prefill_backends().front());
  for (const auto& table : {tensorrt_llm_prefill_backends(), backends}) {
    const Environment env = make_environment(cuda(9, 0), table);
    const EngineConfig config = chosen(make_config("fp8", false), "TRTLLM_FMHA");
    EXPECT_THAT(records_of(config, env),
                ElementsAre(warning(row_3 + " (or, to keep what is set already: " + set_backend +
                                    "\"TRTLLM_FMHA\"}')")));
  }
  // What was not chosen is not kept.
  EXPECT_THAT(records_of(make_config("fp8", false), make_environment(cuda(9, 0), "TRTLLM_FMHA")),
              ElementsAre(warning(row_3)));
}

TEST(Faults, WhoNamedABackendIsNotToldToLeaveTheChoiceOpen) {
  const auto is_no_advice = Not(HasSubstr("choice open"));
  for (const char* device : all_devices) {
    for (const bool requested : {false, true}) {
      for (const KvCacheFormat& format : kv_cache_formats()) {
        const Environment env = make_environment(make_platform(device), "FLASH_ATTN");
        const EngineConfig config = make_config(std::string(format.name), requested);
        for (const auto& record : records_of(config, env)) EXPECT_THAT(record.text, is_no_advice);
        const auto explanation = explain_prefill_query_data_type(config, bf16, env);
        EXPECT_THAT(explanation.hint, is_no_advice);
        EXPECT_THAT(to_string(explanation), is_no_advice);
        EXPECT_THAT(select_prefill_backend(config, bf16, env).hint, is_no_advice);
      }
    }
  }
  EXPECT_THAT(select_prefill_backend(make_config("fp8", true), bf16,
                                     make_environment(cuda(10, 0), "FLASH_ATTN"))
                  .hint,
              HasSubstr("but TRTLLM_RAGGED does: choose it."));
}

TEST(Faults, WhatTheBackendWouldDoWithAnotherKvCacheIsNoBlocker) {
  const Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
  const auto explanation = explain_prefill_query_data_type(make_config("auto", true), bf16, env);
  EXPECT_TRUE(explanation.facts.backend_supports);
  EXPECT_THAT(kinds(explanation.blockers), ElementsAre(BlockerKind::kv_cache_not_quantized));
  EXPECT_THAT(
      records_of(make_config("auto", true), env),
      ElementsAre(info(row_2 + " The KV cache is not quantized: the KV-cache dtype is \"auto\". To "
                               "enable FP8 prefill attention, set: --kv-cache-dtype fp8")));
}

TEST(Faults, ADeviceWithoutFp8IsSaidToHaveNone) {
  const PrefillBackend anywhere = fp8_row("MINE", {"fp8"});
  PrefillBackend listed = fp8_row("LISTED", {"fp8"});
  listed.devices = {cuda(9, 0), cuda_family(10)};
  PrefillBackend listed_for_fp8 = fp8_row("LISTED_FOR_FP8", {"fp8"});
  listed_for_fp8.fp8_devices = {cuda(9, 0)};
  const auto nothing_helps = [](const std::vector<PrefillBackend>& backends) {
    return explain_prefill_query_data_type(make_config("fp8", true), bf16,
                                           make_environment(cuda(8, 0), backends))
        .nothing_helps;
  };
  const std::string expected =
      "On this device (sm_80) no setting helps: it has no FP8. Prefill in the model's data type is "
      "the right choice here.";
  EXPECT_EQ(nothing_helps({anywhere}), expected);
  EXPECT_EQ(nothing_helps({anywhere, listed}), expected);
  EXPECT_EQ(nothing_helps({listed, anywhere, listed_for_fp8}), expected);
}

// `fp8` and `fp8_e4m3` are one KV cache; which spelling an operator may type is the row's.
TEST(Faults, ACheckpointsKvCacheHasNoSpelling) {
  EngineConfig by_checkpoint = make_config("auto", true);
  by_checkpoint.cache_config.checkpoint_kv_cache_quant_algo = "FP8";
  for (const char* listed : {"fp8", "fp8_e4m3"}) {
    const Environment env = make_environment(cuda(10, 0), {fp8_row("MINE", {listed})});
    EXPECT_EQ(evaluate_prefill_query(by_checkpoint, bf16, env).data_type, e4m3) << listed;
    EXPECT_TRUE(prefill_backend_supports(by_checkpoint, bf16, env).supported) << listed;
    EXPECT_TRUE(select_prefill_backend(by_checkpoint, bf16, env).takes_fp8_queries) << listed;
  }
  const Environment env = make_environment(cuda(10, 0), {fp8_row("MINE", {"fp8"})});
  const auto typed = explain_prefill_query_data_type(make_config("fp8_e4m3", true), bf16, env);
  EXPECT_EQ(typed.outcome, PrefillQueryOutcome::request_refused);
  EXPECT_THAT(kinds(typed.blockers), ElementsAre(BlockerKind::kv_cache_format));
  ASSERT_THAT(typed.remedies, SizeIs(1));
  EXPECT_EQ(typed.remedies[0].spelling, "--kv-cache-dtype fp8");
  EXPECT_EQ(typed.remedies[0].cache_dtype, "fp8");
  EXPECT_FALSE(typed.remedies[0].request);
}

TEST(Faults, RemediesThatComeToTheSameAreOfferedOnce) {
  const auto row = [](const char* name, std::vector<std::string> kv_cache_dtypes) {
    return fp8_row(name, std::move(kv_cache_dtypes));
  };
  PrefillBackend without_fp8;
  without_fp8.name = "PLAIN";
  using Settings = std::vector<std::tuple<std::string, std::string>>;
  const auto offered = [](const EngineConfig& config, const std::vector<PrefillBackend>& backends) {
    Settings result;
    for (const Remedy& remedy :
         explain_prefill_query_data_type(config, bf16, make_environment(cuda(10, 0), backends))
             .remedies) {
      result.emplace_back(remedy.cache_dtype, remedy.prefill_backend);
    }
    return result;
  };
  const EngineConfig open = make_config("auto", true);
  EXPECT_EQ(offered(open, {row("A", {"fp8", "fp8_e4m3"})}), (Settings{{"fp8", ""}}));
  EXPECT_EQ(offered(open, {row("A", {"fp8_e4m3", "fp8"})}), (Settings{{"fp8", ""}}));
  EXPECT_EQ(offered(open, {row("A", {"fp8_e4m3"})}), (Settings{{"fp8_e4m3", ""}}));
  EXPECT_EQ(offered(open, {row("A", {"fp8"}), row("B", {"fp8_e4m3"})}), (Settings{{"fp8", ""}}));
  EXPECT_EQ(offered(open, {row("A", {"fp8", "fp8_e4m3", "fp8_e5m2"})}),
            (Settings{{"fp8", ""}, {"fp8_e5m2", ""}}));
  EXPECT_EQ(offered(chosen(open, "PLAIN"), {without_fp8, row("A", {"fp8", "fp8_e4m3"})}),
            (Settings{{"fp8", "A"}}));
  EXPECT_EQ(
      offered(chosen(open, "PLAIN"), {without_fp8, row("A", {"fp8"}), row("B", {"fp8_e4m3"})}),
      (Settings{{"fp8", "A"}, {"fp8_e4m3", "B"}}))
      << "two backends";
}

// An engine may trace what it asks; nothing recognises the library's own predicates by address.
TEST(Faults, AWrappedPredicateGivesTheSameDataTypes) {
  int fp8 = 0;
  for (const char* device : all_devices) {
    std::vector<Environment> tables = {
        make_environment(make_platform(device), vllm_prefill_backends()),
        make_environment(make_platform(device), tensorrt_llm_prefill_backends())};
    for (const auto* named : {&vllm_prefill_backends(), &tensorrt_llm_prefill_backends()}) {
      for (const PrefillBackend& backend : *named) {
        tables.push_back(make_environment(make_platform(device), backend.name));
      }
    }
    for (const Environment& table : tables) {
      Environment wrapped = table;
      wrapped.backend_supports_prefill_query_quantization = [&table](const EngineConfig& config,
                                                                     DataType model_dtype) {
        return prefill_backend_supports(config, model_dtype, table);
      };
      for (const KvCacheFormat& format : kv_cache_formats()) {
        for (const bool requested : {false, true}) {
          const EngineConfig config = make_config(std::string(format.name), requested);
          SCOPED_TRACE(device + (' ' + std::string(format.name)));
          const auto expected = evaluate_prefill_query(config, bf16, table);
          const auto actual = evaluate_prefill_query(config, bf16, wrapped);
          EXPECT_EQ(actual.data_type, expected.data_type);
          EXPECT_EQ(actual.outcome, expected.outcome);
          EXPECT_EQ(actual.facts.backend_supports, expected.facts.backend_supports);
          EXPECT_EQ(explain_prefill_query_data_type(config, bf16, wrapped).facts.backend_supports,
                    explain_prefill_query_data_type(config, bf16, table).facts.backend_supports);
          fp8 += is_fp8(actual.data_type) ? 1 : 0;
          if (HasFailure()) return;  // one is enough to read
        }
      }
    }
    expect_invalid(
        [&] {
          Environment wrapped = tables.front();
          wrapped.backend_supports_prefill_query_quantization = [&](const EngineConfig& config,
                                                                    DataType model_dtype) {
            return prefill_backend_supports(config, model_dtype, tables.front());
          };
          (void)select_prefill_backend(make_config("fp8", true), bf16, wrapped);
        },
        StartsWith("backend_supports_prefill_query_quantization: "));
  }
  EXPECT_GT(fp8, 0);
}

TEST(Faults, TheAnswerThatIsWrappedKnowsWhatTheEngineCallsQuantized) {
  Environment table = make_environment(cuda(10, 0), vllm_prefill_backends());
  table.is_quantized_kv_cache = [](std::string_view name) { return name == "auto"; };
  Environment wrapped = table;
  wrapped.backend_supports_prefill_query_quantization = [&](const EngineConfig& config,
                                                            DataType model_dtype) {
    return prefill_backend_supports(config, model_dtype, table);
  };
  const EngineConfig config = make_config("auto", true);
  EXPECT_EQ(evaluate_prefill_query(config, bf16, table).data_type, bf16);
  EXPECT_EQ(evaluate_prefill_query(config, bf16, wrapped).data_type, bf16);
}

TEST(Faults, ScalesAndSpreadCachesAreNotTheDevices) {
  PrefillBackend strict = fp8_row("MINE", {"fp8"});
  strict.fp8_kv_scales = {KvScales::calibrated};
  strict.fp8_with_decode_context_parallel = false;
  const Environment env = make_environment(cuda(10, 0), {strict});
  EngineConfig dynamic = make_config("fp8", true);
  dynamic.cache_config.kv_scales = KvScales::dynamic;
  EngineConfig spread = make_config("fp8", true);
  spread.cache_config.kv_scales = KvScales::calibrated;
  spread.parallel_config.decode_context_parallel_size = 2;
  for (const EngineConfig& config : {dynamic, spread}) {
    const auto explanation = explain_prefill_query_data_type(config, bf16, env);
    EXPECT_THAT(explanation.remedies, IsEmpty());
    EXPECT_THAT(explanation.nothing_helps, StartsWith("No flag, KV-cache dtype or prefill"));
    EXPECT_THAT(records_of(config, env).at(0).text, Not(HasSubstr("On this device")));
  }
}

}  // namespace
}  // namespace mla_dtype
