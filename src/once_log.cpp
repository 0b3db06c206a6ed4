// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/once_log.h>
#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>

#include "log/keyed_log.h"
#include "log/said_key.h"
#include "log/said_set.h"
#include "words/invalid_argument.h"

namespace mla_dtype {
namespace {

bool lets_through(const spdlog::logger& logger, spdlog::level::level_enum level) {
  const auto& sinks = logger.sinks();
  return logger.should_log(level) && std::any_of(sinks.begin(), sinks.end(), [&](const auto& sink) {
           return sink->should_log(level);
         });
}

// spdlog's default logger. A static object may speak after the one that holds spdlog's loggers was
// destroyed, which cannot be asked then: `end` is made after that one, so destroyed before it, and
// what was the default logger by then speaks on if somebody else holds it. For the thread that
// destroys them: others may not speak meanwhile.
std::shared_ptr<spdlog::logger> default_logger() {
  static std::atomic<bool> ending{false};
  static auto& last = *new std::weak_ptr<spdlog::logger>;
  struct End {
    End() { spdlog::default_logger(); }
    ~End() {
      last = spdlog::default_logger();
      ending.store(true, std::memory_order_release);
    }
  };
  if (ending.load(std::memory_order_acquire)) return last.lock();
  static const End end;
  return spdlog::default_logger();
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  return level == LogLevel::info ? spdlog::level::info : spdlog::level::warn;
}

// What `speak` returns, or false where it throws.
template <class Speak>
bool without_exceptions(Speak speak) {
  try {
    return speak();
  } catch (...) {
    // No C++ exception: a cancelled thread, which glibc unwinds this way and may not be stopped.
    if (std::current_exception() == nullptr) throw;
    return false;
  }
}

}  // namespace

struct OnceLog::Impl {
  // What was said in the scope; null where this rank does not speak in it.
  detail::SaidSet* said_in(LogScope scope) {
    const bool speaks = detail::speaks(spoken.load(std::memory_order_relaxed), scope);
    return speaks ? &said[static_cast<std::size_t>(scope)] : nullptr;
  }

  // The logger, or null where nothing of this level gets through. It is the logger itself, no copy
  // of its sinks: so its level, sinks and error handler hold when they are changed later, and an
  // async logger stays async.
  std::shared_ptr<spdlog::logger> open_logger(spdlog::level::level_enum level) const {
    auto open = logger != nullptr ? logger : default_logger();
    return open != nullptr && lets_through(*open, level) ? open : nullptr;
  }

  bool say_once(LogScope scope, spdlog::level::level_enum level, std::uint64_t key,
                std::string_view message) {
    detail::SaidSet* const scope_said = said_in(scope);
    if (scope_said == nullptr) return false;
    const std::uint64_t text = detail::said_key(level, message);
    if (key == 0 && scope_said->contains(text)) return false;
    return without_exceptions([&] {
      const auto open = open_logger(level);
      return open != nullptr && scope_said->once(text, key, [&] {
        open->log(level, spdlog::string_view_t(message.data(), message.size()));
        // The logger tests the levels once more. If another thread closed them meanwhile, nobody
        // knows whether the record got through: rather said again than lost.
        return lets_through(*open, level);
      });
    });
  }

  const std::shared_ptr<spdlog::logger> logger;  // null: the default one
  std::atomic<unsigned> spoken;                  // detail::spoken_scopes()
  std::array<detail::SaidSet, 3> said = {};      // in each LogScope
};

unsigned detail::spoken_scopes(RankInfo rank) {
  check_not_negative("global_rank", rank.global_rank);
  check_not_negative("local_rank", rank.local_rank);
  return 1U | (rank.local_rank == 0 ? 2U : 0U) | (rank.global_rank == 0 ? 4U : 0U);
}

bool detail::speaks(unsigned spoken, LogScope scope) {
  check_enumerator("scope", "LogScope", scope, LogScope::global);
  return (spoken >> static_cast<unsigned>(scope) & 1U) != 0;
}

bool detail::KeyedLog::may_say(OnceLog& log, LogScope scope, LogLevel level, std::uint64_t key) {
  const SaidSet* const said = log.impl_->said_in(scope);
  if (said == nullptr || said->contains(key)) return false;
  return without_exceptions([&] { return log.impl_->open_logger(to_spdlog(level)) != nullptr; });
}

bool detail::KeyedLog::say_once(OnceLog& log, LogScope scope, LogLevel level, std::uint64_t key,
                                std::string_view text) {
  return log.impl_->say_once(scope, to_spdlog(level), key, text);
}

OnceLog::OnceLog(std::shared_ptr<spdlog::logger> logger, RankInfo rank)
    : impl_(new Impl{std::move(logger), detail::spoken_scopes(rank)}) {
  // So that the end is noticed also by one who first speaks then.
  if (impl_->logger == nullptr) default_logger();
}

OnceLog::~OnceLog() = default;

bool OnceLog::info_once(LogScope scope, std::string_view message) {
  return impl_->say_once(scope, spdlog::level::info, /*key=*/0, message);
}

bool OnceLog::warning_once(LogScope scope, std::string_view message) {
  return impl_->say_once(scope, spdlog::level::warn, /*key=*/0, message);
}

void OnceLog::set_rank(RankInfo rank) {
  impl_->spoken.store(detail::spoken_scopes(rank), std::memory_order_relaxed);
}

void OnceLog::reset() {
  for (detail::SaidSet& said : impl_->said) said.reset();
}

OnceLog& default_once_log() {
  static OnceLog& log = *new OnceLog;
  return log;
}

}  // namespace mla_dtype
