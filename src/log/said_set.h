// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace mla_dtype::detail {

/// What has been said in one scope: the one place that knows "once". One table remembers keys of
/// two kinds: of texts, and of decisions, which let a caller ask before there is a text. A key is a
/// hash of 64 bits, all of them mixed well, and not 0.
///
/// The table is read without a lock and changed under one, which nobody holds while a record is
/// written. So a "yes" of contains() is final; after its "no", once() looks again under the lock.
class SaidSet {
 public:
  /// How many are remembered of each kind.
  static constexpr std::size_t text_quota = 4096;
  static constexpr std::size_t decision_quota = 1024;

  ~SaidSet() { delete[] slots_.load(std::memory_order_relaxed); }

  /// Whether the key was said. Takes no lock, allocates nothing, writes nothing.
  bool contains(std::uint64_t key) const noexcept;

  /// Calls `write` unless the text was said, or is being written by another call. True if `write`
  /// was called and returned true: only then text and decision (0: none) count as said, both or,
  /// after a reset() meanwhile, neither. Of a text that was said before, the decision counts as
  /// said, too. Past its quota a text is written and a decision is not remembered. Throws what
  /// `write` throws, and std::bad_alloc, before it is called.
  template <class Write>
  bool once(std::uint64_t text, std::uint64_t decision, Write&& write) {
    Claim claim(*this, text, decision);
    if (claim.granted) claim.written = write();
    return claim.written;
  }

  /// Forgets all keys, also those being written: each can be said again at once.
  void reset() noexcept;

 private:
  using Slot = std::atomic<std::uint64_t>;  // 0: free

  // A text being written, until its call ends, also by an exception or a cancelled thread.
  struct Claim {
    Claim(SaidSet& set, std::uint64_t text, std::uint64_t decision);
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    SaidSet& set;
    const std::uint64_t text;
    const std::uint64_t decision;
    Claim* next = nullptr;  // in claims_
    bool granted = false;
    bool written = false;
  };

  // Both with mutex_ held. The text's link in claims_; that at the end if there is none.
  Claim*& claim_of(std::uint64_t text) noexcept;
  void enter(std::uint64_t key, std::size_t& count, std::size_t quota) noexcept;

  std::mutex mutex_;
  std::atomic<Slot*> slots_{nullptr};  // the table, once there is one
  Claim* claims_ = nullptr;            // what is being written: each lies on its writer's stack
  std::size_t texts_ = 0;
  std::size_t decisions_ = 0;
};

}  // namespace mla_dtype::detail
