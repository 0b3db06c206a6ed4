// SPDX-License-Identifier: Apache-2.0

// Without this a plan, or the exception in its place, could advise what the plan then refuses, or
// what brings no FP8 prefill queries, for any pair of backends, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/kv_cache.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/backend_names.h"
#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/follow.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using testing::follow;
using ::testing::IsEmpty;
using testing::make_config;
using testing::make_platform;

// One device with one table of backends.
struct Engine {
  Environment env;
  DecodeEnvironment decode;

  AttentionPlan plan(const EngineConfig& config, DataType model_dtype) const {
    return plan_attention_data_types(config, model_dtype, env, decode);
  }
  // Nothing where no kernel can run whatever prefill does.
  std::optional<PrefillQueryExplanation> explanation(const EngineConfig& config,
                                                     DataType model_dtype) const {
    try {
      return plan(config, model_dtype).prefill;
    } catch (const PrefillQueryRefused& refused) {
      return refused.explanation();
    } catch (const AttentionPlanRefused&) {
      return std::nullopt;
    }
  }
};

Engine make_engine(const std::string& device, const std::vector<PrefillBackend>& prefill_backends,
                   const std::string& decode_backend) {
  const Platform platform = make_platform(device);
  return {make_environment(platform, prefill_backends),
          make_decode_environment(platform, decode_backend)};
}

// The number of remedies.
int check(const Engine& engine, const EngineConfig& config, DataType model_dtype) {
  const auto explanation = engine.explanation(config, model_dtype);
  if (!explanation) return 0;
  for (const Remedy& remedy : explanation->remedies) {
    SCOPED_TRACE(remedy.spelling);
    try {
      const auto plan = engine.plan(follow(config, remedy), model_dtype);
      EXPECT_TRUE(is_fp8(plan.prefill_query.data_type));
      EXPECT_EQ(plan.prefill.outcome, PrefillQueryOutcome::quantized);
    } catch (const std::runtime_error& refused) {
      ADD_FAILURE() << refused.what();
    }
  }
  EXPECT_TRUE(explanation->remedies.empty() || explanation->nothing_helps.empty());
  return static_cast<int>(explanation->remedies.size());
}

// vLLM's, and one whose FP8 prefill runs on more devices.
std::vector<PrefillBackend> both_engines() {
  std::vector<PrefillBackend> backends = vllm_prefill_backends();
  backends.push_back(tensorrt_llm_prefill_backends().front());
  return backends;
}

class PlanRemedies : public ::testing::TestWithParam<const char*> {};

TEST_P(PlanRemedies, EachGivesAPlanWithFp8PrefillQueries) {
  int remedies = 0;
  for (const auto& backends : {vllm_prefill_backends(), both_engines()}) {
    std::vector<std::string> choices = testing::names(backends);
    choices.emplace_back();
    for (const DecodeBackend& decode : vllm_decode_backends()) {
      if (decode.sparse) continue;
      const Engine engine = make_engine(GetParam(), backends, decode.name);
      for (const KvCacheFormat& format : kv_cache_formats()) {
        for (const std::string& choice : choices) {
          for (const KvScales scales : {KvScales::unit, KvScales::calibrated}) {
            for (const char* quant_algo : {"", "FP8"}) {
              // Scales matter to CUTLASS_MLA alone, and the checkpoint to auto.
              if (scales == KvScales::unit && !decode.needs_unit_scales) continue;
              if (*quant_algo != '\0' && format.name != "auto") continue;
              EngineConfig config = make_config(std::string(format.name), false);
              config.cache_config.kv_scales = scales;
              config.cache_config.checkpoint_kv_cache_quant_algo = quant_algo;
              config.attention_config.mla_prefill_backend = choice;
              EngineConfig requested = config;
              requested.attention_config.use_prefill_query_quantization = true;
              EngineConfig required = config;
              required.attention_config.prefill_query_mode = PrefillQueryMode::required;
              SCOPED_TRACE(decode.name + ' ' + std::string(format.name) + ' ' + choice + ' ' +
                           quant_algo);
              for (const EngineConfig& asked : {config, requested, required}) {
                for (const DataType model_dtype : {bf16, DataType::float16}) {
                  remedies += check(engine, asked, model_dtype);
                }
              }
              if (HasFailure()) return;  // one is enough to read
            }
          }
        }
      }
    }
  }
  const bool has_fp8 = std::string(GetParam()) != "8.0" && std::string(GetParam()) != "gfx942";
  EXPECT_EQ(remedies > 0, has_fp8) << remedies;
}

INSTANTIATE_TEST_SUITE_P(Device, PlanRemedies,
                         ::testing::Values("8.0", "9.0", "10.0", "12.0", "gfx942"),
                         [](const auto& device) {
                           std::string name = device.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(PlanRemedies, AKvCacheThatDecodeDoesNotReadIsNotLeft) {
  for (const char* device : {"9.0", "10.0"}) {
    const Engine engine = make_engine(device, both_engines(), "FLASH_ATTN_MLA");
    EngineConfig config = make_config("fp8", false);
    config.attention_config.prefill_query_mode = PrefillQueryMode::required;
    config.attention_config.mla_prefill_backend = "FLASH_ATTN";
    const auto refused = engine.explanation(config, bf16);
    ASSERT_TRUE(refused);
    EXPECT_THAT(refused->remedies, IsEmpty()) << "FLASH_ATTN_MLA reads no FP8 KV cache";
    EXPECT_EQ(refused->hint, "") << "nor is another backend, with the same KV cache";
    EXPECT_EQ(refused->nothing_helps,
              "No prefill setting helps: the decode backend reads no KV cache that FP8 prefill "
              "attention reads.");
  }
  // Where it reads another one, that is advised.
  const Engine engine = make_engine("10.0", both_engines(), "FLASHINFER_MLA");
  EngineConfig config = make_config("fp8_ds_mla", false);
  config.attention_config.prefill_query_mode = PrefillQueryMode::required;
  const auto refused = engine.explanation(config, bf16);
  ASSERT_TRUE(refused);
  ASSERT_FALSE(refused->remedies.empty());
  EXPECT_EQ(refused->remedies[0].cache_dtype, "fp8");
}

// A checkpoint leaves the spelling open; an operator's is what it is.
TEST(PlanRemedies, AreSpelledAsTheDecodeBackendListsThem) {
  DecodeBackend listed;
  listed.name = "MINE";
  listed.pairs = {{DecodeQueries::model, {"nvfp4"}}, {DecodeQueries::fp8, {"fp8_e4m3"}}};
  const Engine engine = {make_environment(cuda(10, 0), "TRTLLM_RAGGED"),
                         make_decode_environment(cuda(10, 0), listed)};
  EngineConfig config = make_config("auto", true);
  config.cache_config.checkpoint_kv_cache_quant_algo = "NVFP4";
  const auto explanation = engine.explanation(config, bf16);
  ASSERT_TRUE(explanation && !explanation->remedies.empty());
  EXPECT_EQ(explanation->remedies[0].cache_dtype, "fp8_e4m3");
  EXPECT_EQ(check(engine, config, bf16), 1);
}

}  // namespace
}  // namespace mla_dtype
