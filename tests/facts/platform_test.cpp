// SPDX-License-Identifier: Apache-2.0

// Without this a device could be read as another one, a typing error pass for a device, or a device
// gain or lose FP8, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/platform.h>

#include <map>

#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Platform, EverySpellingOfADeviceIsThatDevice) {
  const Platform b300 = cuda(/*major=*/10, /*minor=*/3);
  for (const char* text : {"10.3", "sm_103", "sm_103a", "sm_103f", "compute_103", "compute_103a"}) {
    EXPECT_EQ(parse_platform(text), b300) << text;
  }
  EXPECT_EQ(parse_platform("sm_100f"), cuda(10, 0));
  EXPECT_EQ(parse_platform("9.0"), cuda(9, 0));
  const Platform mi300 = rocm("gfx942");
  for (const char* text : {"gfx942", "gfx942:sramecc+:xnack-", "gfx942:xnack+"}) {
    EXPECT_EQ(parse_platform(text), mi300) << text;
    EXPECT_EQ(rocm(text), mi300) << text;
  }
}

TEST(Platform, DifferentDevicesDiffer) {
  const Platform devices[] = {{},          cuda(9, 0),     cuda(9, 4),     cuda(10, 3),
                              cuda(10, 0), rocm("gfx900"), rocm("gfx940"), rocm("gfx942")};
  for (const Platform& a : devices) {
    for (const Platform& b : devices) {
      EXPECT_EQ(a == b, &a == &b) << to_string(a) << ' ' << to_string(b);
      EXPECT_EQ(a != b, &a != &b) << to_string(a) << ' ' << to_string(b);
    }
  }
}

TEST(Platform, UnknownDevicesOfAKnownFormAreDevices) {
  for (const char* text :
       {"sm_149", "sm_99990", "1.0", "1000.9", "gfx1399", "gfx10000", "gfx900", "gfx90c"}) {
    EXPECT_NE(parse_platform(text), Platform{}) << text;
  }
}

TEST(Platform, AnythingElseIsRefused) {
  for (const std::string text : {"",
                                 "10",
                                 "103",
                                 ".3",
                                 "10.",
                                 "10.33",
                                 "010.3",
                                 "10,3",
                                 "10.3a",
                                 "-1.0",
                                 "+9.0",
                                 "0.9",
                                 "sm_",
                                 "sm_1",
                                 "sm_9",
                                 "sm_a",
                                 "sm_10.3",
                                 "sm_103b",
                                 "sm_103aa",
                                 "sm_103af",
                                 "sm_ 103",
                                 "sm-103",
                                 "sm103",
                                 "SM_103",
                                 "compute_",
                                 "compute_10.3",
                                 "sm_00",
                                 "sm_090",
                                 "sm_99999999999990",
                                 "gfx",
                                 "gfx9",
                                 "gfx94",
                                 "gfx94g",
                                 "gfx94A",

                                 "gfxa42",
                                 "gfx042",
                                 "gfx942:",
                                 "gfx942:+",
                                 "gfx942:xnack",
                                 "gfx942:xnack*",
                                 "gfx942:xnack+x",
                                 "gfx942xnack+",
                                 "gfx942:XNACK+",
                                 "GFX942",
                                 "cuda",
                                 "B200",
                                 " sm_103",
                                 "sm_103 ",
                                 "none"}) {
    testing::expect_invalid(
        [&] { return parse_platform(text); },
        AllOf(HasSubstr("device: \"" + text + "\""), HasSubstr("sm_103"), HasSubstr("gfx942")));
    testing::expect_invalid([&] { return rocm(text); }, HasSubstr("device: \"" + text + "\""));
  }
  testing::expect_invalid([] { return rocm("sm_103"); }, HasSubstr("gfx942"));
  testing::expect_invalid([] { return parse_platform(std::string_view("sm_103\0", 7)); },
                          HasSubstr("\"sm_103\\x00\""));
}

TEST(Platform, TheNearestDeviceComesFirst) {
  testing::expect_invalid([] { return parse_platform("sm103"); },
                          HasSubstr("accepted: sm_103 (nearest), "));
  testing::expect_invalid([] { return parse_platform("SM_90"); },
                          HasSubstr("accepted: sm_90 (nearest), "));
  testing::expect_invalid([] { return rocm("GFX950"); }, HasSubstr("accepted: gfx950 (nearest), "));
}

TEST(Platform, CapabilitiesThatCannotBeAreRefused) {
  EXPECT_NO_THROW(static_cast<void>(cuda(1, 0)));
  EXPECT_NO_THROW(static_cast<void>(cuda(1000, 9)));
  for (const auto& [major, minor] :
       {std::pair(0, 0), {-1, 0}, {0, 9}, {10, -1}, {10, 10}, {10, 33}}) {
    testing::expect_invalid(
        [&, a = major, b = minor] { return cuda(a, b); },
        AllOf(HasSubstr("device"), HasSubstr(std::to_string(major) + "." + std::to_string(minor))));
  }
}

TEST(Platform, AFamilyIsEveryMinorOfACudaMajor) {
  for (int major = 1; major < 20; ++major) {
    for (int minor = 0; minor < 10; ++minor) {
      for (int family = 0; family < 20; ++family) {
        EXPECT_EQ(is_capability_family(cuda(major, minor), family), family == major);
      }
    }
  }
  EXPECT_FALSE(is_capability_family(rocm("gfx942"), 9));
  EXPECT_FALSE(is_capability_family(rocm("gfx1030"), 10));
  EXPECT_FALSE(is_capability_family(Platform{}, 0));
}

TEST(Platform, Fp8DataType) {
  constexpr auto fn = DataType::float8_e4m3fn;
  constexpr auto fnuz = DataType::float8_e4m3fnuz;
  const std::map<std::string, std::optional<DataType>> expected = {
      {"7.0", {}},      {"8.0", {}},      {"8.6", {}},
      {"8.7", {}},      {"8.9", fn},      {"9.0", fn},
      {"10.0", fn},     {"10.3", fn},     {"10.7", fn},
      {"11.0", fn},     {"12.0", fn},     {"12.1", fn},
      {"gfx906", {}},   {"gfx908", {}},   {"gfx90a", {}},
      {"gfx90c", {}},   {"gfx940", fnuz}, {"gfx941", fnuz},
      {"gfx942", fnuz}, {"gfx950", fn},   {"gfx1030", {}},
      {"gfx1100", {}},  {"gfx1151", {}},  {"gfx1200", fn},
      {"gfx1201", fn},  {"gfx1250", fn},  {"gfx942:sramecc+:xnack-", fnuz},
  };
  for (const auto& [device, type] : expected) {
    EXPECT_EQ(fp8_data_type(parse_platform(device)), type) << device;
  }
  EXPECT_EQ(fp8_data_type(Platform{}), std::nullopt);
}

TEST(Platform, PrintsWhatItParses) {
  EXPECT_EQ(to_string(Platform{}), "none");
  for (const char* text : {"sm_89", "sm_103", "sm_120", "gfx90a", "gfx942", "gfx1201"}) {
    EXPECT_EQ(to_string(parse_platform(text)), text);
  }
}

TEST(DeviceRange, ContainsWhatIsBetween) {
  const DeviceRange family = cuda_family(10);
  for (const char* device : {"10.0", "10.1", "10.3", "10.7", "10.9"}) {
    EXPECT_TRUE(family.contains(parse_platform(device))) << device;
  }
  for (const char* device : {"9.0", "9.9", "11.0", "12.0", "1.0", "gfx1030", "gfx942"}) {
    EXPECT_FALSE(family.contains(parse_platform(device))) << device;
  }
  EXPECT_FALSE(family.contains(Platform{}));

  const DeviceRange one = rocm("gfx942");
  EXPECT_TRUE(one.contains(rocm("gfx942:xnack-")));
  for (const char* device : {"gfx941", "gfx943", "gfx950", "9.4"}) {
    EXPECT_FALSE(one.contains(parse_platform(device))) << device;
  }
  const DeviceRange several(rocm("gfx90a"), rocm("gfx950"));
  EXPECT_TRUE(several.contains(rocm("gfx90c")));
  EXPECT_TRUE(several.contains(rocm("gfx942")));
  EXPECT_FALSE(several.contains(rocm("gfx908")));
  EXPECT_FALSE(several.contains(rocm("gfx951")));
}

TEST(DeviceRange, ContainsOthers) {
  EXPECT_TRUE(cuda_family(10).contains(DeviceRange(cuda(10, 3))));
  EXPECT_TRUE(cuda_family(10).contains(cuda_family(10)));
  EXPECT_FALSE(cuda_family(10).contains(DeviceRange(cuda(10, 3), cuda(11, 0))));
  EXPECT_FALSE(cuda_family(10).contains(DeviceRange(cuda(9, 0), cuda(10, 3))));
}

TEST(DeviceRange, RefusesWhatNoDeviceIsIn) {
  const auto refused = [](const Platform& first, const Platform& last) {
    testing::expect_invalid([&] { DeviceRange(first, last); },
                            HasSubstr("two CUDA or two ROCm devices, the older one first"));
  };
  refused(cuda(10, 0), cuda(9, 0));
  refused(cuda(9, 0), rocm("gfx942"));
  refused(rocm("gfx90a"), cuda(12, 0));
  refused(Platform{}, cuda(9, 0));
  refused(cuda(9, 0), Platform{});
  refused(Platform{}, Platform{});
  testing::expect_invalid([] { return cuda_family(0); }, HasSubstr("CUDA capability 0.0"));
}

TEST(DeviceRange, PrintsAsPeopleSayIt) {
  EXPECT_EQ(to_string(DeviceRange(cuda(9, 0))), "sm_90");
  EXPECT_EQ(to_string(DeviceRange(rocm("gfx950"))), "gfx950");
  EXPECT_EQ(to_string(cuda_family(10)), "CUDA capability 10.x");
  EXPECT_EQ(to_string(DeviceRange(cuda(8, 0), cuda(12, 9))), "sm_80 to sm_129");
  EXPECT_EQ(to_string(DeviceRange(cuda(10, 0), cuda(10, 3))), "sm_100 to sm_103");
  EXPECT_EQ(to_string(DeviceRange(cuda(10, 3), cuda(10, 9))), "sm_103 to sm_109");
  EXPECT_EQ(to_string(DeviceRange(rocm("gfx90a"), rocm("gfx942"))), "gfx90a to gfx942");
}

}  // namespace
}  // namespace mla_dtype
