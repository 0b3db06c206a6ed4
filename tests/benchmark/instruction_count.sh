#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Counts the instructions of a call in its steady state, which no other program on the machine
# changes, and fails where they are more than the bound. Needs valgrind, and a static Release build
# of the library: the argument; none: it makes one.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build=${1-$work/build}
if [ $# -eq 0 ]; then
  cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DMLA_DTYPE_BUILD_TESTS=OFF \
    -DMLA_DTYPE_BUILD_TOOL=OFF >/dev/null
  cmake --build "$build" --parallel 2 >/dev/null
fi

cat >"$work/calls.cpp" <<'END'
#include <mla_dtype/mla_dtype.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ringbuffer_sink.h>

#include <memory>
#include <string>
#include <string_view>

template <class Call>
void repeat(int times, Call call) {
  for (int i = 0; i < times; ++i) call();
}

int main(int, char** argv) {
  const std::string_view what = argv[1];
  const int calls = std::stoi(argv[2]);
  const auto log = std::make_shared<mla_dtype::OnceLog>(std::make_shared<spdlog::logger>(
      "engine", std::make_shared<spdlog::sinks::ringbuffer_sink_st>(1)));
  if (what == "info_once") {
    const std::string text(100, 'x');
    repeat(calls, [&] { log->info_once(mla_dtype::LogScope::local, text); });
    return 0;
  }
  mla_dtype::EngineConfig config;
  config.cache_config.cache_dtype = "fp8";
  config.attention_config.use_prefill_query_quantization = what == "row_1";
  auto env = mla_dtype::make_environment(mla_dtype::cuda(10, 3), "FLASHINFER");
  env.log = log;
  repeat(calls, [&] {
    determine_prefill_query_data_type(config, mla_dtype::DataType::bfloat16, env);
  });
}
END
"${CXX:-c++}" -std=c++17 -O2 -DSPDLOG_COMPILED_LIB -DSPDLOG_SHARED_LIB -DSPDLOG_FMT_EXTERNAL \
  -Iinclude -I"$build/generated" -DMLA_DTYPE_STATIC_DEFINE "$work/calls.cpp" \
  "$build/libmla_dtype.a" -lspdlog -lfmt -lpthread -o "$work/calls"

instructions() { # <what> <calls>: of the whole program
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$work/calls" "$1" "$2" 2>&1 |
    sed -n 's/.*Collected : //p'
}
failed=0
expect_at_most() { # <bound> <what>: what a thousand calls more add
  count=$((($(instructions "$2" 2000) - $(instructions "$2" 1000)) / 1000))
  echo "$2: $count instructions, at most $1"
  if [ "$count" -gt "$1" ]; then failed=1; fi
}
# A tenth above what g++ 12 makes of them.
expect_at_most 222 info_once # of 100 bytes
expect_at_most 925 row_1
expect_at_most 1208 row_3
exit $failed
