"""What a response may contain: numbers that JSON has, and no more values than the plugin can hold."""

import gzip
import json
import time
import tracemalloc
import unittest
from contextlib import suppress
from typing import Any

from komand_sentry.util.errors.factory import ErrorContext, response_error, unexpected_response
from komand_sentry.util.errors.server_message import server_message
from komand_sentry.util.http.messages import (
    MAX_ERROR_BYTES,
    MAX_ERROR_VALUES,
    MAX_JSON_VALUES,
    Request,
    Response,
    TooManyValues,
)
from komand_sentry.util.http.transport import Transport
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to, run_action

MIB = 2**20
TOKEN = "sntryu_" + "0123456789abcdef" * 4


class TestNumbers(unittest.TestCase):
    def test_numbers_that_json_cannot_represent_become_null(self) -> None:
        for text in ("1e999", "-1e999", "1" + "0" * 400 + ".0", "NaN", "Infinity", "-Infinity"):
            with self.subTest(text[:10]):
                value = Response(200, {}, f'{{"a": [{text}]}}'.encode()).json()
                self.assertEqual(json.dumps(value, allow_nan=False), '{"a": [null]}')

    def test_other_numbers_stay(self) -> None:
        body = b"[1.5, -0.0, 1e10, 1e-999, 1754049600.123456, 12345678901234567890]"
        self.assertEqual(Response(200, {}, body).json(), json.loads(body))

    def test_an_output_is_json(self) -> None:
        issue = b'[{"id": "5", "stats": {"24h": [[1e999, 2]]}, "count": "3"}]'
        link = '<http://x/>; rel="next"; results="false"; cursor="0:100:0"'
        path = "/api/0/projects/acme/pump-station/issues/"
        with ScriptedServer(("GET", path, Answer(body=issue, headers={"Link": link}))) as server:
            params = {"organization_slug": "acme", "project_slug": "pump-station"}
            output = run_action("list_project_issues", connection_to(server.base), params)
        self.assertEqual(output["issues"][0]["stats"], {"24h": [[None, 2]]})
        json.dumps(output, allow_nan=False)


class TestValues(unittest.TestCase):
    def test_values_are_counted_without_parsing(self) -> None:
        for body, at_least in ((b"[]", 1), (b"[1,2,3]", 3), (b'{"a": {"b": [1, 2]}}', 4), (b"<html>", 0)):
            self.assertGreaterEqual(Response(200, {}, body).json_values, at_least)
        self.assertEqual(Response(200, {}, b"[1,2,3]").json_values, 3)

    def test_a_success_may_have_many_values_and_an_error_few(self) -> None:
        body = b"[" + b"0," * (MAX_ERROR_VALUES + 1) + b"0]"
        self.assertEqual(len(Response(200, {}, body).json()), MAX_ERROR_VALUES + 2)
        with self.assertRaises(TooManyValues):
            Response(400, {}, body).json()
        with self.assertRaises(TooManyValues):
            Response(200, {}, b"[" + b"0," * MAX_JSON_VALUES + b"0]").json()


class TestErrorBodies(unittest.TestCase):
    def memory_of_error(self, response: Response) -> int:
        """The highest use of memory while the error is built, in bytes."""
        build = unexpected_response if response.is_success else response_error
        tracemalloc.start()
        try:
            build(ErrorContext("the list"), response, (TOKEN,))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_the_errors_of_large_bodies_take_little_memory_and_time(self) -> None:
        nested = json.dumps({"detail": json.dumps({"a": [[]] * 3_000_000})}).encode()
        for status in (200, 404, 500):
            for body in (
                b"[" + b"[]," * 10_000_000 + b"[]]",
                b" " * 40 * MIB,
                b'{"a":"' + b"x " * 20 * MIB + b'"}',
                nested,
            ):
                # The transport reads no more of an error.
                response = Response(status, {}, body if status == 200 else body[:MAX_ERROR_BYTES])
                with self.subTest(status, body=body[:12]):
                    started = time.monotonic()
                    self.assertLess(self.memory_of_error(response), 8 * MIB)
                    self.assertLess(time.monotonic() - started, 2.0)

    def test_an_error_with_a_body_that_decompresses_to_much_is_read_at_its_start(self) -> None:
        bomb = gzip.compress(b"[" + b"[]," * 20 * MIB + b"[]]")
        answer = Answer(400, body=bomb, headers={"Content-Encoding": "gzip"})
        with ScriptedServer(("GET", "/", answer)) as server:
            response = Transport().send(Request("GET", f"{server.base}/"), 10.0)
        self.assertEqual(response.status, 400)
        self.assertEqual(len(response.body), MAX_ERROR_BYTES)
        self.assertTrue(server_message(response).startswith("[[],[],"))

    def test_an_error_whose_body_has_no_end_keeps_its_status(self) -> None:
        def play(handler: Any) -> None:
            handler.send_response(503)
            handler.end_headers()
            with suppress(OSError):
                for _ in range(10_000):
                    handler.wfile.write(b"x" * 65536)
            handler.close_connection = True

        with ScriptedServer(("GET", "/", Answer(play=play))) as server:
            response = Transport().send(Request("GET", f"{server.base}/"), 10.0)
        self.assertEqual(response.status, 503)

    def test_a_connection_whose_body_was_not_read_is_not_used_again(self) -> None:
        long, short = Answer(500, body=b"x" * 8 * MIB), Answer(body=b"{}")
        with ScriptedServer(("GET", "/", long), ("GET", "/", short)) as server:
            transport = Transport()
            self.assertEqual(transport.send(Request("GET", f"{server.base}/"), 10.0).status, 500)
            self.assertEqual(transport.send(Request("GET", f"{server.base}/"), 10.0).body, b"{}")

    def test_messages_of_usual_errors_stay(self) -> None:
        cases = {
            b'{"detail": "Not found"}': "Not found",
            b'{"status": ["\\"x\\" is not a valid choice."]}': 'status: "x" is not a valid choice.',
            b"<html><title>Sign in &amp; go</title>" + b" " * MIB: "An HTML page: Sign in & go",
            b"": "",
        }
        for body, message in cases.items():
            self.assertEqual(server_message(Response(400, {}, body)), message)

    def test_a_secret_at_the_end_of_what_is_read_is_not_quoted_in_part(self) -> None:
        for end in range(1, len(TOKEN)):
            body = b" " * (100_000 - end) + TOKEN.encode() + b" " * 10
            message = server_message(Response(400, {}, body), ("", TOKEN))
            self.assertNotIn(TOKEN[:8], message)
        self.assertNotIn("01234", server_message(Response(400, {}, b" " * 99_990 + TOKEN.encode() * 2), (TOKEN,)))
