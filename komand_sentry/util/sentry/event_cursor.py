"""The position in a list of events, by time where Sentry's cursors lose events.

Since version 10, Sentry orders the events of an issue by whole seconds, leaves ties unordered, and its cursors are
offsets (`0:100:0`). A page boundary within a second then repeats some events and skips others. So the next page is
requested by time: up to and including the second of the last event, without those that are already known. Only if all
events of a page are from one second, the cursor of the server is the only way to continue.

Sentry 9 orders by time, and its cursors are exact. Other servers are followed by their cursors, too.
"""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from komand_sentry.util.http.messages import Params
from komand_sentry.util.sentry.normalize import Record, parse_time
from komand_sentry.util.sentry.pagination import PAGE_SIZE, Page, PageCursor

# Sentry searches this period if none is given, and refuses an `end` without a `start`.
_PERIOD = timedelta(days=90)
_SECOND = timedelta(seconds=1)
_OFFSET_CURSOR = re.compile(r"0:[0-9]+:0")
_TIME_CURSOR = re.compile(
    r"before:(?P<end>[0-9T:-]{19})Z(?:;known=(?P<known>[0-9a-f,]*))?(?:;cursor=(?P<cursor>[^;]*))?"
)
# Enough to tell the events of one second apart. A prefix of the ID is not: some start with the time.
_DIGEST_BYTES = 6


class EventCursor(NamedTuple):
    """A position in the events of an issue, newest first.

    As text: a cursor of the server, or `before:2026-08-01T12:00:01Z;known=9d6b1fb4c9f4,...;cursor=0:100:0`.

    :param cursor: of the server, "" for the first page of the window
    :param end: the window has only events before this time, None for all
    :param known: digests of the IDs of events in the last second of the window that were already returned
    :param by_time: whether to continue by time at offset cursors. False if the server ignores the window
    """

    cursor: str = ""
    end: datetime | None = None
    known: tuple[str, ...] = ()
    by_time: bool = True

    @classmethod
    def parse(cls, text: str) -> "EventCursor":
        """Parse the `cursor` of a step."""
        match = _TIME_CURSOR.fullmatch(text)
        end = match and parse_time(match["end"])
        if not match or not end:
            return cls(PageCursor.parse(text).cursor)
        return cls(match["cursor"] or "", end, tuple(filter(None, (match["known"] or "").split(","))))

    def __str__(self) -> str:
        if self.end is None:
            return self.cursor
        known = f";known={','.join(self.known)}" if self.known else ""
        cursor = f";cursor={self.cursor}" if self.cursor else ""
        return f"before:{_iso(self.end)}Z{known}{cursor}"

    @property
    def overlap(self) -> int:
        """How many known events the page can start with."""
        return 0 if self.cursor else len(self.known)

    @property
    def continues_window(self) -> bool:
        """Whether the page continues a window, in which a repeated record means that another one was skipped."""
        return bool(self.cursor)

    def params(self, now: datetime) -> Params:
        """The window, and the cursor within it."""
        cursor = (("cursor", self.cursor),) if self.cursor else ()
        if self.end is None:
            return cursor
        # Sentry refuses a start after the end, which a wrong clock could cause.
        start = (now if now - _PERIOD < self.end else self.end) - _PERIOD
        return (("start", _iso(start)), ("end", _iso(self.end)), *cursor)

    def is_known(self, identity: str) -> bool:
        """Whether a previous step returned the event."""
        return _digest(identity) in self.known

    def next(self, page: Page, records: list[Record], has_surplus: bool) -> "EventCursor | None":
        """The position after the last of the collected events; None at the end, or if no cursor expresses it."""
        if page.next_cursor is None and not has_surplus:
            return None
        last = second_of(records[-1]) if has_surplus else page.records and second_of(page.records[-1])
        if not last:
            return None if has_surplus else self._replace(cursor=page.next_cursor or "")
        if not self._respects_window(page):
            return None if has_surplus else EventCursor(page.next_cursor or "", by_time=False)
        if not self.by_time or (self.end is None and not _OFFSET_CURSOR.fullmatch(page.next_cursor or "")):
            return None if has_surplus else self._replace(cursor=page.next_cursor or "")
        end, known = last + _SECOND, self._known_in(last, records)
        # If a whole page of the last second is known, only the cursor of the server leads further.
        is_stuck = end == self.end and len(known) >= PAGE_SIZE and page.next_cursor is not None
        return EventCursor(page.next_cursor or "" if is_stuck else "", end, known)

    def _respects_window(self, page: Page) -> bool:
        end = self.end
        return end is None or all((second_of(record) or end - _SECOND) < end for record in page.records)

    def _known_in(self, second: datetime, records: list[Record]) -> tuple[str, ...]:
        """The last of the events of a second that were returned, by this step and by previous ones."""
        known: list[str] = []
        for record in reversed(records):
            if second_of(record) != second or len(known) == PAGE_SIZE:
                break
            known.append(_digest(str(record.get("eventID", ""))))
        previous = reversed(self.known) if self.end == second + _SECOND else ()
        return tuple(reversed(tuple(dict.fromkeys((*known, *previous)))[:PAGE_SIZE]))


def second_of(event: Record) -> datetime | None:
    """The time of an event in whole seconds, None if it has none."""
    moment = parse_time(event.get("dateCreated"))
    return moment and moment.replace(microsecond=0)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _digest(event_id: str) -> str:
    normalized = event_id.replace("-", "").lower()
    return hashlib.blake2b(normalized.encode(errors="replace"), digest_size=_DIGEST_BYTES).hexdigest()
