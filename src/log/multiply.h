// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace mla_dtype::detail {

/// Both halves of the 128-bit product and both factors, added without carry. The factors, so that a
/// factor of 0 does not wipe out the other.
inline std::uint64_t multiply_fold_portable(std::uint64_t a, std::uint64_t b) noexcept {
  const std::uint64_t a_low = a & 0xFFFFFFFF;
  const std::uint64_t a_high = a >> 32;
  const std::uint64_t b_low = b & 0xFFFFFFFF;
  const std::uint64_t b_high = b >> 32;
  const std::uint64_t cross = a_high * b_low + ((a_low * b_low) >> 32);
  const std::uint64_t middle = a_low * b_high + (cross & 0xFFFFFFFF);
  const std::uint64_t high = a_high * b_high + (cross >> 32) + (middle >> 32);
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

}  // namespace mla_dtype::detail
