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

/// Writes to spdlog's default logger at the time of the call, or, without spdlog, to stderr.
std::unique_ptr<Writer> make_default_writer();

}  // namespace mla_dtype::detail
