#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Names the lines and branches of src/ and include/ that no test reaches, and fails below a share of
# them. Branches are both ways of each condition in the source. Needs clang, llvm, ninja, python3.
# Usage: tests/coverage.sh [<build directory>]
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/coverage}
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=clang++ \
  '-DCMAKE_CXX_FLAGS=-O1 -fprofile-instr-generate -fcoverage-mapping -fprofile-update=atomic' >/dev/null
cmake --build "$build" --parallel 2 >/dev/null
build=$(realpath "$build")
rm -rf "$build/profile"
export LLVM_PROFILE_FILE="$build/profile/%m.profraw" # one for each program, merged at exit
ctest --test-dir "$build" --output-on-failure --no-tests=error -LE consumer -j 2 >"$build.log" ||
  { cat "$build.log"; exit 1; }
llvm-profdata merge "$build"/profile/*.profraw -o "$build/profile/all"
objects="$build/mla-dtype"
for program in "$build"/tests/mla_dtype_* "$build"/tests/fuzz/mla_dtype_*; do
  if [ -f "$program" ] && [ -x "$program" ]; then objects="$objects -object $program"; fi
done
of_the_library() { # <command> <option>...
  # shellcheck disable=SC2086  # several words
  llvm-cov "$@" -instr-profile "$build/profile/all" $objects src include
}
of_the_library export -format=lcov >"$build/lcov"
of_the_library export >"$build/json"
of_the_library report -show-branch-summary -show-region-summary=0
python3 - "$build/lcov" "$build/json" <<'END'
import collections, json, os, sys

lines, branches = collections.Counter(), collections.Counter()  # a template's count together
for record in open(sys.argv[1]).read().split("end_of_record\n"):
    name = None
    for line in record.splitlines():
        key, _, value = line.partition(":")
        if key == "SF":
            name = os.path.relpath(value)
            text = open(name).read().split("\n")
        elif key == "DA":
            number, count = map(int, value.split(",")[:2])
            if text[number - 1].strip() != "}":  # counted, though behind a return nobody is there
                lines[name, number] += count
for file in json.load(open(sys.argv[2]))["data"][0]["files"]:
    name = os.path.relpath(file["filename"])
    for line, column, _, _, is_true, is_false, *_ in file["branches"]:
        branches[name, line, column, "true"] += is_true
        branches[name, line, column, "false"] += is_false
failed = False
for what, counts, least in ("lines", lines, 100), ("branches", branches, 97):
    missed = sorted(place for place, count in counts.items() if count == 0)
    share = 100 * (1 - len(missed) / len(counts))
    print(f"{what}: {share:.2f} %, at least {least} %; not reached:")
    for place in missed:
        print("  " + ":".join(str(part) for part in place))
    failed |= share < least
sys.exit(failed)
END
