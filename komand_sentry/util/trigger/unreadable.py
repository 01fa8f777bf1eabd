"""Parts of a list that fail, such as the events of one issue, without which the others go on."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.client import Log
from komand_sentry.util.trigger.failures import MAX_RECORD_FAILURES, explain, failure_limit

T = TypeVar("T")

# How often a part that is skipped is logged, in polls.
_SKIPS_PER_LOG_LINE = 60
_MAX_PARTS = 1_000


@dataclass
class Unreadable:
    """The parts of a list that fail, by their names, and in how many polls they failed.

    :param kind: of the parts, such as `issue`
    """

    kind: str
    log: Log
    _counts: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> Collection[str]:
        """The parts that failed when they were read last."""
        return tuple(self._counts)

    def read_or_skip(self, name: str, records: Iterator[T]) -> Iterator[T]:
        """The records of a part, without the rest of them if reading fails. The next poll reads it again.

        :raises PluginException: reading fails for a reason that is not that of the part
        """
        try:
            yield from records
        except Exception as failure:
            if failure_limit(failure) != MAX_RECORD_FAILURES or len(self._counts) >= _MAX_PARTS:
                raise
            count = self._counts.get(name, 0)
            self._counts[name] = count + 1
            if count % _SKIPS_PER_LOG_LINE == 0:
                problem = f"The {self.kind} {sanitize(name)} cannot be read. {explain(failure)}"
                self.log.warning(f"{problem} Its records are late, and may be missed if it takes more than an hour.")
        else:
            self._counts.pop(name, None)
