// SPDX-License-Identifier: Apache-2.0
#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "log/keyed_log.h"

namespace mla_dtype::detail {
namespace {

// Null: there is no logger.
bool lets_through(const std::shared_ptr<spdlog::logger>& logger, spdlog::level::level_enum level) {
  if (logger == nullptr || !logger->should_log(level)) return false;
  const auto& sinks = logger->sinks();
  return std::any_of(sinks.begin(), sinks.end(),
                     [&](const auto& sink) { return sink->should_log(level); });
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

// Through the logger itself, no copy of its sinks: so its level, sinks and error handler hold when
// they are changed later, and an async logger stays async.
Writer make_writer(std::shared_ptr<spdlog::logger> logger) {
  // So that the end is noticed also by one who first speaks then.
  if (logger == nullptr) default_logger();
  return [logger = std::move(logger)](LogLevel level, std::optional<std::string_view> text) {
    const auto current = logger != nullptr ? logger : default_logger();
    const auto its_level = level == LogLevel::info ? spdlog::level::info : spdlog::level::warn;
    if (!lets_through(current, its_level)) return false;
    if (!text) return true;
    current->log(its_level, spdlog::string_view_t(text->data(), text->size()));
    // The logger tests the levels, too. If another thread closed them meanwhile, nobody knows
    // whether the record got through: rather said again than lost.
    return lets_through(current, its_level);
  };
}

}  // namespace mla_dtype::detail
