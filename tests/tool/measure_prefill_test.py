#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Without it nobody would notice, where there is no GPU, that measure_prefill.py writes cost models
# that mla-dtype refuses or understands differently, that its fits or judgments are wrong, that it
# answers what it lacks with a traceback, or that it loses what was measured when something fails.
# What it does on a GPU is not tested here: stand-ins report times instead.
"""usage: measure_prefill_test.py [path to mla-dtype]"""

import contextlib
import io
import json
import os
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

    def test_of_what_shows_no_casts_there_is_no_fit(self):
        free = {**NUMBERS, "quantize_ns": 0}
        for few in ([row(16, 0, 1024)], [row(16, 0, 8192), row(128, 0, 8192)],
                    [row(16, 0, 1024), row(16, 0, 2048)],
                    [row(16, 0, 2 ** i, free) for i in range(8, 17)],
                    [row(16, 0, 2 ** 21), row(16, 0, 2 ** 23)]):
            self.assertIsNone(measure.fit_throughput(few, "static", DIMS))
            models = measure.make_models(few, "static", DIMS)
            self.assertEqual(set(models), {"curve"} if len({one.isl for one in few}) > 1 else set())
        self.assertIsNotNone(measure.fit_throughput([row(16, 0, 1024), row(16, 0, 4096)], "static",
                                                    DIMS))

    def test_a_curve_is_in_order_of_one_sequence_and_of_the_most_heads(self):
        points = measure.make_curve(rows(), "static")["curve"]
        self.assertEqual([point["isl"] for point in points], [2 ** i for i in range(8, 17)])
        batch = row(128, 0, 1024)
        self.assertAlmostEqual(points[2]["bf16_ms"], batch.bf16 / 16)
        self.assertAlmostEqual(points[2]["fp8_ms"], batch.static / 16)
        self.assertIsNone(measure.make_curve([row(16, 0, 1024), row(16, 4096, 2048)], "static"))
        lacking = [one for one in rows() if one.heads == 16 or one.isl == 256]
        self.assertEqual({one.heads for one in measure.curve_rows(lacking)}, {16})

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

    def test_the_curve_comes_first_unless_it_loses_clearly_more(self):
        def loss(model, some):
            return measure.judge(model, some, "static", DIMS)[2]

        def with_fp8_slower(isl):  # of 128 heads, without context: what the curve shows
            return [one._replace(static=one.bf16 * 1.001) if one[0::2][:2] == (128, 0)
                    and one.isl == isl else one for one in rows()]

        for some, first in ((rows(), "curve"), (with_fp8_slower(65536), "throughput"),
                            (with_fp8_slower(4096), "curve")):
            models = measure.make_models(some, "static", DIMS)
            self.assertEqual(next(iter(models)), first)
            self.assertEqual(set(models), {"curve", "throughput"})
            gain = loss(models["curve"], some) - loss(models["throughput"], some)
            self.assertEqual(gain > 0.005, first == "throughput")
        self.assertGreater(gain, 0)  # the last is one where the three numbers lose a bit less

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
        cases = measure.list_cases(measure.parse(["--heads", "16,128,1"]))
        self.assertEqual(list(dict.fromkeys(case.heads for case in cases)), [128, 16, 1])


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


class OutOfMemory(RuntimeError):
    pass


class Runs(unittest.TestCase):
    """The script with stand-ins for PyTorch and for what runs on a GPU."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.output = pathlib.Path(directory.name, "model.json")
        torch = mock.Mock(__version__="2", OutOfMemoryError=OutOfMemory)
        patches = mock.patch.multiple(measure, create=True, torch=torch,
                                      triton=mock.Mock(__version__="3"),
                                      Platform=lambda: types.SimpleNamespace(name="a GPU"))
        patches.start()
        self.addCleanup(patches.stop)

    def call(self, measure_row, *arguments):
        """The exit code, stdout, stderr; measure_row gets the number of the case, too."""
        numbers, out, err = iter(range(100)), io.StringIO(), io.StringIO()
        with mock.patch.multiple(
                measure, find_kernels=lambda *_: {},
                measure_row=lambda case, *_: measure_row(next(numbers), case)), \
                contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = measure.main(["--output", str(self.output), *arguments])
        self.assertNotIn("Traceback", err.getvalue())
        return code, out.getvalue(), err.getvalue()

    def source(self):
        return json.loads(self.output.read_text(encoding="utf-8"))["source"]

    @staticmethod
    def row_of(_, case):
        return row(case.heads, case.context, case.isl)

    def test_the_heads_of_the_model_are_named(self):
        code, out, _ = self.call(self.row_of)
        self.assertEqual(code, 0)
        self.assertIn("a GPU; 128 heads; BF16: a kernel; FP8: another, static", self.source())
        self.assertIn("the curve of 128 heads, break-even ISL 37", out)
        self.assertIn("as three numbers do not lose clearly less time", out)
        self.assertIn("other heads break even elsewhere; --heads 16 makes", out)
        _, out, _ = self.call(self.row_of, "--form", "throughput")
        self.assertIn("; 16, 128 heads; ", self.source())
        self.assertIn("the three numbers of 16, 128 heads, break-even ISL 375", out)
        _, out, _ = self.call(self.row_of, "--heads", "16")
        self.assertIn("the curve of 16 heads", out)
        self.assertNotIn("elsewhere", out)

    def test_what_was_measured_before_an_interruption_is_written(self):
        def interrupted(number, case):
            if number == 12:
                raise KeyboardInterrupt
            return self.row_of(number, case)
        code, out, err = self.call(interrupted)
        self.assertEqual(code, 130)
        self.assertIn("interrupted", err)
        self.assertIn("partial (12 of 46 cases); the curve of 128 heads", out)
        self.assertIn("; 128 heads; partial (12 of 46 cases); ", self.source())
        self.assertEqual(len(json.loads(self.output.read_text(encoding="utf-8"))["curve"]), 9)

    def test_after_an_early_interruption_nothing_is_written(self):
        for count in (0, 1):
            def interrupted(number, case, count=count):
                if number == count:
                    raise KeyboardInterrupt
                return self.row_of(number, case)
            code, out, err = self.call(interrupted)
            self.assertEqual(code, 130)
            self.assertIn("nothing is written", err)
            self.assertEqual("0.52x" in out or " 256 " in out, count == 1)
            self.assertFalse(self.output.exists())

    def test_cases_that_cannot_be_measured_are_left_out_and_named(self):
        def lacking(number, case):
            if case.isl == 65536:
                raise OutOfMemory("out of memory. Tried to allocate\nmore")
            return self.row_of(number, case)
        code, out, _ = self.call(lacking)
        self.assertEqual(code, 0)
        self.assertIn("  128     1       0  65536 left out: out of memory\n", out)
        self.assertIn("; partial (44 of 46 cases); ", self.source())

    def test_where_nothing_can_be_measured_one_sentence_says_so(self):
        def lacking(*_):
            raise OutOfMemory("out of memory")
        code, _, err = self.call(lacking, "--quick")
        self.assertEqual(code, 1)
        self.assertEqual(err.splitlines()[-1], "measure_prefill.py: error: nothing was "
                         "measured, so nothing is written")
        self.assertFalse(self.output.exists())

    def test_a_gain_that_was_not_measured_is_not_written(self):
        def free(_, case):
            return row(case.heads, case.context, case.isl, {**NUMBERS, "quantize_ns": 0})
        code, _, err = self.call(free, "--context", "4096")
        self.assertEqual(code, 1)
        self.assertIn("a curve needs two ISLs without context", err)
        self.assertFalse(self.output.exists())
        code, out, _ = self.call(free)
        self.assertEqual(code, 0)
        self.assertIn("break-even ISL 256; the one form that these times give", out)

    def test_an_output_that_ceases_to_be_one(self):
        def removing(number, case):
            if number == 0:
                os.mkdir(self.output)
            return self.row_of(number, case)
        code, out, err = self.call(removing)
        self.assertEqual((code, "128 heads: 375" in out), (1, True))
        self.assertIn("error: [Errno", err)

    def test_kernels_that_cannot_run_are_not_timed(self):
        def impossible():
            raise ValueError("too large. So it is\n")

        def without_memory():
            raise OutOfMemory("none")
        event = mock.Mock(elapsed_time=lambda _: 6.0)
        replayed = mock.Mock(return_value=(event, event))
        with mock.patch.multiple(measure, timed=replayed, repeated=lambda _: (mock.Mock(), 2, 9)):
            self.assertEqual(measure.measure({"bad": impossible, "good": str}, 1), {"good": 3})
            with self.assertRaisesRegex(measure.Failure, "^no kernel can run: too large$"):
                measure.measure({"bad": impossible}, 1)
            with self.assertRaises(OutOfMemory):
                measure.measure({"bad": without_memory, "good": str}, 1)
        with mock.patch.multiple(measure, Inputs=mock.Mock(),
                                 measure=lambda *_: {("bf16", "a kernel"): 1}):
            with self.assertRaisesRegex(measure.Failure, "no kernel"):
                kernels = {("bf16", False): {}, ("fp8", False): {}}
                measure.measure_row(measure.Case(1, 1, 0, 1), DIMS, None, kernels, 1)

    def test_kernels_are_chosen_by_what_the_memory_has_room_for(self):
        for room, largest in ((10 ** 9, [(16, 16), (16, 1)]), (70000, [(8, 8), (4, 1)]), (0, None)):
            cases = []

            class Inputs:
                attention = sdpa = dims = None

                def __init__(self, case, *_, room=room, cases=cases):
                    if case.isl > 1000:
                        if case.heads * case.batch * case.isl > room:
                            raise measure.Failure("takes more than is free")
                        cases.append(case[:2])

                def cast(self):
                    pass
            platform, arguments = measure.Platform(), measure.parse([])
            with mock.patch.multiple(measure, Inputs=Inputs, check=mock.Mock(),
                                     list_kernels=lambda *_: dict.fromkeys("abc", print),
                                     measure=lambda *_: {"a": 1, "b": 1.05, "c": 2}):
                if largest:
                    found = measure.find_kernels("fp8", 0, arguments, platform)
                    self.assertEqual((sorted(found), cases), (["a", "b"], largest))
                else:
                    with self.assertRaisesRegex(measure.Failure, "on a GPU: takes more than"):
                        measure.find_kernels("fp8", 0, arguments, platform)


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
        for arguments, words in (
                (["--isl", "0"], "from 1 on"), (["--isl", "many"], "numbers"),
                (["--context", "-1"], "from 0 on"), (["--heads", ""], "numbers"),
                (["--dims", "128,64"], "takes three"), (["--dims", "128,60,128"], "the sum of two"),
                (["--dims", "128,64,192"], "v is 16, 32, 64, 128 or 256"),
                (["--dims", "256,256,128"], "two different"), (["--tokens", "0"], "positive"),
                (["--scales", "none"], "choice"), (["--surprise"], "unrecognized"),
                (["file"], "unrecognized"),
                (["--form", "curve", "--isl", "1024,1024"], "two ISLs"),
                (["--form", "curve", "--context", "4096"], "without context"),
                (["--form", "throughput", "--isl", "1024,2048", "--context", "0"], "4 apart"),
                (["--isl", "4096", "--heads", "16"], "two ISLs"),
                (["--context", "4096", "--isl", "2048", "--tokens", "1000"],
                 "at most --tokens, 1000"),
                (["--output", str(pathlib.Path(SCRIPT, "model.json"))], "cannot be written"),
                (["--output", str(SCRIPT.parent / ("m" * 300))], "cannot be written"),
                (["--output", str(SCRIPT.parent)], "cannot be written")):
            code, out, err = self.call(*arguments)
            self.assertEqual((code, out), (2, ""), arguments)
            self.assertIn(words, err)
            self.assertNotIn("Traceback", err)

    def test_an_output_is_left_alone_until_something_is_written(self):
        with tempfile.TemporaryDirectory() as directory:
            output = pathlib.Path(directory, "model.json")
            output.write_text("a model", encoding="utf-8")
            code, _, _ = self.call("--output", str(output), before="sys.modules['torch'] = None")
            self.assertEqual((code, output.read_text(encoding="utf-8")), (1, "a model"))

    def test_help(self):
        code, out, _ = self.call("--help")
        self.assertEqual(code, 0)
        self.assertIn("--scales", out)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        TOOL = sys.argv.pop(1)
    unittest.main()
