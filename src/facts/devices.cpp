// SPDX-License-Identifier: Apache-2.0
#include "facts/devices.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <utility>

namespace mla_dtype {
namespace {

using Version = std::pair<int, int>;

bool is_lower_or_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); }

bool remove_prefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// -1 for what is no number.
int parse_number(std::string_view digits, int base) {
  if (!std::all_of(digits.begin(), digits.end(), is_lower_or_digit)) return -1;
  int value = -1;
  const auto end = digits.data() + digits.size();
  return std::from_chars(digits.data(), end, value, base).ptr == end ? value : -1;
}

// The major is a decimal number from 1 on without leading zeros.
std::optional<Version> parse_version(std::string_view major, std::string_view rest, int base) {
  const Version version(parse_number(major, 10), parse_number(rest, base));
  if (major.substr(0, 1) == "0" || version.first < 1 || version.second < 0) return std::nullopt;
  return version;
}

}  // namespace

// `10.3`, or `103` where a prefix says that the last digit is the minor; a prefix allows a suffix.
std::optional<Version> detail::parse_cuda(std::string_view text) {
  const bool prefixed = remove_prefix(text, "sm_") || remove_prefix(text, "compute_");
  if (prefixed && !text.empty() && (text.back() == 'a' || text.back() == 'f')) {
    text.remove_suffix(1);
  }
  // The major; a dot, where no prefix says how to read it; the minor.
  const std::size_t tail = prefixed ? 1 : 2;
  if (text.size() < tail || (!prefixed && text[text.size() - 2] != '.')) return std::nullopt;
  return parse_version(text.substr(0, text.size() - tail), text.substr(text.size() - 1), 10);
}

// `gfx90a` is 9.0.10: a decimal major, then one hexadecimal digit each for minor and stepping; then
// any number of features like `:xnack-`.
std::optional<Version> detail::parse_rocm(std::string_view text) {
  if (!remove_prefix(text, "gfx")) return std::nullopt;
  const std::string_view version = text.substr(0, text.find(':'));
  text.remove_prefix(version.size());
  while (remove_prefix(text, ":")) {
    const auto stop = std::find_if_not(text.begin(), text.end(), is_lower_or_digit);
    if (stop == text.begin() || stop == text.end() || (*stop != '+' && *stop != '-')) {
      return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(stop - text.begin()) + 1);
  }
  if (!text.empty() || version.size() < 3) return std::nullopt;
  const std::size_t tail = version.size() - 2;
  return parse_version(version.substr(0, tail), version.substr(tail), 16);
}

// vllm/platforms/rocm.py, aiter/utility/dtypes.py.
std::optional<DataType> fp8_data_type(const Platform& platform) {
  const Version version = platform.version();  // below all others where there is no device
  if (platform.runtime_ == Platform::Runtime::cuda) {
    return version >= Version(8, 9) ? std::optional(DataType::float8_e4m3fn) : std::nullopt;
  }
  const bool is_rdna = version.first == 10 || version.first == 11;
  if (is_rdna || version < Version(9, 0x40)) return std::nullopt;
  return version < Version(9, 0x50) ? DataType::float8_e4m3fnuz : DataType::float8_e4m3fn;
}

}  // namespace mla_dtype
