// SPDX-License-Identifier: Apache-2.0

// Without this a text could count as a yes, or a table of prefill backends differ from its
// engine's, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/prefill_backend.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>

#include "support/backend_names.h"
#include "support/engine_config.h"

namespace mla_dtype {
namespace {

using ::testing::ElementsAre;
using testing::make_config;
using testing::make_platform;
using testing::names;

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

}  // namespace
}  // namespace mla_dtype
