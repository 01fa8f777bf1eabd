"""Faults of the environment are named as such: proxy, CA bundle, gevent, encoding of the log, clock, host names."""

import os
import socket
import ssl
import tempfile
import threading
import unittest
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote as percent_encode

import trustme
from insightconnect_plugin_runtime.exceptions import ConnectionTestException

from komand_sentry.util.errors.factory import ErrorContext, response_error, transport_error
from komand_sentry.util.errors.redaction import MASK, RedactingLogger, redact
from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.messages import FailureKind, Request, Response, TransportError
from komand_sentry.util.http.time_budget import TimeBudget
from komand_sentry.util.http.transport import Transport
from komand_sentry.util.http.urls import InvalidURL, redirect_url, split_url
from komand_sentry.util.sentry.rate_limits import server_retry_delay
from komand_sentry.util.sentry.server import Server
from testing.fake_clock import FakeClock
from testing.plugin import ENVIRONMENT, PluginServer, action_message, run_plugin
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to

SECONDS = 5.0
TOKEN = "sntryu_" + "0123456789abcdef" * 4
LIST_INPUT = {"organization_slug": "acme", "project_slug": "pump-station"}
LAST_PAGE = '<http://x/>; rel="next"; results="false"; cursor="0:100:0"'


def failure(url: str, **environment: str) -> TransportError:
    """How a request fails in an environment."""
    with mock.patch.dict(os.environ, {"NO_PROXY": "", **environment}):
        try:
            Transport().send(Request("GET", url), SECONDS)
        except TransportError as error:
            return error
    raise AssertionError("the request succeeded")


class TestProxy(unittest.TestCase):
    def test_a_malformed_setting_is_named(self) -> None:
        for setting in (
            "http://user:secret@proxy:notaport",
            "http://",
            "ftp://proxy:3128",
            "socks5://proxy:1080",
            "a b",
            "http://DOMAIN\\user:secret@proxy:3128",
        ):
            with self.subTest(setting):
                error = failure("https://sentry.example.com/", HTTPS_PROXY=setting)
                self.assertIs(error.kind, FailureKind.PROXY_INVALID)
                self.assertNotIn("secret", error.reason)
        explained = transport_error("sentry.example.com", error)
        self.assertIn("proxy", explained.cause)
        self.assertIn("HTTPS_PROXY", explained.assistance)

    def test_valid_settings_are_used(self) -> None:
        for prefix in ("http://", "", "http://DOMAIN%5Cuser:p%40ss@"):
            with ScriptedServer(("GET", "/", Answer(body=b"{}"))) as proxy:
                setting = prefix + proxy.base.removeprefix("http://")
                with mock.patch.dict(os.environ, {"HTTP_PROXY": setting, "NO_PROXY": ""}):
                    response = Transport().send(Request("GET", "http://sentry.example.com/"), SECONDS)
                self.assertEqual(response.body, b"{}")

    def test_a_refusal_names_the_proxy_with_and_without_tls(self) -> None:
        for url, line in (
            ("http://sentry.example.com/", ("GET", "/")),
            ("https://sentry.example.com/", ("CONNECT", "sentry.example.com:443")),
        ):
            with self.subTest(url), ScriptedServer((*line, Answer(407))) as proxy:
                host = proxy.base.removeprefix("http://")
                setting = f"http://user:secret@{host}"
                error = failure(url, HTTP_PROXY=setting, HTTPS_PROXY=setting)
                self.assertIs(error.kind, FailureKind.PROXY_REFUSED)
                self.assertEqual(error.reason, f"{host}: 407 Proxy Authentication Required")

    def test_a_proxy_that_is_not_there_is_named(self) -> None:
        for url in ("http://sentry.example.com/", "https://sentry.example.com/"):
            setting = "http://127.0.0.1:9"
            error = failure(url, HTTP_PROXY=setting, HTTPS_PROXY=setting)
            self.assertEqual((error.kind, error.reason), (FailureKind.PROXY, "127.0.0.1:9: Connection refused"))

    def test_a_proxy_whose_name_is_not_resolved_is_not_taken_for_the_server(self) -> None:
        error = failure("http://127.0.0.2:9/", HTTP_PROXY="http://no-such-proxy.invalid:3128")
        self.assertIs(error.kind, FailureKind.PROXY)
        self.assertTrue(error.reason.startswith("no-such-proxy.invalid:3128: "))


class TestCABundle(unittest.TestCase):
    def test_a_bundle_that_cannot_be_used_is_named(self) -> None:
        directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name, content in (("empty.pem", ""), ("text.pem", "no certificate"), ("missing.pem", None)):
            bundle = directory / name
            if content is not None:
                bundle.write_text(content, encoding="utf-8")
            with self.subTest(name), ScriptedServer() as server:
                url = server.base.replace("http://", "https://")
                error = failure(f"{url}/", REQUESTS_CA_BUNDLE=str(bundle))
                self.assertIs(error.kind, FailureKind.CA_BUNDLE)
                self.assertTrue(error.reason.startswith(f"{bundle}: "), error.reason)

    def test_a_valid_bundle_is_not_blamed(self) -> None:
        bundle = ssl.get_default_verify_paths().cafile or self.fail("this machine has no CA bundle")
        with ScriptedServer() as server:
            error = failure(server.base.replace("http://", "https://") + "/", REQUESTS_CA_BUNDLE=bundle)
            server.unexpected.clear()
        self.assertIs(error.kind, FailureKind.TLS)

    def test_without_verification_no_bundle_is_blamed(self) -> None:
        with ScriptedServer() as server, self.assertRaises(TransportError) as caught:
            Transport(ssl_verify=False).send(Request("GET", server.base.replace("http://", "https://")), SECONDS)
        server.unexpected.clear()
        self.assertIs(caught.exception.kind, FailureKind.TLS)


class TestGevent(unittest.TestCase):
    def test_a_worker_class_that_breaks_tls_is_named(self) -> None:
        with ScriptedServer() as server, PluginServer(options=("--worker_class=gevent",)) as plugin:
            connection = {"token": {"token": TOKEN}, "url": server.base.replace("http://", "https://")}
            body = plugin.run("list_project_issues", action_message("list_project_issues", LIST_INPUT, connection))
            server.unexpected.clear()
        self.assertEqual(body["status"], "error")
        self.assertIn("`--worker_class gevent` in two words", body["error"])

    def test_two_words_work(self) -> None:
        """With a certificate that is not trusted: the handshake is reached."""
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        options = ("--worker_class", "gevent")
        with socket.create_server(("127.0.0.1", 0)) as listener, PluginServer(options=options) as plugin:
            threading.Thread(target=_shake_hands, args=(listener, context), daemon=True).start()
            connection = {"token": {"token": TOKEN}, "url": f"https://127.0.0.1:{listener.getsockname()[1]}"}
            body = plugin.run("list_project_issues", action_message("list_project_issues", LIST_INPUT, connection))
        self.assertIn("The TLS certificate of 127.0.0.1", body["error"])


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        context.wrap_socket(connection, server_side=True).close()


class TestLogEncoding(unittest.TestCase):
    def test_a_step_does_not_fail_for_the_encoding_of_its_log(self) -> None:
        path = "/api/0/projects/acme/%E6%B3%B5/issues/"
        page = Answer(body=b'[{"id": "5"}]', headers={"Link": LAST_PAGE})
        with ScriptedServer(("GET", path, page)) as server:
            connection = {"token": {"token": TOKEN}, "url": server.base}
            step = action_message("list_project_issues", {**LIST_INPUT, "project_slug": "泵"}, connection)
            with mock.patch.dict(ENVIRONMENT, {"PYTHONIOENCODING": "latin-1"}):
                body = run_plugin("run", step)
        self.assertEqual(body["status"], "ok", body)

    def test_characters_that_the_log_does_not_have_are_escaped(self) -> None:
        lines: list[str] = []

        def write(text: str) -> None:
            text.encode("latin-1")
            lines.append(text)

        logger: Any = mock.Mock(info=write, warning=write)
        log = RedactingLogger(logger, (TOKEN,))
        log.info("Größe")
        log.warning(f"泵 {TOKEN} \ud800")
        self.assertEqual(lines, ["Größe", f"\\u6cf5 {MASK} \\ud800"])


class TestRedaction(unittest.TestCase):
    def encodings(self, secret: str) -> tuple[str, ...]:
        every = "".join(f"%{byte:02x}" for byte in secret.encode())
        return (
            secret,
            every,
            every.upper(),
            percent_encode(every),
            percent_encode(percent_encode(every)),
            secret[:9] + every[27:],
            secret.replace("_", "%5F"),
        )

    def test_a_percent_encoded_token_is_redacted(self) -> None:
        for text in self.encodings(TOKEN):
            with self.subTest(text[:12]):
                location = f"https://other.example.com/?next={text}&a=%C3%A9"
                redacted = redact(location, ("", TOKEN))
                self.assertIn(MASK, redacted)
                for part in self.encodings(TOKEN):
                    self.assertNotIn(part, redacted)
                response = Response(302, {"location": location}, b"")
                error = response_error(ErrorContext("the list"), response, (TOKEN,))
                self.assertIn(f"next={MASK}", error.data)
                self.assertNotIn(text, error.data)

    def test_texts_without_a_secret_stay_encoded(self) -> None:
        for text in ("https://x/?a=%2Fb%20c", "100%", "%zz %E2%82"):
            self.assertEqual(redact(text, (TOKEN,)), text)


class TestServerClock(unittest.TestCase):
    now = datetime(2026, 8, 1, 12, 0, 0, tzinfo=UTC)

    def delay(self, server_now: datetime | str, **headers: str) -> float | None:
        date = server_now if isinstance(server_now, str) else format_datetime(server_now, usegmt=True)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return server_retry_delay(Response(429, {"date": date, **named}, b""), self.now)

    def test_the_clock_of_the_server_does_not_matter(self) -> None:
        for hours in (-23, -1, 0, 1, 23):
            server_now = self.now + timedelta(hours=hours)
            reset = server_now + timedelta(seconds=60)
            with self.subTest(hours):
                self.assertEqual(self.delay(server_now, x_sentry_rate_limit_reset=str(int(reset.timestamp()))), 60)
                self.assertEqual(self.delay(server_now, retry_after=format_datetime(reset, usegmt=True)), 60)
                self.assertEqual(self.delay(server_now, retry_after="7"), 7)

    def test_a_date_that_is_not_from_a_clock_is_ignored(self) -> None:
        reset = str(int(self.now.timestamp()) + 60)
        for date in ("", "yesterday", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359"):
            with self.subTest(date):
                self.assertEqual(self.delay(date, x_sentry_rate_limit_reset=reset), 60)


class TestInternationalHosts(unittest.TestCase):
    def test_a_host_is_converted_to_ascii(self) -> None:
        for text, base in (
            ("https://sentry.bücher.example", "https://sentry.xn--bcher-kva.example"),
            ("Sentry.BÜCHER.example:9000/api/0/", "https://sentry.xn--bcher-kva.example:9000"),
            ("https://例え.テスト/prefix", "https://xn--r8jz45g.xn--zckzah/prefix"),
            ("https://straße.example", "https://xn--strae-oqa.example"),
            ("https://sentry.xn--bcher-kva.example", "https://sentry.xn--bcher-kva.example"),
        ):
            with self.subTest(text):
                self.assertEqual(Server.parse(text).base, base)
        self.assertEqual(split_url("https://key@bücher.example:9000/2")[1], "xn--bcher-kva.example:9000")

    def test_what_is_no_host_name_is_refused(self) -> None:
        for text in (
            "https://bü cher.example",
            "https://ü..example",
            "https://℀.example",
            "https://\u200b",
            "https://ü:x",
        ):
            with self.subTest(text), self.assertRaises(InvalidURL):
                split_url(text)


class TestRedirects(unittest.TestCase):
    prefix = "https://sentry.example.com/api/"
    url = prefix + "0/projects/"

    def test_a_path_that_may_climb_is_not_followed(self) -> None:
        for path in ("%2e%2e/x", "%2E./x", "..;/x", "a;b/x", "%5C..%5Cx", "a%5cb", "a%2Fb", ".%2e/", "%3B/x"):
            with self.subTest(path):
                self.assertIsNone(redirect_url(self.url, f"{self.prefix}0/{path}", self.prefix))
        self.assertEqual(redirect_url(self.url, f"{self.prefix}0/a.b/", self.prefix), f"{self.prefix}0/a.b/")

    def test_blank_parameters_survive_a_redirect(self) -> None:
        """A blank query lists all issues, and a query that is missing only the unresolved ones."""
        with ScriptedServer() as server:
            location = f"{server.base}/api/1/?query=&limit=5"
            server._script = [
                ("GET", "/api/0/", Answer(301, headers={"Location": location})),
                ("GET", "/api/1/", Answer(body=b"[]")),
            ]
            clock = FakeClock()
            client = RetryingClient(Transport(), TimeBudget(60, clock), mock.Mock(), lambda: 0.0, lambda *_: None)
            client.send(
                Request("GET", f"{server.base}/api/0/", (("query", ""),), redirect_prefix=f"{server.base}/api/")
            )
        self.assertEqual(server.received[1].params, [("query", ""), ("limit", "5")])
        self.assertEqual(clock.slept, [])


class TestConnectionTest(unittest.TestCase):
    def test_an_unreachable_proxy_fails_the_connection_test_with_its_name(self) -> None:
        absent = mock.patch.dict(os.environ, {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""})
        with absent, self.assertRaises(ConnectionTestException) as caught:
            connection_to("http://sentry.example.com").test()
        self.assertIn("127.0.0.1:9", caught.exception.data)
