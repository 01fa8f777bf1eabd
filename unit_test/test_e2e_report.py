"""The report of the end-to-end run: every failed test and subtest is named and counted."""

import io
import os
import sys
import unittest
from collections.abc import Callable
from typing import Any
from unittest import mock

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))

# The module, since pytest would collect the class E2ECase as a test of this file.
from e2e import case as e2e
from e2e.exceptions import EXCEPTIONS
from e2e.report import Report
from e2e.target import Target

SERVER = "sentry-test"


def make_case(**methods: Callable[[e2e.E2ECase], None]) -> type[e2e.E2ECase]:
    """A test class `Sample` with these methods, bound to a server that has rows in exceptions.py."""
    return type("Sample", (e2e.E2ECase,), {"target": Target({}, SERVER), **methods})


def passes(case: e2e.E2ECase) -> None:
    case.assertTrue(case.target.server)


def fails(case: e2e.E2ECase) -> None:
    case.fail("no")


def raises(_: object, /) -> None:
    raise ValueError("broken")


def skips(case: e2e.E2ECase) -> None:
    case.need("TOKEN_READONLY")


def fails_in_subtests(case: e2e.E2ECase) -> None:
    for number in range(4):
        with case.subTest(number=number):
            case.assertEqual(number % 2, 0)


def fails_in_a_subtest_and_afterwards(case: e2e.E2ECase) -> None:
    with case.subTest("first"):
        raise ValueError("broken")
    case.fail("no")


def passes_in_subtests(case: e2e.E2ECase) -> None:
    for number in range(4):
        with case.subTest(number=number):
            case.assertGreaterEqual(number, 0)


def skips_a_subtest(case: e2e.E2ECase) -> None:
    with case.subTest("optional"):
        case.skipTest("no data")


class TestReport(unittest.TestCase):
    def report(self, **methods: Callable[[e2e.E2ECase], None]) -> Report:
        tests = [case for name in methods for case in [make_case(**methods)(name)] if name.startswith("test_")]
        runner = unittest.TextTestRunner(stream=io.StringIO(), resultclass=Report, verbosity=0)
        result = runner.run(unittest.TestSuite(tests))
        assert isinstance(result, Report)
        result.add_missing(tests)
        return result

    def lines(self, report: Report) -> list[str]:
        """The summary without the column for the verdict."""
        return [" ".join(line.split()) for line in report.summary()]

    def test_a_test_that_fails_only_in_subtests_is_counted_and_each_subtest_is_named(self) -> None:
        report = self.report(test_a=passes, test_b=fails_in_subtests)
        self.assertEqual(
            self.lines(report),
            [
                "passed Sample.test_a",
                "FAILED Sample.test_b (number=1)",
                "FAILED Sample.test_b (number=3)",
                "0 that this server cannot serve, 0 not run",
                "1 passed, 1 failed (failures including subtests: 2)",
            ],
        )

    def test_a_test_that_fails_in_a_subtest_and_by_itself_is_one_test_with_two_failures(self) -> None:
        lines = self.lines(self.report(test_a=fails_in_a_subtest_and_afterwards))
        self.assertEqual(lines[:2], ["FAILED Sample.test_a", "FAILED Sample.test_a [first]"])
        self.assertEqual(lines[-1], "0 passed, 1 failed (failures including subtests: 2)")

    def test_failures_and_errors_without_subtests(self) -> None:
        lines = self.lines(self.report(test_a=fails, test_b=raises))
        self.assertEqual(lines[:2], ["FAILED Sample.test_a", "FAILED Sample.test_b"])
        self.assertEqual(lines[-1], "0 passed, 2 failed (failures including subtests: 2)")

    def test_a_test_whose_subtests_pass_is_one_passed_test(self) -> None:
        report = self.report(test_a=passes_in_subtests)
        self.assertEqual(self.lines(report)[0], "passed Sample.test_a")
        self.assertEqual(self.lines(report)[-1], "1 passed, 0 failed")

    def test_skipped_tests_and_subtests_are_not_run(self) -> None:
        lines = self.lines(self.report(test_a=skips, test_b=skips_a_subtest))
        self.assertEqual(
            lines[:2],
            ["not run Sample.test_a: needs SENTRY_E2E_TOKEN_READONLY", "not run Sample.test_b [optional]: no data"],
        )
        self.assertEqual(lines[-2:], ["0 that this server cannot serve, 2 not run", "0 passed, 0 failed"])

    def test_the_tests_of_a_class_that_cannot_be_set_up_are_failures(self) -> None:
        broken: Any = classmethod(raises)
        report = self.report(test_a=passes, setUpClass=broken)
        lines = self.lines(report)
        self.assertEqual(lines[0], "FAILED Sample.test_a: not run, because its class could not be set up")
        self.assertRegex(lines[1], r"^FAILED setUpClass \(.*Sample\)$")
        self.assertFalse(report.wasSuccessful())

    def test_what_a_server_cannot_serve_must_fail(self) -> None:
        rows = {(SERVER, f"Sample.test_{name}"): "too old" for name in "abc"}
        with mock.patch.dict(EXCEPTIONS, rows):
            report = self.report(test_a=fails, test_b=fails_in_subtests, test_c=passes)
        self.assertEqual(
            self.lines(report),
            [
                "cannot Sample.test_a: too old. Observed: no",
                "cannot Sample.test_b: too old. Observed: 1 != 0",
                "FAILED Sample.test_c: passed, but exceptions.py says that this server cannot serve it",
                "2 that this server cannot serve, 0 not run",
                "0 passed, 1 failed (failures including subtests: 1)",
            ],
        )
        self.assertFalse(report.wasSuccessful())


if __name__ == "__main__":
    unittest.main()
