#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds and runs the tests. Needs what run-it.sh needs. Usage: test-it.sh [<argument of ctest>...]
set -eu
cd "$(dirname "$0")/.."
. cmake/debian.sh

# shellcheck disable=SC2086  # one word a package
install_missing $library libcli11-dev libgtest-dev libgmock-dev nlohmann-json3-dev \
  pkg-config=pkg-config
echo "Building build/test-it"
# shellcheck disable=SC2086  # several options
quietly cmake -S . -B build/test-it -G Ninja $several_at_a_time -DCMAKE_BUILD_TYPE=Release \
  -DMLA_DTYPE_BUILD_TESTS=ON -DMLA_DTYPE_BUILD_TOOL=ON
quietly cmake --build build/test-it
ctest --test-dir build/test-it --output-on-failure --no-tests=error -j "$(nproc)" "$@"
