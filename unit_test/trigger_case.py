"""Triggers run through the plugin's entry point in this process, with a clock that does not wait."""

import io
import json
import logging
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import insightconnect_plugin_runtime.trigger as runtime

from komand_sentry.triggers import NewEvent, NewIssue
from komand_sentry.util.trigger.base import SentryTrigger
from komand_sentry.util.trigger.dispatcher import NotAccepted
from sandbox import Sandbox
from testing.fake_clock import FakeClock
from testing.plugin import Json
from testing.support import connection_to, run_action, validate

INTERVAL = 60
FLAG = "terminate_trigger.flag"
TRIGGERS: dict[str, Callable[[], SentryTrigger]] = {"new_issue": NewIssue, "new_event": NewEvent}


class Log:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def iso(seconds: float) -> str:
    """The time in so many seconds from now, as Sentry writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


class PollingClock(FakeClock):
    """A clock that runs an action before each poll but the first one, and sets the stop flag after the last one."""

    def __init__(self, flag: Path) -> None:
        super().__init__()
        self.flag = flag
        self.actions: list[Callable[[], object]] = []
        self.next_poll = float(INTERVAL)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.monotonic() < self.next_poll:
            return
        self.next_poll += INTERVAL
        if self.actions:
            self.actions.pop(0)()
        else:
            self.flag.touch()


class Orchestrator:
    """A dispatcher that keeps the messages. `refuse` counts down those that it does not accept."""

    def __init__(self) -> None:
        self.messages: list[Json] = []
        self.refuse = 0

    def write(self, message: Json) -> None:
        if self.refuse:
            self.refuse -= 1
            raise NotAccepted("it responded with status 503.")
        self.messages.append(message)

    @property
    def outputs(self) -> list[Json]:
        return [message["body"]["output"] for message in self.messages]


class TriggerCase(unittest.TestCase):
    """A test case with a cache folder, a stop flag and an orchestrator."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("CACHE_DIR", "FLAG_DIR"):
            path = self.folder / name
            path.mkdir()
            self.enterContext(mock.patch.object(runtime, name, str(path)))
        self.clock = PollingClock(self.folder / "FLAG_DIR" / FLAG)
        self.orchestrator = Orchestrator()
        # The runtime keeps the log there until the next message.
        self.log_stream = io.StringIO()
        self.trigger_id: str | None = "t-1"

    @property
    def state_file(self) -> Path:
        return self.folder / "CACHE_DIR" / "t-1.json"

    def run_trigger(
        self,
        name: str,
        params: Json,
        *actions: Callable[[], object],
        url: str,
        token: str = "a-token",
    ) -> list[str]:
        """Run a trigger: a poll, then a poll after each action. Validate its outputs, and return its log."""
        self.clock.actions = list(actions)
        self.clock.next_poll = self.clock.monotonic() + INTERVAL
        trigger = TRIGGERS[name]()
        connection: Any = connection_to(url, token, self.clock)
        connection.meta = SimpleNamespace(workflow=SimpleNamespace(triggerId=self.trigger_id))
        trigger.connection = connection
        trigger.dispatcher = self.orchestrator
        trigger.log_stream = self.log_stream
        trigger.logger = logging.getLogger("plugin.test.trigger")
        validate(params, trigger.input.schema)
        with self.assertLogs(trigger.logger) as logs:
            trigger.load_state()
            trigger.run({"interval": INTERVAL, **params})
        for output in self.orchestrator.outputs:
            validate(_as_json(output), trigger.output.schema)
        return [record.getMessage() for record in logs.records]


class SandboxTriggerCase(TriggerCase):
    """A test case with a sandbox for each class. Only the issues of a test have its tag.

    `submitted` lists the IDs of the events.
    """

    sandbox: Sandbox

    @classmethod
    def setUpClass(cls) -> None:
        cls.sandbox = cls.enterClassContext(Sandbox())

    def setUp(self) -> None:
        super().setUp()
        self.actions = connection_to(self.sandbox.base, self.sandbox.env["TOKEN"], self.clock)
        self.tag = self.id().rpartition(".")[2]
        self.submitted: list[str] = []

    def submit(self, title: str, **event: Any) -> None:
        """Submit an event of an issue with this title."""
        event = {"message": title, "fingerprint": [self.tag, title], "tags": {"test": self.tag}, **event}
        inputs = {"dsn": self.sandbox.env["DSN_PUBLIC"], "event_json": {"timestamp": time.time(), **event}}
        self.submitted.append(run_action("submit_event", self.actions, inputs)["id"])

    def issue(self, title: str) -> Json:
        """The issue with this title."""
        slugs = {"organization_slug": "acme", "project_slug": "pump-station"}
        query = f'test:{self.tag} "{title}"'
        issues: list[Json] = run_action("list_project_issues", self.actions, {**slugs, "query": query})["issues"]
        self.assertEqual(len(issues), 1)
        return issues[0]

    def run_here(self, name: str, params: Json, *actions: Callable[[], object]) -> list[str]:
        """Run a trigger against the sandbox, see run_trigger."""
        params = {"organization_slug": "acme", **params}
        return self.run_trigger(name, params, *actions, url=self.sandbox.base, token=self.sandbox.env["TOKEN"])


def _as_json(value: Any) -> Any:
    """As InsightConnect receives it: lists in an output are tuples, which JSON does not have."""
    return json.loads(json.dumps(value))
