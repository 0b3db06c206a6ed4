// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/once_sink.h>
#include <spdlog/details/log_msg.h>
#include <spdlog/formatter.h>

#include <algorithm>
#include <exception>

#include "log/keyed_log.h"
#include "log/said_key.h"
#include "log/said_set.h"
#include "words/form.h"
#include "words/invalid_argument.h"

namespace mla_dtype {
namespace {

// Calls `action` for every sink, whatever it throws for some; then rethrows the first exception.
template <class Action>
void for_each_sink(const std::vector<spdlog::sink_ptr>& sinks, Action action) {
  std::exception_ptr first;
  for (const spdlog::sink_ptr& sink : sinks) {
    try {
      action(*sink);
    } catch (...) {
      const std::exception_ptr thrown = std::current_exception();
      if (thrown == nullptr) throw;  // no C++ exception: a cancelled thread
      if (first == nullptr) first = thrown;
    }
  }
  if (first != nullptr) std::rethrow_exception(first);
}

std::vector<spdlog::sink_ptr> checked(std::vector<spdlog::sink_ptr> sinks) {
  const auto null = std::find(sinks.begin(), sinks.end(), nullptr);
  detail::check_that(
      !sinks.empty() && null == sinks.end(), "sinks",
      sinks.empty() ? "an empty list" : detail::filled("null at index {}", null - sinks.begin()),
      "one or more sinks, none of them null");
  return sinks;
}

}  // namespace

OnceSink::OnceSink(std::vector<spdlog::sink_ptr> sinks, LogScope scope, RankInfo rank)
    : sinks_(checked(std::move(sinks))),
      speaks_(detail::speaks(detail::spoken_scopes(rank), scope)),
      said_(std::make_unique<detail::SaidSet>()) {}

OnceSink::~OnceSink() = default;

void OnceSink::log(const spdlog::details::log_msg& msg) {
  const auto wants_it = [&](const auto& wrapped) { return wrapped->should_log(msg.level); };
  if (!speaks_ || std::none_of(sinks_.begin(), sinks_.end(), wants_it)) return;
  const std::string_view text(msg.payload.data(), msg.payload.size());
  const std::uint64_t key = detail::said_key(msg.level, text);
  if (said_->contains(key)) return;
  said_->once(key, /*decision=*/0, [&] {
    bool written = false;
    for_each_sink(sinks_, [&](auto& wrapped) {
      if (!wrapped.should_log(msg.level)) return;
      wrapped.log(msg);
      written = true;
    });
    return written;
  });
}

void OnceSink::flush() {
  for_each_sink(sinks_, [](auto& wrapped) { wrapped.flush(); });
}

void OnceSink::set_pattern(const std::string& pattern) {
  for_each_sink(sinks_, [&](auto& wrapped) { wrapped.set_pattern(pattern); });
}

void OnceSink::set_formatter(std::unique_ptr<spdlog::formatter> sink_formatter) {
  for_each_sink(sinks_, [&](auto& wrapped) { wrapped.set_formatter(sink_formatter->clone()); });
}

void OnceSink::reset() { said_->reset(); }

}  // namespace mla_dtype
