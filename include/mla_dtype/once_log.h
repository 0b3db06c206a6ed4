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
/// zero times. Said means: the rank, the logger's level and at least one of its sinks' levels let
/// the record through, and the write returned. What was held back has not been said, and may be
/// said by a later call. A call that meets its own record being written by another thread returns
/// false without waiting for it. (If another thread raises a level during the call, the message may
/// be said again later.)
///
/// The scopes do not silence each other, nor do two OnceLogs.
///
/// Texts are remembered as 64-bit hashes, in 6,144 places per scope; a text that could not be
/// written keeps its place, too, until reset(). Once all are taken a new text still passes, and may
/// then repeat. The chance that a new text is lost because its hash equals one of 6,144 is
/// 6144 / 2^64, about 3e-16, for texts that were not made to collide. Memory is constant: 384 KiB
/// for each OnceLog.
///
/// All functions may be called from any thread at any time, and take no lock of their own. A call
/// for what has been said allocates nothing and writes nothing shared. After fork() the child
/// inherits what was said; what another thread was saying at that moment, the child may say itself.
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

  /// True if the message was written by this call. It is written as it is: braces mean nothing.
  /// What the logger throws does not reach the caller: the call returns false, and the message may
  /// be said again. What spdlog itself swallows (a std::exception from a sink) counts as said. A
  /// LogScope that is no enumerator: std::invalid_argument.
  bool info_once(LogScope scope, std::string_view message);
  bool warning_once(LogScope scope, std::string_view message);

  /// For an engine that learns its rank after making the log. Negative: std::invalid_argument.
  void set_rank(RankInfo rank);

  /// Forgets what was said (for tests, or when a model is loaded again), also what is being said at
  /// this moment.
  void reset();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// The log of those who inject none: over spdlog's default logger, rank 0 until set_rank() is
/// called. One per process, or one per shared library that links this library statically. Never
/// destroyed.
MLA_DTYPE_EXPORT OnceLog& default_once_log();

}  // namespace mla_dtype
