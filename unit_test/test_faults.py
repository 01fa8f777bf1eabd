"""Every action against every fault of a server, a proxy or a network, through the plugin's entry point."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from unittest import mock

from komand_sentry.util.http import deadline, messages, transport
from komand_sentry.util.sentry import pagination
from testing.fake_clock import FakeClock
from testing.plugin import action_message, connection_test_message
from testing.scripted_server import LAST_PAGE, Answer, ScriptedServer
from unit_test import faults
from unit_test.step_case import (
    AFTER,
    COMMENT,
    COMMENTS,
    DELETE,
    EVENT_ID,
    EVENTS,
    GET_EVENT,
    GET_ISSUE,
    ISSUE,
    ISSUES,
    LIST,
    MEMBERS,
    MERGE,
    ORGANIZATION,
    REQUESTS,
    SEARCH,
    SECRET,
    SUBMIT,
    SUCCESSES,
    TAGS,
    TOKEN,
    UPDATE,
    UPDATE_ALL,
    Outcome,
    Script,
    StepCase,
    found,
    params,
    run_against,
    run_script,
    run_step,
    run_to_success,
)

# The actions whose requests are repeated after a failure. For the other one, see TestComments.
REPEATED = tuple(action for action in REQUESTS if action != COMMENT)
# One action for each way to send a request. The others send theirs in the same way as these.
SAMPLE = (SUBMIT, LIST, EVENTS, UPDATE)
NOT_FOUND = Answer(404, b'{"detail": "The requested resource does not exist"}')


def bodies(action: str) -> dict[str, bytes]:
    """Bodies of error responses in every form. Each quotes the secret that authorized the request."""
    secret = SECRET if action == SUBMIT else TOKEN
    forms: dict[str, Any] = {
        "detail": {"detail": f"No. {secret}"},
        "detail list": {"detail": ["No", secret]},
        "detail object": {
            "detail": {"code": "sso-required", "message": f"Log in {secret}", "extra": {"loginUrl": "/"}}
        },
        "fields": {"status": ["wrong"], "statusDetails": [{"inRelease": [secret]}]},
        "JSON text": json.dumps({"detail": f"No. {secret}"}),
        "of Relay": {"detail": "refused", "causes": [f"Sentry sentry_secret={secret}"]},
        "HTML": f"<html><head><title>Blocked {secret}</title></head></html>".encode(),
        "text": f"no {secret}\r\n".encode(),
        "empty": b"",
        "cut off JSON": f'{{"detail": "No {secret}'.encode(),
    }
    return {name: body if isinstance(body, bytes) else json.dumps(body).encode() for name, body in forms.items()}


FINAL = {400: "(400)", 401: "(401)", 403: "(403)", 404: "(404)", 410: "(410)", 413: "(413)", 500: "(500)"}
TRANSIENT = {502: "(502)", 503: "(503)", 504: "(504)"}
# 1 + 2 + 4 + 8 + 16 + 16: a seventh pause would exceed the 60 seconds.
ALL_ATTEMPTS, ALL_PAUSES = 7, [1.0, 2.0, 4.0, 8.0, 16.0, 16.0]


class TestStatuses(StepCase):
    def test_an_error_status_is_final_and_explained_with_any_body(self) -> None:
        for action in REQUESTS:
            # The other actions report the errors of the API in the same way as List Project Issues.
            names = tuple(bodies(action)) if action in (SUBMIT, LIST) else ("detail", "fields")
            names = names if action in SAMPLE else names[:1]
            for (status, cause), name in itertools.product(FINAL.items(), names):
                body = bodies(action)[name]
                if not self.has_alternative(action, status, body):
                    with self.subTest(action=action, status=status, body=name):
                        failure = (*REQUESTS[action], Answer(status, body))
                        outcome = run_script(action, failure, *EXPLANATIONS.get((action, status), ()))
                        self.assert_reports(action, outcome, cause)
                        self.assertEqual(outcome.clock.slept, [])

    @staticmethod
    def has_alternative(action: str, status: int, body: bytes) -> bool:
        """Whether the action then uses another endpoint, as test_endpoints.py and test_submit_event.py test."""
        if action == SUBMIT:
            return status in (404, 405, 410)
        if action not in ALTERNATIVES or action == SEARCH:
            return False
        has_detail = body.startswith(b'{"detail"') and body.endswith(b"}")
        return status == 410 or (status == 404 and not has_detail)

    def test_a_temporary_failure_is_retried_until_the_time_is_spent(self) -> None:
        for action in REPEATED:
            for status, cause in {**TRANSIENT, 429: "(429)"}.items():
                for name in ("detail", "HTML", "empty") if action in SAMPLE else ("detail",):
                    body = bodies(action)[name]
                    with self.subTest(action=action, status=status, body=name):
                        outcome = run_against(action, *[Answer(status, body)] * ALL_ATTEMPTS)
                        self.assert_fails(outcome, cause)
                        self.assertEqual(outcome.clock.slept, ALL_PAUSES)
                        self.assertIn("sent 7 requests and waited 47 seconds", outcome.exception["assistance"])
                        self.assertEqual(outcome.body["log"].count("Waiting"), len(ALL_PAUSES))

    def test_a_temporary_failure_that_ends_in_time_is_a_success(self) -> None:
        for action in REQUESTS:
            # Sentry refuses a request for its rate before it acts on it, so that even a comment is sent again.
            for status in (*TRANSIENT, 429) if action != COMMENT else (429,):
                with self.subTest(action=action, status=status):
                    outcome = run_to_success(action, Answer(status), Answer(status))
                    self.assert_succeeds(action, outcome)
                    self.assertEqual(outcome.clock.slept, [1.0, 2.0])
                    first, _, last, *_ = outcome.received
                    self.assertEqual((first.params, first.body), (last.params, last.body))

    def test_waits_as_long_as_the_server_asks(self) -> None:
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
        for action in SAMPLE:
            for headers, seconds in hints:
                with self.subTest(action=action, headers=headers):
                    outcome = run_to_success(action, Answer(429, b'"Too fast"', headers))
                    self.assert_succeeds(action, outcome)
                    # Dates are whole seconds, and the step starts a little after the test.
                    self.assertAlmostEqual(outcome.waited, seconds, delta=2.5 if seconds == 7 else 0.0)

    def test_a_delay_beyond_the_timeout_fails_at_once_and_names_the_time_of_a_retry(self) -> None:
        for action in REQUESTS:
            with self.subTest(action):
                outcome = run_against(
                    action, Answer(429, b'"Too fast"', {"Retry-After": "300", "Content-Type": "text/html"})
                )
                self.assert_fails(outcome, "limits the rate of requests")
                self.assertEqual(outcome.clock.slept, [])
                self.assertIn("Wait 5 minutes", outcome.exception["assistance"])
                self.assertIn("UTC", outcome.exception["assistance"])
                self.assertEqual(outcome.exception["data"], "Too fast")


@dataclass(frozen=True)
class Fault:
    """A response that makes every action fail.

    :param cause: cause of the cause in the error
    :param attempts: number of requests of the step
    :param pauses: seconds between them
    :param timeout: of the step, None for the default
    :param submit_cause: the cause of Submit Event, "" if it is the same
    :param is_route_missing: the step also tries the alternative endpoint, which has the same fault
    """

    name: str
    answer: Answer
    cause: str
    attempts: int = ALL_ATTEMPTS
    pauses: tuple[float, ...] = tuple(ALL_PAUSES)
    timeout: float | None = None
    is_route_missing: bool = False
    submit_cause: str = ""

    def cause_of(self, action: str) -> str:
        """The expected words of the cause."""
        return self.submit_cause if action == SUBMIT and self.submit_cause else self.cause


def final(name: str, answer: Answer, cause: str, **more: Any) -> Fault:
    """A fault that is not retried."""
    return Fault(name, answer, cause, attempts=1, pauses=(), **more)


# What a step requests after its endpoint turned out to be missing. A change first confirms which issue it changes.
ALTERNATIVES: dict[str, tuple[str, str]] = {
    LIST: ("GET", ISSUES),
    EVENTS: ("GET", "/api/0/issues/5/events/"),
    SEARCH: ("GET", f"{ISSUES}0/"),
    TAGS: ("GET", "/api/0/issues/5/tags/release/"),
    COMMENTS: ("GET", "/api/0/issues/5/comments/"),
    **dict.fromkeys((UPDATE, GET_ISSUE, GET_EVENT, UPDATE_ALL, MERGE, DELETE, COMMENT), ("GET", "/api/0/issues/5/")),
}
# What a step requests after a failure to find its cause: here it finds no other.
EXPLANATIONS: dict[tuple[str, int], tuple[Script, ...]] = {
    **{(SEARCH, status): (("GET", f"{ISSUES}0/", NOT_FOUND),) for status in (400, 403, 500)},
    (TAGS, 404): (("GET", f"{ISSUE}tags/", NOT_FOUND),),
    (MEMBERS, 403): (("GET", f"{ORGANIZATION}users/", Answer(403)),),
    (COMMENT, 500): (("GET", f"{ISSUE}comments/", found([])),),
}
REDIRECT = "a redirect to another address"
NOT_SENTRY = "is not one of Sentry's"
TOO_LARGE = "larger than the plugin accepts"
WRONG_LENGTH = {"Content-Length": "9", "Connection": "close"}
# The first retry after a lost connection has no pause.
LOST_PAUSES = (2.0, 4.0, 8.0, 16.0, 16.0)
SLOW = 0.2
MAX_BODY_BYTES = 2**20
MAX_JSON_VALUES = 10_000
FAULTS: tuple[Fault, ...] = (
    Fault("reset after the request", Answer(play=faults.reset), "closed the connection", pauses=LOST_PAUSES),
    Fault("reset before the body of the request", Answer(play=faults.reset, unread=True), "closed", pauses=LOST_PAUSES),
    Fault("incomplete body", Answer(play=faults.cut_off), "is incomplete"),
    Fault("incomplete chunked body", Answer(play=faults.cut_off_chunk), "is incomplete"),
    Fault("wrong Content-Length", Answer(body=b"[]", headers=WRONG_LENGTH), "is incomplete"),
    final("not HTTP", Answer(play=faults.no_http), "is not valid HTTP"),
    final("broken compression", Answer(play=faults.broken_gzip), "is not valid HTTP"),
    final("decompression bomb", Answer(play=faults.bomb(2 * MAX_BODY_BYTES)), TOO_LARGE),
    final("bomb in a redirect", Answer(play=faults.bomb(2 * MAX_BODY_BYTES, location="/api/0/")), TOO_LARGE),
    final("endless body", Answer(play=faults.endless_body), TOO_LARGE),
    final("endless chunk size", Answer(play=faults.endless_chunk_size), TOO_LARGE),
    final(
        "too many JSON values",
        Answer(body=b"[" + b"{}," * MAX_JSON_VALUES + b"{}]"),
        TOO_LARGE,
        submit_cause=NOT_SENTRY,
    ),
    final("trickled body", Answer(play=faults.trickled_body), "did not respond in time", timeout=SLOW),
    final("trickled headers", Answer(play=faults.trickled_headers), "did not respond in time", timeout=SLOW),
    final("silence", Answer(play=faults.silence), "did not respond in time", timeout=SLOW),
    final("HTML with 200", Answer(body=b"<html><title>Portal</title></html>"), NOT_SENTRY, is_route_missing=True),
    Fault("empty 200", Answer(), "is incomplete"),
    Fault("incomplete JSON with 200", Answer(body=b'[{"id": "5"}, {"id'), "is incomplete"),
    final("JSON of another type", Answer(body=b'"pong"'), NOT_SENTRY),
    final("JSON nested too deeply", Answer(body=b"[" * 9_000 + b"]" * 9_000), NOT_SENTRY),
    final("redirect to another host", Answer(302, headers={"Location": "http://127.0.0.2:1/api/0/x/"}), REDIRECT),
    final("redirect to https", Answer(301, headers={"Location": "https://127.0.0.1/api/0/x/"}), REDIRECT),
    final("redirect to a login page", Answer(302, headers={"Location": "/auth/login/acme/"}), REDIRECT),
    final("redirect without a target", Answer(302), REDIRECT),
)  # fmt: skip


@contextmanager
def small_limits() -> Iterator[None]:
    """Make the limits on responses small, so that reaching them is fast."""
    with (
        mock.patch.object(transport, "MAX_BODY_BYTES", MAX_BODY_BYTES),
        mock.patch.object(deadline, "MAX_BODY_BYTES", MAX_BODY_BYTES),
        mock.patch.object(messages, "MAX_JSON_VALUES", MAX_JSON_VALUES),
    ):
        yield


def run_fault(fault: Fault, action: str, *before: Answer) -> Outcome:
    """Run a step against a server with a fault.

    :param before: responses before the fault
    """
    with small_limits():
        script = [(*REQUESTS[action], answer) for answer in (*before, *[fault.answer] * fault.attempts)]
        # Once the endpoint of an issue is found, it stays the same.
        if fault.is_route_missing and action in ALTERNATIVES and not (before and action == EVENTS):
            # The server has the search if it knows the path of an issue.
            script.append((*ALTERNATIVES[action], NOT_FOUND if action == SEARCH else fault.answer))
        return run_script(action, *script, timeout=fault.timeout)


class TestFaults(StepCase):
    def test_each_fault_is_an_error_with_cause_and_assistance(self) -> None:
        for fault in FAULTS:
            # Waiting for a slow server takes long, so only some actions do.
            for action in REPEATED if fault.timeout is None else SAMPLE:
                with self.subTest(fault.name, action=action):
                    started = time.monotonic()
                    outcome = run_fault(fault, action)
                    self.assert_reports(action, outcome, fault.cause_of(action))
                    self.assertEqual(outcome.clock.slept, list(fault.pauses))
                    if fault.timeout is not None:
                        self.assertLess(time.monotonic() - started, 1.0)

    def test_a_temporary_fault_is_retried(self) -> None:
        for fault in FAULTS:
            if fault.attempts == 1:
                continue
            for action in REPEATED:
                with self.subTest(fault.name, action=action):
                    self.assert_succeeds(action, run_to_success(action, fault.answer, fault.answer))

    def test_redirects_within_the_api_are_followed_and_loops_are_an_error(self) -> None:
        for action, (method, path) in REQUESTS.items():
            # The path of an event has only numbers, which no redirect may change.
            moved = path.replace("/acme", "/moved") if action != SUBMIT else path.rstrip("/")
            there = Answer(302, b'{"detail": {"code": "resource-moved"}}', {"Location": moved})
            back = Answer(302, headers={"Location": path})
            with self.subTest(action):
                success = (method, moved, SUCCESSES[action])
                outcome = run_script(action, (method, path, there), success, *AFTER.get(action, ()))
                self.assert_succeeds(action, outcome)
                first, last, *_ = outcome.received
                self.assertEqual((first.body, first.params), (last.body, last.params))
                for name in ("authorization", "x-sentry-auth", "content-type"):
                    self.assertEqual(first.headers.get(name), last.headers.get(name))
                loop = [(method, path, there), (method, moved, back)] * 3
                self.assert_reports(action, run_script(action, *loop), "redirected too many times")

    def test_the_error_of_a_redirect_contains_its_target(self) -> None:
        answer = Answer(302, headers={"Location": f"https://evil.example/?t={TOKEN}"})
        outcome = run_against(LIST, answer)
        self.assert_fails(outcome, "redirect")
        self.assertEqual(outcome.exception["data"], "Location: https://evil.example/?t=********")

    def test_a_refused_connection_is_retried(self) -> None:
        for action in SAMPLE:
            with self.subTest(action):
                connection = {"token": {"token": TOKEN}, "url": "http://127.0.0.1:1"}
                message = action_message(action, params(action, "http://127.0.0.1:1"), connection)
                outcome = run_step(message)
                self.assert_fails(outcome, "refused the connection")
                self.assertEqual(outcome.clock.slept, ALL_PAUSES)

    def test_an_unknown_host_and_a_tls_failure_are_final(self) -> None:
        with ScriptedServer() as server:
            for url, cause in (
                ("http://no-such-host.invalid", "cannot be resolved"),
                (server.base.replace("http:", "https:"), "TLS connection"),
            ):
                for action in SAMPLE:
                    with self.subTest(action, url=url):
                        connection = {"token": {"token": TOKEN}, "url": url}
                        outcome = run_step(action_message(action, params(action, url), connection))
                        self.assert_fails(outcome, cause)
                        self.assertEqual(outcome.clock.slept, [])
            server.unexpected.clear()

    def test_an_error_of_a_proxy_is_recognized(self) -> None:
        answer = Answer(407, b"<html><title>Proxy login</title></html>")
        url = "http://sentry.example.com"
        with ScriptedServer(("GET", f"{REQUESTS[LIST][1]}", answer)) as proxy:
            connection = {"token": {"token": TOKEN}, "url": url}
            with mock.patch.dict(os.environ, {"HTTP_PROXY": proxy.base, "http_proxy": proxy.base, "NO_PROXY": ""}):
                outcome = run_step(action_message(LIST, params(LIST, url), connection))
        self.assert_fails(outcome, "The proxy refused to connect")
        self.assertIn(f"{proxy.base.removeprefix('http://')}: 407 ", outcome.body["error"])
        self.assertIn("others on the network can read the token", outcome.body["log"])


class TestRepeatedEvents(StepCase):
    def test_a_retry_that_sentry_9_refuses_as_a_duplicate_is_a_success(self) -> None:
        known = Answer(403, json.dumps({"error": f"An event with the same ID already exists ({EVENT_ID})"}).encode())
        for first in (Answer(503), Answer(play=faults.reset), Answer(play=faults.cut_off)):
            outcome = run_against(SUBMIT, first, known)
            self.assert_succeeds(SUBMIT, outcome)
            self.assertEqual(outcome.body["output"], {"id": EVENT_ID})
        self.assert_fails(run_against(SUBMIT, known), "(403)")
        other = Answer(403, b'{"error": "An event with the same ID already exists (1)"}')
        self.assert_fails(run_against(SUBMIT, Answer(503), other), "(403)")

    def test_every_attempt_sends_the_same_event_id(self) -> None:
        outcome = run_to_success(
            SUBMIT, Answer(503), Answer(play=faults.reset), Answer(429), more={"event_json": {"message": "m"}}
        )
        self.assert_succeeds(SUBMIT, outcome)
        self.assertEqual(len({received.body for received in outcome.received}), 1)

    def test_an_envelope_is_retried(self) -> None:
        store, path = REQUESTS[SUBMIT][1], "/api/7/envelope/"
        script = (("POST", store, Answer(404)), ("POST", path, Answer(503)), ("POST", path, SUCCESSES[SUBMIT]))
        with ScriptedServer(*script) as server:
            connection = {"token": {"token": TOKEN}, "url": server.base}
            self.assert_succeeds(SUBMIT, run_step(action_message(SUBMIT, params(SUBMIT, server.base), connection)))


class TestComments(StepCase):
    """A comment is never posted twice: before it is sent again, the comments of the issue show that it is missing."""

    LIST: ClassVar[tuple[str, str]] = ("GET", f"{ISSUE}comments/")

    def test_a_fault_is_an_error_after_the_comments_do_not_have_it(self) -> None:
        missing = (*self.LIST, found([]))
        for fault in FAULTS:
            if fault.timeout is not None:
                continue
            post = (*REQUESTS[COMMENT], fault.answer)
            is_lost = fault.cause not in (NOT_SENTRY, REDIRECT)
            script = [post, missing, post, missing] if is_lost else [post]
            if fault.is_route_missing:
                script.append((*ALTERNATIVES[COMMENT], fault.answer))
            with self.subTest(fault.name), small_limits():
                outcome = run_script(COMMENT, *script)
                self.assert_fails(outcome, fault.cause)
                self.assertEqual("See List Comments" in outcome.exception["assistance"], is_lost)

    def test_a_comment_that_was_stored_is_a_success_and_not_posted_again(self) -> None:
        stored = {"id": "1", "data": {"text": "Seen"}, "dateCreated": datetime.now(UTC).isoformat()}
        for answer in (*map(Answer, (500, *TRANSIENT)), Answer(play=faults.reset), Answer(play=faults.cut_off)):
            with self.subTest(answer):
                outcome = run_script(COMMENT, (*REQUESTS[COMMENT], answer), (*self.LIST, found([stored])))
                self.assert_succeeds(COMMENT, outcome)
                self.assertEqual(outcome.body["output"]["comment"]["id"], "1")

    def test_a_comment_that_was_not_stored_is_posted_once_more(self) -> None:
        for answer in (*map(Answer, TRANSIENT), Answer(play=faults.reset), Answer(play=faults.cut_off)):
            script = [(*REQUESTS[COMMENT], answer), (*self.LIST, found([])), (*REQUESTS[COMMENT], SUCCESSES[COMMENT])]
            with self.subTest(answer):
                self.assert_succeeds(COMMENT, run_script(COMMENT, *script))


class TestLists(StepCase):
    @staticmethod
    def link(cursor: str, host: str = "http://elsewhere.example.com") -> dict[str, str]:
        return {"Link": f'<{host}/?cursor={cursor}>; rel="next"; results="true"; cursor="{cursor}"'}

    def page(self, *ids: object, cursor: str = "") -> Answer:
        body = json.dumps([{"id": str(number), "eventID": str(number)} for number in ids]).encode()
        return Answer(body=body, headers=self.link(cursor) if cursor else LAST_PAGE)

    def ids(self, action: str, outcome: Outcome) -> list[str]:
        self.assert_succeeds(action, outcome)
        key, records = ("id", "issues") if action == LIST else ("eventID", "events")
        return [record[key] for record in outcome.body["output"][records]]

    def test_pages_that_overlap_or_are_empty_neither_lose_nor_repeat_records(self) -> None:
        for action in (LIST, EVENTS):
            pages = (self.page(3, 2, cursor="a"), self.page(cursor="b"), self.page(2, 1, cursor="c"), self.page(1, 0))
            with self.subTest(action):
                outcome = run_against(action, *pages)
                self.assertEqual(self.ids(action, outcome), ["3", "2", "1", "0"])
                for received in outcome.received[1:]:
                    self.assertEqual(received.headers["host"], outcome.received[0].headers["host"])

    def test_only_the_page_that_failed_is_requested_again(self) -> None:
        for action in (LIST, EVENTS):
            with self.subTest(action):
                outcome = run_against(
                    action, self.page(2, cursor="a"), Answer(503), Answer(play=faults.cut_off), self.page(1)
                )
                self.assertEqual(self.ids(action, outcome), ["2", "1"])
                self.assertEqual(
                    [dict(received.params).get("cursor") for received in outcome.received], [None] + ["a"] * 3
                )

    def test_the_pauses_of_all_pages_share_one_time_budget(self) -> None:
        limited = Answer(429, headers={"Retry-After": "25"})
        pages = (limited, self.page(3, cursor="a"), limited, self.page(2, cursor="b"), limited)
        outcome = run_against(LIST, *pages)
        self.assertEqual(self.ids(LIST, outcome), ["3", "2"])
        self.assertEqual(outcome.clock.slept, [25.0, 25.0])
        self.assert_incomplete(outcome, "limits the rate of requests", next_cursor="b")
        self.assertIn("Wait 25 seconds", outcome.body["output"]["warning"])

    def assert_incomplete(self, outcome: Outcome, reason: str, next_cursor: str | None) -> None:
        """Assert that the step says in its output and in its log that the list is incomplete, and why."""
        output = outcome.body["output"]
        self.assertTrue(output["truncated"])
        self.assertEqual(output.get("next_cursor"), next_cursor)
        self.assertIn(reason, output["warning"])
        self.assertIn(output["warning"], outcome.body["log"])

    def test_a_list_without_an_end_is_incomplete(self) -> None:
        repeated = [self.page(3, cursor="a"), self.page(2, cursor="b"), self.page(1, cursor="a")]
        useless = [self.page(1, cursor=str(number)) for number in range(101)]
        empty = [self.page(1, cursor="a"), *(self.page(cursor=str(number)) for number in range(100))]
        no_end, skipped = "100 pages in a row have no new records", "repeated records across pages"
        for action, pages, expected, reason in (
            (LIST, repeated, ["3", "2", "1"], "a page that was already read"),
            (EVENTS, repeated, ["3", "2", "1"], "a page that was already read"),
            (LIST, useless, ["1"], no_end),
            # An event that comes twice shows more: that another one was skipped.
            (EVENTS, useless, ["1"], skipped),
            (LIST, empty, ["1"], no_end),
            (EVENTS, empty, ["1"], no_end),
        ):
            with self.subTest(action, pages=len(pages), reason=reason):
                outcome = run_against(action, *pages)
                self.assertEqual(self.ids(action, outcome), expected)
                self.assert_incomplete(outcome, reason, next_cursor=None)

    def test_a_next_page_without_a_cursor(self) -> None:
        without_cursor = Answer(body=b"[]", headers={"Link": '<http://x/>; rel="next"; results="true"'})
        for action in (LIST, EVENTS):
            with self.subTest(action):
                self.assert_fails(run_against(action, without_cursor), "cannot be read to the end")
                outcome = run_against(action, self.page(2, cursor="a"), without_cursor)
                self.assertEqual(self.ids(action, outcome), ["2"])
                self.assert_incomplete(outcome, "names a next page without a cursor", next_cursor="a")

    def test_each_fault_after_the_first_page_makes_the_list_incomplete(self) -> None:
        for fault in FAULTS:
            for action in (LIST, EVENTS):
                with self.subTest(fault.name, action=action):
                    outcome = run_fault(fault, action, self.page(2, cursor="a"))
                    self.assertEqual(self.ids(action, outcome), ["2"])
                    self.assert_incomplete(outcome, fault.cause, next_cursor="a")

    def test_a_list_of_the_maximum_size_is_truncated(self) -> None:
        with mock.patch.object(pagination, "MAX_RECORDS", 25):
            pages = [self.page(*range(10 * n, 10 * n + 10), cursor=str(n)) for n in range(3)]
            outcome = run_against(LIST, *pages)
        self.assertEqual(len(self.ids(LIST, outcome)), 30)
        self.assertEqual((outcome.body["output"]["truncated"], outcome.body["output"]["next_cursor"]), (True, "2"))
        self.assertIn("Stopped at the maximum size", outcome.body["log"])

    def test_malformed_link_headers(self) -> None:
        glitchtip = (
            """{'<http://h/?cursor=x>; rel="previous"; results="false", """
            """<http://h/?cursor=a>; rel="next"; results="true"; cursor="a"'}"""
        )
        without_attribute = '<http://h/?query=b&cursor=a%3A1>; rel="next"; results="true"'
        for header, cursor in ((glitchtip, "a"), (without_attribute, "a:1")):
            with self.subTest(header):
                first = Answer(body=b'[{"id": "2"}]', headers={"Link": header})
                outcome = run_against(LIST, first, self.page(1))
                self.assertEqual(self.ids(LIST, outcome), ["2", "1"])
                self.assertIn(("cursor", cursor), outcome.received[1].params)

    def test_a_long_list_logs_its_progress(self) -> None:
        pages = [self.page(n, cursor=str(n)) for n in range(20)] + [self.page("last")]
        outcome = run_against(LIST, *pages)
        self.assertEqual(len(self.ids(LIST, outcome)), 21)
        self.assertIn(
            "Read page 10 of project pump-station of organization acme, 10 records so far", outcome.body["log"]
        )
        self.assertIn("Read page 20", outcome.body["log"])


class TestConnectionTest(StepCase):
    CASES: ClassVar[tuple[tuple[Answer, str], ...]] = (
        (Answer(401, b'{"detail": "Invalid token"}'), "did not accept the token"),
        (Answer(302, headers={"Location": "/auth/login/"}), "leads to a login page"),
        (Answer(200, b"<html><body><form><input type=password></form></body></html>"), "leads to a login page"),
        (Answer(200, b"<html><title>Welcome to nginx!</title></html>"), "an HTML page instead of"),
        (Answer(403, b"<html><title>Blocked by policy</title></html>"), "an HTML page instead of"),
        (Answer(404), "not the base URL of a Sentry server"),
        (
            Answer(200, b'{"version": "0", "auth": {"scopes": ["org:ci"]}, "user": null}'),
            "allows no action that uses the token",
        ),
    )

    def test_each_fault_has_its_own_cause(self) -> None:
        for answer, cause in self.CASES:
            useless = answer.body.startswith(b'{"version')
            rest = [("GET", path, Answer(404)) for path in (
                "/api/client-config/", "/auth/login/", "/api/0/projects/", "/api/0/organizations/"
            )]  # fmt: skip
            with self.subTest(cause), ScriptedServer(("GET", "/api/0/", answer), *(rest if useless else ())) as server:
                connection = {"token": {"token": TOKEN}, "url": server.base}
                self.assert_fails(run_step(connection_test_message(connection)), cause)
        for url, cause in (
            ("http://127.0.0.1:1", "refused the connection"),
            ("http://no.invalid", "cannot be resolved"),
        ):
            outcome = run_step(connection_test_message({**connection, "url": url}))
            self.assert_fails(outcome, cause)
            self.assertLess(outcome.waited, 20)
