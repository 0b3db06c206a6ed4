// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace mla_dtype::fuzz {

/// Choices, read from the bytes that a fuzzer made up. Each takes one byte, so that a changed byte
/// is one changed choice; past the end the first one is taken.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  /// One of 0 to count - 1.
  unsigned number(unsigned count) {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return byte % count;
  }

  bool flag() { return number(2) == 1; }

  template <class Items>
  const auto& one_of(const Items& items) {
    return *std::next(std::begin(items), number(static_cast<unsigned>(std::size(items))));
  }

  std::string_view text(std::size_t size) {
    const std::string_view result = rest_.substr(0, size);
    rest_.remove_prefix(result.size());
    return result;
  }

 private:
  std::string_view rest_;
};

}  // namespace mla_dtype::fuzz
