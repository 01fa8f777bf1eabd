import time
import unittest
from datetime import UTC, datetime, timedelta

from komand_sentry.util.http.time_budget import (
    DEFAULT_TIMEOUT,
    MAX_ATTEMPT_SHARE,
    MAX_DURATION_FACTOR,
    MIN_ATTEMPT_SECONDS,
    UNCHARGED_SECONDS,
    SystemClock,
    TimeBudget,
)
from testing.fake_clock import FakeClock


class TimeBudgetTest(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = FakeClock()
        self.budget = TimeBudget(60, self.clock)

    def attempt(self, seconds: float, failed: bool) -> None:
        """Charge a request of this duration."""
        self.budget.start_attempt()
        self.clock.sleep(seconds)
        self.budget.end_attempt(failed)

    def test_new_budget_is_unspent(self) -> None:
        for seconds in (1, DEFAULT_TIMEOUT, 3600, 0.5):
            with self.subTest(seconds):
                self.assertEqual(TimeBudget(seconds, self.clock).left, seconds)

    def test_pause_sleeps_and_is_charged(self) -> None:
        self.budget.pause(7)
        self.budget.pause(0.5)
        self.assertEqual((self.clock.slept, self.budget.left), ([7, 0.5], 52.5))

    def test_empty_pause_does_not_sleep(self) -> None:
        for seconds in (0, 0.0, -1.0):
            self.budget.pause(seconds)
        self.assertEqual((self.clock.slept, self.budget.left), ([], 60.0))

    def test_failed_attempt_is_charged_in_full(self) -> None:
        self.attempt(7.5, failed=True)
        self.assertEqual(self.budget.left, 52.5)

    def test_successful_attempt_is_charged_beyond_the_uncharged_seconds(self) -> None:
        for seconds, left in ((0.0, 60.0), (UNCHARGED_SECONDS, 60.0), (UNCHARGED_SECONDS + 2.5, 57.5), (30.0, 37.5)):
            with self.subTest(seconds):
                self.attempt(seconds, failed=False)
                self.assertEqual(self.budget.left, left)

    def test_time_between_attempts_is_not_charged(self) -> None:
        self.attempt(5, failed=True)
        self.clock.sleep(100)
        self.attempt(5, failed=True)
        self.assertEqual(self.budget.left, 50.0)

    def test_left_is_never_negative(self) -> None:
        self.attempt(10**6, failed=True)
        self.assertEqual((self.budget.left, self.budget.start_attempt()), (0.0, 0.0))
        self.assertFalse(self.budget.allows(0.0))

    def test_pause_must_leave_time_for_the_next_attempt(self) -> None:
        longest = 60 - MIN_ATTEMPT_SECONDS
        for pause, is_allowed in ((0.0, True), (longest, True), (longest + 0.01, False), (60.0, False), (1e12, False)):
            with self.subTest(pause):
                self.assertIs(self.budget.allows(pause), is_allowed)
        self.assertTrue(TimeBudget(0.5, self.clock).allows(0.0))
        self.budget.pause(50)
        self.assertTrue(self.budget.allows(9))
        self.assertFalse(self.budget.allows(9.5))

    def test_attempt_may_take_a_share_of_the_budget_and_at_most_what_is_left(self) -> None:
        share = 60 * MAX_ATTEMPT_SHARE
        for pause, timeout in ((0, share), (10, share), (30, 20.0), (19.5, 0.5), (1, 0.0)):
            self.budget.pause(pause)
            with self.subTest(left=self.budget.left):
                self.assertEqual(self.budget.start_attempt(), timeout)

    def test_step_is_overdue_after_a_multiple_of_its_budget(self) -> None:
        self.clock.sleep(60 * MAX_DURATION_FACTOR)
        self.assertFalse(self.budget.is_overdue)
        self.clock.sleep(0.1)
        self.assertTrue(self.budget.is_overdue)
        self.assertFalse(TimeBudget(60, self.clock).is_overdue)


class SystemClockTest(unittest.TestCase):
    def test_clock_advances_in_utc(self) -> None:
        clock = SystemClock()
        self.assertLess(abs(clock.now() - datetime.now(UTC)), timedelta(seconds=5))
        self.assertEqual(clock.now().utcoffset(), timedelta(0))
        started = clock.monotonic()
        clock.sleep(0.01)
        self.assertGreaterEqual(clock.monotonic() - started, 0.009)
        self.assertLess(abs(clock.monotonic() - time.monotonic()), 5)
