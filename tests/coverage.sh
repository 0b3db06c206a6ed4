#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Which lines and branches of src/ and include/ the tests reach, and which not; fails if they get
# fewer. What only an exception takes is no branch here: any call could throw. Needs gcovr.
# Usage: tests/coverage.sh [<build directory>]
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/coverage}
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Debug \
  -DCMAKE_CXX_FLAGS='--coverage -fprofile-update=atomic' >/dev/null
cmake --build "$build" --parallel 2 >/dev/null
find "$build" -name '*.gcda' -delete
ctest --test-dir "$build" --output-on-failure --no-tests=error -LE consumer -j 2 >"$build.log" ||
  { cat "$build.log"; exit 1; }
of_the_library() {
  gcovr --root . "$build" --filter src/ --filter include/ --exclude-throw-branches \
    --exclude-unreachable-branches "$@"
}
of_the_library --txt --fail-under-line 99
# The rest: enumerators out of range, that no caller can have; what destroys temporaries; statics
# that are made once.
of_the_library --txt --branches --fail-under-branch 94
