// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "recording_log.h"

namespace mla_dtype::testing {

/// Keeps what it is given; really locks.
class RecordingSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::vector<Record> records() {
    const std::lock_guard lock(mutex_);
    return records_;
  }
  std::vector<std::string> lines() {  // as the pattern formats them
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  int flushes() {
    const std::lock_guard lock(mutex_);
    return flushes_;
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    records_.clear();
    lines_.clear();
  }

 private:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    const bool is_info = msg.level <= spdlog::level::info;
    records_.push_back({is_info ? LogLevel::info : LogLevel::warning,
                        std::string(msg.payload.data(), msg.payload.size())});
    spdlog::memory_buf_t line;
    formatter_->format(msg, line);
    lines_.emplace_back(line.data(), line.size());
  }
  void flush_() override { ++flushes_; }

  std::vector<Record> records_;
  std::vector<std::string> lines_;
  int flushes_ = 0;
};

/// A logger over one RecordingSink.
struct RecordingLogger {
  std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>("engine", sink);
};

/// A sink that does what it is told to.
template <class OnLog>
class CallbackSink final : public spdlog::sinks::sink {
 public:
  explicit CallbackSink(OnLog on_log) : on_log_(std::move(on_log)) {}
  void log(const spdlog::details::log_msg& msg) override { on_log_(msg); }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

 private:
  OnLog on_log_;
};

template <class OnLog>
std::shared_ptr<spdlog::sinks::sink> make_callback_sink(OnLog on_log) {
  return std::make_shared<CallbackSink<OnLog>>(std::move(on_log));
}

/// A logger over one CallbackSink.
template <class OnLog>
std::shared_ptr<spdlog::logger> make_callback_logger(OnLog on_log) {
  return std::make_shared<spdlog::logger>("engine", make_callback_sink(std::move(on_log)));
}

}  // namespace mla_dtype::testing
