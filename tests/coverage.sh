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
of_the_library --txt --fail-under-line 99
# The rest: enumerators out of range, that no caller can have; what destroys temporaries; statics
# that are made once; claims that another thread was quicker to make.
of_the_library --txt --branches --fail-under-branch 94
