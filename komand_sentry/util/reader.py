"""Reads a listing page by page: https://docs.sentry.io/api/pagination/"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util import errors
from komand_sentry.util.errors import Target
from komand_sentry.util.exchange import Params, Response
from komand_sentry.util.meanwhile import Chore
from komand_sentry.util.pagination import PAGE_SIZE, BrokenListing, Listing, Position, Window, next_cursor
from komand_sentry.util.records import Record, event_record, issue_record
from komand_sentry.util.web_api import WebAPI, json_of

# No server takes an address of that length; where below it the limit is, is the server's to say.
LONGEST_PARAM = 64 * 1024
PAGES_PER_LOG_LINE = 10


class Kind(NamedTuple):
    """What is listed: what identifies a record, which parameter sets the size of a page, and the record's dialects."""

    id_key: str
    size_param: str
    normalise: Callable[[Record], Record]


ISSUES = Kind("id", "limit", issue_record)
EVENTS = Kind("eventID", "per_page", event_record)


@dataclass(frozen=True)
class Reader:
    """:param fetch: gets one page, which is a success
    :param params: of every page
    """

    api: WebAPI
    kind: Kind
    target: Target
    fetch: Callable[[Params], Response]
    params: Params
    window: Window

    def read(self) -> Listing:
        """As many pages as the window takes.

        :raises PluginException: see WebAPI.call, an input that cannot be one, or pages that lead nowhere
        """
        _check(self.params, self.window)
        listing = Listing(self.kind.id_key, limit=self.window.limit, position=Position.parse(self.window.cursor))
        position = self._read_pages(listing)
        if listing.truncated and (position is not None or listing.is_as_large_as_may_be):
            reason = "time that a step may take" if position is not None else "size that a list may have"
            self.api.say(f"Stopped at the {reason}: next_cursor goes on in another step")
        self.api.say(f"Read {len(listing.records)} records of {self.target.name} in {listing.pages} page(s)")
        return listing

    def _read_pages(self, listing: Listing) -> Position | None:
        """:returns: where it had to stop for its time, None where it had not"""
        position = listing.position
        response: Response | None = None
        while position is not None and (response or not self.api.sender.is_overdue):
            response = response or self.fetch(self._page(position.cursor, listing.page_size(position)))
            position, response = self._add_page(listing, response)
            if position is not None and listing.pages % PAGES_PER_LOG_LINE == 0:
                progress = f"page {listing.pages} of {self.target.name}, {len(listing.records)} records so far"
                self.api.say(f"Read {progress}")
        return position

    def _add_page(self, listing: Listing, response: Response) -> tuple[Position | None, Response | None]:
        """:returns: where to go on, and the page there if it is at hand"""
        try:
            following = next_cursor(response.header("link"))
            if following and listing.surely_wants(following) and not self.api.sender.is_overdue:
                records, ahead = self._records_and(response, self._page(following, PAGE_SIZE))
            else:
                records, ahead = self._records(response), None
            return listing.add(records, following, len(response.body)), ahead
        except BrokenListing as problem:
            raise errors.broken_listing(self.target, str(problem), response, self.api.secrets) from None

    def _records_and(self, response: Response, following: Params) -> tuple[list[Record], Response]:
        """The records of a page, which are read while the page that follows is on its way, and that page."""
        records = Chore(functools.partial(self._records, response))
        ahead: Response | Exception
        with self.api.sender.meanwhile(records.do):
            try:
                ahead = self.fetch(following)
            except PluginException as failure:
                ahead = failure
        # What is wrong with this page comes before what is wrong with the next one, of which then nothing is said.
        read = records.result()
        if isinstance(ahead, Exception):
            raise ahead
        return read, ahead

    def _page(self, cursor: str, size: int) -> Params:
        return (*self.params, (self.kind.size_param, str(size)), *((("cursor", cursor),) if cursor else ()))

    def _records(self, response: Response) -> list[Record]:
        page = json_of(response)
        if not isinstance(page, list) or not all(isinstance(record, dict) for record in page):
            raise self.api.unexpected(self.target, response)
        return [self.window.shape(self.kind.normalise(record)) for record in page]


def _check(params: Params, window: Window) -> None:
    """:raises PluginException: it is no window, or a parameter is longer than servers take"""
    if window.limit < 0:
        raise errors.input_error("The limit is negative.", "Give a positive limit, or 0 for everything.")
    for name, value in (*params, ("cursor", window.cursor)):
        if len(quote(value, errors="replace")) > LONGEST_PARAM:
            raise errors.input_error(
                f"The {name} is too long for an address: {len(value)} characters.",
                "Sentry takes it as a part of an address, whose length is limited. Shorten it.",
            )
