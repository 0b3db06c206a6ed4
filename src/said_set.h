// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace mla_dtype::detail {

/// What stands for a (level, text): a 64-bit hash of both, never 0.
std::uint64_t said_key(int level, std::string_view text) noexcept;

/// Which keys have been said. The one place that knows "once": claim, write, then commit or
/// release.
///
/// A table without locks: nobody waits for anybody, and a fork at any moment leaves a child that
/// works. A slot that a key has taken stays the key's until a reset, and all who look for a key
/// look through the same slots in the same order, so that only one of them can take the first free
/// one.
class SaidSet {
 public:
  /// How many keys are remembered at least.
  static constexpr std::size_t capacity = 4096;

  /// Whether the key has been said; if so, that happened before. Writes nothing.
  bool contains(std::uint64_t key) const noexcept;

  /// Calls `write` unless the key has been said, or another call is writing it at this moment. True
  /// if `write` was called and returned true; the key has then been said. If `write` returns false
  /// or throws, it has not.
  template <class Write>
  bool once(std::uint64_t key, Write&& write) {
    Claim claim(*this, key);
    if (!claim.granted() || !std::forward<Write>(write)()) return false;
    claim.commit();
    return true;
  }

  /// Forgets all keys, also those being written: each can be said again at once.
  void reset() noexcept;

 private:
  using Slot = std::atomic<std::uint64_t>;  // 0: free; a key: said; claimed or released: see Claim

  class Claim {
   public:
    Claim(SaidSet& set, std::uint64_t key) noexcept;
    ~Claim();  // releases what was not committed
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    bool granted() const noexcept { return granted_; }
    void commit() noexcept;

   private:
    const std::uint64_t key_;
    const std::uint64_t claimed_;   // in the slot while this claim lasts
    const std::uint64_t released_;  // in the slot afterwards, for the next claim of the key
    Slot* slot_ = nullptr;
    bool granted_ = false;
  };

  std::uint64_t claim_mask() const noexcept;
  bool reserve_slot() noexcept;  // false if the table is as full as it may get
  void give_back_slot() noexcept;

  // A look-up meets few keys but its own in a table that is never more than three quarters full.
  // The keys past `capacity` are room for those that failed to be written.
  static constexpr std::size_t slot_count = 2 * capacity;
  static constexpr std::size_t max_used = slot_count / 4 * 3;

  std::array<Slot, slot_count> slots_{};
  std::atomic<std::size_t> used_{0};          // never less than the slots that are not free
  std::atomic<std::uint64_t> generation_{0};  // how many resets there were
};

}  // namespace mla_dtype::detail
