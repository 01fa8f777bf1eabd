"""Each action as InsightConnect runs it: a message on stdin of `bin/komand_sentry run`, or a POST in HTTP mode."""

import re
from pathlib import Path
from typing import Any

import yaml
from insightconnect_plugin_runtime import Plugin
from insightconnect_plugin_runtime.exceptions import LoggedException

from komand_sentry.util.sentry.api import USER_AGENT
from sandbox import Sandbox
from testing.plugin import (
    ROOT,
    Json,
    PluginServer,
    action_message,
    connection_test_message,
    run_plugin,
    sample_steps,
)
from testing.support import ACTIONS, SandboxTestCase, connection_params, message, validate


class EntryPointCases:
    """The tests of both entry points. `self.step` runs a step and returns the body of its response."""

    sandbox: Sandbox
    step: Any
    submit: Any
    issues: Any

    def succeed(self, name: str, params: Json) -> Json:
        body = self.step(name, params)
        assert body["status"] == "ok", body
        validate(body["output"], ACTIONS[name]().output.schema)
        output: Json = body["output"]
        return output

    def test_submit_event(self) -> None:
        event = {"message": f"From {type(self).__name__}", "level": "info"}
        output = self.succeed("submit_event", {"dsn": self.sandbox.env["DSN_SECRET"], "event_json": event})
        assert re.fullmatch("[0-9a-f]{32}", output["id"])
        assert self.sandbox.requests[-1].path == f"/api/{self.sandbox.env['PROJECT_ID']}/store/"

    def test_list_project_issues(self) -> None:
        self.submit({"message": "An issue to list"})
        params = {"organization_slug": "acme", "project_slug": "pump-station", "query": "", "statsPeriod": "24h"}
        output = self.succeed("list_project_issues", params)
        assert "An issue to list" in [issue["title"] for issue in output["issues"]]
        assert output["truncated"] is False

    def test_list_issue_events(self) -> None:
        event_id = self.submit({"message": "An event to list"})
        issue_id = self.issues(query="An event to list")[0]["id"]
        output = self.succeed("list_issue_events", {"issue_id": issue_id})
        assert event_id in [event["eventID"] for event in output["events"]]

    def test_update_issue(self) -> None:
        self.submit({"message": "An issue to update"})
        issue_id = self.issues(query="An issue to update", all_statuses=True)[0]["id"]
        output = self.succeed("update_issue", {"issue_id": issue_id, "status": "resolved", "assignedTo": ""})
        assert output["issue"]["status"] == "resolved"

    def test_a_failure_has_cause_assistance_and_data(self) -> None:
        body = self.step("update_issue", {"issue_id": "123456", "hasSeen": False})
        assert body["status"] == "error"
        assert "issue 123456 (404)" in body["exception"]["cause"]
        assert body["exception"]["assistance"]
        assert body["exception"]["data"] == "The requested resource does not exist"


class TestStdin(EntryPointCases, SandboxTestCase):
    def step(self, name: str, params: Json) -> Json:
        return run_plugin("run", message(name, params, connection_params(self.sandbox)))

    def test_connection_test(self) -> None:
        body = run_plugin("test", connection_test_message(connection_params(self.sandbox)))
        self.assertEqual(body["status"], "ok")
        self.assertEqual(body["output"]["server"], self.sandbox.base)


class TestHTTPMode(EntryPointCases, SandboxTestCase):
    server: PluginServer

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.server = cls.enterClassContext(PluginServer())

    def step(self, name: str, params: Json) -> Json:
        return self.server.run(name, message(name, params, connection_params(self.sandbox)))

    def test_connection_test(self) -> None:
        for token, status in (("TOKEN", "ok"), ("TOKEN_EXPIRED", "error")):
            body = self.server.test_connection(connection_test_message(connection_params(self.sandbox, token)))
            self.assertEqual(body["status"], status)

    def test_the_messages_of_tests_run_with_token_and_dsn_filled_in(self) -> None:
        sandbox = self.enterContext(Sandbox())
        for name, sample in sample_steps(sandbox.env):
            with self.subTest(name):
                is_test = name == "connection_test"
                body = self.server.test_connection(sample) if is_test else self.server.run(name, sample)
                self.assertEqual(body["status"], "ok", body)
                if not is_test:
                    validate(body["output"], ACTIONS[name]().output.schema)

    def test_the_response_contains_the_log_of_the_step(self) -> None:
        body = self.step("list_project_issues", {"organization_slug": "acme", "project_slug": "gate"})
        self.assertIn("Read 0 records of project gate of organization acme", body["log"])


class TestRuntime(SandboxTestCase):
    def test_requests_name_the_version_of_the_plugin(self) -> None:
        spec = yaml.safe_load(Path(ROOT, "plugin.spec.yaml").read_text(encoding="utf-8"))
        self.assertEqual(USER_AGENT, f"insightconnect-sentry/{spec['version']}")
        self.issues()
        self.assertEqual(self.sandbox.requests[-1].headers["User-Agent"], USER_AGENT)

    def test_the_runtime_leaves_the_validation_of_inputs_to_the_plugin(self) -> None:
        """An input that the runtime itself rejects would have an error without cause and assistance."""
        plugin = Plugin(name="sentry", vendor="rapid7", connection=self.connection)
        plugin.add_action(ACTIONS["list_issue_events"]())
        invalid = {"issue_id": {"not": "a text"}}
        with self.assertRaises(LoggedException) as caught:
            plugin.handle_step(action_message("list_issue_events", invalid, connection_params(self.sandbox)))
        body = caught.exception.output["body"]
        self.assertIn("'issue_id' is not a text", body["exception"]["cause"])
