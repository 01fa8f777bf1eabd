"""What a trigger remembers of the records of a list, and which records it sends next. Without I/O.

Sentry's lists are not logs. A record becomes visible some time after its own time, records can have the same time, and
a page can repeat records. So a poll reads a part of the list again, and the IDs of the records that were sent since
`floor` are remembered. Only the clock of the server counts.

Times are integers, in microseconds since 1970.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

SECOND = 1_000_000
# How late a record can become visible without being missed, if there are not more than MAX_SEEN records in this time.
OVERLAP = 3600 * SECOND
# Bounds the state, and how many known records a poll reads again. Sentry SaaS allows five requests for details per
# second, so sending that many records takes at least a quarter of an hour.
MAX_SEEN = 5_000
# Records that are sent before the state is reduced to MAX_SEEN again.
MAX_BATCH = 1_000
_NUMBERS = ("latest", "floor", "known_number", "scanned_number", "sent_number", "polled")


class Candidate(NamedTuple):
    """A record that a poll found.

    :param time: of the record, in the time of the server
    :param number: increases with each new record of the server; 0 if unknown
    :param issue_id: the number of its issue
    :param reason: why it is sent, such as `new`
    """

    id: str
    time: int
    number: int = 0
    issue_id: str = ""
    reason: str = ""


class InvalidState(Exception):
    """A stored checkpoint is damaged, or from another version."""


@dataclass(frozen=True)
class Checkpoint:
    """The progress of a trigger in one list.

    :param latest: the time of the latest record that was sent, at most the time of the server
    :param floor: the records since this time are new unless they are in `seen`
    :param seen: the times of the records since `floor` by ID. Never changed in place
    :param known_number: a record with a higher number is new unless it is in `seen`, whatever its time is: Sentry takes
        the time of an issue from its first event, which an application can send days later
    :param scanned_number: what `known_number` becomes when the list is next read far back. A record with a lower number
        can be invisible the first time
    :param sent_number: the highest number of a record that was sent
    :param polled: the time of the server at the last complete poll
    """

    latest: int
    floor: int
    seen: dict[str, int] = field(default_factory=dict)
    known_number: int = 0
    scanned_number: int = 0
    sent_number: int = 0
    polled: int = 0

    @classmethod
    def start(cls, existing: Iterable[Candidate], now: int, lookback: int = 0, overlap: int = OVERLAP) -> "Checkpoint":
        """The checkpoint of a trigger that runs for the first time.

        :param existing: the records that exist, as far as the list was read
        :param now: the time of the server
        :param lookback: records of this time before now are sent, although they exist
        """
        start = now - lookback
        known = [candidate for candidate in existing if not lookback or candidate.time < start]
        seen = {candidate.id: candidate.time for candidate in known}
        number = max((candidate.number for candidate in known), default=0)
        return cls(start, start - overlap, seen, number, number, number, start).reduced((), overlap)

    def since(self, overlap: int) -> int:
        """The time from which on a poll reads the list again."""
        return max(self.floor, self.polled - overlap)

    def is_new(self, candidate: Candidate) -> bool:
        """Whether a record was neither sent nor there before the trigger started."""
        if candidate.id in self.seen:
            return False
        return candidate.time >= self.floor or candidate.number > self.known_number

    def after(self, candidate: Candidate, now: int) -> "Checkpoint":
        """The checkpoint after a record was sent.

        :param now: the time of the server
        """
        return replace(
            self,
            latest=max(self.latest, min(candidate.time, now)),
            seen={**self.seen, candidate.id: candidate.time},
            sent_number=max(self.sent_number, candidate.number),
        )

    def reduced(self, rest: Sequence[Candidate], overlap: int = OVERLAP, is_full: bool = False) -> "Checkpoint":
        """The checkpoint after all records of a batch were sent, without what is no longer necessary.

        :param rest: the new records that were not sent yet. They stay new
        :param is_full: the list was read far back, so records with lower numbers that were not found are not new
        """
        waiting = [candidate.time for candidate in rest if candidate.time >= self.floor]
        if len(waiting) < len(rest):
            # Some of the rest are new because of their number only, so `known_number` must not pass them.
            return self
        # A record from the future must not hide those until then.
        latest = sorted((min(time, self.latest) for time in self.seen.values()), reverse=True)[:MAX_SEEN]
        floor = max(self.latest - overlap, latest[-1] if len(latest) == MAX_SEEN else self.floor)
        floor = max(self.floor, min([floor, *waiting]))
        known, scanned = self.known_number, self.scanned_number
        if is_full and not rest:
            known, scanned = max(known, scanned), self.sent_number
        if len(self.seen) > 2 * MAX_SEEN:
            known = self.sent_number
        seen = {key: time for key, time in self.seen.items() if time >= floor or self._number_of(key) > known}
        return replace(self, floor=floor, seen=seen, known_number=known, scanned_number=scanned)

    def _number_of(self, key: str) -> int:
        """The number of a record, which is its ID if the records of the list have numbers."""
        return int(key) if self.sent_number and key.isdecimal() else 0

    def as_json(self) -> dict[str, Any]:
        """The checkpoint as a JSON object."""
        return {name: getattr(self, name) for name in (*_NUMBERS, "seen")}

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Parse what `as_json` returned.

        :raises InvalidState: it is not that
        """
        if not isinstance(value, dict) or not all(_is_number(value.get(name)) for name in _NUMBERS):
            raise InvalidState("a checkpoint is incomplete")
        seen = value.get("seen")
        if not isinstance(seen, dict) or not all(map(_is_number, seen.values())):
            raise InvalidState("the seen records are incomplete")
        return cls(seen=seen, **{name: value[name] for name in _NUMBERS})


class Decision(NamedTuple):
    """What a trigger does next.

    :param batch: the records to send, in this order: oldest first
    :param rest: the new records after these
    :param checkpoint: after all records of the batch were sent
    """

    batch: tuple[Candidate, ...]
    rest: tuple[Candidate, ...]
    checkpoint: Checkpoint


def decide(
    candidates: Iterable[Candidate], checkpoint: Checkpoint, now: int, overlap: int = OVERLAP, is_full: bool = False
) -> Decision:
    """Decide which records to send.

    :param candidates: what a poll found, in any order, with repeats
    :param now: the time of the server
    :param is_full: see Checkpoint.reduced
    """
    new = {candidate.id: candidate for candidate in candidates if checkpoint.is_new(candidate)}
    ordered = sorted(new.values(), key=lambda candidate: (candidate.time, candidate.number, candidate.id))
    batch, rest = tuple(ordered[:MAX_BATCH]), tuple(ordered[MAX_BATCH:])
    after = checkpoint
    for candidate in batch:
        after = after.after(candidate, now)
    return Decision(batch, rest, after.reduced(rest, overlap, is_full))


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
