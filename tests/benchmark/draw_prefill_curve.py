#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws predicted speedups against ISL, with the break-even marked.

usage: draw_prefill_curve.py <mla-dtype> [--check]
       draw_prefill_curve.py <mla-dtype> <picture.svg> <cost model>...

The first draws prefill_curve.svg, what was measured on an H100 and what cost models make of it, and
prefill_engines.svg, the cost models of engines; --check compares with the pictures that are there.
The second draws those that are given, as --cost-model takes them: h100, a file, or
B200:FLASH_ATTN:TRTLLM_RAGGED. The models are asked through the tool.
"""

import csv
import html
import json
import math
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PICTURE = HERE / "prefill_curve.svg"
ENGINES = HERE / "prefill_engines.svg"
BLACKWELL = {"B200": "#1b6ca8", "GB200": "#7570b3", "B300": "#d95f02", "GB300": "#1b9e77"}
PANELS = [  # title, backends, devices with their colours
    ("vLLM 0.24, whole module, FLASH_ATTN and TRTLLM_RAGGED",
     "FLASH_ATTN:TRTLLM_RAGGED", BLACKWELL),
    ("SGLang 0.5.14, trtllm_mla", "trtllm_mla:trtllm_mla", BLACKWELL),
    ("TensorRT-LLM 1.3, context MLA", "TRTLLM_FMHA:TRTLLM_FMHA",
     {"NVIDIA H100 80GB HBM3": "#1a1a1a", "H200": "#999999", **BLACKWELL,
      "RTX PRO 6000 Blackwell Server Edition": "#e7298a"})]
THREE_NUMBERS = {"bf16_tflops": 550, "fp8_tflops": 780, "quantize_ns": 0.5}

WIDTH, HEIGHT = 860, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 60
FIRST, LAST = 8, 17  # powers of two: ISL 256 to 131072
LOWEST, HIGHEST = 0.2, 1.6


def measured():
    with open(HERE / "prefill_h100.csv", encoding="ascii") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [(int(row["heads"]), int(row["isl"]), float(row["bf16_ms"]) / float(row["fp8_ms"]))
                for row in rows]


def predicted(tool, cost_model):
    """(break-even ISL, [(ISL, speedup)]), four points to each doubling of the ISL."""
    speedups = {}
    for step in range(4 * FIRST, 4 * LAST):
        answer = subprocess.run(
            [tool, "--curve", "--json", "--cost-model", cost_model,
             "--expected-isl", str(round(2 ** (step / 4)))],
            check=True, capture_output=True, text=True)
        curve = json.loads(answer.stdout)
        speedups.update((point["isl"], point["speedup"]) for point in curve["points"])
    return curve["break_even_isl"], sorted(speedups.items())


def x(isl):
    return LEFT + (math.log2(isl) - FIRST) / (LAST - FIRST) * (WIDTH - LEFT - RIGHT)


def y(speedup):
    return TOP + (HIGHEST - speedup) / (HIGHEST - LOWEST) * (HEIGHT - TOP - BOTTOM)


def text(px, py, words, anchor="middle"):
    return f'<text x="{px:.1f}" y="{py:.1f}" text-anchor="{anchor}">{words}</text>'


def line(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def axes(title):
    grid = 'stroke="#dddddd"'
    for power in range(FIRST, LAST + 1):
        isl = 2 ** power
        yield line(x(isl), y(LOWEST), x(isl), y(HIGHEST), grid)
        yield text(x(isl), HEIGHT - BOTTOM + 20, f"{isl // 1024}K" if isl >= 1024 else isl)
    for tenth in range(round(LOWEST * 10), round(HIGHEST * 10) + 1, 2):
        style = 'stroke="#444444"' if tenth == 10 else grid
        yield line(LEFT, y(tenth / 10), WIDTH - RIGHT, y(tenth / 10), style)
        yield text(LEFT - 8, y(tenth / 10) + 4, f"{tenth / 10:.1f}x", "end")
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 15, "input sequence length (ISL), tokens")
    yield text(LEFT, TOP - 16, title, "start")


def curve(model, color, dashes):
    break_even, points = model
    path = " ".join(f"{x(isl):.1f},{y(speedup):.1f}" for isl, speedup in points)
    yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" {dashes}/>'
    if break_even is not None:
        yield line(x(break_even), y(1) - 7, x(break_even), y(1) + 7,
                   f'stroke="{color}" stroke-width="2"')


def legend(row, mark, words):
    top = y(0.66) + 22 * row
    yield mark(WIDTH - 330, top - 4)
    yield text(WIDTH - 310, top, words, "start")


def point(px, py, heads):
    if heads == 128:
        return f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="#1a1a1a"/>'
    return (f'<rect x="{px - 3.5:.1f}" y="{py - 3.5:.1f}" width="7" height="7" fill="none" '
            'stroke="#1a1a1a" stroke-width="1.5"/>')


def begin(height):
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
           f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">')
    yield f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'


def dash(color, style=""):
    def mark(px, py):
        return line(px - 12, py, px + 12, py, f'stroke="{color}" stroke-width="2" {style}')
    return mark


def panel(title, curves):
    """`curves`: name, colour, model."""
    yield from axes(title)
    for row, (name, color, model) in enumerate(curves):
        yield from curve(model, color, "")
        where = "no break-even" if model[0] is None else f"break-even at ISL {model[0]}"
        yield from legend(row - len(curves) + 4, dash(color), f"{name}: {where}")


def sheet(panels):
    height = HEIGHT * len(panels)
    yield from begin(height)
    for row, (title, curves) in enumerate(panels):
        yield f'<g transform="translate(0 {row * HEIGHT})">'
        yield from panel(title, curves)
        yield "</g>"
    yield "</svg>"


def engines(tool):
    return sheet([(f"FP8 prefill, times as fast as BF16 (measured to ISL 32K): {title}",
                   [(device.replace("NVIDIA ", "").replace(" 80GB HBM3", "").split(" Blackwell")[0],
                     color, predicted(tool, f"{device}:{backends}"))
                    for device, color in devices.items()])
                  for title, backends, devices in PANELS])


def draw(tool):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(THREE_NUMBERS, file)
        file.flush()
        three = predicted(tool, file.name)
    built_in = predicted(tool, "h100")
    dashes = 'stroke-dasharray="7 4"'
    yield from begin(HEIGHT)
    yield from axes("FP8 prefill attention with quantizing, times as fast as BF16: "
                    "one NVIDIA H100 80GB")
    yield from curve(three, "#d95f02", dashes)
    yield from curve(built_in, "#1b6ca8", "")
    for heads, isl, speedup in measured():
        yield point(x(isl), y(speedup), heads)
    yield from legend(0, lambda px, py: point(px, py, 128), "measured, 128 heads")
    yield from legend(1, lambda px, py: point(px, py, 16), "measured, 16 heads")
    for row, color, style, name, break_even in ((2, "#1b6ca8", "", "built-in curve", built_in[0]),
                                                (3, "#d95f02", dashes, "three numbers", three[0])):
        yield from legend(row, dash(color, style), f"{name}: break-even at ISL {break_even}")
    yield "</svg>"


def main():
    tool, *options = sys.argv[1:] or sys.exit(__doc__)
    if len(options) > 1:
        colors = list(BLACKWELL.values())
        curves = [(html.escape(name), colors[i % len(colors)], predicted(tool, name))
                  for i, name in enumerate(options[1:])]
        title = "FP8 prefill attention, times as fast as BF16"
        pathlib.Path(options[0]).write_text("\n".join(sheet([(title, curves)])) + "\n",
                                            encoding="utf-8")
        return
    if options not in ([], ["--check"]):
        sys.exit(__doc__)
    for file, lines in ((PICTURE, draw(tool)), (ENGINES, engines(tool))):
        picture = "\n".join(lines) + "\n"
        if not options:
            file.write_text(picture, encoding="ascii")
        elif file.read_text(encoding="ascii") != picture:
            sys.exit(f"{file.name} is not what the library predicts: draw it again")


if __name__ == "__main__":
    main()
