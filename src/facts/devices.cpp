// SPDX-License-Identifier: Apache-2.0
#include "facts/devices.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <utility>

namespace mla_dtype {
namespace {

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

}  // namespace

// `10.3`, or `103` where a prefix says that the last digit is the minor; a prefix allows a suffix.
std::optional<detail::DeviceVersion> detail::parse_cuda(std::string_view text) {
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
  return DeviceVersion{major, minor - '0', 0};
}

// `gfx90a` is 9.0.10: a decimal major, then one hexadecimal digit each for minor and stepping; then
// any number of features like `:xnack-`.
std::optional<detail::DeviceVersion> detail::parse_rocm(std::string_view text) {
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
  return DeviceVersion{major, minor, stepping};
}

// vllm/platforms/rocm.py, aiter/utility/dtypes.py.
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

}  // namespace mla_dtype
