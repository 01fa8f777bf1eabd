"""Poll the lists of a trigger until it is stopped, and send each new record once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.client import Log
from komand_sentry.util.trigger.backlog import Backlog
from komand_sentry.util.trigger.checkpoint import SECOND, Candidate, Checkpoint, decide
from komand_sentry.util.trigger.clocks import ServerClock, StoppableClock, Stopped
from komand_sentry.util.trigger.failures import (
    MAX_RECORD_FAILURES,
    FailureLog,
    NotFoundYet,
    StateNotStored,
    explain,
    failure_limit,
)
from komand_sentry.util.trigger.source import Host, Source

MIN_INTERVAL = 10
MAX_INTERVAL = 24 * 3600
MAX_LOOKBACK = 90 * 24 * 3600
MAX_BACKOFF_SECONDS = 600.0
# The longest delay that a server can ask for.
MAX_SERVER_DELAY = 3600.0
MAX_GAP = 24 * 3600 * SECOND


@dataclass
class _WatchedList:
    """A source with its progress.

    :param is_saved: the checkpoint is stored
    :param failed: the record that failed last and how, and in how many polls
    :param is_shortening: the last record was sent without its details, so the next one that fails does not wait
    """

    source: Source
    checkpoint: Checkpoint | None
    is_saved: bool = True
    backlog: Backlog = field(default_factory=Backlog)
    failed: tuple[str, int] = ("", 0)
    is_shortening: bool = False

    def count_failure(self, candidate: Candidate, is_missing: bool = False) -> int:
        """In how many polls in a row a record failed, this one included.

        :param is_missing: because it does not exist
        """
        (previous, count), failed = self.failed, f"{candidate.id} {is_missing}"
        self.failed = (failed, count + 1 if previous == failed else 1)
        return self.failed[1]


@dataclass
class PollLoop:
    """Polls until the trigger is stopped.

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
    # Doubles the delay with each failed poll in which no message was accepted.
    _backoff_step: int = 0
    _is_failing: bool = False

    def __post_init__(self) -> None:
        self._lists = [_WatchedList(source, self.host.load_checkpoint(source.name)) for source in self.sources]
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
            failures = [self._attempt(partial(self._poll, watched)) for watched in self._lists]
            failure = next(filter(None, failures), None)
        if failure:
            return self._delay_after(failure)
        if self._is_failing:
            self.log.info("Polling works again.")
        self._backoff_step, self._is_failing = 0, False
        self._failure_log.clear()
        return 0.0 if any(watched.backlog.is_cut for watched in self._lists) else self.interval

    def _attempt(self, work: Callable[[], None]) -> Exception | None:
        try:
            work()
        except Exception as failure:  # noqa: BLE001 - no failure may end a trigger, which would never run again
            return failure
        return None

    def _start_all(self) -> None:
        """Make sure that each list has a checkpoint, before anything is sent."""
        now = self.server_clock.now()
        for watched in self._lists:
            if watched.checkpoint and watched.checkpoint.floor > now:
                self.log.warning("The stored state is from the future of the server's clock, so it is not used.")
                watched.checkpoint = None
                watched.source.forget()
            if watched.checkpoint and watched.checkpoint.polled > now:
                # The server's clock was wrong, so the last polls did not read far enough.
                watched.checkpoint = replace(watched.checkpoint, polled=min(now, watched.checkpoint.latest))
                watched.source.forget()
            if not watched.checkpoint:
                self._save(watched, self._start(watched.source, now))

    def _start(self, source: Source, now: int) -> Checkpoint:
        """The checkpoint of the first poll."""
        # If the first polls fail, the trigger starts at the time of the first one nevertheless.
        waited = self.clock.monotonic() - self._started if self._is_failing else 0.0
        lookback = round((self.lookback + waited) * SECOND)
        existing = source.existing(Checkpoint.start((), now, lookback, source.start_overlap), now)
        checkpoint = Checkpoint.start(existing, now, lookback, source.start_overlap)
        since = f"{self.lookback} seconds ago" if self.lookback else "now"
        self.log.info(f"Started without an earlier state: sends {source.name.replace('_', ' ')} from {since} on.")
        return checkpoint

    def _poll(self, watched: _WatchedList) -> None:
        checkpoint, now = watched.checkpoint, self.server_clock.now()
        if checkpoint is None:
            raise AssertionError("each list has a checkpoint after _start_all")
        if not watched.is_saved:
            # Nothing is sent as long as it could be sent again after a restart.
            self._save(watched, checkpoint)
        watched.backlog.open(checkpoint)
        for candidate in watched.source.read(checkpoint):
            watched.backlog.add(candidate)
        if watched.backlog.is_cut:
            watched.source.forget()
        checkpoint = self._send_all(watched, checkpoint, now)
        # What could not be read must be in the next poll, but not for so long that this one becomes too large.
        has_gaps = watched.source.has_gaps and now - checkpoint.polled < MAX_GAP
        if not watched.backlog.is_cut and not has_gaps:
            checkpoint = replace(checkpoint, polled=max(checkpoint.polled, now))
        self._save(watched, checkpoint)

    def _send_all(self, watched: _WatchedList, checkpoint: Checkpoint, now: int) -> Checkpoint:
        """Send the backlog, and return the checkpoint after it."""
        source = watched.source
        is_full = source.is_full and not watched.backlog.is_cut
        while True:
            decision = decide(watched.backlog.candidates, checkpoint, now, source.overlap, is_full)
            for candidate in decision.batch:
                self.clock.check()
                self._deliver(watched, candidate)
                self._backoff_step = 0
                checkpoint = checkpoint.after(candidate, now)
                self._save(watched, checkpoint)
                watched.backlog.remove(candidate)
            checkpoint = decision.checkpoint
            if not decision.rest:
                watched.is_shortening = False
                return checkpoint
            self._save(watched, checkpoint)

    def _deliver(self, watched: _WatchedList, candidate: Candidate) -> None:
        """Send a record, in a short form if it fails again and again although its list can be read."""
        name = f"{sanitize(candidate.id)} ({candidate.reason})"
        try:
            output = watched.source.output(candidate)
            if output is None and watched.count_failure(candidate, is_missing=True) < MAX_RECORD_FAILURES:
                raise NotFoundYet(f"The record {name} was listed, but does not exist.")
            if output is None:
                self.log.info(f"Not sent, because it no longer exists: {name}")
                return
            self.log.info(f"Sending {name}")
            self.host.send_output(output)
            watched.is_shortening = False
        except Exception as failure:
            limit = failure_limit(failure)
            if limit is None or (watched.count_failure(candidate) < limit and not watched.is_shortening):
                raise
            watched.is_shortening = True
            self.log.warning(f"Sending {name} without its details. {explain(failure)}")
            self.host.send_output(watched.source.short_output(candidate, explain(failure)))

    def _save(self, watched: _WatchedList, checkpoint: Checkpoint) -> None:
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
        delay = min(self.interval * 2.0 ** min(self._backoff_step, 30), max(MAX_BACKOFF_SECONDS, self.interval))
        self._backoff_step, self._is_failing = self._backoff_step + 1, True
        server_delay = getattr(failure, "next_delay", None) or 0.0
        delay = max(delay, min(server_delay, MAX_SERVER_DELAY))
        self._failure_log.add(failure, delay)
        return delay
