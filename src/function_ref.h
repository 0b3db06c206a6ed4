// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace mla_dtype::detail {

/// A callable of the caller's, for as long as the call lasts. Unlike a template parameter it keeps
/// the function that takes it out of headers, and compiled once; unlike std::function it never
/// allocates.
template <class Signature>
class FunctionRef;

template <class Result, class... Arguments>
class FunctionRef<Result(Arguments...)> {
 public:
  template <class Callable,
            std::enable_if_t<!std::is_same_v<std::decay_t<Callable>, FunctionRef>, int> = 0>
  FunctionRef(Callable&& callable)  // NOLINT: implicit, like a reference
      : callable_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
        call_([](void* target, Arguments... arguments) -> Result {
          return (*static_cast<std::remove_reference_t<Callable>*>(target))(
              std::forward<Arguments>(arguments)...);
        }) {}

  Result operator()(Arguments... arguments) const {
    return call_(callable_, std::forward<Arguments>(arguments)...);
  }

 private:
  void* callable_;
  Result (*call_)(void*, Arguments...);
};

}  // namespace mla_dtype::detail
