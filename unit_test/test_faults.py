"""Every fault of a server, a proxy or a network, played to every action through the plugin's entry point.

`python -m unit_test.test_faults` prints them as a table: what the action returned, how many requests, how long a wait.
"""

import io
import json
import logging
import os
import re
import time
import traceback
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar
from unittest import mock

import structlog
from insightconnect_plugin_runtime import Plugin
from insightconnect_plugin_runtime.exceptions import LoggedException

from komand_sentry.connection import Connection
from komand_sentry.util import transport
from testing.fake_clock import FakeClock
from testing.plugin import Json, action_message
from testing.scripted_server import Answer, Received, ScriptedServer
from testing.support import ACTIONS, validate
from unit_test import faults

TOKEN = "sntryu_" + "0123456789abcdef" * 4
KEY = "3f6b2c1d9e8a4f70b5c4d3e2f1a09b8c"
SECRET = "c8b90a1f2e3d4c5b07f4a8e9d1c2b6f3"
EVENT_ID = "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1"

SUBMIT, LIST, EVENTS, UPDATE = "submit_event", "list_project_issues", "list_issue_events", "update_issue"
REQUESTS: dict[str, tuple[str, str]] = {
    SUBMIT: ("POST", "/api/7/store/"),
    LIST: ("GET", "/api/0/projects/acme/pump-station/issues/"),
    EVENTS: ("GET", "/api/0/organizations/acme/issues/5/events/"),
    UPDATE: ("PUT", "/api/0/organizations/acme/issues/5/"),
}
SUCCESSES: dict[str, Answer] = {
    SUBMIT: Answer(body=json.dumps({"id": EVENT_ID}).encode()),
    LIST: Answer(body=b'[{"id": "5"}]'),
    EVENTS: Answer(body=b'[{"eventID": "1"}]'),
    UPDATE: Answer(body=b'{"id": "5"}'),
}


def params(action: str, base: str) -> Json:
    dsn = base.replace("://", f"://{KEY}:{SECRET}@") + "/7"
    good: dict[str, Json] = {
        SUBMIT: {"dsn": dsn, "event_json": {"message": "m", "event_id": EVENT_ID}},
        LIST: {"organization_slug": "acme", "project_slug": "pump-station"},
        EVENTS: {"organization_slug": "acme", "issue_id": "5"},
        UPDATE: {"organization_slug": "acme", "issue_id": "5", "status": "resolved"},
    }
    return good[action]


class ClockedConnection(Connection):
    """The connection as it is, waiting by a clock of the test."""

    clock: FakeClock
    seconds: float | None = None

    def connect(self, params: Any = None) -> None:
        super().connect(params)
        self.client.clock = self.clock
        self.client.jitter = lambda: 0.0
        if self.seconds is not None:
            self.client.seconds = self.seconds


@dataclass
class Outcome:
    """What came of a step, and all that the plugin emitted meanwhile."""

    body: Json
    clock: FakeClock
    emitted: str
    received: list[Received] = field(default_factory=list)

    @property
    def exception(self) -> Json:
        found: Json = self.body.get("exception") or {}
        return found

    @property
    def waited(self) -> float:
        return round(sum(self.clock.slept), 3)


def setUpModule() -> None:
    """The plugin's log goes where the runtime's HTTP mode leads it, and so into the answer of the step."""
    structlog.configure(
        processors=[structlog.stdlib.PositionalArgumentsFormatter(), structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def tearDownModule() -> None:
    structlog.reset_defaults()


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """All loggers at the lowest level, into one text."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def start(message: Json, seconds: float | None = None) -> Outcome:
    """Runs a step as InsightConnect does, from its message to the body of the answer."""
    connection = ClockedConnection()
    connection.clock, connection.seconds = FakeClock(), seconds
    plugin = Plugin(name="sentry", vendor="rapid7", connection=connection)
    for make in ACTIONS.values():
        plugin.add_action(make())
    trace = ""
    with everything_logged() as log:
        try:
            answer = plugin.handle_step(message, is_debug=True)
        except LoggedException as error:
            answer = error.output
            trace = "".join(traceback.format_exception(error))
    used = next(iter(plugin.connection_cache.connections.values()), connection)
    emitted = "\n".join([json.dumps(answer), log.getvalue(), trace, repr(vars(used).get("client"))])
    body: Json = answer["body"]
    return Outcome(body, connection.clock, emitted)


def play(action: str, *answers: Answer, seconds: float | None = None, more: Json | None = None) -> Outcome:
    """One step against a server that gives these answers, in this order, and is asked for no other."""
    with ScriptedServer(*((*REQUESTS[action], answer) for answer in answers)) as server:
        connection = {"token": {"token": TOKEN}, "url": server.base}
        outcome = start(action_message(action, {**params(action, server.base), **(more or {})}, connection), seconds)
        outcome.received = server.received
    return outcome


class FaultCase(unittest.TestCase):
    def check(self, outcome: Outcome) -> None:
        """No secret anywhere; a failure with cause and assistance, a success in the shape of its schema."""
        for secret in (TOKEN, SECRET):
            self.assertNotIn(secret, outcome.emitted)
        if outcome.body["status"] == "error":
            self.assertTrue(outcome.exception.get("cause"), outcome.body)
            self.assertTrue(outcome.exception.get("assistance"), outcome.body)

    def fail_with(self, outcome: Outcome, cause: str) -> None:
        self.check(outcome)
        self.assertEqual(outcome.body["status"], "error", outcome.body)
        self.assertIn(cause, outcome.exception["cause"])

    def succeed(self, action: str, outcome: Outcome) -> None:
        self.check(outcome)
        self.assertEqual(outcome.body["status"], "ok", outcome.body)
        validate(outcome.body["output"], ACTIONS[action]().output.schema)


def bodies(action: str) -> dict[str, bytes]:
    """Bodies of refusals of every shape. Each quotes what authorized the request, as a careless server might."""
    secret = SECRET if action == SUBMIT else TOKEN
    shapes: dict[str, Any] = {
        "detail": {"detail": f"No. {secret}"},
        "detail list": {"detail": ["No", secret]},
        "detail object": {
            "detail": {"code": "sso-required", "message": f"Log in {secret}", "extra": {"loginUrl": "/"}}
        },
        "fields": {"status": ["wrong"], "statusDetails": [{"inRelease": [secret]}]},
        "JSON text": json.dumps({"detail": f"No. {secret}"}),
        "Relay's": {"detail": "refused", "causes": [f"Sentry sentry_secret={secret}"]},
        "HTML": f"<html><head><title>Blocked {secret}</title></head></html>".encode(),
        "text": f"no {secret}\r\n".encode(),
        "empty": b"",
        "cut off JSON": f'{{"detail": "No {secret}'.encode(),
    }
    return {name: body if isinstance(body, bytes) else json.dumps(body).encode() for name, body in shapes.items()}


FINAL = {400: "(400)", 401: "(401)", 403: "(403)", 404: "(404)", 410: "(410)", 413: "(413)", 500: "(500)"}
TRANSIENT = {502: "(502)", 503: "(503)", 504: "(504)"}
# 1 + 2 + 4 + 8 + 16 + 16: a seventh wait would exceed the 60 seconds.
ALL_TRIES, ALL_WAITS = 7, [1.0, 2.0, 4.0, 8.0, 16.0, 16.0]


class TestStatuses(FaultCase):
    def test_a_refusal_is_final_and_explained_whatever_its_body(self) -> None:
        for action in REQUESTS:
            for status, words in FINAL.items():
                for name, body in bodies(action).items():
                    if self.has_another_way(action, status, body):
                        continue
                    with self.subTest(action=action, status=status, body=name):
                        outcome = play(action, Answer(status, body))
                        self.fail_with(outcome, words)
                        self.assertEqual(outcome.clock.slept, [])

    @staticmethod
    def has_another_way(action: str, status: int, body: bytes) -> bool:
        """Whether the action then tries another endpoint, which tests of their own play."""
        if action == SUBMIT:
            return status in (404, 405, 410)
        is_explained = body.startswith(b'{"detail"') and body.endswith(b"}")
        return status == 410 or (status == 404 and not is_explained)

    def test_what_passes_by_itself_is_tried_until_the_budget_is_spent(self) -> None:
        for action in REQUESTS:
            for status, words in {**TRANSIENT, 429: "(429)"}.items():
                # What a body says does not decide whether to try again.
                for name in ("detail", "HTML", "empty"):
                    body = bodies(action)[name]
                    with self.subTest(action=action, status=status, body=name):
                        outcome = play(action, *[Answer(status, body)] * ALL_TRIES)
                        self.fail_with(outcome, words)
                        self.assertEqual(outcome.clock.slept, ALL_WAITS)
                        self.assertIn("sent 7 requests and waited 47 seconds", outcome.exception["assistance"])
                        self.assertEqual(outcome.body["log"].count("Waiting"), len(ALL_WAITS))

    def test_what_passes_in_time_is_a_success(self) -> None:
        for action in REQUESTS:
            for status in (*TRANSIENT, 429):
                with self.subTest(action=action, status=status):
                    outcome = play(action, Answer(status), Answer(status), SUCCESSES[action])
                    self.succeed(action, outcome)
                    self.assertEqual(outcome.clock.slept, [1.0, 2.0])
                    first, *_, last = outcome.received
                    self.assertEqual((first.params, first.body), (last.params, last.body))

    def test_the_server_says_how_long_to_wait(self) -> None:
        soon = FakeClock()
        at = soon.start.timestamp() + 7
        hints: tuple[tuple[dict[str, str], float], ...] = (
            ({"Retry-After": "7"}, 7),
            ({"Retry-After": "0"}, 1),
            ({"Retry-After": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(at))}, 7),
            ({"X-Sentry-Rate-Limits": "2:transaction:key, 7:error;default:organization"}, 7),
            ({"X-Sentry-Rate-Limits": "7::organization:quota"}, 7),
            ({"X-Sentry-Rate-Limit-Reset": f"{at:.0f}"}, 7),
            ({"Retry-After": "7", "X-Sentry-Rate-Limit-Reset": "99999999999"}, 7),
            ({"Retry-After": "in a while"}, 1),
        )
        for action in REQUESTS:
            for headers, seconds in hints:
                with self.subTest(action=action, headers=headers):
                    outcome = play(action, Answer(429, b'"Too fast"', headers), SUCCESSES[action])
                    self.succeed(action, outcome)
                    # Dates are whole seconds, and the step starts a little after the test.
                    self.assertAlmostEqual(outcome.waited, seconds, delta=2.5 if seconds == 7 else 0.0)

    def test_a_wait_beyond_the_budget_fails_at_once_and_says_when_to_try_again(self) -> None:
        for action in REQUESTS:
            with self.subTest(action):
                outcome = play(action, Answer(429, b'"Too fast"', {"Retry-After": "300", "Content-Type": "text/html"}))
                self.fail_with(outcome, "limits the rate of requests")
                self.assertEqual(outcome.clock.slept, [])
                self.assertIn("Wait 5 minutes", outcome.exception["assistance"])
                self.assertIn("UTC", outcome.exception["assistance"])
                self.assertEqual(outcome.exception["data"], "Too fast")


@dataclass(frozen=True)
class Fault:
    """:param tries: how often the request is sent before the action gives up; `seconds` is the budget of the step"""

    name: str
    answer: Answer
    cause: str
    tries: int = ALL_TRIES
    waits: tuple[float, ...] = tuple(ALL_WAITS)
    seconds: float | None = None
    actions: tuple[str, ...] = tuple(REQUESTS)


def once(name: str, answer: Answer, cause: str, **more: Any) -> Fault:
    return Fault(name, answer, cause, tries=1, waits=(), **more)


ELSEWHERE = "a redirect to another address"
NOT_SENTRYS = "is not one of Sentry's"
# After a connection that was lost the first new try comes at once.
LOST_TRIES, LOST_WAITS = 7, (0.0, 2.0, 4.0, 8.0, 16.0, 16.0)
SLOW = 0.2
FAULTS: tuple[Fault, ...] = (
    Fault("reset after the request", Answer(play=faults.reset), "closed the connection", LOST_TRIES, LOST_WAITS[1:]),
    Fault("reset before its body", Answer(play=faults.reset, unread=True), "closed", LOST_TRIES, LOST_WAITS[1:]),
    Fault("body cut off", Answer(play=faults.cut_off), "ended before it was complete"),
    Fault("chunked body cut off", Answer(play=faults.cut_off_chunk), "ended before it was complete"),
    Fault("wrong Content-Length", Answer(body=b"[]", headers={"Content-Length": "9", "Connection": "close"}), "ended"),
    once("not HTTP", Answer(play=faults.no_http), "could not be read"),
    once("broken compression", Answer(play=faults.broken_gzip), "could not be read"),
    once("decompression bomb", Answer(play=faults.bomb(9 * 2**20)), "larger than the plugin takes"),
    once("bomb in a redirect", Answer(play=faults.bomb(9 * 2**20, location="/api/0/")), "larger than the plugin takes"),
    once("endless body", Answer(play=faults.endless_body), "larger than the plugin takes"),
    once("endless chunk size", Answer(play=faults.endless_chunk_size), "larger than the plugin takes"),
    once("more values than memory", Answer(body=b"[" + b"{}," * 2_600_000 + b"{}]"), NOT_SENTRYS),
    once("trickled body", Answer(play=faults.trickled_body), "did not answer in time", seconds=SLOW),
    once("trickled headers", Answer(play=faults.trickled_headers), "did not answer in time", seconds=SLOW),
    once("silence", Answer(play=faults.silence), "did not answer in time", seconds=SLOW),
    once("HTML with 200", Answer(body=b"<html><title>Portal</title></html>"), NOT_SENTRYS),
    once("empty 200", Answer(), NOT_SENTRYS),
    once("cut off JSON with 200", Answer(body=b'[{"id": "5"}, {"id'), NOT_SENTRYS),
    once("JSON of another kind", Answer(body=b'"pong"'), NOT_SENTRYS),
    once("JSON nested too deeply", Answer(body=b"[" * 100_000 + b"]" * 100_000), NOT_SENTRYS),
    once("redirect to another host", Answer(302, headers={"Location": "http://127.0.0.2:1/api/0/x/"}), ELSEWHERE),
    once("redirect to https", Answer(301, headers={"Location": "https://127.0.0.1/api/0/x/"}), ELSEWHERE),
    once("redirect to a login page", Answer(302, headers={"Location": "/auth/login/acme/"}), ELSEWHERE),
    once("redirect to nowhere", Answer(302), ELSEWHERE),
)  # fmt: skip


def run_fault(fault: Fault, action: str) -> Outcome:
    with mock.patch.object(transport, "MOST_BODY_BYTES", 8 * 2**20):
        return play(action, *[fault.answer] * fault.tries, seconds=fault.seconds)


class TestFaults(FaultCase):
    def test_each_fault_ends_in_time_with_a_cause_and_an_assistance(self) -> None:
        for fault in FAULTS:
            for action in fault.actions:
                with self.subTest(fault.name, action=action):
                    started = time.monotonic()
                    outcome = run_fault(fault, action)
                    self.fail_with(outcome, fault.cause)
                    self.assertEqual(outcome.clock.slept, list(fault.waits))
                    if fault.seconds is not None:
                        self.assertLess(time.monotonic() - started, 1.0)

    def test_a_fault_that_passes_costs_nothing_but_time(self) -> None:
        for fault in FAULTS:
            if fault.tries == 1:
                continue
            for action in fault.actions:
                with self.subTest(fault.name, action=action):
                    outcome = play(action, fault.answer, fault.answer, SUCCESSES[action])
                    self.succeed(action, outcome)

    def test_redirects_within_the_api_are_followed_with_method_and_body_and_circles_are_left(self) -> None:
        for action, (method, path) in REQUESTS.items():
            moved = path.replace("/acme", "/moved").replace("/7/", "/8/")
            there = Answer(302, b'{"detail": {"code": "resource-moved"}}', {"Location": moved})
            back = Answer(302, headers={"Location": path})
            with self.subTest(action), ScriptedServer(
                (method, path, there), (method, moved, SUCCESSES[action])
            ) as server:
                connection = {"token": {"token": TOKEN}, "url": server.base}
                self.succeed(action, start(action_message(action, params(action, server.base), connection)))
                first, last = server.received
                self.assertEqual((first.body, first.params), (last.body, last.params))
                for name in ("authorization", "x-sentry-auth", "content-type"):
                    self.assertEqual(first.headers.get(name), last.headers.get(name))
            circle = [(method, path, there), (method, moved, back)] * 3
            with self.subTest(action), ScriptedServer(*circle) as server:
                connection = {"token": {"token": TOKEN}, "url": server.base}
                outcome = start(action_message(action, params(action, server.base), connection))
                self.fail_with(outcome, "one redirect after another")

    def test_a_redirect_that_is_not_followed_names_where_it_led(self) -> None:
        answer = Answer(302, headers={"Location": f"https://evil.example/?t={TOKEN}"})
        outcome = play(LIST, answer)
        self.fail_with(outcome, "redirect")
        self.assertEqual(outcome.exception["data"], "Location: https://evil.example/?t=********")

    def test_nothing_listening_is_tried_again(self) -> None:
        for action in REQUESTS:
            with self.subTest(action):
                connection = {"token": {"token": TOKEN}, "url": "http://127.0.0.1:1"}
                message = action_message(action, params(action, "http://127.0.0.1:1"), connection)
                outcome = start(message)
                self.fail_with(outcome, "refused the connection")
                self.assertEqual(outcome.clock.slept, ALL_WAITS)

    def test_a_name_that_does_not_exist_and_tls_failures_are_not(self) -> None:
        with ScriptedServer() as server:
            for url, cause in (
                ("http://no-such-host.invalid", "could not be resolved"),
                (server.base.replace("http:", "https:"), "No secure connection"),
            ):
                for action in REQUESTS:
                    with self.subTest(action, url=url):
                        connection = {"token": {"token": TOKEN}, "url": url}
                        outcome = start(action_message(action, params(action, url), connection))
                        self.fail_with(outcome, cause)
                        self.assertEqual(outcome.clock.slept, [])
            server.unexpected.clear()

    def test_a_proxy_gets_http_requests_and_its_refusal_is_told_from_the_servers(self) -> None:
        answer = Answer(407, b"<html><title>Proxy login</title></html>")
        url = "http://sentry.example.com"
        with ScriptedServer(("GET", f"{REQUESTS[LIST][1]}", answer)) as proxy:
            connection = {"token": {"token": TOKEN}, "url": url}
            with mock.patch.dict(os.environ, {"HTTP_PROXY": proxy.base, "http_proxy": proxy.base, "NO_PROXY": ""}):
                outcome = start(action_message(LIST, params(LIST, url), connection))
        self.fail_with(outcome, "answered with an HTML page (407)")
        self.assertIn("begins with http://: anyone on the way can read the token", outcome.body["log"])


class TestRepeats(FaultCase):
    def test_a_repeat_that_sentry_9_refuses_as_known_is_a_success(self) -> None:
        known = Answer(403, json.dumps({"error": f"An event with the same ID already exists ({EVENT_ID})"}).encode())
        for first in (Answer(503), Answer(play=faults.reset), Answer(play=faults.cut_off)):
            outcome = play(SUBMIT, first, known)
            self.succeed(SUBMIT, outcome)
            self.assertEqual(outcome.body["output"], {"id": EVENT_ID})
        self.fail_with(play(SUBMIT, known), "(403)")
        other = Answer(403, b'{"error": "An event with the same ID already exists (1)"}')
        self.fail_with(play(SUBMIT, Answer(503), other), "(403)")

    def test_an_event_keeps_its_made_id_however_often_it_is_sent(self) -> None:
        outcome = play(SUBMIT, Answer(503), Answer(play=faults.reset), Answer(429), SUCCESSES[SUBMIT], more={
            "event_json": {"message": "m"}
        })  # fmt: skip
        self.succeed(SUBMIT, outcome)
        self.assertEqual(len({received.body for received in outcome.received}), 1)

    def test_an_envelope_is_sent_again_too(self) -> None:
        store, path = REQUESTS[SUBMIT][1], "/api/7/envelope/"
        script = (("POST", store, Answer(404)), ("POST", path, Answer(503)), ("POST", path, SUCCESSES[SUBMIT]))
        with ScriptedServer(*script) as server:
            connection = {"token": {"token": TOKEN}, "url": server.base}
            self.succeed(SUBMIT, start(action_message(SUBMIT, params(SUBMIT, server.base), connection)))


class TestListings(FaultCase):
    @staticmethod
    def link(cursor: str, host: str = "http://elsewhere.example.com") -> dict[str, str]:
        return {"Link": f'<{host}/?cursor={cursor}>; rel="next"; results="true"; cursor="{cursor}"'}

    def page(self, *ids: object, cursor: str = "") -> Answer:
        body = json.dumps([{"id": str(number), "eventID": str(number)} for number in ids]).encode()
        return Answer(body=body, headers=self.link(cursor) if cursor else {})

    def ids(self, action: str, outcome: Outcome) -> list[str]:
        self.succeed(action, outcome)
        key, records = ("id", "issues") if action == LIST else ("eventID", "events")
        return [record[key] for record in outcome.body["output"][records]]

    def test_pages_that_move_overlap_or_are_empty_lose_and_double_nothing(self) -> None:
        for action in (LIST, EVENTS):
            pages = (self.page(3, 2, cursor="a"), self.page(cursor="b"), self.page(2, 1, cursor="c"), self.page(1, 0))
            with self.subTest(action):
                outcome = play(action, *pages)
                self.assertEqual(self.ids(action, outcome), ["3", "2", "1", "0"])
                for received in outcome.received[1:]:
                    self.assertEqual(received.headers["host"], outcome.received[0].headers["host"])

    def test_a_page_that_fails_is_asked_for_again_and_not_the_whole_listing(self) -> None:
        for action in (LIST, EVENTS):
            with self.subTest(action):
                outcome = play(action, self.page(2, cursor="a"), Answer(503), Answer(play=faults.cut_off), self.page(1))
                self.assertEqual(self.ids(action, outcome), ["2", "1"])
                self.assertEqual(
                    [dict(received.params).get("cursor") for received in outcome.received], [None] + ["a"] * 3
                )

    def test_the_waits_of_all_pages_keep_to_one_budget(self) -> None:
        limited = Answer(429, headers={"Retry-After": "25"})
        pages = (limited, self.page(3, cursor="a"), limited, self.page(2, cursor="b"), limited)
        outcome = play(LIST, *pages)
        self.fail_with(outcome, "limits the rate of requests")
        self.assertEqual(outcome.clock.slept, [25.0, 25.0])

    def test_a_list_that_leads_nowhere_is_left(self) -> None:
        circle = [self.page(3, cursor="a"), self.page(2, cursor="b"), self.page(1, cursor="a")]
        barren = [self.page(1, cursor=str(number)) for number in range(101)]
        lost = [Answer(body=b"[]", headers={"Link": '<http://x/>; rel="next"; results="true"'})]
        for pages in (circle, barren, lost):
            for action in (LIST, EVENTS):
                with self.subTest(action, pages=len(pages)):
                    self.fail_with(play(action, *pages), "cannot be read to its end")

    def test_a_listing_that_never_ends_is_cut_and_says_so(self) -> None:
        with mock.patch("komand_sentry.util.pagination.MOST_RECORDS", 25):
            pages = [self.page(*range(10 * n, 10 * n + 10), cursor=str(n)) for n in range(3)]
            outcome = play(LIST, *pages)
        self.assertEqual(len(self.ids(LIST, outcome)), 30)
        self.assertEqual((outcome.body["output"]["truncated"], outcome.body["output"]["next_cursor"]), (True, "2"))
        self.assertIn("Stopped at the size that a list may have", outcome.body["log"])

    def test_malformed_link_headers(self) -> None:
        glitchtip = (
            """{'<http://h/?cursor=x>; rel="previous"; results="false", """
            """<http://h/?cursor=a>; rel="next"; results="true"; cursor="a"'}"""
        )
        without_attribute = '<http://h/?query=b&cursor=a%3A1>; rel="next"; results="true"'
        for header, cursor in ((glitchtip, "a"), (without_attribute, "a:1")):
            with self.subTest(header):
                first = Answer(body=b'[{"id": "2"}]', headers={"Link": header})
                outcome = play(LIST, first, self.page(1))
                self.assertEqual(self.ids(LIST, outcome), ["2", "1"])
                self.assertIn(("cursor", cursor), outcome.received[1].params)

    def test_a_long_listing_says_how_far_it_is(self) -> None:
        pages = [self.page(n, cursor=str(n)) for n in range(20)] + [self.page("last")]
        outcome = play(LIST, *pages)
        self.assertEqual(len(self.ids(LIST, outcome)), 21)
        self.assertIn(
            "Read page 10 of project pump-station of organization acme, 10 records so far", outcome.body["log"]
        )
        self.assertIn("Read page 20", outcome.body["log"])


class TestPreflightFaults(FaultCase):
    CASES: ClassVar[tuple[tuple[Answer, str], ...]] = (
        (Answer(401, b'{"detail": "Invalid token"}'), "did not accept the token"),
        (Answer(302, headers={"Location": "/auth/login/"}), "leads to a login page"),
        (Answer(200, b"<html><body><form><input type=password></form></body></html>"), "leads to a login page"),
        (Answer(200, b"<html><title>Welcome to nginx!</title></html>"), "An HTML page came in place"),
        (Answer(403, b"<html><title>Blocked by policy</title></html>"), "An HTML page came in place"),
        (Answer(404), "not the base URL of a Sentry server"),
        (Answer(200, b'{"version": "0", "auth": {"scopes": ["org:ci"]}, "user": null}'), "allows neither to list"),
    )

    def test_each_kind_of_wrong_connection_has_its_own_cause(self) -> None:
        for answer, cause in self.CASES:
            useless = answer.body.startswith(b'{"version')
            rest = [("GET", path, Answer(404)) for path in (
                "/api/0/projects/", "/api/0/organizations/", "/api/client-config/", "/auth/login/"
            )]  # fmt: skip
            with self.subTest(cause), ScriptedServer(("GET", "/api/0/", answer), *(rest if useless else ())) as server:
                connection = {"token": {"token": TOKEN}, "url": server.base}
                message = {"version": "v1", "type": "connection_test", "body": {"connection": connection}}
                self.fail_with(start(message), cause)
        for url, cause in (("http://127.0.0.1:1", "refused the connection"), ("http://no.invalid", "not be resolved")):
            message = {"version": "v1", "type": "connection_test", "body": {"connection": {**connection, "url": url}}}
            outcome = start(message)
            self.fail_with(outcome, cause)
            self.assertLess(outcome.waited, 20)


def table() -> Iterator[str]:
    """The faults as rows of Markdown: what each action returned, where several agree in one row."""
    yield "| Fault | Action | Returned | Requests | Waited |"
    yield "|---|---|---|---|---|"
    final = [once(f"status {status}", Answer(status, b'{"detail": "No"}'), "") for status in FINAL]
    transient = [Fault(f"status {status}", Answer(status), "") for status in (429, *TRANSIENT)]
    for fault in (*final, *transient, *FAULTS):
        rows: dict[tuple[str, int, float], list[str]] = {}
        for action in fault.actions:
            # Where an endpoint is missing or gone the action goes on at another, as test_routes.py plays.
            if fault.name != "status 410" and (fault.name != "status 404" or action != SUBMIT):
                outcome = run_fault(fault, action)
                cause = NAMES.sub("...", outcome.exception["cause"])
                rows.setdefault((cause, len(outcome.received), outcome.waited), []).append(action)
        for (cause, requests, waited), actions in rows.items():
            yield f"| {fault.name} | {', '.join(actions)} | {cause} | {requests} | {waited:g} s |"


# What differs from action to action and from run to run.
NAMES = re.compile(
    rf"project pump-station of organization acme|issue 5 of organization acme|the event {EVENT_ID}|127\.0\.0\.1:\d+"
)

if __name__ == "__main__":
    setUpModule()
    logging.disable(logging.CRITICAL)
    print("\n".join(table()))
