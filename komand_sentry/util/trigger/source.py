"""What the loop of a trigger needs of a list of records, and of the trigger itself."""

from collections.abc import Iterator
from typing import ClassVar, Protocol

from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.trigger.checkpoint import Candidate, Checkpoint


class Source(Protocol):
    """A list of records that a trigger watches.

    `name` is the key of its checkpoint in the state. `overlap` is how late a record can become visible, in
    microseconds, and `start_overlap` the same when the trigger runs for the first time. `is_full`: the last poll read
    the list far back, see Checkpoint.reduced.
    """

    overlap: ClassVar[int]
    start_overlap: ClassVar[int]
    is_full: bool

    @property
    def has_gaps(self) -> bool:
        """Whether parts of the list could not be read by the last poll."""

    @property
    def name(self) -> str:
        """The key of the checkpoint."""

    def existing(self, checkpoint: Checkpoint, now: int) -> Iterator[Candidate]:
        """The records that exist when the trigger runs for the first time, as far as they could be taken for new ones.

        :param now: the time of the server. It is later than the checkpoint's if there is a lookback
        :raises PluginException: the list cannot be read
        """

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """The records since the checkpoint, in any order, each at least once.

        :raises PluginException: the list cannot be read. The records that it returned before count
        """

    def forget(self) -> None:
        """Drop what earlier polls read, so that the next one reads it again."""

    def output(self, candidate: Candidate) -> Record | None:
        """The output of the trigger for a record, None if the record does not exist.

        :raises PluginException: it cannot be read
        """

    def short_output(self, candidate: Candidate, problem: str) -> Record:
        """The output for a record that cannot be sent with its details.

        :param problem: why
        """


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
