// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/once_log.h>
#include <mla_dtype/once_sink.h>

#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "check.h"
#include "input.h"
#include "support/recording_sink.h"

namespace {

using mla_dtype::LogLevel;
using mla_dtype::LogScope;
using mla_dtype::RankInfo;
using mla_dtype::fuzz::Input;
using mla_dtype::testing::Record;

// What may have been said: on this rank, through a logger of this level.
bool speaks(LogScope scope, RankInfo rank) {
  if (scope == LogScope::local) return rank.local_rank == 0;
  return scope == LogScope::process || rank.global_rank == 0;
}

// A OnceLog and a OnceSink are given the same messages; both must write what a set lets through.
// The sink is made anew for each scope and rank.
struct Fixture {
  mla_dtype::testing::RecordingLogger output, sink_output;
  mla_dtype::OnceLog log{output.logger};
  std::shared_ptr<mla_dtype::OnceSink> sink;

  void make_sink(LogScope scope, RankInfo rank) {
    sink = std::make_shared<mla_dtype::OnceSink>(std::vector<spdlog::sink_ptr>{sink_output.sink},
                                                 scope, rank);
    sink_output.logger->sinks() = {sink};
  }
  void clear() {
    log.reset();
    output.sink->clear();
    sink_output.sink->clear();
    output.logger->set_level(spdlog::level::info);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto& fixture = *new Fixture;
  fixture.clear();
  RankInfo rank;
  fixture.log.set_rank(rank);
  auto sink_scope = LogScope::process;
  fixture.make_sink(sink_scope, rank);
  auto level = spdlog::level::info;
  std::set<std::tuple<LogScope, spdlog::level::level_enum, std::string>> said;
  std::set<std::pair<spdlog::level::level_enum, std::string>> sink_said;
  std::vector<Record> expected, sink_expected;

  for (Input input(data, size); !input.empty();) {
    const unsigned action = input.number(10);
    if (action == 6) {
      fixture.log.reset();
      fixture.sink->reset();
      said.clear();
      sink_said.clear();
    } else if (action == 7) {
      rank.global_rank = static_cast<int>(input.number(3));
      rank.local_rank = static_cast<int>(input.number(2));
      fixture.log.set_rank(rank);
      sink_scope = static_cast<LogScope>(input.number(3));
      fixture.make_sink(sink_scope, rank);
      sink_said.clear();
    } else if (action == 8) {
      level = input.flag() ? spdlog::level::warn : spdlog::level::info;
      fixture.output.logger->set_level(level);
    } else if (action == 9) {
      const auto bad = static_cast<LogScope>(3 + input.number(253));
      CHECK(mla_dtype::fuzz::is_refused([&] { fixture.log.info_once(bad, "x"); }));
      CHECK(mla_dtype::fuzz::is_refused([&] { fixture.log.set_rank({0, -1}); }));
      CHECK(mla_dtype::fuzz::is_refused([&] { fixture.make_sink(bad, rank); }));
      CHECK(mla_dtype::fuzz::is_refused([&] { fixture.make_sink(sink_scope, {-1, 0}); }));
    } else {
      const auto scope = static_cast<LogScope>(action % 3);
      const bool is_warning = action >= 3;
      const auto record_level = is_warning ? LogLevel::warning : LogLevel::info;
      const auto message_level = is_warning ? spdlog::level::warn : spdlog::level::info;
      const std::string text(input.text(input.number(256)));
      const bool written =
          is_warning ? fixture.log.warning_once(scope, text) : fixture.log.info_once(scope, text);
      const bool passes = speaks(scope, rank) && message_level >= level &&
                          said.emplace(scope, message_level, text).second;
      CHECK(written == passes);
      if (passes) expected.push_back({record_level, text});

      fixture.sink_output.logger->log(message_level,
                                      spdlog::string_view_t(text.data(), text.size()));
      if (speaks(sink_scope, rank) && sink_said.emplace(message_level, text).second) {
        sink_expected.push_back({record_level, text});
      }
    }
  }
  CHECK(fixture.output.sink->records() == expected);
  CHECK(fixture.sink_output.sink->records() == sink_expected);
  return 0;
}
