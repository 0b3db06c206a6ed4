// SPDX-License-Identifier: Apache-2.0

// Without this the name of a card could stand for another card, and with it for costs that were
// measured on that one, unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/platform.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>

#include "support/expect_invalid.h"

namespace mla_dtype {
namespace {

void expect_device(const std::string& text, const Platform& platform, const std::string& name) {
  const Device device = parse_device(text);
  EXPECT_EQ(device.platform, platform) << text;
  EXPECT_EQ(device.name, name) << text;
}

TEST(KnownDevices, AreFoundByTheirNames) {
  for (const KnownDevice& known : known_devices()) {
    std::string name(known.name);
    expect_device(name, known.platform, name);
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    expect_device(lower, known.platform, name);
  }
}

TEST(KnownDevices, AreFoundByWhatPeopleWrite) {
  for (const char* text : {"H200", "h200", "NVIDIA H200", "nvidia-h200"}) {
    expect_device(text, cuda(9, 0), "NVIDIA H200");
  }
  expect_device("B200", cuda(10, 0), "NVIDIA B200");
  expect_device("GB200", cuda(10, 0), "NVIDIA GB200");
  expect_device("B300", cuda(10, 3), "NVIDIA B300 SXM6 AC");
  expect_device("NVIDIA B300", cuda(10, 3), "NVIDIA B300 SXM6 AC");
  expect_device("GB300", cuda(10, 3), "NVIDIA GB300");
  expect_device("H20", cuda(9, 0), "NVIDIA H20");
  expect_device("H100 PCIe", cuda(9, 0), "NVIDIA H100 PCIe");
  expect_device("RTX 5090", cuda(12, 0), "NVIDIA GeForce RTX 5090");
  expect_device("MI300X", rocm("gfx942"), "AMD Instinct MI300X");
  expect_device("AMD MI355X", rocm("gfx950"), "AMD Instinct MI355X");
}

TEST(KnownDevices, WhatFitsTwoIsNeither) {
  expect_device("H100", cuda(9, 0), "");
  expect_device("A100", cuda(8, 0), "");
  expect_device("RTX PRO 6000", cuda(12, 0), "");
  expect_device("RTX PRO 6000 Blackwell", cuda(12, 0), "");
  // There are others of this size, too.
  for (const char* text : {"H100 80GB", "A100 80GB", "H100 SXM5 80GB", "h100-sxm"}) {
    expect_device(text, parse_device(std::string(text).substr(0, 4)).platform, "");
  }
}

TEST(KnownDevices, AnotherFormOfACardHasItsPlatformAlone) {
  expect_device("H200 NVL", cuda(9, 0), "");
  expect_device("GB200 NVL72", cuda(10, 0), "");
  expect_device("NVIDIA B200 180GB", cuda(10, 0), "");
  expect_device("NVIDIA GeForce RTX 5090 Laptop GPU", cuda(12, 0), "");
}

TEST(KnownDevices, WhatIsNotKnownIsNoneOfThem) {
  for (const char* text :
       {"H2000",     "B20",      "300",          "",     " ",     "Radeon", "sm103", "RTX",
        "GeForce",   "NVIDIA",   "AMD Instinct", "80GB", "HBM3",  "PCIe",   "SXM6",  "Server",
        "Blackwell", "RTX 6000", "6000",         "PRO",  "MI300", "B200x",  "B 200"}) {
    testing::expect_invalid([&] { return parse_device(text); }, ::testing::HasSubstr("device"));
  }
}

TEST(KnownDevices, AnErrorNamesTheNearestCardAndHowToFindOnes) {
  testing::expect_invalid(
      [] { return parse_device("H2O0"); },
      ::testing::StartsWith("device: \"H2O0\" is not accepted; accepted: H200 "));
  testing::expect_invalid([] { return parse_device("sm_10.3"); },
                          ::testing::HasSubstr("accepted: sm_103 (nearest), "));
  testing::expect_invalid([] { return parse_device("TPU v5"); },
                          ::testing::HasSubstr("nvidia-smi --query-gpu=name,compute_cap"));
}

TEST(KnownDevices, EveryFormOfAPlatformIsADeviceWithoutAName) {
  for (const char* text : {"10.3", "sm_103a", "compute_103", "sm_149", "gfx942:xnack-"}) {
    expect_device(text, parse_platform(text), "");
  }
}

TEST(KnownDevices, EachIsListedOnce) {
  std::set<std::string_view> names;
  for (const KnownDevice& known : known_devices()) {
    EXPECT_TRUE(names.insert(known.name).second) << known.name;
    EXPECT_NE(known.platform, Platform{}) << known.name;
    EXPECT_GE(known.memory_gb_per_s, 200) << known.name;
    EXPECT_LE(known.memory_gb_per_s, 10000) << known.name;
  }
  EXPECT_GE(names.size(), 20U);
}

}  // namespace
}  // namespace mla_dtype
