"""Read the lists of a trigger from the latest record back to a time, in several steps with a time budget each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from komand_sentry.util.errors.exceptions import SearchUnsupported
from komand_sentry.util.errors.factory import ErrorContext, pagination_error
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.sentry.client import SentryClient
from komand_sentry.util.sentry.issue_search import IssueSearch
from komand_sentry.util.sentry.issues import IssueFilter
from komand_sentry.util.sentry.normalize import Record, parse_time
from komand_sentry.util.sentry.pagination import PageRange, RecordList
from komand_sentry.util.trigger.checkpoint import SECOND

# Bounds the memory of one step.
_STEP_RECORDS = 1_000
_MAX_STEPS = 1_000


def time_of(record: Record, key: str) -> int:
    """The time of a record in microseconds since 1970, 0 if it has none."""
    moment = parse_time(record.get(key))
    return round(moment.timestamp() * SECOND) if moment else 0


def read_since(fetch: Callable[[PageRange], RecordList], time_key: str, since: int, name: str) -> Iterator[Record]:
    """Read a list, latest record first, to the end of the page that reaches a time.

    :param fetch: reads a part of the list
    :param time_key: the key of the time that orders the list
    :param since: in microseconds since 1970
    :param name: of the list, for errors
    :raises PluginException: see fetch, or the list cannot be read to that time
    """

    def is_before(record: Record) -> bool:
        return time_of(record, time_key) < since

    cursors = [""]
    while len(cursors) <= _MAX_STEPS:
        part = fetch(PageRange(_STEP_RECORDS, cursors[-1], is_before))
        yield from part.records
        if not part.truncated or (part.records and is_before(part.records[-1])):
            return
        if part.next_cursor is None or part.next_cursor in cursors:
            break
        cursors.append(part.next_cursor)
    raise pagination_error(ErrorContext(name), "records are missing after the part that was read")


@dataclass
class IssueList:
    """Issues of an organization: from its search, or if the server has none (Sentry 9), from each project.

    :param search: without the sort
    """

    client: SentryClient
    organization: str
    search: IssueSearch
    _uses_projects: bool = field(default=False, repr=False)

    def read(self, sort: str, time_key: str, since: int) -> Iterator[Record]:
        """The issues in an order, see read_since.

        :raises PluginException: see read_since
        """
        if not self._uses_projects:
            try:
                yield from self._read_search(sort, time_key, since)
                return
            except SearchUnsupported:
                # Raised by the first page only, so nothing was read yet.
                self._uses_projects = True
        for project in self.search.projects or self._projects():
            for environment in self.search.environments or ("",):
                yield from self._read_project(project, environment, sort, time_key, since)

    def _read_search(self, sort: str, time_key: str, since: int) -> Iterator[Record]:
        search = self.search._replace(sort=sort)

        def fetch(page_range: PageRange) -> RecordList:
            return self.client.issues.search(self.organization, search, page_range)

        yield from read_since(fetch, time_key, since, f"organization {sanitize(self.organization)}")

    def _read_project(self, project: str, environment: str, sort: str, time_key: str, since: int) -> Iterator[Record]:
        issue_filter = IssueFilter(self.search.query, environment=environment, sort=sort)

        def fetch(page_range: PageRange) -> RecordList:
            return self.client.issues.list_for_project(self.organization, project, issue_filter, page_range)

        yield from read_since(fetch, time_key, since, f"project {sanitize(project)}")

    def _projects(self) -> tuple[str, ...]:
        projects = self.client.projects.list_for_organization(self.organization, "", PageRange())
        return tuple(str(project.get("slug")) for project in projects.records)
