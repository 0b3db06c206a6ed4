// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/once_log.h>

#include <cstdio>
#include <exception>
#include <stdexcept>

#include "log/keyed_log.h"
#include "log/said_key.h"
#include "log/said_set.h"
#include "words/invalid_argument.h"

namespace mla_dtype {
namespace {

detail::Writer writer_of(std::function<void(LogLevel, std::string_view)> write) {
  if (write == nullptr) detail::throw_invalid_argument("write", "null", "a callable");
  return [write = std::move(write)](LogLevel level, std::optional<std::string_view> text) {
    if (text) write(level, *text);
    return true;
  };
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

  const detail::Writer writer;
  std::atomic<unsigned> spoken;           // detail::spoken_scopes()
  std::array<detail::SaidSet, 3> said{};  // in each LogScope
};

unsigned detail::spoken_scopes(RankInfo rank) {
  check_at_least(0, "global_rank", rank.global_rank);
  check_at_least(0, "local_rank", rank.local_rank);
  return 1U | (rank.local_rank == 0 ? 2U : 0U) | (rank.global_rank == 0 ? 4U : 0U);
}

bool detail::speaks(unsigned spoken, LogScope scope) {
  check_enumerator("scope", "LogScope", scope, LogScope::global);
  return (spoken >> static_cast<unsigned>(scope) & 1U) != 0;
}

bool detail::KeyedLog::may_say(OnceLog& log, LogScope scope, LogLevel level, std::uint64_t key) {
  const SaidSet* const said = log.impl_->said_in(scope);
  if (said == nullptr || said->contains(key)) return false;
  return without_exceptions([&] { return log.impl_->writer(level, std::nullopt); });
}

bool detail::KeyedLog::say_once(OnceLog& log, LogScope scope, LogLevel level, std::uint64_t key,
                                std::string_view text) {
  SaidSet* const said = log.impl_->said_in(scope);
  if (said == nullptr) return false;
  const std::uint64_t text_key = said_key(static_cast<int>(level), text);
  if (key == 0 && said->contains(text_key)) return false;
  return without_exceptions([&] {
    const Writer& writer = log.impl_->writer;
    return writer(level, std::nullopt) &&
           said->once(text_key, key, [&] { return writer(level, text); });
  });
}

#if MLA_DTYPE_WITH_SPDLOG
OnceLog::OnceLog(std::nullptr_t, RankInfo rank)
    : OnceLog(std::shared_ptr<spdlog::logger>(), rank) {}

OnceLog::OnceLog(std::shared_ptr<spdlog::logger> logger, RankInfo rank)
    : impl_(new Impl{detail::make_writer(std::move(logger)), detail::spoken_scopes(rank)}) {}
#else
static void write_to_stderr(LogLevel level, std::string_view text) {
  const char* const prefix = level == LogLevel::info ? "[info] " : "[warning] ";
  const std::string line = prefix + std::string(text) + '\n';
  if (std::fwrite(line.data(), 1, line.size(), stderr) == line.size()) return;
  throw std::runtime_error("stderr takes no more");
}

OnceLog::OnceLog(std::nullptr_t, RankInfo rank) : OnceLog(write_to_stderr, rank) {}
#endif

OnceLog::OnceLog(std::function<void(LogLevel, std::string_view)> write, RankInfo rank)
    : impl_(new Impl{writer_of(std::move(write)), detail::spoken_scopes(rank)}) {}

OnceLog::~OnceLog() = default;

bool OnceLog::info_once(LogScope scope, std::string_view message) {
  return detail::KeyedLog::say_once(*this, scope, LogLevel::info, /*key=*/0, message);
}

bool OnceLog::warning_once(LogScope scope, std::string_view message) {
  return detail::KeyedLog::say_once(*this, scope, LogLevel::warning, /*key=*/0, message);
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
