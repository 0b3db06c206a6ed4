#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Are the tests able to fail? Makes each human error of mutations.txt in a copy of the tree, builds,
and runs the tests until one fails. Without it a promise may lose its only test, and nobody notices.

    python3 tests/mutate/mutate.py                              all of them: 10 seconds each
    python3 tests/mutate/mutate.py --only 'exactly once'        of a heading, a file, or a name
    python3 tests/mutate/mutate.py --sample 5 --seed "$(date +%F)"

The first run also compiles everything, below build/mutate, or wherever --tree and --build say. Exits
with 1 if an error survives, does not apply, or does not compile: the file has to follow the code.
"""

import argparse
import contextlib
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE = pathlib.Path(__file__).resolve().with_name("mutations.txt")
BUILD_LIMIT_S, TEST_LIMIT_S, TESTS_LIMIT_S = 1800, 60, 600  # an error may make a loop endless
MEMORY_LIMIT = 8 << 30  # ... or take all memory
TIME_LIMIT = "the time limit"
CANNOT_LIST = "a test program that cannot list its tests"
LIKELY = {"src/tool/": "mla_dtype_tool_test", "src/log/": "mla_dtype_internal_tests",
          "src/record_key.cpp": "mla_dtype_internal_tests", "src/once_": "mla_dtype_log_tests",
          "src/": "mla_dtype_tests"}

CONFIGURATION = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g0",
                 "-DMLA_DTYPE_WARNINGS_AS_ERRORS=ON", "-DCMAKE_UNITY_BUILD=OFF",
                 "-DMLA_DTYPE_UNITY_TESTS=ON"]


class DoesNotFit(Exception):
    """An entry of mutations.txt that the code has left behind."""


class Mutation:
    """One entry: `file: what was got wrong`, then lines as of a diff, without line numbers."""

    def __init__(self, group, head):
        self.group = group
        self.file, self.name = head.split(": ", 1)
        self.hunk = []

    def applied(self, text):
        lines = text.split("\n")
        old = [line[1:].strip() for line in self.hunk if line[0] in " -"]
        new = [line[1:] for line in self.hunk if line[0] in " +"]
        places = [i for i in range(len(lines) - len(old) + 1)
                  if all(lines[i + j].strip() == wanted for j, wanted in enumerate(old))]
        if len(places) != 1:
            raise DoesNotFit(f"its lines occur {len(places)} times")
        return "\n".join(lines[:places[0]] + new + lines[places[0] + len(old):])


def read_mutations():
    mutations, group = [], ""
    for line in FILE.read_text().splitlines():
        if line.startswith("## "):
            group = line[3:]
        elif line[:1] in (" ", "-", "+") and line.strip():
            mutations[-1].hunk.append(line)
        elif line and not line.startswith("#"):
            mutations.append(Mutation(group, line))
    return mutations


def check_fit(mutations):
    """All of them, not only those that are made: else a change of the code is noticed days later."""
    texts = {name: (ROOT / name).read_text() for name in {each.file for each in mutations}}
    for mutation in mutations:
        try:
            mutation.applied(texts[mutation.file])
        except DoesNotFit as error:
            sys.exit(f"{FILE.name}: {mutation.file}: {mutation.name}: {error}")


def copy_tree(tree):
    """All but builds. A file that is the same keeps its time, so that it is not compiled again."""
    names = {path.relative_to(ROOT) for top in ROOT.iterdir()
             if not top.name.startswith("build") and top.name not in (".git", ".cache")
             for path in (top, *top.rglob("*")) if path.is_file()}
    for path in tree.rglob("*"):
        if path.is_file() and path.relative_to(tree) not in names:
            path.unlink()
    for name in names:
        source, copy = ROOT / name, tree / name
        if copy.is_file() and copy.read_bytes() == source.read_bytes():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)


def run(command, limit_s, memory=resource.RLIM_INFINITY):
    """Exit status and output; None where it took too long. Ends what it started in any case."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)))
    try:
        output = process.communicate(timeout=limit_s)[0].decode(errors="replace")
        return process.returncode, output
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def build(arguments, *targets):
    return run(["cmake", "--build", str(arguments.build), "-j", str(arguments.jobs),
                *(word for target in targets for word in ("--target", target))], BUILD_LIMIT_S)


def first_failure(arguments, program, *which):
    """Of a test program; None if all of it passes."""
    status, output = run([str(arguments.build / "tests" / program), "--gtest_fail_fast", *which],
                         TESTS_LIMIT_S, MEMORY_LIMIT)
    if status is None:
        return TIME_LIMIT
    if status == 0:
        return None
    # One that crashed did not say that it failed.
    failed = re.findall(r"^\[  FAILED  \] ([^ ,]+)", output, re.MULTILINE)
    return failed[0] if failed else re.findall(r"^\[ RUN      \] (\S+)", output, re.MULTILINE)[-1]


def first_failure_of_all(arguments, *which):
    # With what it knows of times, ctest begins with the tests that take longest.
    with contextlib.suppress(FileNotFoundError):
        (arguments.build / "Testing/Temporary/CTestCostData.txt").unlink()
    status, output = run(["ctest", "--test-dir", str(arguments.build), "-LE", "consumer",
                          "-j", str(arguments.jobs), "--stop-on-failure", "--no-tests=error",
                          "--timeout", str(TEST_LIMIT_S), *which], TESTS_LIMIT_S, MEMORY_LIMIT)
    if status is None:
        return TIME_LIMIT
    if status == 0:
        return None
    failed = re.findall(r"^\s*\d+ - (.*) \((?!Not Run).*\)", output, re.MULTILINE)
    if not failed:
        raise RuntimeError(output)
    return failed[0]


def killer(mutation, arguments):
    """Program and name of a test that fails; None: of all. The likely program goes first, since to
    link and to start all of them takes longer than the rest."""
    likely = next(program for room, program in LIKELY.items() if mutation.file.startswith(room))
    for program in (likely, None):
        status, output = build(arguments, *([program] if program else []))
        if " error: " in output:
            raise DoesNotFit(f"it does not compile\n{output}")
        if status != 0:  # the build lists the tests
            return program, CANNOT_LIST
        test = (first_failure(arguments, program) if program else first_failure_of_all(arguments))
        if test:
            return program, test
    return None


def outcome(mutation, arguments, killers):
    """What became of the error; and whether that is as it should be. Adds the test that failed."""
    path = arguments.tree / mutation.file
    original = path.read_text()
    try:
        path.write_text(mutation.applied(original))
        killed_by = killer(mutation, arguments)
        if not killed_by:
            return "SURVIVED", False
        killers.add(killed_by)
        return f"killed by {killed_by[1]}", True
    except DoesNotFit as error:
        return f"DOES NOT FIT: {error}", False
    finally:
        path.write_text(original)


def check_killers(killers, arguments):
    """What fails without an error kills nothing."""
    for program, test in sorted(killers, key=str):
        if test in (TIME_LIMIT, CANNOT_LIST):
            continue
        escaped = re.sub(r"[][.+*()?^$|\\]", r"\\\g<0>", test)
        if (first_failure(arguments, program, f"--gtest_filter={test}") if program else
                first_failure_of_all(arguments, "-R", f"^{escaped}$")):
            sys.exit(f"{test} fails without an error, too")


def prepare(arguments):
    copy_tree(arguments.tree)
    cache = arguments.build / "CMakeCache.txt"
    if not cache.is_file():
        ccache = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        subprocess.run(["cmake", "-S", arguments.tree, "-B", arguments.build, *CONFIGURATION,
                        *ccache], check=True, stdout=subprocess.DEVNULL)
    elif f"CMAKE_HOME_DIRECTORY:INTERNAL={arguments.tree}\n" not in cache.read_text():
        sys.exit(f"{arguments.build} is not a build of {arguments.tree}")


def build_unchanged(arguments):
    status, output = build(arguments)
    if status != 0:
        sys.exit(f"The unchanged tree does not build\n{output}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="TEXT", action="append",
                        help="those with this, or another such, in heading, file or name")
    parser.add_argument("--sample", type=int, metavar="N", help="N of them")
    parser.add_argument("--seed", default="", help="which: the same for the same seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="to compile, and to test")
    parser.add_argument("--tree", type=pathlib.Path, default=ROOT / "build/mutate/tree")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/mutate/build")
    parser.add_argument("--copy", action="store_true", help="only copy the tree")
    arguments = parser.parse_args()
    arguments.tree, arguments.build = arguments.tree.resolve(), arguments.build.resolve()
    if arguments.copy:
        return copy_tree(arguments.tree)

    mutations = read_mutations()
    check_fit(mutations)
    if arguments.only:
        mutations = [each for each in mutations if any(
            text.lower() in f"{each.group}\n{each.file}: {each.name}".lower()
            for text in arguments.only)]
    if arguments.sample is not None:
        random.Random(arguments.seed).shuffle(mutations)
        del mutations[arguments.sample:]
    if not mutations:
        sys.exit("No such mutation")

    prepare(arguments)
    build_unchanged(arguments)
    failures, killers = 0, set()
    try:
        for mutation in mutations:
            began = time.monotonic()
            text, is_good = outcome(mutation, arguments, killers)
            failures += not is_good
            print(f"{time.monotonic() - began:4.0f} s  [{mutation.group}] {mutation.file}: "
                  f"{mutation.name}: {text}", flush=True)
    finally:
        build_unchanged(arguments)
    check_killers(killers, arguments)
    print(f"{len(mutations)} tried, {failures} not killed")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
