// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/once_log.h>

#include <functional>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mla_dtype::testing {

struct Record {
  LogLevel level;
  std::string text;

  friend bool operator==(const Record& a, const Record& b) {
    return a.level == b.level && a.text == b.text;
  }
};

// What gtest prints.
inline void PrintTo(const Record& record, std::ostream* out) {
  *out << (record.level == LogLevel::info ? "info: " : "warning: ") << record.text;
}

inline Record info(std::string text) { return {LogLevel::info, std::move(text)}; }
inline Record warning(std::string text) { return {LogLevel::warning, std::move(text)}; }

/// A log over a function that keeps what it is given, and really locks.
class RecordingLog {
  struct Kept {
    std::mutex mutex;
    std::vector<Record> records;
    std::function<void()> then;
  };
  const std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();

 public:
  explicit RecordingLog(RankInfo rank = {}) : log(std::make_shared<OnceLog>(write, rank)) {}

  std::vector<Record> records() const {
    const std::lock_guard lock(kept_->mutex);
    return kept_->records;
  }
  void clear() const {
    const std::lock_guard lock(kept_->mutex);
    kept_->records.clear();
  }
  /// What is done besides, once a record is kept.
  void then(std::function<void()> call) const { kept_->then = std::move(call); }

  /// For another log with the same records.
  const std::function<void(LogLevel, std::string_view)> write =
      [kept = kept_](LogLevel level, std::string_view text) {
        {
          const std::lock_guard lock(kept->mutex);
          kept->records.push_back({level, std::string(text)});
        }
        if (kept->then) kept->then();
      };
  const std::shared_ptr<OnceLog> log;
};

}  // namespace mla_dtype::testing
