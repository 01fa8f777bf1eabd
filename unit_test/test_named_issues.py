"""Actions on several issues change only issues that the user named, and say what is uncertain."""

import json
import unittest
from typing import Any

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import ConnectionFailed, InvalidInput
from komand_sentry.util.sentry.event_lookup import is_event_of
from sandbox import Sandbox
from testing.fake_clock import FakeClock
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to, run_action

ISSUES = "/api/0/organizations/acme/issues/"

Script = tuple[str, str, Answer]


def record(number: int, **attributes: Any) -> Json:
    link = f"https://acme.sentry.io/issues/{number}/"
    issue = {"id": str(number), "shortId": f"PUMP-{number}", "status": "unresolved", "permalink": link}
    return {**issue, **attributes}


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode())


def get(name: str | int, body: Json) -> Script:
    return ("GET", f"{ISSUES}{name}/", answer(body))


class TestMergedShortIDs(unittest.TestCase):
    def test_the_short_id_of_a_merged_issue_does_not_delete_the_one_that_remains(self) -> None:
        with Sandbox(merge_seconds=0) as sandbox:
            connection = connection_to(sandbox.base, sandbox.env["TOKEN"])
            for message in ("First", "Second"):
                event = {"message": message}
                run_action("submit_event", connection, {"dsn": sandbox.env["DSN_PUBLIC"], "event_json": event})
            slugs = {"organization_slug": sandbox.env["ORG"], "project_slug": sandbox.env["PROJECT"]}
            issues = run_action("list_project_issues", connection, slugs)["issues"]
            organization = {"organization_slug": sandbox.env["ORG"]}
            ids = [issue["id"] for issue in issues]
            merged = run_action("merge_issues", connection, {**organization, "issue_ids": ids})["merged"]
            short_id = next(issue["shortId"] for issue in issues if issue["id"] in merged)
            output = run_action("delete_issues", connection, {**organization, "issue_ids": [short_id], "confirm": 1})
            self.assertEqual(output["deleted"], [])
            self.assertIn("merged into", output["results"][0]["error"])
            self.assertEqual(len(run_action("list_project_issues", connection, slugs)["issues"]), 1)


class TestOtherServers(unittest.TestCase):
    FOREIGN = "https://sentry.other.example/organizations/acme/issues/5/"

    def run_on(self, name: str, params: Json, *script: Script) -> tuple[Json, list[str]]:
        with ScriptedServer(*script) as server:
            output = run_action(name, connection_to(server.base), {"organization_slug": "acme", **params})
        return output, [received.method for received in server.received]

    def test_a_permalink_of_another_server_names_no_issue_of_this_one(self) -> None:
        for name, params in (
            ("delete_issues", {"confirm": 1}),
            ("update_issues", {"status": "resolved", "dry_run": False}),
        ):
            with self.subTest(name):
                output, methods = self.run_on(name, {"issue_ids": [self.FOREIGN], **params}, get(5, record(5)))
                self.assertEqual(methods, ["GET"])
                self.assertIn("sentry.other.example", output["results"][0]["error"])
                self.assertFalse(output["results"][0]["changed"])

    def test_the_permalink_that_the_server_itself_uses_names_the_issue(self) -> None:
        deleted = ("DELETE", f"{ISSUES}5/", Answer(202))
        found = get(5, record(5, permalink=self.FOREIGN))
        output, _ = self.run_on("delete_issues", {"issue_ids": [self.FOREIGN], "confirm": 1}, found, deleted)
        self.assertEqual(output["deleted"], ["5"])

    def test_a_token_among_the_ids_is_not_in_the_output(self) -> None:
        token = "sntryu_" + "0123456789abcdef" * 4
        output, _ = self.run_on(
            "delete_issues",
            {"issue_ids": [token, "5"], "confirm": 2},
            get(5, record(5)),
            ("DELETE", f"{ISSUES}5/", Answer(202)),
        )
        self.assertNotIn(token, json.dumps(output))


class TestUncertainChanges(unittest.TestCase):
    def test_a_page_of_a_firewall_is_not_a_deletion(self) -> None:
        page = Answer(200, b"<html><title>Blocked</title></html>")
        with ScriptedServer(get(5, record(5)), ("DELETE", f"{ISSUES}5/", page)) as server:
            params = {"organization_slug": "acme", "issue_ids": ["5"], "confirm": 1}
            output = run_action("delete_issues", connection_to(server.base), params)
        self.assertEqual(output["deleted"], [])
        self.assertIn("may have deleted", output["results"][0]["error"])

    def test_a_gateway_timeout_may_hide_a_change(self) -> None:
        script = [get(5, record(5)), *[("PUT", f"{ISSUES}5/", answer({}, 504))] * 8]
        with ScriptedServer(*script) as server, self.assertRaises(PluginException) as caught:
            params = {"organization_slug": "acme", "issue_ids": ["5"], "status": "resolved", "dry_run": False}
            run_action("update_issues", connection_to(server.base, timeout=3600), params)
        self.assertIn("may have made the change", caught.exception.assistance)

    def test_an_issue_with_odd_details_does_not_hide_the_others(self) -> None:
        odd = record(5, status="resolved", statusDetails="x")
        script = [get(5, record(5)), get(6, record(6)), ("PUT", f"{ISSUES}5/", answer(odd))]
        done = record(6, status="resolved", statusDetails={"inRelease": "1.0"})
        with ScriptedServer(*script, ("PUT", f"{ISSUES}6/", answer(done))) as server:
            params = {"organization_slug": "acme", "issue_ids": ["5", "6"], "status": "resolved", "inRelease": "1.0"}
            output = run_action("update_issues", connection_to(server.base), {**params, "dry_run": False})
        self.assertEqual([result["changed"] for result in output["results"]], [True, True])
        self.assertIn("inRelease", output["results"][0]["error"])


class TestLimits(unittest.TestCase):
    def refusal_of(self, name: str, params: Json) -> InvalidInput:
        with ScriptedServer() as server, self.assertRaises(InvalidInput) as caught:
            run_action(name, connection_to(server.base), {"organization_slug": "acme", **params})
        return caught.exception

    def test_too_many_ids_send_nothing(self) -> None:
        ids = [str(number) for number in range(1, 1003)]
        self.assertIn("1000", self.refusal_of("delete_issues", {"issue_ids": ids, "confirm": 1002}).cause)
        self.assertIn("at most 100", self.refusal_of("merge_issues", {"issue_ids": ids[:101]}).cause)

    def test_a_server_that_answers_slowly_ends_the_step_before_any_change(self) -> None:
        clock = FakeClock()
        with ScriptedServer(*[get(number, record(number)) for number in (1, 2, 3)]) as server:
            connection = connection_to(server.base, clock=clock, timeout=2)
            send = connection.client.transport.send

            def slow_send(*args: Any, **kwargs: Any) -> Any:
                response = send(*args, **kwargs)
                clock.sleep(9.0)
                return response

            connection.client.transport.send = slow_send  # type: ignore[method-assign]
            params = {"organization_slug": "acme", "issue_ids": ["1", "2", "3", "4"], "confirm": 4}
            with self.assertRaises(ConnectionFailed) as caught:
                run_action("delete_issues", connection, params)
        self.assertIn("nothing was changed", str(caught.exception.data))


class TestEventOfTheProject(unittest.TestCase):
    def test_the_same_event_id_of_another_project_is_not_the_submitted_event(self) -> None:
        event_id = "a" * 32
        for found, expected in (
            ({"eventId": event_id, "event": {"projectID": "2"}}, True),
            ({"groupId": "5"}, True),
            ({"eventId": "4711", "event": {"eventID": event_id, "projectID": "2"}}, True),
            ({"eventId": "4711", "event": {"eventID": "b" * 32, "projectID": "2"}}, False),
            ({"eventId": "b" * 32}, False),
            ({"eventId": event_id, "event": {"projectID": "3"}}, False),
        ):
            with self.subTest(found):
                self.assertIs(is_event_of(found, event_id, "2"), expected)


class TestTokenInABody(unittest.TestCase):
    def test_a_comment_with_the_token_is_not_sent(self) -> None:
        token = "sntryu_" + "0123456789abcdef" * 4
        with ScriptedServer() as server, self.assertRaises(InvalidInput) as caught:
            params = {"issue_id": "5", "text": f"Log in with {token}"}
            run_action("add_comment", connection_to(server.base, token), params)
        self.assertNotIn(token, str(caught.exception))
