"""Sentry's official SDK and command line with the sandbox: the plugin reads what they send."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from testing.support import SandboxTestCase

SENTRY_CLI = Path(sysconfig.get_path("scripts"), "sentry-cli")
CAPTURE = """
import sys, sentry_sdk
sentry_sdk.init(dsn=sys.argv[1], environment="production", release="pumps@1.4.2")
try:
    raise ValueError("too much pressure")
except ValueError as error:
    print(sentry_sdk.capture_exception(error))
sentry_sdk.flush()
"""


class TestForeignClients(SandboxTestCase):
    def output_of(self, *command: str | Path) -> str:
        environment = {**os.environ, "SENTRY_URL": self.sandbox.base, "SENTRY_AUTH_TOKEN": self.sandbox.env["TOKEN"]}
        environment |= {"SENTRY_DSN": self.sandbox.env["DSN_PUBLIC"], "SENTRY_DISABLE_UPDATE_CHECK": "true"}
        process = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
        self.assertEqual(process.returncode, 0, process.stdout + process.stderr)
        return process.stdout

    def test_the_plugin_lists_an_exception_captured_by_the_official_sdk(self) -> None:
        event_id = self.output_of(sys.executable, "-c", CAPTURE, self.sandbox.env["DSN_PUBLIC"]).strip()
        issue = self.issues(query="too much pressure", environment="production")[0]
        self.assertEqual(issue["title"], "ValueError: too much pressure")
        event = self.run_action("list_issue_events", {"issue_id": issue["id"]})["events"][0]
        self.assertEqual((event["eventID"], event["errors"]), (event_id, []))
        frames = event["entries"][0]["data"]["values"][0]["stacktrace"]["frames"]
        self.assertEqual((frames[-1]["function"], frames[-1]["lineNo"]), ("<module>", 5))
        self.assertIn("sentry.python", event["sdk"]["name"])

    def test_the_official_command_line_sends_and_lists_events(self) -> None:
        self.output_of(SENTRY_CLI, "send-event", "--message", "Sent by sentry-cli", "--tag", "site:north")
        issue = self.issues(query="site:north")[0]
        self.assertEqual(issue["title"], "Sent by sentry-cli")
        listed = self.output_of(SENTRY_CLI, "issues", "list", "--org", "acme", "--project", "pump-station")
        self.assertIn(issue["shortId"], listed)

    def test_the_official_command_line_lists_an_issue_resolved_by_the_plugin(self) -> None:
        self.submit({"message": "To be resolved"})
        issue_id = self.issues(query="To be resolved")[0]["id"]
        self.run_action("update_issue", {"issue_id": issue_id, "status": "resolved"})
        listing = ("issues", "list", "--org", "acme", "--project", "pump-station", "--status", "resolved")
        self.assertIn("To be resolved", self.output_of(SENTRY_CLI, *listing))
