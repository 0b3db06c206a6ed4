// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <mla_dtype/prefill_backend.h>

#include <functional>
#include <set>
#include <string>
#include <type_traits>

#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
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

const std::set<std::string> fp8_backends = {"FLASHINFER", "TRTLLM_RAGGED", "TOKENSPEED_MLA"};
constexpr const char* all_backends[] = {"FLASH_ATTN", "FLASHINFER", "TRTLLM_RAGGED",
                                        "TOKENSPEED_MLA", "ROCM_AITER_FA"};

TEST(PrefillBackend, Family10AndOneOfThree) {
  for (const char* device : {"8.0", "8.9", "9.0", "10.0", "10.1", "10.3", "10.7", "11.0", "12.0",
                             "12.1", "gfx90a", "gfx942", "gfx950", "gfx1030"}) {
    for (const char* backend : all_backends) {
      const Support support = supports_prefill_query_quantization(parse_platform(device), backend);
      const bool expected =
          std::string(device).substr(0, 3) == "10." && fp8_backends.count(backend) == 1;
      EXPECT_EQ(support.supported, expected) << device << ' ' << backend;
      EXPECT_EQ(support.reason.empty(), expected) << device << ' ' << backend;
    }
  }
}

TEST(PrefillBackend, AReasonSaysWhatWouldHelpOrThatNothingDoes) {
  const auto reason = [](const Platform& platform, const char* backend) {
    return supports_prefill_query_quantization(platform, backend).reason;
  };
  EXPECT_EQ(reason(cuda(10, 3), "FLASH_ATTN"),
            "Prefill backend FLASH_ATTN does not take FP8 queries; FLASHINFER, TRTLLM_RAGGED and "
            "TOKENSPEED_MLA do.");
  const std::string on_hopper =
      "On this device (sm_90) no setting helps: FP8 prefill queries need CUDA capability 10.x. "
      "Prefill in the model's data type is the right choice here.";
  EXPECT_EQ(reason(cuda(9, 0), "FLASHINFER"), on_hopper);
  EXPECT_EQ(reason(cuda(9, 0), "FLASH_ATTN"),
            on_hopper + " Prefill backend FLASH_ATTN does not take FP8 queries.");
}

TEST(PrefillBackend, NoDeviceSupportsNothing) {
  for (const char* backend : all_backends) {
    EXPECT_FALSE(supports_prefill_query_quantization(Platform{}, backend).supported);
  }
  EXPECT_THAT(supports_prefill_query_quantization(Platform{}, "FLASHINFER").reason,
              HasSubstr("no CUDA or ROCm device"));
}

TEST(PrefillBackend, AnUnknownBackendIsRefusedOnEveryDevice) {
  for (const Platform& platform : {cuda(10, 0), cuda(9, 0), rocm("gfx942"), Platform{}}) {
    for (const std::string name : {"", "flashinfer", "CUTLASS", "FLASHINFER "}) {
      testing::expect_invalid(
          [&] { supports_prefill_query_quantization(platform, name); },
          AllOf(StartsWith("prefill_backend: \"" + name + "\""), HasSubstr("TOKENSPEED_MLA")));
    }
  }
  testing::expect_invalid([] { supports_prefill_query_quantization(Platform{}, "flash_infer"); },
                          HasSubstr("accepted: FLASHINFER (nearest), FLASH_ATTN, "));
}

TEST(PrefillBackend, TheDeviceIsTheLimitWhereNoBackendSupportsFp8Queries) {
  for (const char* device : {"8.0", "9.0", "10.0", "10.3", "11.0", "12.0", "gfx942"}) {
    const Platform platform = parse_platform(device);
    bool any = false;
    for (const char* backend : all_backends) {
      any = any || supports_prefill_query_quantization(platform, backend).supported;
    }
    EXPECT_EQ(prefill_query_device_limit(platform).empty(), any) << device;
    if (!any) {
      EXPECT_THAT(prefill_query_device_limit(platform),
                  StartsWith("On this device (" + to_string(platform) + ") no setting helps"));
    }
  }
  EXPECT_THAT(prefill_query_device_limit(Platform{}),
              StartsWith("On this device (no CUDA or ROCm device)"));
}

}  // namespace
}  // namespace mla_dtype
