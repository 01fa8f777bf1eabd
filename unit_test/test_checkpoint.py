"""Each record is sent exactly once: the decision of a trigger, for any order of arrival, repeats, ties and restarts."""

import json
import unittest
from collections import Counter
from collections.abc import Sequence
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from komand_sentry.util.trigger import checkpoint as module
from komand_sentry.util.trigger.checkpoint import OVERLAP, SECOND, Candidate, Checkpoint, InvalidState, decide

from .conftest import many

NOW = 1_800_000_000 * SECOND


def record(number: int, seconds: float = 0) -> Candidate:
    return Candidate(str(number), NOW + round(seconds * SECOND), number)


def event(name: int, seconds: float) -> Candidate:
    """A record without a number, which only its time can show to be new."""
    return record(name, seconds)._replace(number=0)


def ids(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.id for candidate in candidates]


class TestDecide(unittest.TestCase):
    def test_new_records_are_sent_oldest_first(self) -> None:
        start = Checkpoint.start([record(1, -5)], NOW)
        found = [record(4, 9), record(3, 7), record(2, 7), record(1, -5)]
        decision = decide(found, start, NOW + 10 * SECOND)
        self.assertEqual(ids(decision.batch), ["2", "3", "4"])
        self.assertEqual(decide(found, decision.checkpoint, NOW + 70 * SECOND).batch, ())

    def test_existing_records_are_not_sent_without_lookback(self) -> None:
        # The second is from this second, which the server's Date header rounds down.
        existing = [record(1, -90), record(2, 0.9)]
        self.assertEqual(decide(existing, Checkpoint.start(existing, NOW), NOW).batch, ())

    def test_lookback_sends_the_existing_records_since_then(self) -> None:
        existing = [record(1, -90), record(2, -60), record(3, -1)]
        start = Checkpoint.start(existing, NOW, 60 * SECOND)
        self.assertEqual(ids(decide(existing, start, NOW).batch), ["2", "3"])

    def test_a_record_that_becomes_visible_within_the_overlap_is_sent(self) -> None:
        after = decide([record(2, 100)], Checkpoint.start([record(1)], NOW), NOW + 100 * SECOND).checkpoint
        late = event(3, 100 - OVERLAP / SECOND)
        self.assertEqual(ids(decide([record(2, 100), late], after, NOW).batch), ["3"])

    def test_an_issue_whose_first_event_is_days_old_is_new_by_its_number(self) -> None:
        start = Checkpoint.start([record(1, -7 * 86400), record(2, -5)], NOW)
        found = [record(1, -7 * 86400), record(3, -3 * 86400)]
        decision = decide(found, start, NOW)
        self.assertEqual(ids(decision.batch), ["3"])
        self.assertEqual(decide(found, decision.checkpoint, NOW).batch, ())

    def test_the_first_issue_of_all_is_new_by_its_number(self) -> None:
        decision = decide([record(1, -7200)], Checkpoint.start([], NOW), NOW)
        self.assertEqual(ids(decision.batch), ["1"])

    def test_old_records_without_numbers_are_not_sent(self) -> None:
        start = Checkpoint.start([Candidate("a", NOW)], NOW)
        self.assertEqual(decide([Candidate("b", NOW - 2 * OVERLAP)], start, NOW).batch, ())

    def test_a_record_from_the_future_hides_no_other(self) -> None:
        future = event(2, 10 * OVERLAP / SECOND)
        after = decide([future], Checkpoint.start([], NOW), NOW).checkpoint
        decision = decide([future, event(3, 60)], after, NOW + 60 * SECOND)
        self.assertEqual(ids(decision.batch), ["3"])

    def test_records_from_the_future_do_not_shorten_the_overlap(self) -> None:
        checkpoint = Checkpoint.start([], NOW)
        future = [event(number, 50) for number in range(2, 9)]
        with mock.patch.object(module, "MAX_SEEN", 5):
            checkpoint = decide(future, checkpoint, NOW).checkpoint
        self.assertEqual(ids(decide([event(20, 1)], checkpoint, NOW).batch), ["20"])

    def test_late_records_of_the_next_batch_stay_new(self) -> None:
        earlier = [event(name, name) for name in (100, 101, 102)]
        checkpoint = decide(earlier, Checkpoint.start([], NOW), NOW + 200 * SECOND).checkpoint
        late = [event(name, name) for name in (50, 51)]
        with mock.patch.object(module, "MAX_SEEN", 3), mock.patch.object(module, "MAX_BATCH", 1):
            first = decide(late, checkpoint, NOW + 200 * SECOND)
            self.assertEqual((ids(first.batch), ids(first.rest)), (["50"], ["51"]))
            self.assertEqual(ids(decide(late, first.checkpoint, NOW + 200 * SECOND).batch), ["51"])

    def test_old_records_of_the_next_batch_stay_new(self) -> None:
        # Only their numbers show that they are new, and the one with the higher number is older.
        checkpoint = Checkpoint.start([record(1)], NOW)
        old = [record(11, -90_000), record(10, -80_000)]
        with mock.patch.object(module, "MAX_BATCH", 1):
            first = decide(old, checkpoint, NOW)
            self.assertEqual(ids(first.batch), ["11"])
            second = decide(old, first.checkpoint, NOW)
            self.assertEqual((ids(second.batch), second.rest), (["10"], ()))
            self.assertEqual(decide(old, second.checkpoint, NOW).batch, ())

    def test_old_records_of_the_next_batch_stay_new_if_the_state_is_full(self) -> None:
        checkpoint = Checkpoint.start([record(1)], NOW)
        old = [record(13, -90_000), record(12, -80_000), record(11, -70_000), record(10, -60_000)]
        sent = []
        with mock.patch.object(module, "MAX_BATCH", 1), mock.patch.object(module, "MAX_SEEN", 1):
            for _ in range(6):
                decision = decide(old, checkpoint, NOW, is_full=True)
                sent += ids(decision.batch)
                checkpoint = decision.checkpoint
        self.assertEqual(sent, ["13", "12", "11", "10"])

    def test_an_old_issue_is_new_although_a_younger_one_was_sent(self) -> None:
        # It is found later, because only a poll that reads far back finds it.
        checkpoint = decide([record(4, 10)], Checkpoint.start([record(2)], NOW), NOW + 20 * SECOND).checkpoint
        late = [record(3, -200_000), record(4, 10)]
        decision = decide(late, checkpoint, NOW + 5000 * SECOND, is_full=True)
        self.assertEqual(ids(decision.batch), ["3"])
        self.assertEqual(decide(late, decision.checkpoint, NOW + 5000 * SECOND).batch, ())

    def test_an_old_issue_that_is_invisible_when_the_list_is_read_far_back_is_new(self) -> None:
        checkpoint = decide([record(4, 10)], Checkpoint.start([record(2)], NOW), NOW + 20 * SECOND).checkpoint
        checkpoint = decide([record(4, 10)], checkpoint, NOW + 5000 * SECOND, is_full=True).checkpoint
        later = [record(3, -200_000), record(4, 10)]
        self.assertEqual(ids(decide(later, checkpoint, NOW + 9000 * SECOND, is_full=True).batch), ["3"])

    def test_only_the_last_batch_ends_a_poll_that_reads_far_back(self) -> None:
        start = Checkpoint.start([record(2)], NOW)
        with mock.patch.object(module, "MAX_BATCH", 1):
            first = decide([record(5, 5), record(6, 6)], start, NOW + 9 * SECOND, is_full=True)
            self.assertEqual((first.checkpoint.known_number, first.checkpoint.scanned_number), (2, 2))
            second = decide([record(6, 6)], first.checkpoint, NOW + 9 * SECOND, is_full=True)
            self.assertEqual((second.checkpoint.known_number, second.checkpoint.scanned_number), (2, 6))

    def test_a_full_state_repeats_no_issue(self) -> None:
        found = [record(number, number) for number in range(10, 20)]
        with mock.patch.object(module, "MAX_SEEN", 3):
            checkpoint = decide(found, Checkpoint.start([record(2)], NOW), NOW + 100 * SECOND).checkpoint
            for is_full in (False, True, True, False):
                decision = decide(found, checkpoint, NOW + 100 * SECOND, is_full=is_full)
                self.assertEqual(decision.batch, ())
                checkpoint = decision.checkpoint

    def test_the_first_state_is_bounded(self) -> None:
        existing = [record(number, -number / 10) for number in range(1, 3 * module.MAX_SEEN)]
        start = Checkpoint.start(existing, NOW)
        self.assertEqual(len(start.seen), module.MAX_SEEN)
        self.assertEqual(decide(existing, start, NOW).batch, ())

    def test_the_state_is_bounded(self) -> None:
        checkpoint = Checkpoint.start([], NOW)
        for number in range(1, 20_001, 500):
            found = [record(number + offset, number + offset) for offset in range(500)]
            checkpoint = decide(found, checkpoint, NOW + 30_000 * SECOND).checkpoint
            self.assertLessEqual(len(checkpoint.seen), 2 * module.MAX_SEEN)
        self.assertLess(len(json.dumps(checkpoint.as_json())), 300_000)


class TestStored(unittest.TestCase):
    def test_a_stored_checkpoint_is_the_same(self) -> None:
        checkpoint = decide([record(2, 3)], Checkpoint.start([record(1)], NOW), NOW).checkpoint
        self.assertEqual(Checkpoint.parse(json.loads(json.dumps(checkpoint.as_json()))), checkpoint)

    def test_a_damaged_checkpoint_is_refused(self) -> None:
        valid = Checkpoint.start([record(1)], NOW).as_json()
        damaged: tuple[Any, ...] = (
            [],
            None,
            {},
            {**valid, "latest": "1"},
            {**valid, "seen": [1]},
            {**valid, "seen": {"1": None}},
        )
        for value in (*damaged, {**valid, "floor": True}, {**valid, "sent_number": 1.5}):
            with self.subTest(value), self.assertRaises(InvalidState):
                Checkpoint.parse(value)


# The seconds of records, each of which becomes visible in one of some polls.
times = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4)), max_size=25)
# After how many sends of a poll the process is killed; None for never.
kills = st.lists(st.none() | st.integers(0, 4), min_size=5, max_size=5)


class TestExactlyOnce(unittest.TestCase):
    """A simulation: records appear, each poll reads the list, and the process can be killed after any send."""

    @many
    @given(times, kills, st.randoms(use_true_random=False))
    def test_any_order_of_arrival(self, times: list[tuple[int, int]], kills: list[int | None], random: object) -> None:
        self.simulate([(seconds, poll) for seconds, poll in times], kills, random)

    @many
    @given(st.lists(st.integers(0, 12), max_size=25), kills, st.randoms(use_true_random=False))
    def test_ties_and_small_batches(self, times: list[int], kills: list[int | None], random: object) -> None:
        # With so small limits, the overlap ends early. So the records become visible in the order of their times.
        times = sorted(times)
        arrivals = [(seconds, place * 5 // len(times)) for place, seconds in enumerate(times)]
        with mock.patch.object(module, "MAX_SEEN", 3), mock.patch.object(module, "MAX_BATCH", 4):
            self.simulate(arrivals, kills, random, in_order=True)

    def simulate(
        self, arrivals: list[tuple[int, int]], kills: list[int | None], random: object, in_order: bool = False
    ) -> None:
        shuffle = random.shuffle  # type: ignore[attr-defined]
        arrivals = sorted(arrivals, key=lambda arrival: arrival[1])
        records = [(record(number, seconds), poll) for number, (seconds, poll) in enumerate(arrivals, start=10)]
        stored = json.dumps(Checkpoint.start([record(1, -9)], NOW).as_json())
        sent: list[Candidate] = []
        for poll, kill in enumerate([*kills, None]):
            visible = [found for found, first in records if first <= poll] + [record(1, -9)]
            # A page can repeat records, and it can end anywhere before the checkpoint.
            visible += visible[:3]
            shuffle(visible)
            stored = self.poll(visible, stored, kill, sent)
        counts = Counter(ids(sent))
        self.assertEqual(counts, Counter(ids([found for found, _ in records])))
        if in_order:
            self.assertEqual([found.time for found in sent], sorted(found.time for found in sent))

    def poll(self, visible: list[Candidate], stored: str, kill: int | None, sent: list[Candidate]) -> str:
        """Poll until nothing is new, or until the process is killed.

        :param kill: the number of records that are sent before that
        :returns: the stored checkpoint
        """
        left = len(visible) + 1 if kill is None else kill
        while True:
            checkpoint = Checkpoint.parse(json.loads(stored))
            found = [candidate for candidate in visible if candidate.time >= checkpoint.floor]
            decision = decide(found, checkpoint, NOW + 3600 * SECOND)
            for candidate in decision.batch:
                if not left:
                    return stored
                left -= 1
                sent.append(candidate)
                checkpoint = checkpoint.after(candidate, NOW + 3600 * SECOND)
                stored = json.dumps(checkpoint.as_json())
            self.assertEqual(decision.checkpoint, checkpoint.reduced(decision.rest))
            stored = json.dumps(decision.checkpoint.as_json())
            if not decision.rest:
                return stored


if __name__ == "__main__":
    unittest.main()
