// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/export.h>

#include <cstdint>
#include <memory>
#include <string_view>

namespace spdlog {
class logger;
}

namespace mla_dtype {

namespace detail {
struct KeyedLog;
}

/// Which of an engine's processes say a thing.
enum class LogScope : std::uint8_t {
  process,  ///< every process
  local,    ///< the first on each node: local rank 0
  global,   ///< the first of all: global rank 0
};

/// How loud a message is.
enum class LogLevel : std::uint8_t { info, warning };

/// The position of this process among the engine's processes; 0 is the first. By default a process
/// takes itself for the first one.
struct RankInfo {
  int global_rank = 0;  ///< among all of the engine's processes
  int local_rank = 0;   ///< among those on this node
};

/// Says each distinct (level, text) once per scope, through an spdlog logger.
///
/// "Once" is exact under any number of threads: never twice and, unless the logger fails, never
/// zero times. The scopes do not silence each other, nor do two OnceLogs.
///
/// A call returns true if it wrote the message, and false
///   - if this rank does not speak in the scope, or the logger's level or all of its sinks' levels
///     hold the message back, or one is raised during the call: it has not been said, and may be
///     said by a later call;
///   - if it was said before;
///   - if another call is writing it at this moment, which is not waited for;
///   - if the logger throws, there is no logger, or no memory: it may be said by a later call. What
///     spdlog itself swallows (a std::exception from a sink) counts as said.
///
/// Texts are remembered as 64-bit hashes, at least 4,096 in each scope. Past that a new text still
/// passes, and may then repeat. The chance that a new text is lost because its hash equals one that
/// is remembered is about 2e-15, for texts that were not made to collide. Memory is taken when a
/// scope first speaks, once and for all: 60 KiB for each scope that does.
///
/// All functions may be called from any thread at any time. A call for what was said takes no lock,
/// allocates nothing and writes nothing shared; others lock, but never while a record is written.
/// After fork() the child inherits what was said. As with spdlog's own sinks, fork while no other
/// thread logs.
///
/// A OnceLog over a logger that itself holds a OnceSink cannot see that filter: use one of the two.
///
///     mla_dtype::OnceLog log(engine_logger, rank);
///     log.info_once(mla_dtype::LogScope::local, "KV cache: 61 layers");  // true: written
///     log.info_once(mla_dtype::LogScope::local, "KV cache: 61 layers");  // false
class MLA_DTYPE_EXPORT OnceLog {
 public:
  /// Writes to `logger`, whose level, pattern, sinks and name hold, also when changed later; null:
  /// to spdlog's default logger at the time of each call; also from static destructors, while that
  /// logger is there (of the thread that runs them; others may not speak through it meanwhile). A
  /// negative rank: std::invalid_argument.
  explicit OnceLog(std::shared_ptr<spdlog::logger> logger = nullptr, RankInfo rank = {});
  ~OnceLog();
  OnceLog(const OnceLog&) = delete;
  OnceLog& operator=(const OnceLog&) = delete;

  /// True if the message was written by this call. It is written as it is: braces mean nothing. A
  /// LogScope that is no enumerator: std::invalid_argument; no other exception reaches the caller.
  bool info_once(LogScope scope, std::string_view message);
  bool warning_once(LogScope scope, std::string_view message);

  /// For an engine that learns its rank after making the log. Negative: std::invalid_argument.
  void set_rank(RankInfo rank);

  /// Forgets what was said (for tests, or when a model is loaded again), also what is being said at
  /// this moment.
  void reset();

 private:
  friend struct detail::KeyedLog;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The log of those who inject none: over spdlog's default logger, rank 0 until set_rank() is
/// called. One per process, or one per shared library that links this library statically. Never
/// destroyed.
[[nodiscard]] MLA_DTYPE_EXPORT OnceLog& default_once_log();

}  // namespace mla_dtype
