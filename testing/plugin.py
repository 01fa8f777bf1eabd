"""Run the plugin like InsightConnect: a process for each message on stdin, or a server in HTTP mode."""

import copy
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "bin" / "komand_sentry"
LOCAL = (sys.executable, str(PLUGIN))
SAMPLES = ROOT / "tests"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
START_SECONDS = 30
STEP_SECONDS = 300

# Their messages name a second issue. It remains after the merge, so that it can be deleted.
SECOND_ISSUE_ACTIONS = ("merge_issues", "delete_issues")
SAMPLE_ORDER = (
    "connection_test",
    "submit_event",
    "list_project_issues",
    "list_issue_events",
    "search_issues",
    "get_issue",
    "get_event",
    "list_tag_values",
    "list_projects",
    "list_members",
    "list_teams",
    "add_comment",
    "list_comments",
    "update_issues",
    "update_issue",
    *SECOND_ISSUE_ACTIONS,
)

TRIGGERS = ("new_issue", "new_event")

Json = dict[str, Any]


def action_message(name: str, params: Json, connection: Json) -> Json:
    """The message that starts a step."""
    body = {"action": name, "meta": {}, "connection": connection, "input": params}
    return {"version": "v1", "type": "action_start", "body": body}


def trigger_message(name: str, params: Json, connection: Json, dispatcher_url: str, trigger_id: str) -> Json:
    """The message that starts a trigger.

    :param dispatcher_url: where the trigger sends its records
    :param trigger_id: names the file with the state of the trigger
    """
    dispatcher = {"url": dispatcher_url, "webhook_url": ""}
    body = {"trigger": name, "meta": {"triggerId": trigger_id}, "connection": connection, "input": params}
    return {"version": "v1", "type": "trigger_start", "body": {**body, "dispatcher": dispatcher}}


def connection_test_message(connection: Json) -> Json:
    return {"version": "v1", "type": "connection_test", "body": {"connection": connection}}


def sample_messages(env: Mapping[str, str]) -> dict[str, Json]:
    """The messages of tests/, in an order in which they can run, for a server.

    Those of SECOND_ISSUE_ACTIONS need a second issue, which the message of `another_event` creates.

    :param env: URL, tokens and DSNs, like `Sandbox.env`
    """
    found = {}
    for name in SAMPLE_ORDER:
        message: Json = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
        message["body"]["connection"] |= {"token": {"token": env["TOKEN"]}, "url": env["BASE"]}
        if name == "submit_event":
            message["body"]["input"]["dsn"] = env["DSN_PUBLIC"]
        found[name] = message
    return found


def trigger_sample(name: str, env: Mapping[str, str], dispatcher_url: str) -> Json:
    """The message of tests/ that starts a trigger, for a server. It cannot run in HTTP mode.

    :param env: URL, tokens and DSNs, like `Sandbox.env`
    """
    message: Json = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    message["body"]["connection"] |= {"token": {"token": env["TOKEN"]}, "url": env["BASE"]}
    message["body"]["dispatcher"]["url"] = dispatcher_url
    return message


def another_event(messages: Mapping[str, Json]) -> Json:
    """The message that submits an event of another issue than the message of tests/ does."""
    message = copy.deepcopy(messages["submit_event"])
    message["body"]["input"]["event_json"]["message"] = "Pump P-3 is silent"
    return message


def sample_steps(env: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """The names and messages of all steps that run the messages of tests/ on a new server."""
    messages = sample_messages(env)
    for name, message in messages.items():
        if name == SECOND_ISSUE_ACTIONS[0]:
            yield "submit_event", another_event(messages)
        yield name, message


def run_plugin(command: str, message: Json, argv: Sequence[str] = LOCAL) -> Json:
    """Run the plugin's command `run` or `test` with a message; return the body of the result.

    :param argv: the command line that starts the plugin, such as in a container
    :raises AssertionError: the plugin prints no result
    """
    process = subprocess.run(
        [*argv, command],
        input=json.dumps(message),
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=STEP_SECONDS,
        check=False,
    )
    # The runtime prints its log first. The result is the last line.
    lines = process.stdout.strip().splitlines()
    try:
        body: Json = json.loads(lines[-1])["body"]
    except (IndexError, ValueError, KeyError):
        raise AssertionError(f"the plugin printed no result:\n{process.stdout}{process.stderr}") from None
    return body


class PluginServer:
    """The plugin in HTTP mode, as a process on a free port, for the time of a `with` block.

    `pid` is the ID of the process that opens the port. Its child process runs the steps.

    :param options: more options of the runtime's command `http`
    """

    def __init__(
        self, argv: Sequence[str] = LOCAL, options: Sequence[str] = (), environment: Mapping[str, str] = ENVIRONMENT
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [*argv, "http", "--port", str(port), *options],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_SECONDS
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
        self._process.wait(timeout=START_SECONDS)

    def run(self, name: str, message: Json) -> Json:
        """Send `POST /actions/<name>`; return the body of the result."""
        return self._post(f"/actions/{name}", message)

    def test_connection(self, message: Json) -> Json:
        return self._post("/api/v1/connection/test", message)

    def _post(self, path: str, message: Json) -> Json:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.base}{path}", json.dumps(message).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=STEP_SECONDS) as response:
                result = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                result = json.load(error)
        body: Json = result["body"]
        return body
