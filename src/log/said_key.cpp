// SPDX-License-Identifier: Apache-2.0
#include "said_key.h"

#include <cstddef>
#include <cstring>

#include "multiply.h"

namespace mla_dtype::detail {
namespace {

// Constants with no pattern: 64 bits each of the golden ratio, the square root of 2, pi and e.
constexpr std::uint64_t golden_ratio = 0x9E3779B97F4A7C15;
constexpr std::uint64_t sqrt_2 = 0x6A09E667F3BCC909;
constexpr std::uint64_t pi = 0x243F6A8885A308D3;
constexpr std::uint64_t e = 0xB7E151628AED2A6B;

// Of a fixed size, so that memcpy becomes one instruction.
template <class Word>
std::uint64_t load(const char* from) noexcept {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

struct Tail {
  std::uint64_t low, high;
};

// All of a text of at most 16 bytes. Loads that overlap take fewer branches than a loop, and the
// length is in the key already.
Tail load_tail(const char* from, std::size_t size) noexcept {
  if (size >= 8) return {load<std::uint64_t>(from), load<std::uint64_t>(from + size - 8)};
  if (size >= 4) return {load<std::uint32_t>(from), load<std::uint32_t>(from + size - 4)};
  if (size == 0) return {0, 0};
  return {load<std::uint8_t>(from) << 8 | load<std::uint8_t>(from + size / 2),
          load<std::uint8_t>(from + size - 1)};
}

// Takes 16 bytes into `state`. The rotation keeps steps apart even where a word equals `constant`,
// and the multiplication does nothing.
std::uint64_t step(std::uint64_t state, std::uint64_t constant, std::uint64_t low,
                   std::uint64_t high) noexcept {
  const std::uint64_t next = multiply_fold(low ^ constant, high ^ state);
  return next << 29 | next >> 35;
}

}  // namespace

// Two independent chains of multiplications, 16 bytes a step each: half the time of std::hash for a
// record of the decision, and 64 bits wide whatever std::size_t is.
std::uint64_t said_key(int level, std::string_view text) noexcept {
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t a = (text.size() + 1) * golden_ratio;
  std::uint64_t b = (static_cast<std::uint64_t>(level) + 1) * sqrt_2;
  for (; left > 32; at += 32, left -= 32) {
    a = step(a, pi, load<std::uint64_t>(at), load<std::uint64_t>(at + 8));
    b = step(b, e, load<std::uint64_t>(at + 16), load<std::uint64_t>(at + 24));
  }
  if (left > 16) {
    a = step(a, pi, load<std::uint64_t>(at), load<std::uint64_t>(at + 8));
    at += 16;
    left -= 16;
  }
  const Tail tail = load_tail(at, left);
  b = step(b, e, tail.low, tail.high);
  const std::uint64_t key = multiply_fold(multiply_fold(a ^ pi, b ^ e), golden_ratio);
  return key != 0 ? key : 1;
}

}  // namespace mla_dtype::detail
