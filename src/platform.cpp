// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <mla_dtype/platform.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>

#include "invalid_argument.h"

namespace mla_dtype {
namespace {

constexpr std::string_view rocm_forms = "a ROCm device like gfx942 or gfx942:sramecc+:xnack-";
constexpr std::string_view all_forms =
    "a CUDA device like 10.3, sm_103, sm_103a or compute_103, "
    "a ROCm device like gfx942 or gfx942:sramecc+:xnack-";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_lower_or_digit(char c) { return is_digit(c) || (c >= 'a' && c <= 'z'); }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool remove_prefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// A decimal number from 1 on without leading zeros, else 0.
int parse_major(std::string_view digits) {
  if (digits.empty() || digits.front() == '0' ||
      !std::all_of(digits.begin(), digits.end(), is_digit)) {
    return 0;
  }
  int value = 0;
  const auto end = digits.data() + digits.size();
  return std::from_chars(digits.data(), end, value).ec == std::errc{} ? value : 0;
}

struct Version {
  int major, minor, stepping;
};

// `10.3`, or `103` where a prefix says that the last digit is the minor; a prefix allows a suffix.
std::optional<Version> parse_cuda(std::string_view text) {
  const bool prefixed = remove_prefix(text, "sm_") || remove_prefix(text, "compute_");
  if (prefixed && !text.empty() && (text.back() == 'a' || text.back() == 'f')) {
    text.remove_suffix(1);
  }
  // The major; a dot, where no prefix says how to read it; the minor.
  const std::size_t tail = prefixed ? 1 : 2;
  if (text.size() < tail || (!prefixed && text[text.size() - 2] != '.')) return std::nullopt;
  const char minor = text[text.size() - 1];
  const int major = parse_major(text.substr(0, text.size() - tail));
  if (major == 0 || !is_digit(minor)) return std::nullopt;
  return Version{major, minor - '0', 0};
}

// `gfx90a` is 9.0.10: a decimal major, then one hexadecimal digit each for minor and stepping; then
// any number of features like `:xnack-`.
std::optional<Version> parse_rocm(std::string_view text) {
  if (!remove_prefix(text, "gfx")) return std::nullopt;
  std::string_view version = text.substr(0, text.find(':'));
  text.remove_prefix(version.size());
  while (remove_prefix(text, ":")) {
    const auto stop = std::find_if_not(text.begin(), text.end(), is_lower_or_digit);
    if (stop == text.begin() || stop == text.end() || (*stop != '+' && *stop != '-')) {
      return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(stop - text.begin()) + 1);
  }
  if (!text.empty() || version.size() < 3) return std::nullopt;
  const int stepping = hex_value(version.back());
  version.remove_suffix(1);
  const int minor = hex_value(version.back());
  version.remove_suffix(1);
  const int major = parse_major(version);
  if (major == 0 || minor < 0 || stepping < 0) return std::nullopt;
  return Version{major, minor, stepping};
}

}  // namespace

Platform cuda(int major, int minor) {
  if (major < 1 || minor < 0 || minor > 9) {
    detail::throw_invalid_argument("device", fmt::format("CUDA capability {}.{}", major, minor),
                                   "a major from 1 on and a minor from 0 to 9");
  }
  Platform platform;
  platform.runtime_ = Platform::Runtime::cuda;
  platform.major_ = major;
  platform.minor_ = minor;
  return platform;
}

Platform rocm(std::string_view gfx_arch) {
  const auto version = parse_rocm(gfx_arch);
  if (!version) {
    detail::throw_unknown_name("device", gfx_arch,
                               {"gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201", "gfx1250"},
                               rocm_forms);
  }
  Platform platform;
  platform.runtime_ = Platform::Runtime::rocm;
  platform.major_ = version->major;
  platform.minor_ = version->minor;
  platform.stepping_ = version->stepping;
  return platform;
}

Platform parse_platform(std::string_view device) {
  if (const auto version = parse_cuda(device)) return cuda(version->major, version->minor);
  if (parse_rocm(device)) return rocm(device);
  detail::throw_unknown_name(
      "device", device,
      {"sm_80", "sm_89", "sm_90", "sm_100", "sm_103", "sm_110", "sm_120", "sm_121", "gfx90a",
       "gfx942", "gfx950", "gfx1100", "gfx1201", "gfx1250"},
      all_forms);
}

bool is_capability_family(const Platform& platform, int major) noexcept {
  return platform.runtime_ == Platform::Runtime::cuda && platform.major_ == major;
}

std::optional<DataType> fp8_data_type(const Platform& platform) {
  const std::pair version(platform.major_, platform.minor_);
  switch (platform.runtime_) {
    case Platform::Runtime::none:
      break;
    case Platform::Runtime::cuda:
      if (version >= std::pair(8, 9)) return DataType::float8_e4m3fn;
      break;
    case Platform::Runtime::rocm:
      if (version == std::pair(9, 4)) return DataType::float8_e4m3fnuz;
      if (version > std::pair(9, 4) && version < std::pair(10, 0)) return DataType::float8_e4m3fn;
      if (version >= std::pair(12, 0)) return DataType::float8_e4m3fn;
      break;
  }
  return std::nullopt;
}

std::string to_string(const Platform& platform) {
  switch (platform.runtime_) {
    case Platform::Runtime::none:
      break;
    case Platform::Runtime::cuda:
      return fmt::format("sm_{}{}", platform.major_, platform.minor_);
    case Platform::Runtime::rocm:
      return fmt::format("gfx{}{:x}{:x}", platform.major_, platform.minor_, platform.stepping_);
  }
  return "none";
}

DeviceRange::DeviceRange(const Platform& device) : DeviceRange(device, device) {}

DeviceRange::DeviceRange(const Platform& first, const Platform& last) : first_(first), last_(last) {
  if (first == Platform{} || !contains(first) || !contains(last)) {
    detail::throw_invalid_argument("device range",
                                   fmt::format("{} to {}", to_string(first), to_string(last)),
                                   "two CUDA or two ROCm devices, the older one first");
  }
}

bool DeviceRange::contains(const Platform& platform) const noexcept {
  const auto version = [](const Platform& device) {
    return std::tie(device.major_, device.minor_, device.stepping_);
  };
  return platform.runtime_ == first_.runtime_ && platform.runtime_ == last_.runtime_ &&
         version(first_) <= version(platform) && version(platform) <= version(last_);
}

bool DeviceRange::contains(const DeviceRange& other) const noexcept {
  return contains(other.first_) && contains(other.last_);
}

DeviceRange cuda_family(int major) { return {cuda(major, 0), cuda(major, 9)}; }

std::string to_string(const DeviceRange& range) {
  if (range.first_ == range.last_) return to_string(range.first_);
  const int major = range.first_.major_;
  if (is_capability_family(range.last_, major) && range.first_.minor_ == 0 &&
      range.last_.minor_ == 9) {
    return fmt::format("CUDA capability {}.x", major);
  }
  return fmt::format("{} to {}", to_string(range.first_), to_string(range.last_));
}

}  // namespace mla_dtype
