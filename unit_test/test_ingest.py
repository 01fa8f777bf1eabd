"""Responses to a submitted event, the item type of its envelope, and the forms of a DSN."""

import json
import unittest
from typing import Any

from komand_sentry.util.errors.exceptions import BadRequest, Forbidden, ResponseError, UnexpectedResponse
from komand_sentry.util.sentry.dsn import DSN, InvalidDSN, parse_dsn
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to, run_action

EVENT_ID = "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1"
KEY = "3f6b2c1d9e8a4f70b5c4d3e2f1a09b8c"
SECRET = "c8b90a1f2e3d4c5b07f4a8e9d1c2b6f3"
STORE = "/api/7/store/"
ENVELOPE = "/api/7/envelope/"
OWN_ID = {"message": "m", "event_id": EVENT_ID}


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode())


def submit(event: Json, *answers: Answer) -> tuple[str, list[Json]]:
    """Run the action, and return the ID and the bodies of the requests."""
    with ScriptedServer(*[("POST", STORE, one) for one in answers]) as server:
        dsn = server.base.replace("://", f"://{KEY}:{SECRET}@") + "/7"
        params = {"dsn": dsn, "event_json": event}
        event_id: str = run_action("submit_event", connection_to("https://sentry.example.com"), params)["id"]
        return event_id, [json.loads(received.body) for received in server.received]


class TestResponses(unittest.TestCase):
    def test_a_successful_response_with_an_error_is_a_failure(self) -> None:
        bodies: tuple[Json, ...] = (
            {"error": "Event dropped due to filter: web-crawlers"},
            {"detail": "quota exceeded"},
            {"errors": ["quota exceeded"]},
            {"id": EVENT_ID, "error": {"reason": SECRET}},
        )
        for body in bodies:
            with self.subTest(body), self.assertRaises(ResponseError) as caught:
                submit(OWN_ID, answer(body))
            self.assertIn("did not store the event", caught.exception.cause)
            self.assertIn("Client Keys (DSN)", caught.exception.assistance)
            self.assertTrue(caught.exception.data)
            self.assertEqual(caught.exception.status_code, 200)
            self.assertNotIn(SECRET, str(caught.exception))

    def test_a_successful_response_of_another_service_is_a_failure(self) -> None:
        bodies: tuple[Any, ...] = ({"status": "ok"}, [], "ok", None, 7)
        for body in bodies:
            with self.subTest(body), self.assertRaises(UnexpectedResponse):
                submit(OWN_ID, answer(body))

    def test_the_id_of_the_response_is_returned(self) -> None:
        with_id: tuple[Json, ...] = (
            {"id": EVENT_ID},
            {"id": EVENT_ID, "error": None},
            {"event_id": EVENT_ID, "task_id": None},
            {},
        )
        for body in with_id:
            with self.subTest(body):
                self.assertEqual(submit(OWN_ID, answer(body))[0], EVENT_ID)
        without_id: tuple[Json, ...] = ({}, {"id": None})
        for body in without_id:
            event_id, sent = submit({"message": "m"}, answer(body))
            self.assertEqual(event_id, sent[0]["event_id"])


class TestDuplicates(unittest.TestCase):
    GLITCHTIP = answer({"detail": "Duplicate event id"}, 422)
    SENTRY_9 = answer({"error": f"An event with the same ID already exists ({EVENT_ID})"}, 403)

    def test_a_retry_that_is_a_duplicate_is_a_success(self) -> None:
        for duplicate in (self.GLITCHTIP, self.SENTRY_9):
            self.assertEqual(submit(OWN_ID, Answer(503), duplicate)[0], EVENT_ID)

    def test_an_id_of_the_input_that_is_taken_is_named(self) -> None:
        for duplicate, error_type in ((self.GLITCHTIP, BadRequest), (self.SENTRY_9, Forbidden)):
            with self.assertRaises(error_type) as caught:
                submit(OWN_ID, duplicate)
            self.assertIn(f"already has an event with the event_id {EVENT_ID}", caught.exception.cause)
            self.assertIn("Set another event_id", caught.exception.assistance)
            self.assertEqual(caught.exception.status_code, duplicate.status)

    def test_the_servers_message_is_redacted(self) -> None:
        with self.assertRaises(BadRequest) as caught:
            submit(OWN_ID, answer({"detail": f"Duplicate event id, key {SECRET}"}, 422))
        self.assertIn("Duplicate event id", caught.exception.data)
        self.assertNotIn(SECRET, str(caught.exception))

    def test_a_generated_id_is_taken_by_the_event_itself(self) -> None:
        event_id, sent = submit({"message": "m"}, self.GLITCHTIP)
        self.assertEqual(event_id, sent[0]["event_id"])

    def test_other_refusals_of_a_retry_are_failures(self) -> None:
        for refusal, error_type in (
            (answer({"error": "An event with the same ID already exists (1)"}, 403), Forbidden),
            (answer({"detail": "Invalid event"}, 422), BadRequest),
            (answer({"detail": "Duplicate event id"}, 400), BadRequest),
        ):
            with self.subTest(refusal.body), self.assertRaises(error_type) as caught:
                submit(OWN_ID, Answer(503), refusal)
            self.assertNotIn("already has", caught.exception.cause)


class TestEnvelope(unittest.TestCase):
    def test_the_item_has_the_type_of_the_event(self) -> None:
        for event_type, item_type in (
            ("transaction", "transaction"),
            ("feedback", "feedback"),
            ("csp", "security"),
            ("hpkp", "security"),
            ("expectct", "security"),
            ("expectstaple", "security"),
            ("error", "event"),
            ("default", "event"),
            ("teapot", "event"),
            (["transaction"], "event"),
            (None, "event"),
        ):
            script = (("POST", STORE, Answer(404)), ("POST", ENVELOPE, answer({"id": EVENT_ID})))
            with self.subTest(event_type), ScriptedServer(*script) as server:
                dsn = server.base.replace("://", f"://{KEY}@") + "/7"
                params = {"dsn": dsn, "event_json": {**OWN_ID, "type": event_type}}
                run_action("submit_event", connection_to("https://sentry.example.com"), params)
                _, item, event = server.received[1].body.splitlines()
                self.assertEqual(json.loads(item)["type"], item_type)
                self.assertEqual(json.loads(item)["length"], len(event))
                self.assertEqual(event, server.received[0].body)


class TestDSN(unittest.TestCase):
    def test_repeated_slashes_count_as_one(self) -> None:
        for path, base in (
            ("//2", "http://host:9000"),
            ("///2//", "http://host:9000"),
            ("/sentry//2", "http://host:9000/sentry"),
            ("//tools//sentry//2/", "http://host:9000/tools/sentry"),
        ):
            with self.subTest(path):
                self.assertEqual(parse_dsn(f"http://key@host:9000{path}"), DSN(base, "2", "key"))
        self.assertEqual(parse_dsn("http://key@host:9000//2").store_url, "http://host:9000/api/2/store/")

    def test_dot_segments_stay_invalid(self) -> None:
        for path in ("//../2", "//.//2", "//", "//2//a"):
            with self.subTest(path), self.assertRaises(InvalidDSN):
                parse_dsn(f"http://key@host:9000{path}")
