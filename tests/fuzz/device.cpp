// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/platform.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using mla_dtype::fuzz::is_refused;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  mla_dtype::Device device;
  mla_dtype::Platform platform;
  const bool is_version = !is_refused([&] { platform = mla_dtype::parse_platform(text); });
  const bool is_device = !is_refused([&] { device = mla_dtype::parse_device(text); });
  CHECK(is_device || !is_version);
  if (is_version) CHECK(device.platform == platform && device.name.empty());
  if (!is_device) return 0;
  const auto again = mla_dtype::parse_device(to_string(device.platform));
  CHECK(again.platform == device.platform && again.name.empty());
  if (device.name.empty()) return 0;
  const auto& known = mla_dtype::known_devices();
  CHECK(std::any_of(known.begin(), known.end(), [&](const mla_dtype::KnownDevice& each) {
    return each.name == device.name && each.platform == device.platform;
  }));
  const auto by_name = mla_dtype::parse_device(device.name);
  CHECK(by_name.name == device.name && by_name.platform == device.platform);
  return 0;
}
