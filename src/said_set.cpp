// SPDX-License-Identifier: Apache-2.0
#include "said_set.h"

#include <unistd.h>

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

bool SaidSet::contains(std::uint64_t key) const noexcept {
  for (std::uint64_t i = key;; ++i) {
    const std::uint64_t found = slots_[i % slot_count].load(std::memory_order_acquire);
    if (found == key) return true;
    if (found == 0) return false;
  }
}

void SaidSet::reset() noexcept {
  generation_.fetch_add(1, std::memory_order_relaxed);
  for (Slot& slot : slots_) {
    if (slot.load(std::memory_order_relaxed) == 0) continue;
    if (slot.exchange(0, std::memory_order_relaxed) != 0) give_back_slot();
  }
}

bool SaidSet::reserve_slot() noexcept {
  if (used_.fetch_add(1, std::memory_order_relaxed) < max_used) return true;
  give_back_slot();
  return false;
}

void SaidSet::give_back_slot() noexcept { used_.fetch_sub(1, std::memory_order_relaxed); }

// A claim counts in the process and between the resets that it was made in. In any other it is
// somebody else's key: a child does not wait for a thread that only its parent has, and what was
// claimed before a reset cannot commit after it.
std::uint64_t SaidSet::claim_mask() const noexcept {
  const std::uint64_t generation = generation_.load(std::memory_order_relaxed);
  return multiply_fold(generation ^ pi, static_cast<std::uint64_t>(getpid()) ^ e);
}

SaidSet::Claim::Claim(SaidSet& set, std::uint64_t key) noexcept
    : key_(key), claimed_(key ^ set.claim_mask()), released_(~key) {
  for (std::uint64_t i = key;; ++i) {
    Slot& slot = set.slots_[i % slot_count];
    std::uint64_t found = slot.load(std::memory_order_acquire);
    while (found == 0 || found == released_) {
      const bool is_free = found == 0;
      if (is_free && !set.reserve_slot()) {
        granted_ = true;  // past the bound: written, and not remembered
        return;
      }
      if (slot.compare_exchange_strong(found, claimed_, std::memory_order_acq_rel)) {
        slot_ = &slot;
        granted_ = true;
        return;
      }
      if (is_free) set.give_back_slot();
    }
    if (found == key_ || found == claimed_) return;
  }
}

SaidSet::Claim::~Claim() {
  std::uint64_t expected = claimed_;
  if (slot_ != nullptr) slot_->compare_exchange_strong(expected, released_);
}

void SaidSet::Claim::commit() noexcept {
  std::uint64_t expected = claimed_;
  if (slot_ != nullptr) slot_->compare_exchange_strong(expected, key_);
  slot_ = nullptr;
}

}  // namespace mla_dtype::detail
