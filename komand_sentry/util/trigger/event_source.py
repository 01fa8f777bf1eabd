"""The events that the trigger New Event sends."""

from collections import OrderedDict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from komand_sentry.util.errors.exceptions import NotFound, RouteMissing
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.sentry.client import SentryClient
from komand_sentry.util.sentry.event_details import event_details
from komand_sentry.util.sentry.events import EVENTS
from komand_sentry.util.sentry.normalize import Record, record_id
from komand_sentry.util.sentry.pagination import PageRange, RecordList
from komand_sentry.util.sentry.summary import summarize
from komand_sentry.util.trigger.checkpoint import OVERLAP, Candidate, Checkpoint
from komand_sentry.util.trigger.lists import BY_LAST_SEEN, IssueList, none_if_missing, read_since, time_of
from komand_sentry.util.trigger.unreadable import Unreadable

# An issue can be listed with its new time and count before the event is visible. After this time, it is.
_SETTLE_SECONDS = 300.0
_MAX_KNOWN = 20_000


@dataclass
class NewEvents:
    """Events of an issue, or of the issues of a list.

    :param issue_id: a number, a permalink or a short ID; "" for those of `issues`
    :param environment: "" for all
    """

    client: SentryClient
    organization: str
    issue_id: str
    issues: IssueList
    environment: str = ""
    overlap: ClassVar[int] = OVERLAP
    start_overlap: ClassVar[int] = OVERLAP
    is_full: bool = False
    # When the events of an issue with this time and count were read first and last, by the monotonic clock.
    _reads: OrderedDict[tuple[str, ...], tuple[float, float]] = field(default_factory=OrderedDict, repr=False)
    _unreadable: Unreadable = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._unreadable = Unreadable("issue", self.client.logger)

    @property
    def name(self) -> str:
        """See Source."""
        return "new_events"

    @property
    def has_gaps(self) -> bool:
        """See Source."""
        return bool(self._unreadable.names) or self.issues.has_gaps

    def existing(self, checkpoint: Checkpoint, now: int) -> Iterator[Candidate]:  # noqa: ARG002 - see Source
        """See Source."""
        return self._read(checkpoint, is_strict=True)

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """See Source."""
        return self._read(checkpoint, is_strict=False)

    def _read(self, checkpoint: Checkpoint, is_strict: bool) -> Iterator[Candidate]:
        since = checkpoint.since(self.overlap)
        if self.issue_id:
            yield from self._read_issue(self.issue_id, since)
            return
        for row in self.issues.read(BY_LAST_SEEN, since, is_strict=is_strict):
            if time_of(row, "lastSeen") >= since and not self._is_settled(row):
                events = self._read_row(row, since)
                yield from self._unreadable.read_or_skip(str(row.get("id")), events, is_strict)

    def forget(self) -> None:
        """See Source."""
        self._reads.clear()

    def _is_settled(self, row: Record) -> bool:
        """Whether all events of an issue were read. It saves a request for each issue without new events."""
        first, last = self._reads.get(_version(row), (0.0, 0.0))
        return last - first > _SETTLE_SECONDS

    def _read_row(self, row: Record, since: int) -> Iterator[Candidate]:
        started = self.client.clock.monotonic()
        try:
            is_complete = yield from self._read_issue(str(row.get("id")), since)
        except RouteMissing:
            raise
        except NotFound:
            return
        if is_complete:
            version = _version(row)
            self._reads[version] = (self._reads.get(version, (started, 0.0))[0], started)
            if len(self._reads) > _MAX_KNOWN:
                self._reads.popitem(last=False)

    def _read_issue(self, issue_id: str, since: int) -> Generator[Candidate, None, bool]:
        """The events of an issue.

        :returns: whether the list was complete. If many events have the same time, reading it again finds the others
        """
        is_complete = True

        def fetch(page_range: PageRange) -> RecordList:
            nonlocal is_complete
            events = self.client.events.list_for_issue(
                issue_id, self.organization, self.environment, full=False, page_range=page_range
            )
            is_complete = is_complete and events.warning is None
            return events

        for event in read_since(fetch, "dateCreated", since, 0, f"the events of issue {sanitize(issue_id)}"):
            if event_id := record_id(event, EVENTS.id_key):
                group_id = str(event.get("groupID") or issue_id)
                yield Candidate(event_id, time_of(event, "dateCreated"), 0, group_id, "event")
        return is_complete

    def output(self, candidate: Candidate) -> Record | None:
        """See Source."""
        found = none_if_missing(lambda: self.client.events.get(candidate.issue_id, self.organization, candidate.id))
        if found is None:
            return None
        return {
            "event": found.event,
            "issue_id": found.issue_id or None,
            "details": event_details(found.event, found.permalink),
            "summary": summarize(found.issue, found.event),
        }

    def short_output(self, candidate: Candidate, problem: str) -> Record:
        """See Source."""
        return {
            "event": {"eventID": candidate.id, "groupID": candidate.issue_id},
            "issue_id": candidate.issue_id,
            "details": {},
            "summary": f"**Event {candidate.id}**\n\nThe details of this event are missing: {problem}",
        }


def _version(row: Record) -> tuple[str, ...]:
    return str(row.get("id")), str(row.get("lastSeen")), str(row.get("count"))
