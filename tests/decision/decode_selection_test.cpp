// SPDX-License-Identifier: Apache-2.0

// Without this a plan could be made with another decode backend than the engine's, or with one
// whose kernels do not take this model, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/attention_plan.h>

#include <string>
#include <string_view>
#include <vector>

#include "support/backend_names.h"
#include "support/engine_config.h"
#include "support/engine_on_device.h"
#include "support/expect_invalid.h"
#include "support/plan_question.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::EngineOnDevice;
using testing::expect_invalid;
using testing::expect_refused;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kinds;
using testing::make_config;
using ::testing::StartsWith;

DecodeBackendSelection select_on(const EngineConfig& config, const std::string& device,
                                 const std::string& named = "",
                                 DataType model_dtype = DataType::bfloat16) {
  return EngineOnDevice(vllm_engine(), device, named, model_dtype).select(config);
}

std::vector<BlockerKind> blockers_on(const EngineConfig& config, const std::string& device,
                                     const std::string& named,
                                     DataType model_dtype = DataType::bfloat16) {
  const auto selection = select_on(config, device, named, model_dtype);
  return selection.rejected.empty() ? std::vector<BlockerKind>()
                                    : kinds(selection.rejected[0].blockers);
}

TEST(DecodeSelection, IsVllmsOrder) {
  const auto name = [](const char* device, const char* cache_dtype) {
    return select_on(make_config(cache_dtype, false), device).name;
  };
  EXPECT_EQ(name("10.0", "auto"), "FLASHINFER_MLA");
  EXPECT_EQ(name("10.3", "fp8"), "FLASHINFER_MLA");
  EXPECT_EQ(name("9.0", "auto"), "FLASH_ATTN_MLA");
  EXPECT_EQ(name("9.0", "fp8"), "FLASHMLA");
  EXPECT_EQ(name("12.0", "fp8"), "TRITON_MLA");
  EXPECT_EQ(name("8.0", "auto"), "TRITON_MLA");
  EXPECT_EQ(name("8.0", "fp8"), "") << "vllm#47060: FP8 from 8.9 on";
  EXPECT_EQ(name("gfx942", "fp8"), "ROCM_AITER_MLA");
  EXPECT_EQ(name("none", "auto"), "");
}

TEST(DecodeSelection, SaysWhyOthersWerePassedOver) {
  const auto selection = select_on(make_config("fp8", false), "9.0");
  EXPECT_EQ(selection.queries, DecodeQueries::fp8);
  ASSERT_EQ(selection.rejected.size(), 5U);
  EXPECT_EQ(selection.rejected[4].name, "FLASH_ATTN_MLA");
  EXPECT_THAT(kinds(selection.rejected[4].blockers), ElementsAre(BlockerKind::kv_cache_format));
  EXPECT_THAT(selection.rejected[0].blockers[0].sentence,
              HasSubstr("It runs only on gfx90a to gfx950."));
}

TEST(DecodeSelection, APlanNeedsNoNamedBackend) {
  const auto plan = plan_attention_data_types(make_config("fp8", false), DataType::bfloat16,
                                              make_environment(cuda(9, 0), vllm_engine()),
                                              make_decode_environment(cuda(9, 0), vllm_engine()));
  EXPECT_EQ(plan.decode_backend, "FLASHMLA");
  EXPECT_EQ(plan.decode_query.data_type, DataType::float8_e4m3fn);
}

TEST(DecodeSelection, FlashinferMlaRunsOnCapability10Alone_vllm32732) {
  for (const char* device : {"9.0", "12.0", "12.1", "11.0"}) {
    EXPECT_THAT(blockers_on(make_config("fp8", false), device, "FLASHINFER_MLA"),
                ElementsAre(BlockerKind::backend_device));
  }
}

TEST(DecodeSelection, TritonReadsFp8FromCapability89On_vllm47060) {
  EXPECT_THAT(blockers_on(make_config("fp8", false), "8.6", "TRITON_MLA"),
              ElementsAre(BlockerKind::kv_cache_format));
  EXPECT_THAT(blockers_on(make_config("auto", false), "8.6", "TRITON_MLA"), IsEmpty());
  EXPECT_THAT(blockers_on(make_config("auto", false), "7.5", "TRITON_MLA"),
              ElementsAre(BlockerKind::backend_device));
  EXPECT_THAT(blockers_on(make_config("auto", false), "9.0", "TRITON_MLA", DataType::float32),
              ElementsAre(BlockerKind::model_dtype));
}

// Up to 128 heads of a rank are padded; more have to be a multiple of 16.
TEST(DecodeSelection, AiterTakesMostNumbersOfHeads_vllm35850_vllm50817) {
  for (const int heads : {1, 4, 8, 12, 16, 20, 127, 128, 144, 256}) {
    EngineConfig config = make_config("fp8", false);
    config.num_attention_heads = heads;
    EXPECT_THAT(blockers_on(config, "gfx942", "ROCM_AITER_MLA"), IsEmpty()) << heads;
  }
  EngineConfig config = make_config("fp8", false);
  config.num_attention_heads = 130;
  EXPECT_THAT(blockers_on(config, "gfx942", "ROCM_AITER_MLA"),
              ElementsAre(BlockerKind::head_count));
  EXPECT_EQ(select_on(config, "gfx942").name, "TRITON_MLA");
  EXPECT_EQ(select_on(config, "gfx942", "ROCM_AITER_MLA").rejected[0].blockers[0].sentence,
            "Decode backend ROCM_AITER_MLA does not take 130 heads.");
  // Of 65 heads on each of two ranks that share their KV cache, too.
  config.num_attention_heads = 65;
  config.parallel_config.decode_context_parallel_size = 2;
  EXPECT_THAT(blockers_on(config, "gfx942", "ROCM_AITER_MLA"),
              ElementsAre(BlockerKind::head_count));
}

TEST(DecodeSelection, DimensionsAndLatent) {
  const auto with = [](const MlaDimensions& dimensions, int kv_lora_rank) {
    EngineConfig config = make_config("fp8", false);
    config.mla_dimensions = dimensions;
    config.kv_lora_rank = kv_lora_rank;
    return config;
  };
  const auto takes = [](const EngineConfig& config, const char* backend, const char* device) {
    return blockers_on(config, device, backend).empty();
  };
  const EngineConfig glm = with({192, 64, 256}, 512);
  EXPECT_TRUE(takes(glm, "FLASHINFER_MLA", "10.0"));
  EXPECT_FALSE(takes(glm, "TOKENSPEED_MLA", "10.0"));
  const EngineConfig small = with({64, 32, 64}, 256);  // a latent of 288
  for (const char* backend : {"FLASHINFER_MLA", "TOKENSPEED_MLA", "CUTLASS_MLA"}) {
    EXPECT_FALSE(takes(small, backend, "10.0")) << backend;
  }
  EXPECT_TRUE(takes(small, "TRITON_MLA", "10.0"));
  const EngineConfig latent_320 = with({64, 64, 128}, 256);
  EXPECT_TRUE(takes(latent_320, "FLASHINFER_MLA", "10.0"));
  EXPECT_FALSE(takes(latent_320, "FLASHMLA", "9.0")) << "FlashMLA#78";
  EXPECT_THAT(select_on(latent_320, "9.0", "FLASHMLA").rejected[0].blockers[0].sentence,
              HasSubstr("a latent of 320 elements (kv_lora_rank and qk_rope_head_dim), only 576."));
}

TEST(DecodeSelection, CutlassTakes128Heads) {
  EngineConfig config = make_config("auto", false);
  EXPECT_THAT(blockers_on(config, "10.0", "CUTLASS_MLA"), IsEmpty());
  config.num_attention_heads = 129;
  EXPECT_THAT(blockers_on(config, "10.0", "CUTLASS_MLA"), ElementsAre(BlockerKind::head_count));
}

TEST(DecodeSelection, WhatIsNotInstalledIsPassedOver) {
  const auto decode =
      make_decode_environment(cuda(10, 0), vllm_engine(), [](std::string_view name) -> Support {
        if (name == "FLASHINFER_MLA") return {false, "No FlashInfer."};
        return true;
      });
  const auto selection =
      select_decode_backend(make_config("fp8", false), DataType::bfloat16,
                            make_environment(cuda(10, 0), vllm_engine()), decode);
  EXPECT_EQ(selection.name, "TOKENSPEED_MLA");
  ASSERT_EQ(selection.rejected.size(), 2U);
  EXPECT_EQ(selection.rejected[1].blockers[0].sentence,
            "Decode backend FLASHINFER_MLA is not available: No FlashInfer.");
}

// Without a table of prefill backends, too, and the operator's other settings stay.
TEST(DecodeSelection, AnotherBackendIsAdvised) {
  EngineProfile engine = vllm_engine();
  engine.spellings.decode_backend = R"(--attention-config '{"backend": "%"}')";
  Environment own;
  own.spellings = engine.spellings;
  own.backend_supports_prefill_query_quantization = [](const EngineConfig&, DataType) -> Support {
    return true;
  };
  for (const Environment& env : {make_environment(cuda(10, 0), engine), own}) {
    EngineConfig config = make_config("auto", true);
    const auto decode = make_decode_environment(cuda(10, 0), engine, nullptr, "TOKENSPEED_MLA");
    try {
      static_cast<void>(plan_attention_data_types(config, DataType::bfloat16, env, decode));
      FAIL() << "nothing was thrown";
    } catch (const AttentionPlanRefused& refused) {
      ASSERT_FALSE(refused.remedies().empty());
      EXPECT_EQ(refused.remedies()[0].decode_backend, "FLASHINFER_MLA");
      EXPECT_EQ(refused.remedies()[0].spelling,
                "--attention-config '{\"use_prefill_query_quantization\": true, \"backend\": "
                "\"FLASHINFER_MLA\"}'");
    }
  }
  // What keeps the decode backend says so, where one option sets both.
  EngineConfig config = make_config("fp8", true);
  const auto plan = plan_attention_data_types(
      config, DataType::bfloat16, make_environment(cuda(10, 0), engine),
      make_decode_environment(cuda(10, 0), engine, nullptr, "CUTLASS_MLA"));
  EXPECT_THAT(plan.prefill.remedies.at(0).spelling, HasSubstr("\"backend\": \"CUTLASS_MLA\""));
}

TEST(DecodeSelection, BadInputIsRefused) {
  EngineProfile twice;
  twice.decode_backends = {vllm_engine().decode_backends[0], vllm_engine().decode_backends[0]};
  expect_invalid([&] { return make_decode_environment(cuda(9, 0), twice); },
                 StartsWith("decode backends: \"ROCM_AITER_MLA\" twice"));
  twice.decode_backends.pop_back();
  twice.decode_backends[0].pairs[0].heads.multiple_of = -1;
  expect_invalid([&] { return make_decode_environment(cuda(9, 0), twice); },
                 StartsWith("decode backend ROCM_AITER_MLA, heads.multiple_of: -1"));
  EngineConfig config = make_config("fp8", false);
  Environment wrong = make_environment(cuda(10, 0), vllm_engine());
  wrong.is_quantized_kv_cache = [](std::string_view) { return false; };
  expect_invalid(
      [&] {
        return select_decode_backend(config, DataType::bfloat16, wrong,
                                     make_decode_environment(cuda(10, 0), vllm_engine()));
      },
      StartsWith("is_quantized_kv_cache: "));
  EngineProfile empty;
  expect_invalid([&] { return make_decode_environment(cuda(9, 0), empty); },
                 StartsWith("decode backends: none"));
  expect_invalid([] { return make_decode_environment(cuda(9, 0), vllm_engine(), nullptr, "X"); },
                 StartsWith("decode_backend: \"X\""));
  DecodeEnvironment own;
  own.decode_backend_supports_quantized_query = [](const EngineConfig&, DataType) -> Support {
    return true;
  };
  expect_invalid(
      [&] {
        return select_decode_backend({}, DataType::bfloat16,
                                     make_environment(cuda(9, 0), vllm_engine()), own);
      },
      StartsWith("decode_backend_supports_quantized_query: "));
  DecodeBackend row;
  row.name = "X";
  row.pairs = {DecodePair{}};
  row.pairs[0].stored_as = "fp9";
  expect_invalid([&] { return make_decode_environment(cuda(9, 0), row); },
                 StartsWith("decode backend X, stored_as: \"fp9\""));
  expect_invalid(
      [] {
        EngineConfig negative;
        negative.index_topk = -1;
        return select_on(negative, "9.0");
      },
      StartsWith("index_topk: -1"));
}

}  // namespace
}  // namespace mla_dtype
