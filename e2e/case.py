"""The base class of the end-to-end tests: run steps, create test data, and wait until the server shows it."""

import time
import unittest
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

from testing.plugin import Json, PluginServer, action_message, run_plugin

from .exceptions import EXCEPTIONS
from .target import Target

# Marks all data of this run, so that the tests ignore all other data.
RUN = uuid.uuid4().hex[:12]
POLL_SECONDS = 0.2
CALLERS = 4

T = TypeVar("T")


class E2ECase(unittest.TestCase):
    target: ClassVar[Target]
    server: ClassVar[PluginServer]

    def __init__(self, methodName: str = "runTest") -> None:  # noqa: N803 - unittest's name
        super().__init__(methodName)
        # unittest then treats a failure as expected and a success as unexpected.
        self.__unittest_expecting_failure__ = self.reason is not None

    @property
    def name(self) -> str:
        return f"{type(self).__name__}.{self._testMethodName}"

    @property
    def reason(self) -> str | None:
        """Why the server under test cannot serve this test, None if it can."""
        names = (self.name, type(self).__name__)
        return next((reason for name in names if (reason := EXCEPTIONS.get((self.target.server, name)))), None)

    def need(self, *names: str) -> None:
        """Skip the test unless the target has these values."""
        if missing := [f"SENTRY_E2E_{name}" for name in names if name not in self.target]:
            self.skipTest(f"needs {', '.join(missing)}")

    def start(self, name: str, params: Json, token: str = "TOKEN") -> Json:  # noqa: S107 - the name of a variable
        """Run a step in HTTP mode; return the body of its result."""
        return self.server.run(name, action_message(name, params, self.target.connection(token)))

    def step(self, name: str, params: Json, token: str = "TOKEN") -> Json:  # noqa: S107 - the name of a variable
        """Run a step that must succeed; return its output."""
        return self.output_of(self.start(name, params, token))

    def step_by_stdin(self, name: str, params: Json) -> Json:
        """Run a step with the command `run`; return its output."""
        return self.output_of(run_plugin("run", action_message(name, params, self.target.connection())))

    def output_of(self, body: Json) -> Json:
        self.assertEqual(body["status"], "ok", body.get("error"))
        output: Json = body["output"]
        return output

    def failure(self, name: str, params: Json, token: str = "TOKEN") -> Json:  # noqa: S107 - the name of a variable
        """Run a step that must fail; return cause, assistance and data."""
        body = self.start(name, params, token)
        self.assertEqual(body["status"], "error", body.get("output"))
        exception: Json = body["exception"]
        self.assertTrue(exception["cause"] and exception["assistance"], exception)
        self.assertNotIn(self.target.values.get(token, token), str(body), "the result contains the token")
        return exception

    def submit(self, case: str, event: Json, **inputs: Any) -> str:
        """Submit an event with the tags `e2e_run` and `e2e_case`; return its ID."""
        event = {"fingerprint": [RUN, case], **event}
        event = {**event, "tags": {**event.get("tags", {}), "e2e_run": RUN, "e2e_case": f"{case}-{RUN}"}}
        params = {"dsn": self.target["DSN"], "event_json": event, **inputs}
        event_id: str = self.step("submit_event", params)["id"]
        return event_id

    def submit_many(self, count: int, event: Callable[[int], tuple[str, Json]]) -> list[str]:
        """Submit events in parallel; return their IDs.

        :param event: case and event for each number below `count`
        """
        with ThreadPoolExecutor(CALLERS) as pool:
            return list(pool.map(lambda number: self.submit(*event(number)), range(count)))

    @staticmethod
    def seconds_ago(seconds: float) -> float:
        """The timestamp for an event of the past."""
        return time.time() - seconds

    def list_issues(self, **more: Any) -> Json:
        slugs = {"organization_slug": self.target["ORG"], "project_slug": self.target["PROJECT"]}
        return self.step("list_project_issues", {**slugs, **more})

    def issues(self, **more: Any) -> list[Json]:
        issues: list[Json] = self.list_issues(**more)["issues"]
        return issues

    def events(self, issue_id: str, **more: Any) -> list[Json]:
        events: list[Json] = self.step("list_issue_events", {"issue_id": issue_id, **more})["events"]
        return events

    def issue_of(self, case: str, **more: Any) -> Json:
        """Wait for the issue of a case."""
        found = self.eventually(lambda: self.issues(query=f"e2e_case:{case}-{RUN}", **more), f"the issue of {case}")
        self.assertEqual(len(found), 1)
        return found[0]

    def new_issue(self, case: str, **event: Any) -> Json:
        """Submit an event with these attributes; return its new issue."""
        self.submit(case, {"message": f"{case} of run {RUN}", **event})
        return self.issue_of(case)

    def event_of(self, issue: Json, event_id: str) -> Json:
        """Wait for an event of an issue."""
        return self.eventually(
            lambda: next((event for event in self.events(issue["id"]) if event["eventID"] == event_id), None),
            f"event {event_id}",
        )

    def eventually(self, probe: Callable[[], T | None], description: str) -> T:
        """Call `probe` until it returns a true value; fail after the target's number of seconds."""
        deadline = time.monotonic() + self.target.seconds
        while not (found := probe()):
            if time.monotonic() > deadline:
                self.fail(f"{description} did not appear within {self.target.seconds:g} s")
            time.sleep(POLL_SECONDS)
        return found
