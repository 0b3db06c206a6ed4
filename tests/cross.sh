#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The library, the tool and the tests on machines of other kinds: built here, run by qemu-user.
# s390x is big-endian, and char is unsigned on both. What weakly ordered memory does, an x86 does not
# show. By hand, on Debian 12 as root: minutes for each. Without spdlog, which would have to be built
# for them first: what is about it, and engine_init, is not tested there.
# Usage: tests/cross.sh [aarch64|s390x]...
set -eu
cd "$(dirname "$0")/.."
. cmake/debian.sh
[ $# -gt 0 ] || set -- aarch64 s390x
# What cannot run under qemu: the resident memory is also that of qemu, which translates code.
not_under_qemu='^SuppressedPath.OnceLogsMemoryIsConstant$'
for machine in "$@"; do
  install_missing cmake ninja-build qemu-user "g++-$machine-linux-gnu" libcli11-dev libfmt-dev \
    googletest nlohmann-json3-dev
  build=build/cross/$machine
  echo "Building $build"
  quietly cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_SYSTEM_NAME=Linux "-DCMAKE_SYSTEM_PROCESSOR=$machine" \
    "-DCMAKE_CXX_COMPILER=$machine-linux-gnu-g++" \
    "-DMLA_DTYPE_EMULATOR=qemu-$machine -L /usr/$machine-linux-gnu" \
    "-DCMAKE_PROJECT_mla_dtype_INCLUDE=$PWD/tests/cross.cmake" \
    -DMLA_DTYPE_WITH_SPDLOG=OFF -DMLA_DTYPE_BUILD_TOOL=ON -DMLA_DTYPE_WARNINGS_AS_ERRORS=ON \
    -DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON \
    -DFETCHCONTENT_SOURCE_DIR_MLA_DTYPE_GTEST=/usr/src/googletest
  quietly cmake --build "$build"
  ctest --test-dir "$build" --output-on-failure --no-tests=error -LE consumer -j 2 -E "$not_under_qemu"
done
