"""Invalid and unusual inputs through the entry point: each is accepted, or rejected with cause and assistance."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sandbox import Sandbox
from testing.plugin import Json, action_message
from testing.support import ACTIONS, connection_params
from unit_test.step_case import (
    COMMENT,
    COMMENTS,
    DELETE,
    EVENTS,
    GET_EVENT,
    GET_ISSUE,
    KEY,
    LIST,
    MEMBERS,
    MERGE,
    PROJECTS,
    SEARCH,
    SUBMIT,
    TAGS,
    TEAMS,
    UPDATE,
    UPDATE_ALL,
    Outcome,
    StepCase,
    run_step,
)

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


# Changes that need others.
IGNORED = {"status": "ignored"}
NEEDED: dict[str, Json] = {
    "substatus": {**IGNORED, "ignoreCount": 1},
    "ignoreDuration": IGNORED,
    "ignoreCount": IGNORED,
    "ignoreWindow": {**IGNORED, "ignoreCount": 1},
    "ignoreUserCount": IGNORED,
    "ignoreUserWindow": {**IGNORED, "ignoreUserCount": 1},
}
# The issues that each action may change. The others change none.
CHANGED = {UPDATE: "one", UPDATE_ALL: "one", COMMENT: "one", SUBMIT: "any"}


def schema_of(action: str, name: str) -> Json:
    """The schema of an input."""
    schema: Json = ACTIONS[action]().input.schema["properties"].get(name, {})
    return {key: value for key, value in schema.items() if key not in ("description", "order", "title")}


class BadInputCase(StepCase):
    """Steps against a sandbox with two issues."""

    sandbox: Sandbox
    first: str
    second: str

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.sandbox = cls.enterClassContext(Sandbox())
        cls.add_issues("Pump P")

    @classmethod
    def add_issues(cls, name: str) -> None:
        """Add the two issues that the valid inputs name."""
        for number in (1, 2):
            event = {"message": f"{name}-{number} stopped", "release": "1.4.2"}
            inputs = {"dsn": cls.sandbox.env["DSN_PUBLIC"], "event_json": event}
            run_step(action_message(SUBMIT, inputs, connection_params(cls.sandbox)))
        rows = cls.sandbox.store.all("SELECT id FROM issue ORDER BY id DESC LIMIT 2")
        cls.second, cls.first = (str(row["id"]) for row in rows)

    def run_step(self, action: str, params: Any) -> Outcome:
        self.sandbox.requests.clear()
        return run_step(action_message(action, params, connection_params(self.sandbox)))

    def valid(self, action: str, name: str = "") -> Json:
        """Valid inputs of an action.

        :param name: of an input that may need others
        """
        of_organization: Json = {"organization_slug": "acme"}
        of_issue = {**of_organization, "issue_id": self.first}
        update: Json = {"status": "resolved", **NEEDED.get(name, {})}
        selection: Json = {"issue_ids": [self.first]}
        if name in ("query", "projects"):
            selection = {"query": "is:unresolved", "projects": ["pump-station"], "max_changes": 1}
        inputs: dict[str, Json] = {
            SUBMIT: {"dsn": self.sandbox.env["DSN_PUBLIC"], "event_json": {"message": "m"}},
            LIST: {**of_organization, "project_slug": "pump-station"},
            EVENTS: of_issue,
            UPDATE: {**of_issue, **update},
            SEARCH: of_organization,
            GET_ISSUE: of_issue,
            GET_EVENT: of_issue,
            TAGS: {**of_issue, "key": "release"},
            COMMENTS: of_issue,
            PROJECTS: of_organization,
            MEMBERS: of_organization,
            TEAMS: of_organization,
            UPDATE_ALL: {**of_organization, **selection, **update, "dry_run": False},
            MERGE: {**of_organization, "issue_ids": [self.first, self.second]},
            DELETE: {**of_organization, "issue_ids": [self.first, self.second], "confirm": 2},
            COMMENT: {**of_issue, "text": "Seen"},
        }
        return inputs[action]

    def check_requests(self, outcome: Outcome) -> None:
        """Assert that all requests are to paths of the API, and that no value became a header."""
        for request in self.sandbox.requests:
            self.assertRegex(request.path, r"^/api/(0/(projects|organizations|issues)/|[0-9]+/(store|envelope)/$)")
            self.assertNotIn("..", request.path.split("/"))
            self.assertNotIn("X-Evil", request.headers)
        self.assertNotIn("Traceback", json.dumps(outcome.exception))

    def reopen_issues(self) -> None:
        """Undo all changes of issues, so that the same change is one again."""
        self.sandbox.store.run("DELETE FROM activity")
        self.sandbox.store.run(
            "UPDATE issue SET status = 'unresolved', substatus = 'new', resolution = NULL, snooze = NULL, "
            "assignee = NULL, priority = NULL"
        )

    def issues(self) -> dict[str, Any]:
        """All that the sandbox stores about each issue."""
        stored: dict[str, Any] = {}
        for key, table in (("id", "issue"), ("issue", "activity"), ("issue", "issue_user")):
            for row in self.sandbox.store.all(f"SELECT * FROM {table}"):
                stored.setdefault(str(row[key]), []).append(tuple(row))
        return stored

    def changed_issues(self, before: dict[str, Any]) -> set[str]:
        """The IDs of the issues that differ from before."""
        after = self.issues()
        return {issue for issue in {*before, *after} if before.get(issue) != after.get(issue)}


class TestEveryInput(BadInputCase):
    def inputs(self) -> Iterator[tuple[str, str, Iterable[Any]]]:
        """Each input of each action with its values. Events come last, because they add issues.

        An input that an earlier action has in the same form gets only every fourth value, others in each action: the
        same code parses it. The actions that delete, merge and comment get all.
        """
        seen: list[tuple[str, Json]] = []
        for number, action in enumerate(sorted(ACTIONS, key=lambda action: action == SUBMIT)):
            for name in ACTIONS[action]().input.schema["properties"]:
                schema = schema_of(action, name)
                is_text = schema.get("type") == "string" and "enum" not in schema
                values = (*VALUES, *(TEXTS if is_text else ()))
                is_sampled = (name, schema) in seen and action not in (DELETE, MERGE, COMMENT)
                yield action, name, values[number % 4 :: 4] if is_sampled else values
                seen.append((name, schema))

    def test_every_input_accepts_or_rejects_any_value(self) -> None:
        for action, name, values in self.inputs():
            with self.subTest(action=action, input=name):
                for value in values:
                    try:
                        self.check(action, name, value)
                    except AssertionError as error:
                        raise AssertionError(f"the value {repr(value)[:40]}: {error}") from error

    def check(self, action: str, name: str, value: Any) -> None:
        """Check a step with one unusual value."""
        before = self.issues()
        outcome = self.run_step(action, {**self.valid(action, name), name: value})
        self.check_outcome(outcome)
        self.check_requests(outcome)
        self.assertNotIn(self.sandbox.env["TOKEN"], outcome.emitted)
        changed = self.changed_issues(before)
        self.assertLessEqual(changed, self.changeable(action, name, value, outcome))
        if changed:
            self.reopen_issues()

    def changeable(self, action: str, name: str, value: Any, outcome: Outcome) -> set[str]:
        """The IDs of the issues that a step may change."""
        kind = CHANGED.get(action)
        is_dry_run = name == "dry_run" and value not in (0, "0")
        if outcome.body["status"] == "error" or kind is None or is_dry_run:
            return set()
        return {self.first} if kind == "one" else set(self.issues())


class TestValidInput(BadInputCase):
    def test_the_inputs_that_the_tests_change_are_valid(self) -> None:
        # Deleting comes last, with new issues, because merging leaves only one of two.
        for action in sorted(
            ACTIONS, key=lambda action: (MERGE, DELETE).index(action) if action in (MERGE, DELETE) else -1
        ):
            with self.subTest(action):
                if action == DELETE:
                    self.add_issues("Valve V")
                self.assert_succeeds(action, self.run_step(action, self.valid(action)))
        self.assertEqual(self.changed_issues({}) & {self.first, self.second}, set())


class TestBadInput(BadInputCase):
    def test_what_is_not_named_or_confirmed_is_not_changed(self) -> None:
        first, second = self.first, self.second
        short_id = "PUMP-STATION-1"
        cases: tuple[tuple[str, Json], ...] = (
            *((DELETE, {"confirm": confirm}) for confirm in (-2, 0, 1, 3, "20", 2.5, None)),
            *((DELETE, {"issue_ids": ids}) for ids in ([first], [first, first], [first, second, "7"], [], first)),
            (DELETE, {"issue_ids": ["no ID", "99999"]}),
            *((MERGE, {"issue_ids": ids}) for ids in ([first], [first, first], [first, short_id], [], first)),
            *((MERGE, {"issue_ids": [first, second, other]}) for other in ("99999", "no ID", "../../projects")),
            *((UPDATE_ALL, {"issue_ids": ids}) for ids in ([], [""], [" ", ""], None, ["99999"], ["no ID"])),
            *((UPDATE_ALL, {"issue_ids": ids, "query": "is:unresolved"}) for ids in ([], [""], [first])),
            *((UPDATE_ALL, {"max_changes": number}) for number in (0, -1, "many")),
            (UPDATE_ALL, {"issue_ids": [first, second], "max_changes": 1}),
            (UPDATE_ALL, {"dry_run": None}),
            *((UPDATE_ALL, {"status": status}) for status in ("", "closed", None)),
            *((COMMENT, {"text": text}) for text in ("", " \n", None, {"a": 1}, ["a"])),
            *((COMMENT, {"issue_id": issue_id}) for issue_id in ("99999", "no ID", None)),
        )
        for action, inputs in cases:
            with self.subTest(action=action, inputs=inputs):
                before = self.issues()
                outcome = self.run_step(action, {**self.valid(action), **inputs})
                self.check_outcome(outcome)
                self.assertEqual(self.changed_issues(before), set())
                self.assertLessEqual({request.method for request in self.sandbox.requests}, {"GET", "POST"})

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
            (SEARCH, "query", "query is too long for a URL: 1048576 characters"),
            (SEARCH, "environments", "environment is too long"),
            (SEARCH, "projects", "project is too long"),
            (TAGS, "key", "key is invalid: it is longer than 200"),
            (GET_EVENT, "event_id", "event_id is neither"),
            (TEAMS, "query", "query is too long"),
        ):
            with self.subTest(action=action, input=name):
                self.assert_fails(self.run_step(action, {**self.valid(action), name: LONG}), cause)
                self.assertEqual(self.sandbox.requests, [])

    def test_the_token_in_another_input_is_neither_sent_nor_quoted(self) -> None:
        token = self.sandbox.env["TOKEN"]
        for action, name in (
            (LIST, "organization_slug"), (LIST, "project_slug"), (LIST, "query"), (LIST, "cursor"), (LIST, "sort"),
            (EVENTS, "issue_id"), (EVENTS, "organization_slug"), (EVENTS, "environment"), (UPDATE, "status"),
            (UPDATE, "assignedTo"), (SUBMIT, "dsn"), (SEARCH, "query"), (SEARCH, "projects"), (SEARCH, "environments"),
            (SEARCH, "period"), (SEARCH, "start"), (GET_ISSUE, "issue_id"), (GET_EVENT, "event_id"), (TAGS, "key"),
            (COMMENTS, "cursor"), (PROJECTS, "query"), (MEMBERS, "query"), (TEAMS, "organization_slug"),
            (UPDATE_ALL, "query"), (UPDATE_ALL, "projects"), (MERGE, "issue_ids"), (DELETE, "issue_ids"),
            (COMMENT, "issue_id"),
        ):  # fmt: skip
            with self.subTest(action=action, input=name):
                outcome = self.run_step(action, {**self.valid(action, name), name: token})
                self.assertEqual(outcome.body["status"], "error")
                self.assertNotIn(token, json.dumps(outcome.body))
                for request in self.sandbox.requests:
                    self.assertNotIn(token, request.path + request.query_string)
