"""A message counts as sent only if the orchestrator accepted it. The request is that of the runtime's dispatcher."""

import json
import os
import socket
import unittest
from http.server import BaseHTTPRequestHandler
from typing import Any
from unittest import mock

from insightconnect_plugin_runtime.dispatcher import Http

from komand_sentry.util.trigger.dispatcher import MAX_ATTEMPTS, ConfirmingHttp, NotAccepted
from testing.fake_clock import FakeClock
from testing.scripted_server import Answer, Received, ScriptedServer

MESSAGE = {"version": "v1", "type": "trigger_event", "body": {"output": {"summary": "Pump \u2603 \ud800 stopped"}}}


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


class TestConfirmingHttp(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = FakeClock()
        environment = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
        self.enterContext(mock.patch.dict(os.environ, environment, clear=True))

    def write(self, *answers: Answer) -> list[Received]:
        with ScriptedServer(*(("POST", "/events", answer) for answer in answers)) as server:
            try:
                ConfirmingHttp({"url": f"{server.base}/events?job=1"}, self.clock).write(MESSAGE)
            finally:
                self.received = server.received
        return self.received

    def test_the_request_is_that_of_the_runtime(self) -> None:
        mine = self.write(Answer())[0]
        with ScriptedServer(("POST", "/events", Answer())) as server:
            os.environ["SSL_CERT_FILE"] = "/nonexistent"
            Http({"url": f"{server.base}/events?job=1"}).write(MESSAGE)
        runtime = server.received[0]
        self.assertEqual((mine.method, mine.path, mine.params), (runtime.method, runtime.path, runtime.params))
        self.assertEqual(json.loads(mine.body), json.loads(runtime.body))
        self.assertEqual(mine.headers["content-type"], runtime.headers["content-type"])

    def test_each_success_is_acceptance(self) -> None:
        for status in (200, 201, 202, 204):
            with self.subTest(status):
                self.assertEqual(len(self.write(Answer(status))), 1)
        self.assertEqual(self.clock.slept, [])

    def test_a_rejected_message_is_sent_again(self) -> None:
        for rejection in (Answer(500), Answer(503), Answer(429), Answer(400), Answer(302), Answer(play=hang_up)):
            with self.subTest(rejection):
                received = self.write(rejection, Answer())
                self.assertEqual(received[0].body, received[1].body)

    def test_the_attempts_end(self) -> None:
        with self.assertRaisesRegex(NotAccepted, r"^127\.0\.0\.1:[0-9]+ responded with status 503\.$"):
            self.write(*[Answer(503, b"a secret")] * MAX_ATTEMPTS)
        self.assertEqual(self.clock.slept, [1.0, 2.0, 4.0])

    def test_an_orchestrator_that_is_down(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        with self.assertRaisesRegex(NotAccepted, "refused the connection"):
            ConfirmingHttp({"url": url}, self.clock).write(MESSAGE)

    def test_it_takes_the_place_of_the_runtimes_dispatcher(self) -> None:
        config: dict[str, Any] = {"url": "http://127.0.0.1:9/a", "webhook_url": "w"}
        mine = ConfirmingHttp.replacing(Http(config), self.clock)
        self.assertEqual((mine.url, mine.webhook_url, mine.custom_encoder), ("http://127.0.0.1:9/a", "w", None))

    def test_a_ca_bundle_that_does_not_exist(self) -> None:
        os.environ["SSL_CERT_FILE"] = "/nonexistent/ca.pem"
        with self.assertRaisesRegex(NotAccepted, "CA bundle"):
            ConfirmingHttp({"url": "https://127.0.0.1:9/"}, self.clock).write(MESSAGE)


if __name__ == "__main__":
    unittest.main()
