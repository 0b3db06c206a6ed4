// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

namespace mla_dtype::testing {

// A program with counted_memory.cpp in it has operator new and pthread_mutex_lock replaced.
inline std::atomic<int> allocations{0};
inline std::atomic<std::size_t> allocated_bytes{0};
inline std::atomic<int> locks{0};

// Large blocks get pages of their own, so that a test can make them read-only.
inline constexpr std::size_t page = 4096;
inline std::size_t large = 4 * page;
struct Pages {
  void* at;
  std::size_t size;
};
inline Pages page_blocks[64];

struct Cost {
  int allocations, locks;
};

template <class Call>
Cost cost_of(Call call) {
  const int allocations_before = allocations;
  const int locks_before = locks;
  call();
  return {allocations - allocations_before, locks - locks_before};
}

template <class Call>
void expect_free(Call call) {
  call();
  const Cost cost = cost_of([&] {
    for (int i = 0; i < 1000; ++i) call();
  });
  EXPECT_EQ(cost.allocations, 0);
  EXPECT_EQ(cost.locks, 0);
}

/// Runs `call` in a child in which every large block is read-only. True if it wrote to none.
template <class Call>
bool writes_nothing(Call call) {
  const pid_t child = fork();
  if (child == 0) {
    for (const Pages& block : page_blocks) {
      if (block.at != nullptr && mprotect(block.at, block.size, PROT_READ) != 0) _exit(2);
    }
    call();
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  return !WIFSIGNALED(status);
}

/// Made with pages for all that it is made of, not for large blocks alone.
template <class Made, class... Arguments>
std::unique_ptr<Made> make_on_pages(const Arguments&... arguments) {
  const std::size_t before = std::exchange(large, 1);
  auto made = std::make_unique<Made>(arguments...);
  large = before;
  return made;
}

/// How many bytes are asked for, freed or not.
template <class Call>
std::size_t bytes_of(Call call) {
  const std::size_t before = allocated_bytes;
  call();
  return allocated_bytes - before;
}

inline constexpr std::size_t one_kib = 1024;

/// The resident memory, as the kernel counts it exactly.
inline std::size_t resident_kib() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string word; rollup >> word;) {
    std::size_t kib = 0;
    if (word == "Rss:" && rollup >> kib) return kib;
  }
  return 0;
}

/// Made by `make`, said to by `say(made, message)`: 10^6 messages in no more than `bound_kib`.
template <class Make, class Say>
void expect_constant_memory(std::size_t bound_kib, Make make, Say say) {
  std::string message = "00000000";
  const auto first = make();  // with it comes code that was not used before
  say(*first, message);
  const std::size_t before = resident_kib();
  const auto made = make();
  const Cost cost = cost_of([&] {
    for (int i = 0; i < 1'000'000; ++i) {
      for (std::size_t digit = 0; ++message[digit] > '9'; ++digit) message[digit] = '0';
      say(*made, message);
    }
  });
  EXPECT_EQ(cost.allocations, 1) << "the table; nothing below the bound, nothing past it";
  if (before == 0) GTEST_SKIP() << "this kernel has no /proc/self/smaps_rollup";
  constexpr std::size_t other_kib = 128;  // what else the first of many calls touches
  EXPECT_LE(resident_kib(), before + bound_kib + other_kib);
}

}  // namespace mla_dtype::testing
