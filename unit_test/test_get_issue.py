"""Get Issue against the sandbox and a scripted server."""

import json
import unittest

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import Forbidden, NotFound, RateLimited, ServerFailed, Unauthorized
from testing.scripted_server import Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_params, connection_to, message, run_action
from unit_test.test_event_details import EVENTS, sample

ISSUE, EVENT = sample("python")
PATH = "/api/0/organizations/acme/issues/31/"
ISSUE_FOUND = ("GET", PATH, Answer(body=json.dumps(ISSUE).encode()))
NOT_FOUND = Answer(404, b'{"detail": "The requested resource does not exist"}')


class TestGetIssue(SandboxTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.submit(
            {
                "exception": {
                    "type": "ValveTimeout",
                    "value": "Valve V-7 did not open",
                    "stacktrace": {"frames": [{"function": "open_valve", "lineno": 7, "in_app": True}]},
                },
                "environment": "production",
                "release": "pumps@2.4.1",
            }
        )
        self.issue = self.issues()[0]
        self.sandbox.requests.clear()

    def test_issue_with_details_and_summary(self) -> None:
        params = {"issue_id": self.issue["shortId"], "organization_slug": self.sandbox.env["ORG"]}
        message("get_issue", params, connection_params(self.sandbox))
        output = self.run_action("get_issue", params)
        self.assertEqual(output["issue"]["id"], self.issue["id"])
        self.assertLessEqual({"activity", "tags", "participants", "lastRelease"}, output["issue"].keys())
        for text in (
            "**ValveTimeout: Valve V-7 did not open**\n",
            f"[{self.issue['shortId']}]({self.issue['permalink']})",
            "- Release: `pumps@2.4.1`\n- Environment: `production`\n",
            "open_valve",
        ):
            self.assertIn(text, output["summary"])
        self.assertEqual(len(self.sandbox.requests), 2)

    def test_issue_id_is_a_number_or_a_permalink(self) -> None:
        for issue_id in (self.issue["id"], self.issue["permalink"]):
            with self.subTest(issue_id):
                self.assertEqual(self.run_action("get_issue", {"issue_id": issue_id})["issue"]["id"], self.issue["id"])

    def test_errors_have_cause_and_assistance(self) -> None:
        for issue_id, cause in (
            ("99999", "no issue 99999 (404)"),
            ("PUMP STATION", "issue_id is invalid: it is neither"),
            ("", "'issue_id' is empty or missing"),
        ):
            with self.subTest(issue_id), self.assertRaises(PluginException) as caught:
                self.run_action("get_issue", {"issue_id": issue_id})
            self.assertIn(cause, caught.exception.cause)
            self.assertTrue(caught.exception.assistance)


class TestRequests(unittest.TestCase):
    def test_issue_and_latest_event_are_read(self) -> None:
        event = ("GET", f"{PATH}events/latest/", Answer(body=json.dumps(EVENT).encode()))
        with ScriptedServer(ISSUE_FOUND, event) as server:
            output = run_action(
                "get_issue", connection_to(server.base), {"issue_id": "31", "organization_slug": "acme"}
            )
            self.assertEqual([(sent.params, sent.body) for sent in server.received], [([], b"")] * 2)
        self.assertEqual(f"{output['summary']}\n", (EVENTS / "python.md").read_text(encoding="utf-8"))

    def test_the_issue_is_returned_without_an_event(self) -> None:
        for answer in (NOT_FOUND, Answer(404), Answer(403, b'{"detail": "x"}'), Answer(body=b"[]")):
            script = (ISSUE_FOUND, ("GET", f"{PATH}events/latest/", answer))
            with self.subTest(answer.status), ScriptedServer(*script) as server:
                connection = connection_to(server.base)
                with self.assertLogs("plugin.test", "WARNING") as log:
                    output = run_action("get_issue", connection, {"issue_id": "31", "organization_slug": "acme"})
                self.assertEqual(output["issue"]["id"], "31")
                self.assertNotIn("```", output["summary"])
                self.assertIn("The summary lacks the latest event of the issue", log.output[0])

    def test_sentry_9_has_no_issues_below_an_organization(self) -> None:
        script = (
            ("GET", PATH, Answer(404)),
            ("GET", "/api/0/issues/31/", Answer(body=json.dumps(ISSUE).encode())),
            ("GET", "/api/0/issues/31/events/latest/", Answer(body=json.dumps(EVENT).encode())),
        )
        with ScriptedServer(*script) as server:
            permalink = f"{server.base}/organizations/acme/issues/31/"
            output = run_action("get_issue", connection_to(server.base), {"issue_id": permalink})
        self.assertIn("open_valve", output["summary"])

    def test_failures_of_the_issue_fail_the_step(self) -> None:
        for status, error_type, attempts in (
            (401, Unauthorized, 1),
            (403, Forbidden, 1),
            (404, NotFound, 1),
            (429, RateLimited, 2),
            (500, ServerFailed, 1),
        ):
            answer = Answer(status, b'{"detail": "because"}', {"Retry-After": "1000"} if status == 429 else {})
            with self.subTest(status), ScriptedServer(("GET", PATH, answer)) as server:
                with self.assertRaises(error_type) as caught:
                    run_action("get_issue", connection_to(server.base), {"issue_id": "31", "organization_slug": "acme"})
                self.assertTrue(caught.exception.assistance)
                self.assertLessEqual(len(server.received), attempts)
