// SPDX-License-Identifier: Apache-2.0
#include "said_set.h"

#include <unistd.h>

#include <cstring>
#include <thread>

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
  const Table& table = tables_[generation_.load(std::memory_order_acquire) % 2];
  for (std::uint64_t i = key;; ++i) {
    const std::uint64_t found = table.slots[i % slot_count].load(std::memory_order_acquire);
    if (found == key) return true;
    if (found == 0) return false;
  }
}

// One reset at a time; one that was going on in a parent at the fork is not going on here.
void SaidSet::reset() noexcept {
  const pid_t self = getpid();
  for (pid_t owner = 0;
       !resetting_.compare_exchange_weak(owner, self, std::memory_order_acquire);) {
    if (owner == self) {
      std::this_thread::yield();
      owner = 0;
    }
  }
  const std::uint64_t next = generation_.load(std::memory_order_relaxed) + 1;
  tables_[next % 2].clear();
  generation_.store(next, std::memory_order_release);
  resetting_.store(0, std::memory_order_release);
}

bool SaidSet::Table::reserve_slot() noexcept {
  if (used.fetch_add(1, std::memory_order_relaxed) < max_used) return true;
  give_back_slot();
  return false;
}

void SaidSet::Table::give_back_slot() noexcept { used.fetch_sub(1, std::memory_order_relaxed); }

void SaidSet::Table::clear() noexcept {
  for (Slot& slot : slots) {
    if (slot.load(std::memory_order_relaxed) == 0) continue;
    // Exchanged, since one who began before the last reset may still write here.
    if (slot.exchange(0, std::memory_order_relaxed) != 0) give_back_slot();
  }
}

SaidSet::Claim::Claim(SaidSet& set, std::uint64_t key) noexcept : key_(key) {
  std::uint64_t generation = 0;
  do {
    release();
    generation = set.generation_.load(std::memory_order_acquire);
    claimed_ = key ^ multiply_fold(generation ^ pi, static_cast<std::uint64_t>(getpid()) ^ e);
    released_ = ~claimed_;
    claim(set.tables_[generation % 2]);
  } while (slot_ != nullptr && set.generation_.load(std::memory_order_acquire) != generation);
}

void SaidSet::Claim::claim(Table& table) noexcept {
  granted_ = false;
  for (std::uint64_t i = key_;; ++i) {
    Slot& slot = table.slots[i % slot_count];
    std::uint64_t found = slot.load(std::memory_order_acquire);
    while (found == 0 || found == released_) {
      const bool is_free = found == 0;
      if (is_free && !table.reserve_slot()) {
        granted_ = true;
        return;
      }
      if (slot.compare_exchange_strong(found, claimed_, std::memory_order_acq_rel)) {
        slot_ = &slot;
        granted_ = true;
        return;
      }
      if (is_free) table.give_back_slot();
    }
    if (found == key_ || found == claimed_) return;
  }
}

void SaidSet::Claim::commit() noexcept {
  std::uint64_t expected = claimed_;
  if (slot_ != nullptr) slot_->compare_exchange_strong(expected, key_);
  slot_ = nullptr;
}

void SaidSet::Claim::release() noexcept {
  std::uint64_t expected = claimed_;
  if (slot_ != nullptr) slot_->compare_exchange_strong(expected, released_);
  slot_ = nullptr;
}

}  // namespace mla_dtype::detail
