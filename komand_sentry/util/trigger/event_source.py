"""The events that the trigger New Event sends."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from komand_sentry.util.errors.exceptions import NotFound, RouteMissing
from komand_sentry.util.sentry.client import SentryClient
from komand_sentry.util.sentry.event_details import event_details
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.sentry.pagination import PageRange, RecordList
from komand_sentry.util.sentry.summary import summarize
from komand_sentry.util.trigger.checkpoint import OVERLAP, Candidate, Checkpoint
from komand_sentry.util.trigger.lists import IssueList, read_since, time_of

# The counts of an issue can be visible before its event. After this time without a change, they no longer are.
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
    name: ClassVar[str] = "new_events"
    overlap: ClassVar[int] = OVERLAP
    starts_with_existing: ClassVar[bool] = True
    listed: ClassVar[int] = 0
    # When the events of an issue with this time and count were read first, in seconds of the monotonic clock.
    _read_at: OrderedDict[tuple[str, ...], float] = field(default_factory=OrderedDict, repr=False)

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """See Source."""
        if self.issue_id:
            yield from self._read_issue(self.issue_id, checkpoint.floor)
            return
        for row in self.issues.read("date", "lastSeen", checkpoint.floor):
            if time_of(row, "lastSeen") < checkpoint.floor or self._is_settled(row):
                continue
            try:
                yield from self._read_issue(str(row.get("id")), checkpoint.floor)
            except RouteMissing:
                raise
            except NotFound:
                continue
            self._remember(row)

    def _is_settled(self, row: Record) -> bool:
        """Whether all events of an issue were read. It saves a request for each issue without new events."""
        now = self.client.clock.monotonic()
        return now - self._read_at.get(_version(row), now) > _SETTLE_SECONDS

    def _remember(self, row: Record) -> None:
        self._read_at.setdefault(_version(row), self.client.clock.monotonic())
        if len(self._read_at) > _MAX_KNOWN:
            self._read_at.popitem(last=False)

    def _read_issue(self, issue_id: str, since: int) -> Iterator[Candidate]:
        def fetch(page_range: PageRange) -> RecordList:
            return self.client.events.list_for_issue(
                issue_id, self.organization, self.environment, full=False, page_range=page_range
            )

        for event in read_since(fetch, "dateCreated", since, f"the events of issue {issue_id}"):
            group_id = str(event.get("groupID") or issue_id)
            yield Candidate(str(event.get("eventID")), time_of(event, "dateCreated"), 0, group_id, "event")

    def output(self, candidate: Candidate) -> Record | None:
        """See Source."""
        try:
            found = self.client.events.get(candidate.issue_id, self.organization, candidate.id)
        except RouteMissing:
            raise
        except NotFound:
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
            "summary": f"**Event {candidate.id}**\n\nSentry cannot show this event: {problem}",
        }


def _version(row: Record) -> tuple[str, ...]:
    return str(row.get("id")), str(row.get("lastSeen")), str(row.get("count"))
