#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether report.py notices what it is for: with report_test.json, a run that was kept. Times
nothing."""

import contextlib
import copy
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest

import report

RESULTS = report.load(report.HERE / "report_test.json")


class ReportTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.results = pathlib.Path(directory.name, "results.json")
        self.readme = pathlib.Path(directory.name, "README.md")
        self.baseline = pathlib.Path(directory.name, "baseline.json")

    def call(self, command, document, *arguments):
        """What it says where it fails, and what it prints."""
        self.results.write_text(report.text_of(document))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                report.main([command, str(self.results), *map(str, arguments)])
            except SystemExit as failed:
                return str(failed), printed.getvalue()
        return "", printed.getvalue()

    def check_against_itself(self, document):
        self.assertEqual(self.call("baseline", RESULTS, "--baseline", self.baseline), ("", ""))
        return self.call("check", document, "--baseline", self.baseline)

    @staticmethod
    def slower(factor, names):
        document = copy.deepcopy(RESULTS)
        for name in names:
            document["cpu_ns"][name] = [factor * time for time in document["cpu_ns"][name]]
        return document

    def test_a_run_does_not_regress_against_the_stored_baseline(self):
        self.assertEqual(self.call("check", RESULTS)[0], "")

    def test_each_ratio_that_regresses_is_named(self):
        for ratio in report.RATIOS:
            with self.subTest(ratio.name):
                failure, printed = self.check_against_itself(
                    self.slower(ratio.tolerance * 1.02, [ratio.ours]))
                self.assertIn("ratios regressed", failure)
                self.assertIn(f"REGRESSED {ratio.name}:", printed)

    def test_noise_is_no_regression(self):
        for ratio in report.RATIOS:
            with self.subTest(ratio.name):
                _, printed = self.check_against_itself(
                    self.slower(ratio.tolerance * 0.98, [ratio.ours]))
                self.assertIn(f"ok        {ratio.name}:", printed)

    def test_nor_is_another_machine(self):
        self.assertEqual(self.check_against_itself(self.slower(7, RESULTS["cpu_ns"]))[0], "")

    def test_what_was_not_measured_does_not_pass(self):
        for name in {ratio.ours for ratio in report.RATIOS}:
            with self.subTest(name):
                document = copy.deepcopy(RESULTS)
                del document["cpu_ns"][name]
                self.assertEqual(self.check_against_itself(document)[0], f"{name} was not measured")

    def test_nor_what_has_no_baseline(self):
        self.baseline.write_text("{}")
        failure, _ = self.call("check", RESULTS, "--baseline", self.baseline)
        self.assertIn("not the ratios of this script", failure)

    def test_the_exit_code_tells(self):
        for factor, code in ((1, 0), (2, 1)):
            self.results.write_text(report.text_of(self.slower(factor, ["determine/row_1"])))
            checked = subprocess.run(
                [sys.executable, "-B", report.HERE / "report.py", "check", self.results],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.assertEqual(checked.returncode, code)

    def test_a_goal_that_is_missed_is_said(self):
        _, printed = self.check_against_itself(self.slower(1.4, ["once_log/threads:2"]))
        self.assertRegex(printed, r"OnceLog, 2 threads : 1: .* goal 1\.150 missed")

    def test_the_tables_stand_between_their_marks_and_touch_nothing_else(self):
        tables = "\n" + report.tables(report.Results(RESULTS)) + "\n"
        for stale in ("", "| stale |\n", tables):
            self.readme.write_text(f"before\n{report.BEGIN}{stale}{report.END}after\n")
            self.assertEqual(self.call("table", RESULTS, self.readme), ("", ""))
            self.assertEqual(self.readme.read_text(),
                             f"before\n{report.BEGIN}{tables}{report.END}after\n")

    def test_a_text_without_the_marks_is_left_alone(self):
        self.readme.write_text("no marks")
        self.assertIn("no <!-- benchmark:begin -->", self.call("table", RESULTS, self.readme)[0])
        self.assertEqual(self.readme.read_text(), "no marks")

    def test_tables_do_without_what_is_optional(self):
        document = copy.deepcopy(RESULTS)
        self.assertIn("glog", report.tables(report.Results(document)))
        del document["context"]["glog"], document["host"]
        for name in list(document["cpu_ns"]):
            if name.startswith("glog"):
                del document["cpu_ns"][name]
        self.assertNotIn("glog", report.tables(report.Results(document)))

    def test_waiting_is_shown_only_where_it_was_not_for_a_core(self):
        document = copy.deepcopy(RESULTS)
        for disturbance, shown in ((0.0, True), (0.5, False)):
            document["context"]["disturbance"] = disturbance
            tables = report.tables(report.Results(document))
            self.assertEqual("with the time asleep" in tables, shown)
            self.assertEqual("while others used up to 50% of a core" in tables, not shown)

    def test_rounds_are_merged_into_medians_for_each_thread(self):
        def measured(cpu_time):
            run = {"name": "lock/threads:2", "threads": 2, "real_time": 30.0, "cpu_time": cpu_time}
            return {"context": {"compiler": "GNU"}, "benchmarks": [run]}, {"row_1": 10 * cpu_time}

        results = report.Results(report.merge([measured(40.0), measured(90.0), measured(41.0)]))
        self.assertEqual(results.cpu("lock/threads:2"), 41.0)
        self.assertEqual(results.wall("lock/threads:2"), 60.0)
        self.assertEqual(results.cpu("reference/row_1"), 410.0)

    def test_a_benchmark_that_fails_fails_the_run(self):
        failed = {"name": "determine/row_1", "error_occurred": True, "error_message": "another row"}
        with self.assertRaisesRegex(SystemExit, "determine/row_1: another row"):
            report.merge([({"benchmarks": [failed]}, {})])


if __name__ == "__main__":
    unittest.main()
