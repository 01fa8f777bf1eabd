"""Connecting and the connection test end within their time limits, and connections that went silent are not used."""

import errno
import socket
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler
from typing import Any
from unittest import mock

from komand_sentry.util.http import deadline, transport
from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.messages import FailureKind, Request, TransportError
from komand_sentry.util.http.time_budget import TimeBudget
from komand_sentry.util.http.transport import Transport
from komand_sentry.util.sentry.client import MAX_TEST_SECONDS
from testing.fake_clock import FakeClock
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to
from unit_test import faults

Address = tuple[Any, ...]


def _address(port: int, host: str = "127.0.0.1") -> Address:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


class _FullListener:
    """A port that drops connection requests: its queue is full."""

    def __init__(self, test: unittest.TestCase) -> None:
        listener = test.enterContext(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self.port: int = listener.getsockname()[1]
        for _ in range(3):
            filler = test.enterContext(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
        time.sleep(0.05)


class TestConnecting(unittest.TestCase):
    def resolve_to(self, *addresses: Address) -> Any:
        return mock.patch("socket.getaddrinfo", return_value=list(addresses))

    def failure(self, seconds: float) -> tuple[FailureKind, float]:
        """How a request fails, and after how long."""
        started = time.monotonic()
        with self.assertRaises(TransportError) as caught:
            Transport().send(Request("GET", "http://sentry.example.com/"), seconds)
        return caught.exception.kind, time.monotonic() - started

    def test_all_addresses_together_take_no_longer_than_the_timeout(self) -> None:
        silent = _address(_FullListener(self).port)
        with self.resolve_to(*[silent] * 8):
            kind, seconds = self.failure(0.5)
        self.assertIs(kind, FailureKind.TIMEOUT)
        self.assertGreater(seconds, 0.4)
        self.assertLess(seconds, 0.9)

    def test_connecting_takes_no_longer_than_its_share_of_a_long_timeout(self) -> None:
        silent = _address(_FullListener(self).port)
        with self.resolve_to(*[silent] * 8), mock.patch.object(transport, "CONNECT_SECONDS", 0.5):
            self.assertLess(self.failure(60.0)[1], 0.9)

    def test_an_address_that_accepts_is_found_after_one_that_does_not(self) -> None:
        silent = _address(_FullListener(self).port)
        with ScriptedServer(("GET", "/", Answer())) as server:
            accepting = _address(int(server.base.rpartition(":")[2]))
            with self.resolve_to(silent, silent, accepting):
                response = Transport().send(Request("GET", "http://sentry.example.com/"), 1.0)
        self.assertEqual(response.status, 200)

    def test_a_lookup_takes_no_longer_than_the_timeout(self) -> None:
        hanging = threading.Event()
        self.addCleanup(hanging.set)
        with mock.patch("socket.getaddrinfo", side_effect=lambda *_: hanging.wait(20)):
            kind, seconds = self.failure(0.3)
        self.assertIs(kind, FailureKind.DNS_TEMPORARY)
        self.assertLess(seconds, 0.8)

    def test_the_failures_of_a_lookup_are_told_apart(self) -> None:
        cases: tuple[tuple[Exception, FailureKind], ...] = (
            (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), FailureKind.DNS),
            (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), FailureKind.DNS_TEMPORARY),
            (UnicodeError("label too long"), FailureKind.INVALID_REQUEST),
        )
        for error, kind in cases:
            with self.subTest(kind), mock.patch("socket.getaddrinfo", side_effect=error):
                self.assertIs(self.failure(1.0)[0], kind)

    def test_a_refused_connection_is_refused_at_every_address(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        with self.resolve_to(_address(port), _address(port)):
            self.assertIs(self.failure(1.0)[0], FailureKind.REFUSED)

    def test_a_network_that_cannot_be_reached_is_a_failed_connection(self) -> None:
        unreachable = OSError(errno.ENETUNREACH, "Network is unreachable")
        with mock.patch.object(deadline, "_connect", side_effect=unreachable), self.resolve_to(_address(9)):
            self.assertIs(self.failure(1.0)[0], FailureKind.CONNECTION)

    def test_a_tunnel_and_tls_take_no_longer_than_the_timeout(self) -> None:
        """A proxy that takes most of the time for the tunnel, to a server that does not answer the handshake."""

        def tunnel(handler: BaseHTTPRequestHandler) -> None:
            time.sleep(0.4)
            handler.send_response(200)
            handler.end_headers()
            time.sleep(1.0)
            handler.close_connection = True

        with (
            ScriptedServer(("CONNECT", "sentry.example.com:443", Answer(play=tunnel))) as proxy,
            mock.patch.dict("os.environ", {"HTTPS_PROXY": proxy.base, "NO_PROXY": ""}),
            self.assertRaises(TransportError) as caught,
        ):
            started = time.monotonic()
            Transport().send(Request("GET", "https://sentry.example.com/"), 0.6)
        self.assertIs(caught.exception.kind, FailureKind.TIMEOUT)
        self.assertLess(time.monotonic() - started, 0.95)

    def test_connecting_does_not_take_the_time_of_sending(self) -> None:
        """A server that accepts late still gets a body that it reads slowly."""
        body = b"x" * 8_000_000

        def read_slowly(handler: BaseHTTPRequestHandler) -> None:
            time.sleep(0.2)
            left = len(body)
            while left:
                left -= len(handler.rfile.read(min(left, 1_000_000)))
            faults.send_head(handler, 200, {"Content-Length": "0"})

        real = deadline._connect

        def connect_late(addresses: Any, until: float) -> socket.socket:
            sock = real(addresses, until)
            time.sleep(0.35)
            sock.settimeout(max(until - time.monotonic(), 0.001))
            return sock

        answer = Answer(play=read_slowly, unread=True)
        with (
            ScriptedServer(("POST", "/", answer)) as server,
            mock.patch.object(deadline, "_connect", connect_late),
            mock.patch.object(transport, "CONNECT_SECONDS", 0.45),
        ):
            response = Transport().send(Request("POST", f"{server.base}/", body=body), 5.0)
        self.assertEqual(response.status, 200)


class TestPooledConnections(unittest.TestCase):
    def ports(self, idle_seconds: float) -> set[int]:
        """The client ports of two requests with a pause between them."""
        now = time.monotonic()
        with ScriptedServer(("GET", "/", Answer()), ("GET", "/", Answer())) as server:
            sender = Transport()
            sender.send(Request("GET", f"{server.base}/"), 5.0)
            with mock.patch.object(time, "monotonic", return_value=now + idle_seconds):
                sender.send(Request("GET", f"{server.base}/"), 5.0)
        return {received.client_port for received in server.received}

    def test_a_connection_that_was_idle_for_long_is_not_used(self) -> None:
        self.assertEqual(len(self.ports(deadline.MAX_IDLE_SECONDS - 5)), 1)
        self.assertEqual(len(self.ports(deadline.MAX_IDLE_SECONDS + 5)), 2)

    def test_the_kernel_watches_idle_connections(self) -> None:
        sockets: list[socket.socket] = []
        real = deadline._connect

        def connect(*arguments: Any) -> socket.socket:
            sockets.append(real(*arguments))
            return sockets[-1]

        with ScriptedServer(("GET", "/", Answer())) as server, mock.patch.object(deadline, "_connect", connect):
            sender = Transport()
            sender.send(Request("GET", f"{server.base}/"), 5.0)
            options = [sockets[0].getsockopt(level, option) for level, option, _ in deadline.SOCKET_OPTIONS]
        self.assertEqual(options, [value for _, _, value in deadline.SOCKET_OPTIONS])
        keep_alive = {option: value for _, option, value in deadline.SOCKET_OPTIONS}
        self.assertEqual(keep_alive[socket.SO_KEEPALIVE], 1)
        silent = keep_alive[socket.TCP_KEEPIDLE] + keep_alive[socket.TCP_KEEPINTVL] * keep_alive[socket.TCP_KEEPCNT]
        self.assertLess(silent, deadline.MAX_IDLE_SECONDS)


def _after(clock: FakeClock, seconds: float, body: Any) -> Answer:
    """An answer that takes some seconds of a clock."""
    return Answer(play=faults.after(clock, seconds, body))


IDENTITY = {"version": "0", "auth": {"scopes": ["event:read", "event:write"]}, "user": {"email": "a@example.com"}}
SLUGS = [f"org-{number}" for number in range(20)]


class TestConnectionTest(unittest.TestCase):
    def check(self, clock: FakeClock, *script: tuple[str, str, Answer], timeout: int = 60) -> Any:
        with ScriptedServer(*script) as server:
            return connection_to(server.base, clock=clock, timeout=timeout).test()

    def test_many_slow_organizations_end_within_its_limit(self) -> None:
        clock = FakeClock()
        organizations = [{"slug": slug} for slug in SLUGS]

        def slow(path: str, body: Any) -> tuple[str, str, Answer]:
            return ("GET", path, _after(clock, 2, body))

        with self.assertLogs("plugin.test", "INFO") as logs:
            output = self.check(
                clock,
                slow("/api/0/", IDENTITY),
                slow("/api/client-config/", {}),
                slow("/auth/login/", {}),
                slow("/api/0/projects/", []),
                slow("/api/0/organizations/", organizations),
                *(slow(f"/api/0/organizations/{slug}/projects/", [{"slug": "p"}]) for slug in SLUGS[:5]),
            )
        self.assertLessEqual(clock.monotonic(), MAX_TEST_SECONDS)
        self.assertEqual(output["user"], "a@example.com")
        self.assertEqual(output["projects"], [f"{slug}/p" for slug in SLUGS[:5]])
        log = "".join(logs.output)
        self.assertIn("Not all projects are listed: those of org-5 could not be read in time", log)
        self.assertIn("Projects: org-0/p, org-1/p", log)

    def test_each_request_is_limited_by_the_time_that_is_left(self) -> None:
        clock = FakeClock()
        limits: list[float] = []
        real = Transport.send

        def send(sender: Transport, request: Request, timeout: float, new_connection: bool = False) -> Any:
            limits.append(timeout)
            return real(sender, request, timeout, new_connection)

        with mock.patch.object(Transport, "send", send):
            self.check(
                clock,
                ("GET", "/api/0/", _after(clock, 8, IDENTITY)),
                ("GET", "/api/client-config/", _after(clock, 8, {})),
                ("GET", "/auth/login/", _after(clock, 1, {})),
                ("GET", "/api/0/projects/", _after(clock, 2, [{"slug": "p", "organization": {"slug": "o"}}])),
            )
        self.assertEqual(limits, [15, 12, 4, 3])

    def test_a_shorter_timeout_of_the_connection_limits_it_as_well(self) -> None:
        clock = FakeClock()
        output = self.check(
            clock,
            ("GET", "/api/0/", _after(clock, 3, IDENTITY)),
            ("GET", "/api/client-config/", _after(clock, 1, {})),
            ("GET", "/auth/login/", _after(clock, 1, {})),
            timeout=5,
        )
        self.assertEqual(clock.monotonic(), 5)
        self.assertEqual((output["user"], output.get("projects")), ("a@example.com", None))

    def test_waiting_for_a_rate_limit_ends_with_it_as_well(self) -> None:
        clock = FakeClock()
        limited = Answer(429, headers={"Retry-After": "9"})
        with ScriptedServer(*[("GET", "/api/0/", limited)] * 3) as server:
            connection = connection_to(server.base, clock=clock)
            with self.assertRaisesRegex(Exception, "429"):
                connection.test()
        self.assertLessEqual(clock.monotonic(), MAX_TEST_SECONDS)


class TestTotalBudget(unittest.TestCase):
    def test_prompt_responses_and_work_count(self) -> None:
        clock = FakeClock()
        budget = TimeBudget(20, clock, is_total=True)
        budget.start_attempt()
        clock.sleep(4)
        budget.end_attempt(failed=False)
        clock.sleep(3)
        self.assertEqual(budget.left, 13)
        self.assertTrue(budget.allows(12))
        self.assertFalse(budget.allows(12.5))

    def test_nothing_is_sent_when_it_is_spent(self) -> None:
        clock = FakeClock()
        budget = TimeBudget(20, clock, is_total=True)
        clock.sleep(20)
        client = RetryingClient(Transport(), budget, mock.Mock(), lambda: 0.0, lambda *_: None)
        with self.assertRaises(TransportError) as caught:
            client.send(Request("GET", "http://127.0.0.1:9/"))
        self.assertIs(caught.exception.kind, FailureKind.TIME_SPENT)
