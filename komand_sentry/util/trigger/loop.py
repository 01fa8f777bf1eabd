"""Poll the lists of a trigger until it is stopped, and send each new record once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Protocol

from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.client import Log
from komand_sentry.util.http.time_budget import Clock
from komand_sentry.util.interruption import Termination
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.trigger.backlog import Backlog
from komand_sentry.util.trigger.checkpoint import SECOND, Candidate, Checkpoint, decide
from komand_sentry.util.trigger.failures import (
    MAX_RECORD_FAILURES,
    FailureLog,
    NotFoundYet,
    StateNotStored,
    explain,
    failure_limit,
)
from komand_sentry.util.trigger.source import Source

MIN_INTERVAL = 10
MAX_INTERVAL = 24 * 3600
MAX_LOOKBACK = 90 * 24 * 3600
MAX_BACKOFF_SECONDS = 600.0
# The longest delay that a server can ask for.
MAX_SERVER_DELAY = 3600.0
# The runtime looks for its stop flag at each turn of its loop.
_SLICE_SECONDS = 1.0


class Stopped(Exception):
    """The runtime wants the trigger to stop."""


class Host(Protocol):
    """The trigger that runs the loop."""

    @property
    def run_trigger(self) -> bool:
        """Whether the runtime wants the trigger to go on. Stores the state if not."""

    def send_output(self, output: Record) -> None:
        """Send a message.

        :raises NotAccepted: the orchestrator did not accept it
        """

    def load_checkpoint(self, name: str) -> Checkpoint | None:
        """The stored checkpoint of a list, None if there is none."""

    def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """Store the checkpoint of a list.

        :raises OSError: it cannot be stored
        """

    def end_poll(self) -> None:
        """Release what a poll does not need any more."""


@dataclass(frozen=True)
class StoppableClock:
    """A clock whose sleep ends when the runtime or a signal wants the trigger to stop."""

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

        :raises Stopped: the runtime wants the trigger to stop
        """
        end = self.clock.monotonic() + seconds
        while True:
            self.check()
            left = end - self.clock.monotonic()
            if left <= 0:
                return
            self.clock.sleep(min(left, _SLICE_SECONDS))

    def check(self) -> None:
        """:raises Stopped: the runtime wants the trigger to stop"""
        try:
            is_running = self.host.run_trigger
        except OSError:
            # It removed its flag, and then could not store the state.
            is_running = False
        if not is_running or self.termination.is_requested:
            raise Stopped


@dataclass
class _Watched:
    """A source with its progress.

    :param is_saved: the checkpoint is stored
    :param record_failures: the first record of the backlog, and how often it failed
    """

    source: Source
    checkpoint: Checkpoint | None
    is_saved: bool = True
    backlog: Backlog = field(default_factory=Backlog)
    record_failures: tuple[str, int] = ("", 0)

    def count_failure(self, candidate: Candidate) -> int:
        """How often a record failed, this time included."""
        previous, count = self.record_failures
        self.record_failures = (candidate.id, count + 1 if previous == candidate.id else 1)
        return self.record_failures[1]


class ServerClock:
    """The time of the server, measured once and then counted by a clock that nobody sets.

    :param measure: returns the time of the server
    """

    def __init__(self, measure: Callable[[], datetime], clock: Clock) -> None:
        self._measure = measure
        self._clock = clock
        self._offset: float | None = None

    def now(self) -> int:
        """The time in microseconds since 1970.

        :raises PluginException: the server does not respond
        """
        if self._offset is None:
            self._offset = self._measure().timestamp() - self._clock.monotonic()
        return round((self._offset + self._clock.monotonic()) * SECOND)


@dataclass
class PollLoop:
    """Polls until the process is told to stop.

    :param interval: seconds between two polls
    :param lookback: how many seconds back to start without a stored checkpoint
    """

    host: Host
    sources: tuple[Source, ...]
    interval: float
    lookback: int
    server_clock: ServerClock
    clock: StoppableClock
    log: Log
    _failures: int = 0
    _is_failing: bool = False

    def __post_init__(self) -> None:
        self._watched = [_Watched(source, self.host.load_checkpoint(source.name)) for source in self.sources]
        self._failure_log = FailureLog(self.log, self.clock)
        self._started = self.clock.monotonic()

    def run(self) -> None:
        """Poll until the runtime or a signal stops the trigger. A failed poll does not."""
        with self.clock.termination:
            try:
                while True:
                    delay = self.poll()
                    self.host.end_poll()
                    self.clock.sleep(delay)
            except Stopped:
                pass
        self.log.info("The trigger was stopped.")

    def poll(self) -> float:
        """Poll each list once, and send what is new.

        :returns: the seconds until the next poll
        :raises Stopped: the runtime wants the trigger to stop
        """
        failure = self._attempt(self._start_all)
        if not failure:
            # A list that fails must not prevent the others from being polled.
            failures = [self._attempt(partial(self._poll, watched)) for watched in self._watched]
            failure = next(filter(None, failures), None)
        if failure:
            return self._delay_after(failure)
        if self._is_failing:
            self.log.info("Polling works again.")
        self._failures, self._is_failing = 0, False
        self._failure_log.clear()
        return 0.0 if any(watched.backlog.is_cut for watched in self._watched) else self.interval

    def _attempt(self, work: Callable[[], None]) -> Exception | None:
        try:
            work()
        except Stopped:
            raise
        except Exception as failure:  # noqa: BLE001 - no failure may end a trigger, which would never run again
            return failure
        return None

    def _start_all(self) -> None:
        """Make sure that each list has a checkpoint, before anything is sent."""
        now = self.server_clock.now()
        for watched in self._watched:
            if watched.checkpoint and watched.checkpoint.floor > now:
                self.log.warning("The stored state is from the future of the server's clock, so it is not used.")
                watched.checkpoint = None
            if not watched.checkpoint:
                self._save(watched, self._start(watched.source, now))

    def _start(self, source: Source, now: int) -> Checkpoint:
        """The checkpoint of the first poll."""
        # If the first polls fail, the trigger starts at the time of the first one nevertheless.
        waited = self.clock.monotonic() - self._started if self._is_failing else 0.0
        lookback = round((self.lookback + waited) * SECOND)
        existing = source.existing(Checkpoint.start((), now, lookback, source.start_overlap))
        checkpoint = Checkpoint.start(existing, now, lookback, source.start_overlap)
        since = f"{self.lookback} seconds ago" if self.lookback else "now"
        self.log.info(f"Started without an earlier state: sends {source.name.replace('_', ' ')} from {since} on.")
        return checkpoint

    def _poll(self, watched: _Watched) -> None:
        checkpoint, source, now = watched.checkpoint, watched.source, self.server_clock.now()
        if checkpoint is None:
            return
        if not watched.is_saved:
            # Nothing is sent as long as it could be sent again after a restart.
            self._save(watched, checkpoint)
        watched.backlog.open(checkpoint)
        for candidate in source.read(checkpoint):
            watched.backlog.add(candidate)
        while True:
            decision = decide(watched.backlog.candidates, checkpoint, now, source.overlap)
            for candidate in decision.batch:
                self.clock.check()
                self._deliver(watched, candidate)
                self._failures = 0
                checkpoint = checkpoint.after(candidate, now)
                self._save(watched, checkpoint)
                watched.backlog.remove(candidate)
            checkpoint = decision.checkpoint
            if not decision.rest:
                break
            self._save(watched, checkpoint)
        if watched.backlog.is_cut:
            source.forget()
        elif source.stores_listed:
            checkpoint = replace(checkpoint, listed=max(checkpoint.listed, now))
        self._save(watched, checkpoint)

    def _deliver(self, watched: _Watched, candidate: Candidate) -> None:
        """Send a record, in a short form if it fails again and again although its list can be read."""
        name = f"{sanitize(candidate.id)} ({candidate.reason})"
        try:
            output = watched.source.output(candidate)
            if output is None and watched.count_failure(candidate) < MAX_RECORD_FAILURES:
                raise NotFoundYet(f"The record {name} was listed, but does not exist.")
            if output is None:
                self.log.info(f"Not sent, because it no longer exists: {name}")
                return
            self.log.info(f"Sending {name}")
            self.host.send_output(output)
        except Exception as failure:
            limit = failure_limit(failure)
            if limit is None or watched.count_failure(candidate) < limit:
                raise
            self.log.warning(f"Sending {name} without its details. {explain(failure)}")
            self.host.send_output(watched.source.short_output(candidate, explain(failure)))

    def _save(self, watched: _Watched, checkpoint: Checkpoint) -> None:
        if watched.is_saved and checkpoint == watched.checkpoint:
            return
        with self.clock.termination.deferred():
            watched.checkpoint, watched.is_saved = checkpoint, False
            try:
                self.host.save_checkpoint(watched.source.name, checkpoint)
            except OSError as error:
                raise StateNotStored(error.strerror or type(error).__name__) from None
            watched.is_saved = True

    def _delay_after(self, failure: Exception) -> float:
        self._failures, self._is_failing = self._failures + 1, True
        delay = min(self.interval * 2.0 ** min(self._failures - 1, 30), max(MAX_BACKOFF_SECONDS, self.interval))
        server_delay = getattr(failure, "next_delay", None) or 0.0
        delay = max(delay, min(server_delay, MAX_SERVER_DELAY))
        self._failure_log.add(failure, delay)
        return delay
