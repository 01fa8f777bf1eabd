"""The report of an end-to-end run: one line per test, one per failed or skipped subtest, then the totals."""

import unittest
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .case import E2ECase

PASSED, FAILED, CANNOT, NOT_RUN = "passed", "FAILED", "cannot", "not run"


@dataclass(frozen=True, order=True)
class Line:
    """The result of a test or of one of its subtests.

    :param subtest: the subtest's description as unittest prints it, empty for the test itself
    :param detail: the reason, where there is one to add
    """

    test: str
    subtest: str
    verdict: str
    detail: str = ""

    def __str__(self) -> str:
        name = f"{self.test} {self.subtest}".rstrip()
        return f"{self.verdict:8} {name}{f': {self.detail}' if self.detail else ''}"


def name_of(test: unittest.TestCase) -> tuple[str, str]:
    """The name of a test and the description of the subtest, which is empty for the test itself.

    >>> name_of(test)
    ('TestUpdateIssue.test_flags', "(flag='hasSeen')")
    """
    # unittest reports a skipped subtest in place of its test, and a failed setUpClass as an object of another type.
    owner = getattr(test, "test_case", test)
    subtest = "" if owner is test else test.id().removeprefix(owner.id()).strip()
    return (owner.name if isinstance(owner, E2ECase) else str(owner)), subtest


class Report(unittest.TextTestResult):
    """Collect a line per test and per failed or skipped subtest."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.lines: list[Line] = []

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._add(PASSED, test)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._add(FAILED, subtest)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        reason = test.reason if isinstance(test, E2ECase) else ""
        first_line = (str(err[1]).splitlines() or [type(err[1]).__name__])[0]
        self._add(CANNOT, test, f"{reason}. Observed: {first_line}")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._add(FAILED, test, "passed, but exceptions.py says that this server cannot serve it")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._add(NOT_RUN, test, reason)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._add(FAILED, test)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._add(FAILED, test)

    def add_missing(self, tests: Iterable[unittest.TestCase]) -> None:
        """Add the tests without a result: those of a class whose setUpClass failed."""
        known = self._tests(*(line.verdict for line in self.lines))
        for test in tests:
            if name_of(test)[0] not in known:
                self._add(FAILED, test, "not run, because its class could not be set up")

    def summary(self) -> Iterator[str]:
        """All lines, sorted by name, and the totals."""
        yield from (f"  {line}" for line in sorted(self.lines))
        failed = [line for line in self.lines if line.verdict == FAILED]
        yield f"{len(self._tests(CANNOT))} that this server cannot serve, {len(self._tests(NOT_RUN))} not run"
        total = f"{self.passed} passed, {len(self._tests(FAILED))} failed"
        yield f"{total} (failures including subtests: {len(failed)})" if failed else total

    @property
    def passed(self) -> int:
        return len(self._tests(PASSED))

    def _tests(self, *verdicts: str) -> set[str]:
        return {line.test for line in self.lines if line.verdict in verdicts}

    def _add(self, verdict: str, test: unittest.TestCase, detail: str = "") -> None:
        test_name, subtest = name_of(test)
        self.lines.append(Line(test_name, subtest, verdict, detail))
