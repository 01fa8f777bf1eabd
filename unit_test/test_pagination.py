import itertools
import unittest
from dataclasses import dataclass
from typing import Any
from unittest import mock

from komand_sentry.util import pagination
from komand_sentry.util.pagination import MOST_BARREN_PAGES, PAGE_SIZE, BrokenListing, Listing, Position, next_cursor

Page = list[dict[str, Any]]


def link(rel: str, results: str, cursor: str | None, query: str = "&") -> str:
    url = f"https://h.example/api/0/issues/1/events/?{query}" + ("" if cursor is None else f"cursor={cursor}")
    return f'<{url}>; rel="{rel}"; results="{results}"' + ("" if cursor is None else f'; cursor="{cursor}"')


class NextCursorTest(unittest.TestCase):
    def test_the_cursor_of_the_next_page_is_read(self) -> None:
        headers = {
            "0:100:0": f"{link('previous', 'false', '0:0:1')}, {link('next', 'true', '0:100:0')}",
            "1700000000000:0:0": link("previous", "true", "1700000000000:0:1", "query=a%2Cb&limit=2&")
            + ", "
            + link("next", "true", "1700000000000:0:0", "query=a%2Cb&limit=2&"),
            "1.5:2:0": f"{link('next', 'true', '1.5:2:0')}, {link('previous', 'true', '1.5:2:1')}",
            "pump, station;x=<y>:1:0": '<https://h.example/?a=b>; rel="next"; results="true"; '
            'cursor="pump, station;x=<y>:1:0"',
            "cD0yMDI0+/==": f"{link('previous', 'false', None)}, {link('next', 'true', 'cD0yMDI0+/==')}",
            "0:2:0": '<https://h.example/> ;cursor="0:2:0" ;results = "true";rel="next"',
        }
        for cursor, header in headers.items():
            with self.subTest(cursor):
                self.assertEqual(next_cursor(header), cursor)

    def test_there_is_no_next_page_where_the_header_names_none(self) -> None:
        headers = (
            "",
            f"{link('previous', 'false', '0:0:1')}, {link('next', 'false', '0:100:0')}",
            link("previous", "true", "0:0:1"),
            link("next", "false", None),
            link("next", "false", ""),
            link("previous", "true", None),
            '<https://h.example/>; rel="previous"; results="true"; cursor="0:0:1", <https://h.example/>; rel="next"',
            "garbage",
            'rel="next"; results="true"; cursor="0:100:0"',
            '<https://h.example/; rel="next"; results="true"; cursor="0:100:0"',
            "<" * 5000 + ">;" * 5000,
        )
        for header in headers:
            with self.subTest(header[:80]):
                self.assertIsNone(next_cursor(header))

    def test_where_the_attribute_is_missing_the_cursor_is_that_of_the_links_address(self) -> None:
        for url, attribute, cursor in (
            ("https://h.example/?cursor=0:100:0", "", "0:100:0"),
            ("https://h.example/?&cursor=0%3A100%3A0&limit=2", '; cursor=""', "0:100:0"),
            ("http://internal.example/?a=%26cursor%3D1&cursor=1%2B:2:0", "", "1+:2:0"),
            ("?cursor=1:2:0#x", "", "1:2:0"),
            ("https://h.example/?cursor=a:0:0&cursor=b:0:0", "", "b:0:0"),
            ("https://h.example/?cursor=other:0:0", '; cursor="own:0:0"', "own:0:0"),
        ):
            with self.subTest(url=url, attribute=attribute):
                self.assertEqual(next_cursor(f'<{url}>; rel="next"; results="true"{attribute}'), cursor)

    def test_a_next_page_without_any_cursor_breaks_the_listing_and_does_not_end_it(self) -> None:
        for header in (
            link("next", "true", None),
            link("next", "true", ""),
            f"{link('previous', 'true', '0:0:1')}, {link('next', 'true', None)}",
            '<https://h.example/?cursor=>; rel="next"; results="true"',
            '<https://[::1/?cursor=1:2:0>; rel="next"; results="true"',
            '<>; rel="next"; results="true"',
        ):
            with self.subTest(header), self.assertRaises(BrokenListing):
                next_cursor(header)


class PositionTest(unittest.TestCase):
    def test_a_position_is_written_and_read_without_loss(self) -> None:
        for text, position in {
            "": Position(),
            "0:100:0": Position("0:100:0"),
            "0:100:0@7": Position("0:100:0", 7),
            "@30": Position("", 30),
            "user@host:1:0": Position("user@host:1:0"),
            "user@host:1:0@2": Position("user@host:1:0", 2),
            "a\nb": Position("a\nb"),
        }.items():
            with self.subTest(text):
                self.assertEqual(Position.parse(text), position)
                self.assertEqual(str(position), text)


@dataclass(frozen=True)
class Server:
    """Serves `total` records. Cuts pages of `own_size` where it has one, else of what is asked for.

    `hidden` records are filtered out after the page was cut, as Sentry does. With `sized_cursor` the first page's size
    goes on through the cursor, as in Sentry's older paginator.
    """

    total: int
    own_size: int = 0
    hidden: frozenset[int] = frozenset()
    sized_cursor: bool = False

    def page(self, cursor: str, asked: int) -> tuple[Page, str | None]:
        size, start = (int(part) for part in (cursor or f"{self.own_size or asked}:0").split(":")[:2])
        size = size if self.sized_cursor else self.own_size or asked
        end = start + size
        page = [{"id": str(number)} for number in range(start, min(end, self.total)) if number not in self.hidden]
        return page, f"{size}:{end}:0" if end < self.total else None

    @property
    def visible(self) -> list[str]:
        return [str(number) for number in range(self.total) if number not in self.hidden]


def read(server: Server, limit: int = 0, cursor: str = "", size: int = 0) -> Listing:
    """Reads as the client does, pages of so many bytes."""
    listing = Listing("id", limit=limit, position=Position.parse(cursor))
    position = listing.position
    while position is not None:
        position = listing.add(*server.page(position.cursor, listing.page_size(position)), size)
    return listing


def ids(listing: Listing) -> list[str]:
    return [record["id"] for record in listing.records]


class ListingTest(unittest.TestCase):
    def test_without_a_limit_the_whole_listing_is_read(self) -> None:
        for server in (Server(0), Server(1), Server(PAGE_SIZE), Server(250), Server(7, own_size=3)):
            with self.subTest(server):
                listing = read(server)
                self.assertEqual(ids(listing), server.visible)
                self.assertFalse(listing.truncated)
                self.assertIsNone(listing.next_cursor)

    def test_a_limit_leaves_the_place_of_the_first_record_that_was_left_out(self) -> None:
        cases = {
            "in the middle of the second page": (Server(250), 130, "30:130:0"),
            "at the end of a page": (Server(250), 100, "100:100:0"),
            "inside a page that is larger than asked for": (Server(250, own_size=50), 70, "50:50:0@20"),
            "inside a first page that is larger than asked for": (Server(250, own_size=50), 20, "@20"),
            "at the end of a page of the server's own size": (Server(250, own_size=50), 150, "50:150:0"),
            "at the end of the listing": (Server(100), 100, None),
            "beyond the end of the listing": (Server(99), 100, None),
            "at the end of a last page that is larger than asked for": (Server(70, own_size=50), 70, None),
        }
        for name, (server, limit, place) in cases.items():
            with self.subTest(name):
                listing = read(server, limit)
                self.assertEqual(ids(listing), server.visible[:limit])
                self.assertEqual(listing.next_cursor, place)
                self.assertIs(listing.truncated, place is not None)

    def test_no_more_is_asked_for_than_is_wanted_and_a_page_can_hold(self) -> None:
        for limit, position, size in (
            (0, Position(), PAGE_SIZE),
            (7, Position(), 7),
            (7, Position("1:2:0", 30), 37),
            (500, Position(), PAGE_SIZE),
            (90, Position("1:2:0", 30), PAGE_SIZE),
        ):
            with self.subTest(limit=limit, position=position):
                self.assertEqual(Listing("id", limit=limit, position=position).page_size(position), size)

    def test_resuming_gives_every_record_exactly_once_whatever_the_sizes(self) -> None:
        hidden = (frozenset[int](), frozenset({0, 1, 2}), frozenset({1, 3, 5, 7}), frozenset(range(9)))
        for total, own_size, unseen, sized in itertools.product(range(9), (0, 1, 2, 3, 5, 20), hidden, (False, True)):
            server = Server(total, own_size, unseen, sized)
            for limit in range(1, 10):
                collected: list[str] = []
                cursor: str | None = ""
                while cursor is not None:
                    listing = read(server, limit, cursor)
                    self.assertLessEqual(len(listing.records), limit)
                    collected += ids(listing)
                    cursor = listing.next_cursor
                self.assertEqual(collected, server.visible, (server, limit))

    def test_resuming_with_another_limit_or_none_goes_on_at_the_same_place(self) -> None:
        server = Server(20, own_size=6)
        for first, second in itertools.product(range(1, 20), (0, 1, 5, 6, 7, 30)):
            cursor = read(server, first).next_cursor
            rest = read(server, second, cursor or "")
            self.assertEqual(ids(rest), server.visible[first:][: second or None], (first, second))

    def test_a_record_that_comes_again_counts_once(self) -> None:
        listing = Listing("id", limit=4)
        self.assertEqual(listing.add([{"id": "1"}, {"id": "2"}, {"id": "2"}], "0:3:0"), Position("0:3:0"))
        self.assertIsNone(listing.add([{"id": "2"}, {"id": "3"}, {"id": "1"}, {"id": "4"}], None))
        self.assertEqual(ids(listing), ["1", "2", "3", "4"])
        self.assertFalse(listing.truncated)

    def test_repeats_alone_behind_the_limit_leave_nothing_out(self) -> None:
        listing = Listing("id", limit=2)
        self.assertIsNone(listing.add([{"id": "1"}, {"id": "2"}, {"id": "1"}, {"id": "2"}], None))
        self.assertFalse(listing.truncated)

    def test_records_without_an_id_are_all_kept(self) -> None:
        listing = Listing("id")
        listing.add([{"title": "a"}, {"title": "a"}, {"id": None}], None)
        self.assertEqual(len(listing.records), 3)

    def test_an_empty_page_does_not_end_the_listing_while_there_is_a_next_one(self) -> None:
        listing = Listing("id")
        self.assertEqual(listing.add([], "0:100:0"), Position("0:100:0"))
        self.assertIsNone(listing.add([{"id": "1"}], None))
        self.assertEqual(ids(listing), ["1"])

    def test_a_cursor_that_comes_again_raises(self) -> None:
        for cursors in (("a:0:0", "a:0:0"), ("a:0:0", "b:0:0", "a:0:0"), ("start:0:0",)):
            with self.subTest(cursors), self.assertRaises(BrokenListing):
                listing = Listing("id", position=Position("start:0:0"))
                for number, cursor in enumerate(cursors):
                    listing.add([{"id": str(number)}], cursor)

    def test_a_full_listing_does_not_mind_where_the_server_would_go_on(self) -> None:
        listing = Listing("id", limit=2)
        listing.add([{"id": "1"}], "a:0:0")
        self.assertIsNone(listing.add([{"id": "2"}], "a:0:0"))
        self.assertEqual(ids(listing), ["1", "2"])

    def test_pages_may_be_empty_for_a_while_and_not_for_ever(self) -> None:
        for page in ([], [{"id": "0"}]):
            for fruitful in (False, True):
                with self.subTest(page=page, fruitful=fruitful):
                    listing = Listing("id")
                    listing.add([{"id": "0"}], "start:0:0")
                    for number in range(MOST_BARREN_PAGES - 1):
                        self.assertEqual(listing.add(page, f"{number}:0:0"), Position(f"{number}:0:0"))
                    if fruitful:
                        self.assertEqual(listing.add([{"id": "1"}], "more:0:0"), Position("more:0:0"))
                        self.assertEqual(listing.add(page, "on:0:0"), Position("on:0:0"))
                        self.assertEqual(ids(listing), ["0", "1"])
                    else:
                        with self.assertRaises(BrokenListing):
                            listing.add(page, "more:0:0")

    def test_the_last_of_many_empty_pages_ends_the_listing_in_peace(self) -> None:
        listing = Listing("id")
        for number in range(MOST_BARREN_PAGES - 1):
            listing.add([], f"{number}:0:0")
        self.assertIsNone(listing.add([], None))
        self.assertFalse(listing.truncated)

    def test_a_listing_as_large_as_may_be_is_cut_and_can_be_continued(self) -> None:
        server = Server(20, own_size=2)
        for name, bound in (("MOST_RECORDS", 6), ("MOST_PAGES", 3), ("MOST_LISTING_BYTES", 300)):
            for limit in (0, 100):
                with self.subTest(name=name, limit=limit), mock.patch.object(pagination, name, bound):
                    listing = read(server, limit, size=100)
                    self.assertEqual(ids(listing), server.visible[:6])
                    self.assertTrue(listing.truncated)
                    self.assertTrue(listing.is_as_large_as_may_be)
                    rest = read(server, limit, listing.next_cursor or "", size=100)
                    self.assertEqual(ids(rest), server.visible[6:12])

    def test_the_last_page_is_taken_whatever_the_size_of_the_listing(self) -> None:
        server = Server(6, own_size=2)
        for name, bound in (("MOST_RECORDS", 5), ("MOST_PAGES", 3), ("MOST_LISTING_BYTES", 300)):
            with self.subTest(name), mock.patch.object(pagination, name, bound):
                listing = read(server, size=100)
                self.assertEqual(ids(listing), server.visible)
                self.assertFalse(listing.truncated)

    def test_pages_are_counted(self) -> None:
        self.assertEqual(Listing("id").pages, 0)
        for server, pages in ((Server(0), 1), (Server(7, own_size=3), 3), (Server(250), 3)):
            with self.subTest(server):
                self.assertEqual(read(server).pages, pages)
