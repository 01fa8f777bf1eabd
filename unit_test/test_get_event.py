"""Get Event against the sandbox and a scripted server."""

import json
import time
import unittest
from typing import Any

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    BadRequest,
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    ServerFailed,
    Unauthorized,
)
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_params, connection_to, message, run_action
from unit_test.test_event_details import EVENTS, sample

ISSUE, EVENT = sample("python")
EVENT_ID = EVENT["eventID"]
BELOW_ORGANIZATION = "/api/0/organizations/acme/issues/31/"
BELOW_ROOT = "/api/0/issues/31/"
BY_ID = f"/api/0/organizations/acme/eventids/{EVENT_ID}/"
IN_PROJECT = f"/api/0/projects/acme/pump-station/events/{EVENT_ID}/"
OF_ISSUE = {"issue_id": "31", "organization_slug": "acme"}
OF_ORGANIZATION = {"event_id": EVENT_ID, "organization_slug": "acme"}


def found(record: Any) -> Answer:
    return Answer(body=json.dumps(record).encode())


def run(params: Json, *script: tuple[str, Answer]) -> Json:
    """Run the step against a server that expects GET requests of these paths."""
    with ScriptedServer(*(("GET", path, answer) for path, answer in script)) as server:
        output = run_action("get_event", connection_to(server.base), params)
        assert all(not sent.params and not sent.body for sent in server.received)
    return output


PUMP = {"fingerprint": ["pump"], "environment": "production"}


class TestGetEvent(SandboxTestCase):
    rounds = 0

    def setUp(self) -> None:
        super().setUp()
        # Sentry orders events by whole seconds.
        start = int(time.time()) - 60 + 10 * self.rounds
        type(self).rounds += 1
        self.event_ids = [
            self.submit({"message": f"Pump P-{number} stopped", "timestamp": start + number, **PUMP})
            for number in range(3)
        ]
        self.issue = self.issues()[0]
        self.org = self.sandbox.env["ORG"]

    def test_latest_oldest_recommended_or_an_id(self) -> None:
        first, middle, last = self.event_ids[-3:]
        dashed = f"{middle[:8]}-{middle[8:12]}-{middle[12:16]}-{middle[16:20]}-{middle[20:]}".upper()
        oldest = self.run_action("list_issue_events", {"issue_id": self.issue["id"]})["events"][-1]["eventID"]
        for event_id, expected in (
            ({}, last),
            ({"event_id": "latest"}, last),
            ({"event_id": "Oldest"}, oldest),
            ({"event_id": "recommended"}, last),
            ({"event_id": first}, first),
            ({"event_id": dashed}, middle),
        ):
            params = {"issue_id": self.issue["shortId"], "organization_slug": self.org, **event_id}
            message("get_event", params, connection_params(self.sandbox))
            with self.subTest(event_id):
                output = self.run_action("get_event", params)
                self.assertEqual((output["event"]["eventID"], output["issue_id"]), (expected, self.issue["id"]))

    def test_details_and_summary(self) -> None:
        output = self.run_action("get_event", {"issue_id": self.issue["id"]})
        event_id = output["event"]["eventID"]
        self.assertEqual(output["details"]["message"], "Pump P-2 stopped")
        self.assertEqual(output["details"]["environment"], "production")
        self.assertEqual(output["details"]["permalink"], f"{self.issue['permalink']}events/{event_id}/")
        self.assertIn(f"- Event: `{event_id}`", output["summary"])
        self.assertIn(f"]({self.issue['permalink']})", output["summary"])

    def test_an_id_alone_within_an_organization(self) -> None:
        output = self.run_action("get_event", {"event_id": self.event_ids[1], "organization_slug": self.org})
        self.assertEqual(output["event"]["eventID"], self.event_ids[1])
        self.assertEqual(output["issue_id"], self.issue["id"])
        self.assertIn(f"]({self.issue['permalink']})", output["summary"])

    def test_errors_have_cause_and_assistance(self) -> None:
        unknown = "f" * 32
        for params, cause in (
            ({}, "issue_id is missing"),
            ({"organization_slug": self.org}, "issue_id is missing"),
            ({"organization_slug": self.org, "event_id": "oldest"}, "issue_id is missing"),
            ({"event_id": unknown}, "issue_id is missing"),
            ({"issue_id": "1", "event_id": "newest"}, "event_id is neither latest"),
            ({"organization_slug": "..", "event_id": unknown}, "organization_slug is invalid"),
            ({"organization_slug": self.org, "event_id": unknown}, f"no event {unknown} of organization {self.org}"),
            ({"issue_id": self.issue["id"], "event_id": unknown}, f"no event {unknown} of issue {self.issue['id']}"),
            ({"issue_id": "99999"}, "no issue 99999 (404)"),
        ):
            with self.subTest(params), self.assertRaises(PluginException) as caught:
                self.run_action("get_event", params)
            self.assertIn(cause, caught.exception.cause)
            self.assertTrue(caught.exception.assistance)

    def test_nothing_is_sent_for_invalid_inputs(self) -> None:
        self.sandbox.requests.clear()
        for params in ({}, {"event_id": "recommended", "organization_slug": "acme"}, {"event_id": "x", **OF_ISSUE}):
            with self.subTest(params), self.assertRaises(InvalidInput):
                self.run_action("get_event", params)
        self.assertEqual(list(self.sandbox.requests), [])


class TestRequests(unittest.TestCase):
    def test_event_of_an_issue(self) -> None:
        for event_id in ("latest", "oldest", "recommended", EVENT_ID):
            with self.subTest(event_id):
                output = run(
                    {**OF_ISSUE, "event_id": event_id},
                    (BELOW_ORGANIZATION, found(ISSUE)),
                    (f"{BELOW_ORGANIZATION}events/{event_id}/", found(EVENT)),
                )
                self.assertEqual(output["details"]["permalink"], f"{ISSUE['permalink']}events/{EVENT_ID}/")
                self.assertEqual(f"{output['summary']}\n", (EVENTS / "python.md").read_text(encoding="utf-8"))

    def test_event_of_an_organization(self) -> None:
        by_id = {"organizationSlug": "acme", "projectSlug": "pump-station", "groupId": "31", "event": EVENT}
        output = run(OF_ORGANIZATION, (BY_ID, found(by_id)), (BELOW_ORGANIZATION, found(ISSUE)))
        self.assertEqual((output["event"]["eventID"], output["issue_id"]), (EVENT_ID, "31"))
        self.assertIn("- Events: 42, users: 7", output["summary"])

    def test_the_event_is_returned_without_its_issue(self) -> None:
        by_id = found({"groupId": "31", "event": EVENT})
        output = run(OF_ORGANIZATION, (BY_ID, by_id), (BELOW_ORGANIZATION, Answer(403, b'{"detail": "x"}')))
        self.assertEqual((output["event"]["eventID"], output["issue_id"]), (EVENT_ID, "31"))
        self.assertIn("open_valve", output["summary"])
        self.assertNotIn("permalink", output["details"])
        output = run(OF_ORGANIZATION, (BY_ID, found({"groupId": None, "event": EVENT})))
        self.assertNotIn("issue_id", output)

    def test_a_rate_limit_is_waited_for(self) -> None:
        limited = Answer(429, b'{"detail": "Limit is 1 requests in 1 seconds"}', {"Retry-After": "1"})
        by_id = found({"groupId": "31", "event": EVENT})
        output = run(OF_ORGANIZATION, (BY_ID, limited), (BY_ID, by_id), (BELOW_ORGANIZATION, found(ISSUE)))
        self.assertEqual(output["issue_id"], "31")

    def test_words_work_on_sentry_9(self) -> None:
        output = run(
            {"issue_id": "https://sentry.example.com/acme/pump-station/issues/31/", "event_id": "latest"},
            (BELOW_ORGANIZATION, Answer(404)),
            (BELOW_ROOT, found(ISSUE)),
            (f"{BELOW_ROOT}events/latest/", found(EVENT)),
        )
        self.assertEqual(output["event"]["eventID"], EVENT_ID)

    def test_an_id_is_found_in_the_project_on_sentry_9(self) -> None:
        script = (
            (BELOW_ROOT, found(ISSUE)),
            (f"{BELOW_ROOT}events/{EVENT_ID}/", Answer(404)),
            (IN_PROJECT, found({**EVENT, "id": "815"})),
        )
        # The organization is that of the issue's permalink.
        output = run({"issue_id": "31", "event_id": EVENT_ID}, *script)
        self.assertEqual((output["event"]["eventID"], output["issue_id"]), (EVENT_ID, "31"))

    def test_the_given_organization_is_that_of_the_project_on_sentry_9(self) -> None:
        output = run(
            {**OF_ISSUE, "event_id": EVENT_ID},
            (BELOW_ORGANIZATION, found({**ISSUE, "permalink": None})),
            (f"{BELOW_ORGANIZATION}events/{EVENT_ID}/", Answer(404)),
            (IN_PROJECT, found(EVENT)),
        )
        self.assertNotIn("permalink", output["details"])

    def test_an_event_of_another_issue_in_the_project_is_refused(self) -> None:
        with self.assertRaises(InvalidInput) as caught:
            run(
                {"issue_id": "31", "event_id": EVENT_ID},
                (BELOW_ROOT, found(ISSUE)),
                (f"{BELOW_ROOT}events/{EVENT_ID}/", Answer(404)),
                (IN_PROJECT, found({**EVENT, "groupID": "32"})),
            )
        self.assertIn("is not of issue 31, but of issue 32", caught.exception.cause)

    def test_an_unknown_project_is_explained(self) -> None:
        for missing in ({"permalink": None}, {"project": None}):
            with self.subTest(missing), self.assertRaises(InvalidInput) as caught:
                run(
                    {"issue_id": "31", "event_id": EVENT_ID},
                    (BELOW_ROOT, found({**ISSUE, **missing})),
                    (f"{BELOW_ROOT}events/{EVENT_ID}/", Answer(404)),
                )
            self.assertIn("the project of event", caught.exception.cause)
            self.assertIn("organization_slug", caught.exception.assistance)

    def test_a_missing_scope_for_the_project_is_named(self) -> None:
        with self.assertRaises(Forbidden) as caught:
            run(
                {"issue_id": "31", "event_id": EVENT_ID},
                (BELOW_ROOT, found(ISSUE)),
                (f"{BELOW_ROOT}events/{EVENT_ID}/", Answer(404)),
                (IN_PROJECT, Answer(403, b'{"detail": "x"}')),
            )
        self.assertIn("project:read", caught.exception.assistance)

    def test_a_server_without_recommended_events(self) -> None:
        with self.assertRaises(NotFound) as caught:
            run(
                {**OF_ISSUE, "event_id": "recommended"},
                (BELOW_ORGANIZATION, found(ISSUE)),
                (f"{BELOW_ORGANIZATION}events/recommended/", Answer(404)),
            )
        self.assertIn("no recommended event of issue 31", caught.exception.cause)
        self.assertIn("set event_id to latest", caught.exception.assistance)

    def test_failures_of_each_request_fail_the_step(self) -> None:
        issue: tuple[str, Answer] = (BELOW_ORGANIZATION, found(ISSUE))
        for status, error_type in (
            (400, BadRequest),
            (401, Unauthorized),
            (403, Forbidden),
            (404, NotFound),
            (429, RateLimited),
            (500, ServerFailed),
        ):
            answer = Answer(status, b'{"detail": "because"}', {"Retry-After": "1000"} if status == 429 else {})
            for params, script in (
                (OF_ISSUE, ((BELOW_ORGANIZATION, answer),)),
                (OF_ISSUE, (issue, (f"{BELOW_ORGANIZATION}events/latest/", answer))),
                (OF_ORGANIZATION, ((BY_ID, answer),)),
            ):
                with self.subTest(status=status, path=script[-1][0]), self.assertRaises(error_type) as caught:
                    run(params, *script)
                self.assertTrue(caught.exception.assistance)

    def test_org_read_is_the_scope_of_an_id_alone(self) -> None:
        with self.assertRaises(Forbidden) as caught:
            run(OF_ORGANIZATION, (BY_ID, Answer(403, b'{"detail": "x"}')))
        self.assertIn("org:read", caught.exception.assistance)
