"""What a trigger needs to know about a list of records."""

from collections.abc import Iterator
from typing import ClassVar, Protocol

from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.trigger.checkpoint import Candidate, Checkpoint


class Source(Protocol):
    """A list of records that a trigger watches.

    `name` is the key of its checkpoint in the state. `overlap` is how late a record can become visible, in
    microseconds. `starts_with_existing`: whether the first poll has to record what exists, because the time of a
    record is not the time at which it appeared.
    """

    name: ClassVar[str]
    overlap: ClassVar[int]
    starts_with_existing: ClassVar[bool]

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """The records since the checkpoint, in any order, each at least once.

        :raises PluginException: the list cannot be read. The records that it returned before count
        """

    @property
    def listed(self) -> int:
        """See Checkpoint.listed; 0 if it is not used."""

    def output(self, candidate: Candidate) -> Record | None:
        """The output of the trigger for a record, None if the record no longer exists.

        :raises PluginException: it cannot be read
        """

    def short_output(self, candidate: Candidate, problem: str) -> Record:
        """The output for a record that the server cannot show.

        :param problem: why
        """
