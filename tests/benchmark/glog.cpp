// SPDX-License-Identifier: Apache-2.0

// A file of its own, since glog's macros have the names that others use. Like std::call_once it
// knows nothing of texts, only of places in the code.

#include <benchmark/benchmark.h>
#include <glog/logging.h>

#include <cstddef>
#include <ctime>
#include <mutex>
#include <string>

namespace {

const std::string text(100, 'x');

class LockingNullSink final : public google::LogSink {
  void send(google::LogSeverity, const char*, const char*, int, const std::tm*, const char*,
            std::size_t) override {
    const std::lock_guard lock(mutex_);
  }

  std::mutex mutex_;
};

// Nothing but the sink: no file, and nothing on stderr.
bool write_to_sink_only() {
  static LockingNullSink sink;
  google::InitGoogleLogging("mla_dtype_benchmark");
  google::SetLogDestination(google::GLOG_INFO, "");
  google::SetStderrLogging(google::GLOG_FATAL);
  google::AddLogSink(&sink);
  return true;
}

void glog_first_n(benchmark::State& state) {
  static const bool ready = write_to_sink_only();
  if (!ready) return;
  for (auto _ : state) {
    LOG_FIRST_N(INFO, 1) << text;
  }
}
BENCHMARK(glog_first_n)->Threads(1)->Threads(2)->Threads(4)->Threads(8);

}  // namespace
