// SPDX-License-Identifier: Apache-2.0
#include "support/counted_memory.h"

#include <dlfcn.h>
#include <pthread.h>

#include <cstdlib>
#include <new>

namespace {

using namespace mla_dtype::testing;  // NOLINT: what is counted

void* allocate(std::size_t size) {
  ++allocations;
  allocated_bytes += size;
  if (size >= large) {
    for (Pages& block : page_blocks) {
      if (block.at != nullptr) continue;
      block.size = (size + page - 1) / page * page;
      block.at = std::aligned_alloc(page, block.size);
      if (block.at == nullptr) throw std::bad_alloc();
      return block.at;
    }
  }
  void* const at = std::malloc(size != 0 ? size : 1);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}

void release(void* at) noexcept {
  for (Pages& block : page_blocks) {
    if (at != nullptr && block.at == at) block.at = nullptr;
  }
  std::free(at);
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void operator delete(void* at) noexcept { release(at); }
void operator delete[](void* at) noexcept { release(at); }
void operator delete(void* at, std::size_t) noexcept { release(at); }
void operator delete[](void* at, std::size_t) noexcept { release(at); }

// No static within the function: some standard libraries lock a mutex to initialise one.
using Lock = int (*)(pthread_mutex_t*);
std::atomic<Lock> real_lock{nullptr};

extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  Lock real = real_lock;
  if (real == nullptr) {
    real = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
    real_lock = real;
  }
  ++locks;
  return real(mutex);
}
