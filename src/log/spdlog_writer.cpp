// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/once_log.h>
#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "log/writer.h"

namespace mla_dtype::detail {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  return level == LogLevel::info ? spdlog::level::info : spdlog::level::warn;
}

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

// Through the logger itself, no copy of its sinks: so its level, sinks and error handler hold when
// they are changed later, and an async logger stays async.
class SpdlogWriter final : public Writer {
 public:
  explicit SpdlogWriter(std::shared_ptr<spdlog::logger> logger) : logger_(std::move(logger)) {
    // So that the end is noticed also by one who first speaks then.
    if (logger_ == nullptr) default_logger();
  }

  bool is_open(LogLevel level) override {
    const auto open = current();
    return open != nullptr && lets_through(*open, to_spdlog(level));
  }

  // The logger tests the levels, too. If another thread closed them meanwhile, nobody knows whether
  // the record got through: rather said again than lost. The default logger may be another by now.
  bool write(LogLevel level, std::string_view text) override {
    const auto open = current();
    if (open == nullptr || !lets_through(*open, to_spdlog(level))) return false;
    open->log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
    return lets_through(*open, to_spdlog(level));
  }

 private:
  std::shared_ptr<spdlog::logger> current() const {
    return logger_ != nullptr ? logger_ : default_logger();
  }

  const std::shared_ptr<spdlog::logger> logger_;  // null: the default one
};

}  // namespace

std::unique_ptr<Writer> make_writer(std::shared_ptr<spdlog::logger> logger) {
  return std::make_unique<SpdlogWriter>(std::move(logger));
}

}  // namespace mla_dtype::detail
