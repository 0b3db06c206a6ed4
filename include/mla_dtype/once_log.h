// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/features.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#if MLA_DTYPE_WITH_SPDLOG
namespace spdlog {
class logger;
}
#endif

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

/// What is logged: for an engine that logs it itself.
struct MLA_DTYPE_ABI LogRecord {
  LogLevel level = LogLevel::info;
  std::string text{};
};

/// The position of this process among the engine's processes; 0 is the first.
struct RankInfo {
  int global_rank = 0;  ///< among all of the engine's processes
  int local_rank = 0;   ///< among those on this node
};

/// Says each distinct (level, text) once per OnceLog and scope, through an spdlog logger or a
/// function: never twice and, unless that fails, never zero times, from any number of threads.
///
/// A call returns true if it wrote the message. If not, it was said before, or another call is
/// writing it, which is not waited for; or it has not been said, and may be by a later call: this
/// rank does not speak in the scope, the logger's level or all of its sinks' levels hold it back or
/// one is raised meanwhile, the logger or function throws, there is no logger, or no memory. What
/// spdlog itself swallows (a std::exception from a sink) counts as said.
///
/// Texts are remembered as 64-bit hashes, at least 4,096 in each scope. Past that a new text still
/// passes, and may then repeat. A new text is lost to one of the same hash with a probability of
/// about 2e-15, if none was made to collide. A scope takes 60 KiB when it first speaks.
///
/// All functions may be called from any thread at any time. A call for what was said takes no lock,
/// allocates nothing and writes nothing shared; others lock, but never while a record is written.
/// A child of fork() inherits what was said; as with spdlog's own sinks, fork while no other thread
/// logs. Not for a logger that holds a OnceSink, whose filter a OnceLog cannot see.
///
///     OnceLog log(engine_logger, rank);  // or ([](LogLevel level, std::string_view text) { ... })
///     log.info_once(LogScope::local, "KV cache: 61 layers");  // true: written
///     log.info_once(LogScope::local, "KV cache: 61 layers");  // false
class MLA_DTYPE_EXPORT OnceLog {
 public:
  /// Writes to spdlog's default logger at the time of each call, also in static destructors while
  /// somebody holds it (no other thread may speak through it meanwhile); in a library that was
  /// built without spdlog, to stderr. A negative rank: std::invalid_argument.
  explicit OnceLog(std::nullptr_t = nullptr, RankInfo rank = {});

#if MLA_DTYPE_WITH_SPDLOG
  /// Writes to `logger`, with its level, pattern, sinks and name at each call. Null: as above.
  explicit OnceLog(std::shared_ptr<spdlog::logger> logger, RankInfo rank = {});
#endif

  /// Calls `write` for each record, also from several threads at once; null: std::invalid_argument.
  explicit OnceLog(std::function<void(LogLevel level, std::string_view text)> write,
                   RankInfo rank = {});
  ~OnceLog();
  OnceLog(const OnceLog&) = delete;
  OnceLog& operator=(const OnceLog&) = delete;

  /// True: written by this call, as it is: braces mean nothing. A LogScope that is no enumerator:
  /// std::invalid_argument; no other exception reaches the caller.
  bool info_once(LogScope scope, std::string_view message);
  bool warning_once(LogScope scope, std::string_view message);

  /// For an engine that learns its rank after making the log. Negative: std::invalid_argument.
  void set_rank(RankInfo rank);

  /// Forgets what was said or is being said: for tests, or when a model is loaded again.
  void reset();

 private:
  friend struct detail::KeyedLog;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The log of those who inject none: OnceLog(nullptr), of rank 0 until set_rank(). One per process,
/// or per shared library that links this library statically. Never destroyed.
[[nodiscard]] MLA_DTYPE_EXPORT OnceLog& default_once_log();

}  // namespace mla_dtype
