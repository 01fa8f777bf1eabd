import threading
import unittest

from komand_sentry.util.exchange import Params, Response
from komand_sentry.util.pagination import MOST_PAGES, PAGE_SIZE, Listing, Position
from komand_sentry.util.reader import Ahead
from unit_test.faults import send_head
from unit_test.scripted_server import Answer, ScriptedServer
from unit_test.support import connection_to, run_action

FIRST: Params = (("limit", "100"),)
SECOND: Params = (("limit", "100"), ("cursor", "a"))
SLUGS = {"organization_slug": "acme", "project_slug": "pump-station"}
PATH = "/api/0/projects/acme/pump-station/issues/"


class TestAhead(unittest.TestCase):
    def test_the_next_page_is_got_while_the_present_one_is_read(self) -> None:
        asked = threading.Event()

        def fetch(params: Params) -> Response:
            if params == SECOND:
                asked.set()
            return Response(200, {}, repr(params).encode())

        before = threading.active_count()
        with Ahead(fetch) as pages:
            self.assertEqual(pages.get(FIRST).body, repr(FIRST).encode())
            pages.ask(SECOND)
            self.assertTrue(asked.wait(5))
            self.assertEqual(pages.get(SECOND).body, repr(SECOND).encode())
        self.assertEqual(threading.active_count(), before)

    def test_a_page_that_is_not_the_one_that_was_asked_for_is_got_itself(self) -> None:
        fetched: list[Params] = []

        def fetch(params: Params) -> Response:
            fetched.append(params)
            return Response(200, {}, repr(params).encode())

        with Ahead(fetch) as pages:
            pages.ask(SECOND)
            self.assertEqual(pages.get(FIRST).body, repr(FIRST).encode())
        self.assertEqual(sorted(fetched), sorted([FIRST, SECOND]))

    def test_the_failure_of_a_page_comes_where_the_page_would(self) -> None:
        def fetch(params: Params) -> Response:
            raise LookupError(repr(params))

        with Ahead(fetch) as pages:
            pages.ask(SECOND)
            with self.assertRaises(LookupError):
                pages.get(SECOND)


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


class TestReading(unittest.TestCase):
    def test_no_page_is_asked_for_before_the_one_before_has_come(self) -> None:
        under_way, most = [0], [0]

        def page(number: int) -> Answer:
            def play(handler: object) -> None:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
                link = f'<x>; rel="next"; results="{"true" if number < 4 else "false"}"; cursor="{number}"'
                body = b'[{"id": "%d"}]' % number
                send_head(handler, 200, {"Content-Length": str(len(body)), "Link": link})  # type: ignore[arg-type]
                under_way[0] -= 1
                handler.wfile.write(body)  # type: ignore[attr-defined]

            return Answer(play=play)

        with ScriptedServer(*[("GET", PATH, page(number)) for number in range(5)]) as server:
            output = run_action("list_project_issues", connection_to(server.base), SLUGS)
        self.assertEqual([issue["id"] for issue in output["issues"]], ["0", "1", "2", "3", "4"])
        self.assertEqual(most, [1])
