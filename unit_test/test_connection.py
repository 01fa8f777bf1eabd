import base64
import json
import logging
import unittest
from typing import Any

from insightconnect_plugin_runtime.exceptions import ConnectionTestException, PluginException

from komand_sentry.connection import Connection
from komand_sentry.util.errors.exceptions import Forbidden, Unauthorized
from komand_sentry.util.http.messages import Request, Response
from komand_sentry.util.http.transport import Transport
from testing.scripted_server import Answer, ScriptedServer
from testing.support import ACTIONS, SandboxTestCase, connection_to, run_action
from unit_test import faults

IDENTITY = {"version": "0", "auth": {"scopes": ["event:read"]}, "user": None}


class IdentityTransport(Transport):
    """A transport without a network, whose server knows the token, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def send(self, request: Request, timeout: float, new_connection: bool = False) -> Response:  # noqa: ARG002
        self.urls.append(request.url)
        return Response(200, {}, json.dumps(IDENTITY if request.url.endswith("/api/0/") else []).encode())


class ConnectionTestTest(SandboxTestCase):
    def test_report_lists_projects_and_allowed_actions(self) -> None:
        all_allowed = dict.fromkeys(ACTIONS, True)
        writers = ("update_issue", "update_issues", "merge_issues", "delete_issues", "add_comment")
        for token, projects, actions in (
            ("TOKEN", ["acme/gate", "acme/pump-station"], all_allowed),
            ("TOKEN_READONLY", ["acme/gate", "acme/pump-station"], {**all_allowed, **dict.fromkeys(writers, False)}),
        ):
            with self.subTest(token), self.assertLogs("plugin.test", "INFO") as logs:
                connection = connection_to(self.sandbox.base, self.sandbox.env[token])
                report = connection.test()
                self.assertIs(report["success"], True)
                self.assertEqual((report["server"], report["actions"]), (self.sandbox.base, actions))
                self.assertEqual(sorted(report["projects"]), projects)
                self.assertEqual(report["user"], self.sandbox.env["USER_EMAIL"])
                permission = (
                    "allowed" if actions["update_issue"] else "NOT allowed, the token needs the scope event:write"
                )
                self.assertIn(f"INFO:plugin.test:update_issue: {permission}", logs.output)

    def test_public_pages_are_requested_without_the_token(self) -> None:
        connection_to(self.sandbox.base, self.sandbox.env["TOKEN"]).test()
        for request in self.sandbox.requests:
            self.assertEqual("Authorization" in request.headers, request.path.startswith("/api/0/"), request.path)

    def test_token_without_a_useful_scope_fails_and_the_error_names_the_scopes(self) -> None:
        with self.assertRaises(ConnectionTestException) as caught:
            connection_to(self.sandbox.base, self.sandbox.env["TOKEN_TEAMREAD"]).test()
        self.assertIn("allows no action that uses the token", caught.exception.cause)
        self.assertIn("event:read", caught.exception.assistance)
        self.assertIn("team:read", caught.exception.data)

    def test_all_spellings_of_the_url_are_accepted(self) -> None:
        for spelling in ("{}/", "{}/api/0", "{}/api/0/", " {} "):
            connection = connection_to(spelling.format(self.sandbox.base), self.sandbox.env["TOKEN"])
            self.assertIs(connection.test()["success"], True)

    def test_invalid_token_is_reported(self) -> None:
        for token in ("TOKEN_EXPIRED", "TOKEN_INACTIVE"):
            with self.subTest(token), self.assertRaises(ConnectionTestException) as caught:
                connection_to(self.sandbox.base, self.sandbox.env[token]).test()
            self.assertIn("did not accept the token (401)", caught.exception.cause)
            self.assertNotIn(self.sandbox.env[token], str(caught.exception))

    def test_url_of_a_page_is_not_a_base_url(self) -> None:
        with self.assertRaises(ConnectionTestException) as caught:
            connection_to(f"{self.sandbox.base}/acme", self.sandbox.env["TOKEN"]).test()
        self.assertIn("not the base URL of a Sentry server", caught.exception.cause)


class OtherServerTest(unittest.TestCase):
    no_version = (("GET", "/api/client-config/", Answer(404)), ("GET", "/auth/login/", Answer(404)))

    def script(self, identity: Any, projects: Any) -> list[tuple[str, str, Answer]]:
        """The requests of a connection test to a server that does not name its version."""
        first, last = (Answer(body=json.dumps(body).encode()) for body in (identity, projects))
        return [("GET", "/api/0/", first), *self.no_version, ("GET", "/api/0/projects/", last)]

    def cause(self, answer: Answer) -> str:
        with ScriptedServer(("GET", "/api/0/", answer)) as server, self.assertRaises(ConnectionTestException) as caught:
            connection_to(server.base).test()
        self.assertTrue(caught.exception.assistance)
        return str(caught.exception.cause)

    def test_other_server_is_reported(self) -> None:
        for answer in (
            Answer(body=b"<!DOCTYPE html><html><title>Log in</title></html>"),
            Answer(body=b'{"status": "up"}'),
            Answer(body=b"[]"),
            Answer(404, b"not here"),
            Answer(302, headers={"Location": "https://login.example.com/"}),
        ):
            with self.subTest(answer):
                self.assertIn("not the base URL of a Sentry server", self.cause(answer))

    def test_version_is_read_from_a_public_page(self) -> None:
        identity = ("GET", "/api/0/", Answer(body=b'{"version": "0", "auth": null, "user": {"id": "1"}}'))
        config = b'{"needsUpgrade": false, "version": {"current": "23.7.1", "build": ""}}'
        page = b'<html><script>load({"version":{"current":"9.1.2","build":"9.1.2"}})</script></html>'
        projects = ("GET", "/api/0/projects/", Answer(body=b'[{"slug": "pump", "organization": {"slug": "acme"}}]'))
        for script, version in (
            ([("GET", "/api/client-config/", Answer(body=config))], "Sentry 23.7.1"),
            (
                [("GET", "/api/client-config/", Answer(404)), ("GET", "/auth/login/", Answer(body=page))],
                "Sentry 9.1.2",
            ),
            ([("GET", "/api/client-config/", Answer(503)), ("GET", "/auth/login/", Answer(503))], None),
            (
                [
                    ("GET", "/api/client-config/", Answer(play=faults.reset)),
                    ("GET", "/api/client-config/", Answer(body=config)),
                ],
                "Sentry 23.7.1",
            ),
        ):
            with self.subTest(version), ScriptedServer(identity, *script, projects) as server:
                report = connection_to(server.base).test()
                self.assertEqual(report.get("version"), version)
                self.assertEqual(report["projects"], ["acme/pump"])
                self.assertNotIn("scopes", report)

    def test_report_omits_what_cannot_be_read(self) -> None:
        identity = ("GET", "/api/0/", Answer(body=json.dumps(IDENTITY).encode()))
        closed = Answer(play=faults.reset)
        # The budget of a connection test allows four retries; the public pages are requested twice at most.
        projects = [("GET", "/api/0/projects/", closed)] * 5
        pages = [("GET", path, closed) for _, path, _ in self.no_version for _ in range(2)]
        with ScriptedServer(identity, *pages, *projects) as server:
            report = connection_to(server.base).test()
        self.assertIs(report["success"], True)
        self.assertLessEqual({"scopes", "actions"}, report.keys())
        self.assertFalse({"version", "projects", "user"} & report.keys())

    def test_saas_is_reported_without_reading_a_version(self) -> None:
        connection = connection_to("https://de.sentry.io")
        transport = connection.client.transport = IdentityTransport()
        self.assertEqual(connection.test()["version"], "Sentry SaaS")
        paths = {url.removeprefix("https://de.sentry.io") for url in transport.urls}
        self.assertEqual(paths, {"/api/0/", "/api/0/projects/", "/api/0/organizations/"})

    def test_projects_of_other_regions_are_listed_by_organization(self) -> None:
        identity = ("GET", "/api/0/", Answer(body=json.dumps(IDENTITY).encode()))
        organizations = (
            "GET",
            "/api/0/organizations/",
            Answer(body=b'[{"slug": "acme"}, {"slug": ".."}, {"slug": 7}]'),
        )
        for empty in (Answer(body=b"[]"), Answer(403), Answer(410)):
            of_acme = ("GET", "/api/0/organizations/acme/projects/", Answer(body=b'[{"slug": "pump"}]'))
            script = (identity, *self.no_version, ("GET", "/api/0/projects/", empty), organizations, of_acme)
            with self.subTest(empty), ScriptedServer(*script) as server:
                self.assertEqual(connection_to(server.base).test()["projects"], ["acme/pump"])
        refused = [("GET", path, Answer(403)) for path in ("/api/0/projects/", "/api/0/organizations/")]
        with ScriptedServer(identity, *self.no_version, *refused) as server:
            self.assertNotIn("projects", connection_to(server.base).test())

    def test_project_is_named_with_its_organization_if_known(self) -> None:
        organizations: tuple[Any, ...] = ({"slug": "acme", "name": "Acme"}, {"slug": ""}, {}, None, "acme")
        projects = [{"id": "1", "slug": "pump", "organization": organization} for organization in organizations]
        script = self.script(IDENTITY, [*projects, {"slug": "gate"}, {"id": 1}, {"slug": 7}])
        with ScriptedServer(*script) as server:
            report = connection_to(server.base).test()
        self.assertEqual(report["projects"], ["acme/pump", "pump", "pump", "pump", "pump", "gate"])

    def test_token_in_a_response_is_masked_in_the_report(self) -> None:
        token = "sntryu_" + "0123456789abcdef" * 4
        identity = {"version": "0", "auth": {"scopes": ["event:read", token]}, "user": {"email": f"a{token}"}}
        script = self.script(identity, [{"slug": f"pump-{token}"}])
        with ScriptedServer(*script) as server, self.assertLogs("plugin.test", "INFO") as logs:
            report = connection_to(server.base, token).test()
        self.assertEqual((report["user"], report["projects"]), ("a********", ["pump-********"]))
        self.assertNotIn(token, json.dumps(report) + "".join(logs.output))

    def test_unreachable_server_is_reported_with_its_host(self) -> None:
        with ScriptedServer() as server:
            pass
        with self.assertRaises(ConnectionTestException) as caught:
            connection_to(server.base).test()
        self.assertIn(server.base.removeprefix("http://"), caught.exception.cause)
        self.assertIn("requests", caught.exception.assistance)

    def test_server_that_received_no_token_is_reported(self) -> None:
        self.assertIn("did not accept the token", self.cause(Answer(body=b'{"version": "0", "auth": null}')))

    def test_failed_server_is_reported(self) -> None:
        self.assertIn("server failed", self.cause(Answer(500, b"<html></html>")))


class ConnectTest(unittest.TestCase):
    def test_connect_sends_no_request(self) -> None:
        with ScriptedServer() as server:
            connection_to(server.base)
        self.assertEqual(server.received, [])

    def test_default_url_is_that_of_sentry_saas(self) -> None:
        for url in ("", None):
            connection = connection_to(url)  # type: ignore[arg-type]
            self.assertEqual(connection.client.server.base, "https://sentry.io")

    def test_region_of_an_organization_token_replaces_the_default_url(self) -> None:
        for region, url, base in (
            ("https://de.sentry.io", "", "https://de.sentry.io"),
            ("https://de.sentry.io", "https://sentry.io/", "https://de.sentry.io"),
            ("https://de.sentry.io", "https://sentry.example.com", "https://sentry.example.com"),
            ("http://evil.example.com", "", "https://sentry.io"),
            ("http://127.0.0.1:9000", "", "http://127.0.0.1:9000"),
            ("", "", "https://sentry.io"),
        ):
            with self.subTest(region=region, url=url):
                claims = json.dumps({"iat": 1.5, "url": "", "region_url": region, "org": "acme"}).encode()
                token = f"sntrys_{base64.b64encode(claims).decode()}_{'A' * 43}"
                self.assertEqual(connection_to(url, token).client.server.base, base)

    def test_organization_token_is_named_as_the_cause_of_a_403(self) -> None:
        answer = Answer(403, b'{"detail": "You do not have permission to perform this action."}')
        path = "/api/0/projects/acme/pump-station/issues/"
        with ScriptedServer(("GET", path, answer)) as server, self.assertRaises(Forbidden) as caught:
            slugs = {"organization_slug": "acme", "project_slug": "pump-station"}
            run_action("list_project_issues", connection_to(server.base, "sntrys_abc_def"), slugs)
        self.assertIn("organization token", caught.exception.cause)

    def test_timeout_has_a_range(self) -> None:
        self.assertEqual(connection_to("", timeout=5).client.timeout, 5)
        self.assertEqual(connection_to("").client.timeout, 60)
        for seconds in (0, -1, 3601, 10**9):
            with self.subTest(seconds), self.assertRaises(PluginException) as caught:
                connection_to("", timeout=seconds)
            self.assertIn("timeout", caught.exception.cause)

    def test_plain_http_is_logged_once(self) -> None:
        for url, lines in (("http://sentry.example.com", 1), ("https://sentry.example.com", 0), ("http://[::1]:9", 0)):
            with self.subTest(url), self.assertLogs("plugin.test", "INFO") as logs:
                connection_to(url).logger.info("connected")
            self.assertEqual(len([line for line in logs.output if "http://" in line]), lines)

    def test_token_is_not_in_the_repr_of_the_client(self) -> None:
        connection = connection_to("https://sentry.example.com", "very-secret-token")
        self.assertNotIn("very-secret-token", repr(connection.client))

    def test_invalid_parameter_is_reported(self) -> None:
        for parameters, cause in (
            ({"token": {"token": "t"}, "url": "ftp://sentry.example.com"}, "The URL of the connection is invalid"),
            ({"token": {"token": "t"}, "url": "https://user1:pw@sentry.example.com"}, "user name"),
            ({"token": {"token": " "}}, "The token of the connection is empty"),
            ({"token": {"token": "two words"}}, "invalid characters"),
            ({"token": {"token": "line\nbreak"}}, "invalid characters"),
            ({"token": {"token": "x" * 10**6}}, "invalid characters"),
            ({"token": {}}, "'token.token'"),
            ({"token": "bare text"}, "'token'"),
            ({}, "'token'"),
            (None, "The input of the connection"),
        ):
            with self.subTest(parameters), self.assertRaises(PluginException) as caught:
                connection = Connection()
                connection.logger = logging.getLogger("plugin.test")
                connection.set_(parameters)
                connection.connect(parameters)
            self.assertIn(cause, caught.exception.cause)
            self.assertNotIn("two words", str(caught.exception))

    def test_disabled_verification_is_logged(self) -> None:
        with self.assertLogs("plugin.test", "WARNING") as logs:
            connection_to("https://sentry.example.com", ssl_verify=False)
        self.assertIn("certificate is not verified", logs.output[0])

    def test_check_raises_the_type_of_the_response(self) -> None:
        answer = Answer(401, b'{"detail": "Invalid token"}')
        with ScriptedServer(("GET", "/api/0/", answer)) as server, self.assertRaises(Unauthorized) as caught:
            connection_to(server.base).client.check_connection()
        self.assertEqual((caught.exception.status_code, caught.exception.data), (401, "Invalid token"))
