// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <new>
#include <optional>
#include <utility>

namespace mla_dtype::testing {

/// All that is allocated, and which allocation is to fail: a program with failing_memory.cpp in it
/// has operator new replaced. No test of it starts a thread.
struct Memory {
  long blocks = 0;           // that are not freed
  long fail_at = 0;          // the allocation that fails, counted from 1; 0: none
  bool and_after = false;    // also all after it
  long allocations = 0;      // since then
  bool is_failing = false;   // whether one has failed
  bool is_suspended = true;  // for what is the test's own
};
inline Memory memory;

/// Sets is_suspended for its life.
class Suspended {
 public:
  explicit Suspended(bool suspended = true)
      : before_(std::exchange(memory.is_suspended, suspended)) {}
  ~Suspended() { memory.is_suspended = before_; }
  Suspended(const Suspended&) = delete;
  Suspended& operator=(const Suspended&) = delete;

 private:
  const bool before_;
};

/// What `call` returns with its n-th allocation failing; none if it throws std::bad_alloc.
template <class Call>
auto with_fault(long n, bool and_after, Call call) -> std::optional<decltype(call())> {
  memory.fail_at = n;
  memory.and_after = and_after;
  memory.allocations = 0;
  memory.is_failing = false;
  const Suspended failing(false);
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return std::nullopt;
  }
}

/// Calls `attempt(n, and_after)` for n = 1, 2, ... until the n-th allocation of its with_fault() is
/// one too many; once with only that one failing, once with all from there on. Nothing may leak.
/// Returns how many failed.
template <class Attempt>
int at_every_allocation(Attempt attempt) {
  int failures = 0;
  for (const bool and_after : {false, true}) {
    for (long n = 1;; ++n) {
      SCOPED_TRACE(::testing::Message()
                   << "allocation " << n << (and_after ? " and all after" : ""));
      const long blocks = memory.blocks;
      attempt(n, and_after);
      EXPECT_EQ(memory.blocks, blocks) << "leaked";
      if (!memory.is_failing) break;
      ++failures;
    }
  }
  return failures;
}

}  // namespace mla_dtype::testing
