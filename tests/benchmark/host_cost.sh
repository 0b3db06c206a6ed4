#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the library costs the program that embeds it, as lines of a name and a number: the CPU time to
# compile its headers, beside those of the standard library that they include and spdlog's and fmt's;
# the sizes of its objects; what it adds to a stripped shared object, beside what they do, and to the
# relocations that the dynamic linker makes when that is loaded; and its static initialisers.
# Usage: tests/benchmark/host_cost.sh [<rounds>]
set -euo pipefail
cd "$(dirname "$0")/../.."
cxx=${CXX:-c++}
rounds=${1:-15}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake -S . -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DMLA_DTYPE_BUILD_TESTS=OFF \
  -DMLA_DTYPE_BUILD_TOOL=OFF >/dev/null
cmake --build "$work/build" --parallel 2 >/dev/null
library=$work/build/libmla_dtype.a

printf '#include <%s>\n' array functional memory optional stdexcept string variant vector \
  >"$work/standard.cpp"
echo '#include <mla_dtype/mla_dtype.h>' >"$work/library.cpp"
echo '#include <spdlog/spdlog.h>' >"$work/spdlog.cpp"
echo '#include <fmt/format.h>' >"$work/fmt.cpp"

TIMEFORMAT='%U %S'
microseconds() { # <source>
  { time "$cxx" -std=c++17 -O2 -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL -Iinclude \
    -I"$work/build/generated" -c "$1" -o "$work/out.o"; } 2>&1 |
    awk 'END {printf "%d\n", ($1 + $2) * 1000000}'
}
for source in standard library spdlog fmt; do
  microseconds "$work/$source.cpp" >/dev/null
done
for round in $(seq "$rounds"); do # side by side, so that noise falls on all alike
  for source in standard library spdlog fmt; do
    microseconds "$work/$source.cpp" >>"$work/$source.times"
  done
done
for source in standard library spdlog fmt; do
  sort -n "$work/$source.times" |
    awk -v name="include_${source}_us" '{t[NR] = $1} END {print name, t[int((NR + 1) / 2)]}'
done

# Of all objects together, as the program gets them that links the whole library.
size -t "$library" | awk 'END {print "object_text_bytes", $1; print "object_data_bytes", $2 + $3}'
echo "static_initialisers $(readelf -SW "$library" | grep -cE '\.(init_array|ctors)' || true)"

# Shared objects of an engine; the first does nothing, the second decides, selects and plans.
cat >"$work/without.cpp" <<'END'
extern "C" int decide(const char* cache_dtype, const char* device) { return *cache_dtype - *device; }
END
cat >"$work/with.cpp" <<'END'
#include <mla_dtype/mla_dtype.h>
extern "C" int decide(const char* cache_dtype, const char* device) {
  constexpr auto model = mla_dtype::DataType::bfloat16;
  mla_dtype::EngineConfig config;
  config.cache_config.cache_dtype = cache_dtype;
  const auto platform = mla_dtype::parse_platform(device);
  auto env = mla_dtype::make_environment(platform, mla_dtype::vllm_prefill_backends());
  const auto selection = mla_dtype::select_prefill_backend(config, model, env);
  const auto type = mla_dtype::determine_prefill_query_data_type(config, model, env);
  const auto plan = mla_dtype::plan_attention_data_types(
      config, model, env, mla_dtype::make_decode_environment(platform, "FLASHMLA"));
  return static_cast<int>(type) + static_cast<int>(plan.output.data_type) + selection.name.empty();
}
END
cat >"$work/logs.cpp" <<'END'
#include <spdlog/spdlog.h>
extern "C" int decide(const char* cache_dtype, const char* device) {
  spdlog::info("{} {}", cache_dtype, device);
  return 0;
}
END
cat >"$work/formats.cpp" <<'END'
#include <fmt/format.h>
extern "C" int decide(const char* cache_dtype, const char* device) {
  return static_cast<int>(fmt::format("{} {}", cache_dtype, device).size());
}
END
relocations() { # <shared object>
  readelf -rW "$1" | grep -c ' R_'
}
added() { # <shared object>: bytes more than that which does nothing
  echo $(($(stat -c %s "$work/$1") - $(stat -c %s "$work/without")))
}
for object in without with logs formats; do
  "$cxx" -std=c++17 -O2 -fPIC -shared -ffunction-sections -Wl,--gc-sections -Iinclude \
    -I"$work/build/generated" -DMLA_DTYPE_STATIC_DEFINE -DSPDLOG_FMT_EXTERNAL -DFMT_HEADER_ONLY \
    "$work/$object.cpp" "$library" -lspdlog -lfmt -lpthread -o "$work/$object"
  strip "$work/$object"
done
echo "stripped_bytes $(added with)"
echo "stripped_spdlog_bytes $(added logs)"
echo "stripped_fmt_bytes $(added formats)"
echo "relocations $(($(relocations "$work/with") - $(relocations "$work/without")))"
