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
#include "log_scope.h"

namespace mla_dtype {
namespace {

bool lets_through(const spdlog::logger& logger, spdlog::level::level_enum level) {
  const auto& sinks = logger.sinks();
  return logger.should_log(level) &&
         std::any_of(sinks.begin(), sinks.end(),
                     [&](const spdlog::sink_ptr& sink) { return sink->should_log(level); });
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

// The records go to the logger itself, not to a copy of its sinks: so its level, sinks and error
// handler hold when they are changed later, and an async logger stays async.
class OnceLog::Impl {
 public:
  Impl(std::shared_ptr<spdlog::logger> logger, RankInfo rank)
      : logger_(std::move(logger)), spoken_scopes_(detail::spoken_scopes(rank)) {
    // So that the end is noticed also by one who first speaks then.
    if (logger_ == nullptr) default_logger();
  }

  bool may_say(LogScope scope, spdlog::level::level_enum level, std::uint64_t decision) const {
    const std::size_t index = detail::index_of(scope);
    if (!speaks(index) || said_[index].contains(decision)) return false;
    return without_exceptions([&] { return open_logger(level) != nullptr; });
  }

  // `decision` is 0 where there is none.
  bool say_once(LogScope scope, spdlog::level::level_enum level, std::uint64_t decision,
                std::string_view message) {
    const std::size_t index = detail::index_of(scope);
    if (!speaks(index)) return false;
    detail::SaidSet& said = said_[index];
    const std::uint64_t text = detail::said_key(level, message);
    if (decision == 0 && said.contains(text)) return false;
    return without_exceptions([&] {
      const auto logger = open_logger(level);
      return logger != nullptr && said.once(text, decision, [&] {
        logger->log(level, spdlog::string_view_t(message.data(), message.size()));
        // The logger tests the levels once more. If another thread closed them meanwhile, nobody
        // knows whether the record got through: rather said again than lost.
        return lets_through(*logger, level);
      });
    });
  }

  void set_rank(RankInfo rank) {
    spoken_scopes_.store(detail::spoken_scopes(rank), std::memory_order_relaxed);
  }

  void reset() {
    for (detail::SaidSet& said : said_) said.reset();
  }

 private:
  bool speaks(std::size_t scope) const {
    return (spoken_scopes_.load(std::memory_order_relaxed) >> scope & 1U) != 0;
  }

  // The logger, or null where nothing of this level gets through.
  std::shared_ptr<spdlog::logger> open_logger(spdlog::level::level_enum level) const {
    auto logger = logger_ != nullptr ? logger_ : default_logger();
    if (logger != nullptr && !lets_through(*logger, level)) logger = nullptr;
    return logger;
  }

  const std::shared_ptr<spdlog::logger> logger_;
  std::atomic<unsigned> spoken_scopes_;
  std::array<detail::SaidSet, detail::scope_count> said_;
};

OnceLog::OnceLog(std::shared_ptr<spdlog::logger> logger, RankInfo rank)
    : impl_(std::make_unique<Impl>(std::move(logger), rank)) {}

OnceLog::~OnceLog() = default;

bool OnceLog::info_once(LogScope scope, std::string_view message) {
  return impl_->say_once(scope, spdlog::level::info, 0, message);
}

bool OnceLog::warning_once(LogScope scope, std::string_view message) {
  return impl_->say_once(scope, spdlog::level::warn, 0, message);
}

void OnceLog::set_rank(RankInfo rank) { impl_->set_rank(rank); }

void OnceLog::reset() { impl_->reset(); }

bool detail::KeyedLog::may_say(OnceLog& log, LogScope scope, LogLevel level, std::uint64_t key) {
  return log.impl_->may_say(scope, to_spdlog(level), key);
}

bool detail::KeyedLog::say_once(OnceLog& log, LogScope scope, LogLevel level, std::uint64_t key,
                                std::string_view text) {
  return log.impl_->say_once(scope, to_spdlog(level), key, text);
}

OnceLog& default_once_log() {
  static OnceLog& log = *new OnceLog;
  return log;
}

}  // namespace mla_dtype
