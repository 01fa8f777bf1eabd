"""Sentry's cursor pagination as values.

https://docs.sentry.io/api/pagination/ : every page names the next one in its Link header,
`<url>; rel="next"; results="true"; cursor="0:100:0"`. The cursor alone is used, never the URL: behind a proxy it may
name a host that is not the server's, and the token must not go there. Nor does the length of a page say anything,
since servers filter a page after cutting it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from komand_sentry.util.records import Record

PAGE_SIZE = 100
# Sentry filters a page after cutting it, so that some may come out empty. So many in a row do not.
MOST_BARREN_PAGES = 100
# A step whose output is larger helps nobody. The listing is then cut, says so, and can be continued.
MOST_RECORDS = 100_000
MOST_PAGES = 2_000
MOST_LISTING_BYTES = 1024**3

_LINK = re.compile(r"""<([^<>]*)>((?:\s*;\s*[A-Za-z-]+\s*=\s*(?:"[^"]*"|[^\s"';,<>]+))*)""")
_ATTRIBUTE = re.compile(r"""([A-Za-z-]+)\s*=\s*(?:"([^"]*)"|([^\s"';,<>]+))""")
_POSITION = re.compile(r"(?P<cursor>.*?)(?:@(?P<skip>[0-9]{1,9}))?", re.DOTALL)


class BrokenListing(Exception):
    """The server's pages lead nowhere: following them would never end, or cannot go on."""


def next_cursor(link_header: str) -> str | None:
    """The cursor of the next page, or None where the header says that there is none.

    :raises BrokenListing: there is a next page and no cursor to ask for it
    """
    for url, attributes in _LINK.findall(link_header):
        link = {name: quoted or bare for name, quoted, bare in _ATTRIBUTE.findall(attributes)}
        if link.get("rel") == "next" and link.get("results") == "true":
            cursor = link.get("cursor") or _cursor_of(url)
            if not cursor:
                raise BrokenListing("the server names a next page without its cursor")
            return cursor
    return None


def _cursor_of(url: str) -> str:
    try:
        return parse_qs(urlsplit(url).query).get("cursor", [""])[-1]
    except ValueError:
        return ""


class Position(NamedTuple):
    """A place in a listing: so many records into the page that the cursor names.

    A whole page's end is Sentry's own cursor. Only where a server sent more records than it was asked for does a
    limit end inside a page; the place is then written `cursor@records`.
    """

    cursor: str = ""
    skip: int = 0

    @classmethod
    def parse(cls, text: str) -> "Position":
        match = _POSITION.fullmatch(text)
        return cls(match["cursor"], int(match["skip"] or 0)) if match else cls()

    def __str__(self) -> str:
        return f"{self.cursor}@{self.skip}" if self.skip else self.cursor


def _as_it_is(record: Record) -> Record:
    return record


class Window(NamedTuple):
    """How much of a listing to return, and from where: `limit` 0 is everything, `cursor` "" the beginning.

    :param shape: gives each record its final form, and may change it
    """

    limit: int = 0
    cursor: str = ""
    shape: Callable[[Record], Record] = _as_it_is


@dataclass
class Listing:
    """The records of a listing in the server's order, each ID once, up to `limit` of them (0: all).

    Pages are given to `add`, which says where to go on. When it has returned None, `position` tells what a limit
    left out: the place of the first record that is not in `records`, None where nothing is left.
    """

    id_key: str
    limit: int = 0
    position: Position | None = field(default_factory=Position)
    records: list[Record] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set, repr=False)
    _cursors: set[str] = field(default_factory=set, repr=False)
    _barren_pages: int = field(default=0, repr=False)
    _bytes: int = field(default=0, repr=False)

    @property
    def pages(self) -> int:
        return len(self._cursors)

    @property
    def is_as_large_as_may_be(self) -> bool:
        """Whether it ended for its size, of its own, and not for the limit that was asked for."""
        is_large = len(self.records) >= MOST_RECORDS or self.pages >= MOST_PAGES or self._bytes >= MOST_LISTING_BYTES
        return is_large and not self._is_full()

    @property
    def truncated(self) -> bool:
        return self.position is not None

    @property
    def next_cursor(self) -> str | None:
        return str(self.position) if self.position else None

    def page_size(self, position: Position) -> int:
        """How many records to ask for: what is still wanted, at most Sentry's greatest page."""
        return min(PAGE_SIZE, self.limit - len(self.records) + position.skip) if self.limit else PAGE_SIZE

    def surely_wants(self, cursor: str) -> bool:
        """Whether the page at a cursor will be asked for in full, whatever the page at the present position holds."""
        wanted = min(self.limit or MOST_RECORDS, MOST_RECORDS) - len(self.records)
        may_go_on = self.pages + 2 < MOST_PAGES and not self._barren_pages and cursor not in self._cursors
        return may_go_on and wanted >= 2 * PAGE_SIZE and cursor != (self.position or Position()).cursor

    def add(self, page: list[Record], following: str | None, size: int = 0) -> Position | None:
        """Takes in the page at the present position and the cursor of the one that follows it.

        :param size: of the page, in bytes
        :returns: the position to fetch next, None when the listing is complete, its limit reached, or it is as large
            as may be
        :raises BrokenListing: the server names a page that was already read, or page after page with nothing new
        """
        at = self.position or Position()
        before = len(self.records)
        self._cursors.add(at.cursor)
        self._bytes += size
        for index, record in enumerate(page[at.skip :], start=at.skip):
            if self._is_repeat(record):
                continue
            if self._is_full():
                self.position = Position(at.cursor, index)
                return None
            self._seen.add(str(record.get(self.id_key)))
            self.records.append(record)
        self.position = Position(following) if following else None
        if self._is_full() or not following:
            return None
        self._barren_pages = 0 if len(self.records) > before else self._barren_pages + 1
        if following in self._cursors:
            raise BrokenListing("the server names a page that was already read")
        if self._barren_pages == MOST_BARREN_PAGES:
            raise BrokenListing(f"{MOST_BARREN_PAGES} pages in a row hold nothing new, and the server names another")
        return None if self.is_as_large_as_may_be else self.position

    def _is_full(self) -> bool:
        return 0 < self.limit <= len(self.records)

    def _is_repeat(self, record: Record) -> bool:
        """Pages are no snapshot: a record that moved back meanwhile comes again on a later page."""
        identity = record.get(self.id_key)
        return identity is not None and str(identity) in self._seen
