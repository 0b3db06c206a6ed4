// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/once_log.h>

#include <optional>

namespace mla_dtype::detail {

/// A OnceLog for those who know a record by a key (SaidSet's) before they compose its text. Like
/// info_once(), these throw std::invalid_argument for a scope that is none, and nothing else.
struct KeyedLog {
  /// Whether it is worth composing: in this order, the rank speaks in the scope, no record of this
  /// key was said there (up to here no lock, no allocation, no write), the logger lets it through.
  [[nodiscard]] static bool may_say(OnceLog& log, LogScope scope, LogLevel level,
                                    std::uint64_t key);

  /// Says the text unless it was said, in whatever way; `key` 0: there is none. True if this call
  /// wrote it. When the key then counts as said, too: SaidSet::once().
  static bool say_once(OnceLog& log, LogScope scope, LogLevel level, std::uint64_t key,
                       std::string_view text);
};

/// A bit for each scope that this rank speaks in; std::invalid_argument for a negative one.
unsigned spoken_scopes(RankInfo rank);

/// Whether the scope is among them; std::invalid_argument for what is none.
bool speaks(unsigned spoken, LogScope scope);

/// Where a OnceLog writes: whether the record got through, or, without a text, whether one of this
/// level does. Throws what the engine's logger throws.
using Writer = std::function<bool(LogLevel level, std::optional<std::string_view> text)>;

#if MLA_DTYPE_WITH_SPDLOG
/// Through the logger; null: through spdlog's default logger at the time of the call.
Writer make_writer(std::shared_ptr<spdlog::logger> logger);
#endif

}  // namespace mla_dtype::detail
