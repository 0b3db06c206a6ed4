// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/once_log.h>

#include "words/invalid_argument.h"

namespace mla_dtype::detail {

/// Whether a process of this rank speaks in the scope; std::invalid_argument for what is none.
inline bool speaks(RankInfo rank, LogScope scope) {
  check_enumerator("scope", "LogScope", scope, LogScope::global);
  if (scope == LogScope::process) return true;
  return (scope == LogScope::local ? rank.local_rank : rank.global_rank) == 0;
}

/// The rank; std::invalid_argument for a negative one.
inline RankInfo checked(RankInfo rank) {
  check_not_negative("global_rank", rank.global_rank);
  check_not_negative("local_rank", rank.local_rank);
  return rank;
}

}  // namespace mla_dtype::detail
