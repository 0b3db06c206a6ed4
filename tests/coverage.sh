#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Which lines and branches of src/ and include/ the tests reached that ran in a build with
# -DCMAKE_CXX_FLAGS='--coverage -fprofile-update=atomic' -DCMAKE_BUILD_TYPE=Debug, and which not.
# What only an exception takes is no branch here: any call could throw.
# Usage: tests/coverage.sh <build directory>; needs gcovr.
set -eu
build=$(realpath "$1")
cd "$(dirname "$0")/.."
of_the_library() {
  gcovr --root . "$build" --filter src/ --filter include/ --exclude-throw-branches \
    --exclude-unreachable-branches "$@"
}
of_the_library --txt
of_the_library --txt --branches
