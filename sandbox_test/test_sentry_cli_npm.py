"""Sentry's new command line, the npm package `sentry`, with the sandbox.

It runs in Node.js with a guard that refuses and logs every connection to another address than 127.0.0.1.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest
import uuid
from pathlib import Path
from typing import Any, ClassVar

import requests

from sandbox import Sandbox

CLIENT = Path(__file__).parents[1] / ".venv-npm" / "node_modules" / ".bin" / "sentry"
VERSION = json.loads(Path(__file__).with_name("package.json").read_text(encoding="utf-8"))["dependencies"]["sentry"]
GUARD = """
const fs = require("node:fs"), dns = require("node:dns"), dgram = require("node:dgram"), net = require("node:net");
function refuse(address) {
    fs.appendFileSync(process.env.REFUSED, address + "\\n");
    throw new Error("refused by the test: " + address);
}
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
    const target = Array.isArray(args[0]) ? args[0][0] : args[0];
    const options = typeof target === "object" ? target : { port: target, host: args[1] };
    if (!options.path && options.host !== "127.0.0.1") refuse(`${options.host}:${options.port}`);
    return connect.apply(this, args);
};
for (const look of [dns, dns.promises])
    for (const name of ["lookup", "resolve", "resolve4", "resolve6"])
        look[name] = (host) => refuse(host);
dgram.Socket.prototype.send = () => refuse("a datagram");
"""

Json = dict[str, Any]


def require_node(node: str | None) -> str:
    """The path of node. Without node or the client, skip the tests, or fail in CI."""
    if node and CLIENT.exists():
        return node
    reason = "node is not installed" if not node else "the npm package `sentry` is not in .venv-npm/"
    if os.environ.get("CI"):
        raise AssertionError(reason)
    raise unittest.SkipTest(reason)


class TestSentryFromNpm(unittest.TestCase):
    node: ClassVar[str]
    sandbox: ClassVar[Sandbox]
    home: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        cls.node = require_node(shutil.which("node"))
        cls.sandbox = cls.enterClassContext(Sandbox())
        cls.home = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        (cls.home / "guard.cjs").write_text(GUARD, encoding="utf-8")

    def setUp(self) -> None:
        self.refused = self.home / "refused"
        self.refused.write_text("", encoding="utf-8")
        self.sandbox.requests.clear()

    def run_node(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.pathsep.join((str(Path(self.node).parent), os.defpath)),
            "HOME": str(self.home),
            "NODE_OPTIONS": f"--require {self.home / 'guard.cjs'}",
            "REFUSED": str(self.refused),
            "SENTRY_URL": self.sandbox.base,
            "SENTRY_HOST": self.sandbox.base,
            "SENTRY_AUTH_TOKEN": self.sandbox.env["TOKEN"],
            "SENTRY_CLI_NO_TELEMETRY": "1",
            "SENTRY_CLI_NO_UPDATE_CHECK": "1",
            "SENTRY_NO_CACHE": "1",
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
        }
        command = (self.node, *arguments)
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=self.home, timeout=60, check=False
        )

    def sentry(self, *arguments: str) -> str:
        process = self.run_node(CLIENT, *arguments)
        self.assertEqual(process.returncode, 0, process.stdout + process.stderr)
        self.assertEqual(self.refused.read_text(encoding="utf-8"), "")
        return process.stdout

    def sentry_json(self, *arguments: str) -> Any:
        return json.loads(self.sentry(*arguments, "--json"))

    def api(self, path: str, **query: str) -> Any:
        headers = {"Authorization": f"Bearer {self.sandbox.env['TOKEN']}"}
        url = f"{self.sandbox.base}/api/0/organizations/acme/{path}"
        response = requests.get(url, query, headers=headers, timeout=10)
        response.raise_for_status()
        return response.json()

    def new_issue(self, message: str, **more: Any) -> Json:
        env = self.sandbox.env
        store = f"{self.sandbox.base}/api/{env['PROJECT_ID']}/store/?sentry_key={env['PUBLIC_KEY']}"
        event_id = requests.post(store, json={"message": message, **more}, timeout=10).json()["id"]
        issue: Json = self.api(f"issues/{self.api(f'eventids/{event_id}/')['groupId']}/")
        self.sandbox.requests.clear()
        return issue

    def received(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.sandbox.requests]

    def test_the_guard_refuses_other_addresses(self) -> None:
        for url in ("http://192.0.2.1/", "https://sentry.invalid/"):
            self.assertNotEqual(self.run_node("--eval", f"await fetch('{url}')").returncode, 0)
        self.assertEqual(self.refused.read_text(encoding="utf-8").split(), ["192.0.2.1:80", "sentry.invalid:443"])
        process = self.run_node(
            "--eval", f"fetch('{self.sandbox.base}/_health/').then((r) => r.text()).then(console.log)"
        )
        self.assertEqual(process.stdout, "ok\n", process.stderr)

    def test_the_version_is_the_pinned_one(self) -> None:
        self.assertIn(VERSION, self.sentry("--version"))

    def test_an_event_sent_to_a_dsn(self) -> None:
        said = ("--message", "Sent to a DSN", "--level", "warning", "--tag", "site:north", "--user", "id:7")
        more = ("--env", "production", "--release", "pumps@1.4.2", "--extra", "bar:2.1", "--no-environ")
        event_id = self.sentry_json("event", "send", self.sandbox.env["DSN_PUBLIC"], *said, *more)["eventId"]
        self.assertEqual(self.received(), [f"POST /api/{self.sandbox.env['PROJECT_ID']}/envelope/"])
        event = self.api(f"eventids/{event_id}/")["event"]
        self.assertEqual((event["title"], event["user"]["id"], event["errors"]), ("Sent to a DSN", "7", []))
        tags = {tag["key"]: tag["value"] for tag in event["tags"]}
        expected = {"level": "warning", "site": "north", "environment": "production", "release": "pumps@1.4.2"}
        self.assertEqual(tags, {**expected, "user": "id:7"})
        self.assertEqual(event["context"], {"bar": "2.1"})

    def test_an_event_sent_to_a_project_whose_dsn_it_looks_up(self) -> None:
        event_id = self.sentry_json("event", "send", "acme/gate", "--message", "Sent to a project")["eventId"]
        self.assertIn("GET /api/0/projects/acme/gate/keys/", self.received())
        self.assertEqual(self.api(f"eventids/{event_id}/")["projectSlug"], "gate")

    def test_an_event_file(self) -> None:
        file = self.home / "event.json"
        exception = {"type": "PressureLoss", "value": "Pipe 7", "stacktrace": {"frames": [{"function": "measure"}]}}
        event = {"event_id": uuid.uuid4().hex, "exception": {"values": [exception]}, "timestamp": time.time()}
        file.write_text(json.dumps(event), encoding="utf-8")
        event_id = self.sentry_json("event", "send", self.sandbox.env["DSN_PUBLIC"], str(file))["eventId"]
        self.assertEqual(event_id, event["event_id"])
        self.assertEqual(self.api(f"eventids/{event_id}/")["event"]["title"], "PressureLoss: Pipe 7")

    def test_issue_list(self) -> None:
        issue = self.new_issue("To be listed", level="fatal", tags={"list": "yes"})
        self.new_issue("Not to be listed")
        listed = self.sentry_json("issue", "list", "acme/pump-station", "--query", "list:yes")["data"]
        self.assertEqual(
            [(row["id"], row["shortId"], row["count"]) for row in listed], [(issue["id"], issue["shortId"], "1")]
        )
        shown = self.sentry("issue", "list", "acme/pump-station", "--query", "list:yes")
        self.assertIn(issue["shortId"], shown)
        self.assertNotIn("Not to be listed", shown)

    def test_issue_list_of_two_pages(self) -> None:
        made = {self.new_issue(f"One of several {letter}", tags={"page": "yes"})["id"] for letter in "abc"}
        arguments = ("issue", "list", "acme/pump-station", "--query", "page:yes", "--limit", "2")
        first = self.sentry_json(*arguments)
        self.assertEqual((len(first["data"]), first["hasMore"]), (2, True))
        second = self.sentry_json(*arguments, "--cursor", "next")
        self.assertEqual((len(second["data"]), second["hasMore"]), (1, False))
        self.assertEqual({row["id"] for row in first["data"] + second["data"]}, made)

    def test_issue_events(self) -> None:
        issue = self.new_issue("Twice", user={"id": "7"})
        self.assertEqual(self.new_issue("Twice", user={"id": "8"})["id"], issue["id"])
        # A set, since Sentry does not order events of the same second.
        expected = {event["eventID"] for event in self.api(f"issues/{issue['id']}/events/")}
        self.assertEqual(len(expected), 2)
        for name in (issue["id"], f"acme/{issue['shortId']}"):
            with self.subTest(name):
                events = self.sentry_json("issue", "events", name)["data"]
                self.assertEqual({event["eventID"] for event in events}, expected)
                self.assertEqual({event["user"]["id"] for event in events}, {"7", "8"})
        full = self.sentry_json("issue", "events", issue["id"], "--full")["data"]
        self.assertEqual([entry["type"] for entry in full[0]["entries"]], ["message"])
        self.assertIn(events[0]["eventID"], self.sentry("issue", "events", issue["id"]))

    def test_issue_view(self) -> None:
        issue = self.new_issue("To be viewed", tags={"site": "north"})
        shown = self.sentry("issue", "view", f"acme/{issue['shortId']}")
        for text in (issue["shortId"], "To be viewed", "north"):
            self.assertIn(text, shown)

    def test_issue_resolve(self) -> None:
        issue = self.new_issue("To be resolved")
        answer = self.sentry_json("issue", "resolve", f"acme/{issue['shortId']}")
        self.assertEqual((answer["id"], answer["status"]), (issue["id"], "resolved"))
        self.assertIn(f"PUT /api/0/organizations/acme/issues/{issue['id']}/", self.received())
        found = self.api(f"issues/{issue['id']}/")
        self.assertEqual((found["status"], found["statusDetails"]), ("resolved", {}))
        self.assertEqual(found["activity"][0]["type"], "set_resolved")
        listed = self.sentry_json("issue", "list", "acme/pump-station", "--query", "is:resolved")["data"]
        self.assertIn(issue["id"], [row["id"] for row in listed])

    def test_issue_resolve_in_a_release(self) -> None:
        issue = self.new_issue("To be resolved in a release", release="pumps@2.0.0")
        self.sentry("issue", "resolve", issue["id"], "--in", "pumps@2.0.0")
        details = self.api(f"issues/{issue['id']}/")["statusDetails"]
        self.assertEqual((details["inRelease"], details["actor"]["id"]), ("pumps@2.0.0", self.sandbox.env["USER_ID"]))

    def test_issue_resolve_in_an_unknown_release(self) -> None:
        issue = self.new_issue("To be resolved in vain")
        process = self.run_node(CLIENT, "issue", "resolve", issue["id"], "--in", "pumps@9")
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("Unable to find a release with the given version.", process.stdout + process.stderr)
        self.assertEqual(self.api(f"issues/{issue['id']}/")["status"], "unresolved")

    def test_issue_archive_and_unresolve(self) -> None:
        issue = self.new_issue("To be archived")
        self.sentry("issue", "archive", issue["id"])
        found = self.api(f"issues/{issue['id']}/")
        self.assertEqual((found["status"], found["substatus"]), ("ignored", "archived_forever"))
        self.sentry("issue", "unresolve", issue["id"])
        self.assertEqual(self.api(f"issues/{issue['id']}/")["status"], "unresolved")
