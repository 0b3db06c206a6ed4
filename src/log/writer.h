// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/once_log.h>

namespace mla_dtype::detail {

/// Where a OnceLog writes.
struct Writer {
  /// Whether a record of this level gets through.
  std::function<bool(LogLevel level)> is_open;

  /// Writes it; whether it got through. Throws what the engine's logger throws.
  std::function<bool(LogLevel level, std::string_view text)> write;
};

#if MLA_DTYPE_WITH_SPDLOG
/// Through the logger; null: through spdlog's default logger at the time of the call.
Writer make_writer(std::shared_ptr<spdlog::logger> logger);
#endif

}  // namespace mla_dtype::detail
