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
from komand_sentry.util.trigger.lists import IssueList, time_of

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
class NewIssues(_IssueOutput):
    """Issues that did not exist when the trigger started."""

    client: SentryClient
    organization: str
    issues: IssueList
    name: ClassVar[str] = "new_issues"
    overlap: ClassVar[int] = OVERLAP
    starts_with_existing: ClassVar[bool] = True
    listed: ClassVar[int] = 0

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """See Source."""
        for row in self.issues.read("new", "firstSeen", checkpoint.floor):
            issue_id = str(row.get("id"))
            number = int(issue_id) if is_issue_number(issue_id) else 0
            yield Candidate(issue_id, time_of(row, "firstSeen"), number, issue_id, NEW)


class _Known(NamedTuple):
    """What the last poll found about an issue.

    :param status: with the substatus
    :param checked: when its activity was read, in seconds of the monotonic clock
    """

    status: tuple[object, object]
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
    starts_with_existing: ClassVar[bool] = False
    listed: int = 0
    _known: OrderedDict[str, _Known] = field(default_factory=OrderedDict, repr=False)

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """See Source. A change is returned once, so the caller must keep it."""
        since = checkpoint.listed - _LIST_OVERLAP
        for row in self.issues.read("date", "lastSeen", since):
            time = time_of(row, "lastSeen")
            if self._may_have_changed(row, has_new_event=time >= since):
                yield from self._changes(str(row.get("id")), checkpoint.floor)
                self._remember(row, self.client.clock.monotonic())
            self.listed = max(self.listed, time)

    def _may_have_changed(self, row: Record, has_new_event: bool) -> bool:
        known = self._known.get(str(row.get("id")))
        if known is None and not has_new_event:
            self._remember(row, self.client.clock.monotonic())
            return False
        if known is None:
            return self._is_relevant(row) or row.get("status") != "unresolved"
        if known.status != _status(row):
            return True
        is_due = self.client.clock.monotonic() - known.checked > _RECHECK_SECONDS
        return has_new_event and is_due and self._is_relevant(row)

    def _is_relevant(self, row: Record) -> bool:
        """Whether the status is one that follows from a change. Sentry before 23 has no substatus."""
        if row.get("status") != "unresolved":
            return False
        substatus = row.get("substatus")
        return not substatus or substatus in self.reasons or "reopened" in self.reasons

    def _changes(self, issue_id: str, since: int) -> Iterator[Candidate]:
        found = self._get_activity(issue_id)
        for activity in found:
            reason = _REASON_OF.get(str(activity.get("type")))
            time = time_of(activity, "dateCreated")
            if reason in self.reasons and time >= since:
                identity = f"{issue_id}:{activity.get('id') or time}"
                yield Candidate(identity, time, 0, issue_id, reason)

    def _get_activity(self, issue_id: str) -> list[Record]:
        try:
            return self.client.issues.activity(issue_id, self.organization)
        except RouteMissing:
            raise
        except NotFound:
            return []

    def _remember(self, row: Record, checked: float) -> None:
        issue_id = str(row.get("id"))
        self._known[issue_id] = _Known(_status(row), checked)
        self._known.move_to_end(issue_id)
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)


def _status(row: Record) -> tuple[object, object]:
    return row.get("status"), row.get("substatus")
