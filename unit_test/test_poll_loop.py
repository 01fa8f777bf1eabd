"""The loop of a trigger with a source and an orchestrator in memory: failures, backoff, log, stop, and 10,000 polls."""

import json
import unittest
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    ConnectionFailed,
    NotFound,
    RateLimited,
    ServerFailed,
    Unauthorized,
    UnexpectedResponse,
)
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.trigger import backlog
from komand_sentry.util.trigger import checkpoint as checkpoint_module
from komand_sentry.util.trigger import loop as module
from komand_sentry.util.trigger.backlog import Backlog
from komand_sentry.util.trigger.checkpoint import MAX_BATCH, OVERLAP, SECOND, Candidate, Checkpoint
from komand_sentry.util.trigger.clocks import ServerClock, StoppableClock, Stopped
from komand_sentry.util.trigger.dispatcher import NotAccepted
from komand_sentry.util.trigger.failures import MAX_TRANSIENT_FAILURES
from komand_sentry.util.trigger.loop import PollLoop
from testing.fake_clock import FakeClock

from .conftest import many
from .trigger_case import Log

INTERVAL = 60


class MemorySource:
    """A list in memory. `failures` are raised by the next reads, `gone` do not exist any more."""

    overlap: ClassVar[int] = OVERLAP
    start_overlap: ClassVar[int] = OVERLAP
    is_full = False
    has_gaps = False

    def __init__(self, name: str = "records") -> None:
        self.name = name
        self.records: list[Candidate] = []
        self.failures: list[Exception] = []
        self.output_failures: list[Exception] = []
        self.gone: set[str] = set()
        self.forgotten = 0

    def existing(self, checkpoint: Checkpoint, now: int) -> Iterator[Candidate]:  # noqa: ARG002 - see Source
        return self.read(checkpoint)

    def forget(self) -> None:
        self.forgotten += 1

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        yield from [found for found in self.records if found.time >= checkpoint.floor][:1]
        if self.failures:
            raise self.failures.pop(0)
        yield from [found for found in self.records if found.time >= checkpoint.floor][1:]

    def output(self, candidate: Candidate) -> Record | None:
        if self.output_failures:
            raise self.output_failures.pop(0)
        return None if candidate.id in self.gone else {"id": candidate.id}

    def short_output(self, candidate: Candidate, problem: str) -> Record:
        return {"id": candidate.id, "problem": problem}


class MemoryHost:
    """The runtime and the orchestrator. `refuse` counts down the messages that are not accepted."""

    def __init__(self) -> None:
        self.refusal = NotAccepted("the orchestrator responded with status 503.")
        self.sent: list[Record] = []
        self.stored: dict[str, str] = {}
        self.saves = 0
        self.refuse = 0
        self.save_failures: list[BaseException] = []
        self.turns = -1

    @property
    def run_trigger(self) -> bool:
        self.turns -= 1
        return self.turns != 0

    def send_output(self, output: Record) -> None:
        if self.refuse:
            self.refuse -= 1
            raise self.refusal
        self.sent.append(output)

    def load_checkpoint(self, name: str) -> Checkpoint | None:
        return Checkpoint.parse(json.loads(self.stored[name])) if name in self.stored else None

    def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        self.saves += 1
        if self.save_failures:
            raise self.save_failures.pop(0)
        self.stored[name] = json.dumps(checkpoint.as_json())

    def end_poll(self) -> None:
        """Keep nothing."""

    @property
    def ids(self) -> list[str]:
        return [output["id"] for output in self.sent]


class LoopCase(unittest.TestCase):
    def setUp(self) -> None:
        self.clock, self.log = FakeClock(), Log()
        self.source, self.host = MemorySource(), MemoryHost()
        self.server_offset = 0
        self.number = 0

    def now(self) -> int:
        return round(self.clock.now().timestamp() * SECOND) + self.server_offset

    def add(self, count: int = 1, age: float = 0) -> list[str]:
        """Add records, each a microsecond after the other."""
        ids = []
        for _ in range(count):
            self.number += 1
            time = self.now() + self.number - round(age * SECOND)
            self.source.records.append(Candidate(str(self.number), time, self.number, str(self.number), "new"))
            ids.append(str(self.number))
        return ids

    def loop(self, lookback: int = 0) -> PollLoop:
        return self.loop_of(self.source, lookback=lookback)

    def loop_of(self, *sources: MemorySource, lookback: int = 0) -> PollLoop:
        clock = StoppableClock(self.clock, self.host)
        server_clock = ServerClock(lambda: datetime.fromtimestamp(self.now() / SECOND, UTC), self.clock)
        return PollLoop(self.host, sources, INTERVAL, lookback, server_clock, clock, self.log)


class TestPolls(LoopCase):
    def test_what_exists_is_not_sent_and_what_is_new_is(self) -> None:
        self.add(3, age=100)
        loop = self.loop()
        self.assertEqual(loop.poll(), INTERVAL)
        self.assertEqual(self.host.sent, [])
        new = self.add(3)
        loop.poll()
        loop.poll()
        self.assertEqual(self.host.ids, new)

    def test_lookback_sends_what_exists_since_then(self) -> None:
        self.add(age=100)
        recent = self.add(2, age=50)
        self.loop(lookback=60).poll()
        self.assertEqual(self.host.ids, recent)

    def test_a_restart_continues(self) -> None:
        self.loop().poll()
        new = self.add(3)
        self.loop().poll()
        self.loop().poll()
        self.assertEqual(self.host.ids, new)

    def test_the_clock_of_this_machine_does_not_matter(self) -> None:
        for offset in (-86400, 86400, 400 * 86400):
            with self.subTest(offset):
                self.setUp()
                self.server_offset = offset * SECOND
                self.add(2, age=10)
                self.loop().poll()
                new = self.add(2)
                self.loop().poll()
                self.assertEqual(self.host.ids, new)

    def test_a_backlog_is_sent_in_order_and_in_batches(self) -> None:
        self.loop().poll()
        new = self.add(MAX_BATCH * 2 + 5)
        self.source.records.reverse()
        self.loop().poll()
        self.assertEqual(self.host.ids, new)
        self.assertEqual(self.source.forgotten, 0)
        # One save per message, and one per batch.
        self.assertLessEqual(self.host.saves, len(new) + 5)

    def test_a_huge_backlog_takes_several_polls(self) -> None:
        self.loop().poll()
        new = self.add(12)
        self.source.records.reverse()
        with mock.patch.object(backlog, "MAX_RECORDS", 3):
            loop = self.loop()
            delays = [loop.poll() for _ in range(4)]
        self.assertEqual(self.host.ids, new)
        # The rest is not delayed, and the source lists again what it listed already.
        self.assertEqual((delays, self.source.forgotten), ([0.0, 0.0, INTERVAL, INTERVAL], 2))

    def test_a_record_that_no_longer_exists_is_skipped(self) -> None:
        self.loop().poll()
        first, second = self.add(2)
        self.source.gone.add(first)
        loop = self.loop()
        for _ in range(5):
            loop.poll()
        self.assertEqual(self.host.ids, [second])
        self.assertEqual(len([line for line in self.log.lines if "no longer exists" in line]), 1)
        self.assertEqual(len(self.log.warnings), 2)

    def test_a_record_that_is_missing_once_after_other_failures_is_sent(self) -> None:
        self.loop().poll()
        new = self.add()
        down = ServerFailed(cause="c", assistance="a", status_code=503)
        self.source.output_failures = [down, down]
        loop = self.loop()
        loop.poll()
        loop.poll()
        self.source.gone.add(new[0])
        loop.poll()
        self.source.gone.clear()
        loop.poll()
        self.assertEqual(self.host.ids, new)

    def test_a_record_that_is_found_later_is_sent(self) -> None:
        self.loop().poll()
        new = self.add(2)
        self.source.gone.add(new[0])
        loop = self.loop()
        loop.poll()
        self.source.gone.clear()
        loop.poll()
        self.assertEqual(self.host.ids, new)


class TestBacklog(unittest.TestCase):
    def test_nothing_later_than_a_cut_record_is_kept(self) -> None:
        # It would be sent first, and the state would then be past the record that was cut.
        waiting = Backlog()
        waiting.open(Checkpoint(0, 0))
        with mock.patch.object(backlog, "MAX_RECORDS", 2):
            for time in (9, 8, 7, 6, 5, 4, 3, 10, 7):
                waiting.add(Candidate(f"at {time}", time))
        self.assertTrue(waiting.is_cut)
        self.assertEqual(sorted(candidate.time for candidate in waiting.candidates), [3, 4, 5, 6])

    def test_what_was_sent_meanwhile_is_removed(self) -> None:
        waiting = Backlog()
        waiting.open(Checkpoint(0, 0))
        waiting.add(Candidate("a", 1))
        waiting.open(Checkpoint(1, 0, {"a": 1}))
        self.assertEqual((list(waiting.candidates), waiting.is_cut), ([], False))


class TestFailures(LoopCase):
    def test_a_failed_read_sends_nothing_and_loses_nothing(self) -> None:
        self.loop().poll()
        before = dict(self.host.stored)
        new = self.add(3)
        self.source.failures = [ServerFailed(cause="The server failed.", assistance="Wait.", status_code=503)]
        loop = self.loop()
        self.assertGreaterEqual(loop.poll(), INTERVAL)
        self.assertEqual((self.host.sent, self.host.stored), ([], before))
        self.assertIn("The server failed. Wait. Next poll in 60 s.", self.log.warnings[0])
        loop.poll()
        self.assertEqual(self.host.ids, new)
        self.assertIn("Polling works again.", self.log.lines)

    def test_the_backoff_doubles_up_to_a_limit(self) -> None:
        self.source.failures = [ServerFailed(cause="c", assistance="a", status_code=503) for _ in range(7)]
        loop = self.loop()
        self.assertEqual([loop.poll() for _ in range(8)], [60, 120, 240, 480, 600, 600, 600, 60])

    def test_the_delay_that_the_server_asks_for_is_kept(self) -> None:
        for asked, expected in ((300.0, 300.0), (10.0, 60.0), (1e9, module.MAX_SERVER_DELAY)):
            with self.subTest(asked):
                failure = RateLimited(cause="c", assistance="a", status_code=429)
                failure.next_delay = asked
                self.source.failures = [failure]
                self.assertEqual(self.loop().poll(), expected)

    def test_a_message_that_is_not_accepted_is_sent_again_before_the_next_one(self) -> None:
        self.loop().poll()
        new = self.add(3)
        self.host.refuse = 2
        loop = self.loop()
        for _ in range(3):
            loop.poll()
        self.assertEqual(self.host.ids, new)
        self.assertEqual(len(self.log.warnings), 2)
        self.assertIn("did not accept", self.log.warnings[0])

    def test_a_kill_after_a_send_repeats_this_record_only(self) -> None:
        self.loop().poll()
        new = self.add(4)
        self.host.save_failures = [KeyboardInterrupt()]
        with self.assertRaises(KeyboardInterrupt):
            self.loop().poll()
        self.loop().poll()
        self.assertEqual(self.host.ids, [new[0], *new])

    def test_nothing_is_sent_while_the_state_cannot_be_stored(self) -> None:
        self.loop().poll()
        new = self.add(3)
        self.host.save_failures = [OSError(28, "No space left on device") for _ in range(3)]
        loop = self.loop()
        for _ in range(3):
            loop.poll()
        self.assertEqual(self.host.ids, new[:1])
        self.assertIn("The state cannot be stored: No space left on device", self.log.warnings[0])
        loop.poll()
        self.loop().poll()
        self.assertEqual(self.host.ids, new)

    def test_a_failure_that_only_the_user_can_end_is_logged_once_an_hour(self) -> None:
        for error_type, status in ((Unauthorized, 401), (NotFound, 404)):
            with self.subTest(error_type.__name__):
                self.setUp()
                loop = self.loop()
                end = self.clock.monotonic() + 3 * 3600
                while self.clock.monotonic() < end:
                    self.source.failures = [error_type(cause="No access.", assistance="a", status_code=status)]
                    self.clock.sleep(loop.poll())
                self.assertIn(len(self.log.warnings), (3, 4))

    def test_an_unexpected_error_ends_nothing_and_is_not_quoted(self) -> None:
        self.loop().poll()
        new = self.add()
        self.source.failures = [RuntimeError("a secret")]
        loop = self.loop()
        loop.poll()
        loop.poll()
        self.assertEqual(self.host.ids, new)
        self.assertIn("RuntimeError", self.log.warnings[0])
        self.assertNotIn("a secret", str(self.log.warnings))

    def test_a_record_that_the_server_cannot_show_does_not_block_the_others(self) -> None:
        failures: tuple[PluginException, ...] = (
            ServerFailed(cause="It failed.", assistance="a", status_code=500),
            UnexpectedResponse(cause="It is no JSON.", assistance="a", status_code=200),
        )
        for failure in failures:
            with self.subTest(type(failure).__name__):
                self.setUp()
                self.loop().poll()
                first, second = self.add(2)
                self.source.output_failures = [failure] * 3
                loop = self.loop()
                for _ in range(3):
                    loop.poll()
                self.assertEqual(self.host.sent, [{"id": first, "problem": f"{failure.cause} a"}, {"id": second}])

    def test_many_records_with_the_same_failure_do_not_take_days(self) -> None:
        self.loop().poll()
        new = self.add(40)
        gone = [ConnectionFailed(cause="c", assistance="a") for _ in range(MAX_TRANSIENT_FAILURES + 38)]
        self.source.output_failures = list(gone)
        loop = self.loop()
        for _ in range(MAX_TRANSIENT_FAILURES):
            loop.poll()
        self.assertEqual(self.host.ids, new)
        self.assertEqual([output for output in self.host.sent if "problem" not in output], [{"id": new[-1]}])

    def test_a_defect_of_the_plugin_does_not_block_the_other_records(self) -> None:
        self.loop().poll()
        new = self.add(2)
        self.source.output_failures = [TypeError("a secret")] * 3
        loop = self.loop()
        for _ in range(3):
            loop.poll()
        self.assertEqual(self.host.ids, new)
        self.assertNotIn("a secret", str(self.host.sent))

    def test_a_failure_after_a_cut_loses_nothing(self) -> None:
        self.loop().poll()
        new = self.add(12)
        self.host.refuse = 1
        with mock.patch.object(backlog, "MAX_RECORDS", 3):
            loop = self.loop()
            loop.poll()
            self.assertEqual(self.source.forgotten, 1)
            for _ in range(4):
                loop.poll()
        self.assertEqual(self.host.ids, new)

    def test_a_failure_that_may_end_by_itself_gets_more_time(self) -> None:
        self.loop().poll()
        new = self.add()
        down = ServerFailed(cause="It is down.", assistance="a", status_code=503)
        self.source.output_failures = [down] * (MAX_TRANSIENT_FAILURES - 1)
        loop = self.loop()
        for _ in range(MAX_TRANSIENT_FAILURES):
            loop.poll()
        self.assertEqual(self.host.sent, [{"id": new[0]}])

    def test_a_refused_token_shortens_no_message(self) -> None:
        self.loop().poll()
        new = self.add()
        self.source.output_failures = [Unauthorized(cause="c", assistance="a", status_code=401) for _ in range(20)]
        loop = self.loop()
        for _ in range(21):
            loop.poll()
        self.assertEqual(self.host.sent, [{"id": new[0]}])

    def test_a_message_that_the_orchestrator_refuses_is_sent_in_a_short_form(self) -> None:
        self.loop().poll()
        first, second = self.add(2)
        self.host.refusal, self.host.refuse = NotAccepted("it responded with status 413.", is_about_message=True), 3
        loop = self.loop()
        for _ in range(3):
            loop.poll()
        self.assertEqual(self.host.ids, [first, second])
        self.assertIn("status 413", self.host.sent[0]["problem"])

    def test_an_orchestrator_that_is_down_loses_and_shortens_nothing(self) -> None:
        self.loop().poll()
        new = self.add(2)
        self.host.refuse = 50
        loop = self.loop()
        for _ in range(51):
            loop.poll()
        self.assertEqual(self.host.sent, [{"id": key} for key in new])


class Killed(BaseException):
    """The process ends here."""


class KillableHost(MemoryHost):
    """A host whose process is killed after some steps: before a message, after it, or after the state was stored."""

    def __init__(self) -> None:
        super().__init__()
        self.steps_left = -1

    def step(self) -> None:
        self.steps_left -= 1
        if self.steps_left == 0:
            raise Killed

    def send_output(self, output: Record) -> None:
        self.step()
        super().send_output(output)
        self.step()

    def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        super().save_checkpoint(name, checkpoint)
        self.step()


# What happens before a poll: how many records appear, how old each is in seconds, how many steps until the process is
# killed (0 for never), and how many reads, details and messages fail.
polls = st.lists(
    st.tuples(
        st.lists(st.integers(0, 3000), max_size=6),
        st.sampled_from((0, 0, 1, 2, 3, 4, 5, 7)),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    max_size=12,
)


class TestExactlyOnce(LoopCase):
    @many
    @given(polls, st.integers(1, 4))
    def test_no_record_is_lost_and_a_kill_repeats_one_at_most(
        self, polls: list[tuple[list[int], int, int, int, int]], batch: int
    ) -> None:
        self.setUp()
        self.host = KillableHost()
        kills = 0
        down = ServerFailed(cause="c", assistance="a", status_code=503)
        with mock.patch.object(checkpoint_module, "MAX_BATCH", batch):
            loop = self.loop()
            loop.poll()
            for ages, steps, reads, details, messages in polls:
                for age in ages:
                    self.add(age=age)
                self.source.failures, self.source.output_failures = [down] * reads, [down] * details
                self.host.refuse, self.host.steps_left = messages, steps
                try:
                    self.clock.sleep(loop.poll())
                except Killed:
                    kills += 1
                    loop = self.loop()
            self.source.failures, self.source.output_failures = [], []
            self.host.refuse, self.host.steps_left = 0, 0
            self.loop().poll()
        self.assertEqual(set(self.host.ids), {record.id for record in self.source.records})
        self.assertLessEqual(len(self.host.ids) - len(self.source.records), kills)


class TestRun(LoopCase):
    def test_the_flag_of_the_runtime_stops_it_within_a_second(self) -> None:
        self.host.turns = 30
        started = self.clock.monotonic()
        self.loop().run()
        self.assertAlmostEqual(self.clock.monotonic() - started, 29, delta=1)
        self.assertLessEqual(max(self.clock.slept), 1.0)
        self.assertIn("stopped", self.log.lines[-1])

    def test_the_flag_stops_it_between_two_messages(self) -> None:
        self.loop().poll()
        self.add(5)
        self.host.turns = 3
        self.loop().run()
        self.assertEqual(len(self.host.sent), 2)
        self.loop().poll()
        self.assertEqual(len(self.host.sent), 5)

    def test_ten_thousand_polls(self) -> None:
        loop = self.loop()
        sizes: list[int] = []
        for poll in range(10_000):
            if poll % 10 == 0:
                self.add()
                self.source.records = self.source.records[-100:]
            # As the trigger does once an hour.
            self.source.is_full = poll % 60 == 0
            self.clock.sleep(loop.poll())
            sizes.append(len(self.host.stored["records"]))
        self.assertEqual(len(self.host.sent), self.number - 1)
        self.assertEqual(len(set(self.host.ids)), len(self.host.ids))
        # One for each poll and each message.
        self.assertLess(self.host.saves, 10_000 + 2 * self.number + 5)
        self.assertLess(max(sizes), 2000)

    def test_the_flag_stops_it_while_a_request_waits(self) -> None:
        clock = StoppableClock(self.clock, self.host)
        self.host.turns = 4
        with self.assertRaises(Stopped):
            clock.sleep(100)
        self.assertLess(self.clock.monotonic(), 5)

    def test_a_signal_whose_exception_was_dropped_stops_it(self) -> None:
        # Python drops an exception that is raised within a finalizer.
        clock = StoppableClock(self.clock, self.host)
        clock.termination.is_requested = True
        with self.assertRaises(Stopped):
            clock.sleep(1)

    def test_a_flag_whose_state_cannot_be_stored_stops_it(self) -> None:
        class FailingHost(MemoryHost):
            @property
            def run_trigger(self) -> bool:
                raise OSError(30, "Read-only file system")

        with self.assertRaises(Stopped):
            StoppableClock(self.clock, FailingHost()).sleep(1)

    def test_a_state_from_the_future_is_not_used(self) -> None:
        self.server_offset = 100 * 86400 * SECOND
        self.loop().poll()
        self.server_offset = 0
        loop = self.loop()
        loop.poll()
        self.assertIn("from the future", self.log.warnings[0])
        new = self.add()
        loop.poll()
        self.assertEqual(self.host.ids, new)

    def test_a_single_response_with_a_wrong_time_is_ignored(self) -> None:
        times = [0.0, 18_000.0, 0.0, -18_000.0, -18_000.0]
        clock = ServerClock(
            lambda: self.clock.now() + timedelta(seconds=times.pop(0)), StoppableClock(self.clock, self.host)
        )
        started = clock.now()
        self.clock.sleep(3600)
        self.assertAlmostEqual(clock.now() - started, 3600 * SECOND, delta=SECOND)
        # Two in a row are the time.
        self.clock.sleep(3600)
        self.assertAlmostEqual(clock.now() - started, (7200 - 18_000) * SECOND, delta=SECOND)

    def test_a_clock_that_was_ahead_for_some_time_loses_nothing(self) -> None:
        self.add()
        loop = self.loop()
        loop.poll()
        self.server_offset = 5000 * SECOND
        self.clock.sleep(3600)
        loop.poll()
        self.server_offset = 0
        self.clock.sleep(3600)
        late = self.add(age=3000)
        loop.poll()
        self.assertEqual((self.host.ids, self.source.forgotten), (late, 1))
        self.assertLessEqual(json.loads(self.host.stored["records"])["polled"], self.now())

    def test_what_could_not_be_read_is_in_the_next_poll(self) -> None:
        loop = self.loop()
        loop.poll()
        before = json.loads(self.host.stored["records"])["polled"]
        self.source.has_gaps = True
        self.clock.sleep(7200)
        loop.poll()
        self.assertEqual(json.loads(self.host.stored["records"])["polled"], before)
        self.clock.sleep(86_400)
        loop.poll()
        self.assertGreater(json.loads(self.host.stored["records"])["polled"], before)

    def test_the_time_of_the_server_is_measured_again(self) -> None:
        clock = ServerClock(lambda: datetime.fromtimestamp(self.now() / SECOND, UTC), self.clock)
        before = clock.now()
        self.server_offset = -SECOND * 3600
        self.clock.sleep(3000)
        self.assertEqual(clock.now() - before, 3000 * SECOND)
        self.clock.sleep(1000)
        self.assertEqual(clock.now() - before, 400 * SECOND)


class TestSeveralSources(LoopCase):
    def test_a_list_that_fails_does_not_prevent_the_others(self) -> None:
        other = MemorySource("others")
        loop = self.loop_of(self.source, other)
        loop.poll()
        self.add()
        other.records = [Candidate("x", self.now(), 0, "x", "regressed")]
        self.source.failures = [ServerFailed(cause="c", assistance="a", status_code=500) for _ in range(5)]
        self.assertEqual(loop.poll(), INTERVAL)
        self.assertEqual(self.host.ids, ["x"])

    def test_all_start_before_anything_is_sent(self) -> None:
        other = MemorySource("others")
        self.add(age=5)
        self.host.refuse = 1
        loop = self.loop_of(self.source, other, lookback=60)
        loop.poll()
        self.assertEqual(self.host.stored.keys(), {"records", "others"})
        other.records = [Candidate("x", self.now(), 0, "x", "regressed")]
        loop.poll()
        self.assertEqual(self.host.ids, ["1", "x"])

    def test_each_has_its_own_progress(self) -> None:
        other = MemorySource("others")
        loop = self.loop_of(self.source, other)
        loop.poll()
        self.add()
        other.records = [Candidate("x", self.now(), 0, "x", "regressed")]
        other.failures = [ServerFailed(cause="c", assistance="a", status_code=503)]
        loop.poll()
        loop.poll()
        loop.poll()
        self.assertEqual(self.host.ids, ["1", "x"])


if __name__ == "__main__":
    unittest.main()
