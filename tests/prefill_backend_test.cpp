// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_backend.h>

#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "support/engine_config.h"
#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::expect_invalid;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::make_config;
using testing::make_platform;
using ::testing::SizeIs;
using ::testing::StartsWith;

// A text that should have been a reason must never count as "yes".
static_assert(std::is_convertible_v<bool, Support>);
static_assert(!std::is_convertible_v<const char*, Support>);
static_assert(!std::is_convertible_v<std::string, Support>);
static_assert(!std::is_convertible_v<std::string_view, Support>);
static_assert(!std::is_convertible_v<int, Support>);
static_assert(!std::is_convertible_v<void*, Support>);
static_assert(!std::is_constructible_v<Support, const char*>);
static_assert(!std::is_constructible_v<Support, const char*, const char*>);
static_assert(!std::is_constructible_v<Support, int>);
static_assert(!std::is_constructible_v<std::function<Support()>, const char* (*)()>);
static_assert(std::is_constructible_v<std::function<Support()>, bool (*)()>);

TEST(Support, ConvertsFromBool) {
  const auto yes = []() -> Support { return true; };
  const auto no = []() -> Support { return {false, "Not compiled in."}; };
  EXPECT_TRUE(yes().supported);
  EXPECT_EQ(yes().reason, "");
  EXPECT_FALSE(no().supported);
  EXPECT_EQ(no().reason, "Not compiled in.");
  EXPECT_FALSE(Support{}.supported);
}

const MlaDimensions deepseek = {128, 64, 128};
const MlaDimensions wide = {192, 64, 256};
const MlaDimensions odd = {64, 32, 64};

std::vector<std::string> names(const std::vector<PrefillBackend>& backends) {
  std::vector<std::string> result;
  for (const PrefillBackend& backend : backends) result.push_back(backend.name);
  return result;
}

std::vector<std::string> names(const std::vector<RejectedPrefillBackend>& rejected) {
  std::vector<std::string> result;
  for (const RejectedPrefillBackend& backend : rejected) result.push_back(backend.name);
  return result;
}

std::vector<BlockerKind> kinds(const std::vector<Blocker>& blockers) {
  std::vector<BlockerKind> result;
  for (const Blocker& blocker : blockers) result.push_back(blocker.kind);
  return result;
}

// What each engine's source says, once more and in other words.
TEST(PrefillBackends, TheTablesAreThoseOfTheEngines) {
  EXPECT_THAT(
      names(vllm_prefill_backends()),
      ElementsAre("ROCM_AITER_FA", "FLASH_ATTN", "TRTLLM_RAGGED", "FLASHINFER", "TOKENSPEED_MLA"));
  EXPECT_THAT(names(tensorrt_llm_prefill_backends()), ElementsAre("TRTLLM_FMHA"));
  const std::set<std::string> blackwell = {"10.0", "10.1", "10.3", "10.7"};
  const std::map<std::string, std::set<std::string>> fp8_devices = {
      {"TRTLLM_RAGGED", blackwell},
      {"FLASHINFER", blackwell},
      {"TOKENSPEED_MLA", blackwell},
      {"TRTLLM_FMHA", {"9.0", "10.0", "10.3", "12.0", "12.1"}},
      {"FLASH_ATTN", {}},
      {"ROCM_AITER_FA", {}}};
  for (const auto* table : {&vllm_prefill_backends(), &tensorrt_llm_prefill_backends()}) {
    for (const PrefillBackend& backend : *table) {
      for (const std::string device : testing::all_devices) {
        for (const KvCacheFormat& format : kv_cache_formats()) {
          SCOPED_TRACE(backend.name + ' ' + device + ' ' + std::string(format.name));
          EngineConfig config = make_config(std::string(format.name), true);
          config.attention_config.mla_prefill_backend = backend.name;
          const bool plain_fp8 = format.name == "fp8" || format.name == "fp8_e4m3";
          EXPECT_EQ(
              select_prefill_backend(config, DataType::bfloat16, make_platform(device), *table)
                  .takes_fp8_queries,
              plain_fp8 && fp8_devices.at(backend.name).count(device) == 1);
        }
      }
    }
  }
}

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
    const std::string usual = aiter ? "ROCM_AITER_FA" : "FLASH_ATTN";
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

// Rows of an engine's own.

PrefillBackend asm_fp8() {  // like the one that vllm#44544 proposes
  PrefillBackend backend;
  backend.name = "AITER_ASM";
  backend.devices = {rocm("gfx950")};
  backend.model_dtypes = {DataType::bfloat16};
  backend.dimensions = {deepseek};
  backend.fp8_queries = Fp8Queries::required;
  backend.fp8_kv_cache_dtypes = {"fp8", "fp8_e4m3"};
  return backend;
}

TEST(SelectPrefillBackend, ABackendThatNeedsFp8QueriesRunsOnlyWithThem) {
  auto backends = vllm_prefill_backends();
  backends.insert(backends.begin(), asm_fp8());
  const auto select_on_gfx950 = [&](const EngineConfig& config, DataType model_dtype) {
    return select_prefill_backend(config, model_dtype, rocm("gfx950"), backends);
  };
  EXPECT_EQ(select_on_gfx950(make_config("fp8", true), DataType::bfloat16).name, "AITER_ASM");
  EXPECT_EQ(select_on_gfx950(make_config("fp8", true), DataType::float16).name, "ROCM_AITER_FA");

  const auto off = select_on_gfx950(make_config("fp8", false), DataType::bfloat16);
  EXPECT_EQ(off.name, "ROCM_AITER_FA");
  ASSERT_THAT(names(off.rejected), ElementsAre("AITER_ASM"));
  EXPECT_THAT(kinds(off.rejected[0].blockers),
              ElementsAre(BlockerKind::not_requested, BlockerKind::backend_needs_fp8));
  EXPECT_EQ(off.rejected[0].blockers[1].sentence,
            "Prefill backend AITER_ASM takes only FP8 queries.");
  EXPECT_THAT(off.hint, HasSubstr("but AITER_ASM does"));

  const auto unquantized = select_on_gfx950(make_config("auto", true), DataType::bfloat16);
  EXPECT_EQ(unquantized.name, "ROCM_AITER_FA");
  EXPECT_THAT(kinds(unquantized.rejected[0].blockers),
              ElementsAre(BlockerKind::kv_cache_not_quantized, BlockerKind::backend_needs_fp8));

  EngineConfig chosen = make_config("fp8", true);
  chosen.attention_config.mla_prefill_backend = "AITER_ASM";
  EXPECT_EQ(select_on_gfx950(chosen, DataType::bfloat16).name, "AITER_ASM");

  chosen = make_config("nvfp4", false);
  chosen.attention_config.mla_prefill_backend = "AITER_ASM";
  const auto refused = select_on_gfx950(chosen, DataType::bfloat16);
  EXPECT_EQ(refused.name, "");
  EXPECT_THAT(kinds(refused.rejected[0].blockers),
              ElementsAre(BlockerKind::not_requested, BlockerKind::kv_cache_format,
                          BlockerKind::backend_needs_fp8));
}

TEST(SelectPrefillBackend, WhereOnlyFp8QueriesWouldRunTheOperatorIsToldSo) {
  EngineConfig config = make_config("fp8", false);
  const auto select_on_gfx950 = [&] {
    return select_prefill_backend(config, DataType::bfloat16, rocm("gfx950"), {asm_fp8()});
  };
  const std::string hint =
      "Prefill backend AITER_ASM takes only FP8 queries: turn use_prefill_query_quantization on.";
  EXPECT_EQ(select_on_gfx950().name, "");
  EXPECT_EQ(select_on_gfx950().hint, hint);
  config.attention_config.mla_prefill_backend = "AITER_ASM";
  EXPECT_EQ(select_on_gfx950().name, "");
  EXPECT_EQ(select_on_gfx950().chosen, "AITER_ASM");
  EXPECT_EQ(select_on_gfx950().hint, hint);
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

// A row that leaves the devices open must not bring FP8 to a device that has none.
TEST(SelectPrefillBackend, NoFp8WhereTheHardwareHasNone) {
  PrefillBackend anywhere;
  anywhere.name = "MINE";
  anywhere.fp8_queries = Fp8Queries::optional;
  anywhere.fp8_kv_cache_dtypes = {"fp8"};
  for (const std::string device : testing::all_devices) {
    const auto selection = select_prefill_backend(make_config("fp8", true), DataType::bfloat16,
                                                  make_platform(device), {anywhere});
    EXPECT_EQ(selection.name, "MINE");
    EXPECT_EQ(selection.takes_fp8_queries, fp8_data_type(make_platform(device)).has_value());
  }
  anywhere.fp8_devices = {cuda(9, 0)};
  EXPECT_FALSE(
      select_prefill_backend(make_config("fp8", true), DataType::bfloat16, cuda(10, 0), {anywhere})
          .takes_fp8_queries);
}

TEST(SelectPrefillBackend, AsksOnceWhetherABackendIsThere) {
  std::vector<std::string> asked;
  const auto is_available = [&](std::string_view name) -> Support {
    asked.emplace_back(name);
    if (name == "TRTLLM_RAGGED") return {false, "FlashInfer is not installed."};
    return name != "FLASHINFER";
  };
  const auto selection = select_prefill_backend(make_config("fp8", true), DataType::bfloat16,
                                                cuda(10, 0), vllm_prefill_backends(), is_available);
  EXPECT_EQ(asked, names(vllm_prefill_backends()));
  EXPECT_EQ(selection.name, "TOKENSPEED_MLA");
  ASSERT_THAT(selection.rejected, SizeIs(4));
  EXPECT_THAT(kinds(selection.rejected[2].blockers), ElementsAre(BlockerKind::backend_unavailable));
  EXPECT_EQ(selection.rejected[2].blockers[0].value, "TRTLLM_RAGGED");
  EXPECT_EQ(selection.rejected[2].blockers[0].sentence,
            "Prefill backend TRTLLM_RAGGED is not available: FlashInfer is not installed.");
  EXPECT_EQ(selection.rejected[3].blockers[0].sentence,
            "Prefill backend FLASHINFER is not available.");

  EXPECT_THROW(
      select_prefill_backend(
          make_config("fp8", true), DataType::bfloat16, cuda(10, 0), vllm_prefill_backends(),
          [](std::string_view) -> Support { throw std::runtime_error("no driver"); }),
      std::runtime_error);
}

TEST(SelectPrefillBackend, BadInputIsRefused) {
  const EngineConfig good = make_config("fp8", true);
  const auto refused = [](const EngineConfig& config, const std::vector<PrefillBackend>& backends,
                          const auto& expected) {
    expect_invalid(
        [&] { select_prefill_backend(config, DataType::bfloat16, cuda(10, 0), backends); },
        expected);
  };
  refused(good, {}, StartsWith("prefill backends: none is not accepted; accepted: at least one"));
  PrefillBackend row;
  row.name = "X";
  refused(good, {row, row}, StartsWith("prefill backends: \"X\" twice is not accepted"));
  for (const std::string name : {"", "A B", "A\n", "A\"", "A'", "A\\", "\xC3\xA9", "\x7F"}) {
    row.name = name;
    refused(good, {row}, StartsWith("prefill backend's name: \""));
  }
  row.name = "X";
  row.fp8_queries = Fp8Queries::optional;
  refused(good, {row}, StartsWith("prefill backend X, fp8_kv_cache_dtypes: none"));
  row.fp8_queries = static_cast<Fp8Queries>(3);
  refused(good, {row}, StartsWith("prefill backend X, fp8_queries: Fp8Queries(3)"));
  row = {};
  row.name = "X";
  row.model_dtypes = {DataType::int8};
  refused(good, {row}, StartsWith("prefill backend X, model_dtypes: \"int8\""));
  row.model_dtypes = {};
  row.head_multiple = 0;
  refused(good, {row}, StartsWith("prefill backend X, head_multiple: 0"));
  row.head_multiple = 1;
  row.dimensions = {{128, 0, 128}};
  refused(good, {row}, StartsWith("qk_rope_head_dim: 0"));
  row.dimensions = {};
  row.preferred_dimensions = {{128, 64, -1}};
  refused(good, {row}, StartsWith("v_head_dim: -1"));
  row.preferred_dimensions = {};
  row.fp8_kv_cache_dtypes = {"fp8"};
  refused(good, {row}, StartsWith("prefill backend X, fp8_kv_cache_dtypes: some"));
  row.fp8_kv_cache_dtypes = {};
  row.fp8_devices = {cuda(10, 0)};
  refused(good, {row}, StartsWith("prefill backend X, fp8_devices: sm_100"));
  row.fp8_queries = Fp8Queries::optional;
  for (const char* name : {"", "auto", "bfloat16"}) {
    row.fp8_kv_cache_dtypes = {"fp8", name};
    refused(good, {row}, StartsWith("prefill backend X, fp8_kv_cache_dtypes: \""));
  }
  row.fp8_kv_cache_dtypes = {"fp8"};
  row.devices = {cuda_family(9), cuda(10, 3)};
  refused(good, {row},
          AllOf(StartsWith("prefill backend X, fp8_devices: sm_100"),
                HasSubstr("those that it runs on")));

  EngineConfig config = good;
  config.attention_config.mla_prefill_backend = "flash_infer";
  refused(config, vllm_prefill_backends(),
          AllOf(StartsWith("mla_prefill_backend: \"flash_infer\""),
                HasSubstr("accepted: FLASHINFER (nearest), ROCM_AITER_FA, ")));
  config = good;
  config.cache_config.cache_dtype = "fp9";
  refused(config, vllm_prefill_backends(), StartsWith("cache_dtype: \"fp9\""));
  config = good;
  config.attention_config.prefill_query_mode = static_cast<PrefillQueryMode>(3);
  refused(config, vllm_prefill_backends(),
          StartsWith("prefill_query_mode: PrefillQueryMode(3) is not accepted"));
  for (const int bad : {0, -1, -1000000}) {
    for (int MlaDimensions::*field :
         {&MlaDimensions::qk_nope_head_dim, &MlaDimensions::qk_rope_head_dim,
          &MlaDimensions::v_head_dim}) {
      config = good;
      config.mla_dimensions.*field = bad;
      refused(config, vllm_prefill_backends(),
              AllOf(HasSubstr("_head_dim: " + std::to_string(bad)),
                    HasSubstr("accepted: 1 and above")));
    }
  }
  for (const DataType type : {DataType::int8, DataType::float8_e4m3fn, static_cast<DataType>(99)}) {
    expect_invalid([&] { select_prefill_backend(good, type, cuda(10, 0)); },
                   StartsWith("model_dtype: "));
  }
}

TEST(BlockerKind, HasNames) {
  std::set<std::string_view> all;
  for (unsigned kind = 0; kind <= static_cast<unsigned>(BlockerKind::backend_needs_fp8); ++kind) {
    all.insert(to_string(static_cast<BlockerKind>(kind)));
  }
  EXPECT_THAT(all, SizeIs(15));
  EXPECT_EQ(to_string(BlockerKind::kv_cache_format), "kv_cache_format");
  expect_invalid([] { to_string(static_cast<BlockerKind>(15)); },
                 StartsWith("kind: BlockerKind(15) is not accepted"));
}

}  // namespace
}  // namespace mla_dtype
