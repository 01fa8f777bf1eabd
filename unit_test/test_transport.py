import gzip
import os
import socket
import ssl
import tempfile
import threading
import time
import unittest
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest import mock

import trustme
from insightconnect_plugin_runtime.exceptions import PluginException
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from komand_sentry.util import transport as transport_module
from komand_sentry.util.errors import unreachable_error
from komand_sentry.util.exchange import Request, Unreachable
from komand_sentry.util.meanwhile import meanwhile
from komand_sentry.util.transport import Transport
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to
from unit_test import faults

SECONDS = 5.0


class TestFailures(unittest.TestCase):
    def kind(self, url: str, seconds: float = SECONDS) -> str:
        with self.assertRaises(Unreachable) as caught:
            Transport().send(Request("GET", url), seconds)
        self.assertTrue(caught.exception.reason)
        return caught.exception.kind

    def test_failures_are_told_apart(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            refusing = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        self.assertEqual(self.kind(refusing), "refused")
        self.assertEqual(self.kind("http://no-such-host.invalid/"), "dns")
        for play, kind in (
            (faults.reset, "lost"),
            (faults.cut_off, "cut off"),
            (faults.cut_off_chunk, "cut off"),
            (faults.no_http, "garbled"),
            (faults.broken_gzip, "garbled"),
        ):
            with self.subTest(play.__name__), ScriptedServer(("GET", "/", Answer(play=play))) as server:
                self.assertEqual(self.kind(f"{server.base}/"), kind)

    def test_a_name_server_that_does_not_answer_is_told_from_a_name_that_does_not_exist(self) -> None:
        busy = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        with mock.patch("socket.getaddrinfo", side_effect=busy):
            self.assertEqual(self.kind("http://sentry.example.com/"), "resolver")

    def test_a_response_is_bounded_in_size_however_it_is_compressed(self) -> None:
        with mock.patch.object(transport_module, "MOST_BODY_BYTES", 2**20):
            bombs = (faults.bomb(2**20 + 1), faults.bomb(2**20 + 1, location="/elsewhere"))
            for play in (*bombs, faults.endless_body, faults.endless_chunk_size):
                with ScriptedServer(("GET", "/", Answer(play=play))) as server:
                    self.assertEqual(self.kind(f"{server.base}/"), "too large")
            with ScriptedServer(("GET", "/", Answer(play=faults.bomb(2**20)))) as server:
                self.assertEqual(len(Transport().send(Request("GET", f"{server.base}/"), SECONDS).body), 2**20)

    def test_a_response_is_bounded_in_time_however_slowly_it_comes(self) -> None:
        for play in (faults.silence, faults.trickled_headers, faults.trickled_body):
            with self.subTest(play.__name__), ScriptedServer(("GET", "/", Answer(play=play))) as server:
                started = time.monotonic()
                self.assertEqual(self.kind(f"{server.base}/", seconds=0.1), "timeout")
                self.assertLess(time.monotonic() - started, 1.0)

    def test_a_slow_response_does_not_shorten_the_time_of_the_next_on_its_connection(self) -> None:
        answers = [("GET", "/", Answer(body=b"x" * 100_000))] * 3
        with ScriptedServer(*answers) as server:
            transport = Transport()
            for seconds in (0.5, 5.0, 0.5):
                self.assertEqual(len(transport.send(Request("GET", f"{server.base}/"), seconds).body), 100_000)
        self.assertEqual(len({received.client_port for received in server.received}), 1)

    def test_a_server_that_does_not_speak_tls_is_a_tls_failure(self) -> None:
        with ScriptedServer() as server:
            self.assertEqual(self.kind(server.base.replace("http://", "https://")), "tls")
            server.unexpected.clear()

    def test_a_connection_lost_while_it_is_secured_is_not_blamed_on_the_certificate(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def hang_up() -> None:
                connection, _ = listener.accept()
                connection.recv(1)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65536)
                connection.close()

            threading.Thread(target=hang_up, daemon=True).start()
            self.assertEqual(self.kind(f"https://127.0.0.1:{listener.getsockname()[1]}/"), "lost")

    def test_the_refusal_of_a_proxy_is_final_and_in_its_own_words(self) -> None:
        refusals = {407: "proxy refused", 403: "proxy refused", 503: "proxy"}
        for status, kind in refusals.items():
            with self.subTest(status), ScriptedServer(("CONNECT", "sentry.example.com:443", Answer(status))) as server:
                through = mock.patch.dict(os.environ, {"HTTPS_PROXY": server.base, "NO_PROXY": ""})
                with through, self.assertRaises(Unreachable) as caught:
                    Transport().send(Request("GET", "https://sentry.example.com/"), SECONDS)
                self.assertEqual(caught.exception.kind, kind)
                self.assertIn(str(status), caught.exception.reason)

    def test_a_proxy_that_is_not_there_is_told_from_the_server(self) -> None:
        with mock.patch.dict(os.environ, {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}):
            self.assertEqual(self.kind("http://sentry.example.com/"), "proxy")

    def test_a_header_that_cannot_be_sent_is_not_quoted(self) -> None:
        with self.assertRaises(Unreachable) as caught:
            Transport().send(Request("GET", "http://127.0.0.1/", headers={"Authorization": "Bearer se\ncret"}), SECONDS)
        self.assertEqual(caught.exception.kind, "request")
        self.assertNotIn("cret", str(caught.exception))

    def test_each_kind_has_words_and_the_step_fails_with_them(self) -> None:
        lost = ("GET", "/api/0/", Answer(play=faults.reset))
        with ScriptedServer(*[lost] * 7) as server, self.assertRaises(PluginException) as caught:
            connection_to(server.base).client.identity()
        self.assertIn(server.base.removeprefix("http://"), caught.exception.cause)
        self.assertEqual(unreachable_error("h", Unreachable("odd", "r")).cause, "The connection to h failed.")


class TestExchange(unittest.TestCase):
    def test_a_fresh_connection_leaves_the_kept_ones_alone(self) -> None:
        answer = ("GET", "/", Answer())
        with ScriptedServer(answer, answer, answer) as server:
            transport = Transport()
            for fresh in (False, True, False):
                transport.send(Request("GET", f"{server.base}/"), SECONDS, fresh)
        first, second, third = (received.client_port for received in server.received)
        self.assertEqual(first, third)
        self.assertNotEqual(first, second)

    def test_connections_are_kept_alive_and_cookies_are_not(self) -> None:
        answer = Answer(headers={"Set-Cookie": "session=1"})
        with ScriptedServer(("GET", "/", answer), ("GET", "/", answer)) as server:
            transport = Transport()
            for _ in range(2):
                transport.send(Request("GET", f"{server.base}/"), SECONDS)
        self.assertEqual(len({received.client_port for received in server.received}), 1)
        self.assertNotIn("cookie", server.received[1].headers)
        self.assertEqual(len(transport._session.cookies), 0)

    def test_redirects_are_returned_and_not_followed(self) -> None:
        answer = Answer(302, headers={"Location": "https://elsewhere.example.com/"})
        with ScriptedServer(("GET", "/", answer)) as server:
            response = Transport().send(Request("GET", f"{server.base}/"), SECONDS)
        self.assertEqual((response.status, response.header("LOCATION")), (302, "https://elsewhere.example.com/"))

    def test_a_netrc_file_does_not_put_its_password_over_the_token(self) -> None:
        with tempfile.TemporaryDirectory() as home, ScriptedServer(("GET", "/", Answer())) as server:
            netrc = Path(home, "netrc")
            netrc.write_text("machine 127.0.0.1 login user1 password wrong\n", encoding="utf-8")
            with mock.patch.dict(os.environ, {"NETRC": str(netrc)}):
                Transport().send(Request("GET", f"{server.base}/", headers={"Authorization": "Bearer right"}), SECONDS)
        self.assertEqual(server.received[0].headers["authorization"], "Bearer right")

    def test_credentials_in_an_address_do_not_get_over_the_token(self) -> None:
        with ScriptedServer(("GET", "/", Answer())) as server:
            url = server.base.replace("://", "://user1:wrong@")
            Transport().send(Request("GET", f"{url}/", headers={"Authorization": "Bearer right"}), SECONDS)
        self.assertEqual(server.received[0].headers["authorization"], "Bearer right")

    def test_compressed_answers_are_asked_for_and_read(self) -> None:
        for name, body in (("gzip", gzip.compress(b"[]")), ("deflate", zlib.compress(b"[]"))):
            answer = Answer(body=body, headers={"Content-Encoding": name})
            with ScriptedServer(("GET", "/", answer)) as server:
                self.assertEqual(Transport().send(Request("GET", f"{server.base}/"), SECONDS).body, b"[]")
            self.assertIn(name, server.received[0].headers["accept-encoding"])
            self.assertEqual(server.received[0].headers["accept"], "*/*")

    def test_what_traces_requests_sees_them(self) -> None:
        """The runtime has requests instrumented where tracing is switched on."""
        spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        RequestsInstrumentor().instrument(tracer_provider=provider)
        self.addCleanup(RequestsInstrumentor().uninstrument)
        with ScriptedServer(("GET", "/", Answer())) as server:
            Transport().send(Request("GET", f"{server.base}/"), SECONDS)
        self.assertEqual([span.name for span in spans.get_finished_spans()], ["GET"])
        self.assertIn("traceparent", server.received[0].headers)


class TestMeanwhile(unittest.TestCase):
    def test_work_is_done_when_the_request_is_out_and_its_time_is_not_the_responses(self) -> None:
        arrived, done = threading.Event(), []

        def note(_: BaseHTTPRequestHandler) -> None:
            arrived.set()
            faults.send_head(_, 200, {"Content-Length": "0"})

        def do() -> None:
            done.append(arrived.wait(SECONDS))
            time.sleep(0.3)

        with ScriptedServer(("GET", "/", Answer(play=note))) as server, meanwhile(do):
            Transport().send(Request("GET", f"{server.base}/"), 0.2)
        self.assertEqual(done, [True])

    def test_it_is_not_done_before_the_tunnel_of_a_proxy_stands(self) -> None:
        order: list[str] = []

        def refuse(handler: BaseHTTPRequestHandler) -> None:
            order.append("tunnel")
            faults.send_head(handler, 407, {"Content-Length": "0"})

        with (
            ScriptedServer(("CONNECT", "sentry.example.com:443", Answer(play=refuse))) as proxy,
            mock.patch.dict(os.environ, {"HTTPS_PROXY": proxy.base}),
            meanwhile(lambda: order.append("work")),
            self.assertRaises(Unreachable),
        ):
            Transport().send(Request("GET", "https://sentry.example.com/"), SECONDS)
        self.assertEqual(order, ["tunnel"])


class TestTLS(unittest.TestCase):
    base: str
    bundle: Path

    @classmethod
    def setUpClass(cls) -> None:
        authority = trustme.CA()
        cls.bundle = Path(cls.enterClassContext(tempfile.TemporaryDirectory()), "bundle.pem")
        authority.cert_pem.write_to_path(str(cls.bundle))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server = HTTPServer(("127.0.0.1", 0), _Hello)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        cls.base = f"https://127.0.0.1:{server.server_address[1]}/"

    def test_a_certificate_of_ones_own_needs_a_bundle_or_ssl_verify_off(self) -> None:
        request = Request("GET", self.base)
        with self.assertRaises(Unreachable) as caught:
            Transport().send(request, SECONDS)
        self.assertEqual(caught.exception.kind, "certificate")
        self.assertEqual(Transport(ssl_verify=False).send(request, SECONDS).body, b"hello")
        with mock.patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": str(self.bundle)}):
            self.assertEqual(Transport().send(request, SECONDS).body, b"hello")

    def test_a_bundle_that_is_not_there_is_no_fault_of_the_network(self) -> None:
        missing = mock.patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": "/no/such/bundle.pem"})
        with missing, self.assertRaises(Unreachable) as caught:
            Transport().send(Request("GET", self.base), SECONDS)
        self.assertEqual(caught.exception.kind, "bundle")

    def test_ssl_verify_off_wins_over_a_bundle(self) -> None:
        with mock.patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": ssl.get_default_verify_paths().cafile or os.devnull}):
            self.assertEqual(Transport(ssl_verify=False).send(Request("GET", self.base), SECONDS).body, b"hello")


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        """Silence: a test's output is its failures."""
