"""`python -m e2e`: run the suite against the server named by SENTRY_E2E_..., or a new sandbox, and print a report.

python -m e2e                                  # see README.md
python -m e2e --env FILE --server sentry-9.1.2 # the server whose URL, tokens and IDs are the KEY=VALUE lines of FILE
python -m e2e TestSubmitEvent                  # only these test classes
"""

import argparse
import os
import sys
import time
import unittest
from contextlib import ExitStack
from pathlib import Path

from sandbox import Sandbox
from testing.plugin import PluginServer

from .case import E2ECase
from .report import Report
from .target import Target


def read_env(path: Path) -> dict[str, str]:
    lines = (line.strip().partition("=") for line in path.read_text(encoding="utf-8").splitlines())
    return {key: value for key, equals, value in lines if equals}


def target_of(options: argparse.Namespace, stack: ExitStack) -> Target:
    if options.env:
        return Target.from_server_env(read_env(options.env), options.server)
    named = Target.from_environment(os.environ)
    return named or Target.from_server_env(stack.enter_context(Sandbox()).env, "sandbox")


def find_tests(names: list[str]) -> list[unittest.TestCase]:
    """All tests of this package, or those of the named classes."""
    found = unittest.defaultTestLoader.discover(
        str(Path(__file__).parent), top_level_dir=str(Path(__file__).parents[1])
    )
    return [test for test in flatten(found) if not names or type(test).__name__ in names]


def flatten(tests: unittest.TestSuite | unittest.TestCase) -> list[unittest.TestCase]:
    if isinstance(tests, unittest.TestCase):
        return [tests]
    return [case for test in tests for case in flatten(test)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="test classes; default: all")
    parser.add_argument("--env", type=Path, help="file with KEY=VALUE lines that describe the server")
    parser.add_argument("--server", default="", help="which rows of exceptions.py apply, such as sentry-9.1.2")
    options = parser.parse_args()
    with ExitStack() as stack:
        E2ECase.target = target_of(options, stack)
        E2ECase.server = stack.enter_context(PluginServer())
        started = time.monotonic()
        tests = find_tests(options.names)
        result = unittest.TextTestRunner(resultclass=Report, verbosity=0).run(unittest.TestSuite(tests))
    assert isinstance(result, Report)
    result.add_missing(tests)
    print(f"\n{E2ECase.target.server or 'server'} at {E2ECase.target['URL']}, {time.monotonic() - started:.0f} s")
    print("\n".join(result.summary()))
    return 0 if result.wasSuccessful() and result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
