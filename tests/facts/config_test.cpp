// SPDX-License-Identifier: Apache-2.0

// Without this a default could change, or an engine's way of writing a configuration stop
// compiling, unnoticed.

#include <gtest/gtest.h>
#include <mla_dtype/config.h>

#include <type_traits>

namespace mla_dtype {
namespace {

static_assert(std::is_aggregate_v<EngineConfig>);

TEST(Config, ByDefaultNothingIsQuantized) {
  const EngineConfig config;
  EXPECT_EQ(config.cache_config.cache_dtype, "auto");
  EXPECT_EQ(config.cache_config.checkpoint_kv_cache_quant_algo, "");
  EXPECT_FALSE(config.attention_config.use_prefill_query_quantization);
  EXPECT_EQ(config.attention_config.prefill_query_mode, PrefillQueryMode::by_flag);
  EXPECT_EQ(config.attention_config.mla_prefill_backend, "");
}

// As engines write it; no warning may come of it.
TEST(Config, IsMadeFromItsFirstMembers) {
  const EngineConfig config{{"fp8"}, {true}};
  EXPECT_EQ(config.cache_config.cache_dtype, "fp8");
  EXPECT_TRUE(config.attention_config.use_prefill_query_quantization);
  const CacheConfig cache{"nvfp4"};
  EXPECT_EQ(cache.cache_dtype, "nvfp4");
#if __cplusplus >= 202002L
  const EngineConfig designated{.attention_config = {.mla_prefill_backend = "FLASHINFER"}};
  EXPECT_EQ(designated.attention_config.mla_prefill_backend, "FLASHINFER");
#endif
}

TEST(Config, DimensionsAreDeepSeeksAndCompare) {
  constexpr MlaDimensions dimensions;
  static_assert(dimensions == MlaDimensions{128, 64, 128});
  static_assert(dimensions != MlaDimensions{192, 64, 128});
  static_assert(dimensions != MlaDimensions{128, 32, 128});
  static_assert(dimensions != MlaDimensions{128, 64, 256});
  EXPECT_EQ(EngineConfig().mla_dimensions, dimensions);
}

}  // namespace
}  // namespace mla_dtype
