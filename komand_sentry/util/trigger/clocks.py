"""The clocks of a trigger: one whose sleep can be stopped, and that of the server."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from komand_sentry.util.http.time_budget import Clock
from komand_sentry.util.interruption import Termination
from komand_sentry.util.trigger.checkpoint import SECOND
from komand_sentry.util.trigger.source import Host

# How long a sleep lasts before the stop flag of the runtime is checked again.
_SLICE_SECONDS = 1.0
# How often the time of the server is measured.
_MEASURE_SECONDS = 3600.0
# A jump of more seconds must be confirmed: one response can be from a proxy with another clock.
_MAX_JUMP_SECONDS = 60.0


class Stopped(BaseException):
    """The runtime or a signal stops the trigger. Not an Exception, so that nothing treats it as a failure."""


@dataclass(frozen=True)
class StoppableClock:
    """A clock whose sleep ends when the trigger is stopped."""

    clock: Clock
    host: Host
    termination: Termination = field(default_factory=Termination)

    def now(self) -> datetime:
        """See Clock."""
        return self.clock.now()

    def monotonic(self) -> float:
        """See Clock."""
        return self.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """See Clock.

        :raises Stopped: the trigger is stopped
        """
        end = self.clock.monotonic() + seconds
        while True:
            self.check()
            left = end - self.clock.monotonic()
            if left <= 0:
                return
            self.clock.sleep(min(left, _SLICE_SECONDS))

    def check(self) -> None:
        """:raises Stopped: the trigger is stopped"""
        try:
            is_running = self.host.run_trigger
        except OSError:
            # It removed its flag, and then could not store the state.
            is_running = False
        if not is_running or self.termination.is_requested:
            raise Stopped


class ServerClock:
    """The time of the server: measured once an hour, and counted by a clock that nobody sets.

    :param measure: returns the time of the server
    """

    def __init__(self, measure: Callable[[], datetime], clock: Clock) -> None:
        self._measure = measure
        self._clock = clock
        self._measured = 0.0
        self._offset: float | None = None

    def now(self) -> int:
        """The time in microseconds since 1970.

        :raises PluginException: the server does not respond
        """
        if self._offset is None:
            self._offset = self._measured_offset()
        if self._clock.monotonic() - self._measured >= _MEASURE_SECONDS:
            offset = self._measured_offset()
            if abs(offset - self._offset) < _MAX_JUMP_SECONDS or abs(offset - self._measured_offset()) < 2:
                self._offset = offset
        return round((self._offset + self._clock.monotonic()) * SECOND)

    def _measured_offset(self) -> float:
        offset = self._measure().timestamp() - self._clock.monotonic()
        self._measured = self._clock.monotonic()
        return offset
