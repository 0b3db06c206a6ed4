// SPDX-License-Identifier: Apache-2.0

// A process that ends, or forks, while the library is in use: one scenario a run, the program's
// argument. What it says goes to stdout. It exits with 0 if every answer was right, and is killed
// if it hangs.

#include <mla_dtype/mla_dtype.h>
#include <mla_dtype/once_sink.h>
#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/engine_config.h"
#include "support/recording_sink.h"

namespace mla_dtype {
namespace {

using testing::make_config;

constexpr unsigned longest_run_s = 60;

void check(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  _exit(1);
}
#define CHECK(expression) check(expression, #expression)

// Made before all that a scenario makes, and so destroyed after all of it: what speaks here speaks
// after spdlog's own static objects are gone.
struct LastWords {
  std::function<void()> speak;
  ~LastWords() {
    if (speak) speak();
  }
} last_words;

Environment make_engine(std::shared_ptr<OnceLog> log = nullptr) {
  Environment env = make_environment(cuda(10, 0), "FLASHINFER");
  env.log = std::move(log);
  return env;
}

// Rows 1 and 3.
bool decides(const Environment& env, bool requested) {
  return determine_prefill_query_data_type(make_config("fp8", requested), DataType::bfloat16,
                                           env) ==
         (requested ? DataType::float8_e4m3fn : DataType::bfloat16);
}

// A sink on stdout that speaks while it is destroyed.
class SpeakingSink final : public spdlog::sinks::stdout_sink_mt {
 public:
  ~SpeakingSink() override {
    std::puts("the sink is destroyed");
    CHECK(!default_once_log().info_once(LogScope::local, "from a sink that is destroyed"));
    CHECK(decides(make_engine(), /*requested=*/false));
  }
};

void a_static_object_speaks_last() {
  const Environment env = make_engine();
  CHECK(decides(env, true));
  last_words.speak = [env] {
    CHECK(decides(env, true));
    CHECK(decides(env, false));
    CHECK(!default_once_log().info_once(LogScope::process, "late"));
  };
}

void a_rank_that_was_silent_speaks_last() {
  default_once_log().set_rank({/*global_rank=*/1, /*local_rank=*/1});
  CHECK(decides(make_engine(), true));
  spdlog::info("the engine's own");
  last_words.speak = [] {
    default_once_log().set_rank({});
    CHECK(decides(make_engine(), true));
  };
}

void a_default_logger_that_is_held_speaks_last() {
  CHECK(decides(make_engine(), true));
  last_words.speak = [held = spdlog::default_logger()] {
    CHECK(decides(make_engine(), true));
    CHECK(default_once_log().info_once(LogScope::process, "late"));
    CHECK(!default_once_log().info_once(LogScope::process, "late"));
  };
}

// The loggers of the registry are dropped; one that somebody holds lives on.
void a_logger_outlives_spdlog() {
  const auto log = std::make_shared<OnceLog>(spdlog::stdout_logger_mt("engine"));
  const Environment env = make_engine(log);
  CHECK(decides(env, true));
  spdlog::shutdown();
  CHECK(decides(env, true));
  CHECK(log->info_once(LogScope::local, "after shutdown()"));
  last_words.speak = [env] {
    CHECK(decides(env, true));
    CHECK(env.log->info_once(LogScope::local, "late"));
    CHECK(!env.log->info_once(LogScope::local, "late"));
  };
}

void shutdown_with_an_async_logger() {
  const auto logger = spdlog::create_async<spdlog::sinks::stdout_sink_mt>("engine");
  // Since spdlog 1.11 a logger without its thread pool tells this handler, and does not throw.
  logger->set_error_handler([](const std::string& text) { throw std::runtime_error(text); });
  const Environment env = make_engine(std::make_shared<OnceLog>(logger));
  CHECK(decides(env, true));
  spdlog::shutdown();
  CHECK(decides(env, true));
  CHECK(decides(env, false));
  CHECK(!env.log->info_once(LogScope::local, "after shutdown()"));
  last_words.speak = [env] { CHECK(decides(env, false)); };
}

void shutdown_with_the_default_logger() {
  const Environment env = make_engine();
  CHECK(decides(env, true));
  spdlog::shutdown();
  CHECK(decides(env, false));
  CHECK(!default_once_log().info_once(LogScope::local, "after shutdown()"));
  // A process that starts spdlog anew hears what was not said.
  const auto sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("", sink));
  CHECK(default_once_log().info_once(LogScope::local, "after shutdown()"));
  CHECK(!default_once_log().info_once(LogScope::local, "after shutdown()"));
}

void sinks_are_destroyed_at_the_end() {
  const auto sink = std::make_shared<SpeakingSink>();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "", std::make_shared<OnceSink>(std::vector<spdlog::sink_ptr>{sink})));
  CHECK(decides(make_engine(), true));
  spdlog::info("through the sink");
  spdlog::info("through the sink");
}

// One thread is stuck in a sink when main() returns.
void a_write_is_stuck_at_the_end() {
  static std::promise<void> stuck;
  const auto log = std::make_shared<OnceLog>(
      testing::make_callback_logger([](const spdlog::details::log_msg& msg) {
        std::fwrite(msg.payload.data(), 1, msg.payload.size(), stdout);
        std::puts("");
        if (msg.payload != "stuck") return;
        stuck.set_value();
        for (;;) pause();
      }));
  std::thread([log] { log->info_once(LogScope::local, "stuck"); }).detach();
  stuck.get_future().wait();
  last_words.speak = [log] {
    CHECK(!log->info_once(LogScope::local, "stuck"));
    CHECK(log->info_once(LogScope::local, "late"));
    CHECK(decides(make_engine(log), true));
    std::fflush(stdout);
    _exit(0);  // a thread that waits would keep sanitizers from ending the process
  };
}

// Each child ends as processes do, with its static objects destroyed.
void a_fork_after_first_use() {
  CHECK(decides(make_engine(), true));
  for (int generation = 0; generation < 2; ++generation) {
    const pid_t child = fork();
    if (child != 0) {
      int status = 0;
      CHECK(waitpid(child, &status, 0) == child);
      CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
      break;
    }
    alarm(longest_run_s);
    CHECK(decides(make_engine(), true));
  }
  CHECK(default_once_log().info_once(LogScope::process, "each process says this once"));
  CHECK(!default_once_log().info_once(LogScope::process, "each process says this once"));
  last_words.speak = [] { CHECK(decides(make_engine(), true)); };
}

struct Scenario {
  const char* name;
  void (*run)();
};

#define SCENARIO(name) \
  { #name, name }
constexpr Scenario scenarios[] = {
    SCENARIO(a_static_object_speaks_last),
    SCENARIO(a_rank_that_was_silent_speaks_last),
    SCENARIO(a_default_logger_that_is_held_speaks_last),
    SCENARIO(a_logger_outlives_spdlog),
    SCENARIO(shutdown_with_an_async_logger),
    SCENARIO(shutdown_with_the_default_logger),
    SCENARIO(sinks_are_destroyed_at_the_end),
    SCENARIO(a_write_is_stuck_at_the_end),
    SCENARIO(a_fork_after_first_use),
};

}  // namespace
}  // namespace mla_dtype

int main(int argc, char** argv) {
  alarm(mla_dtype::longest_run_s);
  for (const auto& scenario : mla_dtype::scenarios) {
    if (argc != 2 || std::strcmp(scenario.name, argv[1]) != 0) continue;
    scenario.run();
    return 0;
  }
  return 2;
}
