// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/once_log.h>

#if !MLA_DTYPE_WITH_SPDLOG
#error "mla_dtype was built without spdlog (MLA_DTYPE_WITH_SPDLOG=OFF): there is no OnceSink"
#endif

#include <spdlog/common.h>
#include <spdlog/sinks/sink.h>

#include <vector>

namespace mla_dtype {
namespace detail {
class SaidSet;
}

/// An spdlog sink that lets each distinct (level, text) pass once to the sinks it wraps, unlike
/// spdlog's dup_filter_sink also when other messages come between and however late. "Once", the
/// bound, memory, and the cost of a record that is held back are those of one scope of a OnceLog;
/// on a rank that does not speak in this scope nothing passes. Thread-safe over `_mt` sinks.
///
/// A record passes to every wrapped sink whose level lets it through; if there is none, it has not
/// been said. If one throws, the others still get it, the first exception is rethrown, for spdlog's
/// error handler, and it may be said again. No memory: std::bad_alloc, and nothing is written.
///
///     auto sink = std::make_shared<OnceSink>(engine_logger->sinks());
///     auto once = std::make_shared<spdlog::logger>("once", sink);
class MLA_DTYPE_EXPORT OnceSink final : public spdlog::sinks::sink {
 public:
  /// std::invalid_argument: no sinks or a null one, no enumerator of LogScope, a negative rank.
  explicit OnceSink(std::vector<spdlog::sink_ptr> sinks, LogScope scope = LogScope::process,
                    RankInfo rank = {});
  ~OnceSink() override;

  void log(const spdlog::details::log_msg& msg) override;
  void flush() override;
  void set_pattern(const std::string& pattern) override;
  void set_formatter(std::unique_ptr<spdlog::formatter> sink_formatter) override;

  void reset();  ///< Forgets what was said; from any thread at any time.

 private:
  std::vector<spdlog::sink_ptr> sinks_;
  bool speaks_ = false;
  std::unique_ptr<detail::SaidSet> said_;
};

}  // namespace mla_dtype
