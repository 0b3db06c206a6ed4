// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <mla_dtype/config.h>

#include <type_traits>

namespace mla_dtype {
namespace {

static_assert(std::is_aggregate_v<EngineConfig>);

TEST(Config, ByDefaultNothingIsQuantized) {
  const EngineConfig config;
  EXPECT_EQ(config.cache_config.cache_dtype, "auto");
  EXPECT_FALSE(config.attention_config.use_prefill_query_quantization);
}

}  // namespace
}  // namespace mla_dtype
