"""How long one action may wait, and the clock that it waits by."""

import time
from datetime import UTC, datetime
from typing import Protocol

DEFAULT_SECONDS = 60
# What a step has left to wait must leave room for the request that the wait is for.
LEAST_ATTEMPT_SECONDS = 1.0
# A response that takes no longer is work and no waiting: else a long listing would use up the time of its step.
UNCHARGED_SECONDS = 10.0
# A server that answers each request within that time could else keep a long listing busy for hours.
LONGEST_ACTION_IN_BUDGETS = 10
LARGEST_ATTEMPT = 0.75


class Clock(Protocol):
    """Where time comes from. The tests have one that does not pass by itself."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Budget:
    """The seconds that one action may spend waiting in all: in pauses, on requests that fail, on slow responses."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.seconds = float(seconds)
        self.clock = clock
        self._started = clock.monotonic()
        self._spent = 0.0

    @property
    def left(self) -> float:
        return max(self.seconds - self._spent, 0.0)

    @property
    def is_overdue(self) -> bool:
        """Whether the action has taken so long, work and waiting together, that it should come to an end."""
        return self.clock.monotonic() - self._started > self.seconds * LONGEST_ACTION_IN_BUDGETS

    @property
    def attempt_seconds(self) -> float:
        """How long one request may take: not quite all, so that one that hangs leaves room for another."""
        return min(self.seconds * LARGEST_ATTEMPT, self.left)

    def allows(self, pause: float) -> bool:
        return self.left > 0 if pause == 0 else pause + LEAST_ATTEMPT_SECONDS <= self.left

    def pause(self, seconds: float) -> None:
        if seconds > 0:
            self.clock.sleep(seconds)
            self._spent += seconds

    def charge(self, seconds: float, failed: bool) -> None:
        """For a request that took so long.

        :param failed: it has to be sent again, or has failed for good
        """
        self._spent += seconds if failed else max(seconds - UNCHARGED_SECONDS, 0.0)
