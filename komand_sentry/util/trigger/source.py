"""What a trigger needs to know about a list of records."""

from collections.abc import Iterator
from typing import ClassVar, Protocol

from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.trigger.checkpoint import Candidate, Checkpoint


class Source(Protocol):
    """A list of records that a trigger watches.

    `name` is the key of its checkpoint in the state. `overlap` is how late a record can become visible, in
    microseconds, and `start_overlap` the same when the trigger runs for the first time. `stores_listed`: the source
    needs Checkpoint.listed, which changes with each poll.
    """

    name: ClassVar[str]
    overlap: ClassVar[int]
    start_overlap: ClassVar[int]
    stores_listed: ClassVar[bool]

    def existing(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """The records that exist when the trigger runs for the first time, as far as they could be taken for new ones.

        :raises PluginException: the list cannot be read
        """

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """The records since the checkpoint, in any order, each at least once.

        :raises PluginException: the list cannot be read. The records that it returned before count
        """

    def forget(self) -> None:
        """Return all records again at the next poll, also those that the last one returned."""

    def output(self, candidate: Candidate) -> Record | None:
        """The output of the trigger for a record, None if the record does not exist.

        :raises PluginException: it cannot be read
        """

    def short_output(self, candidate: Candidate, problem: str) -> Record:
        """The output for a record that cannot be sent with its details.

        :param problem: why
        """
