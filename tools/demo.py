"""Demonstrates the plugin: `python -m tools.demo` runs every action against a sandbox and prints inputs and outputs.

Each step is a process of `bin/komand_sentry run` with a JSON message on stdin, as InsightConnect starts it. Exits with
status 1 if a step does not return what the demo expects.
"""

import json
import sys
import textwrap
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox import Sandbox
from testing.plugin import Json, action_message, connection_test_message, run_plugin

WIDTH = 88

LEAK: Json = {
    "exception": {"type": "PressureLoss", "value": "Pipe 7 lost 2.1 bar"},
    "level": "fatal",
    "environment": "production",
    "tags": {"site": "north"},
}
STOP: Json = {"message": "Pump P-2 stopped", "level": "warning", "timestamp": "2018-07-16T00:00:00+02:00"}


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
        expect(self.step("connection test", None).get("success") is True, "the connection test passes")

        for title, event in (("an exception", LEAK), ("the same again", LEAK), ("a message with an old time", STOP)):
            output = self.step("submit_event", {"dsn": env["DSN_PUBLIC"], "event_json": event}, title)
            expect(len(output["id"]) == 32, "the event has an ID")

        issues = self.step("list_project_issues", {**slugs, "statsPeriod": "24h"})["issues"]
        expect([issue["count"] for issue in issues] == ["1", "2"], "three events form two issues")

        stopped, leak = issues
        title = "Sentry reports the discarded time"
        events = self.step("list_issue_events", {"issue_id": stopped["id"]}, title)["events"]
        expect([error["data"]["name"] for error in events[0]["errors"]] == ["timestamp"], "the event has an error")

        changes = {"issue_id": leak["permalink"], "status": "resolved", "assignedTo": env["USER_EMAIL"]}
        issue = self.step("update_issue", changes)["issue"]
        expect(issue["status"] == "resolved", "the issue is resolved")
        expect(issue["assignedTo"]["email"] == env["USER_EMAIL"], "the issue is assigned")

        unresolved = self.step("list_project_issues", slugs, "the unresolved issues")["issues"]
        expect([issue["id"] for issue in unresolved] == [stopped["id"]], "the resolved issue is not listed")

    def step(self, name: str, params: Json | None, title: str = "") -> Json:
        """Run one step and print its inputs, its outputs and its duration.

        :param params: the inputs of the action, None for the connection test
        """
        self.steps += 1
        connection = {"token": {"token": self.sandbox.env["TOKEN"]}, "url": self.sandbox.base}
        print(f"\n{bold(f'{self.steps}. {name}')}{f'  ({title})' if title else ''}")
        for key, value in (params or {"url": self.sandbox.base}).items():
            print(wrapped("in", f"{key}: {as_text(value)}"))
        started = time.monotonic()
        if params is None:
            output = output_of(run_plugin("test", connection_test_message(connection)))
        else:
            output = output_of(run_plugin("run", action_message(name, params, connection)))
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
        elif key == "events":
            yield from (f"event {event['eventID']}  {event['title']}" for event in value)
            for error in (error for event in value for error in event["errors"]):
                yield f"error {error['message']}: {error['data']['name']}"
        else:
            yield f"{key}: {as_text(value)}"


def issue_line(issue: Json) -> str:
    assignee = f" ({issue['assignedTo']['name']})" if "assignedTo" in issue else ""
    events = f"{issue['count']} event{'' if issue['count'] == '1' else 's'}"
    return f"{issue['shortId']} {issue['status']:10} {events:8} {issue['title']}{assignee}"


def as_text(value: Any) -> str:
    """A string as it is, a list as its items, anything else as JSON."""
    if isinstance(value, list):
        return ", ".join(map(as_text, value))
    return value if isinstance(value, str) else json.dumps(value)


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
