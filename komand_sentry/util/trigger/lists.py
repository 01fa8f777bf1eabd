"""Read the lists of a trigger from the latest record back to a time, in several steps with a time budget each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from komand_sentry.util.errors.exceptions import Forbidden, NotFound, RouteMissing, SearchUnsupported
from komand_sentry.util.errors.factory import ErrorContext, pagination_error
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.sentry.client import SentryClient
from komand_sentry.util.sentry.issue_search import IssueSearch
from komand_sentry.util.sentry.issues import IssueFilter
from komand_sentry.util.sentry.normalize import Record, parse_time
from komand_sentry.util.sentry.pagination import PageRange, RecordList
from komand_sentry.util.trigger.checkpoint import SECOND
from komand_sentry.util.trigger.unreadable import Unreadable

T = TypeVar("T")

# Bounds the memory of one step.
_STEP_RECORDS = 1_000
_MAX_STEPS = 1_000
# So many records at the end of a page that are all too old end a list. A single one can be out of order.
_MIN_OLD_RECORDS = 20


class Order(NamedTuple):
    """How a list is ordered.

    :param sort: the parameter of the server
    :param time_key: the key of the time that decreases along the list
    """

    sort: str
    time_key: str


BY_FIRST_SEEN = Order("new", "firstSeen")
BY_LAST_SEEN = Order("date", "lastSeen")
# Later than any record, so a list ends after its first page.
NEVER = 2**62


def none_if_missing(read: Callable[[], T]) -> T | None:
    """What a function reads, None if it does not exist.

    :raises PluginException: it cannot be read, or the server does not have the endpoint
    """
    try:
        return read()
    except RouteMissing:
        raise
    except NotFound:
        return None


def time_of(record: Record, key: str) -> int:
    """The time of a record in microseconds since 1970, 0 if it has none."""
    moment = parse_time(record.get(key))
    return round(moment.timestamp() * SECOND) if moment else 0


def read_since(
    fetch: Callable[[PageRange], RecordList], time_key: str, since: int, min_records: int, name: str
) -> Iterator[Record]:
    """Read a list, latest record first, to the end of the page that reaches a time.

    :param fetch: reads a part of the list
    :param time_key: the key of the time that orders the list
    :param since: in microseconds since 1970
    :param min_records: how many records to read even if they are older
    :param name: of the list, for errors
    :raises PluginException: see fetch, or the list cannot be read to that time
    """
    count = 0

    def is_enough(page: list[Record]) -> bool:
        nonlocal count
        count += len(page)
        times = [time for time in (time_of(record, time_key) for record in page[-_MIN_OLD_RECORDS:]) if time]
        return count >= min_records and bool(times) and max(times) < since

    cursors = [""]
    while len(cursors) <= _MAX_STEPS:
        part = fetch(PageRange(_STEP_RECORDS, cursors[-1], is_enough))
        yield from part.records
        if part.has_ended:
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
    _unreadable: Unreadable = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._unreadable = Unreadable("project", self.client.logger)

    @property
    def has_gaps(self) -> bool:
        """Whether projects could not be read."""
        return bool(self._unreadable.names)

    def read(self, order: Order, since: int, min_records: int = 0, is_strict: bool = False) -> Iterator[Record]:
        """The issues in an order, see read_since.

        :param is_strict: see Unreadable
        :raises PluginException: see read_since
        """
        if not self._uses_projects:
            try:
                yield from self._read_search(order, since, min_records)
                return
            except SearchUnsupported:
                # Raised by the first page only, so nothing was read yet.
                self._uses_projects = True
        for project in self.search.projects or self._projects():
            for environment in self.search.environments or ("",):
                records = self._read_project(project, environment, order, since, min_records)
                yield from self._unreadable.read_or_skip(project, records, is_strict)

    @property
    def is_filtered(self) -> bool:
        """Whether a query or environments select the issues."""
        return bool(self.search.query or self.search.environments)

    def unfiltered(self) -> "IssueList":
        """The list without the query and the environments."""
        unfiltered = replace(self, search=IssueSearch(projects=self.search.projects, query=""))
        unfiltered._unreadable = self._unreadable
        return unfiltered

    def _read_search(self, order: Order, since: int, min_records: int) -> Iterator[Record]:
        search = self.search._replace(sort=order.sort)

        def fetch(page_range: PageRange) -> RecordList:
            return self.client.issues.search(self.organization, search, page_range)

        yield from read_since(fetch, order.time_key, since, min_records, f"organization {sanitize(self.organization)}")

    def _read_project(
        self, project: str, environment: str, order: Order, since: int, min_records: int
    ) -> Iterator[Record]:
        issue_filter = IssueFilter(self.search.query, environment=environment, sort=order.sort)

        def fetch(page_range: PageRange) -> RecordList:
            return self.client.issues.list_for_project(self.organization, project, issue_filter, page_range)

        try:
            yield from read_since(fetch, order.time_key, since, min_records, f"project {sanitize(project)}")
        except (Forbidden, NotFound):
            # A project that the user did not name can be closed to the token, or have been removed meanwhile.
            if self.search.projects:
                raise

    def _projects(self) -> tuple[str, ...]:
        projects = self.client.projects.list_for_organization(self.organization, "", PageRange())
        if not projects.has_ended:
            problem = projects.warning or "there are too many projects"
            raise pagination_error(ErrorContext(f"the projects of {sanitize(self.organization)}"), problem)
        accessible = (project for project in projects.records if project.get("hasAccess") is not False)
        return tuple(str(project.get("slug")) for project in accessible)
