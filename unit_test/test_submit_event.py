"""Submit Event against the sandbox and scripted servers."""

import gzip
import json
import unittest
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import BadRequest, NotFound, ResponseError, UnexpectedResponse
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_to, run_action
from unit_test import faults

KEY = "3f6b2c1d9e8a4f70b5c4d3e2f1a09b8c"
SECRET = "c8b90a1f2e3d4c5b07f4a8e9d1c2b6f3"


def dsn_of(base: str, secret: str = "") -> str:
    return base.replace("://", f"://{KEY}{':' + secret if secret else ''}@") + "/7"


class TestSubmitEvent(SandboxTestCase):
    def test_a_submitted_event_can_be_read(self) -> None:
        event_id = self.submit(
            {
                "message": "Pump P-2 stopped",
                "level": "warning",
                "environment": "production",
                "release": 7,
                "tags": [["site", "north"], ["depth", 4]],
                "user": {"id": 5},
                "extra": {"pressure": None},
            }
        )
        issue = self.issues(query="Pump P-2 stopped")[0]
        event = self.run_action("list_issue_events", {"issue_id": issue["id"]})["events"][0]
        tags = {tag["key"]: tag["value"] for tag in event["tags"]}
        self.assertEqual(event["eventID"], event_id)
        self.assertEqual(event["user"]["id"], "5")
        self.assertEqual(event["context"], {"pressure": None})
        self.assertEqual((tags["site"], tags["depth"], tags["environment"]), ("north", "4", "production"))
        self.assertEqual((issue["level"], event["errors"]), ("warning", []))

    def test_the_stored_event_lists_the_attributes_that_sentry_discarded(self) -> None:
        self.submit({"message": "A bad timestamp", "timestamp": "2018-07-16T00:00:00+02:00", "level": "alarming"})
        issue = self.issues(query="A bad timestamp")[0]
        event = self.run_action("list_issue_events", {"issue_id": issue["id"]})["events"][0]
        self.assertEqual({error["data"]["name"] for error in event["errors"]}, {"timestamp", "level"})

    def test_every_spelling_of_an_event_id_is_the_same_event(self) -> None:
        for given in ("9D6B1FB4-C9F4-4C0F-8AD9-B1F7A0F6A6B1", "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1"):
            event_id = self.submit({"event_id": given, "message": "Twice the same"})
            self.assertEqual(event_id, "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1")
        self.assertEqual(self.issues(query="Twice the same")[0]["count"], "1")

    def test_the_dsn_authorizes_the_event_and_the_token_is_not_sent(self) -> None:
        for dsn in ("DSN_PUBLIC", "DSN_SECRET"):
            self.submit({"message": "Authorized"}, dsn)
            request = self.sandbox.requests[-1]
            self.assertNotIn("Authorization", request.headers)
            self.assertNotIn(self.sandbox.env["TOKEN"], repr((request.headers, request.body, request.query_string)))
            self.assertEqual("sentry_secret=" in request.headers["X-Sentry-Auth"], dsn == "DSN_SECRET")
            self.assertIn("sentry_version=7, ", request.headers["X-Sentry-Auth"])

    def test_an_unknown_key_is_an_error_about_the_dsn(self) -> None:
        unknown = dsn_of(self.sandbox.base, SECRET)
        with self.assertRaises(ResponseError) as caught:
            self.run_action("submit_event", {"dsn": unknown, "event_json": {"message": "m"}})
        self.assertIn("Client Keys (DSN)", caught.exception.assistance)
        self.assertNotIn(SECRET, str(caught.exception))

    def test_an_unsupported_protocol_version_is_an_error_of_the_server(self) -> None:
        with self.assertRaises(BadRequest) as caught:
            self.run_action(
                "submit_event",
                {"dsn": self.sandbox.env["DSN_PUBLIC"], "event_json": {"message": "m"}, "sentry_version": 99},
            )
        self.assertIn("99", caught.exception.data)

    def test_invalid_inputs_are_rejected_before_a_request_is_sent(self) -> None:
        good = self.sandbox.env["DSN_PUBLIC"]
        cases: list[tuple[Json, str]] = [
            (
                {"dsn": good, "event_json": {"event_id": "abcd", "message": "m"}},
                "event_id of the event is invalid",
            ),
            ({"dsn": "https://sentry.example.com/1", "event_json": {"message": "m"}}, "DSN is invalid"),
            ({"dsn": "", "event_json": {"message": "m"}}, "'dsn' is empty or missing"),
            ({"dsn": good}, "'event_json' is empty or missing"),
            ({"dsn": good, "event_json": "text"}, "'event_json' is not an object"),
            ({"dsn": good, "event_json": {"extra": 5}}, "The event has no content"),
            ({"dsn": good, "event_json": {"extra": {"n": float("nan")}}}, "cannot be serialized as JSON"),
            (
                {"dsn": good, "event_json": {"message": "m"}, "sentry_version": "x"},
                "'sentry_version' is not an integer",
            ),
        ]
        for params, cause in cases:
            with self.subTest(cause), self.assertRaises(PluginException) as caught:
                self.run_action("submit_event", params)
            self.assertIn(cause, caught.exception.cause)
            self.assertTrue(caught.exception.assistance)
        self.assertEqual(list(self.sandbox.requests), [])


class TestOtherServers(unittest.TestCase):
    EVENT: ClassVar = {"message": "m", "event_id": "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1"}

    def submit(self, dsn: str, event: Json) -> str:
        connection = connection_to("https://sentry.example.com")
        return str(run_action("submit_event", connection, {"dsn": dsn, "event_json": event})["id"])

    def test_a_server_without_store_endpoint_receives_an_envelope(self) -> None:
        for status in (404, 405, 410):
            stored = Answer(body=b'{"id": "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1"}')
            script = (("POST", "/api/7/store/", Answer(status)), ("POST", "/api/7/envelope/", stored))
            with self.subTest(status), ScriptedServer(*script) as server:
                self.assertEqual(self.submit(dsn_of(server.base), self.EVENT), self.EVENT["event_id"])
                store, envelope = server.received
                self.assertEqual(envelope.headers["content-type"], "application/x-sentry-envelope")
                self.assertEqual(
                    envelope.headers["x-sentry-auth"].split("sentry_key=")[1],
                    store.headers["x-sentry-auth"].split("sentry_key=")[1],
                )
                header, item, event = envelope.body.splitlines()
                self.assertEqual(json.loads(header)["event_id"], self.EVENT["event_id"])
                self.assertEqual(json.loads(item)["length"], len(event))
                self.assertEqual(event, store.body)

    def test_a_server_that_closes_each_connection_receives_each_event_once(self) -> None:
        connection = connection_to("https://sentry.example.com")
        with ScriptedServer(*[("POST", "/api/7/store/", Answer(play=faults.answer_and_close))] * 50) as server:
            params = {"dsn": dsn_of(server.base), "event_json": {"message": "m"}}
            sent = [run_action("submit_event", connection, params)["id"] for _ in range(50)]
        self.assertEqual([json.loads(received.body)["event_id"] for received in server.received], sent)

    def test_the_path_prefix_of_the_dsn_is_used(self) -> None:
        with ScriptedServer(("POST", "/monitor/sentry/api/7/store/", Answer(body=b'{"id": "x"}'))) as server:
            self.submit(dsn_of(server.base + "/monitor/sentry"), self.EVENT)

    def test_id_and_timestamp_are_added_to_an_event(self) -> None:
        with ScriptedServer(("POST", "/api/7/store/", Answer(body=b"{}"))) as server:
            event_id = self.submit(dsn_of(server.base), {"message": "m", "event_id": "", "timestamp": None})
            sent = json.loads(server.received[0].body)
        self.assertEqual(sent["event_id"], event_id)
        age = datetime.now(UTC) - datetime.fromisoformat(sent["timestamp"])
        self.assertLess(abs(age), timedelta(minutes=1))

    def test_a_body_that_is_not_a_json_object_is_an_error(self) -> None:
        for body in (b"[]", b"<html><title>Portal</title></html>", gzip.compress(b"{}")):
            script = ("POST", "/api/7/store/", Answer(body=body))
            with self.subTest(body), ScriptedServer(script) as server, self.assertRaises(UnexpectedResponse):
                self.submit(dsn_of(server.base), self.EVENT)

    def test_a_server_without_any_ingestion_endpoint_is_an_error(self) -> None:
        script = (("POST", "/api/7/store/", Answer(404)), ("POST", "/api/7/envelope/", Answer(404)))
        with ScriptedServer(*script) as server, self.assertRaises(NotFound) as caught:
            self.submit(dsn_of(server.base), self.EVENT)
        self.assertIn("neither the store nor the envelope", caught.exception.assistance)
