"""Read a list page by page: https://docs.sentry.io/api/pagination/

Every page names the next one in its Link header: `<url>; rel="next"; results="true"; cursor="0:100:0"`. Only the cursor
is used, never the URL: behind a proxy it may name another host, to which the token must not be sent. The length of a
page does not matter, because servers filter a page after they cut it.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from komand_sentry.util.errors.factory import ErrorContext, invalid_input, pagination_error
from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.messages import Params

Record = dict[str, Any]

PAGE_SIZE = 100
# Servers filter a page after they cut it, so a few pages can be empty, but not that many in a row.
MAX_EMPTY_PAGES = 100
# Limits of one step. A list that reaches one is truncated and can be continued.
MAX_RECORDS = 100_000
MAX_LIST_BYTES = 1024**3
_PAGES_PER_LOG_LINE = 10

_LINK = re.compile(r"""<([^<>]*)>((?:\s*;\s*[A-Za-z-]+\s*=\s*(?:"[^"]*"|[^\s"';,<>]+))*)""")
_ATTRIBUTE = re.compile(r"""([A-Za-z-]+)\s*=\s*(?:"([^"]*)"|([^\s"';,<>]+))""")
# Version 2.0.0 could add `@{number}` to a cursor: the number of records of the page to skip.
_SKIP_SUFFIX = re.compile(r"@[0-9]{1,9}$")


class PaginationError(Exception):
    """The pages of the server cannot be followed to the end."""


class ListSpec(NamedTuple):
    """How an endpoint lists records.

    :param id_key: the key that identifies a record
    :param size_param: the query parameter for the page size
    :param normalize: converts a record of any server version, and may change it in place
    """

    id_key: str
    size_param: str
    normalize: Callable[[Record], Record]


class Page(NamedTuple):
    """One page of a list.

    :param next_cursor: None on the last page
    :param size: in bytes
    """

    records: list[Record]
    next_cursor: str | None
    size: int = 0


class PageRange(NamedTuple):
    """The part of a list to read.

    :param limit: maximum number of records, 0 for all
    :param cursor: where to start, "" for the beginning
    """

    limit: int = 0
    cursor: str = ""


class RecordList(NamedTuple):
    """The records that were read.

    :param truncated: there are more
    :param next_cursor: where to continue, None if there are no more or the list cannot be continued without a gap
    """

    records: list[Record]
    truncated: bool
    next_cursor: str | None

    def output(self, name: str) -> Record:
        """The output of a list action, with the records under a name."""
        return {name: self.records, "truncated": self.truncated, "next_cursor": self.next_cursor}


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
        self.records: list[Record] = []
        self.cursor: str | None = _SKIP_SUFFIX.sub("", page_range.cursor)
        self.pages = 0
        self._seen_ids: set[str] = set()
        self._seen_cursors: set[str] = set()
        self._empty_pages = 0
        self._bytes = 0
        self._has_surplus = False

    @property
    def is_full(self) -> bool:
        """Whether the limit of the step's input is reached."""
        return 0 < self._limit <= len(self.records)

    @property
    def is_too_large(self) -> bool:
        """Whether a limit on the size of all lists is reached."""
        return len(self.records) >= MAX_RECORDS or self._bytes >= MAX_LIST_BYTES

    @property
    def page_size(self) -> int:
        """How many records to request."""
        return min(PAGE_SIZE, self._limit - len(self.records)) if self._limit else PAGE_SIZE

    def add(self, page: Page) -> None:
        """Add the page at `cursor`, and move `cursor` to the next page.

        :raises PaginationError: the server repeats pages, or returns empty pages without end
        """
        self.pages += 1
        self._bytes += page.size
        self._seen_cursors.add(self.cursor or "")
        is_new = [self._add_record(record) for record in page.records]
        self._empty_pages = 0 if any(is_new) else self._empty_pages + 1
        self.cursor = page.next_cursor
        if self.cursor in self._seen_cursors and not self.is_full:
            raise PaginationError("the server names a page that was already read")
        if self._empty_pages == MAX_EMPTY_PAGES and self.cursor:
            raise PaginationError(f"{MAX_EMPTY_PAGES} pages in a row have no new records, and the server names another")

    def _add_record(self, record: Record) -> bool:
        identity = record.get(self._spec.id_key)
        # Pages are not a snapshot: a record that moved back since is listed again on a later page.
        if identity is not None and str(identity) in self._seen_ids:
            return False
        if self.is_full:
            self._has_surplus = True
            return False
        self._seen_ids.add(str(identity))
        self.records.append(self._spec.normalize(record))
        return True

    def result(self) -> RecordList:
        """The list. If a page had more records than requested, there is no cursor to continue it without a gap."""
        cursor = None if self._has_surplus else self.cursor
        return RecordList(self.records, self._has_surplus or self.cursor is not None, cursor)


def read_list(
    fetch: Callable[[Params], Page], spec: ListSpec, page_range: PageRange, context: ErrorContext, http: RetryingClient
) -> RecordList:
    """Read as many pages as the range needs, within the limits of one step.

    :param fetch: requests one page, given the query parameters for its size and its cursor
    :raises PluginException: an input is invalid, a request failed, or the pages do not end
    """
    _validate(page_range)
    collector = RecordCollector(spec, page_range)
    while collector.cursor is not None and not collector.is_full:
        if limit := _limit_reached(collector, http):
            http.log.info(f"Stopped at the {limit}. Pass next_cursor to the next step to continue.")
            break
        cursor = (("cursor", collector.cursor),) if collector.cursor else ()
        page = fetch(((spec.size_param, str(collector.page_size)), *cursor))
        try:
            collector.add(page)
        except PaginationError as problem:
            raise pagination_error(context, str(problem), page.next_cursor or "") from None
        if collector.pages % _PAGES_PER_LOG_LINE == 0:
            http.log.info(f"Read page {collector.pages} of {context.name}, {len(collector.records)} records so far")
    http.log.info(f"Read {len(collector.records)} records of {context.name} in {collector.pages} page(s)")
    return collector.result()


def _limit_reached(collector: RecordCollector, http: RetryingClient) -> str:
    if collector.is_too_large:
        return "maximum size of a list"
    return "time limit" if collector.pages and http.budget.is_overdue else ""


def _validate(page_range: PageRange) -> None:
    """:raises InvalidInput: the limit is negative"""
    if page_range.limit < 0:
        raise invalid_input("The limit is negative.", "Set a positive limit, or 0 for all records.")
