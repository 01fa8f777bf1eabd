"""The sandbox over HTTP on loopback: it responds like Sentry."""

import gzip
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Literal

import requests

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))

from sandbox import Sandbox
from sandbox.ingest import EVENTS_TO_ESCALATE, MAX_BODY

DENIED = {"detail": "You do not have permission to perform this action."}
MISSING = {"detail": "The requested resource does not exist"}


class SandboxTest(unittest.TestCase):
    """A sandbox for each class, and helpers that send requests to it."""

    ties: ClassVar[Literal["stable", "shuffled"]] = "stable"
    sandbox: ClassVar[Sandbox]
    env: ClassVar[dict[str, str]]
    http: ClassVar[requests.Session]

    @classmethod
    def setUpClass(cls) -> None:
        cls.sandbox = cls.enterClassContext(Sandbox(ties=cls.ties))
        cls.http = cls.enterClassContext(requests.Session())
        cls.env = cls.sandbox.env

    def api(self, method: str, path: str, token: str | None = "TOKEN", **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.env[token]}"} if token else {}
        headers |= options.pop("headers", {})
        url = f"{self.sandbox.base}/api/0{path}"
        return self.http.request(method, url, headers=headers, allow_redirects=False, **options)

    def store(self, data: Any, project: str = "PROJECT", auth: str | None = None, **headers: str) -> requests.Response:
        key = self.env["PUBLIC_KEY"] if project == "PROJECT" else self.env["DSN2_PUBLIC"][7:39]
        headers["X-Sentry-Auth"] = auth or f"Sentry sentry_version=7, sentry_key={key}, sentry_client=test/1"
        body = data if isinstance(data, bytes) else json.dumps(data)
        url = f"{self.sandbox.base}/api/{self.env[project + '_ID']}/store/"
        return self.http.post(url, data=body, headers={name.replace("_", "-"): text for name, text in headers.items()})

    def envelope(self, *lines: Any, query: str = "") -> requests.Response:
        body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        return self.http.post(f"{self.sandbox.base}/api/{self.env['PROJECT_ID']}/envelope/{query}", data=body)

    def submit(self, project: str = "PROJECT", **event: Any) -> str:
        response = self.store(event, project)
        self.assertEqual(response.status_code, 200, response.text)
        event_id: str = response.json()["id"]
        return event_id

    def issue_of(self, event_id: str) -> dict[str, Any]:
        found = self.api("GET", f"/organizations/acme/eventids/{event_id}/").json()
        issue: dict[str, Any] = self.api("GET", f"/issues/{found['groupId']}/").json()
        return issue

    def new_issue(self, **event: Any) -> dict[str, Any]:
        return self.issue_of(self.submit(**{"message": uuid.uuid4().hex} | event))


class TestAuthentication(SandboxTest):
    def test_refused_tokens(self) -> None:
        cases = {
            None: "Authentication credentials were not provided.",
            "Bearer": "Invalid token header. No credentials provided.",
            "Bearer a b": "Invalid token header. Token string should not contain spaces.",
            "Bearer nonsense": "Invalid token",
            f"Bearer {self.env['TOKEN_EXPIRED']}": "Token expired",
            f"Bearer {self.env['TOKEN_INACTIVE']}": "User inactive or deleted",
        }
        for header, detail in cases.items():
            with self.subTest(header):
                headers = {"Authorization": header} if header else {}
                response = self.api("GET", "/projects/acme/pump-station/issues/", token=None, headers=headers)
                self.assertEqual((response.status_code, response.json()), (401, {"detail": detail}))
                self.assertEqual(response.headers["WWW-Authenticate"], 'xBasic realm="api"')

    def test_scope_first_then_object(self) -> None:
        issue = self.new_issue()["id"]
        self.submit_to_bravo()
        bravo = int(issue) + 1
        cases = [
            ("GET", f"/issues/{issue}/", "TOKEN_TEAMREAD", 403, DENIED),
            ("GET", "/issues/999999/", "TOKEN_TEAMREAD", 403, DENIED),
            ("PUT", f"/issues/{issue}/", "TOKEN_READONLY", 403, DENIED),
            ("GET", "/issues/999999/", "TOKEN", 404, MISSING),
            ("GET", f"/issues/{'9' * 30}/", "TOKEN", 404, MISSING),
            ("GET", f"/issues/{bravo}/", "TOKEN", 403, DENIED),
            ("GET", f"/organizations/acme/issues/{bravo}/", "TOKEN", 404, MISSING),
            ("GET", f"/organizations/bravo/issues/{bravo}/", "TOKEN", 403, DENIED),
            ("GET", "/projects/bravo/secret-lab/issues/", "TOKEN", 403, DENIED),
            ("GET", "/projects/acme/nowhere/issues/", "TOKEN", 404, MISSING),
            ("GET", f"/organizations/acme/issues/?project={self.env['PROJECT_BRAVO_ID']}", "TOKEN", 403, DENIED),
        ]
        for method, path, token, status, body in cases:
            with self.subTest(path, token=token):
                response = self.api(method, path, token=token)
                self.assertEqual((response.status_code, response.json()), (status, body))

    def submit_to_bravo(self) -> None:
        key = self.env["DSN_BRAVO"][7:39]
        url = f"{self.sandbox.base}/api/{self.env['PROJECT_BRAVO_ID']}/store/?sentry_key={key}"
        self.assertEqual(self.http.post(url, json={"message": "secret"}).status_code, 200)

    def test_index_reports_the_scopes(self) -> None:
        self.assertIsNone(self.api("GET", "/", token=None).json()["auth"])
        self.assertEqual(self.api("GET", "/", token="TOKEN_TEAMREAD").json()["auth"], {"scopes": ["team:read"]})

    def test_paths(self) -> None:
        self.assertEqual(self.api("GET", "/nowhere/").text, "")
        self.assertEqual(self.api("GET", "/nowhere/").status_code, 404)
        hint = self.api("GET", "/issues/1", headers={"Content-Type": "application/json"})
        self.assertEqual(hint.status_code, 404)
        self.assertIn("/api/0/issues/1/", hint.json()["info"])
        page = self.http.get(self.sandbox.base + "/organizations/acme/", allow_redirects=False)
        self.assertEqual((page.status_code, page.headers["Location"]), (302, "/auth/login/"))
        self.assertEqual(self.api("POST", "/issues/1/").json(), {"detail": 'Method "POST" not allowed.'})
        self.assertEqual(self.http.get(self.sandbox.base + "/_health/").text, "ok")


class TestIngestion(SandboxTest):
    def test_refusals(self) -> None:
        key = self.env["PUBLIC_KEY"]
        good = f"Sentry sentry_key={key}"
        cases: list[tuple[int, str, bytes, str]] = [
            (401, "bad x-sentry-auth header", b"{}", "Bearer x"),
            (400, "bad sentry DSN public key", b"{}", "Sentry sentry_key=abc"),
            (400, "unsupported protocol version (8)", b"{}", f"{good}, sentry_version=8"),
            (403, "event submission rejected with_reason: ProjectId", b"{}", "Sentry sentry_key=" + "0" * 32),
            (400, "empty request body", b"", good),
            (400, "invalid JSON data", b"{", good),
            (400, "invalid JSON data", b'{"a":NaN}', good),
            (400, "invalid JSON data", b'{"event_id":"zz"}', good),
            (400, "invalid JSON data", b'{"a":' + b"[" * 50_000, good),
            (400, "invalid JSON data: invalid type", b"[]", good),
            (413, "failed to read request body", b'{"message":"' + b"x" * 1024 * 1024 + b'"}', good),
        ]
        for status, detail, body, auth in cases:
            with self.subTest(detail, body=body[:20]):
                response = self.store(body, auth=auth)
                self.assertEqual(response.status_code, status, response.text)
                self.assertIn(detail, response.json()["detail"])

    def test_credentials_none_two_and_of_another_project(self) -> None:
        url = f"{self.sandbox.base}/api/{self.env['PROJECT_ID']}/store/"
        nothing = self.http.post(url, data="{}")
        self.assertEqual((nothing.status_code, nothing.json()), (401, {"detail": "missing authorization information"}))
        header = {"X-Sentry-Auth": f"Sentry sentry_key={self.env['PUBLIC_KEY']}"}
        two = self.http.post(f"{url}?sentry_key={self.env['PUBLIC_KEY']}", data="{}", headers=header)
        self.assertEqual((two.status_code, two.json()["detail"]), (401, "multiple authorization payloads detected"))
        other = self.http.post(url.replace("/1/", "/2/"), data="{}", headers=header)
        self.assertEqual(other.status_code, 403)

    def test_encodings_are_the_same_event(self) -> None:
        event = json.dumps({"message": "encoded"}).encode()
        bodies: list[tuple[bytes, dict[str, str]]] = [
            (event, {}),
            (gzip.compress(event), {"Content_Encoding": "gzip"}),
        ]
        issues = {self.issue_of(self.store(body, **headers).json()["id"])["id"] for body, headers in bodies}
        self.assertEqual(len(issues), 1)

    def test_a_decompression_bomb_is_refused(self) -> None:
        bomb = gzip.compress(b'{"message":"' + b"x" * 50_000_000 + b'"}')
        self.assertEqual(self.store(bomb, Content_Encoding="gzip").status_code, 413)
        self.assertEqual(self.store(b"no gzip", Content_Encoding="gzip").status_code, 400)
        self.assertEqual(self.store(gzip.compress(b"{}")[:-3], Content_Encoding="gzip").status_code, 400)

    def test_a_repeated_event_id(self) -> None:
        event_id = str(uuid.uuid4()).upper()
        for _ in range(2):
            self.assertEqual(self.submit(event_id=event_id, message="again"), event_id.replace("-", "").lower())
        self.assertEqual(self.issue_of(event_id)["count"], "1")

    def test_envelope(self) -> None:
        event_id = uuid.uuid4().hex
        payload = json.dumps({"message": "two\nlines"}).encode()
        dsn = {"dsn": self.env["DSN_PUBLIC"], "event_id": event_id}
        session, item = [{"type": "session"}, {"sid": "1"}], {"type": "event", "length": len(payload)}
        answer = self.envelope(dsn, *session, item, payload, b"")
        self.assertEqual((answer.status_code, answer.json()), (200, {"id": event_id}))
        self.assertEqual(self.issue_of(event_id)["title"], "two")
        self.assertEqual(self.envelope({"dsn": dsn["dsn"]}, *session).json(), {})

    def test_bad_envelopes(self) -> None:
        dsn, event = {"dsn": self.env["DSN_PUBLIC"]}, {"type": "event"}
        cases: list[tuple[int, str, tuple[Any, ...]]] = [
            (401, "missing field `dsn` at line 1 column 2", ({},)),
            (400, "missing envelope header", ()),
            (400, "invalid envelope header", (b"x",)),
            (400, "invalid item header", (dsn, b"x")),
            (400, "unexpected end of file", (dsn, event | {"length": 9}, b"{}")),
            (400, "missing newline after header or payload", (dsn, event | {"length": 1}, b"{}")),
        ]
        for status, cause, lines in cases:
            with self.subTest(cause):
                response = self.envelope(*lines)
                self.assertEqual((response.status_code, response.json()["causes"]), (status, [cause]))

    def test_invalid_attributes_become_errors(self) -> None:
        event_id = self.submit(
            message="faulty", level="bogus", timestamp=time.time() + 9999, tags={"a": "x\ny"}, environment="a/b", nope=1
        )
        event = self.api("GET", f"/projects/acme/pump-station/events/{event_id}/").json()
        errors = {(error["type"], error["data"]["name"]): error for error in event["errors"]}
        wanted = [
            ("invalid_attribute", "nope"),
            ("invalid_data", "environment"),
            ("invalid_data", "level"),
            ("future_timestamp", "timestamp"),
        ]
        self.assertEqual(sorted(errors), sorted(wanted))
        self.assertEqual(errors["future_timestamp", "timestamp"]["message"], "Invalid timestamp (in future)")
        self.assertEqual(errors["invalid_data", "level"]["data"]["value"], "bogus")

    def test_requests_are_recorded_as_sent(self) -> None:
        self.sandbox.requests.clear()
        self.api("PUT", "/organizations/acme/issues/a%2Fb/?x=%20y", json={"status": "resolved"})
        (seen,) = self.sandbox.requests
        self.assertEqual((seen.method, seen.path), ("PUT", "/api/0/organizations/acme/issues/a%2Fb/"))
        self.assertEqual((seen.query_string, json.loads(seen.body)), ("x=%20y", {"status": "resolved"}))


class TestServer(SandboxTest):
    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", int(self.sandbox.base.rpartition(":")[2]), timeout=10)
        self.addCleanup(connection.close)
        return connection

    def test_a_connection_serves_many_requests(self) -> None:
        connection = self.connect()
        ports = set()
        for method, length in (("GET", 2), ("HEAD", 0), ("GET", 2)):
            connection.request(method, "/_health/")
            ports.add(connection.sock.getsockname()[1])
            response = connection.getresponse()
            self.assertEqual((response.status, len(response.read())), (200, length))
            self.assertEqual(response.headers["Content-Length"], "2")
            sent = parsedate_to_datetime(response.headers["Date"])
            self.assertLess(abs(sent.timestamp() - time.time()), 60)
        self.assertEqual(len(ports), 1)

    def test_a_body_over_the_limit_is_refused_after_it_was_read(self) -> None:
        response = self.store(b"x" * (MAX_BODY + 1))
        self.assertEqual((response.status_code, response.text), (413, "length limit exceeded"))

    def test_a_chunked_body(self) -> None:
        url = f"{self.sandbox.base}/api/{self.env['PROJECT_ID']}/store/?sentry_key={self.env['PUBLIC_KEY']}"
        response = self.http.post(url, data=iter([b'{"message":', b'"chunked"}']))
        self.assertEqual(self.issue_of(response.json()["id"])["title"], "chunked")

    def test_an_encoded_slash_is_a_slash(self) -> None:
        self.assertEqual(self.http.get(f"{self.sandbox.base}/%5Fhealth%2F").text, "ok")

    def test_it_stops_quickly_in_the_middle_of_a_request(self) -> None:
        with socket.socket() as client, Sandbox() as sandbox:
            client.connect(("127.0.0.1", int(sandbox.base.rpartition(":")[2])))
            client.sendall(b"POST /api/1/store/ HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
            time.sleep(0.1)  # until a thread waits for the rest
            started = time.monotonic()
            sandbox.close()
            self.assertLess(time.monotonic() - started, 3)


class TestGrouping(SandboxTest):
    def test_exception(self) -> None:
        frames = [{"filename": "pump.py", "function": "run", "module": "pump", "in_app": True}, {"filename": "lib.py"}]
        error = {"type": "ValueError", "value": "bad\nmore", "stacktrace": {"frames": frames}}
        issue = self.new_issue(exception=error)
        self.assertEqual(issue["title"], "ValueError: bad")
        self.assertEqual(issue["culprit"], "pump in run")
        self.assertEqual(
            issue["metadata"], {"type": "ValueError", "value": "bad\nmore", "filename": "pump.py", "function": "run"}
        )

    def test_same_and_different_issues(self) -> None:
        def issue(**event: Any) -> str:
            return str(self.new_issue(**event)["id"])

        self.assertEqual(issue(message="a"), issue(message="a"))
        self.assertNotEqual(issue(message="a"), issue(message="b"))
        self.assertEqual(issue(fingerprint=["f"]), issue(fingerprint=["f"]))
        both = {"fingerprint": ["{{ default }}", "f"]}
        self.assertEqual(issue(message="a", **both), issue(message="a", fingerprint=["{{default}}", "f"]))
        self.assertNotEqual(issue(message="a", **both), issue(message="b", **both))

    def test_regression(self) -> None:
        issue = self.new_issue(message="regress", release="1")
        self.api("PUT", f"/issues/{issue['id']}/", json={"status": "resolved"})
        again = self.new_issue(message="regress")
        self.assertEqual((again["id"], again["status"], again["substatus"]), (issue["id"], "unresolved", "regressed"))
        self.api("PUT", f"/issues/{issue['id']}/", json={"status": "resolvedInNextRelease"})
        self.assertEqual(self.new_issue(message="regress", release="1")["status"], "resolved")
        self.assertEqual(self.new_issue(message="regress", release="2")["status"], "unresolved")


class TestReopening(SandboxTest):
    """An issue that is unresolved again has an activity that tells why."""

    def reopened(self, archived: dict[str, Any], events: int) -> dict[str, Any]:
        """Archive a new issue; submit events, the last of which must escalate the issue."""
        message = uuid.uuid4().hex
        issue = self.new_issue(message=message)
        self.api("PUT", f"/issues/{issue['id']}/", json={"status": "ignored", **archived})
        for _ in range(events - 1):
            issue = self.new_issue(message=message)
        self.assertEqual((issue["status"], issue["statusDetails"].get("ignoreUntilEscalating")), ("ignored", None))
        event_id = self.submit(message=message)
        issue = self.issue_of(event_id)
        self.assertEqual((issue["status"], issue["substatus"]), ("unresolved", "escalating"))
        self.assertEqual(issue["activity"][0]["data"], {"event_id": event_id})
        return issue

    def check_activity(self, issue: dict[str, Any], kind: str) -> None:
        newest, previous, *_ = issue["activity"]
        self.assertEqual(newest["type"], kind)
        self.assertGreater(int(newest["id"]), int(previous["id"]))
        created = datetime.fromisoformat(newest["dateCreated"])
        self.assertLess(abs(created.timestamp() - time.time()), 60)

    def test_escalating(self) -> None:
        issue = self.reopened({"substatus": "archived_until_escalating"}, EVENTS_TO_ESCALATE)
        self.check_activity(issue, "set_escalating")

    def test_escalating_under_a_condition(self) -> None:
        for substatus in (None, "archived_until_escalating"):
            with self.subTest(substatus):
                issue = self.reopened({"statusDetails": {"ignoreCount": 2}, "substatus": substatus}, 2)
                self.check_activity(issue, "set_escalating")

    def test_archived_forever(self) -> None:
        issue = self.new_issue(message="forever")
        self.api("PUT", f"/issues/{issue['id']}/", json={"status": "ignored", "substatus": "archived_forever"})
        for _ in range(EVENTS_TO_ESCALATE + 1):
            issue = self.new_issue(message="forever")
        self.assertEqual((issue["status"], issue["substatus"]), ("ignored", "archived_forever"))

    def test_regressed(self) -> None:
        issue = self.new_issue(message="again")
        self.api("PUT", f"/issues/{issue['id']}/", json={"status": "resolved"})
        self.check_activity(self.new_issue(message="again"), "set_regression")

    def test_reopened_by_a_user(self) -> None:
        for status in ("resolved", "ignored"):
            with self.subTest(status):
                issue = self.new_issue(message="by hand")["id"]
                for changed in (status, "unresolved"):
                    self.api("PUT", f"/issues/{issue}/", json={"status": changed})
                found = self.api("GET", f"/organizations/acme/issues/{issue}/").json()
                self.check_activity(found, "set_unresolved")
                self.assertEqual(found["activity"][0]["user"]["id"], self.env["USER_ID"])


class TestIssueList(SandboxTest):
    LIST = "/projects/acme/gate/issues/"
    pump_event: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        test, now = cls(), int(time.time())
        for number in range(250):
            test.submit("PROJECT2", message=f"event {number:03}", timestamp=now - number // 100)
        test.submit(message="Pump one", level="warning", environment="prod", release="r1", tags={"zone": "north"})
        cls.pump_event = test.submit(
            message="Pump one", level="warning", environment="test", release="r1", tags={"zone": "south"}
        )
        test.submit(message="valve two", user={"id": "7", "email": "a@b.c"}, timestamp=now - 3 * 86400)
        test.submit(exception={"type": "KeyError", "value": "three"}, tags={"zone": "far north"})
        test.submit(message="resolved four")
        issue = test.issue_of(test.submit(message="resolved four"))["id"]
        test.api("PUT", f"/issues/{issue}/", json={"status": "resolved", "assignedTo": "team:1"})

    def test_every_issue_once_over_the_pages(self) -> None:
        """Many share one lastSeen, and the page size changes on the way."""
        for path in (self.LIST, "/organizations/acme/issues/?project=" + self.env["PROJECT2_ID"]):
            seen: list[str] = []
            cursor = ""
            for limit in (7, 100, 33, 100, 100):
                page = self.api("GET", path, params={"limit": limit, "cursor": cursor, "query": ""})
                self.assertEqual((page.headers["X-Hits"], page.headers["X-Max-Hits"]), ("250", "1000"))
                seen += [issue["id"] for issue in page.json()]
                cursor = page.links["next"]["cursor"]
                if page.links["next"]["results"] == "false":
                    break
            self.assertEqual((len(seen), len(set(seen))), (250, 250))

    def test_link_header(self) -> None:
        first = self.api("GET", self.LIST)
        self.assertEqual(len(first.json()), 100)
        previous, following = first.headers["Link"].split(", ")
        self.assertRegex(
            previous,
            rf'^<{self.sandbox.base}/api/0{self.LIST}\?&cursor=\d+:0:1>; rel="previous"; results="false"; '
            r'cursor="\d+:0:1"$',
        )
        self.assertRegex(following, r'rel="next"; results="true"; cursor="\d+:\d+:0"$')
        self.assertIn("?query=&limit=5&cursor=", self.api("GET", f"{self.LIST}?query=&limit=5").headers["Link"])

    def test_bad_parameters(self) -> None:
        cases = {
            "limit=x": "invalid limit",
            "cursor=x": "Invalid cursor parameter.",
            "cursor=0:nan:0": "Invalid cursor parameter.",
            "statsPeriod=1h": "Invalid stats_period. Valid choices are '', '24h', and '14d'",
            "sort=size": "Sort key 'size' not supported.",
            "query=is:odd": 'Error parsing search query: Invalid value for "is" search, valid values are',
            "query=level:": "Error parsing search query: Empty string after 'level:'",
            "query=firstSeen:soon": "Error parsing search query: firstSeen: Invalid date: soon.",
            "query=timesSeen:many": "Error parsing search query: timesSeen: Invalid number: many.",
            "query=a OR b": "Error parsing search query: Boolean statements",
        }
        for query, detail in cases.items():
            with self.subTest(query):
                response = self.api("GET", f"{self.LIST}?{query}")
                self.assertEqual(response.status_code, 400, response.text)
                self.assertIn(detail, response.json()["detail"])

    def test_limits_and_stats(self) -> None:
        for query, number in (("limit=0", 0), ("limit=500", 100), ("limit=3", 3)):
            self.assertEqual(len(self.api("GET", f"{self.LIST}?{query}").json()), number)
        for period, buckets in (("24h", 24), ("14d", 14)):
            issue = self.api("GET", f"{self.LIST}?limit=1&statsPeriod={period}").json()[0]
            self.assertEqual(len(issue["stats"][period]), buckets)
        self.assertNotIn("stats", self.api("GET", f"{self.LIST}?limit=1&statsPeriod=").json()[0])

    def test_query_language(self) -> None:
        pump, valve, key, four = "Pump one", "valve two", "KeyError: three", "resolved four"
        cases: list[tuple[str, set[str]]] = [
            ("", {pump, valve, key, four}),
            ("is:unresolved", {pump, valve, key}),
            ("is:resolved", {four}),
            ("!is:resolved", {pump, valve, key}),
            ("is:archived", set()),
            ("is:assigned", {four}),
            ("assigned:#ops", {four}),
            ("assigned:me", set()),
            ("assigned:[me, none]", {pump, valve, key}),
            ("assigned:nobody@example.com", set()),
            ("level:warning", {pump}),
            ("!level:warning", {valve, key, four}),
            ("environment:prod", {pump}),
            ("environment:test zone:south", {pump}),
            ("environment:prod zone:south", set()),
            ("release:r1", {pump}),
            ("zone:north", {pump}),
            ("zone:*north", {pump, key}),
            ("zone:[south, east]", {pump}),
            ('zone:"far north"', {key}),
            ("has:zone", {pump, key}),
            ("!has:zone", {valve, four}),
            ("unknown.tag:x", set()),
            ("error.type:KeyError", {key}),
            ("user.email:a@b.c", {valve}),
            ('user:"id:7"', {valve}),
            ("timesSeen:>1", {pump, four}),
            ("timesSeen:1", {valve, key}),
            ("firstSeen:-24h", {pump, key, four}),
            ("firstSeen:+2d", {valve}),
            ("lastSeen:>2020-01-01", {pump, valve, key, four}),
            ("PUMP", {pump}),
            ("valve two", {valve}),
            ('"two valve"', set()),
            ("message:*pump*", {pump}),
            ("100%", set()),
            ("three is:unresolved", {key}),
        ]
        for query, titles in cases:
            with self.subTest(query):
                for path in ("/projects/acme/pump-station/issues/", "/organizations/acme/issues/"):
                    params = {"query": query, "project": self.env["PROJECT_ID"], "limit": 100}
                    response = self.api("GET", path, params=params)
                    self.assertEqual(response.status_code, 200, response.text)
                    self.assertEqual({issue["title"] for issue in response.json()}, titles)

    def test_environment_and_default_query(self) -> None:
        def titles(query: str) -> list[str]:
            return [i["title"] for i in self.api("GET", f"/projects/acme/pump-station/issues/?{query}").json()]

        self.assertNotIn("resolved four", titles(""))
        self.assertIn("resolved four", titles("query="))
        self.assertEqual(titles("environment=prod"), ["Pump one"])
        self.assertEqual(titles("environment=nowhere"), [])
        self.assertEqual(titles("sort=freq")[0], "Pump one")
        self.assertEqual(titles("sort=user")[0], "valve two")

    def test_direct_hits(self) -> None:
        event_id = self.pump_event
        issue = self.issue_of(event_id)
        by_event = self.api("GET", f"/projects/acme/pump-station/issues/?query={event_id}")
        self.assertEqual(by_event.headers["X-Sentry-Direct-Hit"], "1")
        self.assertNotIn("Link", by_event.headers)
        self.assertEqual(by_event.json()[0]["matchingEventId"], event_id)
        path = f"/organizations/acme/issues/?shortIdLookup=1&query={issue['shortId']}"
        self.assertEqual([found["id"] for found in self.api("GET", path).json()], [issue["id"]])


class TestUpdate(SandboxTest):
    def put(self, issue: str, body: Any, **options: Any) -> requests.Response:
        return self.api("PUT", f"/issues/{issue}/", json=body, **options)

    def test_refused_values(self) -> None:
        issue = self.new_issue()["id"]
        unparsed = "Could not parse actor. Format should be `type:id` where type is `team` or `user`."
        cases: list[tuple[Any, Any]] = [
            ({"status": "archived"}, {"status": ['"archived" is not a valid choice.']}),
            ({"status": None}, {"status": ["This field may not be null."]}),
            ({"priority": "top"}, {"priority": ['"top" is not a valid choice.']}),
            ({"isPublic": "perhaps"}, {"isPublic": ["Must be a valid boolean."]}),
            ({"ignoreDuration": "x"}, {"ignoreDuration": ["A valid integer is required."]}),
            ({"assignedTo": "user:x"}, {"assignedTo": [unparsed]}),
            ({"assignedTo": "99999"}, {"assignedTo": ["User does not exist"]}),
            ({"assignedTo": "team:99999"}, {"assignedTo": ["Team does not exist"]}),
            (
                {"assignedTo": self.env["OUTSIDER_ID"]},
                {"assignedTo": ["User is not a member of this organization"]},
            ),
            (
                {"statusDetails": {"inRelease": "none"}},
                {"statusDetails": {"inRelease": ["Unable to find a release with the given version."]}},
            ),
            (
                {"statusDetails": {"ignoreWindow": 10081}},
                {"statusDetails": {"ignoreWindow": ["Ensure this value is less than or equal to 10080."]}},
            ),
            ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        ]
        for body, errors in cases:
            with self.subTest(body=body):
                response = self.put(issue, body)
                self.assertEqual((response.status_code, response.json()), (400, errors))
        broken = self.api("PUT", f"/issues/{issue}/", data="{", headers={"Content-Type": "application/json"})
        self.assertEqual(broken.status_code, 400)
        self.assertTrue(broken.json()["detail"].startswith("JSON parse error - "))
        self.assertEqual(
            self.api("PUT", f"/issues/{issue}/", data="x", headers={"Content-Type": "text/plain"}).status_code, 415
        )

    def test_assignment_forms(self) -> None:
        issue = self.new_issue()["id"]
        ada = {"type": "user", "id": self.env["USER_ID"], "name": "Ada Admin", "email": self.env["USER_EMAIL"]}
        team = {"type": "team", "id": self.env["TEAM_ID"], "name": "ops"}
        cases: list[tuple[Any, Any]] = [
            (self.env["USER_ID"], ada),
            (int(self.env["USER_ID"]), ada),
            (f"user:{self.env['USER_ID']}", ada),
            (self.env["USER_EMAIL"], ada),
            (f"team:{self.env['TEAM_ID']}", team),
            ("", None),
            (None, None),
        ]
        for value, actor in cases:
            with self.subTest(value=value):
                self.assertEqual(self.put(issue, {"assignedTo": value}).json()["assignedTo"], actor)

    def test_status(self) -> None:
        issue = self.new_issue(release="7.0")["id"]
        found = self.put(issue, {"status": "resolved", "statusDetails": {"inRelease": "latest"}}).json()
        self.assertEqual((found["status"], found["substatus"]), ("resolved", None))
        self.assertEqual(found["statusDetails"]["inRelease"], "7.0")
        self.assertEqual(found["statusDetails"]["actor"]["email"], self.env["USER_EMAIL"])
        self.assertNotIn("stats", found)
        self.assertEqual(self.put(issue, {"status": "unresolved"}).json()["statusDetails"], {})
        found = self.put(issue, {"status": "ignored", "statusDetails": {"ignoreCount": 5}}).json()
        self.assertEqual((found["status"], found["substatus"]), ("ignored", "archived_until_condition_met"))
        self.assertEqual(found["statusDetails"]["ignoreCount"], 5)
        self.put(issue, {"status": "unresolved"})
        self.assertEqual(self.put(issue, {"status": "muted"}).json()["substatus"], "archived_forever")

    def test_next_release_needs_a_release(self) -> None:
        with Sandbox() as empty:
            url, headers = f"{empty.base}/api/0/issues/1/", {"Authorization": f"Bearer {empty.env['TOKEN']}"}
            requests.post(f"{empty.base}/api/1/store/?sentry_key={empty.env['PUBLIC_KEY']}", json={}, timeout=5)
            details = {"status": "resolved", "statusDetails": {"inNextRelease": True}}
            refused = requests.put(url, json=details, headers=headers, timeout=5)
            plain = requests.put(url, json={"status": "resolvedInNextRelease"}, headers=headers, timeout=5)
        self.assertEqual(refused.status_code, 400)
        self.assertIn("No release data", refused.json()["statusDetails"]["inNextRelease"][0])
        self.assertEqual(plain.json()["status"], "resolved")

    def test_personal_flags_and_sharing(self) -> None:
        issue = self.new_issue()["id"]
        found = self.put(issue, {"isBookmarked": True, "hasSeen": True, "isSubscribed": True, "isPublic": True}).json()
        for flag in ("isBookmarked", "hasSeen", "isSubscribed", "isPublic"):
            self.assertTrue(found[flag], flag)
        self.assertRegex(found["shareId"], "^[0-9a-f]{32}$")
        other = self.api("GET", f"/issues/{issue}/", token="TOKEN_MEMBER").json()
        self.assertEqual((other["isBookmarked"], other["hasSeen"], other["isPublic"]), (False, False, True))
        self.assertIsNone(self.put(issue, {"isPublic": False}).json()["shareId"])

    def test_bulk(self) -> None:
        ids = [self.new_issue()["id"] for _ in range(2)]
        query = "&".join(f"id={issue}" for issue in ids)
        delta = self.api("PUT", f"/projects/acme/pump-station/issues/?{query}", json={"status": "resolved"})
        self.assertEqual(delta.json(), {"status": "resolved", "statusDetails": {}, "inbox": None})
        self.assertEqual(self.api("PUT", "/organizations/acme/issues/?id=99999", json={}).status_code, 204)

    def test_short_id_and_deletion(self) -> None:
        issue = self.new_issue()
        path = f"/organizations/acme/issues/{issue['shortId'].lower()}/"
        self.assertEqual(self.api("GET", path).json()["id"], issue["id"])
        self.assertEqual(self.api("GET", f"/issues/{issue['shortId']}/").status_code, 404)
        short = self.api("GET", f"/organizations/acme/shortids/{issue['shortId']}/").json()
        self.assertEqual((short["groupId"], short["projectSlug"]), (issue["id"], "pump-station"))
        self.assertEqual(self.api("DELETE", path).status_code, 202)
        self.assertEqual(self.api("GET", path).status_code, 404)


class TestEvents(SandboxTest):
    def test_issue_events(self) -> None:
        now = int(time.time())
        ids = [
            self.submit(message="many", timestamp=now - age, environment="prod" if age else "test") for age in range(5)
        ]
        issue = self.issue_of(ids[0])["id"]
        for path in (f"/issues/{issue}/events/", f"/organizations/acme/issues/{issue}/events/"):
            page = self.api("GET", f"{path}?per_page=3")
            self.assertEqual([event["eventID"] for event in page.json()], ids[:3])
            self.assertEqual(page.links["next"]["cursor"], "0:3:0")
            rest = self.api("GET", f"{path}?per_page=3&cursor=0:3:0")
            self.assertEqual([event["eventID"] for event in rest.json()], ids[3:])
            self.assertEqual(rest.links["next"]["results"], "false")
        self.assertNotIn("entries", page.json()[0])
        self.assertIn("entries", self.api("GET", f"/issues/{issue}/events/?full=1").json()[0])
        self.assertEqual(len(self.api("GET", f"/issues/{issue}/events/?environment=prod").json()), 4)
        self.assertEqual(self.api("GET", f"/issues/{issue}/events/?environment=no").json(), [])
        self.assertEqual(len(self.api("GET", f"/issues/{issue}/events/?query={ids[2]}").json()), 1)
        self.assertEqual(self.api("GET", f"/issues/{issue}/events/?per_page=101").status_code, 400)
        names = {"latest": ids[0], "oldest": ids[4], "recommended": ids[0], ids[2]: ids[2]}
        for name, event_id in names.items():
            self.assertEqual(self.api("GET", f"/issues/{issue}/events/{name}/").json()["id"], event_id)
        middle = self.api("GET", f"/issues/{issue}/events/{ids[2]}/").json()
        self.assertEqual((middle["nextEventID"], middle["previousEventID"]), (ids[1], ids[3]))
        missing = self.api("GET", f"/issues/{issue}/events/{'0' * 32}/")
        self.assertEqual((missing.status_code, missing.json()), (404, {"detail": "Event not found"}))


class TestShuffledTies(SandboxTest):
    """The lists of a server that knows times by whole seconds, like Sentry 23.7.1."""

    ties = "shuffled"
    COUNT = 250
    PER_SECOND = 50
    start: ClassVar[int]
    ids: ClassVar[set[str]]
    issue: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        test, cls.start = cls(), int(time.time()) - 60
        times = [cls.start + number / cls.PER_SECOND for number in range(cls.COUNT)]
        cls.ids = {test.submit(message="quick", timestamp=moment) for moment in times}
        cls.issue = test.issue_of(next(iter(cls.ids)))["id"]
        for number, moment in enumerate(reversed(times)):
            test.submit("PROJECT2", message=f"gate {number}", timestamp=moment)

    def events(self, **params: Any) -> requests.Response:
        return self.api("GET", f"/issues/{self.issue}/events/", params=params)

    def pages(self, path: str, **params: Any) -> list[list[dict[str, Any]]]:
        """All pages of a list, by its cursors."""
        pages: list[list[dict[str, Any]]] = []
        cursor, has_next = "", "true"
        while has_next == "true":
            page = self.api("GET", path, params={**params, "cursor": cursor})
            pages.append(page.json())
            cursor, has_next = page.links["next"]["cursor"], page.links["next"]["results"]
        return pages

    def test_pages_by_offset_repeat_some_events_and_omit_others(self) -> None:
        pages = self.pages(f"/issues/{self.issue}/events/", per_page=70)
        listed = [event["eventID"] for page in pages for event in page]
        self.assertEqual([len(page) for page in pages], [70, 70, 70, 40])
        self.assertEqual(len(listed), self.COUNT)
        self.assertLess(len(set(listed)), self.COUNT)

    def test_events_are_ordered_by_whole_seconds_and_shuffled_within_one(self) -> None:
        first, second = self.events().json(), self.events().json()
        created = [event["dateCreated"] for event in first]
        self.assertEqual(created, sorted(created, reverse=True))
        self.assertRegex(created[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertNotEqual([event["eventID"] for event in first], [event["eventID"] for event in second])

    def test_pages_by_time_list_every_event(self) -> None:
        found: set[str] = set()
        end, since = time.time() + 60, datetime.fromtimestamp(self.start - 3600, UTC)
        for _ in range(10):
            until = datetime.fromtimestamp(end, UTC)
            page = self.events(start=since.isoformat(), end=until.isoformat()).json()
            if not {event["eventID"] for event in page} - found:
                break
            found |= {event["eventID"] for event in page}
            end = datetime.fromisoformat(page[-1]["dateCreated"]).timestamp() + 1
        self.assertEqual(found, self.ids)

    def test_start_and_end_are_both_required_and_end_is_exclusive(self) -> None:
        moments = [datetime.fromtimestamp(self.start + number, UTC).isoformat() for number in range(3)]
        window = self.events(start=moments[1], end=moments[2]).json()
        self.assertEqual(len(window), self.PER_SECOND)
        self.assertEqual({event["dateCreated"] for event in window}, {moments[1].replace("+00:00", "Z")})
        refused = self.events(start=moments[0])
        self.assertEqual((refused.status_code, refused.json()), (400, {"detail": "start and end are both required"}))

    def test_the_page_size_of_events_is_per_page_and_not_limit(self) -> None:
        page = self.events(limit=5)
        self.assertEqual((len(page.json()), page.links["next"]["cursor"]), (100, "0:100:0"))
        self.assertEqual(len(self.events(limit=5, per_page=7).json()), 7)

    def test_some_issues_come_twice_after_the_first_page_and_none_is_omitted(self) -> None:
        pages = self.pages("/projects/acme/gate/issues/", limit=60)
        seen = [datetime.fromisoformat(issue["lastSeen"]) for issue in pages[0]]
        self.assertEqual(seen, sorted(seen, reverse=True))
        listed = [issue["id"] for page in pages for issue in page]
        self.assertEqual(len(set(listed)), self.COUNT)
        # The first page ends 10 issues into the second second, which the next page begins with.
        self.assertEqual(len(listed), self.COUNT + 10)

    def test_a_search_in_events_orders_all_pages_by_seconds(self) -> None:
        pages = self.pages("/projects/acme/gate/issues/", limit=60, query="gate")
        listed = [issue["id"] for page in pages for issue in page]
        self.assertEqual((len(listed), len(set(listed))), (self.COUNT, self.COUNT))

    def test_new_issues_are_ordered_by_seconds_and_then_by_id(self) -> None:
        pages = self.pages("/organizations/acme/issues/", limit=60, sort="new", project="gate")
        listed = [(issue["firstSeen"][:19], int(issue["id"])) for page in pages for issue in page]
        self.assertEqual(listed, sorted(listed, reverse=True))
        self.assertEqual((len(listed), len(set(listed))), (self.COUNT, self.COUNT))
        first_seen = [issue["firstSeen"] for issue in pages[0]]
        self.assertNotEqual(first_seen, sorted(first_seen, reverse=True))


class TestDatabase(unittest.TestCase):
    def test_everything_survives_a_restart(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            database = os.path.join(folder, "sentry.db")
            with Sandbox(database) as first:
                before = first.env
                url = f"{first.base}/api/1/store/?sentry_key={before['PUBLIC_KEY']}"
                self.assertEqual(requests.post(url, json={"message": "kept"}, timeout=5).status_code, 200)
            with Sandbox(database) as second:
                headers = {"Authorization": f"Bearer {before['TOKEN']}"}
                issues = requests.get(
                    f"{second.base}/api/0/projects/acme/pump-station/issues/", headers=headers, timeout=5
                )
                self.assertEqual([issue["title"] for issue in issues.json()], ["kept"])
                same = {key for key in before if before[key] == second.env[key]}
                self.assertEqual(set(before) - same - {"BASE"}, {key for key in before if key.startswith("DSN")} - same)

    def test_as_a_process(self) -> None:
        root = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
        command = [sys.executable, "-m", "sandbox", "--port", "0"]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            env: dict[str, str] = {}
            for line in process.stdout:
                key, _, value = line.strip().partition("=")
                env[key] = value
                if key == "READY":
                    break
            self.assertEqual(requests.get(env["BASE"] + "/_health/", timeout=5).text, "ok")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(5), 0)
        self.assertEqual(env["READY"], "1")

    def test_sandboxes_share_nothing(self) -> None:
        with Sandbox() as one, Sandbox() as two:
            self.assertNotEqual(one.env["TOKEN"], two.env["TOKEN"])
            headers = {"Authorization": f"Bearer {one.env['TOKEN']}"}
            self.assertEqual(requests.get(f"{two.base}/api/0/", headers=headers, timeout=5).status_code, 401)


if __name__ == "__main__":
    unittest.main()
