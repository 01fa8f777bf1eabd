"""What the tests share: the plugin driven as InsightConnect drives it, and in process."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jsonschema import Draft202012Validator

from komand_sentry.actions import ListIssueEvents, ListProjectIssues, SubmitEvent, UpdateIssue
from komand_sentry.connection import Connection
from komand_sentry.util.step import SentryAction
from sandbox import Sandbox

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "bin" / "komand_sentry"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
ACTIONS: dict[str, Callable[[], SentryAction]] = {
    "submit_event": SubmitEvent,
    "list_project_issues": ListProjectIssues,
    "list_issue_events": ListIssueEvents,
    "update_issue": UpdateIssue,
}
Json = dict[str, Any]


def validate(value: Any, schema: Json) -> None:
    """As jsonschema.validate, without a check of the schema itself at every call."""
    Draft202012Validator(schema).validate(value)


def connection_to(url: str, token: str = "a-token", **more: Any) -> Connection:
    connection = Connection()
    connection.logger = logging.getLogger("plugin.test")
    parameters = {"token": {"token": token}, "url": url, **more}
    connection.set_(parameters)
    connection.connect(parameters)
    return connection


def run_action(name: str, connection: Connection, params: Any) -> Json:
    """Runs an action in process and holds its output against the generated schema."""
    action = ACTIONS[name]()
    action.connection = connection
    output = action.run(params)
    validate(output, action.output.schema)
    return dict(output)


def message(name: str, params: Json, connection: Json) -> Json:
    """The message that InsightConnect sends for a step; its input is held against the generated schema."""
    validate(params, ACTIONS[name]().input.schema)
    return {
        "version": "v1",
        "type": "action_start",
        "body": {"action": name, "meta": {}, "connection": connection, "input": params},
    }


def connection_params(sandbox: Sandbox, token: str = "TOKEN") -> Json:
    return {"token": {"token": sandbox.env[token]}, "url": sandbox.base}


def run_plugin(command: str, stdin: Json) -> Json:
    """One process of the plugin with one message on stdin; the body that it answered on stdout."""
    process = subprocess.run(
        [sys.executable, str(PLUGIN), command],
        input=json.dumps(stdin),
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    # The runtime prints its log before the answer, which is the last line.
    lines = process.stdout.strip().splitlines()
    assert lines, process.stderr
    body: Json = json.loads(lines[-1])["body"]
    return body


class PluginServer:
    """The plugin in HTTP mode, as a process on a free port."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.base = f"http://127.0.0.1:{probe.getsockname()[1]}"
        port = self.base.rpartition(":")[2]
        self._process = subprocess.Popen(
            [sys.executable, str(PLUGIN), "http", "--port", port],
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.base}/api/v1/status", timeout=5).close()
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
            else:
                return self
        self.close()
        raise AssertionError("the plugin's HTTP mode did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def post(self, path: str, body: Json) -> tuple[int, Json]:
        request = urllib.request.Request(
            f"{self.base}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


class SandboxTestCase(unittest.TestCase):
    """Tests against a sandbox of their own, made anew for each class."""

    sandbox: Sandbox

    @classmethod
    def setUpClass(cls) -> None:
        cls.sandbox = cls.enterClassContext(Sandbox())

    def setUp(self) -> None:
        self.connection = connection_to(self.sandbox.base, self.sandbox.env["TOKEN"])
        self.sandbox.requests.clear()

    def run_action(self, name: str, params: Any) -> Json:
        return run_action(name, self.connection, params)

    def submit(self, event: Json, dsn: str = "DSN_PUBLIC") -> str:
        event_id: str = self.run_action("submit_event", {"dsn": self.sandbox.env[dsn], "event_json": event})["id"]
        return event_id

    def issues(self, **more: Any) -> list[Json]:
        slugs = {"organization_slug": self.sandbox.env["ORG"], "project_slug": self.sandbox.env["PROJECT"]}
        issues: list[Json] = self.run_action("list_project_issues", {**slugs, **more})["issues"]
        return issues
