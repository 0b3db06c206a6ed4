// SPDX-License-Identifier: Apache-2.0

// Without this an operator could be told that FP8 pays where it was measured not to, or be told of
// another device, or of backends that do not run, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/cost_model.h>
#include <mla_dtype/prefill_query.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/record_texts.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using testing::bf16;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::make_config;
using ::testing::Not;
using testing::Record;
using testing::RecordingLog;
using ::testing::StartsWith;

constexpr char b200[] = "NVIDIA B200";

Environment make_env(const EngineProfile& engine, const std::string& device) {
  const Device known = parse_device(device);
  Environment env = make_environment(known.platform, engine);
  env.device_name = known.name;
  return env;
}

EngineConfig choosing(const std::string& backend, bool flag) {
  EngineConfig config = make_config("fp8", flag);
  config.attention_config.mla_prefill_backend = backend;
  return config;
}

std::vector<Record> records(const EngineConfig& config, Environment env) {
  RecordingLog recording;
  env.log = recording.log;
  for (int layer = 0; layer < 3; ++layer) determine_prefill_query_data_type(config, bf16, env);
  return recording.records();
}

// Row 3 recommends FP8 from ISL 4K on, where it makes vLLM's module 22 % slower.
TEST(Payoff, Row3SaysFromWhichIslFp8Pays) {
  const auto all = records(choosing("TRTLLM_RAGGED", false), make_env(vllm_engine(), b200));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_THAT(
      all[0].text,
      AllOf(StartsWith(testing::row_3_before_flag),
            EndsWith(" (On this device (NVIDIA B200) FP8 prefill with TRTLLM_RAGGED is faster than "
                     "BF16 with FLASH_ATTN from about ISL 29500 on, and 0.82x as fast at ISL 4096 "
                     "with 128 heads (the whole MLA module of vLLM 0.24.0, measured by "
                     "ai-dynamo/aiconfigurator@095f58a, 2026-08-21). BF16 with TRTLLM_RAGGED was "
                     "not measured.)")));
}

TEST(Payoff, WhereItNeverPaysAsFarAsWasMeasured) {
  EngineConfig config = choosing("TRTLLM_RAGGED", false);
  config.num_attention_heads = 16;
  const auto all = records(config, make_env(vllm_engine(), b200));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_THAT(all[0].text,
              HasSubstr(" is faster than BF16 with FLASH_ATTN at no ISL up to 32768, "));
}

TEST(Payoff, Row1SaysItInAnInfoOnce) {
  const auto all = records(choosing("TRTLLM_RAGGED", true), make_env(vllm_engine(), b200));
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0], testing::info(testing::row_1));
  EXPECT_EQ(all[1].level, LogLevel::info);
  EXPECT_THAT(all[1].text, StartsWith("On this device (NVIDIA B200) FP8 prefill with "));
}

// Jointly selected: what leaving the faster 16-bit backend costs.
TEST(Payoff, OfASelectedBackend) {
  Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
  env.device_name = b200;
  const auto explanation = explain_prefill_query_data_type(make_config("fp8", true), bf16, env);
  EXPECT_EQ(explanation.prefill_backend, "TRTLLM_RAGGED");
  ASSERT_TRUE(explanation.payoff);
  EXPECT_EQ(explanation.payoff->device, b200);
  EXPECT_EQ(explanation.payoff->bf16_backend, "FLASH_ATTN");
  EXPECT_TRUE(explanation.payoff->bf16_backend_runs);
  EXPECT_EQ(explanation.payoff->fp8_backend, "TRTLLM_RAGGED");
  EXPECT_NEAR(explanation.payoff->speedup_at_4096, 0.817, 0.001);
  const auto* const model = find_prefill_cost_model(b200, "FLASH_ATTN", "TRTLLM_RAGGED");
  EXPECT_EQ(explanation.payoff->break_even_isl, break_even_isl(*model));
  EXPECT_THAT(to_string(explanation), HasSubstr("\nmeasured: On this device (NVIDIA B200) "));
  EXPECT_THAT(to_string(explanation), Not(HasSubstr("was not measured")));
}

TEST(Payoff, OfEachEngine) {
  EXPECT_THAT(records(make_config("fp8", false), make_env(tensorrt_llm_engine(), "H200")),
              ElementsAre(testing::info(testing::row_1), ::testing::_));
  const auto explanation = explain_prefill_query_data_type(make_config("fp8_e4m3", false), bf16,
                                                           make_env(sglang_engine(), "B300"));
  ASSERT_TRUE(explanation.payoff) << to_string(explanation);
  EXPECT_EQ(explanation.payoff->bf16_backend, "trtllm_mla");
  EXPECT_THAT(
      to_string(explanation),
      HasSubstr("FP8 prefill with trtllm_mla is faster than BF16 with trtllm_mla from about "
                "ISL 2200 on, and 1.13x as fast at ISL 4096"));
}

TEST(Payoff, NothingIsSaidOfWhatIsNotKnown) {
  const auto text = [](const Environment& env, const std::string& backend) {
    const auto all = records(choosing(backend, false), env);
    return all.empty() ? std::string() : all[0].text;
  };
  Environment env = make_env(vllm_engine(), b200);
  EXPECT_THAT(text(env, "FLASHINFER"), Not(HasSubstr("On this device")));
  for (const char* name : {"", "NVIDIA H20", "B200", "nvidia b200", "a\nb"}) {
    env.device_name = name;
    EXPECT_THAT(text(env, "TRTLLM_RAGGED"), Not(HasSubstr("On this device"))) << name;
    EXPECT_THAT(records(choosing("TRTLLM_RAGGED", true), env),
                ElementsAre(testing::info(testing::row_1)));
  }
  // B200's name on another device.
  Environment hopper = make_environment(cuda(9, 0), tensorrt_llm_engine());
  hopper.device_name = b200;
  EXPECT_FALSE(explain_prefill_query_data_type(make_config("fp8", true), bf16, hopper).payoff);
  env.device_name = b200;
  env.backend_supports_prefill_query_quantization = [](const EngineConfig&, DataType) {
    return Support(true);
  };
  EXPECT_THAT(records(make_config("fp8", true), env), ElementsAre(testing::info(testing::row_1)));
}

// What is advised to an operator who runs FLASH_ATTN is slower up to ISL 29500.
TEST(Payoff, OfABackendThatIsAdvised) {
  const Environment env = make_env(vllm_engine(), b200);
  constexpr char sentence[] = "On this device (NVIDIA B200) FP8 prefill with ";
  for (const bool flag : {false, true}) {
    const EngineConfig config = choosing("FLASH_ATTN", flag);
    const auto explanation = explain_prefill_query_data_type(config, bf16, env);
    ASSERT_TRUE(explanation.payoff);
    EXPECT_EQ(explanation.payoff->fp8_backend, "TRTLLM_RAGGED");
    EXPECT_THAT(explanation.hint,
                AllOf(StartsWith("Prefill backend FLASH_ATTN does not "), HasSubstr(sentence)));
    EXPECT_THAT(select_prefill_backend(config, bf16, env).hint, HasSubstr(sentence));
    const auto all = records(config, env);
    EXPECT_EQ(all.size(), flag ? 1U : 0U);
    if (flag) {
      EXPECT_THAT(all[0].text, AllOf(StartsWith(testing::row_2), HasSubstr(sentence)));
    }
  }
}

// What was measured is a bfloat16 model of DeepSeek's dimensions with 16 to 128 heads.
TEST(Payoff, NotOfAModelThatWasNotMeasured) {
  const Environment env = make_env(sglang_engine(), b200);
  const auto is_known = [&](auto change) {
    EngineConfig config = make_config("fp8_e4m3", false);
    DataType model_dtype = bf16;
    change(config, model_dtype);
    const auto explanation = explain_prefill_query_data_type(config, model_dtype, env);
    EXPECT_TRUE(is_fp8(explanation.data_type));
    return explanation.payoff.has_value();
  };
  EXPECT_TRUE(is_known([](EngineConfig&, DataType&) {}));
  for (const int heads : {16, 128}) {
    EXPECT_TRUE(is_known([=](EngineConfig& c, DataType&) { c.num_attention_heads = heads; }));
  }
  for (const int heads : {1, 8, 129}) {
    EXPECT_FALSE(is_known([=](EngineConfig& c, DataType&) { c.num_attention_heads = heads; }));
  }
  EXPECT_FALSE(is_known([](EngineConfig&, DataType& type) { type = DataType::float16; }));
  EXPECT_FALSE(is_known(
      [](EngineConfig& c, DataType&) { c.parallel_config.decode_context_parallel_size = 2; }));
  EXPECT_FALSE(is_known([](EngineConfig& c, DataType&) { c.mla_dimensions = {192, 64, 256}; }));
}

TEST(Payoff, NotOfSparseAttention) {
  EngineProfile engine = vllm_engine();
  for (PrefillBackend& row : engine.prefill_backends) row.fp8_with_sparse = true;
  EngineConfig config = choosing("TRTLLM_RAGGED", true);
  const auto explain = [&] {
    return explain_prefill_query_data_type(config, bf16, make_env(engine, b200));
  };
  EXPECT_TRUE(explain().payoff);
  config.index_topk = 2048;
  EXPECT_TRUE(is_fp8(explain().data_type));
  EXPECT_FALSE(explain().payoff);
}

TEST(Payoff, NotOfOtherHeadDimensions) {
  EngineConfig config = choosing("TRTLLM_RAGGED", true);
  config.mla_dimensions = {192, 64, 256};
  const auto explanation =
      explain_prefill_query_data_type(config, bf16, make_env(vllm_engine(), b200));
  EXPECT_TRUE(is_fp8(explanation.data_type));
  EXPECT_FALSE(explanation.payoff);
}

// An engine that has measured is not contradicted.
TEST(Payoff, NotBesideAPredictionOfTheEngine) {
  Environment env = make_env(vllm_engine(), b200);
  env.predict_prefill_speedup = [](const EngineConfig&, std::int64_t) { return 1.5; };
  for (const bool flag : {false, true}) {
    EngineConfig config = choosing("TRTLLM_RAGGED", flag);
    config.attention_config.expected_isl = 4096;
    EXPECT_FALSE(explain_prefill_query_data_type(config, bf16, env).payoff);
    for (const Record& record : records(config, env)) {
      EXPECT_THAT(record.text, Not(HasSubstr("On this device")));
    }
  }
}

TEST(Payoff, NotOfAnotherKvCache) {
  for (const bool flag : {false, true}) {
    EngineConfig config = choosing("TRTLLM_RAGGED", flag);
    config.cache_config.cache_dtype = "auto";
    const Environment env = make_env(vllm_engine(), b200);
    EXPECT_FALSE(explain_prefill_query_data_type(config, bf16, env).payoff);
  }
}

TEST(Payoff, IsLoggedByAllDoorsAlike) {
  const EngineConfig config = choosing("TRTLLM_RAGGED", true);
  Environment env = make_env(vllm_engine(), b200);
  const auto expected = records(config, env);
  const auto logged_by = [&](auto log_it) {
    RecordingLog recording;
    env.log = recording.log;
    log_it();
    return recording.records();
  };
  EXPECT_EQ(logged_by([&] {
              log_prefill_query(evaluate_prefill_query(config, bf16, env), config, bf16, env);
            }),
            expected);
  EngineConfig quiet = config;
  quiet.cache_config.kv_scales = KvScales::calibrated;
  const auto decode = make_decode_environment(cuda(10, 0), "FLASHINFER_MLA");
  EXPECT_EQ(logged_by([&] {
              log_attention_plan(plan_attention_data_types(quiet, bf16, env, decode), env);
            }),
            expected);
}

// A decision as a value is of the backend that ran: not of one that would need the flag.
TEST(Payoff, OfADecisionIsThatOfItsBackend) {
  PrefillBackend by_kv_cache;
  by_kv_cache.name = "trtllm_mla";
  by_kv_cache.fp8_queries = Fp8Queries::by_kv_cache;
  by_kv_cache.fp8_kv_cache_dtypes = {"fp8"};
  PrefillBackend required = by_kv_cache;
  required.name = "TRTLLM_RAGGED";
  required.fp8_queries = Fp8Queries::required;
  Environment env = make_environment(cuda(10, 0), {required, by_kv_cache});
  env.device_name = b200;
  const EngineConfig config = make_config("fp8", false);
  const auto all = records(evaluate_prefill_query(config, bf16, env), config, bf16, env);
  ASSERT_THAT(all, ::testing::SizeIs(2));
  EXPECT_THAT(all[1].text, HasSubstr("FP8 prefill with trtllm_mla"));
}

// ... also where an engine took the decision by hand, for a configuration without the flag.
TEST(Payoff, OfADecisionMadeByHand) {
  Environment env = make_environment(cuda(10, 0), vllm_prefill_backends());
  env.device_name = b200;
  PrefillQueryDecision decision;
  decision.data_type = env.fp8_data_type;
  decision.outcome = PrefillQueryOutcome::quantized;
  decision.facts = {true, true, true};
  const auto all = records(decision, make_config("fp8", false), bf16, env);
  ASSERT_THAT(all, ::testing::SizeIs(2));
  EXPECT_THAT(all[1].text, HasSubstr("FP8 prefill with TRTLLM_RAGGED"));
}

// Of two devices in one process each has its own.
TEST(Payoff, OfTwoDevicesIsSaidOfEach) {
  RecordingLog recording;
  const auto log = recording.log;
  for (const char* device : {"B200", "GB200"}) {
    Environment env = make_env(vllm_engine(), device);
    env.log = log;
    determine_prefill_query_data_type(choosing("TRTLLM_RAGGED", true), bf16, env);
  }
  EXPECT_THAT(recording.records(), ::testing::SizeIs(3));
}

}  // namespace
}  // namespace mla_dtype
