"""Poll the lists of a trigger until it is stopped, and send each new record once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    BadRequest,
    Forbidden,
    InvalidInput,
    NotFound,
    ResponseError,
    Unauthorized,
    UnexpectedResponse,
)
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.client import Log
from komand_sentry.util.http.time_budget import Clock
from komand_sentry.util.interruption import Termination
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.trigger.checkpoint import SECOND, Candidate, Checkpoint, decide
from komand_sentry.util.trigger.dispatcher import NotAccepted
from komand_sentry.util.trigger.source import Source

MIN_INTERVAL = 10
MAX_INTERVAL = 24 * 3600
MAX_LOOKBACK = 90 * 24 * 3600
MAX_BACKOFF_SECONDS = 600.0
# The longest delay that a server can ask for.
MAX_SERVER_DELAY = 3600.0
# A failure that only the user can end is logged this often.
REMINDER_SECONDS = 3600.0
# The runtime looks for its stop flag at each turn of the loop.
_SLICE_SECONDS = 1.0
# Bounds the memory in a backlog: of twice as many records, the oldest are kept. A later poll reads the rest.
MAX_WAITING = 20_000
# A record that the server cannot show is sent in a short form after so many failures.
_MAX_RECORD_FAILURES = 3
_PERMANENT = (Unauthorized, Forbidden, NotFound, BadRequest, InvalidInput)
_INTERNAL_ERROR = 500


class Host(Protocol):
    """The trigger that runs the loop."""

    @property
    def run_trigger(self) -> bool:
        """Whether the runtime wants the trigger to go on."""

    def send_output(self, output: Record) -> None:
        """Send a message.

        :raises NotAccepted: the orchestrator did not accept it
        """

    def load_checkpoint(self, name: str) -> Checkpoint | None:
        """The stored checkpoint of a list, None if there is none."""

    def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """Store the checkpoint of a list."""

    def end_poll(self) -> None:
        """Release what a poll does not need any more."""


class Stopped(Exception):
    """The runtime wants the trigger to stop."""


@dataclass
class FailureLog:
    """Logs each failure, but one that only the user can end once an hour."""

    log: Log
    clock: Clock
    _logged: dict[str, float] = field(default_factory=dict, repr=False)

    def add(self, text: str, is_permanent: bool, delay: float) -> None:
        """Log a failure.

        :param delay: seconds until the next poll
        """
        now = self.clock.monotonic()
        if is_permanent and now - self._logged.get(text, -REMINDER_SECONDS) < REMINDER_SECONDS:
            return
        # Texts can differ without end, such as by a time.
        self._logged = {text: now} if len(self._logged) > 100 else {**self._logged, text: now}
        self.log.warning(f"The poll failed, and nothing was skipped. {text} Next poll in {delay:.0f} s.")

    def clear(self) -> None:
        """Forget all failures, because a poll succeeded."""
        self._logged = {}


@dataclass
class _Watched:
    """A source with its progress.

    :param waiting: the records that were found and not sent yet, by ID
    """

    source: Source
    checkpoint: Checkpoint | None
    waiting: dict[str, Candidate] = field(default_factory=dict)

    def add(self, candidates: Iterable[Candidate], checkpoint: Checkpoint) -> None:
        """Add the new ones of the records that a poll finds, even if the poll fails later."""
        for candidate in candidates:
            if checkpoint.is_new(candidate):
                self.waiting[candidate.id] = candidate
            if len(self.waiting) > 2 * MAX_WAITING:
                oldest = sorted(self.waiting.values(), key=lambda waiting: waiting.time)[:MAX_WAITING]
                self.waiting = {waiting.id: waiting for waiting in oldest}


@dataclass
class PollLoop:
    """Polls until the process is told to stop.

    :param interval: seconds between two polls
    :param lookback: how many seconds back to start without a stored checkpoint
    :param server_time: returns the time of the server, in microseconds since 1970
    """

    host: Host
    sources: tuple[Source, ...]
    interval: float
    lookback: int
    server_time: Callable[[], int]
    clock: Clock
    log: Log
    termination: Termination = field(default_factory=Termination)
    _failures: int = 0
    _record_failures: tuple[str, int] = ("", 0)
    _offset: int | None = None

    def __post_init__(self) -> None:
        self._watched = [_Watched(source, self.host.load_checkpoint(source.name)) for source in self.sources]
        self._failure_log = FailureLog(self.log, self.clock)
        self._started = self.clock.monotonic()

    def run(self) -> None:
        """Poll until the runtime or a signal stops the trigger. A failed poll does not."""
        with self.termination:
            try:
                while True:
                    delay = self.poll()
                    self.host.end_poll()
                    self._wait(delay)
            except Stopped:
                pass
        self.log.info("The trigger was stopped. It continues from here when it runs again.")

    def poll(self) -> float:
        """Poll each list once, and send what is new.

        :returns: the seconds until the next poll
        :raises Stopped: the runtime wants the trigger to stop
        """
        try:
            for watched in self._watched:
                self._poll(watched)
        except Stopped:
            raise
        except Exception as failure:  # noqa: BLE001 - no failure may end a trigger, which would never run again
            return self._delay_after(failure)
        if self._failures:
            self.log.info("Polling works again.")
        self._failures = 0
        self._failure_log.clear()
        return self.interval

    def _poll(self, watched: _Watched) -> None:
        now = self._now()
        checkpoint = watched.checkpoint or self._start(watched.source, now)
        watched.checkpoint = checkpoint
        watched.add(watched.source.read(checkpoint), checkpoint)
        while True:
            decision = decide(watched.waiting.values(), checkpoint, now, watched.source.overlap)
            for candidate in decision.batch:
                self._check_flag()
                self._deliver(watched.source, candidate)
                checkpoint = self._save(watched, checkpoint.after(candidate, now))
                del watched.waiting[candidate.id]
            if not decision.rest:
                break
            checkpoint = self._save(watched, decision.checkpoint)
        watched.waiting.clear()
        listed = max(checkpoint.listed, min(watched.source.listed, now))
        self._save(watched, replace(decision.checkpoint, listed=listed))

    def _start(self, source: Source, now: int) -> Checkpoint:
        """The checkpoint of the first poll."""
        # If the first polls fail, the trigger starts at the time of the first one nevertheless.
        waited = self.clock.monotonic() - self._started if self._failures else 0.0
        lookback = round((self.lookback + waited) * SECOND)
        if source.starts_with_existing:
            existing = source.read(Checkpoint.start((), now, lookback, source.overlap))
            checkpoint = Checkpoint.start(existing, now, lookback, source.overlap)
        else:
            checkpoint = Checkpoint.start((), now, lookback, overlap=0)
        self.host.save_checkpoint(source.name, checkpoint)
        since = f"{self.lookback} seconds ago" if self.lookback else "now"
        self.log.info(f"Started without an earlier state: sends records from {since} on.")
        return checkpoint

    def _deliver(self, source: Source, candidate: Candidate) -> None:
        output = self._output(source, candidate)
        name = f"{sanitize(candidate.id)} ({candidate.reason})"
        if output is None:
            self.log.info(f"Not sent, because it no longer exists: {name}")
            return
        self.log.info(f"Sending {name}")
        self.host.send_output(output)

    def _output(self, source: Source, candidate: Candidate) -> Record | None:
        try:
            return source.output(candidate)
        except (ResponseError, UnexpectedResponse) as failure:
            if not isinstance(failure, UnexpectedResponse) and failure.status_code != _INTERNAL_ERROR:
                raise
            previous, count = self._record_failures
            count = count + 1 if previous == candidate.id else 1
            self._record_failures = (candidate.id, count)
            if count < _MAX_RECORD_FAILURES:
                raise
            self.log.warning(f"Sending {sanitize(candidate.id)} without its details: {failure.cause}")
            return source.short_output(candidate, str(failure.cause))

    def _save(self, watched: _Watched, checkpoint: Checkpoint) -> Checkpoint:
        if checkpoint != watched.checkpoint:
            with self.termination.deferred():
                watched.checkpoint = checkpoint
                self.host.save_checkpoint(watched.source.name, checkpoint)
        return checkpoint

    def _now(self) -> int:
        """The time of the server. Its difference from the clock of this machine is measured once."""
        here = round(self.clock.now().timestamp() * SECOND)
        if self._offset is None:
            self._offset = self.server_time() - here
        return here + self._offset

    def _delay_after(self, failure: Exception) -> float:
        self._failures += 1
        delay = min(self.interval * 2.0 ** min(self._failures - 1, 30), max(MAX_BACKOFF_SECONDS, self.interval))
        server_delay = getattr(failure, "next_delay", None) or 0.0
        delay = max(delay, min(server_delay, MAX_SERVER_DELAY))
        self._failure_log.add(_explain(failure), isinstance(failure, _PERMANENT), delay)
        return delay

    def _check_flag(self) -> None:
        """:raises Stopped: the runtime wants the trigger to stop"""
        if not self.host.run_trigger:
            raise Stopped

    def _wait(self, seconds: float) -> None:
        """Sleep in slices.

        :raises Stopped: the runtime wants the trigger to stop
        """
        end = self.clock.monotonic() + seconds
        while True:
            self._check_flag()
            left = end - self.clock.monotonic()
            if left <= 0:
                return
            self.clock.sleep(min(left, _SLICE_SECONDS))


def _explain(failure: Exception) -> str:
    """A failure as text, without secrets: exceptions of other types could quote a request."""
    if isinstance(failure, PluginException):
        return f"{failure.cause} {getattr(failure, 'advice', '') or failure.assistance}"
    if isinstance(failure, NotAccepted):
        return f"The orchestrator did not accept the message: {failure}"
    if isinstance(failure, OSError):
        return f"The state cannot be stored: {failure.strerror}. Check the cache volume of the plugin."
    return f"Unexpected {type(failure).__name__}. Report this as a defect of the plugin."
