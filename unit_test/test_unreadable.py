"""A part of a list that fails does not block the others, unless its failure may end soon, or the trigger starts."""

import unittest
from collections.abc import Iterator
from unittest import mock

from komand_sentry.util.errors.exceptions import ConnectionFailed, RateLimited, ServerFailed, Unauthorized
from komand_sentry.util.trigger import unreadable as module
from komand_sentry.util.trigger.failures import MAX_TRANSIENT_FAILURES
from komand_sentry.util.trigger.unreadable import Unreadable

from .trigger_case import Log


def part(failure: Exception | None) -> Iterator[int]:
    """A record, and then a failure."""
    yield 1
    if failure:
        raise failure
    yield 2


BROKEN = ServerFailed(cause="It failed.", assistance="a", status_code=500)
OVERLOADED = ServerFailed(cause="It is overloaded.", assistance="a", status_code=504)
UNREACHABLE = ConnectionFailed(cause="No response.", assistance="a")


class TestUnreadable(unittest.TestCase):
    def setUp(self) -> None:
        self.log = Log()
        self.parts = Unreadable("issue", self.log)

    def read(self, failure: Exception | None, name: str = "5", is_strict: bool = False) -> list[int]:
        return list(self.parts.read_or_skip(name, part(failure), is_strict))

    def polls_until_skipped(self, failure: Exception, is_strict: bool = False) -> int:
        for poll in range(1, 50):
            try:
                self.assertEqual(self.read(failure, is_strict=is_strict), [1])
            except type(failure):
                continue
            return poll
        return 50

    def test_a_failure_of_the_part_skips_it_at_once(self) -> None:
        self.assertEqual(self.polls_until_skipped(BROKEN), 1)
        self.assertEqual(list(self.parts.names), ["5"])
        self.assertIn("The issue 5 cannot be read. It failed.", self.log.warnings[0])

    def test_a_defect_of_the_plugin_skips_it_without_its_text(self) -> None:
        self.assertEqual(self.polls_until_skipped(TypeError("a secret")), 1)
        self.assertNotIn("a secret", self.log.warnings[0])

    def test_a_failure_that_may_end_soon_is_skipped_later(self) -> None:
        for failure in (OVERLOADED, UNREACHABLE):
            with self.subTest(failure):
                self.setUp()
                self.assertEqual(self.polls_until_skipped(failure), MAX_TRANSIENT_FAILURES)

    def test_at_the_start_each_failure_is_skipped_later(self) -> None:
        self.assertEqual(self.polls_until_skipped(BROKEN, is_strict=True), MAX_TRANSIENT_FAILURES)

    def test_a_failure_of_all_parts_is_never_skipped(self) -> None:
        for error_type, status in ((Unauthorized, 401), (RateLimited, 429)):
            with self.subTest(error_type.__name__):
                failure = error_type(cause="c", assistance="a", status_code=status)
                self.assertEqual(self.polls_until_skipped(failure), 50)
        self.assertEqual(list(self.parts.names), [])

    def test_a_part_that_can_be_read_again_is_no_longer_unreadable(self) -> None:
        self.read(BROKEN)
        self.assertEqual(self.read(None), [1, 2])
        self.assertEqual(list(self.parts.names), [])

    def test_it_is_logged_once_in_many_polls(self) -> None:
        for _ in range(61):
            self.read(BROKEN)
        self.assertEqual(len(self.log.warnings), 2)

    def test_the_number_of_parts_is_bounded(self) -> None:
        with mock.patch.object(module, "_MAX_PARTS", 3):
            for name in "abcdef":
                self.read(BROKEN, name)
        self.assertEqual(list(self.parts.names), ["d", "e", "f"])


if __name__ == "__main__":
    unittest.main()
