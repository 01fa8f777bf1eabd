"""Demonstrates the plugin: `python -m tools.demo` runs it against a sandbox and prints inputs and outputs.

It starts a trigger, submits events until it fires, lists issues and events, and triages the newest issue.

Each step is a process of `bin/komand_sentry run` with a JSON message on stdin, as InsightConnect starts it. Exits with
status 1 if a step does not return what the demo expects.
"""

import json
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import Sandbox
from testing.plugin import Json, action_message, connection_test_message, run_plugin
from testing.sink import Sink
from testing.trigger_process import TriggerProcess

WIDTH = 100
MAX_INPUT = 160
TRIAGE = "triage: "
# Of the trigger, in seconds. InsightConnect users can set 10 or more.
POLL_INTERVAL = 1
MAX_TRIGGER_SECONDS = 30
MAX_SUMMARY_LINES = 4

STOP: Json = {
    "message": "Pump P-2 stopped",
    "level": "warning",
    "release": "pumps@1.4.1",
    "timestamp": "2018-07-16T00:00:00+02:00",
}
LEAK: Json = {
    "level": "fatal",
    "platform": "python",
    "release": "pumps@1.4.0",
    "environment": "production",
    "tags": {"site": "north"},
    "exception": {
        "type": "PressureLoss",
        "value": "Pipe 7 lost 2.1 bar",
        "stacktrace": {
            "frames": [
                {
                    "filename": "pumps/control.py",
                    "function": "step",
                    "lineno": 88,
                    "context_line": "    self.regulate(pipe)",
                    "in_app": True,
                },
                {
                    "filename": "pumps/pipe.py",
                    "function": "regulate",
                    "lineno": 31,
                    "context_line": "    raise PressureLoss(self, lost)",
                    "in_app": True,
                },
            ]
        },
    },
}


class DemoFailure(Exception):
    """A step failed or returned something unexpected."""


@dataclass
class Demo:
    """The steps of the demo, run against a sandbox."""

    sandbox: Sandbox
    steps: int = 0

    def run(self) -> None:
        """Run all steps.

        :raises DemoFailure: a step failed or returned something unexpected
        """
        env = self.sandbox.env
        slugs = {"organization_slug": env["ORG"], "project_slug": env["PROJECT"]}
        with Sink() as sink, tempfile.TemporaryDirectory() as folder, self.start_trigger(sink, Path(folder)) as trigger:
            expect(self.step("connection test", None).get("success") is True, "the connection test passes")
            stopped = self.submit_message(slugs)
            self.wait_for_trigger(sink, stopped)
            expect(trigger.terminate() == 0, "the trigger ends after SIGTERM")
        self.submit_exceptions()

        issues = self.step("list_project_issues", {**slugs, "statsPeriod": "24h"})["issues"]
        expect([issue["count"] for issue in issues] == ["2", "1"], "three events form two issues")

        title = "Sentry reports the discarded time"
        events = self.step("list_issue_events", {"issue_id": stopped}, title)["events"]
        expect([error["data"]["name"] for error in events[0]["errors"]] == ["timestamp"], "the event has an error")

        self.triage()
        unresolved = self.step("list_project_issues", slugs, "the unresolved issues")["issues"]
        expect([issue["id"] for issue in unresolved] == [stopped], "the resolved issue is not listed")

    def start_trigger(self, sink: Sink, folder: Path) -> TriggerProcess:
        """Start the trigger New Issue, which polls the sandbox from now on.

        :param folder: for its state
        """
        params = {"organization_slug": self.sandbox.env["ORG"], "lookback": 60}
        shortened = f"polls every {POLL_INTERVAL} s for this demo, at least 10 s otherwise"
        self.print_inputs("new_issue", params, f"a trigger, which {shortened}")
        return TriggerProcess("new_issue", params, self.connection, sink.url, folder, interval=POLL_INTERVAL)

    def wait_for_trigger(self, sink: Sink, issue_id: str) -> None:
        """Wait until the trigger sends an issue, and print why and the start of its summary."""
        self.print_inputs("new_issue", {}, "the trigger fires")
        started = time.monotonic()
        expect(sink.wait_for(bool, MAX_TRIGGER_SECONDS), f"the trigger fires within {MAX_TRIGGER_SECONDS} s")
        output = sink.outputs[0]
        lines = [line for line in output["summary"].splitlines() if line]
        for line in (f"reason: {output['reason']}", *lines[:MAX_SUMMARY_LINES], "..."):
            print(wrapped("out", line))
        print(f"        {time.monotonic() - started:.1f} s", flush=True)
        expect(output["issue"]["id"] == issue_id, "the trigger sends the new issue")
        expect(output["reason"] == "new", "the issue is new")

    def submit_message(self, slugs: Json) -> str:
        """Submit an event and wait until it has an issue.

        :returns: the ID of the issue
        """
        inputs = {"dsn": self.sandbox.env["DSN_PUBLIC"], "event_json": STOP}
        waiting = {"wait_for_issue": True, "organization_slug": slugs["organization_slug"]}
        output = self.step("submit_event", inputs | waiting, "a message with an old time")
        expect(output["found"] is True, "the issue of the event is found")
        issue_id: str = output["issue_id"]
        return issue_id

    def submit_exceptions(self) -> None:
        """Submit two events of another issue."""
        for title in ("an exception", "the same again"):
            inputs = {"dsn": self.sandbox.env["DSN_PUBLIC"], "event_json": LEAK}
            expect(len(self.step("submit_event", inputs, title)["id"]) == 32, "the event has an ID")

    def triage(self) -> None:
        """Find the newest issue, read its latest event, and resolve it with an assignee and a comment."""
        env = self.sandbox.env
        search = {"organization_slug": env["ORG"], "period": "24h", "sort": "new", "limit": 1}
        found = self.step("search_issues", search, f"{TRIAGE}the newest issue")["issues"][0]
        expect(found["title"] == "PressureLoss: Pipe 7 lost 2.1 bar", "the newest issue is the exception")

        read = self.step("get_event", {"issue_id": found["permalink"]}, f"{TRIAGE}its latest event, ready for a ticket")
        expect("raise PressureLoss(self, lost)" in read["summary"], "the summary has the failing line")

        changes = {
            "issue_id": found["permalink"],
            "assignedTo": env["USER_EMAIL"],
            "status": "resolved",
            "inRelease": "pumps@1.4.1",
            "comment": "Ticket OPS-42: pipe 7 was replaced.",
        }
        updated = self.step("update_issue", changes, f"{TRIAGE}assign, comment and resolve in a release")
        issue = updated["issue"]
        expect(issue["assignedTo"]["email"] == env["USER_EMAIL"], "the issue is assigned")
        expect(issue["statusDetails"]["inRelease"] == "pumps@1.4.1", "the issue is resolved in the release")
        expect(updated["not_applied"] == [], "everything is applied, with the comment")

    @property
    def connection(self) -> Json:
        return {"token": {"token": self.sandbox.env["TOKEN"]}, "url": self.sandbox.base}

    def print_inputs(self, name: str, params: Json, title: str = "") -> None:
        """Print the heading of the next step, and its inputs."""
        self.steps += 1
        print(f"\n{bold(f'{self.steps}. {name}')}{f'  ({title})' if title else ''}")
        for key, value in params.items():
            print(wrapped("in", f"{key}: {as_text(value, MAX_INPUT)}"))

    def step(self, name: str, params: Json | None, title: str = "") -> Json:
        """Run one step and print its inputs, its outputs and its duration.

        :param params: the inputs of the action, None for the connection test
        """
        self.print_inputs(name, params or {"url": self.sandbox.base}, title)
        started = time.monotonic()
        if params is None:
            output = output_of(run_plugin("test", connection_test_message(self.connection)))
        else:
            output = output_of(run_plugin("run", action_message(name, params, self.connection)))
        for line in summary(output):
            print(wrapped("out", line))
        print(f"        {time.monotonic() - started:.1f} s", flush=True)
        return output


def output_of(body: Json) -> Json:
    if body["status"] != "ok":
        raise DemoFailure(str(body.get("error")))
    output: Json = body["output"]
    return output


def summary(output: Json) -> Iterable[str]:
    """The most important attributes of an output, one line per record."""
    for key, value in output.items():
        if key == "issues":
            yield from map(issue_line, value)
        elif key == "issue":
            yield issue_line(value)
            yield from (f"{name}: {detail}" for name, detail in value["statusDetails"].items() if name == "inRelease")
        elif key == "actions":
            yield f"actions: {', '.join(name for name, is_allowed in value.items() if is_allowed)}"
        elif key == "events":
            yield from (f"event {event['eventID']}  {event['title']}" for event in value)
            for error in (error for event in value for error in event["errors"]):
                yield f"error {error['message']}: {error['data']['name']}"
        elif key == "summary":
            yield from filter(None, value.splitlines())
        elif key == "details":
            yield f"location: {as_text(value['location'])}"
        elif key not in ("event", "truncated", "next_cursor", "not_applied"):
            yield f"{key}: {as_text(value)}"


def issue_line(issue: Json) -> str:
    assignee = f" ({issue['assignedTo']['name']})" if "assignedTo" in issue else ""
    events = f"{issue['count']} event{'' if issue['count'] == '1' else 's'}"
    return f"{issue['shortId']} {issue['status']:10} {events:8} {issue['title']}{assignee}"


def as_text(value: Any, max_length: int | None = None) -> str:
    """A string as it is, a list as its items, anything else as JSON.

    :param max_length: of the text
    """
    if isinstance(value, list):
        text = ", ".join(map(as_text, value))
    else:
        text = value if isinstance(value, str) else json.dumps(value)
    return text if max_length is None or len(text) <= max_length else f"{text[:max_length]} ..."


def wrapped(label: str, line: str) -> str:
    """The line after its label, continued below its start if it is longer than a line."""
    return textwrap.fill(
        line,
        WIDTH,
        initial_indent=f"   {label:4} ",
        subsequent_indent=" " * 10,
        break_long_words=False,
        break_on_hyphens=False,
    )


def bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def expect(condition: bool, expectation: str) -> None:
    if not condition:
        raise DemoFailure(f"expected that {expectation}")


def main() -> int:
    with Sandbox() as sandbox:
        print(f"The sandbox runs at {sandbox.base}. Each step is a process of bin/komand_sentry.")
        demo = Demo(sandbox)
        try:
            demo.run()
        except (DemoFailure, AssertionError) as error:
            print(f"\nStep {demo.steps} failed: {error}", file=sys.stderr)
            return 1
    print(f"\n{bold(f'All {demo.steps} steps passed.')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
