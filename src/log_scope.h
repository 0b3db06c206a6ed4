// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <mla_dtype/once_log.h>

#include <cstddef>
#include <string_view>

#include "words/invalid_argument.h"

namespace mla_dtype::detail {

inline constexpr std::size_t scope_count = 3;

/// Throws std::invalid_argument for what is no LogScope.
inline std::size_t index_of(LogScope scope) {
  const auto index = static_cast<std::size_t>(scope);
  if (index >= scope_count) {
    throw_out_of_range("scope", "LogScope", static_cast<unsigned>(index));
  }
  return index;
}

/// One bit for each scope that a process of this rank speaks in: that of its index_of(). Throws
/// std::invalid_argument for a negative rank.
inline unsigned spoken_scopes(RankInfo rank) {
  const auto check = [](std::string_view field, int value) {
    if (value < 0) throw_invalid_argument(field, fmt::format("{}", value), "0 and above");
  };
  check("global_rank", rank.global_rank);
  check("local_rank", rank.local_rank);
  return 1U << index_of(LogScope::process) |
         (rank.local_rank == 0 ? 1U : 0U) << index_of(LogScope::local) |
         (rank.global_rank == 0 ? 1U : 0U) << index_of(LogScope::global);
}

}  // namespace mla_dtype::detail
