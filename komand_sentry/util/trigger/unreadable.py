"""Parts of a list that fail, such as the events of one issue, without which the others go on."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.client import Log
from komand_sentry.util.trigger.failures import MAX_RECORD_FAILURES, MAX_TRANSIENT_FAILURES, explain, failure_limit

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

    def read_or_skip(self, name: str, records: Iterator[T], is_strict: bool = False) -> Iterator[T]:
        """The records of a part, without the rest of them if reading fails. The next poll reads it again.

        :param is_strict: a part is only skipped if it fails in several polls. When the trigger starts, the records of a
            part that was skipped would be taken for new ones later
        :raises PluginException: reading fails for a reason that is not that of the part, or may end soon
        """
        try:
            yield from records
        except Exception as failure:
            limit = failure_limit(failure)
            if limit is None:
                raise
            count = self._add(name)
            polls = 1 if limit == MAX_RECORD_FAILURES and not is_strict else MAX_TRANSIENT_FAILURES
            if count < polls:
                raise
            if (count - polls) % _SKIPS_PER_LOG_LINE == 0:
                problem = f"The {self.kind} {sanitize(name)} cannot be read. {explain(failure)}"
                self.log.warning(f"{problem} Its records are late, and may be missed if it takes more than an hour.")
        else:
            self._counts.pop(name, None)

    def _add(self, name: str) -> int:
        """In how many polls a part failed, this one included."""
        self._counts[name] = self._counts.pop(name, 0) + 1
        if len(self._counts) > _MAX_PARTS:
            del self._counts[next(iter(self._counts))]
        return self._counts.get(name, 1)
