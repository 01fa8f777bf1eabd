"""The plugin at work: `python -m tools.demo` runs each step as InsightConnect does, against a sandbox of its own.

Every step is a process of the real `bin/komand_sentry run` with a JSON message on stdin. Exits with 1 where a step
does not do what it should.
"""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox import Sandbox
from testing.plugin import Json, action_message, connection_test_message, run_plugin

WIDTH = 100

LEAK: Json = {
    "exception": {"type": "PressureLoss", "value": "Pipe 7 lost 2.1 bar"},
    "level": "fatal",
    "environment": "production",
    "tags": {"site": "north"},
}
STOP: Json = {"message": "Pump P-2 stopped", "level": "warning", "timestamp": "2018-07-16T00:00:00+02:00"}


class StepWentWrong(Exception):
    """A step of the demo did not do what it should."""


@dataclass
class Demo:
    """The steps of one run, each printed as what went in and what came out."""

    sandbox: Sandbox
    steps: int = 0

    def run(self) -> None:
        env = self.sandbox.env
        slugs = {"organization_slug": env["ORG"], "project_slug": env["PROJECT"]}
        expect(self.step("connection test", None).get("success") is True, "the connection test passes")

        for title, event in (("an exception", LEAK), ("the same again", LEAK), ("a message, its time too old", STOP)):
            output = self.step("submit_event", {"dsn": env["DSN_PUBLIC"], "event_json": event}, title)
            expect(len(output["id"]) == 32, "the event has an ID")

        issues = self.step("list_project_issues", {**slugs, "statsPeriod": "24h"})["issues"]
        expect([issue["count"] for issue in issues] == ["1", "2"], "three events of two kinds are two issues")

        stopped, leak = issues
        events = self.step("list_issue_events", {"issue_id": stopped["id"]}, "what Sentry made of the bad time")[
            "events"
        ]
        expect(
            [error["data"]["name"] for error in events[0]["errors"]] == ["timestamp"], "the event says what was wrong"
        )

        changes = {"issue_id": leak["permalink"], "status": "resolved", "assignedTo": env["USER_EMAIL"]}
        issue = self.step("update_issue", changes)["issue"]
        expect((issue["status"], issue["assignedTo"]["email"]) == ("resolved", env["USER_EMAIL"]), "both changes hold")

        left = self.step("list_project_issues", slugs, "what is left unresolved")["issues"]
        expect([issue["id"] for issue in left] == [stopped["id"]], "the resolved issue is gone from the list")

    def step(self, name: str, params: Json | None, title: str = "") -> Json:
        """Runs one step and prints it; `params` None is the connection test."""
        self.steps += 1
        connection = {"token": {"token": self.sandbox.env["TOKEN"]}, "url": self.sandbox.base}
        print(f"\n{bold(f'{self.steps}. {name}')}{f'  ({title})' if title else ''}")
        for key, value in (params or {"url": self.sandbox.base}).items():
            print(f"   in   {key}: {brief(value)}")
        started = time.monotonic()
        if params is None:
            output = output_of(run_plugin("test", connection_test_message(connection)))
        else:
            output = output_of(run_plugin("run", action_message(name, params, connection)))
        for line in summary(output):
            print(f"   out  {line}")
        print(f"        {time.monotonic() - started:.1f} s")
        return output


def output_of(body: Json) -> Json:
    if body["status"] != "ok":
        raise StepWentWrong(str(body.get("error")))
    output: Json = body["output"]
    return output


def summary(output: Json) -> Iterable[str]:
    """The telling attributes of each record, one line a record."""
    for key, value in output.items():
        if key == "issues":
            yield from (f"issue {issue_line(issue)}" for issue in value)
        elif key == "issue":
            yield f"issue {issue_line(value)}"
        elif key == "events":
            yield from (f"event {event['eventID']}  {event['title']}" for event in value)
            for error in (error for event in value for error in event["errors"]):
                yield f"      error: {error['message']}: {brief(error['data'])}"
        else:
            yield f"{key}: {brief(value)}"


def issue_line(issue: Json) -> str:
    assignee = issue.get("assignedTo", {}).get("name", "nobody")
    events = f"{issue['count']} event{'' if issue['count'] == '1' else 's'}"
    return f"{issue['shortId']}  {issue['level']:8}{issue['status']:11}{events:9} {issue['title']}  ({assignee})"


def brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}..."


def bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def expect(holds: bool, claim: str) -> None:
    if not holds:
        raise StepWentWrong(f"it does not hold that {claim}")


def main() -> int:
    with Sandbox() as sandbox:
        print(f"A sandbox serves Sentry at {sandbox.base}. Each step below is a process of bin/komand_sentry.")
        demo = Demo(sandbox)
        try:
            demo.run()
        except (StepWentWrong, AssertionError) as error:
            print(f"\nStep {demo.steps} went wrong: {error}", file=sys.stderr)
            return 1
    print(f"\n{bold(f'All {demo.steps} steps did what they should.')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
