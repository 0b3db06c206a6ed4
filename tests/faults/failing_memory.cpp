// SPDX-License-Identifier: Apache-2.0
#include "faults/failing_memory.h"

#include <cstddef>
#include <cstdlib>

namespace {

using mla_dtype::testing::memory;

void* allocate(std::size_t size) noexcept {
  if (!memory.is_suspended) {
    ++memory.allocations;
    if (memory.allocations == memory.fail_at ||
        (memory.and_after && memory.allocations > memory.fail_at)) {
      memory.is_failing = true;
      return nullptr;
    }
  }
  void* const at = std::malloc(size != 0 ? size : 1);
  if (at != nullptr) ++memory.blocks;
  return at;
}

void* allocate_or_throw(std::size_t size) {
  void* const at = allocate(size);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}

void release(void* at) noexcept {
  if (at != nullptr) --memory.blocks;
  std::free(at);
}

}  // namespace

void* operator new(std::size_t size) { return allocate_or_throw(size); }
void* operator new[](std::size_t size) { return allocate_or_throw(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void operator delete(void* at) noexcept { release(at); }
void operator delete[](void* at) noexcept { release(at); }
void operator delete(void* at, std::size_t) noexcept { release(at); }
void operator delete[](void* at, std::size_t) noexcept { release(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { release(at); }
void operator delete[](void* at, const std::nothrow_t&) noexcept { release(at); }
