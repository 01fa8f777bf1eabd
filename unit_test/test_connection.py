import logging
import unittest

from insightconnect_plugin_runtime.exceptions import APIException, ConnectionTestException, PluginException

from komand_sentry.connection import Connection
from unit_test.scripted_server import Answer, ScriptedServer
from unit_test.support import SandboxTestCase, connection_to


class TestConnectionTest(SandboxTestCase):
    def test_a_good_token_passes_with_one_request(self) -> None:
        for token in ("TOKEN", "TOKEN_READONLY", "TOKEN_TEAMREAD", "TOKEN_MEMBER"):
            self.sandbox.requests.clear()
            connection = connection_to(self.sandbox.base, self.sandbox.env[token])
            self.assertEqual(connection.test(), {"success": True})
            self.assertEqual([request.path for request in self.sandbox.requests], ["/api/0/"])

    def test_every_spelling_of_the_url_passes(self) -> None:
        for spelling in ("{}/", "{}/api/0", "{}/api/0/", " {} "):
            connection = connection_to(spelling.format(self.sandbox.base), self.sandbox.env["TOKEN"])
            self.assertEqual(connection.test(), {"success": True})

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

    def test_a_server_that_saw_no_token_is_told_from_one_that_refused_it(self) -> None:
        self.assertIn("did not accept the token", self.cause(Answer(body=b'{"version": "0", "auth": null}')))

    def test_a_failing_server_is_not_blamed_on_the_token(self) -> None:
        self.assertIn("The Sentry server failed on the API (503).", self.cause(Answer(503, b"<html></html>")))


class TestConnect(unittest.TestCase):
    def test_connecting_does_no_io_and_takes_sentry_saas_for_a_blank_url(self) -> None:
        for url in ("", None):
            connection = connection_to(url)  # type: ignore[arg-type]
            self.assertEqual(connection.client.server.base, "https://sentry.io")

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
