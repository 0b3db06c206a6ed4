// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/platform.h>

#include <cstdint>
#include <regex>
#include <string>

#include "check.h"
#include "input.h"

namespace {

using mla_dtype::DataType;
using mla_dtype::Platform;
using mla_dtype::fuzz::is_refused;

// A version's number, or -1 where no int holds it.
int to_int(const std::string& digits) {
  if (digits.size() > 10) return -1;
  const std::int64_t value = std::stoll(digits);
  return value <= INT32_MAX ? static_cast<int>(value) : -1;
}

void check_cuda(const Platform& platform, int major, int minor) {
  CHECK(platform == mla_dtype::cuda(major, minor));
  CHECK(to_string(platform) == "sm_" + std::to_string(major) + std::to_string(minor));
  CHECK(is_capability_family(platform, major));
  CHECK(!is_capability_family(platform, major - 1));
  const bool has_fp8 = major * std::int64_t{10} + minor >= 89;
  CHECK(fp8_data_type(platform) ==
        (has_fp8 ? std::optional(DataType::float8_e4m3fn) : std::nullopt));
  CHECK(mla_dtype::cuda_family(major).contains(platform));
}

void check_rocm(const Platform& platform, const std::string& text, int major, char minor) {
  CHECK(platform == mla_dtype::rocm(text));
  CHECK(to_string(platform) == text.substr(0, text.find(':')));
  CHECK(!is_capability_family(platform, major));
  std::optional<DataType> fp8;
  if (major == 9 && minor == '4') fp8 = DataType::float8_e4m3fnuz;
  if ((major == 9 && minor > '4') || major >= 12) fp8 = DataType::float8_e4m3fn;
  CHECK(fp8_data_type(platform) == fp8);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // std::regex recurses for each character.
  if (size > 256) return -1;
  const std::string text(reinterpret_cast<const char*>(data), size);
  static const std::regex dotted("([1-9][0-9]*)[.]([0-9])");
  static const std::regex prefixed("(?:sm|compute)_([1-9][0-9]*)([0-9])[af]?");
  static const std::regex gfx("gfx([1-9][0-9]*)([0-9a-f])[0-9a-f](?::[0-9a-z]+[+-])*");
  std::smatch rocm_parts, cuda_parts;
  const bool is_rocm = std::regex_match(text, rocm_parts, gfx);
  const bool is_cuda =
      std::regex_match(text, cuda_parts, dotted) || std::regex_match(text, cuda_parts, prefixed);
  const std::smatch& parts = is_rocm ? rocm_parts : cuda_parts;
  const int major = is_rocm || is_cuda ? to_int(parts[1]) : -1;

  Platform platform;
  CHECK(is_refused([&] { platform = mla_dtype::parse_platform(text); }) == (major < 0));
  CHECK(is_refused([&] { return mla_dtype::rocm(text); }) == (major < 0 || !is_rocm));
  if (major < 0) {
    CHECK(platform == Platform{});
    return 0;
  }
  CHECK(mla_dtype::parse_platform(to_string(platform)) == platform);
  const mla_dtype::DeviceRange alone = platform;
  CHECK(alone.contains(platform) && alone.contains(alone) && !alone.contains(Platform{}));
  CHECK(to_string(alone) == to_string(platform));
  if (is_cuda) {
    check_cuda(platform, major, parts[2].str()[0] - '0');
  } else {
    check_rocm(platform, text, major, parts[2].str()[0]);
  }
  return 0;
}
