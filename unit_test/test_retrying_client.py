import socket
import unittest
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler

from komand_sentry.util.budget import UNCHARGED_SECONDS, Budget
from komand_sentry.util.exchange import MOST_REDIRECTS, Effort, Request, Response, Unreachable
from komand_sentry.util.retry import MOST_TRIES
from komand_sentry.util.sender import Sender
from komand_sentry.util.transport import Transport
from testing.fake_clock import FakeClock
from testing.scripted_server import Answer, ScriptedServer
from unit_test import faults

PATH = "/api/0/issues/7/"
SECRET = "sntryu_0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {SECRET}", "X-Own": "1"}
API = Request("GET", "https://h.example/api/0/")


class PassingClock(FakeClock):
    """Passes, besides, by as much as a test says that a request takes."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.passed


def moved(status: int, location: str) -> faults.Play:
    """A redirect to a place that may name the port of the server itself."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        port = handler.connection.getsockname()[1]
        faults.send_head(handler, status, {"Location": location.replace("{port}", str(port)), "Content-Length": "0"})

    return play


@dataclass
class Slow:
    """An answer that takes so many seconds by the clock of the test."""

    clock: PassingClock
    seconds: float
    status: int = 200

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        self.clock.passed += self.seconds
        faults.send_head(handler, self.status, {"Content-Length": "0"})


@dataclass
class Script(Transport):
    """A transport without a network, for what cannot be seen on one.

    :param share: how much of the time that a request may take it does take
    """

    clock: PassingClock
    outcomes: list[Response | Unreachable]
    share: float = 0.0
    asked: list[tuple[Request, float, bool]] = field(default_factory=list)

    def send(self, request: Request, seconds: float, fresh: bool = False) -> Response:
        self.asked.append((request, seconds, fresh))
        self.clock.passed += seconds * self.share
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Unreachable):
            raise outcome
        return outcome


def refusing_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
    return port


class SenderTestCase(unittest.TestCase):
    def setUp(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        self.clock = PassingClock()
        self.said: list[str] = []

    def sender(self, seconds: float = 60, transport: Transport | None = None, jitter: float = 0.0) -> Sender:
        return Sender(transport or Transport(), Budget(seconds, self.clock), self.said.append, lambda: jitter)

    def fails(self, sender: Sender, request: Request) -> Unreachable:
        with self.assertRaises(Unreachable) as caught:
            sender.send(request)
        return caught.exception

    @staticmethod
    def request(server: ScriptedServer, method: str = "GET", has_own_id: bool = False) -> Request:
        body = b"body" if method != "GET" else None
        return Request(method, server.base + PATH, (("query", "a b"),), HEADERS, body, has_own_id)


class RetryTest(SenderTestCase):
    def test_an_answer_at_once_takes_one_request_and_no_word(self) -> None:
        for status in (200, 201, 204, 400, 401, 403, 404, 409, 410, 413, 500, 501, 505):
            with self.subTest(status), ScriptedServer(("GET", PATH, Answer(status))) as server:
                response = self.sender().send(self.request(server))
                self.assertEqual((response.status, response.effort), (status, Effort()))
        self.assertEqual((self.clock.slept, self.said), ([], []))

    def test_a_server_that_recovers_is_waited_for(self) -> None:
        for status, reason in (
            (502, "failed (502)"),
            (503, "failed (503)"),
            (504, "failed (504)"),
            (429, "limits the"),
        ):
            for header, wait in (
                ({}, 1.0),
                ({"Retry-After": "7"}, 7.0),
                ({"X-Sentry-Rate-Limits": "7:error:key"}, 7.0),
            ):
                self.start_over()
                failing = ("PUT", PATH, Answer(status, headers=header))
                with self.subTest(status=status, header=header):
                    with ScriptedServer(failing, ("PUT", PATH, Answer(body=b"there"))) as server:
                        response = self.sender().send(self.request(server, "PUT"))
                    self.assertEqual((response.status, response.body), (200, b"there"))
                    self.assertEqual(response.effort, Effort(requests=2, waited=wait))
                    self.assertEqual(self.clock.slept, [wait])
                    host = server.base.removeprefix("http://")
                    self.assertEqual(len(self.said), 1)
                    self.assertIn(f"Waiting {wait:.1f} s before try 2: {host} {reason}", self.said[0])

    def test_each_try_sends_the_same(self) -> None:
        for method, has_own_id in (("GET", False), ("PUT", False), ("POST", True)):
            failing = (method, PATH, Answer(503))
            with self.subTest(method), ScriptedServer(failing, failing, (method, PATH, Answer())) as server:
                self.sender().send(self.request(server, method, has_own_id))
            first, *others = (replace(received, client_port=0) for received in server.received)
            self.assertEqual(others, [first, first])
            self.assertEqual(first.params, [("query", "a b")])
            self.assertEqual((first.headers["authorization"], first.headers["x-own"]), (f"Bearer {SECRET}", "1"))
            self.assertEqual(first.body, b"" if method == "GET" else b"body")

    def test_waits_double_and_are_told_one_by_one(self) -> None:
        with ScriptedServer(*[("GET", PATH, Answer(503))] * 4, ("GET", PATH, Answer())) as server:
            response = self.sender().send(self.request(server))
        self.assertEqual(self.clock.slept, [1.0, 2.0, 4.0, 8.0])
        self.assertEqual(response.effort, Effort(requests=5, waited=15.0))
        told = [line.partition(":")[0] for line in self.said]
        self.assertEqual(told, [f"Waiting {2.0**n:.1f} s before try {n + 2}" for n in range(4)])

    def test_jitter_shortens_a_wait_that_no_server_asked_for(self) -> None:
        script = [("GET", PATH, Answer(503)), ("GET", PATH, Answer(429, headers={"Retry-After": "5"}))]
        with ScriptedServer(*script, ("GET", PATH, Answer())) as server:
            self.sender(jitter=1.0).send(self.request(server))
        self.assertEqual(self.clock.slept, [0.5, 5.0])

    def test_a_lost_connection_is_made_anew_at_once_and_without_a_word(self) -> None:
        for method, has_own_id in (("GET", False), ("PUT", False), ("POST", True)):
            lost = (method, PATH, Answer(play=faults.reset))
            with self.subTest(method):
                with ScriptedServer(lost, (method, PATH, Answer(body=b"there"))) as server:
                    response = self.sender().send(self.request(server, method, has_own_id))
                self.assertEqual((response.body, response.effort), (b"there", Effort(requests=2)))
        self.assertEqual((self.clock.slept, self.said), ([], []))

    def test_a_connection_that_is_lost_again_is_waited_for(self) -> None:
        lost = ("GET", PATH, Answer(play=faults.reset))
        with ScriptedServer(lost, lost, ("GET", PATH, Answer(play=faults.cut_off)), ("GET", PATH, Answer())) as server:
            response = self.sender().send(self.request(server))
        self.assertEqual(response.effort, Effort(requests=4, waited=6.0))
        self.assertEqual(self.clock.slept, [2.0, 4.0])
        self.assertIn("closed the connection", self.said[0])
        self.assertIn("ended before it was complete", self.said[1])

    def test_a_server_that_closes_after_each_answer_without_saying_so_loses_nothing(self) -> None:
        with ScriptedServer(*[("POST", PATH, Answer(play=faults.answer_and_close))] * 30) as server:
            sender = self.sender()
            for _ in range(30):
                self.assertTrue(sender.send(self.request(server, "POST", has_own_id=True)).is_success)
        self.assertEqual((self.clock.slept, self.said), ([], []))

    def test_what_a_server_may_have_acted_on_is_not_sent_twice(self) -> None:
        with ScriptedServer(("POST", PATH, Answer(503, headers={"Retry-After": "1"}))) as server:
            response = self.sender().send(self.request(server, "POST"))
        self.assertEqual((response.status, response.effort), (503, Effort()))
        for play, kind in ((faults.reset, "lost"), (faults.cut_off, "cut off")):
            with self.subTest(kind), ScriptedServer(("POST", PATH, Answer(play=play))) as server:
                failure = self.fails(self.sender(), self.request(server, "POST"))
                self.assertEqual((failure.kind, failure.effort), (kind, Effort()))
        self.assertEqual((self.clock.slept, self.said), ([], []))

    def test_what_a_server_has_not_acted_on_is_sent_again_whatever_it_is(self) -> None:
        limited = ("POST", PATH, Answer(429, headers={"Retry-After": "3"}))
        with ScriptedServer(limited, ("POST", PATH, Answer(201))) as server:
            response = self.sender().send(self.request(server, "POST"))
        self.assertEqual((response.status, response.effort), (201, Effort(requests=2, waited=3.0)))
        failure = self.fails(self.sender(), Request("POST", f"http://127.0.0.1:{refusing_port()}{PATH}"))
        self.assertEqual((failure.kind, failure.effort.requests), ("refused", 7))

    def test_a_failure_that_does_not_pass_by_itself_is_not_tried_again(self) -> None:
        with ScriptedServer(("GET", PATH, Answer(play=faults.no_http))) as server:
            failure = self.fails(self.sender(), self.request(server))
        self.assertEqual((failure.kind, failure.effort), ("garbled", Effort()))
        broken = Request("GET", server.base + PATH, headers={"X-Broken": "a\nb"})
        failure = self.fails(self.sender(), broken)
        self.assertEqual((failure.kind, failure.effort, self.clock.slept), ("request", Effort(), []))

    def test_there_is_an_end_to_trying(self) -> None:
        limited = ("GET", PATH, Answer(429, headers={"Retry-After": "2"}))
        with ScriptedServer(*[limited] * MOST_TRIES) as server:
            response = self.sender(seconds=3600).send(self.request(server))
        waited = 2.0 * (MOST_TRIES - 1)
        next_try = self.clock.start + timedelta(seconds=waited + 2)
        self.assertEqual(response.effort, Effort(MOST_TRIES, waited, next_wait=2.0, next_try=next_try))
        self.assertEqual(len(self.said), MOST_TRIES - 1)

    def test_fewer_tries_may_be_asked_for(self) -> None:
        for most_tries in (1, 2):
            with ScriptedServer(*[("GET", PATH, Answer(503))] * most_tries) as server:
                response = self.sender().send(self.request(server), most_tries)
            self.assertEqual((response.status, response.effort.requests), (503, most_tries))
        self.assertEqual(self.clock.slept, [1.0])

    def test_a_failed_try_is_followed_by_one_over_a_connection_of_its_own(self) -> None:
        there = Response(200, {}, b"")
        lost, hanging = Unreachable("lost", ""), Unreachable("timeout", "")
        script = Script(self.clock, [Response(503, {}, b""), lost, hanging, there, there])
        sender = self.sender(transport=script)
        for _ in range(2):
            sender.send(API)
        self.assertEqual([fresh for _, _, fresh in script.asked], [False, False, True, True, False])

    def test_no_log_line_holds_a_header_or_a_parameter(self) -> None:
        script = [("GET", PATH, Answer(503, body=SECRET.encode())), ("GET", PATH, Answer(play=faults.cut_off))]
        with ScriptedServer(*script, ("GET", PATH, Answer())) as server:
            self.sender().send(self.request(server))
        self.assertEqual(len(self.said), 2)
        for word in (SECRET, "query", "\n"):
            self.assertNotIn(word, "".join(self.said))


class BudgetTest(SenderTestCase):
    def test_a_wait_that_is_too_long_fails_at_once_and_tells_when_to_come_back(self) -> None:
        for header, wait in (("3600", 3600.0), ("59.5", 59.5), ("999999999", 999_999_999.0)):
            with self.subTest(header):
                with ScriptedServer(("GET", PATH, Answer(429, headers={"Retry-After": header}))) as server:
                    response = self.sender().send(self.request(server))
                next_try = self.clock.start + timedelta(seconds=wait)
                self.assertEqual(response.effort, Effort(next_wait=wait, next_try=next_try))
        self.assertEqual((self.clock.slept, self.said), ([], []))

    def test_a_wait_until_the_end_of_time_is_no_overflow(self) -> None:
        for header in (
            {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"},
            {"X-Sentry-Rate-Limit-Reset": "999999999999"},
            {"Retry-After": "9" * 9},
        ):
            with self.subTest(header):
                with ScriptedServer(("GET", PATH, Answer(429, headers=header))) as server:
                    effort = self.sender().send(self.request(server)).effort
                self.assertIsNotNone(effort.next_try)
                self.assertGreaterEqual(effort.next_wait or 0, 10**9 - 1)

    def test_the_longest_wait_that_leaves_room_for_a_request_is_waited(self) -> None:
        limited = ("GET", PATH, Answer(429, headers={"Retry-After": "59"}))
        with ScriptedServer(limited, ("GET", PATH, Answer())) as server:
            response = self.sender().send(self.request(server))
        self.assertEqual((response.effort, self.clock.slept), (Effort(requests=2, waited=59.0), [59.0]))

    def test_a_server_that_stays_away_is_given_up_within_the_budget(self) -> None:
        for seconds, slept, next_wait in ((60, [1.0, 2.0, 4.0, 8.0, 16.0, 16.0], 16.0), (8, [1.0, 2.0, 4.0], 8.0)):
            self.start_over()
            with self.subTest(seconds):
                request = Request("GET", f"http://127.0.0.1:{refusing_port()}{PATH}")
                failure = self.fails(self.sender(seconds), request)
                self.assertEqual((failure.kind, self.clock.slept), ("refused", slept))
                self.assertEqual(failure.effort.requests, len(slept) + 1)
                self.assertEqual((failure.effort.waited, failure.effort.next_wait), (sum(slept), next_wait))
                self.assertEqual(failure.effort.next_try, self.clock.now() + timedelta(seconds=next_wait))
                self.assertEqual(len(self.said), len(slept))

    def test_all_requests_of_an_action_share_its_budget(self) -> None:
        limited = ("GET", PATH, Answer(429, headers={"Retry-After": "20"}))
        there = ("GET", PATH, Answer())
        with ScriptedServer(limited, there, limited, there, limited) as server:
            sender = self.sender()
            statuses = [sender.send(self.request(server)).status for _ in range(3)]
        self.assertEqual((statuses, self.clock.slept), ([200, 200, 429], [20.0, 20.0]))

    def test_answers_that_are_quick_enough_cost_nothing(self) -> None:
        quick = ("GET", PATH, Answer(play=Slow(self.clock, UNCHARGED_SECONDS)))
        with ScriptedServer(*[quick] * 20) as server:
            sender = self.sender(seconds=15)
            for _ in range(20):
                self.assertEqual(sender.send(self.request(server)).status, 200)
        self.assertEqual(self.clock.monotonic(), 20 * UNCHARGED_SECONDS)

    def test_slow_answers_use_the_budget_up(self) -> None:
        slow = ("GET", PATH, Answer(play=Slow(self.clock, UNCHARGED_SECONDS + 20)))
        with ScriptedServer(*[slow] * 3) as server:
            sender = self.sender()
            for _ in range(3):
                self.assertEqual(sender.send(self.request(server)).status, 200)
            failure = self.fails(sender, self.request(server))
        self.assertEqual((failure.kind, failure.reason), ("spent", "60 seconds"))
        self.assertIsNone(failure.effort.next_wait)

    def test_a_request_that_is_not_sent_for_want_of_time_is_not_counted(self) -> None:
        failure = self.fails(self.sender(seconds=0, transport=Script(self.clock, [])), API)
        self.assertEqual((failure.kind, failure.effort.requests), ("spent", 0))

    def test_a_slow_failure_is_charged_in_full(self) -> None:
        hanging = Script(self.clock, [Unreachable("timeout", "") for _ in range(3)], share=1.0)
        failure = self.fails(self.sender(transport=hanging), API)
        self.assertEqual([seconds for _, seconds, _ in hanging.asked], [45.0, 14.0])
        self.assertEqual((failure.kind, failure.effort.waited, failure.effort.next_wait), ("timeout", 1.0, 2.0))

    def test_a_refusal_after_which_the_request_is_sent_again_is_charged_in_full(self) -> None:
        slow = ("GET", PATH, Answer(play=Slow(self.clock, UNCHARGED_SECONDS - 1, status=503)))
        with ScriptedServer(slow, slow) as server:
            response = self.sender(seconds=20).send(self.request(server))
        self.assertEqual((response.status, response.effort.waited), (503, 1.0))

    def test_with_the_shortest_timeout_a_connection_that_the_server_had_closed_is_made_anew(self) -> None:
        script = Script(self.clock, [Unreachable("lost", ""), Response(200, {}, b"")], share=0.01)
        self.assertEqual(self.sender(seconds=1, transport=script).send(API).effort, Effort(requests=2))


class RedirectTest(SenderTestCase):
    def test_a_redirect_within_the_api_keeps_method_headers_body_and_parameters(self) -> None:
        for status in (301, 302, 307, 308):
            for method in ("GET", "PUT", "POST"):
                moved = (method, PATH, Answer(status, headers={"Location": "/api/0/issues/8/"}))
                with self.subTest(status=status, method=method):
                    with ScriptedServer(moved, (method, "/api/0/issues/8/", Answer(body=b"there"))) as server:
                        response = self.sender().send(self.request(server, method))
                    first, second = (replace(received, client_port=0) for received in server.received)
                    self.assertEqual(second, replace(first, path="/api/0/issues/8/"))
                    self.assertEqual(second.headers["authorization"], f"Bearer {SECRET}")
                    self.assertEqual((response.body, response.effort), (b"there", Effort(requests=2, redirects=1)))
        self.assertEqual((self.clock.slept, self.said), ([], []))

    def test_the_parameters_of_a_redirect_take_the_place_of_the_requests_own(self) -> None:
        moved = Answer(307, headers={"Location": "?query=c"})
        with ScriptedServer(("GET", PATH, moved), ("GET", PATH, Answer())) as server:
            self.sender().send(self.request(server))
        self.assertEqual([received.params for received in server.received], [[("query", "a b")], [("query", "c")]])

    def test_no_redirect_of_several_loses_the_parameters(self) -> None:
        script = [
            ("GET", PATH, Answer(307, headers={"Location": f"{PATH}1/?query=a+b"})),
            ("GET", f"{PATH}1/", Answer(307, headers={"Location": f"{PATH}2/"})),
            ("GET", f"{PATH}2/", Answer()),
        ]
        with ScriptedServer(*script) as server:
            self.sender().send(self.request(server))
        self.assertEqual([received.params for received in server.received], [[("query", "a b")]] * 3)

    def test_the_token_is_led_nowhere_else(self) -> None:
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
                    script = ("GET", PATH, Answer(play=moved(status, location)))
                    with self.subTest(location=location, status=status), ScriptedServer(script) as server:
                        response = self.sender().send(self.request(server))
                        self.assertEqual((response.status, response.effort), (status, Effort()))
        self.assertEqual((other.received, self.said), ([], []))

    def test_an_address_of_the_server_itself_is_followed_in_full(self) -> None:
        script = ("GET", PATH, Answer(play=moved(308, "http://127.0.0.1:{port}/api/0/x/")))
        with ScriptedServer(script, ("GET", "/api/0/x/", Answer(body=b"there"))) as server:
            self.assertEqual(self.sender().send(self.request(server)).body, b"there")

    def test_other_kinds_of_redirect_are_not_followed(self) -> None:
        for answer in (
            Answer(300, headers={"Location": "/api/0/"}),
            Answer(303, headers={"Location": "/api/0/"}),
            Answer(304, headers={"Location": "/api/0/"}),
            Answer(201, headers={"Location": "/api/0/"}),
            Answer(301),
        ):
            with self.subTest(answer.status), ScriptedServer(("GET", PATH, answer)) as server:
                response = self.sender().send(self.request(server))
                self.assertEqual((response.status, response.effort), (answer.status, Effort()))

    def test_a_circle_is_left_after_a_few_rounds(self) -> None:
        for location in (PATH, "?a=b"):
            again = ("PUT", PATH, Answer(307, headers={"Location": location}))
            with self.subTest(location), ScriptedServer(*[again] * (MOST_REDIRECTS + 1)) as server:
                response = self.sender().send(self.request(server, "PUT"))
                self.assertEqual(response.status, 307)
                self.assertEqual(response.effort, Effort(requests=MOST_REDIRECTS + 1, redirects=MOST_REDIRECTS))
        self.assertEqual((self.clock.slept, self.said), ([], []))

    def test_a_server_that_fails_behind_a_redirect_is_asked_again_there(self) -> None:
        script = [
            ("GET", PATH, Answer(308, headers={"Location": "/api/0/issues/8/"})),
            ("GET", "/api/0/issues/8/", Answer(play=faults.reset)),
            ("GET", "/api/0/issues/8/", Answer(503)),
            ("GET", "/api/0/issues/8/", Answer()),
        ]
        with ScriptedServer(*script) as server:
            response = self.sender().send(self.request(server))
        self.assertEqual(response.effort, Effort(requests=4, waited=2.0, redirects=1))
        self.assertEqual((response.effort.tries, self.clock.slept), (3, [2.0]))
        self.assertIn("before try 3", self.said[0])
