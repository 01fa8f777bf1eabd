"""The new records that a trigger found and has not sent yet, in memory."""

from collections.abc import Collection
from dataclasses import dataclass, field

from komand_sentry.util.trigger.checkpoint import Candidate, Checkpoint

# Bounds the memory: of twice as many records, the oldest are kept. A later poll reads the rest.
MAX_RECORDS = 20_000


@dataclass
class Backlog:
    """Keeps the new records of a poll, and those of earlier polls that failed before they were sent."""

    _waiting: dict[str, Candidate] = field(default_factory=dict, repr=False)
    _checkpoint: Checkpoint | None = None
    _cut: tuple[int, str] | None = None

    @property
    def candidates(self) -> Collection[Candidate]:
        """The records, in any order."""
        return self._waiting.values()

    @property
    def is_cut(self) -> bool:
        """Whether there were more records than are kept."""
        return self._cut is not None

    def open(self, checkpoint: Checkpoint) -> None:
        """Start a poll."""
        self._checkpoint, self._cut = checkpoint, None
        self._waiting = {key: candidate for key, candidate in self._waiting.items() if checkpoint.is_new(candidate)}

    def add(self, candidate: Candidate) -> None:
        """Add a record that a poll found, if it is new and not later than the first one that was cut."""
        if self._checkpoint is None or not self._checkpoint.is_new(candidate):
            return
        if self._cut is None or _key(candidate) < self._cut:
            self._waiting[candidate.id] = candidate
        if len(self._waiting) > 2 * MAX_RECORDS:
            ordered = sorted(self._waiting.values(), key=_key)
            self._cut = _key(ordered[MAX_RECORDS])
            self._waiting = {kept.id: kept for kept in ordered[:MAX_RECORDS]}

    def remove(self, candidate: Candidate) -> None:
        """Remove a record that was sent."""
        del self._waiting[candidate.id]


def _key(candidate: Candidate) -> tuple[int, str]:
    return candidate.time, candidate.id
