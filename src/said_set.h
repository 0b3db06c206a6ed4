// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <utility>

namespace mla_dtype::detail {

/// What stands for a (level, text): a 64-bit hash of both, never 0.
std::uint64_t said_key(int level, std::string_view text) noexcept;

/// Which keys have been said. The one place that knows "once": claim, write, then commit or
/// release.
///
/// Claims go through a mutex, which orders everything that happens at most once for each key.
/// contains() reads only the table of what has been said; a key enters it after its write returned,
/// and a key it misses is looked up again under the mutex, so it needs no lock to be exact.
class SaidSet {
 public:
  static constexpr std::size_t capacity = 4096;

  /// Whether the key has been said. No lock, no write.
  bool contains(std::uint64_t key) const noexcept;

  /// Calls `write` unless the key has been said or another call is writing it at this moment. True
  /// if `write` was called and returned true; the key has then been said. False or an exception
  /// from `write` leaves it unsaid.
  template <class Write>
  bool once(std::uint64_t key, Write&& write) {
    Claim claim(*this, key);
    if (!claim.granted() || !std::forward<Write>(write)()) return false;
    claim.commit();
    return true;
  }

  /// Forgets all keys. A write in progress will not be remembered either: after the reset its key
  /// can be said again at once.
  void reset() noexcept;

 private:
  // A key being written, on the stack of the thread that writes it.
  class Claim {
   public:
    Claim(SaidSet& set, std::uint64_t key) noexcept;
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    bool granted() const noexcept { return granted_; }
    void commit() noexcept;

   private:
    friend class SaidSet;
    void leave() noexcept;  // with the mutex held

    SaidSet& set_;
    const std::uint64_t key_;
    Claim* next_ = nullptr;
    bool granted_ = false;
    bool listed_ = false;  // guarded by the mutex; a reset takes claims off the list
  };

  // At most half full, so that a look-up meets few keys but its own.
  static constexpr std::size_t slot_count = 2 * capacity;

  std::array<std::atomic<std::uint64_t>, slot_count> slots_{};  // 0: free
  std::mutex mutex_;
  std::size_t size_ = 0;     // guarded by mutex_
  Claim* claims_ = nullptr;  // guarded by mutex_
};

}  // namespace mla_dtype::detail
