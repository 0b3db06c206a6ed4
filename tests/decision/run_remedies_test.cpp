// SPDX-License-Identifier: Apache-2.0

// Without this a refused plan could advise what is refused, too, or more than is needed, or be
// silent where something helps, for any engine and model, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>
#include <mla_dtype/kv_cache.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "support/backend_names.h"
#include "support/engine_config.h"
#include "support/engine_on_device.h"
#include "support/follow.h"

namespace mla_dtype {
namespace {

using testing::EngineOnDevice;
using testing::follow;
using testing::make_config;
using testing::make_platform;

// The remedies of a plan that is refused; nothing where it is not.
std::optional<std::vector<Remedy>> remedies_of(const EngineOnDevice& world,
                                               const EngineConfig& config) {
  try {
    static_cast<void>(world.plan(config));
  } catch (const AttentionPlanRefused& refused) {
    return refused.remedies();
  }
  return std::nullopt;
}

EngineOnDevice follow_decode(const EngineOnDevice& world, const Remedy& remedy) {
  if (remedy.decode_backend.empty()) return world;
  return {world.engine, world.device, remedy.decode_backend};
}

bool runs_with(const EngineOnDevice& world, const EngineConfig& config, const Remedy& remedy) {
  return follow_decode(world, remedy).runs(follow(config, remedy));
}

std::size_t changes_in(const Remedy& remedy) {
  return std::size_t{!remedy.cache_dtype.empty()} + std::size_t{!remedy.prefill_backend.empty()} +
         std::size_t{!remedy.decode_backend.empty()};
}

bool can_be_set(const EngineProfile& engine, std::string_view cache_dtype) {
  const auto& names = engine.kv_cache_dtypes;
  return names.empty() || std::find(names.begin(), names.end(), cache_dtype) != names.end();
}

// Each alone, and with one change less.
void expect_least(const EngineOnDevice& world, const EngineConfig& config, const Remedy& remedy) {
  SCOPED_TRACE(remedy.spelling);
  EXPECT_FALSE(remedy.request) << "it is not needed to run";
  EXPECT_NE(remedy.spelling, "");
  EXPECT_TRUE(remedy.cache_dtype.empty() || can_be_set(world.engine, remedy.cache_dtype));
  EXPECT_TRUE(runs_with(world, config, remedy));
  for (std::string Remedy::*change :
       {&Remedy::cache_dtype, &Remedy::prefill_backend, &Remedy::decode_backend}) {
    if ((remedy.*change).empty()) continue;
    Remedy less = remedy;
    (less.*change).clear();
    EXPECT_FALSE(runs_with(world, config, less)) << "a change to spare";
  }
}

// Whether one change of any kind is enough.
bool helps_alone(const EngineOnDevice& world, const EngineConfig& config) {
  std::vector<Remedy> changes;
  const auto add = [&](std::string Remedy::*member, const std::string& value) {
    changes.emplace_back();
    changes.back().*member = value;
  };
  for (const KvCacheFormat& format : kv_cache_formats()) {
    if (!can_be_set(world.engine, format.name)) continue;
    add(&Remedy::cache_dtype, std::string(format.name));
  }
  for (const auto& name : testing::names(world.engine.prefill_backends)) {
    add(&Remedy::prefill_backend, name);
  }
  for (const DecodeBackend& backend : world.engine.decode_backends) {
    add(&Remedy::decode_backend, backend.name);
  }
  return std::any_of(changes.begin(), changes.end(),
                     [&](const Remedy& change) { return runs_with(world, config, change); });
}

int check_run_remedies(const EngineOnDevice& world, const EngineConfig& config) {
  const auto remedies = remedies_of(world, config);
  EXPECT_EQ(!remedies, world.runs(config)) << "what is selected is what a plan runs with";
  if (!remedies) return 0;
  std::size_t last = 0;
  std::set<std::string> effects;
  for (const Remedy& remedy : *remedies) {
    EXPECT_GE(changes_in(remedy), last) << "fewest changes first";
    last = changes_in(remedy);
    expect_least(world, config, remedy);
    const std::uint64_t effect = pack(follow_decode(world, remedy).plan(follow(config, remedy)));
    EXPECT_TRUE(effects
                    .insert(remedy.prefill_backend + ' ' + remedy.decode_backend + ' ' +
                            std::to_string(effect))
                    .second)
        << remedy.spelling << " comes to the same as another one";
  }
  const bool is_one_enough = !remedies->empty() && changes_in(remedies->front()) == 1;
  EXPECT_EQ(is_one_enough, helps_alone(world, config));
  return static_cast<int>(remedies->size());
}

class RunRemedies : public ::testing::TestWithParam<const EngineProfile*> {};

TEST_P(RunRemedies, EachLetsTheModelRun) {
  const EngineProfile& engine = *GetParam();
  int remedies = 0;
  std::vector<std::string> decode_backends = {""};
  for (const DecodeBackend& backend : engine.decode_backends) {
    decode_backends.push_back(backend.name);
  }
  for (const char* device : {"9.0", "10.0", "12.0", "gfx942"}) {
    for (const std::string& decode_backend : decode_backends) {
      {
        const EngineOnDevice world(engine, device, decode_backend);
        for (const char* cache_dtype : {"auto", "fp8_e4m3", "fp8_ds_mla"}) {
          for (const auto& [index_topk, quant_algo] :
               {std::pair(0, ""), {0, "FP8"}, {2048, ""}, {2048, "FP8"}, {2048, "NVFP4"}}) {
            for (const MlaDimensions& dimensions :
                 {MlaDimensions{192, 64, 256}, MlaDimensions{128, 0, 128}}) {
              const bool has_rope = dimensions.qk_rope_head_dim != 0;
              if (*quant_algo != '\0' && !has_rope) continue;
              EngineConfig config = make_config(cache_dtype, false);
              config.index_topk = index_topk;
              config.mla_dimensions = dimensions;
              config.cache_config.kv_scales = KvScales::calibrated;
              config.cache_config.checkpoint_kv_cache_quant_algo = quant_algo;
              SCOPED_TRACE(std::string(device) + ' ' + decode_backend + ' ' + cache_dtype + ' ' +
                           std::to_string(index_topk));
              remedies += check_run_remedies(world, config);
              if (HasFailure()) return;  // one is enough to read
            }
          }
        }
      }
    }
  }
  EXPECT_GT(remedies, 0);
}

INSTANTIATE_TEST_SUITE_P(Engine, RunRemedies,
                         ::testing::Values(&vllm_engine(), &tensorrt_llm_engine(),
                                           &sglang_engine()),
                         [](const auto& engine) {
                           std::string name = engine.param->name;
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

TEST(RemediesToRun, AllThreeAreChangedWhereTwoAreNotEnough) {
  const EngineOnDevice world(vllm_engine(), "10.0", "FLASHMLA");  // of another device
  EngineConfig config = make_config("nvfp4", false);              // which no decode backend reads
  config.attention_config.mla_prefill_backend = "ROCM_AITER_FA";  // of another device
  EXPECT_GT(check_run_remedies(world, config), 0);
  const auto remedies = remedies_of(world, config);
  ASSERT_TRUE(remedies && !remedies->empty());
  EXPECT_EQ(changes_in(remedies->front()), 3U) << remedies->front().spelling;
}

// SGLang refuses --kv-cache-dtype float16, and trtllm-serve bfloat16.
TEST(KvCacheDtypes, WhatAnEnginesOperatorsCannotSetIsNotAdvised) {
  EngineConfig config = make_config("bfloat16", false);
  config.cache_config.checkpoint_kv_cache_quant_algo = "FP8";
  config.num_attention_heads = 16;
  const auto for_sglang = remedies_of({sglang_engine(), "9.0", "fa3", DataType::float16}, config);
  ASSERT_TRUE(for_sglang);
  for (const Remedy& remedy : *for_sglang) EXPECT_NE(remedy.cache_dtype, "float16");
  config.cache_config.cache_dtype = "auto";
  config.cache_config.checkpoint_kv_cache_quant_algo = "NVFP4";
  const auto for_tensorrt_llm = remedies_of({tensorrt_llm_engine(), "10.0"}, config);
  ASSERT_TRUE(for_tensorrt_llm);
  for (const Remedy& remedy : *for_tensorrt_llm) EXPECT_EQ(remedy.cache_dtype, "fp8");
}

// SGLang's --dsa-prefill-backend takes none of those for dense models.
TEST(SparseBackends, OthersAreNotAdvised) {
  EngineConfig config = make_config("bfloat16", false);
  config.index_topk = 2048;
  config.attention_config.mla_prefill_backend = "flashmla_sparse_q8";
  const auto remedies = remedies_of({sglang_engine(), "10.3"}, config);
  ASSERT_TRUE(remedies);
  EXPECT_THAT(*remedies, ::testing::Not(::testing::IsEmpty()));
  for (const Remedy& remedy : *remedies) EXPECT_NE(remedy.prefill_backend, "trtllm_mla");
}

// And those of a plan that runs, for FP8 prefill queries: decoding has to follow them.
TEST_P(RunRemedies, EachOfAPlanGivesFp8) {
  const EngineProfile& engine = *GetParam();
  int remedies = 0;
  for (const char* device : {"8.0", "9.0", "10.0", "12.0", "gfx950"}) {
    const EngineOnDevice world(engine, device);
    for (const KvCacheFormat& format : kv_cache_formats()) {
      for (const int index_topk : {0, 2048}) {
        EngineConfig config = make_config(std::string(format.name), false);
        config.index_topk = index_topk;
        if (remedies_of(world, config)) continue;
        for (const Remedy& remedy : world.plan(config).prefill.remedies) {
          SCOPED_TRACE(std::string(device) + ' ' + std::string(format.name) + ": " +
                       remedy.spelling);
          EXPECT_TRUE(runs_with(world, config, remedy));
          EXPECT_TRUE(is_fp8(world.plan(follow(config, remedy)).prefill_query.data_type));
          ++remedies;
        }
      }
    }
  }
  EXPECT_GT(remedies, 0);
}

// The same of a decision alone, of dense and sparse models.
TEST_P(RunRemedies, EachOfADecisionGivesFp8) {
  const EngineProfile& engine = *GetParam();
  int remedies = 0;
  for (const char* device : {"8.0", "9.0", "10.0", "12.0", "gfx950"}) {
    const Environment env = make_environment(make_platform(device), engine);
    for (const KvCacheFormat& format : kv_cache_formats()) {
      for (const int index_topk : {0, 2048}) {
        for (const bool flag : {false, true}) {
          EngineConfig config = make_config(std::string(format.name), flag);
          config.index_topk = index_topk;
          if (flag) config.cache_config.checkpoint_kv_cache_quant_algo = "FP8";
          const auto explanation = explain_prefill_query_data_type(config, DataType::bfloat16, env);
          for (const Remedy& remedy : explanation.remedies) {
            SCOPED_TRACE(std::string(device) + ' ' + std::string(format.name) + ": " +
                         remedy.spelling);
            const auto followed =
                explain_prefill_query_data_type(follow(config, remedy), DataType::bfloat16, env);
            EXPECT_TRUE(is_fp8(followed.data_type));
            ++remedies;
          }
        }
      }
    }
  }
  EXPECT_GT(remedies, 0);
}

}  // namespace
}  // namespace mla_dtype
