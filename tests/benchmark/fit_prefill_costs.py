#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fits the cost models of src/facts/prefill_costs.cpp to prefill_engines.csv.

usage: fit_prefill_costs.py            prints the rows of the table
       fit_prefill_costs.py --report   what each model loses, on rows that were not fitted, too
       fit_prefill_costs.py --check    compares both with those that are there, and in README.md

Of h heads, n sequences and s tokens, attention is h n s^2, and casting grows with h n s and, as far
as heads share it, with n s. So FP8 takes longer by -a h n s^2 + c h n s + t n s. Errors count by the
time of the faster data type; outliers little (some rows are off by a factor of two); and most where
the two are near each other, since the sign is what a decision is taken by.
"""

import collections
import csv
import math
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE.parents[1] / "src" / "facts" / "prefill_costs.cpp"
FLOP = 2 * (128 + 64 + 128) / 2  # for a query and a key; causal: half of all pairs

Row = collections.namedtuple("Row", "heads batch isl bf16 fp8")
Fit = collections.namedtuple("Fit", "attention cast_head cast_token bf16_attention other_head "
                             "other_token")


def read():
    pairs = collections.defaultdict(list)
    with open(HERE / "prefill_engines.csv", encoding="ascii") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            pairs[row["engine"], row["version"], row["device"]].append(
                Row(int(row["heads"]), int(row["batch"]), int(row["isl"]),
                    float(row["bf16_ms"]) * 1e6, float(row["fp8_ms"]) * 1e6))
    return pairs


def solve(matrix, values):
    """Gauss with pivots."""
    rows = [list(row) + [value] for row, value in zip(matrix, values)]
    for i in range(len(rows)):
        pivot = max(range(i, len(rows)), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for k in range(len(rows)):
            if k != i:
                factor = rows[k][i] / rows[i][i]
                rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i])]
    return [row[-1] / row[i] for i, row in enumerate(rows)]


def least_squares(terms, values, weights):
    size = range(len(terms[0]))
    matrix = [[sum(w * x[i] * x[j] for x, w in zip(terms, weights)) for j in size] for i in size]
    return solve(matrix, [sum(w * x[i] * y for x, y, w in zip(terms, values, weights))
                          for i in size])


def terms_of(row, count):
    tokens = row.batch * row.isl
    return [row.heads * tokens * row.isl, row.heads * tokens, tokens][:count]


def value_of(coefficients, row):
    return sum(c * x for c, x in zip(coefficients, terms_of(row, len(coefficients))))


def break_even(coefficients, heads):
    attention, cast_head, cast_token = (*coefficients, 0)[:3]
    cast = cast_head + cast_token / heads
    return cast / -attention if attention < 0 < cast else 1e5


def fit_robustly(rows, values, count, nearness, outlier):
    """`nearness(row, coefficients)`: how much a row counts."""
    terms = [terms_of(row, count) for row in rows]
    weights = [1 / min(row.bf16, row.fp8) ** 2 for row in rows]
    for _ in range(30):
        coefficients = least_squares(terms, values, weights)
        weights = []
        for row, value in zip(rows, values):
            scale = min(row.bf16, row.fp8)
            error = abs(value_of(coefficients, row) - value) / scale
            weights.append(nearness(row, coefficients) / (outlier + error) / scale ** 2)
    return coefficients


def fit_with_tokens(rows, values, nearness, outlier):
    coefficients = fit_robustly(rows, values, 3, nearness, outlier)
    if coefficients[2] < 0:  # no cost of tokens can be seen
        coefficients = fit_robustly(rows, values, 2, nearness, outlier) + [0.0]
    return coefficients


def fit_difference(rows):
    def near_break_even(row, coefficients):
        return 1 / (1 + math.log(row.isl / break_even(coefficients, 64)) ** 2)
    return fit_with_tokens(rows, [row.fp8 - row.bf16 for row in rows], near_break_even, 0.02)


def fit(rows):
    bf16 = fit_with_tokens(rows, [row.bf16 for row in rows], lambda *_: 1, 0.05)
    return Fit(*fit_difference(rows), *bf16)


def throughputs(of):
    """In the order of PrefillThroughput."""
    return (FLOP / of.bf16_attention / 1e3, FLOP / (of.bf16_attention + of.attention) / 1e3,
            of.cast_head, of.cast_token, of.other_head, of.other_token)


def cells(pairs):
    result = []
    for (engine, version, device), rows in sorted(pairs.items()):
        at_4096, = [row.bf16 / row.fp8 for row in rows if row[:3] == (128, 1, 4096)]
        numbers = ", ".join(f"{number:.4g}" for number in throughputs(fit(rows)))
        result.append((f"{engine} {version}", device, f"{at_4096:.3f}", numbers))
    return result


def check(pairs):
    text = re.sub(r'"\s+"', "", TABLE.read_text(encoding="ascii"))
    text = re.sub(r"\s+", " ", text)
    missing = [row for row in cells(pairs) if f'"{row[1]}", {row[2]}, {{{row[3]}}}' not in text]
    for row in missing:
        print("not in the table:", *row)
    written = (HERE / "README.md").read_text(encoding="utf-8").splitlines()
    stale = [line for line in report(pairs) if line not in written]
    for line in stale:
        print("not in README.md:", line)
    return 1 if missing or stale else 0


def time_lost(rows, takes_fp8):
    """In percent of always choosing the faster: geometric mean, and the worst row."""
    logs = [math.log((row.fp8 if takes_fp8(row) else row.bf16) / min(row.bf16, row.fp8))
            for row in rows]
    return 100 * math.expm1(sum(logs) / len(logs)), 100 * math.expm1(max(logs))


def left_out(rows, key):
    """The rows, each with what a fit without all rows like it decides."""
    decided = {}
    for value in {getattr(row, key) for row in rows}:
        coefficients = fit_difference([row for row in rows if getattr(row, key) != value])
        for row in rows:
            if getattr(row, key) == value:
                decided[row] = value_of(coefficients, row) < 0
    return decided


def speedup_error(rows, of):
    """Of the predicted speedup from ISL 1024 on, in percent, geometric mean."""
    logs = []
    for row in rows:
        bf16 = value_of((of.bf16_attention, of.other_head, of.other_token), row)
        fp8 = bf16 + value_of((of.attention, of.cast_head, of.cast_token), row)
        if row.isl >= 1024:
            logs.append(abs(math.log(bf16 / fp8 / (row.bf16 / row.fp8))))
    return 100 * math.expm1(sum(logs) / len(logs))


def report(pairs):
    yield ("| engine | device | break-even ISL, 128 and 16 heads | never | always | from 4096 | model "
           "| ISL left out | batch | heads | speedup off by |")
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    sums = collections.Counter()
    for (engine, version, device), rows in sorted(pairs.items()):
        of = fit(rows)
        difference = of[:3]
        columns = [time_lost(rows, rule) for rule in (
            lambda row: False, lambda row: True, lambda row: row.isl >= 4096,
            lambda row: value_of(difference, row) < 0)]
        for key in ("isl", "batch", "heads"):
            decided = left_out(rows, key)
            columns.append(time_lost(rows, lambda row, decided=decided: decided[row]))
        sums.update({i: mean for i, (mean, _) in enumerate(columns)})
        yield (f"| {engine} {version} | {device} | {break_even(difference, 128):.0f}, "
               f"{break_even(difference, 16):.0f} | "
               + " | ".join(f"{mean:.2f} ({worst:.0f})" for mean, worst in columns)
               + f" | {speedup_error(rows, of):.1f} % |")
    means = " | ".join(f"{sums[i] / len(pairs):.2f}" for i in range(7))
    yield f"| mean | | | {means} | |"


def main():
    pairs = read()
    if sys.argv[1:] == ["--check"]:
        return check(pairs)
    if sys.argv[1:] == ["--report"]:
        print("\n".join(report(pairs)))
        return 0
    for engine, device, at_4096, numbers in cells(pairs):
        print(f'    {{"{engine}", "{device}", {at_4096}, {{{numbers}}}}},')
    return 0


if __name__ == "__main__":
    sys.exit(main())
