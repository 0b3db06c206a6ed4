// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace mla_dtype::detail {

/// Both halves of the 128-bit product, and both factors, so that a 0 does not wipe out the other.
inline std::uint64_t multiply_fold_portable(std::uint64_t a, std::uint64_t b) noexcept {
  const auto low = [](std::uint64_t word) { return word & 0xFFFFFFFF; };
  const std::uint64_t cross = (a >> 32) * low(b) + (low(a) * low(b) >> 32);
  const std::uint64_t middle = low(a) * (b >> 32) + low(cross);
  const std::uint64_t high = (a >> 32) * (b >> 32) + (cross >> 32) + (middle >> 32);
  return (a * b) ^ high ^ a ^ b;
}

/// The same in one instruction where the compiler has a 128-bit integer.
inline std::uint64_t multiply_fold(std::uint64_t a, std::uint64_t b) noexcept {
#ifdef __SIZEOF_INT128__
  __extension__ using Product = unsigned __int128;
  const Product product = static_cast<Product>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64) ^ a ^ b;
#else
  return multiply_fold_portable(a, b);
#endif
}

// Without a pattern: 64 bits each of the golden ratio and of the square root of 3.
inline constexpr std::uint64_t golden_ratio = 0x9E3779B97F4A7C15;
inline constexpr std::uint64_t root_of_3 = 0xBB67AE8584CAA73B;

/// A hash of numbers and texts: the sum of products of two words, each made unlike the others by a
/// number of its place. No product waits for another: half the time of std::hash for a record.
class KeyHash {
 public:
  explicit KeyHash(std::uint64_t seed) noexcept : sum_(seed * root_of_3) {}

  void add(std::uint64_t a, std::uint64_t b) noexcept {
    sum_ += multiply_fold(a ^ place_, b ^ root_of_3);
    place_ += golden_ratio;
  }

  void add(std::string_view text) noexcept {
    const char* at = text.data();
    std::size_t left = text.size();
    for (; left > 16; at += 16, left -= 16) add(load(at), load(at + 8));
    // The last 16 bytes, some of them again, and the length of the whole.
    char padded[16] = {};
    if (text.size() < 16) text.copy(padded, text.size());
    const char* const last = text.size() < 16 ? padded : at + left - 16;
    add(load(last), load(last + 8) + text.size() * golden_ratio);
  }

  /// Never 0.
  std::uint64_t value() const noexcept {
    const std::uint64_t key = multiply_fold(multiply_fold(sum_, root_of_3), golden_ratio);
    return key != 0 ? key : 1;
  }

 private:
  // Of a fixed size, so that memcpy becomes one instruction.
  static std::uint64_t load(const char* from) noexcept {
    std::uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
  }

  std::uint64_t sum_;
  std::uint64_t place_ = golden_ratio;
};

/// What stands for a (level, text).
inline std::uint64_t said_key(int level, std::string_view text) noexcept {
  KeyHash hash(static_cast<std::uint64_t>(level));
  hash.add(text);
  return hash.value();
}

}  // namespace mla_dtype::detail
