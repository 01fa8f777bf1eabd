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
REQUESTS: dict[str, tuple[str, str]] = {
    SUBMIT: ("POST", "/api/7/store/"),
    LIST: ("GET", "/api/0/projects/acme/pump-station/issues/"),
    EVENTS: ("GET", "/api/0/organizations/acme/issues/5/events/"),
    UPDATE: ("PUT", "/api/0/organizations/acme/issues/5/"),
}
SUCCESSES: dict[str, Answer] = {
    SUBMIT: Answer(body=json.dumps({"id": EVENT_ID}).encode()),
    LIST: Answer(body=b'[{"id": "5"}]', headers=LAST_PAGE),
    EVENTS: Answer(body=b'[{"eventID": "1"}]', headers=LAST_PAGE),
    UPDATE: Answer(body=b'{"id": "5", "status": "resolved"}'),
}


def params(action: str, base: str) -> Json:
    """Valid inputs of an action."""
    dsn = base.replace("://", f"://{KEY}:{SECRET}@") + "/7"
    inputs: dict[str, Json] = {
        SUBMIT: {"dsn": dsn, "event_json": {"message": "m", "event_id": EVENT_ID}},
        LIST: {"organization_slug": "acme", "project_slug": "pump-station"},
        EVENTS: {"organization_slug": "acme", "issue_id": "5"},
        UPDATE: {"organization_slug": "acme", "issue_id": "5", "status": "resolved"},
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


def run_script(
    action: str, *script: tuple[str, str, Answer], timeout: float | None = None, more: Json | None = None
) -> Outcome:
    """Run a step against a server that expects these requests.

    :param more: further inputs of the step
    """
    with ScriptedServer(*script) as server:
        connection = {"token": {"token": TOKEN}, "url": server.base}
        inputs = {**params(action, server.base), **(more or {})}
        outcome = run_step(action_message(action, inputs, connection), timeout)
        outcome.received = server.received
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

    def assert_succeeds(self, action: str, outcome: Outcome) -> None:
        self.check_outcome(outcome)
        self.assertEqual(outcome.body["status"], "ok", outcome.body)
        validate(outcome.body["output"], ACTIONS[action]().output.schema)
