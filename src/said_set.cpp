// SPDX-License-Identifier: Apache-2.0
#include "said_set.h"

#include <cstring>

#include "multiply.h"

namespace mla_dtype::detail {
namespace {

// Odd constants with no pattern: 64 bits each of the golden ratio, the square root of 2, pi and e.
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

}  // namespace

// Two independent chains of multiplications, 16 bytes a step each: a third of the time of
// std::hash, and 64 bits wide whatever std::size_t is.
std::uint64_t said_key(int level, std::string_view text) noexcept {
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t a = golden_ratio ^ text.size();
  std::uint64_t b = sqrt_2 ^ static_cast<std::uint64_t>(level);
  for (; left > 32; at += 32, left -= 32) {
    a = multiply_fold(load<std::uint64_t>(at) ^ pi, load<std::uint64_t>(at + 8) ^ a);
    b = multiply_fold(load<std::uint64_t>(at + 16) ^ e, load<std::uint64_t>(at + 24) ^ b);
  }
  if (left > 16) {
    a = multiply_fold(load<std::uint64_t>(at) ^ pi, load<std::uint64_t>(at + 8) ^ a);
    at += 16;
    left -= 16;
  }
  const Tail tail = load_tail(at, left);
  b = multiply_fold(tail.low ^ e, tail.high ^ b);
  const std::uint64_t key = multiply_fold(multiply_fold(a ^ pi, b ^ e), golden_ratio);
  return key != 0 ? key : 1;
}

bool SaidSet::contains(std::uint64_t key) const noexcept {
  for (std::uint64_t slot = key;; ++slot) {
    const std::uint64_t found = slots_[slot % slot_count].load(std::memory_order_acquire);
    if (found == key) return true;
    if (found == 0) return false;
  }
}

void SaidSet::reset() noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& slot : slots_) slot.store(0, std::memory_order_relaxed);
  size_ = 0;
  while (claims_ != nullptr) claims_->leave();
}

SaidSet::Claim::Claim(SaidSet& set, std::uint64_t key) noexcept : set_(set), key_(key) {
  const std::lock_guard lock(set_.mutex_);
  if (set_.contains(key)) return;
  for (const Claim* other = set_.claims_; other != nullptr; other = other->next_) {
    if (other->key_ == key) return;
  }
  granted_ = listed_ = true;
  next_ = set_.claims_;
  set_.claims_ = this;
}

SaidSet::Claim::~Claim() {
  if (!granted_) return;
  const std::lock_guard lock(set_.mutex_);
  leave();
}

void SaidSet::Claim::commit() noexcept {
  const std::lock_guard lock(set_.mutex_);
  if (!listed_) return;
  leave();
  if (set_.size_ == capacity) return;
  std::uint64_t slot = key_;
  while (set_.slots_[slot % slot_count].load(std::memory_order_relaxed) != 0) ++slot;
  set_.slots_[slot % slot_count].store(key_, std::memory_order_release);
  ++set_.size_;
}

void SaidSet::Claim::leave() noexcept {
  if (!listed_) return;
  Claim** link = &set_.claims_;
  while (*link != this) link = &(*link)->next_;
  *link = next_;
  listed_ = false;
}

}  // namespace mla_dtype::detail
