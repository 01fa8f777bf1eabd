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
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from komand_sentry.util.http import deadline
from komand_sentry.util.http import transport as transport_module
from komand_sentry.util.http.messages import FailureKind, Request, TransportError
from komand_sentry.util.http.transport import Transport
from testing.scripted_server import Answer, ScriptedServer
from unit_test import faults

TIMEOUT = 5.0


class FailureTest(unittest.TestCase):
    def kind(self, url: str, timeout: float = TIMEOUT) -> FailureKind:
        with self.assertRaises(TransportError) as caught:
            Transport().send(Request("GET", url), timeout)
        self.assertTrue(caught.exception.reason)
        return caught.exception.kind

    def test_failures_are_classified(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            refusing = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        self.assertEqual(self.kind(refusing), FailureKind.REFUSED)
        self.assertEqual(self.kind("http://no-such-host.invalid/"), FailureKind.DNS)
        for play, kind in (
            (faults.reset, FailureKind.CLOSED),
            (faults.cut_off, FailureKind.INCOMPLETE),
            (faults.cut_off_chunk, FailureKind.INCOMPLETE),
            (faults.no_http, FailureKind.MALFORMED),
            (faults.broken_gzip, FailureKind.MALFORMED),
        ):
            with self.subTest(play.__name__), ScriptedServer(("GET", "/", Answer(play=play))) as server:
                self.assertEqual(self.kind(f"{server.base}/"), kind)

    def test_unresponsive_name_server_is_a_temporary_failure(self) -> None:
        busy = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        with mock.patch("socket.getaddrinfo", side_effect=busy):
            self.assertEqual(self.kind("http://sentry.example.com/"), FailureKind.DNS_TEMPORARY)

    def test_size_of_a_response_is_limited(self) -> None:
        with (
            mock.patch.object(transport_module, "MAX_BODY_BYTES", 2**20),
            mock.patch.object(deadline, "MAX_BODY_BYTES", 2**20),
        ):
            bombs = (faults.bomb(2**20 + 1), faults.bomb(2**20 + 1, location="/elsewhere"))
            for play in (*bombs, faults.endless_body, faults.endless_chunk_size):
                with ScriptedServer(("GET", "/", Answer(play=play))) as server:
                    self.assertEqual(self.kind(f"{server.base}/"), FailureKind.TOO_LARGE)
            with ScriptedServer(("GET", "/", Answer(play=faults.bomb(2**20)))) as server:
                self.assertEqual(len(Transport().send(Request("GET", f"{server.base}/"), TIMEOUT).body), 2**20)

    def test_time_of_a_whole_response_is_limited(self) -> None:
        for play in (faults.silence, faults.trickled_headers, faults.trickled_body):
            with self.subTest(play.__name__), ScriptedServer(("GET", "/", Answer(play=play))) as server:
                started = time.monotonic()
                self.assertEqual(self.kind(f"{server.base}/", timeout=0.1), FailureKind.TIMEOUT)
                self.assertLess(time.monotonic() - started, 1.0)

    def test_each_request_on_a_connection_has_its_own_timeout(self) -> None:
        answers = [("GET", "/", Answer(body=b"x" * 100_000))] * 3
        with ScriptedServer(*answers) as server:
            transport = Transport()
            for timeout in (0.5, 5.0, 0.5):
                self.assertEqual(len(transport.send(Request("GET", f"{server.base}/"), timeout).body), 100_000)
        self.assertEqual(len({received.client_port for received in server.received}), 1)

    def test_server_without_tls_is_a_tls_failure(self) -> None:
        with ScriptedServer() as server:
            self.assertEqual(self.kind(server.base.replace("http://", "https://")), FailureKind.TLS)
            server.unexpected.clear()

    def test_connection_closed_during_the_tls_handshake_is_not_a_tls_failure(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def close() -> None:
                connection, _ = listener.accept()
                connection.recv(1)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65536)
                connection.close()

            threading.Thread(target=close, daemon=True).start()
            self.assertEqual(self.kind(f"https://127.0.0.1:{listener.getsockname()[1]}/"), FailureKind.CLOSED)

    def test_refusal_of_a_proxy_quotes_its_status(self) -> None:
        refusals = {407: FailureKind.PROXY_REFUSED, 403: FailureKind.PROXY_REFUSED, 503: FailureKind.PROXY}
        for status, kind in refusals.items():
            with self.subTest(status), ScriptedServer(("CONNECT", "sentry.example.com:443", Answer(status))) as server:
                through = mock.patch.dict(os.environ, {"HTTPS_PROXY": server.base, "NO_PROXY": ""})
                with through, self.assertRaises(TransportError) as caught:
                    Transport().send(Request("GET", "https://sentry.example.com/"), TIMEOUT)
                self.assertEqual(caught.exception.kind, kind)
                self.assertIn(str(status), caught.exception.reason)

    def test_unreachable_proxy_is_a_proxy_failure(self) -> None:
        with mock.patch.dict(os.environ, {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}):
            self.assertEqual(self.kind("http://sentry.example.com/"), FailureKind.PROXY)

    def test_invalid_header_is_not_quoted(self) -> None:
        with self.assertRaises(TransportError) as caught:
            Transport().send(Request("GET", "http://127.0.0.1/", headers={"Authorization": "Bearer se\ncret"}), TIMEOUT)
        self.assertEqual(caught.exception.kind, FailureKind.INVALID_REQUEST)
        self.assertNotIn("cret", str(caught.exception))


class SendTest(unittest.TestCase):
    def test_new_connection_leaves_the_pooled_ones_open(self) -> None:
        answer = ("GET", "/", Answer())
        with ScriptedServer(answer, answer, answer) as server:
            transport = Transport()
            for new_connection in (False, True, False):
                transport.send(Request("GET", f"{server.base}/"), TIMEOUT, new_connection)
        first, second, third = (received.client_port for received in server.received)
        self.assertEqual(first, third)
        self.assertNotEqual(first, second)

    def test_connections_are_reused_and_cookies_are_not(self) -> None:
        answer = Answer(headers={"Set-Cookie": "session=1"})
        with ScriptedServer(("GET", "/", answer), ("GET", "/", answer)) as server:
            transport = Transport()
            for _ in range(2):
                transport.send(Request("GET", f"{server.base}/"), TIMEOUT)
        self.assertEqual(len({received.client_port for received in server.received}), 1)
        self.assertNotIn("cookie", server.received[1].headers)

    def test_redirects_are_not_followed(self) -> None:
        answer = Answer(302, headers={"Location": "https://elsewhere.example.com/"})
        with ScriptedServer(("GET", "/", answer)) as server:
            response = Transport().send(Request("GET", f"{server.base}/"), TIMEOUT)
        self.assertEqual((response.status, response.header("LOCATION")), (302, "https://elsewhere.example.com/"))

    def test_netrc_does_not_replace_the_token(self) -> None:
        with tempfile.TemporaryDirectory() as home, ScriptedServer(("GET", "/", Answer())) as server:
            netrc = Path(home, "netrc")
            netrc.write_text("machine 127.0.0.1 login user1 password wrong\n", encoding="utf-8")
            with mock.patch.dict(os.environ, {"NETRC": str(netrc)}):
                Transport().send(Request("GET", f"{server.base}/", headers={"Authorization": "Bearer right"}), TIMEOUT)
        self.assertEqual(server.received[0].headers["authorization"], "Bearer right")

    def test_credentials_in_the_url_do_not_replace_the_token(self) -> None:
        with ScriptedServer(("GET", "/", Answer())) as server:
            url = server.base.replace("://", "://user1:wrong@")
            Transport().send(Request("GET", f"{url}/", headers={"Authorization": "Bearer right"}), TIMEOUT)
        self.assertEqual(server.received[0].headers["authorization"], "Bearer right")

    def test_compressed_responses_are_requested_and_decoded(self) -> None:
        for name, body in (("gzip", gzip.compress(b"[]")), ("deflate", zlib.compress(b"[]"))):
            answer = Answer(body=body, headers={"Content-Encoding": name})
            with ScriptedServer(("GET", "/", answer)) as server:
                self.assertEqual(Transport().send(Request("GET", f"{server.base}/"), TIMEOUT).body, b"[]")
            self.assertIn(name, server.received[0].headers["accept-encoding"])
            self.assertEqual(server.received[0].headers["accept"], "*/*")

    def test_requests_are_visible_to_tracing(self) -> None:
        """The runtime instruments requests if tracing is enabled."""
        spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        RequestsInstrumentor().instrument(tracer_provider=provider)
        self.addCleanup(RequestsInstrumentor().uninstrument)
        with ScriptedServer(("GET", "/", Answer())) as server:
            Transport().send(Request("GET", f"{server.base}/"), TIMEOUT)
        self.assertEqual([span.name for span in spans.get_finished_spans()], ["GET"])
        self.assertIn("traceparent", server.received[0].headers)


class TLSTest(unittest.TestCase):
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

    def test_private_certificate_needs_a_ca_bundle_or_ssl_verify_off(self) -> None:
        request = Request("GET", self.base)
        with self.assertRaises(TransportError) as caught:
            Transport().send(request, TIMEOUT)
        self.assertEqual(caught.exception.kind, FailureKind.CERTIFICATE)
        self.assertEqual(Transport(ssl_verify=False).send(request, TIMEOUT).body, b"hello")
        with mock.patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": str(self.bundle)}):
            self.assertEqual(Transport().send(request, TIMEOUT).body, b"hello")

    def test_missing_ca_bundle_is_reported(self) -> None:
        missing = mock.patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": "/no/such/bundle.pem"})
        with missing, self.assertRaises(TransportError) as caught:
            Transport().send(Request("GET", self.base), TIMEOUT)
        self.assertEqual(caught.exception.kind, FailureKind.CA_BUNDLE)

    def test_ssl_verify_off_takes_precedence_over_a_ca_bundle(self) -> None:
        with mock.patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": ssl.get_default_verify_paths().cafile or os.devnull}):
            self.assertEqual(Transport(ssl_verify=False).send(Request("GET", self.base), TIMEOUT).body, b"hello")


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        """Silence: a test's output is its failures."""
