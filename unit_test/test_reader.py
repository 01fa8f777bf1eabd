import gc
import threading
import traceback
import unittest
from http.server import BaseHTTPRequestHandler
from unittest import mock

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.connection import Connection
from komand_sentry.util.exchange import Response
from komand_sentry.util.meanwhile import Chore, meanwhile, work
from komand_sentry.util.pagination import MOST_PAGES, PAGE_SIZE, Listing, Position
from komand_sentry.util.reader import Reader
from testing.fake_clock import FakeClock
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to, run_action
from unit_test.faults import send_head

NEXT = {"Link": '<x>; rel="next"; results="true"; cursor="a"'}
SLUGS = {"organization_slug": "acme", "project_slug": "pump-station"}
PATH = "/api/0/projects/acme/pump-station/issues/"


class TestWhatIsSurelyWanted(unittest.TestCase):
    def test_a_page_is_asked_for_ahead_only_where_it_will_be_wanted_in_full(self) -> None:
        for limit, read, is_wanted in (
            (0, 0, True),
            (200, 0, True),
            (199, 0, False),
            (1000, 801, False),
            (1000, 800, True),
        ):
            with self.subTest(limit=limit, read=read):
                listing = Listing("id", limit=limit, records=[{}] * read)
                self.assertIs(listing.surely_wants("a"), is_wanted)

    def test_a_listing_that_leads_nowhere_is_not_read_ahead(self) -> None:
        listing = Listing("id", position=Position("a"))
        self.assertFalse(listing.surely_wants("a"))
        listing.add([{"id": "1"}], "b")
        self.assertFalse(listing.surely_wants("a"))
        listing.add([{"id": "1"}], "c")
        self.assertFalse(listing.surely_wants("d"), "the last page held nothing new")
        self.assertFalse(Listing("id", _cursors={str(n) for n in range(MOST_PAGES - 2)}).surely_wants("x"))
        self.assertEqual(PAGE_SIZE, 100)


def failure_of(name: str, connection: Connection) -> PluginException:
    """As it is, where assertRaises would empty the calls that it came by."""
    try:
        run_action(name, connection, SLUGS)
    except PluginException as failure:
        return failure
    raise AssertionError(f"{name} did not fail")


def held_bytes(failure: BaseException | None) -> int:
    """The texts in the variables of the calls that a failure, and what it was made of, came by."""
    if failure is None:
        return 0
    held = 0
    for frame, _ in traceback.walk_tb(failure.__traceback__):
        if frame.f_code.co_filename != __file__:
            held += sum(len(repr(value)) for value in frame.f_locals.values())
    return held + held_bytes(failure.__context__)


class TestChore(unittest.TestCase):
    def test_it_is_done_once_at_the_first_opportunity(self) -> None:
        done: list[int] = []
        chore = Chore(lambda: done.append(len(done)))
        with meanwhile(chore.do):
            self.assertEqual(done, [])
            work()
            work()
        self.assertIsNone(chore.result())
        self.assertEqual(done, [0])

    def test_there_is_an_opportunity_within_its_block_only(self) -> None:
        done: list[str] = []
        with meanwhile(lambda: done.append("outer")):
            with meanwhile(lambda: done.append("inner")):
                work()
            work()
        work()
        self.assertEqual(done, ["inner", "outer"])

    def test_it_is_done_at_the_latest_when_its_result_is_asked_for(self) -> None:
        self.assertEqual(Chore(lambda: 7).result(), 7)

    def test_its_failure_is_for_who_asks_for_its_result(self) -> None:
        def fail() -> None:
            raise LookupError("no")

        chore = Chore(fail)
        with meanwhile(chore.do):
            work()
        for _ in range(2):
            with self.assertRaises(LookupError):
                chore.result()


class TestReading(unittest.TestCase):
    def test_a_page_is_read_while_the_next_one_is_on_its_way(self) -> None:
        read, waited = threading.Event(), []
        records_of = Reader._records

        def note(reader: Reader, response: Response) -> object:
            records = records_of(reader, response)
            read.set()
            return records

        def second(handler: BaseHTTPRequestHandler) -> None:
            waited.append(read.wait(5))
            send_head(handler, 200, {"Content-Length": "2"})
            handler.wfile.write(b"[]")

        first = Answer(body=b'[{"id": "1"}]', headers=NEXT)
        with (
            mock.patch.object(Reader, "_records", note),
            ScriptedServer(("GET", PATH, first), ("GET", PATH, Answer(play=second))) as server,
        ):
            output = run_action("list_project_issues", connection_to(server.base), SLUGS)
        self.assertEqual([issue["id"] for issue in output["issues"]], ["1"])
        self.assertEqual(waited, [True])

    def test_what_is_wrong_with_a_page_comes_before_what_is_wrong_with_the_next(self) -> None:
        broken = Answer(body=b"{}", headers=NEXT)
        with ScriptedServer(("GET", PATH, broken), ("GET", PATH, Answer(status=403))) as server:
            failure = failure_of("list_project_issues", connection_to(server.base))
        self.assertIn("is not one of Sentry's", failure.cause)
        self.assertEqual(len(server.received), 2)
        self.assertNotIn("403", "".join(traceback.format_exception(failure)))

    def test_what_is_wrong_with_the_next_page_is_told_where_this_one_is_well(self) -> None:
        first = Answer(body=b'[{"id": "1"}]', headers=NEXT)
        with ScriptedServer(("GET", PATH, first), ("GET", PATH, Answer(status=403))) as server:
            failure = failure_of("list_project_issues", connection_to(server.base))
        self.assertIn("(403)", failure.cause)

    def test_the_time_of_reading_a_page_is_not_taken_for_waiting(self) -> None:
        clock = FakeClock()
        records_of = Reader._records

        def slow(reader: Reader, response: Response) -> object:
            clock.sleep(30.0)
            return records_of(reader, response)

        script = [
            ("GET", PATH, Answer(body=b'[{"id": "1"}]', headers=NEXT)),
            ("GET", PATH, Answer(status=503)),
            ("GET", PATH, Answer(body=b"[]")),
        ]
        with mock.patch.object(Reader, "_records", slow), ScriptedServer(*script) as server:
            connection = connection_to(server.base, clock=clock, timeout=20)
            output = run_action("list_project_issues", connection, SLUGS)
        self.assertEqual([issue["id"] for issue in output["issues"]], ["1"])

    def test_a_failure_holds_no_page(self) -> None:
        """The runtime keeps a failure, and so what it holds, until Python looks for circles."""
        filler = b" " * 1_000_000
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        for name, answer in (
            ("no list", Answer(body=b'{"a": "%s"}' % filler, headers=NEXT)),
            ("cut off", Answer(body=filler, headers={"Content-Length": "2000000", "Connection": "close"})),
            ("no JSON", Answer(body=filler)),
        ):
            script = [("GET", PATH, answer)] * (8 if name == "cut off" else 1)
            script += [("GET", PATH, Answer(body=b"[]"))] if name == "no list" else []
            with self.subTest(name), ScriptedServer(*script[:7]) as server:
                failure = failure_of("list_project_issues", connection_to(server.base))
                self.assertLess(held_bytes(failure), 100_000)
                responses = [value for value in gc.get_objects() if isinstance(value, Response)]
                self.assertEqual([value for value in responses if len(value.body) >= len(filler)], [])

    def test_no_page_is_asked_for_before_the_one_before_has_come(self) -> None:
        under_way, most = [0], [0]

        def page(number: int) -> Answer:
            def play(handler: BaseHTTPRequestHandler) -> None:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
                link = f'<x>; rel="next"; results="{"true" if number < 4 else "false"}"; cursor="{number}"'
                body = b'[{"id": "%d"}]' % number
                send_head(handler, 200, {"Content-Length": str(len(body)), "Link": link})
                under_way[0] -= 1
                handler.wfile.write(body)

            return Answer(play=play)

        with ScriptedServer(*[("GET", PATH, page(number)) for number in range(5)]) as server:
            output = run_action("list_project_issues", connection_to(server.base), SLUGS)
        self.assertEqual([issue["id"] for issue in output["issues"]], ["0", "1", "2", "3", "4"])
        self.assertEqual(most, [1])
