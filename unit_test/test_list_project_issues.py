"""List Project Issues against the sandbox and a scripted server."""

import time
import unittest
from http.server import BaseHTTPRequestHandler

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import Forbidden, UnexpectedResponse
from sandbox import Sandbox
from testing.fake_clock import FakeClock
from testing.plugin import Json
from testing.scripted_server import LAST_PAGE, Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_to, run_action
from unit_test import faults

SLUGS = {"organization_slug": "acme", "project_slug": "pump-station"}
PATH = "/api/0/projects/acme/pump-station/issues/"


def whole_seconds(moment: str) -> str:
    """The time without its fraction: Sentry orders further pages by whole seconds."""
    return moment[:19]


class TestListProjectIssues(SandboxTestCase):
    PER_SECOND = 35
    TITLES = tuple(f"Issue {number:03}" for number in range(250))

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        case = cls()
        case.setUp()
        start = int(time.time()) - 60
        for number, title in enumerate(cls.TITLES):
            # The first page ends within a second, whose issues the next page repeats.
            moment = start + number / cls.PER_SECOND
            case.submit({"message": title, "fingerprint": [title], "timestamp": moment})
        case.submit({"message": "A fatal one", "level": "fatal", "environment": "production"}, "DSN2_PUBLIC")

    def test_lists_all_issues_in_the_order_of_the_server(self) -> None:
        output = self.run_action("list_project_issues", SLUGS)
        self.assertCountEqual([issue["title"] for issue in output["issues"]], self.TITLES)
        seen = [whole_seconds(issue["lastSeen"]) for issue in output["issues"]]
        self.assertEqual(seen, sorted(seen, reverse=True))
        self.assertEqual(len(self.sandbox.requests), 3)
        self.assertEqual((output["truncated"], "next_cursor" in output), (False, False))

    def test_a_limited_list_can_be_continued_without_a_gap(self) -> None:
        first = self.run_action("list_project_issues", {**SLUGS, "limit": 120})
        self.assertEqual((len(first["issues"]), first["truncated"]), (120, True))
        self.assertEqual({request.query_string.count("limit=") for request in self.sandbox.requests}, {1})
        self.assertLess(len(self.sandbox.requests), 6)
        rest = self.run_action("list_project_issues", {**SLUGS, "cursor": first["next_cursor"]})
        # Sentry lists some issues of a second twice, on both sides of a cursor, but omits none.
        self.assertEqual({issue["title"] for issue in first["issues"] + rest["issues"]}, set(self.TITLES))
        self.assertFalse(rest["truncated"])

    def test_a_limit_within_one_second_takes_few_requests_and_can_be_continued(self) -> None:
        gate = {"organization_slug": "acme", "project_slug": "gate", "query": ""}
        moment = int(time.time()) - 30
        titles = {f"Gate {number:03}" for number in range(150)}
        with Sandbox() as sandbox:
            connection = connection_to(sandbox.base, sandbox.env["TOKEN"])
            for number, title in enumerate(sorted(titles)):
                event = {"message": title, "fingerprint": [title], "timestamp": moment + number / 1000}
                run_action("submit_event", connection, {"dsn": sandbox.env["DSN2_PUBLIC"], "event_json": event})
            sandbox.requests.clear()
            first = run_action("list_project_issues", connection, {**gate, "limit": 101})
            self.assertEqual((len(first["issues"]), first["truncated"]), (101, True))
            self.assertLessEqual(len(sandbox.requests), 4)
            rest = run_action("list_project_issues", connection, {**gate, "cursor": first["next_cursor"]})
        self.assertEqual({issue["title"] for issue in first["issues"] + rest["issues"]}, titles)
        self.assertFalse(rest["truncated"])

    def test_a_list_as_long_as_the_limit_is_not_truncated(self) -> None:
        for limit in (250, 251, 0):
            output = self.run_action("list_project_issues", {**SLUGS, "limit": limit})
            self.assertEqual((len(output["issues"]), output["truncated"]), (250, False))

    def test_query_environment_and_sort_reach_the_server(self) -> None:
        gate = {"organization_slug": "acme", "project_slug": "gate"}
        for more, count in (
            ({"query": "level:fatal"}, 1),
            ({"query": "!level:fatal"}, 0),
            ({"environment": "production"}, 1),
            ({"environment": "staging"}, 0),
            ({"sort": "freq"}, 1),
        ):
            with self.subTest(more):
                self.assertEqual(len(self.run_action("list_project_issues", {**gate, **more})["issues"]), count)

    def test_stats_have_the_requested_period_only(self) -> None:
        for period, key in (("24h", "24h"), ("14d", "14d"), ("", None)):
            issue = self.issues(statsPeriod=period, limit=1)[0]
            self.assertEqual(list(issue.get("stats") or {}), [key] if key else [])

    def test_a_short_id_is_only_looked_up_on_request(self) -> None:
        short_id = self.issues(limit=1)[0]["shortId"]
        found = self.issues(query=short_id, shortIdLookup=True)
        self.assertEqual([issue["shortId"] for issue in found], [short_id])
        self.assertEqual(self.issues(query=short_id), [])

    def test_errors_have_cause_and_assistance(self) -> None:
        cases: list[tuple[Json, str, str]] = [
            ({"project_slug": "no-such"}, "no project no-such of organization acme (404)", "slugs"),
            ({"query": "is:bogus"}, "invalid (400)", "response"),
            ({"cursor": "bogus"}, "invalid (400)", "response"),
            ({"sort": "bogus"}, "'sort' is not one of 'date'", "Correct"),
            ({"statsPeriod": "1h"}, "'statsPeriod' is not one of", "Correct"),
            ({"limit": -1}, "limit is negative", "0 for all"),
            ({"limit": "many"}, "'limit' is not an integer", "Correct"),
            ({"organization_slug": ".."}, "organization_slug is invalid", "<organization_slug>"),
            ({"organization_slug": " "}, "'organization_slug' is empty or missing", "Correct"),
        ]
        for more, cause, assistance in cases:
            with self.subTest(more), self.assertRaises(PluginException) as caught:
                self.run_action("list_project_issues", {**SLUGS, **more})
            self.assertIn(cause, caught.exception.cause)
            self.assertIn(assistance, caught.exception.assistance)

    def test_a_missing_scope_is_named(self) -> None:
        connection = connection_to(self.sandbox.base, self.sandbox.env["TOKEN_TEAMREAD"])
        with self.assertRaises(Forbidden) as caught:
            run_action("list_project_issues", connection, SLUGS)
        self.assertIn("event:read", caught.exception.assistance)


class TestRequest(unittest.TestCase):
    def sent(self, given: Json) -> dict[str, str]:
        with ScriptedServer(("GET", PATH, Answer(body=b'[{"id": "1"}]', headers=LAST_PAGE))) as server:
            run_action("list_project_issues", connection_to(server.base), {**SLUGS, **given})
            return dict(server.received[0].params)

    def test_defaults_that_differ_between_servers_are_sent(self) -> None:
        cases: list[tuple[Json, dict[str, str]]] = [
            ({}, {"query": "is:unresolved", "statsPeriod": "", "limit": "100"}),
            ({"query": "", "statsPeriod": "", "environment": "", "sort": "", "cursor": "", "limit": ""}, {}),
            ({"query": None, "all_statuses": False, "shortIdLookup": False, "limit": 0}, {}),
            ({"all_statuses": True}, {"query": ""}),
            ({"all_statuses": True, "query": "level:error"}, {"query": "level:error"}),
            ({"shortIdLookup": 1, "query": "A-1"}, {"shortIdLookup": "1", "query": "A-1"}),
            (
                {"environment": "a/b &c", "sort": "new", "limit": 7, "cursor": "1:2:0", "statsPeriod": "14d"},
                {"environment": "a/b &c", "sort": "new", "limit": "7", "cursor": "1:2:0", "statsPeriod": "14d"},
            ),
        ]
        default = {"query": "is:unresolved", "statsPeriod": "", "limit": "100"}
        for given, expected in cases:
            with self.subTest(given):
                self.assertEqual(self.sent(given), {**default, **expected})

    def test_slugs_are_encoded(self) -> None:
        project = "/api/0/projects/a%2F..%2Fb/c%3Fd%23e%25/"
        empty = Answer(body=b"[]", headers=LAST_PAGE)
        script = (("GET", f"{project}issues/", empty), ("GET", project, Answer(body=b"{}")))
        with ScriptedServer(*script) as server:
            slugs = {"organization_slug": "a/../b", "project_slug": "c?d#e%"}
            run_action("list_project_issues", connection_to(server.base), slugs)

    def test_the_host_in_a_link_header_is_ignored(self) -> None:
        link = '<https://elsewhere.example.com/?cursor=0:1:0>; rel="next"; results="true"; cursor="0:1:0"'
        script = (
            ("GET", PATH, Answer(body=b'[{"id": "1"}]', headers={"Link": link})),
            ("GET", PATH, Answer(body=b'[{"id": "2"}]')),
        )
        with ScriptedServer(*script) as server:
            output = run_action("list_project_issues", connection_to(server.base), SLUGS)
        self.assertEqual([issue["id"] for issue in output["issues"]], ["1", "2"])
        self.assertIn(("cursor", "0:1:0"), server.received[1].params)

    def test_a_list_is_truncated_after_ten_times_the_timeout(self) -> None:
        clock = FakeClock()

        def slow_page(number: int) -> Answer:
            """A page that takes nine seconds, which alone is not too slow."""

            def play(handler: BaseHTTPRequestHandler) -> None:
                clock.sleep(9.0)
                body = b'[{"id": "%d"}]' % number
                link = f'<x>; rel="next"; results="true"; cursor="{number}"'
                faults.send_head(handler, 200, {"Content-Length": str(len(body)), "Link": link})
                handler.wfile.write(body)

            return Answer(play=play)

        pages = [("GET", PATH, slow_page(number)) for number in range(23)]
        with ScriptedServer(*pages) as server, self.assertLogs("plugin.test", "INFO") as logs:
            connection = connection_to(server.base, clock=clock, timeout=20)
            output = run_action("list_project_issues", connection, SLUGS)
        self.assertEqual((len(output["issues"]), output["truncated"], output["next_cursor"]), (23, True, "22"))
        self.assertIn("Stopped at the time limit", "".join(logs.output))

    def test_a_server_that_repeats_a_page_makes_the_list_incomplete(self) -> None:
        link = '<x>; rel="next"; results="true"; cursor="0:1:0"'
        page = ("GET", PATH, Answer(body=b'[{"id": "1"}]', headers={"Link": link}))
        with ScriptedServer(page, page) as server:
            output = run_action("list_project_issues", connection_to(server.base), SLUGS)
        self.assertEqual([issue["id"] for issue in output["issues"]], ["1"])
        self.assertTrue(output["truncated"])
        self.assertNotIn("next_cursor", output)
        self.assertIn("already read", output["warning"])

    def test_a_body_that_is_not_a_list_of_issues_is_an_error(self) -> None:
        # A page of HTML is what a server without the endpoint responds with.
        organization = ("GET", "/api/0/organizations/acme/issues/", Answer(body=b"<html></html>"))
        for body in (b"{}", b"[1]", b"null", b"<html></html>"):
            script = [("GET", PATH, Answer(body=body)), *([organization] if b"html" in body else [])]
            with self.subTest(body), ScriptedServer(*script) as server, self.assertRaises(UnexpectedResponse) as caught:
                run_action("list_project_issues", connection_to(server.base), SLUGS)
            self.assertIn("project pump-station of organization acme", caught.exception.cause)
