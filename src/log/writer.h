// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/once_log.h>

#include <memory>
#include <string_view>

namespace mla_dtype::detail {

/// Where a OnceLog writes.
class Writer {
 public:
  virtual ~Writer() = default;

  /// Whether a record of this level gets through.
  virtual bool is_open(LogLevel level) = 0;

  /// Writes it; whether it got through. Throws what the engine's logger throws.
  virtual bool write(LogLevel level, std::string_view text) = 0;
};

#if MLA_DTYPE_WITH_SPDLOG
/// Through the logger; null: through spdlog's default logger at the time of the call.
std::unique_ptr<Writer> make_writer(std::shared_ptr<spdlog::logger> logger);
#else
/// To stderr.
std::unique_ptr<Writer> make_writer(std::nullptr_t);
#endif

}  // namespace mla_dtype::detail
