"""How long one step may wait, and the clock that measures it."""

import time
from datetime import UTC, datetime
from typing import Protocol

DEFAULT_TIMEOUT = 60
# A pause must leave time for the request that follows it.
MIN_ATTEMPT_SECONDS = 1.0
# A response within this time is not charged: otherwise the many prompt responses of a long list would end its step.
UNCHARGED_SECONDS = 10.0
# Without this limit, a server that answers each request within UNCHARGED_SECONDS could keep a list busy for hours.
MAX_DURATION_FACTOR = 10
# One request may take this share of the time, so that a request that hangs leaves time for another attempt.
MAX_ATTEMPT_SHARE = 0.75


class Clock(Protocol):
    """A source of time. Tests use one that only advances when something sleeps."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The clock of the operating system."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class TimeBudget:
    """The time limit of one step, in seconds, over all pauses, failed requests and slow responses.

    :param seconds: total seconds that the step may wait
    :param is_total: the limit applies to the duration of the step, prompt responses and its own work included
    """

    def __init__(self, seconds: float, clock: Clock, is_total: bool = False) -> None:
        self.seconds = float(seconds)
        self.clock = clock
        self._is_total = is_total
        self._started = clock.monotonic()
        self._attempt_started = self._started
        self._spent = 0.0

    @property
    def left(self) -> float:
        """Seconds that the step may still wait."""
        spent = self.clock.monotonic() - self._started if self._is_total else self._spent
        return max(self.seconds - spent, 0.0)

    @property
    def is_overdue(self) -> bool:
        """Whether the step, working and waiting together, has taken so long that it should end."""
        return self.clock.monotonic() - self._started > self.seconds * MAX_DURATION_FACTOR

    def start_attempt(self) -> float:
        """Return the seconds that the request may take, 0 if the time is spent."""
        self._attempt_started = self.clock.monotonic()
        return min(self.seconds * MAX_ATTEMPT_SHARE, self.left)

    def end_attempt(self, failed: bool) -> None:
        """Charge the duration of the request.

        :param failed: charge the whole duration, not only the part beyond UNCHARGED_SECONDS
        """
        seconds = self.clock.monotonic() - self._attempt_started
        self._spent += seconds if failed else max(seconds - UNCHARGED_SECONDS, 0.0)

    def allows(self, pause: float) -> bool:
        """Whether there is time for a pause and a request after it."""
        return self.left > 0 if pause == 0 else pause + MIN_ATTEMPT_SECONDS <= self.left

    def pause(self, seconds: float) -> None:
        """Sleep, and charge the time."""
        if seconds > 0:
            self.clock.sleep(seconds)
            self._spent += seconds
