import time
import unittest
from datetime import UTC, datetime, timedelta

from komand_sentry.util.budget import DEFAULT_SECONDS, LEAST_ATTEMPT_SECONDS, UNCHARGED_SECONDS, Budget, SystemClock
from testing.fake_clock import FakeClock


class BudgetTest(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = FakeClock()
        self.budget = Budget(60, self.clock)

    def test_all_of_it_is_left_in_the_beginning(self) -> None:
        for seconds in (1, DEFAULT_SECONDS, 3600, 0.5):
            with self.subTest(seconds):
                self.assertEqual(Budget(seconds, self.clock).left, seconds)

    def test_a_pause_is_slept_and_spent(self) -> None:
        self.budget.pause(7)
        self.budget.pause(0.5)
        self.assertEqual((self.clock.slept, self.budget.left), ([7, 0.5], 52.5))

    def test_no_pause_is_none(self) -> None:
        for seconds in (0, 0.0, -1.0):
            self.budget.pause(seconds)
        self.assertEqual((self.clock.slept, self.budget.left), ([], 60.0))

    def test_a_request_that_failed_is_spent_in_full(self) -> None:
        self.budget.charge(7.5, failed=True)
        self.assertEqual(self.budget.left, 52.5)

    def test_of_a_response_only_what_is_slow_is_spent(self) -> None:
        for seconds, left in ((0.0, 60.0), (UNCHARGED_SECONDS, 60.0), (UNCHARGED_SECONDS + 2.5, 57.5), (30.0, 37.5)):
            with self.subTest(seconds):
                self.budget.charge(seconds, failed=False)
                self.assertEqual(self.budget.left, left)

    def test_many_quick_responses_spend_nothing(self) -> None:
        for _ in range(1000):
            self.budget.charge(UNCHARGED_SECONDS, failed=False)
        self.assertEqual(self.budget.left, 60.0)

    def test_there_is_never_less_than_nothing_left(self) -> None:
        self.budget.charge(10**6, failed=True)
        self.assertEqual((self.budget.left, self.budget.attempt_seconds), (0.0, 0.0))
        self.assertFalse(self.budget.allows(0.0))

    def test_a_pause_must_leave_room_for_the_request_that_it_is_for(self) -> None:
        longest = 60 - LEAST_ATTEMPT_SECONDS
        for pause, is_allowed in ((0.0, True), (longest, True), (longest + 0.01, False), (60.0, False), (1e12, False)):
            with self.subTest(pause):
                self.assertIs(self.budget.allows(pause), is_allowed)
        self.assertTrue(Budget(0.5, self.clock).allows(0.0))
        self.budget.pause(50)
        self.assertTrue(self.budget.allows(9))
        self.assertFalse(self.budget.allows(9.5))

    def test_one_request_leaves_time_for_another_and_takes_no_more_than_is_left(self) -> None:
        for spent, seconds in ((0, 45.0), (10, 45.0), (30, 20.0), (19.5, 0.5), (1, 0.0)):
            self.budget.charge(spent, failed=True)
            with self.subTest(left=self.budget.left):
                self.assertEqual(self.budget.attempt_seconds, seconds)


class ClockTest(unittest.TestCase):
    def test_the_clock_of_the_system_is_in_utc_and_passes(self) -> None:
        clock = SystemClock()
        self.assertLess(abs(clock.now() - datetime.now(UTC)), timedelta(seconds=5))
        self.assertEqual(clock.now().utcoffset(), timedelta(0))
        started = clock.monotonic()
        clock.sleep(0.01)
        self.assertGreaterEqual(clock.monotonic() - started, 0.009)
        self.assertLess(abs(clock.monotonic() - time.monotonic()), 5)
