"""List Issue Events against the sandbox and a scripted server."""

import time
import unittest

from insightconnect_plugin_runtime.exceptions import PluginException

from testing.plugin import Json
from testing.scripted_server import LAST_PAGE, Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_to, run_action


class TestListIssueEvents(SandboxTestCase):
    # So that neither pages nor limits end with a second, whose events have no order.
    PER_SECOND = 35
    issue_id: str
    event_ids: list[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        case = cls()
        case.setUp()
        start = int(time.time()) - 60
        cls.event_ids = [
            case.submit(
                {
                    "exception": {"type": "ValveTimeout", "value": f"Attempt {number}"},
                    "fingerprint": ["valve"],
                    "environment": "production" if number % 10 == 0 else "staging",
                    "modules": {"requests": "2.32.0"},
                    "contexts": {"os": {"name": "Linux"}},
                    "timestamp": start + number // cls.PER_SECOND,
                }
            )
            for number in range(250)
        ]
        cls.issue_id = case.issues()[0]["id"]

    def test_lists_all_events_newest_first(self) -> None:
        output = self.run_action("list_issue_events", {"issue_id": self.issue_id})
        self.assert_complete(output["events"])
        self.assertFalse(output["truncated"])
        self.assertNotIn("warning", output)
        # Two pages repeat the events of a second that the page before them ended in.
        self.assertEqual(len(self.sandbox.requests), 4)

    def assert_complete(self, events: list[Json]) -> None:
        """Assert that each event is listed once, newest second first."""
        self.assertCountEqual([event["eventID"] for event in events], self.event_ids)
        created = [event["dateCreated"] for event in events]
        self.assertEqual(created, sorted(created, reverse=True))

    def test_a_limited_list_can_be_continued_without_a_gap(self) -> None:
        first = self.run_action("list_issue_events", {"issue_id": self.issue_id, "limit": 120, "full": False})
        self.assertEqual((len(first["events"]), first["truncated"], len(self.sandbox.requests)), (120, True, 2))
        params = {"issue_id": self.issue_id, "full": False, "cursor": first["next_cursor"]}
        rest = self.run_action("list_issue_events", params)
        self.assert_complete(first["events"] + rest["events"])
        self.assertFalse(rest["truncated"])

    def test_events_are_full_by_default(self) -> None:
        for full in (True, False):
            params = {"issue_id": self.issue_id, "limit": 1, "full": full}
            event = self.run_action("list_issue_events", params)["events"][0]
            for key in ("entries", "packages", "contexts", "errors"):
                self.assertEqual(key in event, full, key)
        event = self.run_action("list_issue_events", {"issue_id": self.issue_id, "limit": 1})["events"][0]
        self.assertEqual(event["packages"], {"requests": "2.32.0"})
        self.assertEqual(event["entries"][0]["data"]["values"][0]["type"], "ValveTimeout")

    def test_filters_by_environment(self) -> None:
        for environment, count in (("production", 25), ("no-such", 0)):
            output = self.run_action("list_issue_events", {"issue_id": self.issue_id, "environment": environment})
            self.assertEqual(len(output["events"]), count)

    def test_issue_id_is_a_number_or_a_permalink(self) -> None:
        for issue_id in (
            self.issue_id,
            int(self.issue_id),
            f"https://sentry.io/organizations/acme/issues/{self.issue_id}/",
            f"https://acme.sentry.io/issues/{self.issue_id}/?project=2",
            f"{self.sandbox.base}/acme/pump-station/issues/{self.issue_id}/",
        ):
            with self.subTest(issue_id):
                output = self.run_action("list_issue_events", {"issue_id": issue_id, "limit": 1, "full": False})
                self.assertEqual(len(output["events"]), 1)

    def test_errors_have_cause_and_assistance(self) -> None:
        for issue_id, cause in (
            ("99999", "no issue 99999 (404)"),
            ("PUMP-STATION-ZZZ", "no issue PUMP-STATION-ZZZ (404)"),
            ("PUMP STATION", "issue_id is invalid: it is neither"),
            ("../projects", "issue_id is invalid: it is neither"),
            ("https://acme.sentry.io/settings/", "issue_id is invalid: the URL is not"),
            ("", "'issue_id' is empty or missing"),
        ):
            with self.subTest(issue_id), self.assertRaises(PluginException) as caught:
                self.run_action("list_issue_events", {"issue_id": issue_id})
            self.assertIn(cause, caught.exception.cause)
            self.assertTrue(caught.exception.assistance)


class TestRequest(unittest.TestCase):
    def test_an_empty_rest_of_a_list_is_not_checked(self) -> None:
        empty = Answer(body=b"[]", headers=LAST_PAGE)
        with ScriptedServer(("GET", "/api/0/issues/5/events/", empty)) as server:
            params = {"issue_id": "5", "cursor": "0:100:0"}
            output = run_action("list_issue_events", connection_to(server.base), params)
        self.assertEqual((output["events"], output["truncated"]), ([], False))

    def test_full_is_sent_only_when_true(self) -> None:
        for given, expected in (
            ({}, [("full", "1"), ("per_page", "100")]),
            ({"full": True, "limit": 3}, [("full", "1"), ("per_page", "3")]),
            ({"full": False, "environment": "e"}, [("environment", "e"), ("per_page", "100")]),
        ):
            page = Answer(body=b'[{"eventID": "1"}]', headers=LAST_PAGE)
            with self.subTest(given), ScriptedServer(("GET", "/api/0/issues/5/events/", page)) as server:
                run_action("list_issue_events", connection_to(server.base), {"issue_id": "5", **given})
                self.assertEqual(server.received[0].params, expected)
