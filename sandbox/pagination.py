"""Cursors and the Link header.

A cursor is `value:offset:is_prev` and opaque to a client. Its meaning depends on the list, like in Sentry:

* issues: value is the score, offset counts entries of the same score
* events: value is 0, offset is absolute
* projects, members, teams: value is the page size, offset the page number

A "previous" cursor is in the header, but cannot be requested.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from flask import Response, jsonify, request

from .auth import bad_request, the_store

T = TypeVar("T")

MAX_PAGE = 100
MAX_NUMBER = 2**53


@dataclass(frozen=True)
class Cursor:
    value: int
    offset: int
    is_prev: bool = False
    has_results: bool = False

    def __str__(self) -> str:
        return f"{self.value}:{self.offset}:{int(self.is_prev)}"


@dataclass(frozen=True)
class Page:
    items: list[Any]
    prev: Cursor
    next: Cursor


def requested_cursor() -> Cursor | None:
    text = request.args.get("cursor")
    if not text:
        return None
    try:
        value, offset, is_prev = text.split(":")
        cursor = Cursor(int(float(value)), int(offset), bool(int(is_prev)))
    except (ValueError, OverflowError):
        raise bad_request("Invalid cursor parameter.") from None
    if abs(cursor.value) > MAX_NUMBER or abs(cursor.offset) > MAX_NUMBER:
        raise bad_request("Pagination offset too large")
    if cursor.offset < 0:
        raise bad_request("Pagination offset cannot be negative")
    return cursor


def requested_per_page() -> int:
    """`per_page`, which is refused above 100, unlike the `limit` of issue lists."""
    try:
        per_page = int(request.args.get("per_page") or MAX_PAGE)
    except ValueError:
        raise bad_request("Invalid per_page parameter.") from None
    if per_page > MAX_PAGE:
        raise bad_request(f"Invalid per_page value. Cannot exceed {MAX_PAGE}.")
    return max(per_page, 0)


def scored_page(entries: Sequence[tuple[int, int]], limit: int) -> Page:
    """A page of IDs, for entries (score, ID), the highest score first.

    The cursor's offset counts the entries of its score that were listed, so that none is skipped or repeated.
    """
    entries = sorted(entries, reverse=True)
    negated = [-score for score, _ in entries]
    cursor = requested_cursor() or Cursor(0, 0)
    # The value 0 is the beginning.
    start = (bisect_left(negated, -cursor.value) if cursor.value else 0) + cursor.offset
    stop = min(start + limit, len(entries))
    start = min(start, stop)

    def cursor_at(position: int, is_prev: bool, has_results: bool) -> Cursor:
        if not entries:
            return Cursor(cursor.value, cursor.offset, is_prev)
        score = entries[min(position, len(entries) - 1)][0]
        return Cursor(score, position - bisect_left(negated, -score, hi=position), is_prev, has_results)

    items = [entry_id for _, entry_id in entries[start:stop]]
    return Page(items, cursor_at(start, True, start > 0), cursor_at(stop, False, stop < len(entries)))


def offset_page(fetch: Callable[[int, int], Sequence[Any]], limit: int) -> Page:
    """A page of what `fetch(offset, count)` returns; cursors are `0:{offset}:{is_prev}`."""
    offset = (requested_cursor() or Cursor(0, 0)).offset
    items = list(fetch(offset, limit + 1))
    before = Cursor(0, max(offset - limit, 0), True, offset > 0)
    return Page(items[:limit], before, Cursor(0, offset + limit, False, len(items) > limit))


def numbered_page(rows: Sequence[Any], limit: int) -> Page:
    """Rows by page number; cursors are `{page size}:{page number}:{is_prev}`."""
    cursor = requested_cursor() or Cursor(limit, 0)
    start = cursor.offset * (cursor.value or limit)
    more = len(rows) > start + limit
    before = Cursor(limit, cursor.offset - 1, True, start > 0)
    return Page(list(rows[start : start + limit]), before, Cursor(limit, cursor.offset + 1, False, more))


def link_header(page: Page) -> str:
    """Both relations, previous first. Without other parameters the URL is `/?&cursor=`, like in Sentry."""
    others = urlencode([(key, value) for key, value in request.args.items(multi=True) if key != "cursor"])
    url = f"{the_store().url_prefix}{quote(request.path)}?{others}"
    return ", ".join(
        f'<{url}&cursor={cursor}>; rel="{rel}"; results="{str(cursor.has_results).lower()}"; cursor="{cursor}"'
        for rel, cursor in (("previous", page.prev), ("next", page.next))
    )


def respond(page: Page, serialize: Callable[[Any], Any]) -> Response:
    response = jsonify([serialize(item) for item in page.items])
    response.headers["Link"] = link_header(page)
    return response
