// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_backend.h>

#include <string>
#include <vector>

namespace mla_dtype::testing {

/// Of prefill backends, or of those that were rejected.
template <class Backend>
std::vector<std::string> names(const std::vector<Backend>& backends) {
  std::vector<std::string> result;
  for (const Backend& backend : backends) result.push_back(backend.name);
  return result;
}

inline std::vector<BlockerKind> kinds(const std::vector<Blocker>& blockers) {
  std::vector<BlockerKind> result;
  for (const Blocker& blocker : blockers) result.push_back(blocker.kind);
  return result;
}

}  // namespace mla_dtype::testing
