// SPDX-License-Identifier: Apache-2.0
#include "said_set.h"

namespace mla_dtype::detail {
namespace {

// A third of the slots is always free: a look-up ends, and meets few keys but its own.
constexpr std::size_t slot_count = 7680;
static_assert(slot_count / 3 * 2 == SaidSet::text_quota + SaidSet::decision_quota);
static_assert(slot_count * sizeof(std::uint64_t) + 4096 <= std::size_t{64} * 1024,
              "what else a log takes fits into 64 KiB, too");

// A key stands in the first slot that was free when it was entered, from this one on and around.
std::size_t first_slot(std::uint64_t key) noexcept {
  return static_cast<std::size_t>((key >> 32) * slot_count >> 32);
}

}  // namespace

bool SaidSet::contains(std::uint64_t key) const noexcept {
  const Slot* const slots = slots_.load(std::memory_order_acquire);
  if (slots == nullptr) return false;
  for (std::size_t i = first_slot(key);; i = (i + 1) % slot_count) {
    const std::uint64_t found = slots[i].load(std::memory_order_acquire);
    if (found == 0) return false;
    if (found == key) return true;
  }
}

SaidSet::Claim::Claim(SaidSet& owner, std::uint64_t text_key, std::uint64_t decision_key)
    : set(owner), text(text_key), decision(decision_key) {
  const std::lock_guard lock(set.mutex_);
  if (set.slots_.load(std::memory_order_relaxed) == nullptr) {
    set.slots_.store(new Slot[slot_count](), std::memory_order_release);
  }
  Claim*& claim = set.claim_of(text);
  if (set.contains(text)) {
    set.enter(decision, set.decisions_, decision_quota);
  } else if (claim == nullptr) {
    claim = this;
    granted = true;
  }
}

SaidSet::Claim::~Claim() {
  if (!granted) return;
  const std::lock_guard lock(set.mutex_);
  Claim*& claim = set.claim_of(text);
  if (claim != this) return;  // a reset() was quicker
  claim = next;
  if (!written) return;
  set.enter(text, set.texts_, text_quota);
  set.enter(decision, set.decisions_, decision_quota);
}

void SaidSet::reset() noexcept {
  const std::lock_guard lock(mutex_);
  claims_ = nullptr;
  texts_ = decisions_ = 0;
  Slot* const slots = slots_.load(std::memory_order_relaxed);
  if (slots == nullptr) return;
  for (std::size_t i = 0; i < slot_count; ++i) slots[i].store(0, std::memory_order_relaxed);
}

SaidSet::Claim*& SaidSet::claim_of(std::uint64_t text) noexcept {
  Claim** link = &claims_;
  while (*link != nullptr && (*link)->text != text) link = &(*link)->next;
  return *link;
}

void SaidSet::enter(std::uint64_t key, std::size_t& count, std::size_t quota) noexcept {
  if (key == 0 || count == quota || contains(key)) return;
  Slot* const slots = slots_.load(std::memory_order_relaxed);
  std::size_t i = first_slot(key);
  while (slots[i].load(std::memory_order_relaxed) != 0) i = (i + 1) % slot_count;
  slots[i].store(key, std::memory_order_release);
  ++count;
}

}  // namespace mla_dtype::detail
