#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What the library costs the program that embeds it: the time to compile its headers, against four
# headers of the standard library that every engine includes anyway; and the bytes it adds to a
# stripped program. Usage: tests/benchmark/host_cost.sh [<rounds>]
set -eu
cd "$(dirname "$0")/../.."
cxx=${CXX:-c++}
rounds=${1:-15}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake -S . -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DMLA_DTYPE_BUILD_TESTS=OFF \
  -DMLA_DTYPE_BUILD_TOOL=OFF >/dev/null
cmake --build "$work/build" --parallel 2 >/dev/null

printf '#include <%s>\n' functional memory optional string >"$work/standard.cpp"
echo '#include <mla_dtype/mla_dtype.h>' >"$work/library.cpp"
echo '#include <spdlog/spdlog.h>' >"$work/spdlog.cpp"

microseconds() { # <source>
  begin=$(date +%s%N)
  "$cxx" -std=c++17 -O2 -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL -Iinclude \
    -I"$work/build/generated" -c "$1" -o "$work/out.o"
  end=$(date +%s%N)
  echo $(((end - begin) / 1000))
}
for source in standard library spdlog; do
  microseconds "$work/$source.cpp" >/dev/null
done
for round in $(seq "$rounds"); do # side by side, so that noise falls on all alike
  for source in standard library spdlog; do
    microseconds "$work/$source.cpp" >>"$work/$source.times"
  done
done
median() { sort -n "$work/$1.times" | awk '{t[NR] = $1} END {print t[int((NR + 1) / 2)]}'; }
echo "$("$cxx" --version | head -n 1), median of $rounds"
for source in standard library spdlog; do
  awk -v name="$source" -v time="$(median "$source")" -v base="$(median standard)" \
    'BEGIN {printf "%-9s %7.1f ms  %.2fx\n", name, time / 1000, time / base}'
done

# Two programs that set up the same logger; one of them also decides.
cat >"$work/without.cpp" <<'EOF'
#include <spdlog/spdlog.h>
int main(int argc, char**) { spdlog::info("{} arguments", argc); }
EOF
cat >"$work/with.cpp" <<'EOF'
#include <mla_dtype/mla_dtype.h>
#include <spdlog/spdlog.h>
int main(int argc, char** argv) {
  spdlog::info("{} arguments", argc);
  mla_dtype::EngineConfig config;
  config.cache_config.cache_dtype = argv[0];
  const auto env = mla_dtype::make_environment(mla_dtype::cuda(argc, 0), argv[0]);
  return static_cast<int>(
      determine_prefill_query_data_type(config, mla_dtype::DataType::bfloat16, env));
}
EOF
for program in without with; do
  "$cxx" -std=c++17 -O2 -DSPDLOG_COMPILED_LIB -DSPDLOG_SHARED_LIB -DSPDLOG_FMT_EXTERNAL -Iinclude \
    -I"$work/build/generated" -DMLA_DTYPE_STATIC_DEFINE "$work/$program.cpp" \
    "$work/build/libmla_dtype.a" -lspdlog -lfmt -lpthread -o "$work/$program"
  strip "$work/$program"
done
without=$(stat -c %s "$work/without")
with=$(stat -c %s "$work/with")
echo "stripped program: $without bytes without the library, $with with it: $((with - without)) added"
