"""Helpers of the tests: run actions in process, and a test case with a sandbox."""

import json
import logging
import unittest
from collections.abc import Callable
from typing import Any

from jsonschema import Draft202012Validator

from komand_sentry.actions import (
    AddComment,
    DeleteIssues,
    GetEvent,
    GetIssue,
    ListComments,
    ListIssueEvents,
    ListMembers,
    ListProjectIssues,
    ListProjects,
    ListTagValues,
    ListTeams,
    MergeIssues,
    SearchIssues,
    SubmitEvent,
    UpdateIssue,
    UpdateIssues,
)
from komand_sentry.connection import Connection
from komand_sentry.util.http.time_budget import Clock
from komand_sentry.util.step import SentryAction
from sandbox import Sandbox
from testing.fake_clock import FakeClock
from testing.plugin import Json, action_message

ACTIONS: dict[str, Callable[[], SentryAction]] = {
    "submit_event": SubmitEvent,
    "list_project_issues": ListProjectIssues,
    "list_issue_events": ListIssueEvents,
    "update_issue": UpdateIssue,
    "add_comment": AddComment,
    "delete_issues": DeleteIssues,
    "get_event": GetEvent,
    "get_issue": GetIssue,
    "list_comments": ListComments,
    "list_members": ListMembers,
    "list_projects": ListProjects,
    "list_tag_values": ListTagValues,
    "list_teams": ListTeams,
    "merge_issues": MergeIssues,
    "search_issues": SearchIssues,
    "update_issues": UpdateIssues,
}


def validate(value: Any, schema: Json) -> None:
    """Validate a value like jsonschema.validate, without checking the schema itself."""
    Draft202012Validator(schema).validate(value)


def connection_to(url: str, token: str = "a-token", clock: Clock | None = None, **more: Any) -> Connection:
    """A connection with a fake clock, so that tests do not wait."""
    connection = Connection()
    connection.logger = logging.getLogger("plugin.test")
    parameters = {"token": {"token": token}, "url": url, **more}
    connection.set_(parameters)
    connection.connect(parameters)
    connection.client.clock = clock or FakeClock()
    connection.client.jitter = lambda: 0.0
    return connection


def run_action(name: str, connection: Connection, params: Any) -> Json:
    """Run an action in process; validate its output against the generated schema and return it."""
    action = ACTIONS[name]()
    action.connection = connection
    # As InsightConnect receives it: lists in an output are tuples, which JSON does not have.
    output: Json = json.loads(json.dumps(action.run(params)))
    validate(output, action.output.schema)
    return output


def message(name: str, params: Json, connection: Json) -> Json:
    """The message that starts a step; its input is validated against the generated schema."""
    validate(params, ACTIONS[name]().input.schema)
    return action_message(name, params, connection)


def connection_params(sandbox: Sandbox, token: str = "TOKEN") -> Json:
    return {"token": {"token": sandbox.env[token]}, "url": sandbox.base}


class SandboxTestCase(unittest.TestCase):
    """A test case with a separate sandbox for each class."""

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
