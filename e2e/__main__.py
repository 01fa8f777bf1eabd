"""`python -m e2e`: the suite against the server that SENTRY_E2E_... name, or a sandbox of its own; then a report.

python -m e2e                                  # see README.md, "Which servers"
python -m e2e --env FILE --server sentry-9.1.2 # a test server that printed its addresses and tokens to FILE
python -m e2e TestSubmitEvent                  # only these test classes
"""

import argparse
import os
import sys
import time
import unittest
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sandbox import Sandbox
from testing.plugin import PluginServer

from .case import E2ECase
from .target import Target


class Report(unittest.TextTestResult):
    """Collects one line a test, with the reason where it could not pass or did not run."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.lines: list[tuple[str, str, str]] = []
        self.passed = 0

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self.passed += 1
        self._line("passed", test)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        reason = test.reason if isinstance(test, E2ECase) else ""
        self._line("cannot", test, f"{reason}. Seen: {str(err[1]).splitlines()[0]}")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._line("FAILED", test, "passed, though exceptions.py says that this server cannot serve it")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._line("not run", test, reason)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._line("FAILED", test)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._line("FAILED", test)

    def _line(self, verdict: str, test: unittest.TestCase, words: str = "") -> None:
        self.lines.append((verdict, test.name if isinstance(test, E2ECase) else str(test), words))


def read_env(path: Path) -> dict[str, str]:
    lines = (line.strip().partition("=") for line in path.read_text(encoding="utf-8").splitlines())
    return {key: value for key, equals, value in lines if equals}


def target_of(options: argparse.Namespace, stack: ExitStack) -> Target:
    if options.env:
        return Target.from_server_env(read_env(options.env), options.server)
    named = Target.from_environment(os.environ)
    return named or Target.from_server_env(stack.enter_context(Sandbox()).env, "sandbox")


def suite(names: list[str]) -> unittest.TestSuite:
    found = unittest.defaultTestLoader.discover(
        str(Path(__file__).parent), top_level_dir=str(Path(__file__).parents[1])
    )
    tests = [test for test in flat(found) if not names or type(test).__name__ in names]
    return unittest.TestSuite(tests)


def flat(tests: unittest.TestSuite | unittest.TestCase) -> list[unittest.TestCase]:
    if isinstance(tests, unittest.TestCase):
        return [tests]
    return [case for test in tests for case in flat(test)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="test classes, all where none is named")
    parser.add_argument("--env", type=Path, help="KEY=VALUE lines of a test server")
    parser.add_argument("--server", default="", help="which server it is, for what exceptions.py says of it")
    options = parser.parse_args()
    with ExitStack() as stack:
        E2ECase.target = target_of(options, stack)
        E2ECase.server = stack.enter_context(PluginServer())
        started = time.monotonic()
        result = unittest.TextTestRunner(resultclass=Report, verbosity=0).run(suite(options.names))
    assert isinstance(result, Report)
    print(f"\n{E2ECase.target.server or 'server'} at {E2ECase.target['URL']}, {time.monotonic() - started:.0f} s")
    for verdict, name, words in sorted(result.lines, key=lambda line: line[1]):
        print(f"  {verdict:8} {name}{f': {words}' if words else ''}")
    failed = sum(verdict == "FAILED" for verdict, _, _ in result.lines)
    cannot = sum(verdict == "cannot" for verdict, _, _ in result.lines)
    print(f"{cannot} that this server cannot serve, {len(result.skipped)} not run")
    print(f"{result.passed} passed, {failed} failed")
    return 0 if result.wasSuccessful() and result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
