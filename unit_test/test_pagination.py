"""Reading a list page by page: the Link header, limits, resuming, and servers that repeat pages."""

import gc
import itertools
import logging
import traceback
import unittest
from dataclasses import dataclass, field
from unittest import mock

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import InvalidInput
from komand_sentry.util.errors.factory import ErrorContext
from komand_sentry.util.errors.redaction import RedactingLogger
from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.messages import Params, Response
from komand_sentry.util.http.time_budget import TimeBudget
from komand_sentry.util.http.transport import Transport
from komand_sentry.util.sentry import pagination
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.sentry.pagination import (
    MAX_EMPTY_PAGES,
    PAGE_SIZE,
    ListSpec,
    Page,
    PageRange,
    PaginationError,
    RecordList,
    next_cursor,
    read_list,
)
from komand_sentry.util.sentry.server import Server
from testing.fake_clock import FakeClock
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to, run_action

CONTEXT = ErrorContext("project pump-station")
SLUGS = {"organization_slug": "acme", "project_slug": "pump-station"}
PATH = "/api/0/projects/acme/pump-station/issues/"
NEXT = {"Link": '<x>; rel="next"; results="true"; cursor="a"'}


def link(rel: str, results: str, cursor: str | None, query: str = "&") -> str:
    url = f"https://h.example/api/0/issues/1/events/?{query}" + ("" if cursor is None else f"cursor={cursor}")
    return f'<{url}>; rel="{rel}"; results="{results}"' + ("" if cursor is None else f'; cursor="{cursor}"')


class TestNextCursor(unittest.TestCase):
    def test_reads_the_cursor_of_the_next_page(self) -> None:
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

    def test_returns_none_if_there_is_no_next_page(self) -> None:
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

    def test_reads_the_cursor_from_the_url_if_the_attribute_is_missing(self) -> None:
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

    def test_rejects_a_next_page_without_a_cursor(self) -> None:
        for header in (
            link("next", "true", None),
            link("next", "true", ""),
            f"{link('previous', 'true', '0:0:1')}, {link('next', 'true', None)}",
            '<https://h.example/?cursor=>; rel="next"; results="true"',
            '<https://[::1/?cursor=1:2:0>; rel="next"; results="true"',
            '<>; rel="next"; results="true"',
        ):
            with self.subTest(header), self.assertRaises(PaginationError):
                next_cursor(header)


def unchanged(record: Record) -> Record:
    return record


SPEC = ListSpec("id", "limit", unchanged)


def http_client(seconds: float = 60) -> RetryingClient:
    log = RedactingLogger(LOGGER, ())
    return RetryingClient(Transport(), TimeBudget(seconds, FakeClock()), log, lambda: 0.0, lambda *_: None)


@dataclass(frozen=True)
class FakeList:
    """A list of `total` records on a server.

    :param own_size: the largest page, 0 for no maximum
    :param ignores_size: each page has `own_size` records, even if fewer are requested
    :param hidden: records that the server filters out after it cut the page, as Sentry does
    :param page_bytes: size of each page
    :param page_values: number of JSON values of each page
    """

    total: int
    own_size: int = 0
    ignores_size: bool = False
    hidden: frozenset[int] = frozenset()
    page_bytes: int = 0
    page_values: int = 0
    requests: list[dict[str, str]] = field(default_factory=list, compare=False, repr=False)

    @property
    def visible(self) -> list[str]:
        return [str(number) for number in range(self.total) if number not in self.hidden]

    def fetch(self, params: Params) -> Page:
        request = dict(params)
        self.requests.append(request)
        start, requested = int(request.get("cursor", "0:0:0").split(":")[1]), int(request["limit"])
        end = start + (self.own_size if self.ignores_size else min(requested, self.own_size or requested))
        records = [{"id": str(number)} for number in range(start, min(end, self.total)) if number not in self.hidden]
        return Page(records, f"0:{end}:0" if end < self.total else None, size=self.page_bytes, values=self.page_values)

    def read(self, limit: int = 0, cursor: str = "") -> RecordList:
        return read_list(self.fetch, SPEC, PageRange(limit, cursor), CONTEXT, HTTP)


def read_pages(*pages: Page, limit: int = 0, cursor: str = "", spec: ListSpec = SPEC) -> RecordList:
    """Read a list whose server returns these pages in this order. All of them must be requested."""
    rest = list(pages)
    result = read_list(lambda _: rest.pop(0), spec, PageRange(limit, cursor), CONTEXT, HTTP)
    assert not rest, f"not requested: {rest}"
    return result


def page(*numbers: int, cursor: str | None = None) -> Page:
    return Page([{"id": str(number)} for number in numbers], cursor)


def ids(records: RecordList) -> list[str]:
    return [record["id"] for record in records.records]


class TestReadList(unittest.TestCase):
    def test_reads_all_pages_if_there_is_no_limit(self) -> None:
        for server, pages in (
            (FakeList(0), 1),
            (FakeList(1), 1),
            (FakeList(PAGE_SIZE), 1),
            (FakeList(250), 3),
            (FakeList(7, own_size=3), 3),
        ):
            with self.subTest(server), self.assertLogs(LOGGER, "INFO") as logs:
                result = server.read()
                self.assertEqual((ids(result), result.truncated, result.next_cursor), (server.visible, False, None))
                self.assertEqual(len(server.requests), pages)
                self.assertIn(
                    f"Read {server.total} records of project pump-station in {pages} page(s)", logs.output[-1]
                )

    def test_requests_only_as_many_records_as_the_limit_leaves(self) -> None:
        for limit, sizes in ((0, [100, 100, 100]), (7, [7]), (100, [100]), (230, [100, 100, 30]), (999, [100] * 3)):
            server = FakeList(250)
            server.read(limit)
            self.assertEqual([int(request["limit"]) for request in server.requests], sizes)

    def test_a_limit_truncates_the_list_and_names_the_next_page(self) -> None:
        for server, limit, cursor in (
            (FakeList(250), 130, "0:130:0"),
            (FakeList(250), 100, "0:100:0"),
            (FakeList(250, own_size=50), 150, "0:150:0"),
            (FakeList(250, own_size=50), 70, "0:70:0"),
            (FakeList(250, own_size=50, ignores_size=True), 100, "0:100:0"),
            (FakeList(100), 100, None),
            (FakeList(99), 100, None),
            (FakeList(70, own_size=50, ignores_size=True), 70, None),
        ):
            with self.subTest(server, limit=limit):
                result = server.read(limit)
                self.assertEqual(ids(result), server.visible[:limit])
                self.assertEqual((result.truncated, result.next_cursor), (cursor is not None, cursor))

    def test_a_page_with_more_records_than_requested_is_cut_and_cannot_be_continued(self) -> None:
        for limit in (20, 70):
            server = FakeList(250, own_size=50, ignores_size=True)
            result = server.read(limit)
            self.assertEqual((ids(result), result.truncated, result.next_cursor), (server.visible[:limit], True, None))
        last_page = FakeList(40, own_size=50, ignores_size=True).read(20)
        self.assertEqual((len(last_page.records), last_page.truncated, last_page.next_cursor), (20, True, None))

    def test_resuming_returns_every_record_exactly_once(self) -> None:
        hidden = (frozenset[int](), frozenset({0, 1, 2}), frozenset({1, 3, 5, 7}), frozenset(range(9)))
        for total, own_size, filtered, limit in itertools.product(range(9), (0, 1, 2, 3, 5, 20), hidden, range(1, 10)):
            server = FakeList(total, own_size, hidden=filtered)
            collected: list[str] = []
            cursor: str | None = ""
            while cursor is not None:
                result = server.read(limit, cursor)
                self.assertLessEqual(len(result.records), limit)
                self.assertEqual(result.truncated, result.next_cursor is not None)
                collected += ids(result)
                cursor = result.next_cursor
            self.assertEqual(collected, server.visible, (server, limit))

    def test_a_list_can_be_resumed_with_another_limit(self) -> None:
        for first, second in itertools.product(range(1, 20), (0, 1, 5, 6, 7, 30)):
            server = FakeList(20, own_size=6)
            rest = server.read(second, server.read(first).next_cursor or "")
            self.assertEqual(ids(rest), server.visible[first:][: second or None], (first, second))

    def test_a_cursor_of_version_2_0_0_starts_at_the_beginning_of_its_page(self) -> None:
        for given, sent in (
            ("0:100:0", "0:100:0"),
            ("0:100:0@3", "0:100:0"),
            ("@30", None),
            ("user@host:1:0", "user@host:1:0"),
            ("user@host:1:0@2", "user@host:1:0"),
        ):
            with self.subTest(given):
                server = FakeList(250)
                server.read(1, given)
                self.assertEqual(server.requests[0].get("cursor"), sent)

    def test_a_negative_limit_is_invalid(self) -> None:
        server = FakeList(1)
        with self.assertRaises(InvalidInput) as caught:
            server.read(-1)
        self.assertIn("limit", caught.exception.cause)
        self.assertEqual(server.requests, [])


class TestRecords(unittest.TestCase):
    def test_a_repeated_record_is_returned_once(self) -> None:
        result = read_pages(page(1, 2, 2, cursor="0:3:0"), page(2, 3, 1, 4), limit=4)
        self.assertEqual((ids(result), result.truncated), (["1", "2", "3", "4"], False))

    def test_repeated_records_after_the_limit_do_not_truncate_the_list(self) -> None:
        result = read_pages(page(1, 2, 1, 2), limit=2)
        self.assertEqual((ids(result), result.truncated), (["1", "2"], False))

    def test_records_without_an_id_are_all_returned(self) -> None:
        result = read_pages(Page([{"title": "a"}, {"title": "a"}, {"id": None}], None))
        self.assertEqual(len(result.records), 3)

    def test_each_record_of_a_page_is_normalized_once(self) -> None:
        normalized: list[str] = []

        def normalize(record: Record) -> Record:
            normalized.append(record["id"])
            return {**record, "is_normalized": True}

        spec = ListSpec("id", "limit", normalize)
        result = read_pages(page(1, 2, cursor="a"), page(2, 3, 4), limit=3, spec=spec)
        self.assertEqual(normalized, ["1", "2", "2", "3", "4"])
        self.assertEqual(ids(result), ["1", "2", "3"])
        self.assertTrue(all(record["is_normalized"] for record in result.records))


class TestServersThatDoNotEnd(unittest.TestCase):
    def test_an_empty_page_does_not_end_the_list(self) -> None:
        self.assertEqual(ids(read_pages(page(cursor="0:100:0"), page(1))), ["1"])

    def test_a_repeated_cursor_ends_the_list_with_a_warning(self) -> None:
        for cursors in (("a:0:0", "a:0:0"), ("a:0:0", "b:0:0", "a:0:0"), ("start:0:0",)):
            pages = [page(number, cursor=cursor) for number, cursor in enumerate(cursors)]
            with self.subTest(cursors):
                result = read_pages(*pages, cursor="start:0:0")
                self.assertEqual(ids(result), [str(number) for number in range(len(cursors))])
                self.assertEqual((result.truncated, result.next_cursor), (True, None))
                self.assertIn("already read", str(result.warning))

    def test_a_repeated_cursor_after_the_limit_is_not_followed(self) -> None:
        result = read_pages(page(1, cursor="a:0:0"), page(2, cursor="a:0:0"), limit=2)
        self.assertEqual((ids(result), result.warning), (["1", "2"], None))

    def test_too_many_pages_without_new_records_end_the_list_with_a_warning(self) -> None:
        for numbers in ((), (0,)):
            useless = [page(*numbers, cursor=f"{number}:0:0") for number in range(MAX_EMPTY_PAGES)]
            with self.subTest(numbers):
                result = read_pages(page(0, cursor="start:0:0"), *useless)
                self.assertEqual((ids(result), result.truncated, result.next_cursor), (["0"], True, None))
                self.assertIn(f"{MAX_EMPTY_PAGES} pages", str(result.warning))
                result = read_pages(page(0, cursor="start:0:0"), *useless[1:], page(1, cursor="more:0:0"), page(2))
                self.assertEqual((ids(result), result.truncated, result.warning), (["0", "1", "2"], False, None))

    def test_a_last_page_after_many_empty_ones_ends_the_list(self) -> None:
        empty = [page(cursor=f"{number}:0:0") for number in range(MAX_EMPTY_PAGES - 1)]
        self.assertFalse(read_pages(*empty, page()).truncated)


class TestMaximumSize(unittest.TestCase):
    def test_a_list_of_the_maximum_size_is_truncated_and_can_be_continued(self) -> None:
        for name, maximum in (("MAX_RECORDS", 6), ("MAX_LIST_BYTES", 300), ("MAX_LIST_VALUES", 30)):
            for limit in (0, 100):
                server = FakeList(20, own_size=2, page_bytes=100, page_values=10)
                with self.subTest(name, limit=limit), mock.patch.object(pagination, name, maximum):
                    with self.assertLogs(LOGGER, "INFO") as logs:
                        result = server.read(limit)
                    self.assertEqual((ids(result), result.truncated), (server.visible[:6], True))
                    self.assertIn("Stopped at the maximum size", "".join(logs.output))
                    self.assertEqual(ids(server.read(limit, result.next_cursor or "")), server.visible[6:12])

    def test_a_list_that_ends_at_the_maximum_size_is_complete(self) -> None:
        for name, maximum in (("MAX_RECORDS", 5), ("MAX_LIST_BYTES", 300), ("MAX_LIST_VALUES", 30)):
            server = FakeList(6, own_size=2, page_bytes=100, page_values=10)
            with self.subTest(name), mock.patch.object(pagination, name, maximum):
                result = server.read()
                self.assertEqual((ids(result), result.truncated), (server.visible, False))


class TestFailures(unittest.TestCase):
    def test_a_failure_of_a_later_page_ends_the_list_with_a_warning(self) -> None:
        first = Answer(body=b'[{"id": "1"}]', headers=NEXT)
        with (
            ScriptedServer(("GET", PATH, first), ("GET", PATH, Answer(status=403))) as server,
            self.assertLogs("plugin.test", "WARNING") as logs,
        ):
            output = run_action("list_project_issues", connection_to(server.base), SLUGS)
        self.assertEqual([issue["id"] for issue in output["issues"]], ["1"])
        self.assertEqual((output["truncated"], output["next_cursor"]), (True, "a"))
        # The reason, and what to do about it.
        self.assertIn("(403)", output["warning"])
        self.assertIn("event:read", output["warning"])
        self.assertIn(output["warning"], "".join(logs.output))

    def test_a_failure_of_the_first_page_fails_the_step(self) -> None:
        with ScriptedServer(("GET", PATH, Answer(status=403))) as server:
            self.assertIn("(403)", failure_of(server.base).cause)

    def test_the_time_to_process_a_page_is_not_waiting(self) -> None:
        http = http_client(seconds=20)

        def normalize(record: Record) -> Record:
            http.budget.clock.sleep(30.0)
            return record

        script = [Answer(body=b'[{"id": "1"}]', headers=NEXT), Answer(status=503), Answer(body=b"[]")]
        with ScriptedServer(*(("GET", "/api/0/issues/", answer) for answer in script)) as server:
            api = API(Server(server.base), "a-token", http)
            result = read_list(
                lambda params: api.get_page(("issues",), CONTEXT, params),
                ListSpec("id", "limit", normalize),
                PageRange(),
                CONTEXT,
                http,
            )
        self.assertEqual(ids(result), ["1"])

    def test_a_failed_step_holds_no_response_body(self) -> None:
        """The runtime keeps the exception after the step."""
        filler = b" " * 1_000_000
        cut_off = Answer(body=filler, headers={"Content-Length": "2000000", "Connection": "close"})
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        for name, answers in (
            ("not a list", [Answer(body=b'{"a": "%s"}' % filler, headers=NEXT)]),
            ("cut off", [cut_off] * 7),
            ("blank", [Answer(body=filler)] * 7),
            ("not JSON", [Answer(body=b"no" + filler)]),
        ):
            with self.subTest(name), ScriptedServer(*(("GET", PATH, answer) for answer in answers)) as server:
                failure = failure_of(server.base)
                self.assertLess(held_bytes(failure), 100_000)
                responses = [value for value in gc.get_objects() if isinstance(value, Response)]
                self.assertEqual([value for value in responses if len(value.body) >= len(filler)], [])


def failure_of(url: str) -> PluginException:
    """The exception of a step. Unlike this function, assertRaises would clear the frames of the exception."""
    try:
        run_action("list_project_issues", connection_to(url), SLUGS)
    except PluginException as failure:
        return failure
    raise AssertionError("the step did not fail")


def held_bytes(failure: BaseException | None) -> int:
    """The length of all local variables that the frames of an exception and of its context hold."""
    if failure is None:
        return 0
    held = 0
    for frame, _ in traceback.walk_tb(failure.__traceback__):
        if frame.f_code.co_filename != __file__:
            held += sum(len(repr(value)) for value in frame.f_locals.values())
    return held + held_bytes(failure.__context__)


LOGGER = logging.getLogger("plugin.test")
HTTP = http_client()
