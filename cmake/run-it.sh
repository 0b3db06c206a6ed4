#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds the tool mla-dtype and shows what it says in each row of the decision table. Needs nothing
# but a Debian 12 (as root, to install what is missing), or the dependencies that README names.
set -eu
cd "$(dirname "$0")/.."
. cmake/debian.sh

# shellcheck disable=SC2086  # one word a package
install_missing $library libcli11-dev nlohmann-json3-dev
echo "Building build/run-it/mla-dtype"
quietly cmake -S . -B build/run-it -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DMLA_DTYPE_BUILD_TOOL=ON -DMLA_DTYPE_BUILD_TESTS=OFF
quietly cmake --build build/run-it

show() { # <row> <argument>...
  echo
  echo "Row $1"
  shift
  echo "\$ build/run-it/mla-dtype $*"
  build/run-it/mla-dtype "$@" 2>&1
}
show 1 --device 10.3 --prefill-backend TRTLLM_RAGGED --kv-cache-dtype fp8 --use-prefill-query-quantization
show 2 --device 9.0 --kv-cache-dtype fp8 --use-prefill-query-quantization
show 3 --device 10.3 --prefill-backend TRTLLM_RAGGED --kv-cache-dtype fp8
show 4 --device 10.3 --prefill-backend TRTLLM_RAGGED --kv-cache-dtype auto
