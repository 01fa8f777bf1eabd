"""Read a list page by page: https://docs.sentry.io/api/pagination/

Every page names the next one in its Link header: `<url>; rel="next"; results="true"; cursor="0:100:0"`. Only the cursor
is used, never the URL: behind a proxy it may name another host, to which the token must not be sent. The length of a
page does not matter, because servers filter a page after they cut it.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, Protocol, Self
from urllib.parse import parse_qs, urlsplit

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.factory import ErrorContext, invalid_input, pagination_error
from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.messages import Params
from komand_sentry.util.sentry.normalize import Record, record_id

PAGE_SIZE = 100
# Servers filter a page after they cut it, so a few pages can be empty, but not that many in a row.
MAX_EMPTY_PAGES = 100
# Limits of one step. A list that reaches one is truncated and can be continued.
MAX_RECORDS = 100_000
MAX_LIST_BYTES = 1024**3
MAX_LIST_VALUES = 8_000_000
_PAGES_PER_LOG_LINE = 10

_LINK = re.compile(r"""<([^<>]*)>((?:\s*;\s*[A-Za-z-]+\s*=\s*(?:"[^"]*"|[^\s"';,<>]+))*)""")
_ATTRIBUTE = re.compile(r"""([A-Za-z-]+)\s*=\s*(?:"([^"]*)"|([^\s"';,<>]+))""")
# Earlier versions could add `@{number}` to a cursor: the number of records of the page to skip.
_SKIP_SUFFIX = re.compile(r"@[0-9]{1,9}$")


class PaginationError(Exception):
    """The pages of the server cannot be followed to the end."""


class Page(NamedTuple):
    """One page of a list.

    :param next_cursor: None on the last page
    :param is_end_known: the server says whether there is a next page
    :param length: number of records that the server sent, those included that were removed from `records` since
    :param size: in bytes
    :param values: number of JSON values
    :param hits: number of records of all pages, 0 if the server does not say. Sentry counts up to 1000
    """

    records: list[Record]
    next_cursor: str | None
    is_end_known: bool = True
    length: int = 0
    size: int = 0
    values: int = 0
    hits: int = 0


class Position(Protocol):
    """A place in a list. Its text is the `next_cursor` of a step, and the `cursor` of the following one."""

    @property
    def overlap(self) -> int:
        """How many records at the beginning of the page are known to be repeats."""

    @property
    def continues_window(self) -> bool:
        """Whether the page continues a window, in which a repeated record means that another one was skipped."""

    def params(self, now: datetime) -> Params:
        """The query parameters of the page."""

    def is_known(self, identity: str) -> bool:
        """Whether a previous step returned the record."""

    def next(self, page: Page, records: list[Record], has_surplus: bool) -> Self | None:
        """The position after the last of the collected records; None at the end, or if no cursor expresses it.

        :param records: all that were collected so far, those of the page included
        :param has_surplus: the page has records that exceed the limit, and were not collected
        """


class PageCursor(NamedTuple):
    """A cursor of the server, which names a page."""

    cursor: str = ""

    @classmethod
    def parse(cls, text: str) -> "PageCursor":
        """Parse the `cursor` of a step."""
        return cls(_SKIP_SUFFIX.sub("", text))

    @property
    def overlap(self) -> int:
        return 0

    @property
    def continues_window(self) -> bool:
        return False

    def __str__(self) -> str:
        return self.cursor

    def params(self, now: datetime) -> Params:  # noqa: ARG002 - see Position
        return (("cursor", self.cursor),) if self.cursor else ()

    def is_known(self, identity: str) -> bool:  # noqa: ARG002 - see Position
        return False

    def next(self, page: Page, records: list[Record], has_surplus: bool) -> "PageCursor | None":  # noqa: ARG002
        # A cursor cannot name a place within a page, which is needed if the server sent more than requested.
        return None if page.next_cursor is None or has_surplus else PageCursor(page.next_cursor)


def unchanged(record: Record) -> Record:
    """The normalization of records that no output contains."""
    return record


class ListSpec(NamedTuple):
    """How an endpoint lists records.

    :param id_key: the key that identifies a normalized record
    :param size_param: the query parameter for the page size
    :param normalize: converts a record of any server version, and may change it in place
    :param parse_position: parses the `cursor` of a step
    """

    id_key: str
    size_param: str
    normalize: Callable[[Record], Record] = unchanged
    parse_position: Callable[[str], Position] = PageCursor.parse


class PageRange(NamedTuple):
    """The part of a list to read.

    :param limit: maximum number of records, 0 for all
    :param cursor: where to start, "" for the beginning
    :param ends_after: the list ends after the page whose normalized records satisfy this
    """

    limit: int = 0
    cursor: str = ""
    ends_after: Callable[[list[Record]], bool] | None = None


class RecordList(NamedTuple):
    """The records that were read.

    :param truncated: there are more, or there may be
    :param next_cursor: where to continue, None if there are no more or the list cannot be continued without a gap
    :param warning: why the list is incomplete, None if it is complete or its limit was reached
    :param has_ended: it was read to the server's last page, or to the end of the range
    """

    records: list[Record]
    truncated: bool
    next_cursor: str | None
    warning: str | None
    has_ended: bool = False

    def output(self, name: str) -> Record:
        """The output of a list action, with the records under a name."""
        return {
            name: self.records,
            "truncated": self.truncated,
            "next_cursor": self.next_cursor,
            "warning": self.warning,
        }


def next_cursor(link_header: str) -> str | None:
    """The cursor of the next page, None on the last page.

    :raises PaginationError: there is a next page, but no cursor for it
    """
    for url, attributes in _LINK.findall(link_header):
        link = {name: quoted or bare for name, quoted, bare in _ATTRIBUTE.findall(attributes)}
        if link.get("rel") == "next" and link.get("results") == "true":
            cursor = link.get("cursor") or _cursor_of(url)
            if not cursor:
                raise PaginationError("the server names a next page without a cursor")
            return cursor
    return None


def _cursor_of(url: str) -> str:
    try:
        return parse_qs(urlsplit(url).query).get("cursor", [""])[-1]
    except ValueError:
        return ""


class RecordCollector:
    """Collects the records of pages: each ID once, in the order of the server, up to a limit."""

    def __init__(self, spec: ListSpec, page_range: PageRange) -> None:
        self._spec = spec
        self._limit = page_range.limit
        self._ends_after = page_range.ends_after
        self.records: list[Record] = []
        self.position: Position | None = spec.parse_position(page_range.cursor)
        self.pages = 0
        self.warning: str | None = None
        self._seen_ids: set[str] = set()
        self._window_ids: set[str] = set()
        self._seen_positions: set[Position] = set()
        self._empty_pages = 0
        self._is_repeating = False
        self._bytes = 0
        self._values = 0
        self._has_surplus = False
        self.has_ended = False
        self._is_at_end = False

    @property
    def is_full(self) -> bool:
        """Whether the limit of the step's input is reached."""
        return 0 < self._limit <= len(self.records)

    @property
    def is_too_large(self) -> bool:
        """Whether a limit on the size of all lists is reached."""
        is_large = self._bytes >= MAX_LIST_BYTES or self._values >= MAX_LIST_VALUES
        return is_large or len(self.records) >= MAX_RECORDS

    @property
    def page_size(self) -> int:
        """How many records to request."""
        # After a page of repeats, a small page would probably have only repeats, too.
        if not self._limit or not self.position or (self._is_repeating and not self.position.continues_window):
            return PAGE_SIZE
        return min(PAGE_SIZE, self._limit - len(self.records) + self.position.overlap)

    def add(self, page: Page, position: Position, page_size: int) -> None:
        """Add a page, and move `position` to the next one.

        :param position: of the page
        :param page_size: how many records were requested
        :raises PaginationError: the server repeats pages, or returns empty pages without end
        """
        self.pages += 1
        self._bytes += page.size
        self._values += page.values
        self._seen_positions.add(position)
        if not position.continues_window:
            self._window_ids.clear()
        is_new = [self._add_record(self._spec.normalize(record), position) for record in page.records]
        self._empty_pages = 0 if any(is_new) else self._empty_pages + 1
        self._is_repeating = bool(is_new) and not any(is_new)
        length = max(page.length, len(page.records))
        self.position = position.next(page, self.records, self._has_surplus)
        if self._has_surplus and self.position is None and length <= page_size:
            # Reading this page again repeats records, but leaves no gap.
            self.position = position
        is_end_unknown = not page.is_end_known and length >= page_size
        self._is_at_end = page.next_cursor is None and not self._has_surplus and not is_end_unknown
        if is_end_unknown:
            self.warn(
                "The server did not say whether there are more records (a proxy may have removed the Link header)."
            )
        self.has_ended = self._ends_after is not None and self._ends_after(page.records)
        self._check_progress()

    def _add_record(self, record: Record, position: Position) -> bool:
        # A record without an ID cannot be a repeat.
        identity = record_id(record, self._spec.id_key) or f"unidentified {len(self.records)}"
        if position.continues_window and identity in self._window_ids:
            self.warn("The server repeated records across pages, so it may have skipped others.")
        self._window_ids.add(identity)
        # Pages are not a snapshot: a record that moved back since is listed again on a later page.
        if identity in self._seen_ids or position.is_known(identity):
            return False
        if self.is_full:
            self._has_surplus = True
            return False
        self._seen_ids.add(identity)
        self.records.append(record)
        return True

    def _check_progress(self) -> None:
        if self.is_full or self.has_ended or not self.position:
            return
        if self.position in self._seen_positions:
            raise PaginationError("the server names a page that was already read")
        if self._empty_pages == MAX_EMPTY_PAGES:
            raise PaginationError(f"{MAX_EMPTY_PAGES} pages in a row have no new records, and the server names another")

    def warn(self, reason: str) -> None:
        """Mark the list as incomplete. The first reason counts."""
        self.warning = self.warning or reason

    def result(self) -> RecordList:
        """The list."""
        cursor = None if self.position is None else str(self.position)
        truncated = self._has_surplus or self.warning is not None or cursor is not None
        return RecordList(self.records, truncated, cursor, self.warning, self.has_ended or self._is_at_end)


def check_range(page_range: PageRange) -> None:
    """:raises InvalidInput: the limit is invalid"""
    if page_range.limit < 0:
        raise invalid_input("The limit is negative.", "Set a positive limit, or 0 for all records.")


def read_list(
    fetch: Callable[[Params], Page], spec: ListSpec, page_range: PageRange, context: ErrorContext, http: RetryingClient
) -> RecordList:
    """Read as many pages as the range needs, within the limits of one step.

    If a page after the first one fails, the list ends there with a warning, and can be continued.

    :param fetch: requests one page, given the query parameters for its size and its position
    :raises PluginException: the limit is invalid, or the first page failed
    """
    check_range(page_range)
    collector = RecordCollector(spec, page_range)
    while collector.position is not None and not (collector.is_full or collector.has_ended):
        if limit := _limit_reached(collector, http):
            http.log.info(f"Stopped at the {limit}. Pass next_cursor to the next step to continue.")
            break
        try:
            _read_page(fetch, spec, collector, http)
        except PaginationError as problem:
            collector.position = None
            collector.warn(pagination_error(context, str(problem)).cause)
        except PluginException as failure:
            if not collector.pages:
                raise
            collector.warn(f"{failure.cause} {failure.assistance}")
            break
        if collector.pages % _PAGES_PER_LOG_LINE == 0:
            http.log.info(f"Read page {collector.pages} of {context.name}, {len(collector.records)} records so far")
    if collector.warning:
        http.log.warning(f"The list is incomplete: {collector.warning}")
    if collector.is_full and collector.position:
        http.log.info(f"Stopped at the limit of the step ({page_range.limit} records)")
    http.log.info(f"Read {len(collector.records)} records of {context.name} in {collector.pages} page(s)")
    return collector.result()


def _read_page(
    fetch: Callable[[Params], Page], spec: ListSpec, collector: RecordCollector, http: RetryingClient
) -> None:
    position, page_size = collector.position, collector.page_size
    if position is not None:
        page = fetch(((spec.size_param, str(page_size)), *position.params(http.budget.clock.now())))
        collector.add(page, position, page_size)


def _limit_reached(collector: RecordCollector, http: RetryingClient) -> str:
    if collector.is_too_large:
        return "maximum size of a list"
    return "time limit" if collector.pages and http.budget.is_overdue else ""
