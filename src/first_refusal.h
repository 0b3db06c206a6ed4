// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_query.h>

#include <atomic>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include "prefill_candidates.h"

namespace mla_dtype::detail {

/// The first refusal of a request by a table of backends, in words: to compose it, with advice that
/// is proven, takes several times as long as to decide, and an engine asks for each layer. The
/// first one only, so that it can be read without a lock: others are composed each time.
class FirstRefusal {
 public:
  FirstRefusal() = default;
  FirstRefusal(const FirstRefusal&) = delete;
  FirstRefusal& operator=(const FirstRefusal&) = delete;
  ~FirstRefusal() { delete refusal_.load(std::memory_order_relaxed); }

  /// Its text, if it was of these inputs; else empty.
  std::string_view find(const Inputs& inputs, bool may_change_cache,
                        const Environment& env) const noexcept {
    const Refusal* const first = refusal_.load(std::memory_order_acquire);
    const bool is_same = first != nullptr && first->inputs == inputs &&
                         first->may_change_cache == may_change_cache &&
                         first->flag_spelling == env.flag_spelling &&
                         first->kv_cache_dtype_spelling == env.kv_cache_dtype_spelling &&
                         first->prefill_backend_spelling == env.prefill_backend_spelling;
    return is_same ? std::string_view(first->text) : std::string_view();
  }

  /// Does nothing if it is not the first one, or if there is no memory for it.
  void remember(const Inputs& inputs, bool may_change_cache, const Environment& env,
                std::string_view text) noexcept {
    if (refusal_.load(std::memory_order_relaxed) != nullptr) return;
    try {
      auto refusal = std::make_unique<Refusal>(
          Refusal{std::string(inputs.cache_dtype), inputs, may_change_cache, env.flag_spelling,
                  env.kv_cache_dtype_spelling, env.prefill_backend_spelling, std::string(text)});
      refusal->inputs.cache_dtype = refusal->cache_dtype;
      const Refusal* none = nullptr;
      if (refusal_.compare_exchange_strong(none, refusal.get(), std::memory_order_release,
                                           std::memory_order_relaxed)) {
        static_cast<void>(refusal.release());  // owned by refusal_ now
      }
    } catch (const std::bad_alloc&) {
    }
  }

 private:
  struct Refusal {
    std::string cache_dtype;
    Inputs inputs;
    bool may_change_cache;
    std::string flag_spelling, kv_cache_dtype_spelling, prefill_backend_spelling;
    std::string text;
  };

  std::atomic<const Refusal*> refusal_{nullptr};
};

}  // namespace mla_dtype::detail
