// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <mla_dtype/once_log.h>
#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <exception>
#include <utility>

#include "invalid_argument.h"
#include "said_set.h"

namespace mla_dtype {
namespace {

constexpr std::size_t scope_count = 3;

std::size_t index_of(LogScope scope) {
  const auto index = static_cast<std::size_t>(scope);
  if (index >= scope_count) {
    detail::throw_out_of_range("scope", "LogScope", static_cast<unsigned>(index));
  }
  return index;
}

// One bit for each scope that a process of this rank speaks in.
unsigned spoken_scopes(RankInfo rank) {
  const auto check = [](std::string_view field, int value) {
    if (value < 0) detail::throw_invalid_argument(field, fmt::format("{}", value), "0 and above");
  };
  check("global_rank", rank.global_rank);
  check("local_rank", rank.local_rank);
  return 1U << index_of(LogScope::process) |
         (rank.local_rank == 0 ? 1U : 0U) << index_of(LogScope::local) |
         (rank.global_rank == 0 ? 1U : 0U) << index_of(LogScope::global);
}

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

}  // namespace

// The records go to the logger itself, not to a copy of its sinks: so its level, sinks and error
// handler hold when they are changed later, and an async logger stays async.
class OnceLog::Impl {
 public:
  Impl(std::shared_ptr<spdlog::logger> logger, RankInfo rank)
      : logger_(std::move(logger)), spoken_scopes_(spoken_scopes(rank)) {
    // So that the end is noticed also by one who first speaks then.
    if (logger_ == nullptr) default_logger();
  }

  bool say_once(LogScope scope, spdlog::level::level_enum level, std::string_view message) {
    const std::size_t index = index_of(scope);
    if ((spoken_scopes_.load(std::memory_order_relaxed) >> index & 1U) == 0) return false;
    detail::SaidSet& said = said_[index];
    const std::uint64_t key = detail::said_key(level, message);
    if (said.contains(key)) return false;
    try {
      const auto logger = logger_ != nullptr ? logger_ : default_logger();
      if (logger == nullptr || !lets_through(*logger, level)) return false;
      return said.once(key, [&] {
        logger->log(level, spdlog::string_view_t(message.data(), message.size()));
        // The logger tests the levels once more. If another thread closed them meanwhile, nobody
        // knows whether the record got through: rather said again than lost.
        return lets_through(*logger, level);
      });
    } catch (...) {
      // No C++ exception: a cancelled thread, which glibc unwinds this way and may not be stopped.
      if (std::current_exception() == nullptr) throw;
      return false;
    }
  }

  void set_rank(RankInfo rank) {
    spoken_scopes_.store(spoken_scopes(rank), std::memory_order_relaxed);
  }

  void reset() {
    for (detail::SaidSet& said : said_) said.reset();
  }

 private:
  const std::shared_ptr<spdlog::logger> logger_;
  std::atomic<unsigned> spoken_scopes_;
  std::array<detail::SaidSet, scope_count> said_;
};

OnceLog::OnceLog(std::shared_ptr<spdlog::logger> logger, RankInfo rank)
    : impl_(std::make_unique<Impl>(std::move(logger), rank)) {}

OnceLog::~OnceLog() = default;

bool OnceLog::info_once(LogScope scope, std::string_view message) {
  return impl_->say_once(scope, spdlog::level::info, message);
}

bool OnceLog::warning_once(LogScope scope, std::string_view message) {
  return impl_->say_once(scope, spdlog::level::warn, message);
}

void OnceLog::set_rank(RankInfo rank) { impl_->set_rank(rank); }

void OnceLog::reset() { impl_->reset(); }

OnceLog& default_once_log() {
  static OnceLog& log = *new OnceLog;
  return log;
}

}  // namespace mla_dtype
