import base64
import json
import logging
import unittest

from insightconnect_plugin_runtime.exceptions import APIException, ConnectionTestException, PluginException

from komand_sentry.connection import Connection
from testing.scripted_server import Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_to, run_action
from unit_test import faults


class TestConnectionTest(SandboxTestCase):
    def test_a_good_token_is_told_what_it_may_do_and_where(self) -> None:
        update_too = dict.fromkeys(("submit_event", "list_project_issues", "list_issue_events", "update_issue"), True)
        for token, projects, actions in (
            ("TOKEN", ["acme/gate", "acme/pump-station"], update_too),
            ("TOKEN_READONLY", ["acme/gate", "acme/pump-station"], {**update_too, "update_issue": False}),
        ):
            with self.subTest(token), self.assertLogs("plugin.test", "INFO") as logs:
                connection = connection_to(self.sandbox.base, self.sandbox.env[token])
                report = connection.test()
                self.assertIs(report["success"], True)
                self.assertEqual((report["server"], report["actions"]), (self.sandbox.base, actions))
                self.assertEqual(sorted(report["projects"]), projects)
                self.assertEqual(report["user"], self.sandbox.env["USER_EMAIL"])
                verdict = "allowed" if actions["update_issue"] else "NOT allowed, the token needs the scope event:write"
                self.assertIn(f"INFO:plugin.test:update_issue: {verdict}", logs.output)

    def test_pages_for_everybody_are_asked_without_the_token(self) -> None:
        connection_to(self.sandbox.base, self.sandbox.env["TOKEN"]).test()
        for request in self.sandbox.requests:
            self.assertEqual("Authorization" in request.headers, request.path.startswith("/api/0/"), request.path)

    def test_a_token_without_any_useful_scope_fails_and_is_told_which_it_needs(self) -> None:
        with self.assertRaises(ConnectionTestException) as caught:
            connection_to(self.sandbox.base, self.sandbox.env["TOKEN_TEAMREAD"]).test()
        self.assertIn("allows neither to list nor to update issues", caught.exception.cause)
        self.assertIn("event:read", caught.exception.assistance)
        self.assertIn("team:read", caught.exception.data)

    def test_every_spelling_of_the_url_passes(self) -> None:
        for spelling in ("{}/", "{}/api/0", "{}/api/0/", " {} "):
            connection = connection_to(spelling.format(self.sandbox.base), self.sandbox.env["TOKEN"])
            self.assertIs(connection.test()["success"], True)

    def test_a_token_that_is_not_accepted_is_told_from_the_rest(self) -> None:
        for token in ("TOKEN_EXPIRED", "TOKEN_INACTIVE"):
            with self.subTest(token), self.assertRaises(ConnectionTestException) as caught:
                connection_to(self.sandbox.base, self.sandbox.env[token]).test()
            self.assertEqual(caught.exception.cause, "Sentry did not accept the token (401).")
            self.assertNotIn(self.sandbox.env[token], str(caught.exception))

    def test_a_page_beside_the_api_is_no_sentry(self) -> None:
        with self.assertRaises(ConnectionTestException) as caught:
            connection_to(f"{self.sandbox.base}/acme", self.sandbox.env["TOKEN"]).test()
        self.assertIn("not the base URL of a Sentry server", caught.exception.cause)


class TestWhatElseAnswers(unittest.TestCase):
    def cause(self, answer: Answer) -> str:
        with ScriptedServer(("GET", "/api/0/", answer)) as server, self.assertRaises(ConnectionTestException) as caught:
            connection_to(server.base).test()
        self.assertTrue(caught.exception.assistance)
        return str(caught.exception.cause)

    def test_whatever_is_no_sentry_is_told_so(self) -> None:
        for answer in (
            Answer(body=b"<!DOCTYPE html><html><title>Log in</title></html>"),
            Answer(body=b'{"status": "up"}'),
            Answer(body=b"[]"),
            Answer(404, b"not here"),
            Answer(302, headers={"Location": "https://login.example.com/"}),
        ):
            with self.subTest(answer):
                self.assertIn("not the base URL of a Sentry server", self.cause(answer))

    def test_the_version_comes_from_where_the_server_tells_it(self) -> None:
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
            with self.subTest(version), ScriptedServer(identity, projects, *script) as server:
                report = connection_to(server.base).test()
                self.assertEqual(report.get("version"), version)
                self.assertEqual(report["projects"], ["acme/pump"])
                self.assertNotIn("scopes", report)

    def test_projects_of_other_regions_are_found_through_the_organizations(self) -> None:
        identity = b'{"version": "0", "auth": {"scopes": ["event:read"]}, "user": null}'
        here = ("GET", "/api/0/", Answer(body=identity))
        pages = [("GET", path, Answer(404)) for path in ("/api/client-config/", "/auth/login/")]
        organizations = (
            "GET",
            "/api/0/organizations/",
            Answer(body=b'[{"slug": "acme"}, {"slug": ".."}, {"slug": 7}]'),
        )
        for empty in (Answer(body=b"[]"), Answer(403), Answer(410)):
            of_acme = ("GET", "/api/0/organizations/acme/projects/", Answer(body=b'[{"slug": "pump"}]'))
            script = (here, ("GET", "/api/0/projects/", empty), organizations, of_acme, *pages)
            with self.subTest(empty), ScriptedServer(*script) as server:
                self.assertEqual(connection_to(server.base).test()["projects"], ["acme/pump"])
        refused = [("GET", path, Answer(403)) for path in ("/api/0/projects/", "/api/0/organizations/")]
        with ScriptedServer(here, *refused, *pages) as server:
            self.assertNotIn("projects", connection_to(server.base).test())

    def test_a_server_that_saw_no_token_is_told_from_one_that_refused_it(self) -> None:
        self.assertIn("did not accept the token", self.cause(Answer(body=b'{"version": "0", "auth": null}')))

    def test_a_failing_server_is_not_blamed_on_the_token(self) -> None:
        self.assertIn("The Sentry server failed on the API (500).", self.cause(Answer(500, b"<html></html>")))


class TestConnect(unittest.TestCase):
    def test_connecting_does_no_io_and_takes_sentry_saas_for_a_blank_url(self) -> None:
        for url in ("", None):
            connection = connection_to(url)  # type: ignore[arg-type]
            self.assertEqual(connection.client.server.base, "https://sentry.io")

    def test_an_organization_token_knows_its_region_where_the_url_is_the_default(self) -> None:
        for region, url, base in (
            ("https://de.sentry.io", "", "https://de.sentry.io"),
            ("https://de.sentry.io", "https://sentry.io/", "https://de.sentry.io"),
            ("https://de.sentry.io", "https://sentry.example.com", "https://sentry.example.com"),
            ("http://evil.example.com", "", "https://sentry.io"),
            ("http://127.0.0.1:9000", "", "http://127.0.0.1:9000"),
            ("", "", "https://sentry.io"),
        ):
            with self.subTest(region=region, url=url):
                facts = json.dumps({"iat": 1.5, "url": "", "region_url": region, "org": "acme"}).encode()
                token = f"sntrys_{base64.b64encode(facts).decode()}_{'A' * 43}"
                self.assertEqual(connection_to(url, token).client.server.base, base)

    def test_an_organization_token_is_told_that_it_is_made_for_other_things(self) -> None:
        answer = Answer(403, b'{"detail": "You do not have permission to perform this action."}')
        path = "/api/0/projects/acme/pump-station/issues/"
        with ScriptedServer(("GET", path, answer)) as server, self.assertRaises(APIException) as caught:
            slugs = {"organization_slug": "acme", "project_slug": "pump-station"}
            run_action("list_project_issues", connection_to(server.base, "sntrys_abc_def"), slugs)
        self.assertIn("organization token", caught.exception.cause)

    def test_a_timeout_is_a_number_of_seconds_that_makes_sense(self) -> None:
        self.assertEqual(connection_to("", timeout=5).client.seconds, 5)
        self.assertEqual(connection_to("").client.seconds, 60)
        for seconds in (0, -1, 3601, 10**9):
            with self.subTest(seconds), self.assertRaises(PluginException) as caught:
                connection_to("", timeout=seconds)
            self.assertIn("timeout", caught.exception.cause)

    def test_a_server_whose_traffic_can_be_read_is_said_in_the_log_once(self) -> None:
        for url, lines in (("http://sentry.example.com", 1), ("https://sentry.example.com", 0), ("http://[::1]:9", 0)):
            with self.subTest(url), self.assertLogs("plugin.test", "INFO") as logs:
                connection_to(url).logger.info("connected")
            self.assertEqual(len([line for line in logs.output if "http://" in line]), lines)

    def test_the_token_is_in_no_repr(self) -> None:
        connection = connection_to("https://sentry.example.com", "very-secret-token")
        self.assertNotIn("very-secret-token", repr(connection.client))

    def test_parameters_that_cannot_be_right_are_refused(self) -> None:
        for parameters, cause in (
            ({"token": {"token": "t"}, "url": "ftp://sentry.example.com"}, "The URL of the connection cannot be used"),
            ({"token": {"token": "t"}, "url": "https://user1:pw@sentry.example.com"}, "it holds a user name"),
            ({"token": {"token": " "}}, "The token of the connection is empty"),
            ({"token": {"token": "two words"}}, "The token of the connection is empty or holds characters"),
            ({"token": {"token": "line\nbreak"}}, "The token of the connection is empty or holds characters"),
            ({"token": {"token": "x" * 10**6}}, "The token of the connection is empty or holds characters"),
            ({"token": {}}, "The input 'token.token' is empty or missing."),
            ({"token": "bare text"}, "The input 'token' is not an object."),
            ({}, "The input 'token' is empty or missing."),
            (None, "The step's input is not an object."),
        ):
            with self.subTest(parameters), self.assertRaises(PluginException) as caught:
                connection = Connection()
                connection.logger = logging.getLogger("plugin.test")
                connection.set_(parameters)
                connection.connect(parameters)
            self.assertIn(cause, caught.exception.cause)
            self.assertNotIn("two words", str(caught.exception))

    def test_turning_verification_off_is_said_in_the_log(self) -> None:
        with self.assertLogs("plugin.test", "WARNING") as logs:
            connection_to("https://sentry.example.com", ssl_verify=False)
        self.assertIn("certificate is not verified", logs.output[0])

    def test_an_api_exception_of_a_connection_keeps_its_words(self) -> None:
        answer = Answer(401, b'{"detail": "Invalid token"}')
        with ScriptedServer(("GET", "/api/0/", answer)) as server, self.assertRaises(APIException) as caught:
            connection_to(server.base).client.identity()
        self.assertEqual((caught.exception.status_code, caught.exception.data), (401, "Invalid token"))
