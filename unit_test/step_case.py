"""Steps run through the plugin's entry point in this process, with a clock that does not wait."""

import io
import json
import logging
import traceback
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from insightconnect_plugin_runtime import Plugin
from insightconnect_plugin_runtime.exceptions import LoggedException

from komand_sentry.connection import Connection
from testing.fake_clock import FakeClock
from testing.plugin import Json, action_message
from testing.scripted_server import LAST_PAGE, Answer, Received, ScriptedServer
from testing.support import ACTIONS, validate

TOKEN = "sntryu_" + "0123456789abcdef" * 4
KEY = "3f6b2c1d9e8a4f70b5c4d3e2f1a09b8c"
SECRET = "c8b90a1f2e3d4c5b07f4a8e9d1c2b6f3"
EVENT_ID = "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1"

SUBMIT, LIST, EVENTS, UPDATE = "submit_event", "list_project_issues", "list_issue_events", "update_issue"
SEARCH, GET_ISSUE, GET_EVENT, TAGS = "search_issues", "get_issue", "get_event", "list_tag_values"
COMMENTS, PROJECTS, MEMBERS, TEAMS = "list_comments", "list_projects", "list_members", "list_teams"
UPDATE_ALL, MERGE, DELETE, COMMENT = "update_issues", "merge_issues", "delete_issues", "add_comment"
# The actions that report the failure of one issue in their results, so that the others are still changed.
BULK_ACTIONS = (UPDATE_ALL, DELETE)

Script = tuple[str, str, Answer]


def found(record: Any, **more: Any) -> Answer:
    """The response with an object or a page of a list."""
    return Answer(body=json.dumps(record).encode(), headers=LAST_PAGE if isinstance(record, list) else {}, **more)


ORGANIZATION = "/api/0/organizations/acme/"
ISSUES = f"{ORGANIZATION}issues/"
ISSUE = f"{ISSUES}5/"
PROJECT = {"id": "2", "slug": "pump-station"}
# The request of each action that the tests make fail, and its success.
REQUESTS: dict[str, tuple[str, str]] = {
    SUBMIT: ("POST", "/api/7/store/"),
    LIST: ("GET", "/api/0/projects/acme/pump-station/issues/"),
    EVENTS: ("GET", f"{ISSUE}events/"),
    UPDATE: ("PUT", ISSUE),
    SEARCH: ("GET", ISSUES),
    GET_ISSUE: ("GET", ISSUE),
    GET_EVENT: ("GET", ISSUE),
    TAGS: ("GET", f"{ISSUE}tags/release/"),
    COMMENTS: ("GET", f"{ISSUE}comments/"),
    PROJECTS: ("GET", f"{ORGANIZATION}projects/"),
    MEMBERS: ("GET", f"{ORGANIZATION}members/"),
    TEAMS: ("GET", f"{ORGANIZATION}teams/"),
    UPDATE_ALL: ("GET", ISSUE),
    MERGE: ("GET", ISSUE),
    DELETE: ("GET", ISSUE),
    COMMENT: ("POST", f"{ISSUE}comments/"),
}
SUCCESSES: dict[str, Answer] = {
    SUBMIT: found({"id": EVENT_ID}),
    LIST: found([{"id": "5"}]),
    EVENTS: found([{"eventID": "1"}]),
    UPDATE: found({"id": "5", "status": "resolved"}),
    SEARCH: found([{"id": "5"}]),
    GET_ISSUE: found({"id": "5"}),
    GET_EVENT: found({"id": "5"}),
    TAGS: found({"key": "release", "totalValues": 1, "uniqueValues": 1}),
    COMMENTS: found([{"id": "1", "data": {"text": "Seen"}}]),
    PROJECTS: found([{"id": "2", "slug": "pump-station"}]),
    MEMBERS: found([{"id": "3", "email": "user@example.com"}]),
    TEAMS: found([{"id": "4", "slug": "operations"}]),
    UPDATE_ALL: found({"id": "5", "status": "unresolved"}),
    MERGE: found({"id": "5", "project": PROJECT}),
    DELETE: found({"id": "5"}),
    COMMENT: found({"id": "1", "data": {"text": "Seen"}}, status=201),
}
# The requests before that one, which succeed. Merge Issues reads all issues, and then reports the first failure.
BEFORE: dict[str, tuple[Script, ...]] = {
    MERGE: (("GET", f"{ISSUES}6/", found({"id": "6", "project": PROJECT})),),
}
# The requests after its success.
AFTER: dict[str, tuple[Script, ...]] = {
    GET_ISSUE: (("GET", f"{ISSUE}events/latest/", found({"eventID": "1"})),),
    GET_EVENT: (("GET", f"{ISSUE}events/latest/", found({"eventID": "1"})),),
    TAGS: (("GET", f"{ISSUE}tags/release/values/", found([{"value": "1.4.2", "count": 1}])),),
    UPDATE_ALL: (("PUT", ISSUE, found({"id": "5", "status": "resolved"})),),
    MERGE: (
        ("PUT", ISSUES, found({"merge": {"parent": "6", "children": ["5"]}})),
        ("GET", ISSUE, found({"id": "6", "project": PROJECT})),
    ),
    DELETE: (("DELETE", ISSUE, Answer(202)),),
}


def params(action: str, base: str) -> Json:
    """Valid inputs of an action."""
    dsn = base.replace("://", f"://{KEY}:{SECRET}@") + "/7"
    of_organization = {"organization_slug": "acme"}
    of_issue = {**of_organization, "issue_id": "5"}
    inputs: dict[str, Json] = {
        SUBMIT: {"dsn": dsn, "event_json": {"message": "m", "event_id": EVENT_ID}},
        LIST: {**of_organization, "project_slug": "pump-station"},
        EVENTS: of_issue,
        UPDATE: {**of_issue, "status": "resolved"},
        SEARCH: of_organization,
        GET_ISSUE: of_issue,
        GET_EVENT: of_issue,
        TAGS: {**of_issue, "key": "release"},
        COMMENTS: of_issue,
        PROJECTS: of_organization,
        MEMBERS: of_organization,
        TEAMS: of_organization,
        UPDATE_ALL: {**of_organization, "issue_ids": ["5"], "dry_run": False, "status": "resolved"},
        MERGE: {**of_organization, "issue_ids": ["6", "5"]},
        DELETE: {**of_organization, "issue_ids": ["5"], "confirm": 1},
        COMMENT: {**of_issue, "text": "Seen"},
    }
    return inputs[action]


class ClockedConnection(Connection):
    """The connection with a clock that does not wait."""

    clock: FakeClock
    timeout: float | None = None

    def connect(self, params: Any = None) -> None:
        super().connect(params)
        self.client.clock = self.clock
        self.client.jitter = lambda: 0.0
        if self.timeout is not None:
            self.client.timeout = self.timeout


@dataclass
class Outcome:
    """The result of a step.

    :param body: of the response to InsightConnect
    :param emitted: everything that the plugin returned, logged or could log
    :param received: the requests that the server received
    """

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


@contextmanager
def capture_log() -> Iterator[io.StringIO]:
    """Capture the output of all loggers at the lowest level."""
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


def run_step(message: Json, timeout: float | None = None) -> Outcome:
    """Run a step as InsightConnect does.

    :param timeout: the timeout of the step
    """
    connection = ClockedConnection()
    connection.clock, connection.timeout = FakeClock(), timeout
    plugin = Plugin(name="sentry", vendor="rapid7", connection=connection)
    for make in ACTIONS.values():
        plugin.add_action(make())
    trace = ""
    with capture_log() as log:
        try:
            answer = plugin.handle_step(message, is_debug=True)
        except LoggedException as error:
            answer = error.output
            trace = "".join(traceback.format_exception(error))
    used = next(iter(plugin.connection_cache.connections.values()), connection)
    response = json.dumps(answer)
    emitted = "\n".join([response, log.getvalue(), trace, repr(vars(used).get("client"))])
    body: Json = json.loads(response)["body"]
    return Outcome(body, connection.clock, emitted)


def run_against(action: str, *answers: Answer, timeout: float | None = None, more: Json | None = None) -> Outcome:
    """Run a step against a server that sends these responses to the same request in this order.

    :param more: further inputs of the step
    """
    return run_script(action, *((*REQUESTS[action], answer) for answer in answers), timeout=timeout, more=more)


def run_to_success(action: str, *answers: Answer, more: Json | None = None) -> Outcome:
    """Run a step against a server that sends these responses to the same request, and then its success.

    :param more: further inputs of the step
    """
    script = ((*REQUESTS[action], answer) for answer in (*answers, SUCCESSES[action]))
    return run_script(action, *script, *AFTER.get(action, ()), more=more)


def run_script(action: str, *script: Script, timeout: float | None = None, more: Json | None = None) -> Outcome:
    """Run a step against a server that expects the requests BEFORE and then these, which the outcome has.

    :param more: further inputs of the step
    """
    before = BEFORE.get(action, ())
    with ScriptedServer(*before, *script) as server:
        connection = {"token": {"token": TOKEN}, "url": server.base}
        inputs = {**params(action, server.base), **(more or {})}
        outcome = run_step(action_message(action, inputs, connection), timeout)
        outcome.received = server.received[len(before) :]
    return outcome


class StepCase(unittest.TestCase):
    """Assertions about the result of a step. The log is configured as in HTTP mode, so that responses contain it."""

    @classmethod
    def setUpClass(cls) -> None:
        structlog.configure(
            processors=[structlog.stdlib.PositionalArgumentsFormatter(), structlog.stdlib.render_to_log_kwargs],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        cls.addClassCleanup(structlog.reset_defaults)

    def check_outcome(self, outcome: Outcome) -> None:
        """Assert that nothing contains a secret, and that an error has cause and assistance."""
        for secret in (TOKEN, SECRET):
            self.assertNotIn(secret, outcome.emitted)
        if outcome.body["status"] == "error":
            self.assertTrue(outcome.exception.get("cause"), outcome.body)
            self.assertTrue(outcome.exception.get("assistance"), outcome.body)

    def assert_fails(self, outcome: Outcome, cause: str) -> None:
        self.check_outcome(outcome)
        self.assertEqual(outcome.body["status"], "error", outcome.body)
        self.assertIn(cause, outcome.exception["cause"])

    def assert_reports(self, action: str, outcome: Outcome, cause: str) -> None:
        """Assert that the step failed, or if it is a bulk action, at least that its only issue was not changed."""
        if action not in BULK_ACTIONS or outcome.body["status"] == "error":
            self.assert_fails(outcome, cause)
            return
        self.assert_succeeds(action, outcome)
        (result,) = outcome.body["output"]["results"]
        self.assertFalse(result["changed"])
        self.assertIn(cause, result["error"])
        self.assertFalse(outcome.body["output"].get("changed") or outcome.body["output"].get("deleted"))

    def assert_succeeds(self, action: str, outcome: Outcome) -> None:
        self.check_outcome(outcome)
        self.assertEqual(outcome.body["status"], "ok", outcome.body)
        validate(outcome.body["output"], ACTIONS[action]().output.schema)
