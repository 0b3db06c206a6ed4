#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Without it nobody would notice, where there is no GPU, that measure_prefill.py writes cost models
# that mla-dtype refuses or understands differently, that its fits or judgments are wrong, or that
# it answers a missing PyTorch with a traceback. What it does on a GPU is not tested here.
"""usage: measure_prefill_test.py [path to mla-dtype]"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "src" / "tool" / "measure_prefill.py"
sys.path.insert(0, str(SCRIPT.parent))
sys.dont_write_bytecode = True

import measure_prefill as measure  # noqa: E402

DIMS = measure.Dimensions(128, 64, 128)
NUMBERS = {"bf16_tflops": 600.0, "fp8_tflops": 800.0, "quantize_ns": 0.5}
BREAK_EVEN = 3751  # 0.5 ns * 600 GFLOP/ms / 320, over 1 - 600 / 800, is 3750
TOOL = None


def row(heads, context, isl, numbers=None):
    """What a device of these throughputs would take, as the library's header defines them."""
    numbers = numbers or NUMBERS
    batch = max(1, 16384 // isl)
    flop = 2.0 * (128 + 64 + 128) * heads * batch * isl * (isl / 2 + context)
    elements = (192 + 192 + 128) * isl + (192 + 128) * context
    cast_ms = numbers["quantize_ns"] * 1e-6 * heads * batch * elements / 512
    fp8_ms = flop / numbers["fp8_tflops"] * 1e-9
    return measure.Row(heads, batch, context, isl, flop / numbers["bf16_tflops"] * 1e-9,
                       fp8_ms + cast_ms, fp8_ms + 2 * cast_ms, "a kernel", "another")


def rows():
    return [row(heads, context, 2 ** i) for heads in (16, 128) for context in (0, 4096)
            for i in range(8, 17)]


class Results(unittest.TestCase):
    def test_the_fit_recovers_the_numbers(self):
        for scales, quantize in (("static", 0.5), ("dynamic", 1.0)):
            found = measure.fit_throughput(rows(), scales, DIMS)
            for name, number in {**NUMBERS, "quantize_ns": quantize}.items():
                self.assertAlmostEqual(found[name] / number, 1, 6, (scales, name))

    def test_the_fit_evens_out_noise(self):
        noise = random.Random(7)
        noisy = [one._replace(bf16=one.bf16 * noise.uniform(0.95, 1.05),
                              static=one.static * noise.uniform(0.95, 1.05)) for one in rows()]
        found = measure.fit_throughput(noisy, "static", DIMS)
        for name, number in NUMBERS.items():
            self.assertLess(abs(found[name] / number - 1), 0.05, name)

    def test_the_fit_of_what_shows_no_casts_is_a_model_all_the_same(self):
        free = {**NUMBERS, "quantize_ns": 0}
        for few in ([row(16, 0, 1024)], [row(16, 0, 2 ** i, free) for i in range(8, 17)]):
            self.assertGreater(min(measure.fit_throughput(few, "static", DIMS).values()), 0)

    def test_a_curve_is_in_order_of_one_sequence_and_of_the_most_heads(self):
        points = measure.make_curve(rows(), "static")["curve"]
        self.assertEqual([point["isl"] for point in points], [2 ** i for i in range(8, 17)])
        batch = row(128, 0, 1024)
        self.assertAlmostEqual(points[2]["bf16_ms"], batch.bf16 / 16)
        self.assertAlmostEqual(points[2]["fp8_ms"], batch.static / 16)
        self.assertIsNone(measure.make_curve([row(16, 0, 1024), row(16, 4096, 2048)], "static"))

    def test_break_even(self):
        for model in measure.make_models(rows(), "static", DIMS).values():
            self.assertLessEqual(abs(measure.break_even(model, DIMS) - BREAK_EVEN), 1)
        never = measure.fit_throughput(
            [row(16, 0, 2 ** i, {**NUMBERS, "fp8_tflops": 500.0}) for i in range(8, 17)], "static",
            DIMS)
        self.assertEqual(measure.break_even(never, DIMS), "none")

    def test_what_a_model_loses_is_judged(self):
        for model in measure.make_models(rows(), "static", DIMS).values():
            error, _, loss, worst_loss = measure.judge(model, rows(), "static", DIMS)
            self.assertLess(error, 0.01)
            self.assertLess(max(loss, worst_loss), 1e-9)
        never = {**NUMBERS, "fp8_tflops": 500.0}
        gain = row(128, 0, 65536).bf16 / row(128, 0, 65536).static
        error, _, loss, _ = measure.judge(never, [row(128, 0, 65536)], "static", DIMS)
        self.assertAlmostEqual(loss, gain - 1)
        self.assertAlmostEqual(error, 0.6, 1)  # 800 / 500

    def test_the_form_that_loses_less_comes_first(self):
        slow_start = [one._replace(bf16=one.bf16 * 3) if one.isl < 2048 else one for one in rows()]
        for some in (rows(), slow_start):
            models = measure.make_models(some, "static", DIMS)
            losses = [measure.judge(model, some, "static", DIMS)[2] for model in models.values()]
            self.assertEqual(losses, sorted(losses))
            self.assertEqual(set(models), {"curve", "throughput"})

    def test_the_table_says_what_was_measured(self):
        text = "\n".join([measure.to_text(rows()[-1]), *measure.summary(
            rows(), measure.make_models(rows(), "static", DIMS), "static", DIMS)])
        for part in ("a kernel, another", "128 heads: 375", "BF16 600 TFLOP/s, FP8 800 TFLOP/s, "
                     "quantize 0.5 ns", "curve: break-even", "throughput: break-even"):
            self.assertIn(part, text)

    def test_cases(self):
        cases = list(measure.list_cases(measure.parse(
            ["--heads", "16", "--isl", "8192,256,32768,256", "--context", "0,32768"])))
        self.assertEqual([tuple(case) for case in cases],
                         [(16, 64, 0, 256), (16, 2, 0, 8192), (16, 1, 0, 32768),
                          (16, 3, 32768, 256), (16, 2, 32768, 8192)])


class Files(unittest.TestCase):
    def test_the_tool_reads_them_and_predicts_the_same(self):
        if TOOL is None:
            self.skipTest("no path to mla-dtype")
        for dims in (DIMS, measure.Dimensions(192, 64, 256)):
            for model in measure.make_models(rows(), "static", dims).values():
                text = measure.to_json(model, dims, "a GPU")
                with tempfile.TemporaryDirectory() as directory:
                    path = pathlib.Path(directory, "model.json")
                    path.write_text(text, encoding="utf-8")
                    answer = subprocess.run(
                        [TOOL, "--curve", "--json", "--cost-model", str(path), "--expected-isl",
                         "3000", *(part for name, number in dims._asdict().items()
                                   for part in ("--" + name.replace("_", "-"), str(number)))],
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
                self.assertEqual((answer.returncode, answer.stderr), (0, ""))
                curve, read = json.loads(answer.stdout), json.loads(text)
                self.assertEqual(curve["source"], "a GPU")
                self.assertEqual(curve["break_even_isl"], measure.break_even(read, dims))
                for point in curve["points"]:
                    self.assertAlmostEqual(
                        point["speedup"] * measure.time_ratio(read, point["isl"], dims), 1, 9)


class Devices(unittest.TestCase):
    @staticmethod
    def platform(name, capability=(0, 0), architecture=None, available=True):
        """What the script makes of a GPU, which a stand-in for PyTorch reports."""
        properties = types.SimpleNamespace(name=name, major=capability[0], minor=capability[1],
                                           gcnArchName=architecture)
        torch = types.SimpleNamespace(
            cuda=types.SimpleNamespace(is_available=lambda: available,
                                       get_device_properties=lambda _: properties,
                                       mem_get_info=lambda: (10, 20)),
            version=types.SimpleNamespace(hip=architecture), finfo=lambda _: mock.Mock(max=1),
            float8_e4m3fn="e4m3fn", float8_e4m3fnuz="e4m3fnuz")
        with mock.patch.multiple(measure, create=True, MISSING=None, torch=torch):
            return measure.Platform()

    def test_the_fp8_type(self):
        for capability in ((8, 9), (9, 0), (10, 3), (12, 0)):
            self.assertEqual(self.platform("an NVIDIA GPU", capability).fp8, "e4m3fn")
        for architecture, fp8 in (("gfx942:sramecc+:xnack-", "e4m3fnuz"), ("gfx950", "e4m3fn"),
                                  ("gfx1201", "e4m3fn")):
            self.assertEqual(self.platform("an AMD GPU", (9, 4), architecture).fp8, fp8)

    def test_gpus_without_fp8_are_refused(self):
        for arguments, words in ((["A", (8, 0)], r"A \(compute capability 8.0\) has no FP8"),
                                 (["V", (7, 0)], "compute capability 7.0"),
                                 (["M", (9, 0), "gfx90a:sramecc+"], r"\(gfx90a\) has no FP8"),
                                 (["R", (11, 0), "gfx1100"], r"\(gfx1100\) has no FP8"),
                                 (["", (9, 0), None, False], "PyTorch finds none")):
            with self.assertRaisesRegex(measure.Failure, words):
                self.platform(*arguments)


class Process(unittest.TestCase):
    def call(self, *arguments, before="pass"):
        answer = subprocess.run(
            [sys.executable, "-B", "-c", f"import runpy, sys; {before}; sys.argv = sys.argv[1:]; "
             "runpy.run_path(sys.argv[0], run_name='__main__')", str(SCRIPT), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        return answer.returncode, answer.stdout, answer.stderr

    def test_without_pytorch_or_triton(self):
        for module in ("torch", "triton"):
            with tempfile.TemporaryDirectory() as directory:
                output = pathlib.Path(directory, "model.json")
                code, out, err = self.call("--output", str(output),
                                           before=f"sys.modules['{module}'] = None")
                self.assertFalse(output.exists())
            self.assertEqual((code, out, err.count("\n")), (1, "", 1), err)
            self.assertTrue(err.startswith("measure_prefill.py: error: needs PyTorch"), err)

    def test_bad_arguments(self):
        for arguments in (["--isl", "0"], ["--isl", "many"], ["--context", "-1"], ["--heads", ""],
                          ["--dims", "128,64"], ["--dims", "128,60,128"], ["--tokens", "0"],
                          ["--scales", "none"], ["--form", "curve", "--isl", "1024,1024"],
                          ["--form", "curve", "--context", "4096"], ["--surprise"], ["file"],
                          ["--output", str(pathlib.Path(SCRIPT, "model.json"))],
                          ["--output", str(SCRIPT.parent)]):
            code, out, err = self.call(*arguments)
            self.assertEqual((code, out), (2, ""), arguments)
            self.assertNotIn("Traceback", err)

    def test_help(self):
        code, out, _ = self.call("--help")
        self.assertEqual(code, 0)
        self.assertIn("--scales", out)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        TOOL = sys.argv.pop(1)
    unittest.main()
