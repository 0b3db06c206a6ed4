// SPDX-License-Identifier: Apache-2.0

// Without this another prefill backend could be selected than the reference does or the request
// needs, or a choice of the operator's be changed, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/prefill_backend.h>
#include <mla_dtype/prefill_query.h>

#include <string>
#include <string_view>

#include "support/backend_names.h"
#include "support/dimensions.h"
#include "support/engine_config.h"
#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

using testing::deepseek;
using ::testing::ElementsAre;
using testing::expect_invalid;
using ::testing::IsEmpty;
using testing::kinds;
using testing::make_config;
using testing::make_platform;
using testing::names;
using testing::odd;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::wide;

PrefillBackendSelection select(const std::string& device, bool requested,
                               const MlaDimensions& dimensions = deepseek,
                               const std::string& cache_dtype = "fp8") {
  EngineConfig config = make_config(cache_dtype, requested);
  config.mla_dimensions = dimensions;
  return select_prefill_backend(config, DataType::bfloat16, make_platform(device));
}

TEST(SelectPrefillBackend, FollowsTheReferenceWhileFp8IsNotRequested) {
  for (const std::string device : testing::all_devices) {
    const bool family_10 = device.substr(0, 3) == "10.";
    const bool aiter = device == "gfx942" || device == "gfx950";
    const bool unknown = device == "13.0" || device == "gfx1201" || device == "none";
    const std::string usual = unknown ? "" : aiter ? "ROCM_AITER_FA" : "FLASH_ATTN";
    EXPECT_EQ(select(device, false).name, usual) << device;
    EXPECT_EQ(select(device, false, odd).name, usual) << device;
    EXPECT_EQ(select(device, false, wide).name, family_10 ? "TRTLLM_RAGGED" : usual) << device;
  }
}

// vllm#50181: the backend must not be chosen without a look at the flag.
TEST(SelectPrefillBackend, TakesTheFirstThatCanDoWhatIsRequested_vllm50181) {
  for (const std::string device : testing::all_devices) {
    const bool family_10 = device.substr(0, 3) == "10.";
    for (const auto& dimensions : {deepseek, wide, odd}) {
      for (const std::string cache_dtype : {"fp8", "fp8_e4m3", "auto", "nvfp4", "fp8_ds_mla"}) {
        const bool plain_fp8 = cache_dtype == "fp8" || cache_dtype == "fp8_e4m3";
        const bool possible = family_10 && dimensions != odd && plain_fp8;
        const auto selection = select(device, true, dimensions, cache_dtype);
        EXPECT_EQ(selection.takes_fp8_queries, possible) << device << cache_dtype;
        EXPECT_EQ(selection.name,
                  possible ? "TRTLLM_RAGGED" : select(device, false, dimensions, cache_dtype).name);
      }
    }
  }
}

TEST(SelectPrefillBackend, NamesWhatItPassedOverAndWhy) {
  const auto selection = select("10.3", true);
  ASSERT_THAT(names(selection.rejected), ElementsAre("ROCM_AITER_FA", "FLASH_ATTN"));
  EXPECT_THAT(kinds(selection.rejected[0].blockers), ElementsAre(BlockerKind::backend_device));
  EXPECT_EQ(selection.rejected[0].blockers[0].value, "sm_103");
  EXPECT_EQ(selection.rejected[0].blockers[0].sentence,
            "Prefill backend ROCM_AITER_FA does not run on this device (sm_103), only on gfx942 "
            "and gfx950.");
  EXPECT_THAT(kinds(selection.rejected[1].blockers), ElementsAre(BlockerKind::backend_without_fp8));
  EXPECT_EQ(selection.rejected[1].blockers[0].value, "FLASH_ATTN");
  EXPECT_EQ(selection.hint, "");
}

TEST(SelectPrefillBackend, WhereNoneCanRunAllAreRejected) {
  const auto selection =
      select_prefill_backend(make_config("fp8", true), DataType::float32, cuda(10, 0));
  EXPECT_EQ(selection.name, "");
  EXPECT_FALSE(selection.takes_fp8_queries);
  EXPECT_THAT(selection.rejected, SizeIs(5));
  EXPECT_THAT(selection.rejected[2].blockers[0].sentence,
              "Prefill backend TRTLLM_RAGGED does not take float32 models.");
  EXPECT_EQ(selection.rejected[2].blockers[0].value, "float32");
}

PrefillBackendSelection choose(const std::string& backend, const std::string& device,
                               bool requested, const MlaDimensions& dimensions = deepseek) {
  EngineConfig config = make_config("fp8", requested);
  config.attention_config.mla_prefill_backend = backend;
  config.mla_dimensions = dimensions;
  return select_prefill_backend(config, DataType::bfloat16, make_platform(device));
}

TEST(SelectPrefillBackend, HonoursTheOperatorsChoice) {
  for (const bool requested : {false, true}) {
    for (const std::string name : {"FLASH_ATTN", "FLASHINFER", "TOKENSPEED_MLA"}) {
      const auto selection = choose(name, "10.0", requested);
      EXPECT_EQ(selection.name, name);
      EXPECT_EQ(selection.takes_fp8_queries, name != "FLASH_ATTN");
      EXPECT_THAT(selection.rejected, IsEmpty());
    }
  }
}

TEST(SelectPrefillBackend, RefusesAChoiceThatCannotRunWithAllReasons) {
  const auto selection = choose("FLASHINFER", "12.0", true, wide);
  EXPECT_EQ(selection.name, "");
  ASSERT_THAT(names(selection.rejected), ElementsAre("FLASHINFER"));
  const auto& blockers = selection.rejected[0].blockers;
  ASSERT_THAT(kinds(blockers), ElementsAre(BlockerKind::backend_device, BlockerKind::dimensions));
  EXPECT_EQ(blockers[0].sentence,
            "Prefill backend FLASHINFER does not run on this device (sm_120), only on CUDA "
            "capability 10.x.");
  EXPECT_EQ(blockers[1].value, "(192, 64, 256)");
  EXPECT_EQ(blockers[1].sentence,
            "Prefill backend FLASHINFER does not take the head dimensions (qk_nope, qk_rope, v) "
            "(192, 64, 256), only (128, 64, 128).");
}

// FA4 is the default on Blackwell, and who leaves it at that never hears of FP8 prefill.
TEST(SelectPrefillBackend, TellsThatAnotherBackendCould) {
  EXPECT_EQ(select("10.0", false).hint,
            "Prefill backend FLASH_ATTN does not take FP8 queries here, but TRTLLM_RAGGED does: "
            "turn use_prefill_query_quantization on to have it selected.");
  const std::string other =
      "Prefill backend FLASH_ATTN does not take FP8 queries here, but TRTLLM_RAGGED does: choose "
      "it, or leave the choice open";
  EXPECT_EQ(choose("FLASH_ATTN", "10.0", true).hint, other + '.');
  EXPECT_EQ(choose("FLASH_ATTN", "10.0", false).hint,
            other + "; and turn use_prefill_query_quantization on.");
  EXPECT_THAT(choose("FLASHINFER", "10.0", true, wide).hint,
              StartsWith("Prefill backend FLASHINFER does not take FP8 queries here, but "
                         "TRTLLM_RAGGED does: "));
  EXPECT_EQ(select("10.0", false, odd).hint, "");
  EXPECT_EQ(select("10.0", false, deepseek, "auto").hint, "");
  EXPECT_EQ(select("9.0", false).hint, "");
  EXPECT_EQ(choose("FLASHINFER", "10.0", false).hint, "");
}

TEST(SelectPrefillBackend, AutoIsTheCheckpointsDtype) {
  EngineConfig config = make_config("auto", true);
  EXPECT_EQ(select_prefill_backend(config, DataType::bfloat16, cuda(10, 0)).name, "FLASH_ATTN");
  config.cache_config.checkpoint_kv_cache_quant_algo = "FP8";
  EXPECT_EQ(select_prefill_backend(config, DataType::bfloat16, cuda(10, 0)).name, "TRTLLM_RAGGED");
}

// Where FP8 queries are requested in vain, each backend that could not take them is named.
TEST(SelectPrefillBackend, SaysOfEachWhyARequestWasInVain) {
  const auto selection = select("10.0", true, deepseek, "int8_per_token_head");
  EXPECT_EQ(selection.name, "FLASH_ATTN");
  ASSERT_THAT(names(selection.rejected),
              ElementsAre("ROCM_AITER_FA", "TRTLLM_RAGGED", "FLASHINFER", "TOKENSPEED_MLA"));
  EXPECT_THAT(kinds(selection.rejected[1].blockers), ElementsAre(BlockerKind::kv_cache_format));
  EXPECT_THAT(kinds(select("10.0", true, deepseek, "auto").rejected[1].blockers),
              ElementsAre(BlockerKind::kv_cache_not_quantized));
  EXPECT_THAT(kinds(select("10.0", true, odd).rejected[1].blockers),
              ElementsAre(BlockerKind::dimensions));
  EXPECT_THAT(names(select("10.0", false, odd).rejected), ElementsAre("ROCM_AITER_FA"));
}

TEST(SelectPrefillBackend, WithoutWhatIsRequiredNoneIsSelected) {
  EngineConfig config = make_config("fp8", false);
  config.attention_config.prefill_query_mode = PrefillQueryMode::required;
  EXPECT_EQ(select_prefill_backend(config, DataType::bfloat16, cuda(10, 0)).name, "TRTLLM_RAGGED");
  const auto on_hopper = select_prefill_backend(config, DataType::bfloat16, cuda(9, 0));
  EXPECT_EQ(on_hopper.name, "");
  EXPECT_THAT(on_hopper.rejected, SizeIs(5));
  config.attention_config.mla_prefill_backend = "FLASH_ATTN";
  const auto chosen = select_prefill_backend(config, DataType::bfloat16, cuda(10, 0));
  EXPECT_EQ(chosen.name, "");
  ASSERT_THAT(chosen.rejected, SizeIs(1));
  EXPECT_THAT(kinds(chosen.rejected[0].blockers), ElementsAre(BlockerKind::backend_without_fp8));
}

TEST(SelectPrefillBackend, WithAnEnvironment) {
  int available_asked = 0;
  Environment env =
      make_environment(cuda(10, 0), vllm_prefill_backends(), [&](std::string_view name) -> Support {
        ++available_asked;
        return name != "TRTLLM_RAGGED";
      });
  EngineConfig config = make_config("fp8", true);
  auto selection = select_prefill_backend(config, DataType::bfloat16, env);
  EXPECT_EQ(selection.name, "FLASHINFER");
  EXPECT_EQ(available_asked, 5);
  config.attention_config.mla_prefill_backend = "FLASH_ATTN";
  EXPECT_EQ(select_prefill_backend(config, DataType::bfloat16, env).name, "FLASH_ATTN");
  EXPECT_EQ(select_prefill_backend(make_config("fp8", true), DataType::bfloat16,
                                   make_environment(cuda(10, 0), "TOKENSPEED_MLA"))
                .chosen,
            "TOKENSPEED_MLA");
  env.backend_supports_prefill_query_quantization = [](const EngineConfig&, DataType) -> Support {
    return true;
  };
  expect_invalid([&] { return select_prefill_backend(config, DataType::bfloat16, env); },
                 StartsWith("backend_supports_prefill_query_quantization: "));
}

}  // namespace
}  // namespace mla_dtype
