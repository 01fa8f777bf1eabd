"""The issues that the trigger New Issue sends: new ones, and those whose status changed later."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import ClassVar, NamedTuple

from komand_sentry.util.sentry.client import SentryClient
from komand_sentry.util.sentry.issue_reference import is_issue_number
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.sentry.summary import summarize
from komand_sentry.util.trigger.checkpoint import OVERLAP, SECOND, Candidate, Checkpoint
from komand_sentry.util.trigger.lists import (
    BY_FIRST_SEEN,
    BY_LAST_SEEN,
    NEVER,
    IssueList,
    none_if_missing,
    time_of,
)
from komand_sentry.util.trigger.unreadable import Unreadable

NEW = "new"
# The types of activities that change the status of an issue, by the names of their effect.
CHANGES = {"regressed": "set_regression", "escalating": "set_escalating", "reopened": "set_unresolved"}
REASONS = (NEW, *CHANGES)
_REASON_OF = {activity: reason for reason, activity in CHANGES.items()}

# How late a change of the status can be noticed.
_CHANGE_OVERLAP = 30 * 24 * 3600 * SECOND
# How late the time of an issue's latest event can become visible. Issues are also read far back from time to time.
_LAST_SEEN_OVERLAP = 600 * SECOND
# How often a poll reads issues far back, and how many.
_NEW_SCAN_SECONDS = 3600.0
_STATUS_SCAN_SECONDS = 600.0
_SCAN_RECORDS = 1_000
# The issues of the first page are compared in each poll.
_PAGE = 100
# An issue that stays regressed could have been resolved and have regressed again between two polls.
_RECHECK_SECONDS = 600.0
# So many issues are checked again in one poll, those that were checked first before the others.
_MAX_RECHECKS = 50
# A restart must not put off the first scan for long.
_FIRST_SCAN_SECONDS = 300.0
_MAX_KNOWN = 20_000


class _IssueOutput:
    """The output of the trigger for an issue."""

    client: SentryClient
    organization: str

    def output(self, candidate: Candidate) -> Record | None:
        """See Source."""
        found = none_if_missing(lambda: self.client.issues.get(candidate.issue_id, self.organization))
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
        summary = f"**Issue {candidate.issue_id}**\n\nThe details of this issue are missing: {problem}"
        return {"issue": {"id": candidate.issue_id}, "reason": candidate.reason, "summary": summary}


@dataclass
class _Timer:
    """Says when something is due: _FIRST_SCAN_SECONDS after the first call, and then periodically.

    :param seconds: of a period
    """

    seconds: float
    _due: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether a period is over."""
        if self._due is None:
            self._due = now + min(self.seconds, _FIRST_SCAN_SECONDS)
        return now >= self._due

    def restart(self, now: float) -> None:
        """Start the next period."""
        self._due = now + self.seconds

    def expire(self) -> None:
        """End the period."""
        self._due = 0.0


@dataclass
class NewIssues(_IssueOutput):
    """Issues that did not exist when the trigger started."""

    client: SentryClient
    organization: str
    issues: IssueList
    overlap: ClassVar[int] = OVERLAP
    start_overlap: ClassVar[int] = OVERLAP
    is_full: bool = False
    _scan: _Timer = field(default_factory=lambda: _Timer(_NEW_SCAN_SECONDS), repr=False)

    @property
    def name(self) -> str:
        """See Source."""
        return "new_issues"

    @property
    def has_gaps(self) -> bool:
        """See Source."""
        return self.issues.has_gaps

    def existing(self, checkpoint: Checkpoint, now: int) -> Iterator[Candidate]:  # noqa: ARG002 - see Source
        """See Source. An issue that exists, but does not match the query yet, is not new when it does."""
        issues, since = self.issues.unfiltered(), checkpoint.floor
        yield from map(_new_issue, issues.read(BY_FIRST_SEEN, since, _SCAN_RECORDS, is_strict=True))
        if self.issues.is_filtered:
            # With an environment, `firstSeen` is that of the environment.
            yield from map(_new_issue, self.issues.read(BY_LAST_SEEN, since, is_strict=True))

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """See Source."""
        now = self.client.clock.monotonic()
        self.is_full = False
        if self._scan.is_due(now):
            # Sentry takes the time of an issue from its first event, which an application can send days later.
            yield from map(_new_issue, self.issues.read(BY_FIRST_SEEN, checkpoint.floor, _SCAN_RECORDS))
            self._scan.restart(now)
            self.is_full = not self.has_gaps
        elif not self.issues.is_filtered:
            yield from map(_new_issue, self.issues.read(BY_FIRST_SEEN, checkpoint.since(self.overlap)))
        if self.issues.is_filtered:
            # With a query or an environment, Sentry sorts by the first event that matches, which is not `firstSeen`. A
            # new issue cannot be behind one whose last event is too old.
            yield from map(_new_issue, self.issues.read(BY_LAST_SEEN, checkpoint.since(_LAST_SEEN_OVERLAP)))

    def forget(self) -> None:
        """See Source."""
        self._scan.expire()


def _new_issue(row: Record) -> Candidate:
    issue_id = str(row.get("id"))
    number = int(issue_id) if is_issue_number(issue_id) else 0
    return Candidate(issue_id, time_of(row, "firstSeen"), number, issue_id, NEW)


class _Known(NamedTuple):
    """What an earlier poll found about an issue.

    :param status: with the substatus
    :param checked: when the activity was read, in seconds of the monotonic clock
    """

    status: tuple[object, object]
    last_seen: object
    checked: float


@dataclass
class ChangedIssues(_IssueOutput):
    """Issues that regressed, escalated or were reopened, by their activity, which has the time of each change.

    No list of Sentry is ordered by it. So a poll reads the issues with new events, and those whose status differs from
    that of an earlier poll, and then the activity of each that could have changed.

    :param reasons: of CHANGES
    """

    client: SentryClient
    organization: str
    issues: IssueList
    reasons: tuple[str, ...]
    overlap: ClassVar[int] = _CHANGE_OVERLAP
    # A change has its own time, so nothing that happened before the start could be taken for a new one.
    start_overlap: ClassVar[int] = 0
    is_full: bool = False
    _known: OrderedDict[str, _Known] = field(default_factory=OrderedDict, repr=False)
    _unreadable: Unreadable = field(init=False, repr=False)
    _scan: _Timer = field(default_factory=lambda: _Timer(_STATUS_SCAN_SECONDS), repr=False)

    def __post_init__(self) -> None:
        self._unreadable = Unreadable("issue", self.client.logger)

    @property
    def name(self) -> str:
        """See Source. With other reasons, the list starts from then."""
        return f"changed_issues: {', '.join(sorted(self.reasons))}"

    @property
    def has_gaps(self) -> bool:
        """See Source."""
        return bool(self._unreadable.names) or self.issues.has_gaps

    def existing(self, checkpoint: Checkpoint, now: int) -> Iterator[Candidate]:
        """See Source. Remembers the status of issues, to notice that it changes."""
        # With a lookback, issues with events since then can have changed since then.
        until = checkpoint.polled if checkpoint.polled < now else NEVER
        since = checkpoint.polled - _LAST_SEEN_OVERLAP
        for row in self.issues.read(BY_LAST_SEEN, since, _SCAN_RECORDS if self._notices_status else _PAGE):
            if time_of(row, "lastSeen") < until:
                self._remember(row)
        yield from ()

    def read(self, checkpoint: Checkpoint) -> Iterator[Candidate]:
        """See Source. A change is returned once, so the caller must keep it."""
        rechecks: list[tuple[float, str, Record]] = []
        since, unread = checkpoint.polled - _LAST_SEEN_OVERLAP, set(self._unreadable.names)
        for place, row in enumerate(self._rows(since)):
            issue_id = str(row.get("id"))
            has_new_event = time_of(row, "lastSeen") >= since
            if issue_id in unread or self._may_have_changed(row, has_new_event, is_first_page=place < _PAGE):
                unread.discard(issue_id)
                yield from self._unreadable.read_or_skip(issue_id, self._changes(issue_id, row))
            elif issue_id not in self._known:
                self._remember(row)
            elif has_new_event and self._is_recheck_due(row):
                rechecks.append((self._known[issue_id].checked, issue_id, row))
        for _, issue_id, row in sorted(rechecks, key=itemgetter(0))[:_MAX_RECHECKS]:
            yield from self._unreadable.read_or_skip(issue_id, self._changes(issue_id, row))
        for issue_id in unread:
            yield from self._unreadable.read_or_skip(issue_id, self._changes(issue_id, None))

    def forget(self) -> None:
        """See Source."""
        self._known.clear()

    @property
    def _notices_status(self) -> bool:
        """Whether changes matter that come without a new event."""
        return "reopened" in self.reasons

    def _rows(self, since: int) -> Iterator[Record]:
        now = self.client.clock.monotonic()
        is_scan = self._notices_status and self._scan.is_due(now)
        yield from self.issues.read(BY_LAST_SEEN, since, _SCAN_RECORDS if is_scan else _PAGE)
        if is_scan:
            self._scan.restart(now)

    def _may_have_changed(self, row: Record, has_new_event: bool, is_first_page: bool) -> bool:
        known = self._known.get(str(row.get("id")))
        if known is None:
            # After a restart, an issue could have been reopened meanwhile.
            return has_new_event or (self._notices_status and is_first_page and not _is_closed(row))
        if known.status != _status(row):
            return True
        # A resolved issue with a new event has regressed, and was resolved again since.
        return row.get("status") == "resolved" and known.last_seen != row.get("lastSeen")

    def _is_recheck_due(self, row: Record) -> bool:
        known = self._known[str(row.get("id"))]
        is_due = self.client.clock.monotonic() - known.checked > _RECHECK_SECONDS
        return is_due and (self._can_follow_from_change(row) or _is_closed(row))

    def _can_follow_from_change(self, row: Record) -> bool:
        """Whether the status is one that a change leads to. Sentry before 23 has no substatus."""
        substatus = row.get("substatus")
        return not _is_closed(row) and (not substatus or substatus in self.reasons or self._notices_status)

    def _changes(self, issue_id: str, row: Record | None) -> Iterator[Candidate]:
        """The changes of an issue. Remembers its row."""
        activities = none_if_missing(lambda: self.client.issues.activity(issue_id, self.organization))
        for activity in activities or ():
            reason = _REASON_OF.get(str(activity.get("type")))
            time = time_of(activity, "dateCreated")
            if reason in self.reasons:
                # An activity keeps its ID if its issue is merged into another one.
                yield Candidate(str(activity.get("id") or f"{issue_id}:{time}"), time, 0, issue_id, reason)
        if row is not None:
            self._remember(row)

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
