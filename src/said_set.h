// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

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
/// Without locks: nobody waits for anybody, and a fork at any moment leaves a child that works. In
/// a table a slot that is taken stays taken, and all who look for a key look through the same slots
/// in the same order; so only one of them can take the first free one. A reset clears a second
/// table first, and then makes it the one in use at a stroke.
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
  using Slot = std::atomic<std::uint64_t>;  // 0: free; a key: said; any other: see Claim

  // A look-up meets few keys but its own in a table that is never more than three quarters full.
  // The keys past `capacity` are room for those that failed to be written.
  static constexpr std::size_t slot_count = 2 * capacity;
  static constexpr std::size_t max_used = slot_count / 4 * 3;

  struct Table {
    std::array<Slot, slot_count> slots{};
    std::atomic<std::size_t> used{0};  // never less than the slots that are not free

    bool reserve_slot() noexcept;  // false if the table is as full as it may get
    void give_back_slot() noexcept;
    void clear() noexcept;
  };

  // A key being written. In its slot stands `claimed_`, and after a write that failed `released_`,
  // for the next claim of the key. Both hold in this process and until the next reset; in any other
  // they are some key that nobody looks for: a child does not wait for threads that only its parent
  // has, and what was claimed before a reset cannot commit after it.
  class Claim {
   public:
    Claim(SaidSet& set, std::uint64_t key) noexcept;
    ~Claim() { release(); }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    bool granted() const noexcept { return granted_; }
    void commit() noexcept;

   private:
    void claim(Table& table) noexcept;
    void release() noexcept;

    const std::uint64_t key_;
    std::uint64_t claimed_ = 0;
    std::uint64_t released_ = 0;
    Slot* slot_ = nullptr;  // null where the table is full: written, and not remembered
    bool granted_ = false;
  };

  std::array<Table, 2> tables_;               // the one in use: that of generation_ % 2
  std::atomic<std::uint64_t> generation_{0};  // how many resets there were
  std::atomic<pid_t> resetting_{0};           // the process that is resetting, or 0
};

}  // namespace mla_dtype::detail
