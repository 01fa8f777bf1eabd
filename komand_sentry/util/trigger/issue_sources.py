"""The issues that the trigger New Issue sends: new ones, and those whose status changed later."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from komand_sentry.util.errors.exceptions import NotFound, RouteMissing
from komand_sentry.util.sentry.client import SentryClient
from komand_sentry.util.sentry.issue_reference import is_issue_number
from komand_sentry.util.sentry.issues import IssueWithEvent
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.sentry.summary import summarize
from komand_sentry.util.trigger.checkpoint import OVERLAP, SECOND, Candidate, Checkpoint
from komand_sentry.util.trigger.failures import UnreadableIssues
from komand_sentry.util.trigger.lists import BY_FIRST_SEEN, BY_LAST_SEEN, NEVER, IssueList, time_of

NEW = "new"
# The types of activities that change the status of an issue, by the names of their effect.
CHANGES = {"regressed": "set_regression", "escalating": "set_escalating", "reopened": "set_unresolved"}
REASONS = (NEW, *CHANGES)
_REASON_OF = {activity: reason for reason, activity in CHANGES.items()}

# How late a change of the status can be noticed.
_CHANGE_OVERLAP = 30 * 24 * 3600 * SECOND
# How late the time of an issue's latest event can become visible.
_LIST_OVERLAP = 600 * SECOND
# An issue that stays regressed could have been resolved and have regressed again between two polls.
_RECHECK_SECONDS = 600.0
# How often a poll reads more than the latest issues, for those whose time is older, and how many.
_DEEP_SECONDS = 3600.0
_DEEP_RECORDS = 1_000
# How many of the latest issues a poll compares in any case.
_COMPARED_RECORDS = 100
_MAX_KNOWN = 20_000


class _IssueOutput:
    """The output of the trigger for an issue."""

    client: SentryClient
    organization: str

    def output(self, candidate: Candidate) -> Record | None:
        """See Source."""
        found = self._get(candidate.issue_id)
        # The ID of a merged issue is that of the remaining one from then on.
        if found is None or str(found.issue.get("id")) != candidate.issue_id:
            return None
        return {
            "issue": found.issue,
            "reason": candidate.reason,
            "summary": summarize(found.issue, found.latest_event),
        }

    def short_output(self, candidate: Candidate, problem: str) -> Record:
        """See Source."""
        summary = f"**Issue {candidate.issue_id}**\n\nSentry cannot show this issue: {problem}"
        return {"issue": {"id": candidate.issue_id}, "reason": candidate.reason, "summary": summary}

    def _get(self, issue_id: str) -> IssueWithEvent | None:
        try:
            return self.client.issues.get(issue_id, self.organization)
        except RouteMissing:
            raise
        except NotFound:
            return None


@dataclass
class _Timer:
    """Says when something is due again.

    :param seconds: between two times
    """

    seconds: float
    _last: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether it is due, which starts the next period. Not at first, when nothing is older than the start."""
        if self._last is None:
            self._last = now
        if now - self._last < self.seconds:
            return False
        self._last = now
        return True


@dataclass
class NewIssues(_IssueOutput):
    """Issues that did not exist when the trigger started."""

    client: SentryClient
    organization: str
    issues: IssueList
    name: ClassVar[str] = "new_issues"
    overlap: ClassVar[int] = OVERLAP
    start_overlap: ClassVar[int] = OVERLAP
    stores_listed: ClassVar[bool] = False
    _deep: _Timer = field(default_factory=lambda: _Timer(_DEEP_SECONDS), repr=False)

    def existing(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """See Source. An issue that exists, but does not match the query yet, is not new when it does."""
        if self.issues.is_filtered:
            yield from map(_new_issue, self.issues.unfiltered().read(BY_FIRST_SEEN, NEVER))
        yield from self.read(checkpoint)

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """See Source."""
        if self._deep.is_due(self.client.clock.monotonic()):
            # Sentry takes the time of an issue from its first event, which an application can send days later.
            yield from map(_new_issue, self.issues.read(BY_FIRST_SEEN, checkpoint.floor, _DEEP_RECORDS))
        if not self.issues.is_filtered:
            yield from map(_new_issue, self.issues.read(BY_FIRST_SEEN, checkpoint.floor))
            return
        # With a query or an environment, Sentry sorts by the first event that matches, which is not `firstSeen`. A new
        # issue cannot be behind one whose last event is too old.
        yield from map(_new_issue, self.issues.read(BY_LAST_SEEN, checkpoint.floor))

    def forget(self) -> None:
        """See Source. It remembers nothing."""


def _new_issue(row: Record) -> Candidate:
    issue_id = str(row.get("id"))
    number = int(issue_id) if is_issue_number(issue_id) else 0
    return Candidate(issue_id, time_of(row, "firstSeen"), number, issue_id, NEW)


class _Known(NamedTuple):
    """What the last poll found about an issue.

    :param status: with the substatus
    :param checked: when it was remembered, in seconds of the monotonic clock
    """

    status: tuple[object, object]
    last_seen: object
    checked: float


@dataclass
class ChangedIssues(_IssueOutput):
    """Issues that regressed, escalated or were reopened, by their activity, which has the time of each change.

    No list of Sentry is ordered by it. So a poll reads the issues with new events, and those whose status differs from
    that of the last poll, and then the activity of each that could have changed.

    :param reasons: of CHANGES
    """

    client: SentryClient
    organization: str
    issues: IssueList
    reasons: tuple[str, ...]
    name: ClassVar[str] = "changed_issues"
    overlap: ClassVar[int] = _CHANGE_OVERLAP
    # A change has its own time, so nothing that happened before the start could be taken for a new one.
    start_overlap: ClassVar[int] = 0
    stores_listed: ClassVar[bool] = True
    _known: OrderedDict[str, _Known] = field(default_factory=OrderedDict, repr=False)
    _unreadable: UnreadableIssues = field(init=False, repr=False)
    _deep: _Timer = field(default_factory=lambda: _Timer(_RECHECK_SECONDS), repr=False)

    def __post_init__(self) -> None:
        self._unreadable = UnreadableIssues(self.client.logger)

    def existing(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """See Source. Remembers the status of issues without new events, to notice that it changes."""
        for row in self.issues.read(BY_LAST_SEEN, NEVER, _DEEP_RECORDS if self._notices_status else 0):
            if time_of(row, "lastSeen") < checkpoint.listed - _LIST_OVERLAP:
                self._remember(row)
        yield from ()

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """See Source. A change is returned once, so the caller must keep it."""
        since = checkpoint.listed - _LIST_OVERLAP
        is_deep = self._notices_status and self._deep.is_due(self.client.clock.monotonic())
        for row in self.issues.read(BY_LAST_SEEN, since, _DEEP_RECORDS if is_deep else _COMPARED_RECORDS):
            if self._may_have_changed(row, has_new_event=time_of(row, "lastSeen") >= since):
                yield from self._unreadable.skip(str(row.get("id")), self._changes(row))
            elif str(row.get("id")) not in self._known:
                self._remember(row)

    def forget(self) -> None:
        """See Source."""
        self._known.clear()

    @property
    def _notices_status(self) -> bool:
        """Whether changes matter that come without a new event."""
        return "reopened" in self.reasons

    def _may_have_changed(self, row: Record, has_new_event: bool) -> bool:
        known = self._known.get(str(row.get("id")))
        if known is None:
            # After a restart, this includes what was reopened meanwhile.
            if not has_new_event:
                return self._notices_status and not _is_closed(row)
            return self._is_relevant(row) or _is_closed(row)
        if known.status != _status(row):
            return True
        # With a new event, a resolved issue has regressed, and was resolved again since.
        has_regressed = row.get("status") == "resolved" and known.last_seen != row.get("lastSeen")
        is_due = self.client.clock.monotonic() - known.checked > _RECHECK_SECONDS
        return has_regressed or (has_new_event and is_due and (self._is_relevant(row) or _is_closed(row)))

    def _is_relevant(self, row: Record) -> bool:
        """Whether the status is one that follows from a change. Sentry before 23 has no substatus."""
        if _is_closed(row):
            return False
        substatus = row.get("substatus")
        return not substatus or substatus in self.reasons or "reopened" in self.reasons

    def _changes(self, row: Record) -> Iterator[Candidate]:
        issue_id = str(row.get("id"))
        for activity in self._get_activity(issue_id):
            reason = _REASON_OF.get(str(activity.get("type")))
            time = time_of(activity, "dateCreated")
            if reason in self.reasons:
                # An activity keeps its ID if its issue is merged into another one.
                yield Candidate(str(activity.get("id") or f"{issue_id}:{time}"), time, 0, issue_id, reason)
        self._remember(row)

    def _get_activity(self, issue_id: str) -> list[Record]:
        try:
            return self.client.issues.activity(issue_id, self.organization)
        except RouteMissing:
            raise
        except NotFound:
            return []

    def _remember(self, row: Record) -> None:
        issue_id = str(row.get("id"))
        self._known[issue_id] = _Known(_status(row), row.get("lastSeen"), self.client.clock.monotonic())
        self._known.move_to_end(issue_id)
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)


def _is_closed(row: Record) -> bool:
    """Whether an issue is resolved or archived."""
    return row.get("status") != "unresolved"


def _status(row: Record) -> tuple[object, object]:
    return row.get("status"), row.get("substatus")
