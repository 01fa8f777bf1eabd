"""Submit Event with wait_for_issue: find the issue of the event that was submitted."""

import json
import unittest

from komand_sentry.util.errors.exceptions import InvalidInput, ServerFailed
from komand_sentry.util.http.polling import poll
from komand_sentry.util.http.time_budget import TimeBudget
from komand_sentry.util.sentry.server import Server
from testing.fake_clock import FakeClock
from testing.plugin import Json
from testing.scripted_server import Answer, Received, ScriptedServer
from testing.support import ACTIONS, SandboxTestCase, connection_to, run_action, validate
from unit_test import faults

EVENT_ID = "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1"
KEY = "3f6b2c1d9e8a4f70b5c4d3e2f1a09b8c"
SECRET = "c8b90a1f2e3d4c5b07f4a8e9d1c2b6f3"
TOKEN = "sntryu_" + "0123456789abcdef" * 4
EVENT = {"message": "m", "event_id": EVENT_ID}

STORE = ("POST", "/api/7/store/")
LOOKUP = ("GET", f"/api/0/organizations/acme/eventids/{EVENT_ID}/")
ORGANIZATION = ("GET", "/api/0/organizations/acme/")
ISSUE = ("GET", "/api/0/organizations/acme/issues/30/")

STORED = (*STORE, Answer(body=json.dumps({"id": EVENT_ID}).encode()))
PENDING = (*LOOKUP, Answer(404, b'{"detail": "The requested resource does not exist"}'))
KNOWN = (*ORGANIZATION, Answer(body=b'{"slug": "acme"}'))
FOUND = (*LOOKUP, Answer(body=json.dumps({"groupId": "30", "eventId": EVENT_ID, "event": {}}).encode()))
LINK = "https://acme.sentry.io/issues/30/"
READ = (*ISSUE, Answer(body=json.dumps({"id": "30", "shortId": "PUMP-1K", "permalink": LINK}).encode()))
COMPLETE = {"id": EVENT_ID, "found": True, "issue_id": "30", "short_id": "PUMP-1K", "permalink": LINK}
NOT_FOUND = {"id": EVENT_ID, "found": False}

Script = tuple[str, str, Answer]


class WaitCase(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = FakeClock()
        self.received: list[Received] = []

    def submit(self, *script: Script, event: Json = EVENT, timeout: int = 60, **more: object) -> Json:
        with ScriptedServer(*script) as server:
            self.received = server.received
            dsn = server.base.replace("://", f"://{KEY}:{SECRET}@") + "/7"
            params = {"dsn": dsn, "event_json": event, "wait_for_issue": True, "organization_slug": "acme", **more}
            validate(params, ACTIONS["submit_event"]().input.schema)
            connection = connection_to(server.base, TOKEN, self.clock, timeout=timeout)
            return run_action("submit_event", connection, params)

    def warning(self, *script: Script, **more: object) -> tuple[Json, str]:
        """Submit, and return the output and the last warning."""
        with self.assertLogs("plugin.test", "WARNING") as logs:
            output = self.submit(*script, **more)  # type: ignore[arg-type]
        self.assertNotIn(SECRET, "".join(logs.output))
        self.assertNotIn(TOKEN, "".join(logs.output))
        return output, logs.output[-1]


class TestFound(WaitCase):
    def test_an_event_that_is_processed_immediately(self) -> None:
        self.assertEqual(self.submit(STORED, FOUND, READ), COMPLETE)
        self.assertEqual(self.clock.slept, [])

    def test_only_the_web_api_receives_the_token_and_only_ingestion_the_key(self) -> None:
        self.submit(STORED, FOUND, READ)
        store, *others = self.received
        self.assertNotIn("authorization", store.headers)
        for request in others:
            self.assertEqual(request.headers["authorization"], f"Bearer {TOKEN}")
            self.assertNotIn("x-sentry-auth", request.headers)

    def test_waits_until_the_event_is_processed(self) -> None:
        pending = [PENDING, KNOWN, *[PENDING] * 4]
        self.assertEqual(self.submit(STORED, *pending, FOUND, READ), COMPLETE)
        self.assertEqual(self.clock.slept, [1, 2, 4, 5, 5])

    def test_a_rate_limit_of_the_look_up_is_awaited(self) -> None:
        limited = (*LOOKUP, Answer(429, b'"too frequently"'))
        self.assertEqual(self.submit(STORED, limited, FOUND, READ), COMPLETE)
        self.assertEqual(self.clock.slept, [1])

    def test_an_issue_that_cannot_be_read_is_found_nevertheless(self) -> None:
        refused = (*ISSUE, Answer(403, b'{"detail": "You do not have permission to perform this action."}'))
        output, warning = self.warning(STORED, FOUND, refused)
        self.assertEqual(output, {"id": EVENT_ID, "found": True, "issue_id": "30"})
        self.assertIn("event:read", warning)

    def test_a_server_without_the_issue_endpoint_of_the_organization(self) -> None:
        plain = ("GET", "/api/0/issues/30/", READ[2])
        self.assertEqual(self.submit(STORED, FOUND, (*ISSUE, Answer(404)), plain), COMPLETE)


class TestNotFound(WaitCase):
    def test_an_event_that_is_not_processed_in_time(self) -> None:
        output, warning = self.warning(STORED, PENDING, KNOWN, *[PENDING] * 3, timeout=8)
        self.assertEqual((output, self.clock.slept), (NOT_FOUND, [1, 2, 4]))
        self.assertIn("has not processed it within the timeout", warning)

    def test_submission_and_look_up_share_the_time(self) -> None:
        unavailable = [(*STORE, Answer(503, headers={"Retry-After": "6"}))]
        output, _ = self.warning(*unavailable, STORED, PENDING, KNOWN, PENDING, timeout=8)
        self.assertEqual((output, self.clock.slept), (NOT_FOUND, [6, 1]))

    def test_a_failed_look_up_is_a_warning_because_the_event_is_stored(self) -> None:
        for answer, reason in (
            (Answer(403, b'{"detail": "You do not have permission to perform this action."}'), "org:read"),
            (Answer(401, b'{"detail": "Invalid token"}'), "did not accept the token"),
            (Answer(404), "does not look up events by ID"),
            (Answer(400, b'{"detail": "Event ID must be 32 characters."}'), "as invalid (400)"),
            (Answer(500, b'{"detail": "Internal Error"}'), "failed on event"),
            (Answer(body=b"<!DOCTYPE html><title>Sentry</title>"), "Sentry's own web page"),
            (Answer(body=b"[]"), "not one of Sentry's API"),
        ):
            with self.subTest(reason):
                output, warning = self.warning(STORED, (*LOOKUP, answer))
                self.assertEqual(output, NOT_FOUND)
                self.assertIn("The event is stored", warning)
                self.assertIn(reason, warning)

    def test_an_unreachable_server_is_a_warning(self) -> None:
        for answer in (Answer(429), Answer(503), Answer(play=faults.reset)):
            with self.subTest(answer):
                output, warning = self.warning(STORED, *[(*LOOKUP, answer)] * 8, timeout=3600)
                self.assertEqual(output, NOT_FOUND)
                self.assertIn("could not be looked up", warning)

    def test_an_unknown_organization_is_not_awaited(self) -> None:
        unknown = (*ORGANIZATION, PENDING[2])
        output, warning = self.warning(STORED, PENDING, unknown)
        self.assertEqual((output, self.clock.slept), (NOT_FOUND, []))
        self.assertIn("Check the organization_slug", warning)

    def test_an_organization_that_the_token_may_not_read_is_awaited(self) -> None:
        refused = (*ORGANIZATION, Answer(403, b'{"detail": "no"}'))
        self.assertEqual(self.submit(STORED, PENDING, refused, FOUND, READ), COMPLETE)

    def test_an_event_without_an_issue(self) -> None:
        for number in (None, "None", "", "../30"):
            found = (*LOOKUP, Answer(body=json.dumps({"groupId": number}).encode()))
            with self.subTest(number):
                self.assertEqual(self.submit(STORED, found), NOT_FOUND)

    def test_a_transaction_is_not_looked_up(self) -> None:
        self.assertEqual(self.submit(STORED, event={**EVENT, "type": "transaction"}), NOT_FOUND)

    def test_an_id_that_is_no_segment_of_a_path_is_not_looked_up(self) -> None:
        for event_id in ("..", "x" * 1000):
            stored = (*STORE, Answer(body=json.dumps({"id": event_id}).encode()))
            with self.subTest(event_id):
                self.assertEqual(self.warning(stored)[0], {"id": event_id, "found": False})


class TestInputs(WaitCase):
    def test_without_waiting_nothing_is_looked_up(self) -> None:
        for more in ({"wait_for_issue": False}, {"wait_for_issue": False, "organization_slug": ".."}):
            with self.subTest(more):
                self.assertEqual(self.submit(STORED, **more), {"id": EVENT_ID})

    def test_a_missing_or_invalid_organization_is_an_error_before_the_event_is_sent(self) -> None:
        for slug, cause in (("", "which wait_for_issue needs"), (" ", "which wait_for_issue needs"), ("..", "invalid")):
            with self.subTest(slug), self.assertRaises(InvalidInput) as caught:
                self.submit(organization_slug=slug)
            self.assertIn("organization_slug", caught.exception.cause)
            self.assertIn(cause, caught.exception.cause)

    def test_a_failed_submission_is_an_error_and_not_looked_up(self) -> None:
        with self.assertRaises(ServerFailed):
            self.submit((*STORE, Answer(500)))

    def test_a_dsn_of_another_server_is_looked_up_on_that_of_the_connection(self) -> None:
        with ScriptedServer(STORED) as ingestion, ScriptedServer(FOUND, READ) as api:
            dsn = ingestion.base.replace("://127.0.0.1", f"://{KEY}@localhost") + "/7"
            params = {"dsn": dsn, "event_json": EVENT, "wait_for_issue": True, "organization_slug": "acme"}
            with self.assertLogs("plugin.test", "WARNING") as logs:
                self.assertEqual(run_action("submit_event", connection_to(api.base), params), COMPLETE)
        self.assertIn("The DSN is of localhost, but the event is looked up on 127.0.0.1", logs.output[-1])


class TestSandbox(SandboxTestCase):
    def submit_and_find(self, token: str, organization: str = "", **event: object) -> Json:
        params = {
            "dsn": self.sandbox.env["DSN_PUBLIC"],
            "event_json": {"message": "Found again", **event},
            "wait_for_issue": True,
            "organization_slug": organization or self.sandbox.env["ORG"],
        }
        return run_action("submit_event", connection_to(self.sandbox.base, self.sandbox.env[token]), params)

    def test_the_issue_of_the_event(self) -> None:
        output = self.submit_and_find("TOKEN")
        issue = self.issues(query="Found again")[0]
        names = {"issue_id": issue["id"], "short_id": issue["shortId"], "permalink": issue["permalink"]}
        self.assertEqual(output, {"id": output["id"], "found": True, **names})

    def test_the_event_is_stored_although_the_token_or_the_organization_is_wrong(self) -> None:
        for token, organization, message in (
            ("TOKEN_TEAMREAD", "", "No scope"),
            ("TOKEN_EXPIRED", "", "No valid token"),
            ("TOKEN", "nowhere", "Wrong slug"),
        ):
            with self.subTest(message), self.assertLogs("plugin.test", "WARNING"):
                output = self.submit_and_find(token, organization, message=message)
                self.assertEqual(output, {"id": output["id"], "found": False})
                self.assertEqual(len(self.issues(query=f'"{message}"')), 1)


class TestService(unittest.TestCase):
    def test_hosts_of_the_same_service(self) -> None:
        for base, host, same in (
            ("https://sentry.io", "o1.ingest.us.sentry.io", True),
            ("https://de.sentry.io", "o1.ingest.de.sentry.io", True),
            ("https://acme.sentry.io", "sentry.io.", True),
            ("https://sentry.io", "sentry.example.com", False),
            ("https://sentry.io", "evilsentry.io", False),
            ("https://sentry.example.com", "sentry.example.com", True),
            ("https://sentry.example.com", "o1.ingest.us.sentry.io", False),
        ):
            with self.subTest(base=base, host=host):
                self.assertIs(Server(base).is_same_service(host), same)


class TestPoll(unittest.TestCase):
    def test_pauses_grow_and_end_with_the_time(self) -> None:
        for seconds, slept in ((1, []), (2, [1]), (3.5, [1, 1.5]), (8, [1, 2, 4]), (30, [1, 2, 4, 5, 5, 5, 5, 2])):
            clock = FakeClock()
            with self.subTest(seconds):
                self.assertIsNone(poll(lambda: None, TimeBudget(seconds, clock)))
                self.assertEqual(clock.slept, slept)

    def test_slow_answers_count(self) -> None:
        clock = FakeClock()
        self.assertIsNone(poll(lambda: clock.sleep(9), TimeBudget(20, clock)))
        self.assertEqual(clock.slept, [9, 1, 9])

    def test_an_answer_that_is_false_is_an_answer(self) -> None:
        clock = FakeClock()
        self.assertIs(poll(lambda: False, TimeBudget(20, clock)), False)
        self.assertEqual(clock.slept, [])
