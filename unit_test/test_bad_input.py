"""Invalid and unusual inputs through the entry point: each is accepted, or rejected with cause and assistance."""

import json
from collections.abc import Iterator
from typing import Any

from sandbox import Sandbox
from testing.plugin import Json, action_message
from testing.support import ACTIONS, connection_params
from unit_test.step_case import EVENTS, KEY, LIST, SUBMIT, UPDATE, Outcome, StepCase, run_step

LONG = "x" * 2**20
DEEP: Any = None
for _ in range(900):
    DEEP = {"a": DEEP}
VALUES: tuple[Any, ...] = (
    "", " ", None, 0, -1, 7, 1.5, True, [], [1], {}, {"a": 1}, "ö☃", "\ud800", "\x00", "-1", "0", "²", "1e3", "NaN",
    "99999999999999999999", LONG, DEEP,
)  # fmt: skip
# For inputs that are texts.
TEXTS = (
    "..", ".", "../..", "a/b", "?a=b", "#a", "%2f", "%2e%2e", "a%00b", "a\r\nX-Evil: 1", "http://[::1",
    "https://evil.example.com/issues/5/", "//evil.example.com/issues/5/", "javascript:alert(1)",
)  # fmt: skip
DSNS = (
    "ftp://{key}@h.example/7", "{key}@h.example/7", "https://h.example/7", "https://{key}@h.example", "https://{key}@/7",
    "https://{key}@h.example/project", "https://{key}@h.example/7/8/x", "https://{key}:@evil@h.example/7",
    "https://{key}@evil.example\\@h.example/7", "https://{key}@h.example#@evil.example/7", "https://{key}@[::1/7",
    "https://{key}@[fe80::1%25eth0]/7", "https://{key}@h.example:0/7", "https://{key}@h.example:99999/7",
    "https://{key}@h.example:port/7", "https://{key}@h.example/../7", "https://{key}@h.example/%2e%2e/7",
    "https://{key}\r\n@h.example/7", "https://{key}@h example/7", "https:{key}", LONG,
)  # fmt: skip


class TestBadInput(StepCase):
    sandbox: Sandbox

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.sandbox = cls.enterClassContext(Sandbox())

    def run_step(self, action: str, params: Any) -> Outcome:
        self.sandbox.requests.clear()
        return run_step(action_message(action, params, connection_params(self.sandbox)))

    def valid(self, action: str) -> Json:
        """Valid inputs of an action."""
        inputs: dict[str, Json] = {
            SUBMIT: {"dsn": self.sandbox.env["DSN_PUBLIC"], "event_json": {"message": "m"}},
            LIST: {"organization_slug": "acme", "project_slug": "pump-station"},
            EVENTS: {"issue_id": "5", "organization_slug": "acme"},
            UPDATE: {"issue_id": "5", "organization_slug": "acme", "status": "resolved"},
        }
        return inputs[action]

    def check_requests(self, outcome: Outcome) -> None:
        """Assert that all requests are to paths of the API, and that no value became a header."""
        for request in self.sandbox.requests:
            self.assertRegex(request.path, r"^/api/(0/(projects|organizations|issues)/|[0-9]+/(store|envelope)/$)")
            self.assertNotIn("..", request.path.split("/"))
            self.assertNotIn("X-Evil", request.headers)
        self.assertNotIn("Traceback", json.dumps(outcome.exception))

    def inputs(self) -> Iterator[tuple[str, str, Any]]:
        """Each input of each action with each value."""
        for action in ACTIONS:
            for name, schema in ACTIONS[action]().input.schema["properties"].items():
                is_text = schema.get("type") == "string" and "enum" not in schema
                for value in (*VALUES, *(TEXTS if is_text else ())):
                    yield action, name, value

    def test_every_input_accepts_or_rejects_any_value(self) -> None:
        for action, name, value in self.inputs():
            with self.subTest(action=action, input=name, value=repr(value)[:40]):
                outcome = self.run_step(action, {**self.valid(action), name: value})
                self.check_outcome(outcome)
                self.check_requests(outcome)
                self.assertNotIn(self.sandbox.env["TOKEN"], outcome.emitted)

    def test_inputs_that_are_not_an_object_are_rejected(self) -> None:
        for action in ACTIONS:
            for params in (None, [], "text", 7, [["issue_id", "5"]]):
                with self.subTest(action=action, params=params):
                    self.assert_fails(self.run_step(action, params), "")
                    self.assertEqual(self.sandbox.requests, [])

    def test_an_invalid_dsn_is_rejected_and_not_quoted(self) -> None:
        for form in DSNS:
            with self.subTest(form[:60]):
                params = {**self.valid(SUBMIT), "dsn": form.replace("{key}", f"{KEY}:SeCrEt")}
                outcome = self.run_step(SUBMIT, params)
                self.assert_fails(outcome, "The DSN is invalid")
                self.assertNotIn("SeCrEt", outcome.emitted)

    def test_a_dsn_with_an_ipv6_address_is_valid(self) -> None:
        outcome = self.run_step(SUBMIT, {**self.valid(SUBMIT), "dsn": f"http://{KEY}@[::1]:1/7"})
        self.assert_fails(outcome, "[::1]:1 refused the connection")

    def test_an_event_that_is_too_large_is_rejected_with_its_size(self) -> None:
        for text, size in (("x" * 2**20, "1,048,"), ("ö" * 2**19, "1,048,")):
            outcome = self.run_step(SUBMIT, {**self.valid(SUBMIT), "event_json": {"message": text}})
            self.assert_fails(outcome, f"The event is too large: {size}")
            self.assertEqual(self.sandbox.requests, [])
        outcome = self.run_step(SUBMIT, {**self.valid(SUBMIT), "event_json": {"message": "ö" * (2**19 - 200)}})
        self.assert_succeeds(SUBMIT, outcome)

    def test_an_event_without_content_is_rejected(self) -> None:
        events: tuple[Json, ...] = (
            {},
            {"message": ""},
            {"type": "error", "platform": "python"},
            {"extra": {}},
            {"event_id": "0" * 32},
        )
        for event in events:
            with self.subTest(event):
                outcome = self.run_step(SUBMIT, {**self.valid(SUBMIT), "event_json": event})
                self.assert_fails(outcome, "The event has no content" if event else "")
                self.assertEqual(self.sandbox.requests, [])

    def test_numbers_that_are_not_json_and_lone_surrogates(self) -> None:
        for number in (float("nan"), float("inf"), -float("inf")):
            outcome = self.run_step(SUBMIT, {**self.valid(SUBMIT), "event_json": {"extra": {"n": [number]}}})
            self.assert_fails(outcome, "cannot be serialized as JSON")
        for action, name in ((LIST, "query"), (LIST, "environment"), (EVENTS, "environment")):
            outcome = self.run_step(action, {**self.valid(action), name: "half \ud800 a character"})
            self.assertEqual(outcome.clock.slept, [])
            self.assertIn("half+%3F+a", self.sandbox.requests[0].query_string)
        outcome = self.run_step(SUBMIT, {**self.valid(SUBMIT), "event_json": {"message": "half \ud800 a character"}})
        self.assert_succeeds(SUBMIT, outcome)
        self.assertIn("half ? a character", self.sandbox.requests[-1].body.decode())

    def test_a_deeply_nested_event_is_accepted(self) -> None:
        outcome = self.run_step(SUBMIT, {**self.valid(SUBMIT), "event_json": {"extra": DEEP, "message": "m"}})
        self.assert_succeeds(SUBMIT, outcome)

    def test_an_input_that_is_too_long_for_a_url_is_rejected(self) -> None:
        for action, name, cause in (
            (LIST, "organization_slug", "organization_slug is invalid: it is longer than 200"),
            (LIST, "project_slug", "project_slug is invalid: it is longer than 200"),
            (LIST, "query", "query is too long for a URL: 1048576 characters"),
            (LIST, "cursor", "cursor is too long"),
            (EVENTS, "environment", "environment is too long"),
            (EVENTS, "issue_id", "issue_id is invalid"),
            (UPDATE, "organization_slug", "organization_slug is invalid: it is longer than 200"),
        ):
            with self.subTest(action=action, input=name):
                self.assert_fails(self.run_step(action, {**self.valid(action), name: LONG}), cause)
                self.assertEqual(self.sandbox.requests, [])

    def test_the_token_in_another_input_is_neither_sent_nor_quoted(self) -> None:
        token = self.sandbox.env["TOKEN"]
        for action, name in (
            (LIST, "organization_slug"), (LIST, "project_slug"), (LIST, "query"), (LIST, "cursor"), (LIST, "sort"),
            (EVENTS, "issue_id"), (EVENTS, "organization_slug"), (EVENTS, "environment"), (UPDATE, "status"),
            (UPDATE, "assignedTo"), (SUBMIT, "dsn"),
        ):  # fmt: skip
            with self.subTest(action=action, input=name):
                outcome = self.run_step(action, {**self.valid(action), name: token})
                self.assertEqual(outcome.body["status"], "error")
                self.assertNotIn(token, json.dumps(outcome.body))
                for request in self.sandbox.requests:
                    self.assertNotIn(token, request.path + request.query_string)
