import socket
import unittest
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler

from komand_sentry.util.http.client import RetryingClient
from komand_sentry.util.http.messages import MAX_REDIRECTS, AttemptStats, FailureKind, Request, Response, TransportError
from komand_sentry.util.http.retry import MAX_ATTEMPTS
from komand_sentry.util.http.time_budget import UNCHARGED_SECONDS, TimeBudget
from komand_sentry.util.http.transport import Transport
from komand_sentry.util.sentry.rate_limits import server_retry_delay
from testing.fake_clock import FakeClock
from testing.scripted_server import Answer, ScriptedServer
from unit_test import faults

PATH = "/api/0/issues/7/"
SECRET = "sntryu_0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {SECRET}", "X-Own": "1"}
API = Request("GET", "https://h.example/api/0/")


class RequestClock(FakeClock):
    """Advances by the duration of simulated requests, too."""

    def __init__(self) -> None:
        super().__init__()
        self.in_requests = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.in_requests


def redirect(status: int, location: str) -> faults.Play:
    """A redirect. `{port}` in the location is the port of the server."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        port = handler.connection.getsockname()[1]
        faults.send_head(handler, status, {"Location": location.replace("{port}", str(port)), "Content-Length": "0"})

    return play


@dataclass
class Slow:
    """A response that takes some seconds on the clock of the test."""

    clock: RequestClock
    seconds: float
    status: int = 200

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        self.clock.in_requests += self.seconds
        faults.send_head(handler, self.status, {"Content-Length": "0"})


@dataclass
class FakeTransport(Transport):
    """A transport without a network.

    :param outcomes: of the requests, in this order
    :param share: how much of its timeout each request takes
    :param sent: each request, its timeout, and whether it needs a new connection
    """

    clock: RequestClock
    outcomes: list[Response | TransportError]
    share: float = 0.0
    sent: list[tuple[Request, float, bool]] = field(default_factory=list)

    def send(self, request: Request, timeout: float, new_connection: bool = False) -> Response:
        self.sent.append((request, timeout, new_connection))
        self.clock.in_requests += timeout * self.share
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, TransportError):
            raise outcome
        return outcome


def refusing_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
    return port


class LineLog:
    """A log that collects its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    def warning(self, text: str) -> None:
        self.lines.append(text)


class ClientTestCase(unittest.TestCase):
    def setUp(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.clock = RequestClock()
        self.log = LineLog()

    def client(self, seconds: float = 60, transport: Transport | None = None, jitter: float = 0.0) -> RetryingClient:
        budget = TimeBudget(seconds, self.clock)
        return RetryingClient(transport or Transport(), budget, self.log, lambda: jitter, server_retry_delay)

    def failure(self, client: RetryingClient, request: Request) -> TransportError:
        with self.assertRaises(TransportError) as caught:
            client.send(request)
        return caught.exception

    @staticmethod
    def request(server: ScriptedServer, method: str = "GET", idempotent: bool = False) -> Request:
        body = b"body" if method != "GET" else None
        prefix = f"{server.base}/api/"
        return Request(method, server.base + PATH, (("query", "a b"),), HEADERS, body, idempotent, prefix)


class RetryTest(ClientTestCase):
    def test_final_response_is_returned_after_one_request_without_a_log_line(self) -> None:
        for status in (200, 201, 204, 400, 401, 403, 404, 409, 410, 413, 500, 501, 505):
            with self.subTest(status), ScriptedServer(("GET", PATH, Answer(status))) as server:
                response = self.client().send(self.request(server))
                self.assertEqual((response.status, response.stats), (status, AttemptStats()))
        self.assertEqual((self.clock.slept, self.log.lines), ([], []))

    def test_transient_failure_is_retried_after_the_delay(self) -> None:
        for status, reason in (
            (502, "failed (502)"),
            (503, "failed (503)"),
            (504, "failed (504)"),
            (429, "limits the"),
        ):
            for header, delay in (
                ({}, 1.0),
                ({"Retry-After": "7"}, 7.0),
                ({"X-Sentry-Rate-Limits": "7:error:key"}, 7.0),
            ):
                self.reset()
                failing = ("PUT", PATH, Answer(status, headers=header))
                with self.subTest(status=status, header=header):
                    with ScriptedServer(failing, ("PUT", PATH, Answer(body=b"ok"))) as server:
                        response = self.client().send(self.request(server, "PUT"))
                    self.assertEqual((response.status, response.body), (200, b"ok"))
                    self.assertEqual(response.stats, AttemptStats(requests=2, waited=delay))
                    self.assertEqual(self.clock.slept, [delay])
                    host = server.base.removeprefix("http://")
                    self.assertEqual(len(self.log.lines), 1)
                    self.assertIn(f"Waiting {delay:.1f} s before attempt 2: {host} {reason}", self.log.lines[0])

    def test_each_attempt_sends_the_same_request(self) -> None:
        for method, idempotent in (("GET", False), ("PUT", False), ("POST", True)):
            failing = (method, PATH, Answer(503))
            with self.subTest(method), ScriptedServer(failing, failing, (method, PATH, Answer())) as server:
                self.client().send(self.request(server, method, idempotent))
            first, *others = (replace(received, client_port=0) for received in server.received)
            self.assertEqual(others, [first, first])
            self.assertEqual(first.params, [("query", "a b")])
            self.assertEqual((first.headers["authorization"], first.headers["x-own"]), (f"Bearer {SECRET}", "1"))
            self.assertEqual(first.body, b"" if method == "GET" else b"body")

    def test_delays_double_and_are_logged(self) -> None:
        with ScriptedServer(*[("GET", PATH, Answer(503))] * 4, ("GET", PATH, Answer())) as server:
            response = self.client().send(self.request(server))
        self.assertEqual(self.clock.slept, [1.0, 2.0, 4.0, 8.0])
        self.assertEqual(response.stats, AttemptStats(requests=5, waited=15.0))
        starts = [line.partition(":")[0] for line in self.log.lines]
        self.assertEqual(starts, [f"Waiting {2.0**n:.1f} s before attempt {n + 2}" for n in range(4)])

    def test_jitter_shortens_only_delays_that_no_server_asked_for(self) -> None:
        script = [("GET", PATH, Answer(503)), ("GET", PATH, Answer(429, headers={"Retry-After": "5"}))]
        with ScriptedServer(*script, ("GET", PATH, Answer())) as server:
            self.client(jitter=1.0).send(self.request(server))
        self.assertEqual(self.clock.slept, [0.5, 5.0])

    def test_closed_connection_is_retried_immediately_without_a_log_line(self) -> None:
        for method, idempotent in (("GET", False), ("PUT", False), ("POST", True)):
            closed = (method, PATH, Answer(play=faults.reset))
            with self.subTest(method):
                with ScriptedServer(closed, (method, PATH, Answer(body=b"ok"))) as server:
                    response = self.client().send(self.request(server, method, idempotent))
                self.assertEqual((response.body, response.stats), (b"ok", AttemptStats(requests=2)))
        self.assertEqual((self.clock.slept, self.log.lines), ([], []))

    def test_connection_that_is_closed_again_is_retried_after_a_delay(self) -> None:
        closed = ("GET", PATH, Answer(play=faults.reset))
        with ScriptedServer(
            closed, closed, ("GET", PATH, Answer(play=faults.cut_off)), ("GET", PATH, Answer())
        ) as server:
            response = self.client().send(self.request(server))
        self.assertEqual(response.stats, AttemptStats(requests=4, waited=6.0))
        self.assertEqual(self.clock.slept, [2.0, 4.0])
        self.assertIn("closed the connection", self.log.lines[0])
        self.assertIn("is incomplete", self.log.lines[1])

    def test_server_that_closes_each_connection_without_notice_causes_no_delay(self) -> None:
        with ScriptedServer(*[("POST", PATH, Answer(play=faults.answer_and_close))] * 30) as server:
            client = self.client()
            for _ in range(30):
                self.assertTrue(client.send(self.request(server, "POST", idempotent=True)).is_success)
        self.assertEqual((self.clock.slept, self.log.lines), ([], []))

    def test_request_that_is_not_idempotent_is_not_repeated(self) -> None:
        with ScriptedServer(("POST", PATH, Answer(503, headers={"Retry-After": "1"}))) as server:
            response = self.client().send(self.request(server, "POST"))
        self.assertEqual((response.status, response.stats), (503, AttemptStats()))
        for play, kind in ((faults.reset, FailureKind.CLOSED), (faults.cut_off, FailureKind.INCOMPLETE)):
            with self.subTest(kind), ScriptedServer(("POST", PATH, Answer(play=play))) as server:
                failure = self.failure(self.client(), self.request(server, "POST"))
                self.assertEqual((failure.kind, failure.stats), (kind, AttemptStats()))
        self.assertEqual((self.clock.slept, self.log.lines), ([], []))

    def test_request_that_was_not_processed_is_repeated_whatever_its_method(self) -> None:
        limited = ("POST", PATH, Answer(429, headers={"Retry-After": "3"}))
        with ScriptedServer(limited, ("POST", PATH, Answer(201))) as server:
            response = self.client().send(self.request(server, "POST"))
        self.assertEqual((response.status, response.stats), (201, AttemptStats(requests=2, waited=3.0)))
        failure = self.failure(self.client(), Request("POST", f"http://127.0.0.1:{refusing_port()}{PATH}"))
        self.assertEqual((failure.kind, failure.stats.requests), (FailureKind.REFUSED, 7))

    def test_permanent_failure_is_not_retried(self) -> None:
        with ScriptedServer(("GET", PATH, Answer(play=faults.no_http))) as server:
            failure = self.failure(self.client(), self.request(server))
        self.assertEqual((failure.kind, failure.stats), (FailureKind.MALFORMED, AttemptStats()))
        broken = Request("GET", server.base + PATH, headers={"X-Broken": "a\nb"})
        failure = self.failure(self.client(), broken)
        self.assertEqual(
            (failure.kind, failure.stats, self.clock.slept), (FailureKind.INVALID_REQUEST, AttemptStats(), [])
        )

    def test_number_of_attempts_is_limited(self) -> None:
        limited = ("GET", PATH, Answer(429, headers={"Retry-After": "2"}))
        with ScriptedServer(*[limited] * MAX_ATTEMPTS) as server:
            response = self.client(seconds=3600).send(self.request(server))
        waited = 2.0 * (MAX_ATTEMPTS - 1)
        next_attempt_at = self.clock.start + timedelta(seconds=waited + 2)
        self.assertEqual(
            response.stats, AttemptStats(MAX_ATTEMPTS, waited, next_delay=2.0, next_attempt_at=next_attempt_at)
        )
        self.assertEqual(len(self.log.lines), MAX_ATTEMPTS - 1)

    def test_caller_can_lower_the_number_of_attempts(self) -> None:
        for max_attempts in (1, 2):
            with ScriptedServer(*[("GET", PATH, Answer(503))] * max_attempts) as server:
                response = self.client().send(self.request(server), max_attempts)
            self.assertEqual((response.status, response.stats.requests), (503, max_attempts))
        self.assertEqual(self.clock.slept, [1.0])

    def test_attempt_after_a_transport_error_uses_a_new_connection(self) -> None:
        success = Response(200, {}, b"")
        closed, timed_out = TransportError(FailureKind.CLOSED, ""), TransportError(FailureKind.TIMEOUT, "")
        transport = FakeTransport(self.clock, [Response(503, {}, b""), closed, timed_out, success, success])
        client = self.client(transport=transport)
        for _ in range(2):
            client.send(API)
        self.assertEqual([new_connection for _, _, new_connection in transport.sent], [False, False, True, True, False])

    def test_log_contains_no_header_parameter_or_body(self) -> None:
        script = [("GET", PATH, Answer(503, body=SECRET.encode())), ("GET", PATH, Answer(play=faults.cut_off))]
        with ScriptedServer(*script, ("GET", PATH, Answer())) as server:
            self.client().send(self.request(server))
        self.assertEqual(len(self.log.lines), 2)
        for word in (SECRET, "query", "\n"):
            self.assertNotIn(word, "".join(self.log.lines))


class TimeBudgetTest(ClientTestCase):
    def test_delay_beyond_the_budget_fails_at_once_and_is_reported(self) -> None:
        for header, delay in (("3600", 3600.0), ("59.5", 59.5), ("999999999", 999_999_999.0)):
            with self.subTest(header):
                with ScriptedServer(("GET", PATH, Answer(429, headers={"Retry-After": header}))) as server:
                    response = self.client().send(self.request(server))
                next_attempt_at = self.clock.start + timedelta(seconds=delay)
                self.assertEqual(response.stats, AttemptStats(next_delay=delay, next_attempt_at=next_attempt_at))
        self.assertEqual((self.clock.slept, self.log.lines), ([], []))

    def test_very_long_delay_does_not_overflow(self) -> None:
        for header in (
            {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"},
            {"X-Sentry-Rate-Limit-Reset": "999999999999"},
            {"Retry-After": "9" * 9},
        ):
            with self.subTest(header):
                with ScriptedServer(("GET", PATH, Answer(429, headers=header))) as server:
                    stats = self.client().send(self.request(server)).stats
                self.assertIsNotNone(stats.next_attempt_at)
                self.assertGreaterEqual(stats.next_delay or 0, 10**9 - 1)

    def test_delay_that_leaves_time_for_a_request_is_waited(self) -> None:
        limited = ("GET", PATH, Answer(429, headers={"Retry-After": "59"}))
        with ScriptedServer(limited, ("GET", PATH, Answer())) as server:
            response = self.client().send(self.request(server))
        self.assertEqual((response.stats, self.clock.slept), (AttemptStats(requests=2, waited=59.0), [59.0]))

    def test_unreachable_server_is_retried_within_the_budget(self) -> None:
        for seconds, slept, next_delay in ((60, [1.0, 2.0, 4.0, 8.0, 16.0, 16.0], 16.0), (8, [1.0, 2.0, 4.0], 8.0)):
            self.reset()
            with self.subTest(seconds):
                request = Request("GET", f"http://127.0.0.1:{refusing_port()}{PATH}")
                failure = self.failure(self.client(seconds), request)
                self.assertEqual((failure.kind, self.clock.slept), (FailureKind.REFUSED, slept))
                self.assertEqual(failure.stats.requests, len(slept) + 1)
                self.assertEqual((failure.stats.waited, failure.stats.next_delay), (sum(slept), next_delay))
                self.assertEqual(failure.stats.next_attempt_at, self.clock.now() + timedelta(seconds=next_delay))
                self.assertEqual(len(self.log.lines), len(slept))

    def test_all_requests_of_a_client_share_its_budget(self) -> None:
        limited = ("GET", PATH, Answer(429, headers={"Retry-After": "20"}))
        success = ("GET", PATH, Answer())
        with ScriptedServer(limited, success, limited, success, limited) as server:
            client = self.client()
            statuses = [client.send(self.request(server)).status for _ in range(3)]
        self.assertEqual((statuses, self.clock.slept), ([200, 200, 429], [20.0, 20.0]))

    def test_fast_responses_are_not_charged(self) -> None:
        quick = ("GET", PATH, Answer(play=Slow(self.clock, UNCHARGED_SECONDS)))
        with ScriptedServer(*[quick] * 20) as server:
            client = self.client(seconds=15)
            for _ in range(20):
                self.assertEqual(client.send(self.request(server)).status, 200)
        self.assertEqual(self.clock.monotonic(), 20 * UNCHARGED_SECONDS)

    def test_slow_responses_spend_the_budget(self) -> None:
        slow = ("GET", PATH, Answer(play=Slow(self.clock, UNCHARGED_SECONDS + 20)))
        with ScriptedServer(*[slow] * 3) as server:
            client = self.client()
            for _ in range(3):
                self.assertEqual(client.send(self.request(server)).status, 200)
            failure = self.failure(client, self.request(server))
        self.assertEqual((failure.kind, failure.reason), (FailureKind.TIME_SPENT, "60 seconds"))
        self.assertIsNone(failure.stats.next_delay)

    def test_request_that_is_not_sent_is_not_counted(self) -> None:
        failure = self.failure(self.client(seconds=0, transport=FakeTransport(self.clock, [])), API)
        self.assertEqual((failure.kind, failure.stats.requests), (FailureKind.TIME_SPENT, 0))

    def test_slow_failure_is_charged_in_full(self) -> None:
        transport = FakeTransport(self.clock, [TransportError(FailureKind.TIMEOUT, "") for _ in range(3)], share=1.0)
        failure = self.failure(self.client(transport=transport), API)
        self.assertEqual([seconds for _, seconds, _ in transport.sent], [45.0, 14.0])
        self.assertEqual(
            (failure.kind, failure.stats.waited, failure.stats.next_delay), (FailureKind.TIMEOUT, 1.0, 2.0)
        )

    def test_response_that_causes_a_retry_is_charged_in_full(self) -> None:
        slow = ("GET", PATH, Answer(play=Slow(self.clock, UNCHARGED_SECONDS - 1, status=503)))
        with ScriptedServer(slow, slow) as server:
            response = self.client(seconds=20).send(self.request(server))
        self.assertEqual((response.status, response.stats.waited), (503, 1.0))

    def test_stale_connection_is_replaced_with_the_shortest_timeout_too(self) -> None:
        transport = FakeTransport(
            self.clock, [TransportError(FailureKind.CLOSED, ""), Response(200, {}, b"")], share=0.01
        )
        self.assertEqual(self.client(seconds=1, transport=transport).send(API).stats, AttemptStats(requests=2))


class RedirectTest(ClientTestCase):
    def test_redirect_keeps_method_headers_body_and_parameters(self) -> None:
        old, new = "/api/0/projects/acme/old/issues/", "/api/0/projects/acme/new/issues/"
        for status in (301, 302, 307, 308):
            for method in ("GET", "PUT", "POST", "DELETE"):
                moved = (method, old, Answer(status, headers={"Location": new}))
                with self.subTest(status=status, method=method):
                    with ScriptedServer(moved, (method, new, Answer(body=b"ok"))) as server:
                        request = replace(self.request(server, method), url=f"{server.base}{old}")
                        response = self.client().send(request)
                    first, second = (replace(received, client_port=0) for received in server.received)
                    self.assertEqual(second, replace(first, path=new))
                    self.assertEqual(second.headers["authorization"], f"Bearer {SECRET}")
                    self.assertEqual((response.body, response.stats), (b"ok", AttemptStats(requests=2, redirects=1)))
        self.assertEqual((self.clock.slept, self.log.lines), ([], []))

    def test_a_change_is_not_redirected_to_another_resource(self) -> None:
        for location in ("/api/0/issues/8/", "/api/0/issues/", "/api/0/", "/api/0/issues/7/events/"):
            for method in ("PUT", "POST", "DELETE"):
                with self.subTest(location=location, method=method):
                    moved = (method, PATH, Answer(307, headers={"Location": location}))
                    with ScriptedServer(moved) as server:
                        self.assertEqual(self.client().send(self.request(server, method)).status, 307)

    def test_a_redirect_cannot_change_the_parameters_of_a_change(self) -> None:
        old, new = "/api/0/projects/acme/old/issues/", "/api/0/projects/acme/new/issues/"
        with ScriptedServer(
            ("PUT", old, Answer(307, headers={"Location": f"{new}?project=1"})), ("PUT", new, Answer())
        ) as server:
            self.client().send(replace(self.request(server, "PUT"), url=f"{server.base}{old}"))
        self.assertEqual(server.received[1].params, server.received[0].params)

    def test_parameters_of_a_redirect_replace_those_of_the_request(self) -> None:
        moved = Answer(307, headers={"Location": "?query=c"})
        with ScriptedServer(("GET", PATH, moved), ("GET", PATH, Answer())) as server:
            self.client().send(self.request(server))
        self.assertEqual([received.params for received in server.received], [[("query", "a b")], [("query", "c")]])

    def test_several_redirects_keep_the_parameters(self) -> None:
        script = [
            ("GET", PATH, Answer(307, headers={"Location": f"{PATH}1/?query=a+b"})),
            ("GET", f"{PATH}1/", Answer(307, headers={"Location": f"{PATH}2/"})),
            ("GET", f"{PATH}2/", Answer()),
        ]
        with ScriptedServer(*script) as server:
            self.client().send(self.request(server))
        self.assertEqual([received.params for received in server.received], [[("query", "a b")]] * 3)

    def test_redirect_out_of_the_api_is_not_followed(self) -> None:
        with ScriptedServer() as other:
            for location in (
                f"{other.base}{PATH}",
                f"{other.base.replace('http://', '//')}{PATH}",
                "https://127.0.0.1:{port}/api/0/",
                "http://127.0.0.1/api/0/",
                "http://localhost:{port}/api/0/",
                "http://user1@127.0.0.1:{port}/api/0/",
                "http://127.0.0.1:{port}\\@evil.example/api/0/",
                "/auth/login/",
                "/auth/login/?next=/api/0/",
                "/api/../auth/login/",
                "/",
                "",
            ):
                for status in (301, 307):
                    script = ("GET", PATH, Answer(play=redirect(status, location)))
                    with self.subTest(location=location, status=status), ScriptedServer(script) as server:
                        response = self.client().send(self.request(server))
                        self.assertEqual((response.status, response.stats), (status, AttemptStats()))
        self.assertEqual((other.received, self.log.lines), ([], []))

    def test_absolute_redirect_within_the_api_is_followed(self) -> None:
        redirected = ("GET", PATH, Answer(play=redirect(308, "http://127.0.0.1:{port}/api/0/x/")))
        with ScriptedServer(redirected, ("GET", "/api/0/x/", Answer(body=b"ok"))) as server:
            self.assertEqual(self.client().send(self.request(server)).body, b"ok")

    def test_other_redirect_statuses_are_not_followed(self) -> None:
        for answer in (
            Answer(300, headers={"Location": "/api/0/"}),
            Answer(303, headers={"Location": "/api/0/"}),
            Answer(304, headers={"Location": "/api/0/"}),
            Answer(201, headers={"Location": "/api/0/"}),
            Answer(301),
        ):
            with self.subTest(answer.status), ScriptedServer(("GET", PATH, answer)) as server:
                response = self.client().send(self.request(server))
                self.assertEqual((response.status, response.stats), (answer.status, AttemptStats()))

    def test_redirect_loop_ends(self) -> None:
        for location in (PATH, "?a=b"):
            again = ("PUT", PATH, Answer(307, headers={"Location": location}))
            with self.subTest(location), ScriptedServer(*[again] * (MAX_REDIRECTS + 1)) as server:
                response = self.client().send(self.request(server, "PUT"))
                self.assertEqual(response.status, 307)
                self.assertEqual(response.stats, AttemptStats(requests=MAX_REDIRECTS + 1, redirects=MAX_REDIRECTS))
        self.assertEqual((self.clock.slept, self.log.lines), ([], []))

    def test_failure_after_a_redirect_is_retried_at_the_new_url(self) -> None:
        script = [
            ("GET", PATH, Answer(308, headers={"Location": "/api/0/issues/8/"})),
            ("GET", "/api/0/issues/8/", Answer(play=faults.reset)),
            ("GET", "/api/0/issues/8/", Answer(503)),
            ("GET", "/api/0/issues/8/", Answer()),
        ]
        with ScriptedServer(*script) as server:
            response = self.client().send(self.request(server))
        self.assertEqual(response.stats, AttemptStats(requests=4, waited=2.0, redirects=1))
        self.assertEqual((response.stats.attempts, self.clock.slept), (3, [2.0]))
        self.assertIn("before attempt 3", self.log.lines[0])
