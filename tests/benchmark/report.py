#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmark, writes the tables of README.md beside it, and finds what got slower.

    tests/benchmark/report.py run build/tests/mla_dtype_benchmark results.json
    tests/benchmark/report.py table results.json [README.md]
    tests/benchmark/report.py check results.json      fails where a ratio is worse than its baseline
    tests/benchmark/report.py baseline results.json   takes these ratios for the baseline

Only ratios of one run are compared, never times: those of two machines, or of two hours on a shared
one, do not belong together.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
README = HERE / "README.md"
BASELINE = HERE / "baseline.json"
BEGIN, END = "<!-- benchmark:begin -->\n", "<!-- benchmark:end -->\n"

ROWS = {
    "row_1": "row 1",
    "row_2_kv_cache": "row 2, the KV cache is not quantized",
    "row_2_backend": "row 2, the backend takes no FP8 queries",
    "row_3": "row 3",
    "row_4_kv_cache": "row 4, the KV cache is not quantized",
    "row_4_backend": "row 4, the backend takes no FP8 queries",
}
SELECTED = {
    "determine_among/row_1/5": "row 1, selected from vLLM's five backends",
    "determine_among/row_2/5": "row 2, none of the five takes FP8 queries",
}
COLD = {
    "explain": "`explain_prefill_query_data_type`, two blockers and six remedies",
    "plan": "`plan_attention_data_types`, everything in FP8",
    "make_and_select": "`make_environment` with vLLM's table, and `select_prefill_backend`",
}
SAID_BEFORE = {
    "once_log": "`OnceLog::info_once`",
    "once_log_silent_rank": "the same on a rank that may not speak",
    "spdlog_through_once_sink": "spdlog through `OnceSink`",
    "spdlog_into_locking_null_sink": "spdlog into a sink that locks and discards: not suppressed",
    "spdlog_through_dup_filter": "spdlog through `dup_filter_sink_mt`",
    "mutex_and_set": "a mutex and a set of strings",
    "call_once": "`std::call_once`, which knows no texts",
    "glog_first_n": "glog's `LOG_FIRST_N`, which knows no texts",
    "one_relaxed_load": "one relaxed load: the floor",
}
OPTIONAL = {"glog_first_n"}  # built where glog is there
GROWTH = {
    "once_log_among/": ("messages said, asked for in turn", [1, 10, 1000, 4096]),
    "once_log/threads:": ("threads in `OnceLog`", [1, 2, 4, 8]),
    "spdlog_through_once_sink/threads:": ("threads in `OnceSink`", [1, 2, 4, 8]),
    "spdlog_through_dup_filter/threads:": ("threads in `dup_filter_sink_mt`", [1, 2, 4, 8]),
    "mutex_and_set/threads:": ("threads at a mutex and a set", [1, 2, 4, 8]),
    "determine_among/row_1/": ("backends in the table, row 1", [5, 20, 100]),
    "determine_among/row_2/": ("backends in the table, row 2, none takes FP8 queries",
                               [5, 20, 100]),
}


@dataclass
class Ratio:
    """What ours takes of what theirs takes: the lower, the better."""

    name: str
    ours: str
    theirs: str
    goal: float = None
    tolerance: float = 1.5  # how many times the baseline is still noise


UNDISTURBED = 0.05  # of a core, used by others

# The time of a lock that two threads fight for depends on whether both get a core.
FOUGHT_FOR = 3.0

DUP_FILTER = "spdlog_through_dup_filter/threads:1"

RATIOS = [
    Ratio("OnceLog : dup_filter", "once_log/threads:1", DUP_FILTER, 1 / 3),
    Ratio("OnceLog : dup_filter, 2 threads", "once_log/threads:2",
          "spdlog_through_dup_filter/threads:2", 1 / 10, FOUGHT_FOR),
    Ratio("OnceLog : mutex and set", "once_log/threads:1", "mutex_and_set/threads:1"),
    Ratio("OnceSink : locking null sink", "spdlog_through_once_sink/threads:1",
          "spdlog_into_locking_null_sink/threads:1", 1.3),
    Ratio("OnceSink : locking null sink, 2 threads", "spdlog_through_once_sink/threads:2",
          "spdlog_into_locking_null_sink/threads:2", 1.3, FOUGHT_FOR),
    Ratio("OnceLog, 2 threads : 1", "once_log/threads:2", "once_log/threads:1", 1.15),
    Ratio("OnceLog, 8 threads : 1", "once_log/threads:8", "once_log/threads:1"),
    Ratio("OnceSink, 2 threads : 1", "spdlog_through_once_sink/threads:2",
          "spdlog_through_once_sink/threads:1", 1.15),
    Ratio("OnceLog, 1,000 messages : 1", "once_log_among/1000", "once_log_among/1"),
    Ratio("OnceLog, 4,096 messages : 1", "once_log_among/4096", "once_log_among/1"),
    *[Ratio(f"{name} : dup_filter", name, DUP_FILTER, 1.3)
      for name in (*(f"determine/{row}" for row in ROWS), *SELECTED)],
    *[Ratio(f"{function}/{row} : CPython", f"{function}/{row}", f"reference/{row}")
      for function in ("determine", "determine_own") for row in ROWS],
    *[Ratio(f"{name} : CPython's row 1", name, "reference/row_1") for name in COLD],
    Ratio("choose : one relaxed load", "choose", "one_relaxed_load/threads:1"),
    *[Ratio(f"determine, {row}, 100 backends : 5", f"determine_among/{row}/100",
            f"determine_among/{row}/5") for row in ("row_1", "row_2")],
]


class Results:
    """The medians of a run."""

    def __init__(self, document):
        self.context = document["context"]
        self.host = document.get("host", {})
        self._cpu = document["cpu_ns"]
        self._wall = document["wall_ns"]

    def has(self, name):
        return name in self._cpu

    def cpu(self, name):
        return self._median(self._cpu, name)

    def wall(self, name):
        return self._median(self._wall, name)

    @staticmethod
    def _median(times, name):
        if name not in times:
            sys.exit(f"{name} was not measured")
        return statistics.median(times[name])


def merge(rounds):
    """One document of several: of each round the benchmark's own JSON and the reference's rows."""
    cpu, wall = {}, {}
    for benchmark, reference in rounds:
        for run in benchmark["benchmarks"]:
            if run.get("error_occurred"):
                sys.exit(f"{run['name']}: {run['error_message']}")
            # The JSON gives the time of a call with all threads side by side.
            wall.setdefault(run["name"], []).append(round(run["real_time"] * run["threads"], 3))
            cpu.setdefault(run["name"], []).append(round(run["cpu_time"], 3))
        for row, nanoseconds in reference.items():
            cpu.setdefault(f"reference/{row}", []).append(round(nanoseconds, 3))
    context = rounds[0][0]["context"]
    return {
        "context": {key: context[key] for key in ("compiler", "spdlog", "glog") if key in context},
        "cpu_ns": dict(sorted(cpu.items())),
        "wall_ns": dict(sorted(wall.items())),
    }


def cpu_model():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def busy_seconds():
    """Seconds of CPU time of all processes on this machine."""
    try:
        ticks = [int(field) for field in pathlib.Path("/proc/stat").read_text().split()[1:9]]
    except OSError:
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = ticks
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def wait_for_quiet(deadline):
    while time.monotonic() < deadline:
        before = busy_seconds()
        time.sleep(1)
        if busy_seconds() - before < UNDISTURBED:
            return


def run(arguments):
    """Keeps the least disturbed rounds of as many as it takes, or as patience allows."""
    deadline = time.monotonic() + arguments.patience
    rounds = []
    while True:
        wait_for_quiet(deadline)
        before = busy_seconds() - own_seconds()
        begin = time.monotonic()
        benchmark = json.loads(output_of(
            arguments.benchmark, "--benchmark_format=json",
            "--benchmark_enable_random_interleaving=true",
            f"--benchmark_min_time={arguments.min_time}"))
        reference = json.loads(output_of(sys.executable, HERE / "reference.py"))
        others = (busy_seconds() - own_seconds() - before) / (time.monotonic() - begin)
        rounds.append((others, benchmark, reference))
        rounds.sort(key=lambda measured: measured[0])
        print(f"round {len(rounds)}: others used {max(others, 0):.0%} of a core", file=sys.stderr)
        if len(rounds) < arguments.rounds:
            continue
        disturbance = rounds[arguments.rounds - 1][0]
        if disturbance < UNDISTURBED or time.monotonic() > deadline:
            break
    document = merge([measured[1:] for measured in rounds[: arguments.rounds]])
    document["context"].update(
        cpu=cpu_model(), cores=os.cpu_count(), python=platform.python_version(),
        rounds=arguments.rounds, disturbance=round(disturbance, 3))
    if arguments.host_cost_rounds:
        lines = output_of("bash", HERE / "host_cost.sh", str(arguments.host_cost_rounds))
        document["host"] = {name: int(number) for name, number in map(str.split, lines.splitlines())}
    arguments.results.write_text(text_of(document))
    results = Results(document)
    ratios(results)  # whatever is missing, is missed now
    print(tables(results))


def text_of(document):
    """As JSON, a line for each benchmark."""
    sections = []
    for key, section in document.items():
        lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in section.items()]
        sections.append(f" {json.dumps(key)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def load(path):
    return json.loads(path.read_text())


def time_text(nanoseconds):
    if nanoseconds >= 1000:
        return f"{nanoseconds / 1000:.1f} us"
    return f"{nanoseconds:.0f} ns" if nanoseconds >= 10 else f"{nanoseconds:.1f} ns"


def times_text(ratio):
    if ratio >= 10:
        return f"{ratio:.0f}x"
    return f"{ratio:.1f}x" if ratio >= 0.995 else f"{ratio:.2f}x"


def table_of(*rows):
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return [head, "|" + "---|" * len(rows[0]), *body, ""]


def said_before_table(results):
    columns = [("1 thread", results.cpu, "threads:1"), ("2 threads, each", results.cpu, "threads:2")]
    if results.context["disturbance"] < UNDISTURBED:  # else it is the time without a core, too
        columns.append(("with the time asleep", results.wall, "threads:2"))
    rows = [["a message said before, 100 bytes"]]
    for head, _, _ in columns:
        rows[0] += [head, "times `OnceLog`"]
    for name, label in SAID_BEFORE.items():
        if name in OPTIONAL and not results.has(f"{name}/threads:1"):
            continue
        cells = [label]
        for _, measure, threads in columns:
            taken = measure(f"{name}/{threads}")
            cells += [time_text(taken), times_text(taken / measure(f"once_log/{threads}"))]
        rows.append(cells)
    return table_of(*rows)


def decision_table(results):
    rows = [("`determine_prefill_query_data_type`, said before", "built-in predicates",
             "times suppressed `dup_filter`", "the engine's own", "CPython", "times built-in")]

    def built_in(label, name, *others):
        taken = results.cpu(name)
        return label, time_text(taken), times_text(taken / results.cpu(DUP_FILTER)), *others

    for row, label in ROWS.items():
        name, reference = f"determine/{row}", results.cpu(f"reference/{row}")
        rows.append(built_in(label, name, time_text(results.cpu(f"determine_own/{row}")),
                             time_text(reference), times_text(reference / results.cpu(name))))
    rows += [built_in(label, name, "", "", "") for name, label in SELECTED.items()]
    return table_of(*rows)


def cold_table(results):
    rows = [("at model init", "a call", "times row 1 in CPython")]
    for name, label in COLD.items():
        rows.append((label, time_text(results.cpu(name)),
                     times_text(results.cpu(name) / results.cpu("reference/row_1"))))
    return table_of(*rows)


def batch_table(results):
    return table_of(("for each prefill batch", "a call", "times one relaxed load"),
                    ("`PrefillQuerySelector::choose`", time_text(results.cpu("choose")),
                     times_text(results.cpu("choose") / results.cpu("one_relaxed_load/threads:1"))))


def growth_table(results):
    rows = [("with more", "so many", "a call", "last to first")]
    for prefix, (label, counts) in GROWTH.items():
        times = [results.cpu(f"{prefix}{count}") for count in counts]
        rows.append((label, ", ".join(f"{count:,}" for count in counts),
                     ", ".join(map(time_text, times)), times_text(times[-1] / times[0])))
    return table_of(*rows)


def host_table(results):
    host = results.host
    if not host:
        return []
    standard = host["include_standard_us"]

    def include(source):
        microseconds = host[f"include_{source}_us"]
        return f"{microseconds / 1000:.0f} ms, {times_text(microseconds / standard)}"

    def kib(name):
        return f"{host[name] / 1024:.1f} KiB"

    return table_of(
        ("to the program that links it", "cost"),
        ("compiling the standard headers of `<mla_dtype/mla_dtype.h>`", include("standard")),
        ("compiling `<mla_dtype/mla_dtype.h>`", include("library")),
        ("compiling `<spdlog/spdlog.h>`", include("spdlog")),
        ("compiling `<fmt/format.h>`", include("fmt")),
        ("the library's objects: code and constants; data",
         f"{kib('object_text_bytes')}; {kib('object_data_bytes')}"),
        ("added to a stripped shared object that decides, selects and plans", kib("stripped_bytes")),
        ("the same of one that logs a line, by spdlog header-only", kib("stripped_spdlog_bytes")),
        ("... that formats a line, by fmt header-only", kib("stripped_fmt_bytes")),
        ("added dynamic relocations", str(host["relocations"])),
        ("static initialisers", str(host["static_initialisers"])))


def machine_line(results):
    context = results.context
    glog = f", glog {context['glog']}" if "glog" in context else ""
    text = (f"CPU time on {context['cores']} cores of {context['cpu']}, {context['compiler']}, "
            f"spdlog {context['spdlog']}{glog}, CPython {context['python']}; medians of "
            f"{context['rounds']} rounds")
    if context["disturbance"] >= UNDISTURBED:
        text += f", while others used up to {context['disturbance']:.0%} of a core"
    return text + "."


def tables(results):
    lines = [machine_line(results), ""]
    for table in (said_before_table, decision_table, cold_table, batch_table, growth_table,
                  host_table):
        lines += table(results)
    return "\n".join(lines)


def write_tables(arguments):
    text = arguments.readme.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{arguments.readme}: no {BEGIN.strip()} ... {END.strip()}")
    arguments.readme.write_text(
        before + begin + "\n" + tables(Results(load(arguments.results))) + "\n" + end + after)


def ratios(results):
    return {ratio.name: results.cpu(ratio.ours) / results.cpu(ratio.theirs) for ratio in RATIOS}


def check(arguments):
    baseline = load(arguments.baseline)
    if set(baseline) != {ratio.name for ratio in RATIOS}:
        sys.exit(f"{arguments.baseline}: not the ratios of this script; write it anew")
    measured = ratios(Results(load(arguments.results)))
    regressions = 0
    for ratio in RATIOS:
        value, limit = measured[ratio.name], baseline[ratio.name] * ratio.tolerance
        goal = ""
        if ratio.goal:
            goal = f", goal {ratio.goal:.3f} {'met' if value <= ratio.goal else 'missed'}"
        regressed = not value <= limit  # also where it is no number
        regressions += regressed
        print(f"{'REGRESSED' if regressed else 'ok':9} {ratio.name}: {value:.3f}, baseline "
              f"{baseline[ratio.name]:.3f}, limit {limit:.3f}{goal}")
    if regressions:
        sys.exit(f"{regressions} of {len(RATIOS)} ratios regressed")


def write_baseline(arguments):
    measured = ratios(Results(load(arguments.results)))
    text = json.dumps({name: round(value, 4) for name, value in measured.items()}, indent=1)
    arguments.baseline.write_text(text + "\n")
    if arguments.baseline == BASELINE:  # the test of this script reads both
        (HERE / "report_test.json").write_bytes(arguments.results.read_bytes())


def main(words=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(name, action):
        added = commands.add_parser(name)
        added.set_defaults(action=action)
        return added

    runs = command("run", run)
    runs.add_argument("benchmark", type=pathlib.Path)
    runs.add_argument("results", type=pathlib.Path)
    runs.add_argument("--rounds", type=int, default=9)
    runs.add_argument("--min-time", type=float, default=0.02, help="seconds for each benchmark")
    runs.add_argument("--patience", type=float, default=300,
                      help="seconds to wait for rounds that nobody disturbs")
    runs.add_argument("--host-cost-rounds", type=int, default=9, help="0 leaves host_cost.sh out")
    writes = command("table", write_tables)
    writes.add_argument("results", type=pathlib.Path)
    writes.add_argument("readme", type=pathlib.Path, nargs="?", default=README)
    for name, action in (("check", check), ("baseline", write_baseline)):
        compares = command(name, action)
        compares.add_argument("results", type=pathlib.Path)
        compares.add_argument("--baseline", type=pathlib.Path, default=BASELINE)
    arguments = parser.parse_args(words)
    arguments.action(arguments)


if __name__ == "__main__":
    main()
