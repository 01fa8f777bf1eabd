"""Triggers run through the plugin's entry point in this process, with a clock that does not wait."""

import io
import json
import logging
import tempfile
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
from testing.fake_clock import FakeClock
from testing.plugin import Json
from testing.support import connection_to, validate

INTERVAL = 60
FLAG = "terminate_trigger.flag"
TRIGGERS: dict[str, Callable[[], SentryTrigger]] = {"new_issue": NewIssue, "new_event": NewEvent}


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


def _as_json(value: Any) -> Any:
    """As InsightConnect receives it: lists in an output are tuples, which JSON does not have."""
    return json.loads(json.dumps(value))
