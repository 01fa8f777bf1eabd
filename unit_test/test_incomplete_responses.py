"""A success whose JSON ends early is a failed request: it is sent again, and never taken for an answer of its own."""

import gzip
import json
import unittest
from http.server import BaseHTTPRequestHandler
from typing import Any
from unittest import mock

from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.messages import FailureKind, Request, Response, TransportError
from komand_sentry.util.http.time_budget import TimeBudget
from komand_sentry.util.http.transport import Transport
from testing.fake_clock import FakeClock
from testing.scripted_server import Answer, ScriptedServer
from unit_test import faults

VALUE = {"id": "1", "tags": [{"key": "a", "value": "x}"}, {"key": "b", "value": '"]'}], "title": "Größe"}
BODY = json.dumps(VALUE, ensure_ascii=False).encode()
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"


def _until_closed(body: bytes) -> Answer:
    """A body whose end is the end of the connection."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        faults.send_head(handler, 200, {"Connection": "close"})
        handler.wfile.write(body)
        handler.close_connection = True

    return Answer(play=play)


def send(method: str, *answers: Answer, **more: Any) -> tuple[Response, FakeClock]:
    clock = FakeClock()
    client = RetryingClient(Transport(), TimeBudget(60, clock), mock.Mock(), lambda: 0.0, lambda *_: None)
    with ScriptedServer(*((method, "/", answer) for answer in answers)) as server:
        return client.send(Request(method, f"{server.base}/", **{"expects_json": True, **more})), clock


class TestIncompleteJSON(unittest.TestCase):
    def test_a_body_is_incomplete_wherever_it_ends(self) -> None:
        for end in range(len(BODY)):
            with self.subTest(end):
                self.assertTrue(Response(200, {}, BODY[:end]).is_incomplete_json)
        self.assertFalse(Response(200, {}, BODY).is_incomplete_json)

    def test_what_is_complete_or_not_json_is_not_incomplete(self) -> None:
        complete = (b"[]", b" \n{}\n", b"<!doctype html><html>", b"OK", b'"text"', b"null", b"\xef\xbb\xbf{}")
        for body in complete:
            with self.subTest(body):
                self.assertFalse(Response(200, {}, body).is_incomplete_json)

    def test_a_status_without_a_body_is_complete(self) -> None:
        for status in (204, 205):
            self.assertFalse(Response(status, {}, b"").is_incomplete_json)

    def test_what_does_not_get_better_is_not_incomplete(self) -> None:
        self.assertFalse(Response(200, {}, b"[" * 100_000).is_incomplete_json)
        self.assertFalse(Response(200, {}, b"[" + b"0," * 6_000_000).is_incomplete_json)

    def test_a_body_is_parsed_once(self) -> None:
        response = Response(200, {}, BODY)
        self.assertFalse(response.is_incomplete_json)
        with mock.patch("json.loads", side_effect=AssertionError("parsed again")):
            self.assertEqual(response.json(), VALUE)


class TestRetries(unittest.TestCase):
    def test_a_request_is_sent_again_until_its_response_is_complete(self) -> None:
        whole = Answer(body=BODY)
        cut_gzip = Answer(body=gzip.compress(BODY * 100)[:-40], headers={"Content-Encoding": "gzip"})
        incomplete = (_until_closed(BODY[:40]), _until_closed(BODY[:-1]), cut_gzip, Answer(), Answer(body=b" \n"))
        for number, answer in enumerate(incomplete):
            for method in ("GET", "PUT"):
                with self.subTest(number, method=method):
                    response, clock = send(method, answer, whole)
                    self.assertEqual(response.json(), VALUE)
                    self.assertEqual(response.stats.requests, 2)
                    self.assertEqual(clock.slept, [1.0])

    def test_a_body_without_a_length_is_accepted_if_it_is_complete(self) -> None:
        response, _ = send("GET", _until_closed(BODY))
        self.assertEqual((response.json(), response.stats.requests), (VALUE, 1))

    def test_the_failure_is_named_when_it_stays(self) -> None:
        with self.assertRaises(TransportError) as caught:
            send("GET", *[_until_closed(BODY[:40])] * 7)
        self.assertIs(caught.exception.kind, FailureKind.INCOMPLETE)
        self.assertEqual(caught.exception.reason, "40 bytes of JSON")
        self.assertEqual(caught.exception.stats.requests, 7)

    def test_a_request_that_is_not_idempotent_is_not_sent_again(self) -> None:
        with self.assertRaises(TransportError) as caught:
            send("POST", _until_closed(b""))
        self.assertIs(caught.exception.kind, FailureKind.INCOMPLETE)
        self.assertEqual(send("POST", _until_closed(b""), Answer(body=BODY), idempotent=True)[0].json(), VALUE)

    def test_other_texts_errors_and_other_requests_are_returned(self) -> None:
        self.assertEqual(send("GET", Answer(body=b"<html></html>"))[0].body, b"<html></html>")
        self.assertEqual(send("GET", Answer(404, body=b'{"detail'))[0].status, 404)
        self.assertEqual(send("PUT", Answer(204))[0].status, 204)
        self.assertEqual(send("GET", _until_closed(b"{"), expects_json=False)[0].body, b"{")


class TestInterimResponses(unittest.TestCase):
    def answer(self, interim: bytes) -> Answer:
        def play(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(interim)
            faults.send_head(handler, 200, {"Content-Length": str(len(BODY))})
            handler.wfile.write(BODY)

        return Answer(play=play)

    def test_the_final_response_is_the_one_that_counts(self) -> None:
        processing = b"HTTP/1.1 102 Processing\r\n\r\n"
        for interim in (INTERIM, processing, INTERIM + processing + b"HTTP/1.1 100 Continue\r\n\r\n"):
            with self.subTest(interim):
                response, _ = send("GET", self.answer(interim))
                self.assertEqual((response.status, response.json()), (200, VALUE))
                self.assertEqual(response.header("link"), "")

    def test_interim_responses_without_end_fail(self) -> None:
        def play(handler: BaseHTTPRequestHandler) -> None:
            try:
                for _ in range(1_000_000):
                    handler.wfile.write(INTERIM * 100)
            except OSError:
                handler.close_connection = True

        with ScriptedServer(("GET", "/", Answer(play=play))) as server, self.assertRaises(TransportError) as caught:
            Transport().send(Request("GET", f"{server.base}/"), 0.5)
        self.assertIn(caught.exception.kind, (FailureKind.TIMEOUT, FailureKind.TOO_LARGE))
