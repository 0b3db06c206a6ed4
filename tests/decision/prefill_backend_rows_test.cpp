// SPDX-License-Identifier: Apache-2.0

// Without this a row of an engine's own could be accepted though it cannot be meant, run without
// what it needs, or bring FP8 to a device that has none, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/prefill_backend.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/backend_names.h"
#include "support/dimensions.h"
#include "support/engine_config.h"
#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using testing::deepseek;
using ::testing::ElementsAre;
using testing::expect_invalid;
using ::testing::HasSubstr;
using testing::kinds;
using testing::make_config;
using testing::make_platform;
using testing::names;
using ::testing::SizeIs;
using ::testing::StartsWith;

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
      static_cast<void>(select_prefill_backend(
          make_config("fp8", true), DataType::bfloat16, cuda(10, 0), vllm_prefill_backends(),
          [](std::string_view) -> Support { throw std::runtime_error("no driver"); })),
      std::runtime_error);
}

TEST(SelectPrefillBackend, BadInputIsRefused) {
  const EngineConfig good = make_config("fp8", true);
  const auto refused = [](const EngineConfig& config, const std::vector<PrefillBackend>& backends,
                          const auto& expected) {
    expect_invalid(
        [&] { return select_prefill_backend(config, DataType::bfloat16, cuda(10, 0), backends); },
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
  row.fp8_queries = static_cast<Fp8Queries>(4);
  refused(good, {row}, StartsWith("prefill backend X, fp8_queries: Fp8Queries(4)"));
  row = {};
  row.name = "X";
  row.model_dtypes = {DataType::int8};
  refused(good, {row}, StartsWith("prefill backend X, model_dtypes: \"int8\""));
  row.model_dtypes = {};
  row.head_multiple = 0;
  refused(good, {row}, StartsWith("prefill backend X, head_multiple: 0"));
  row.head_multiple = 1;
  row.dimensions = {{128, -1, 128}};
  refused(good, {row}, StartsWith("qk_rope_head_dim: -1"));
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
    for (std::int64_t MlaDimensions::*field :
         {&MlaDimensions::qk_nope_head_dim, &MlaDimensions::qk_rope_head_dim,
          &MlaDimensions::v_head_dim}) {
      config = good;
      config.mla_dimensions.*field = bad;
      const bool may_be_0 = field == &MlaDimensions::qk_rope_head_dim;
      if (may_be_0 && bad == 0) continue;
      refused(config, vllm_prefill_backends(),
              AllOf(HasSubstr("_head_dim: " + std::to_string(bad)),
                    HasSubstr(may_be_0 ? "accepted: 0 and above" : "accepted: 1 and above")));
    }
  }
  for (const DataType type : {DataType::int8, DataType::float8_e4m3fn, static_cast<DataType>(99)}) {
    expect_invalid([&] { return select_prefill_backend(good, type, cuda(10, 0)); },
                   StartsWith("model_dtype: "));
  }
}

}  // namespace
}  // namespace mla_dtype
