"""Errors name their real cause: refusals of a recognized token, inputs that a server lacks, wrong addresses."""

import json
import unittest
from typing import Any

from insightconnect_plugin_runtime.exceptions import ConnectionTestException, PluginException

from komand_sentry.util.errors import messages
from komand_sentry.util.errors.exceptions import (
    BadRequest,
    Forbidden,
    HTMLResponse,
    InvalidInput,
    NotFound,
    ResponseError,
    RouteMissing,
    ServerFailed,
    Unauthorized,
    UnexpectedResponse,
)
from komand_sentry.util.errors.factory import (
    ErrorContext,
    ingestion_error,
    not_sentry,
    response_error,
    short_ids_unsupported,
    unexpected_ingestion_response,
    unexpected_response,
)
from komand_sentry.util.http.messages import Response
from komand_sentry.util.sentry.assignee import parse_assignee
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to, run_action

SECRET = "sntryu_" + "0123456789abcdef" * 4
CONTEXT = ErrorContext("issue 7", scope="event:write", advice="Check the ID.")
SENTRY_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sentry</title></head><body>/auth/login/</body></html>"
PROXY_PAGE = b"<html><title>Access denied</title></html>"
INTERNAL_ERROR = {"detail": "Internal Error", "errorId": "a" * 32}
PUBLIC_KEY = "0123456789abcdef" * 2


def response(status: int, body: Any = b"") -> Response:
    return Response(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def coded(code: str) -> Json:
    return {"detail": {"code": code, "message": "Log in first.", "extra": {"loginUrl": "/auth/login/acme/"}}}


def text(error: PluginException) -> str:
    return f"{error.cause} {error.assistance}"


class TestRefusedToken(unittest.TestCase):
    CODES = (
        ("sso-required", "requires single sign-on (401)", "Log in to the organization once with single sign-on"),
        ("2fa-required", "requires two-factor authentication (401)", "Enable two-factor authentication"),
        ("member-disabled-over-limit", "is disabled in its organization (401)", "more members than its plan allows"),
        ("sudo-required", "must confirm the password", "A token cannot confirm a password."),
        ("email-verification-required", "is not verified (401)", "Verify the address"),
        ("data-secrecy", "does not let staff of Sentry see its data", "token of a member of the organization"),
        ("superuser-required", "only a superuser of the server", "token of a member of the organization"),
    )

    def test_each_code_has_its_own_cause_and_assistance(self) -> None:
        self.assertEqual({code for code, _, _ in self.CODES}, set(messages.BY_CODE))
        for code, cause, assistance in self.CODES:
            with self.subTest(code):
                error = response_error(CONTEXT, response(401, coded(code)))
                self.assertIsInstance(error, Unauthorized)
                self.assertTrue(error.cause.startswith("Sentry refused issue 7, because "))
                self.assertIn(cause, error.cause)
                self.assertIn(assistance, error.assistance)
                self.assertNotIn("is complete", error.assistance)
                self.assertEqual(error.data, "Log in first.")

    def test_a_code_of_403_is_not_a_missing_scope_even_for_an_organization_token(self) -> None:
        error = response_error(CONTEXT, response(403, coded("superuser-required")), is_organization_token=True)
        self.assertIsInstance(error, Forbidden)
        self.assertIn("only a superuser of the server may access it (403)", error.cause)
        self.assertNotIn("scope", text(error))

    def test_an_unknown_code_is_named_without_secrets(self) -> None:
        error = response_error(CONTEXT, response(401, coded(f"new-{SECRET}")), (SECRET,))
        self.assertEqual(error.cause, "Sentry recognized the token, but requires more for issue 7 (401, new-********).")

    def test_a_401_without_a_code_is_a_token_that_is_unknown(self) -> None:
        bodies: tuple[Any, ...] = (
            {"detail": "Invalid token"},
            {"detail": {"message": "x"}},
            {"detail": {"code": 7}},
            [],
            b"",
        )
        for body in bodies:
            with self.subTest(body):
                error = response_error(CONTEXT, response(401, body))
                self.assertEqual(error.cause, "Sentry did not accept the token (401).")

    def test_a_code_matters_for_refusals_only(self) -> None:
        self.assertEqual(response_error(CONTEXT, response(404, coded("sso-required"))).assistance, "Check the ID.")

    def test_a_failed_csrf_check_means_that_the_token_was_not_accepted(self) -> None:
        for detail in ("CSRF check Failed", "CSRF Failed: CSRF token missing.", "CSRF verification failed."):
            with self.subTest(detail):
                error = response_error(CONTEXT, response(403, {"detail": detail}), is_organization_token=True)
                self.assertIsInstance(error, Unauthorized)
                self.assertTrue(error.cause.startswith("Sentry did not accept the token"))
                self.assertIn("(403)", error.cause)
                self.assertIn("expired", error.assistance)
                self.assertNotIn("scope", text(error))
        self.assertIsInstance(response_error(CONTEXT, response(403, {"detail": "No CSRF. Failed."})), Forbidden)

    def test_a_failed_csrf_check_reaches_the_user_of_update_issue(self) -> None:
        answer = Answer(403, b'{"detail": "CSRF check Failed"}')
        server = ScriptedServer(("PUT", "/api/0/issues/7/", answer))
        with server, self.assertRaises(Unauthorized) as caught:
            run_action("update_issue", connection_to(server.base), {"issue_id": "7", "status": "resolved"})
        self.assertIn("Sentry did not accept the token", caught.exception.cause)
        self.assertEqual(caught.exception.status_code, 403)

    def test_single_sign_on_reaches_the_user_of_list_issue_events(self) -> None:
        answer = Answer(401, json.dumps(coded("sso-required")).encode())
        with ScriptedServer(("GET", "/api/0/organizations/acme/issues/7/events/", answer)) as server:
            inputs = {"issue_id": "7", "organization_slug": "acme"}
            with self.assertRaises(Unauthorized) as caught:
                run_action("list_issue_events", connection_to(server.base), inputs)
        self.assertIn("requires single sign-on", caught.exception.cause)


class TestInvalidRequest(unittest.TestCase):
    def test_422_is_handled_like_400_and_names_the_input(self) -> None:
        glitchtip = {"detail": [{"type": "enum", "loc": ["query", "sort"], "msg": "Input should be ..."}]}
        for body, fields in (
            ({"status": ['"archived" is not a valid choice.']}, " because of status"),
            (
                {"statusDetails": {"inRelease": ["unknown"]}, "assignedTo": ["x"]},
                " because of statusDetails, assignedTo",
            ),
            (glitchtip, " because of sort"),
            ({"detail": "Error parsing search query"}, ""),
            ({"detail": ["no such feature", {"loc": []}, {"loc": "sort"}]}, ""),
            ({"detail": "bad", "causes": ["unexpected end of file"], "status": 422}, ""),
            ({"non_field_errors": ["bad"]}, ""),
            (["bad"], ""),
        ):
            for status in (400, 422):
                with self.subTest(body, status=status):
                    error = response_error(CONTEXT, response(status, body))
                    self.assertIsInstance(error, BadRequest)
                    self.assertEqual(
                        error.cause, f"Sentry refused the request for issue 7 as invalid ({status}){fields}."
                    )
                    self.assertIn("for the input that it did not accept", error.assistance)

    def test_names_of_inputs_are_quoted_without_secrets_and_from_small_bodies_only(self) -> None:
        error = response_error(CONTEXT, response(400, {SECRET: ["x"], "a\nb": ["y"]}), (SECRET,))
        self.assertIn("because of ********, a b.", error.cause)
        large = response(400, {"status": ["x" * 200_000]})
        self.assertTrue(response_error(CONTEXT, large).cause.endswith("(400)."))

    def test_a_refused_event_names_event_and_dsn(self) -> None:
        for status in (400, 422):
            error = ingestion_error(ErrorContext("the event 1"), response(status, {"detail": "bad"}))
            self.assertIsInstance(error, BadRequest)
            self.assertEqual(error.cause, f"Sentry refused the event 1 as invalid ({status}).")
            self.assertIn("Check the event", error.assistance)
            self.assertIn("the DSN", error.assistance)

    def test_a_refused_event_reaches_the_user_of_submit_event(self) -> None:
        answer = Answer(422, b'{"detail": [{"loc": ["body", "payload", "level"], "msg": "Invalid"}]}')
        with ScriptedServer(("POST", "/api/1/store/", answer)) as server:
            error = submit_error(server)
        self.assertIn("(422) because of level.", error.cause)
        self.assertIn("Check the event", error.assistance)


class TestServerFailure(unittest.TestCase):
    def test_only_users_of_sentry_saas_are_referred_to_its_status_page(self) -> None:
        context = ErrorContext("the event 1")
        for status in (500, 502, 503, 504):
            for make in (response_error, ingestion_error):
                with self.subTest(status, make=make.__name__):
                    self_hosted = make(context, response(status, INTERNAL_ERROR))
                    self.assertIsInstance(self_hosted, ServerFailed)
                    self.assertIn("see the log of the server.", self_hosted.assistance)
                    self.assertNotIn("sentry.io", self_hosted.assistance)
                    saas = make(context, response(status, INTERNAL_ERROR), is_saas=True)
                    self.assertIn("see https://status.sentry.io.", saas.assistance)

    def test_500_may_be_caused_by_an_input_but_a_failure_of_a_proxy_is_not(self) -> None:
        error = response_error(CONTEXT, response(500, INTERNAL_ERROR))
        self.assertIn("an input is one that this version does not support", error.assistance)
        self.assertNotIn("the input is not the cause", error.assistance)
        self.assertIn("the input is not the cause", response_error(CONTEXT, response(503)).assistance)

    def test_the_advice_of_the_context_comes_first(self) -> None:
        context = CONTEXT._replace(failure_advice=messages.list_failure_advice(sort="trends {x}"))
        error = response_error(context, response(500, INTERNAL_ERROR))
        self.assertTrue(
            error.assistance.startswith("This version of Sentry may not have the sort trends {x}: set date or no sort.")
        )

    def test_advice_for_a_list_names_the_inputs_that_were_used(self) -> None:
        self.assertEqual(messages.list_failure_advice(), messages.FAILURE_ADVICE)
        both = messages.list_failure_advice("trends", "0:100:0")
        self.assertIn("the sort trends", both)
        self.assertIn("Check the cursor", both)
        self.assertNotIn("sort", messages.list_failure_advice(cursor="0:100:0"))
        self.assertNotIn("cursor", messages.list_failure_advice("trends"))

    def test_advice_for_an_update_names_the_status_that_needs_a_release(self) -> None:
        advice = messages.update_failure_advice("resolvedInNextRelease")
        for part in ("resolvedInNextRelease", "inNextRelease", "has no release", "set the status resolved"):
            self.assertIn(part, advice)
        for status in ("", "resolved", "ignored"):
            self.assertEqual(messages.update_failure_advice(status), messages.FAILURE_ADVICE)

    def test_a_self_hosted_failure_reaches_the_user_of_update_issue(self) -> None:
        answer = Answer(500, json.dumps(INTERNAL_ERROR).encode())
        server = ScriptedServer(("PUT", "/api/0/issues/7/", answer))
        with server, self.assertRaises(ServerFailed) as caught:
            run_action("update_issue", connection_to(server.base), {"issue_id": "7", "hasSeen": True})
        self.assertNotIn("sentry.io", caught.exception.assistance)
        self.assertIn("Internal Error", caught.exception.data)


class TestNotFound(unittest.TestCase):
    def test_an_unknown_environment_is_not_a_wrong_slug_or_id(self) -> None:
        for build, rest in ((messages.project_advice, "Check both slugs"), (messages.issue_advice, "Check the ID")):
            with self.subTest(rest):
                self.assertTrue(build().startswith(rest))
                advice = build("staging\n")
                self.assertTrue(advice.startswith("Check the environment staging? first"))
                self.assertIn(f"404 as well. {rest}", advice)

    def test_a_server_without_short_ids_asks_for_the_number(self) -> None:
        error = short_ids_unsupported("PUMP-STATION-1K")
        self.assertIsInstance(error, InvalidInput)
        self.assertIn("does not find issues by short ID, such as PUMP-STATION-1K", error.cause)
        self.assertIn("numeric ID", error.assistance)

    def test_a_missing_route_and_a_missing_object_differ_by_the_error_object(self) -> None:
        self.assertIs(type(response_error(CONTEXT, response(404, {"detail": "none"}))), NotFound)
        for body in (b"", b"<html>", ["detail"], {"info": "Route not found"}):
            self.assertIs(type(response_error(CONTEXT, response(404, body))), RouteMissing)


class TestWrongAddress(unittest.TestCase):
    def test_a_page_in_response_to_an_event_names_the_dsn(self) -> None:
        context = ErrorContext("the event 1")
        for status in (400, 401, 403, 405, 407):
            error = ingestion_error(context, response(status, PROXY_PAGE))
            self.assertIn("check host and path of the DSN", error.assistance)
            self.assertNotIn("URL of the connection", error.assistance)
        for status in (301, 418):
            error = ingestion_error(context, response(status))
            self.assertIn("check the DSN", error.assistance.replace("Check", "check"))
            self.assertNotIn("URL of the connection", error.assistance)
        for page in (PROXY_PAGE, SENTRY_PAGE):
            unexpected = unexpected_ingestion_response(context, response(200, page))
            self.assertIsInstance(unexpected, HTMLResponse)
            self.assertEqual(
                unexpected.cause, "The response to the request for the event 1 is not one of Sentry's ingestion."
            )
            self.assertIn("Check host and path of the DSN", unexpected.assistance)
            self.assertNotIn("URL of the connection", unexpected.assistance)

    def test_a_retired_ingestion_endpoint_advises_on_the_dsn(self) -> None:
        error = ingestion_error(ErrorContext("the event 1", advice="Check the DSN."), response(410))
        self.assertEqual(error.assistance, "Check the DSN.")

    def test_a_page_in_response_to_an_event_reaches_the_user(self) -> None:
        with ScriptedServer(("POST", "/api/1/store/", Answer(403, PROXY_PAGE))) as server:
            error = submit_error(server)
        self.assertIn("host and path of the DSN", error.assistance)
        self.assertNotIn("URL of the connection", text(error))
        self.assertEqual(error.data, "An HTML page: Access denied")

    def test_a_page_of_the_web_api_names_the_url_of_the_connection(self) -> None:
        error = response_error(CONTEXT, response(403, PROXY_PAGE))
        self.assertIn("host and path of the URL of the connection", error.assistance)
        self.assertNotIn("DSN", error.assistance)

    def test_sentrys_own_page_is_no_proxy(self) -> None:
        error = unexpected_response(CONTEXT, response(200, SENTRY_PAGE))
        self.assertIsInstance(error, HTMLResponse)
        self.assertIn("is Sentry's own web page (200)", error.cause)
        self.assertIn("the path of the URL of the connection is wrong", error.assistance)
        for body in (PROXY_PAGE, b"<html><title>Sentry login</title></html>", b"An HTML page: Sentry", {"a": 1}):
            with self.subTest(body):
                other = unexpected_response(CONTEXT, response(200, body))
                self.assertIsInstance(other, UnexpectedResponse)
                self.assertIn("no login page or proxy", other.assistance)

    def test_a_base_url_with_a_path_is_blamed_for_sentrys_own_page(self) -> None:
        error = not_sentry(response(200, SENTRY_PAGE), (SECRET,), f"/{SECRET}")
        self.assertIn("leads to Sentry's own web page", error.cause)
        self.assertIn("The path of the URL (/********) is wrong.", error.assistance)
        self.assertNotIn("proxy", text(error).lower())
        self.assertIn("The path of the URL is wrong.", not_sentry(response(200, SENTRY_PAGE)).assistance)
        for body, cause in (
            (PROXY_PAGE, "The response is an HTML page"),
            (b"<html><title>Sign in | Sentry</title></html>", "leads to a login page"),
            (b"{}", "is not the base URL"),
        ):
            self.assertIn(cause, not_sentry(response(200, body), path="/acme").cause)

    def test_a_base_url_with_a_path_fails_the_connection_test_with_its_path(self) -> None:
        server = ScriptedServer(("GET", "/acme/api/0/", Answer(200, SENTRY_PAGE)))
        with server, self.assertRaises(ConnectionTestException) as caught:
            connection_to(f"{server.base}/acme").test()
        self.assertIn("leads to Sentry's own web page", caught.exception.cause)
        self.assertIn("(/acme) is wrong", caught.exception.assistance)


class TestAssigneeObject(unittest.TestCase):
    def test_an_assignee_of_an_output_is_refused_with_the_text_to_set(self) -> None:
        for actor, hint in (
            ({"type": "team", "id": "2", "name": "ops"}, "Set assignedTo to team:2."),
            ({"type": "user", "id": 1, "name": "A", "email": "a@example.com"}, "Set assignedTo to user:1."),
            ({"id": "1"}, "Set assignedTo to user:1."),
            ({"type": "user", "name": "A", "email": "a@example.com"}, "Set assignedTo to a@example.com."),
            ({"type": "team", "id": "\u0662"}, "Set assignedTo to team:ID or user:ID"),
            ({"type": "robot", "id": "1"}, "Set assignedTo to team:ID or user:ID"),
            ({"type": "user", "id": "x" * 99, "email": "a@b\nc"}, "Set assignedTo to team:ID or user:ID"),
            ({}, "Set assignedTo to team:ID or user:ID"),
        ):
            for value in (actor, json.dumps(actor)):
                with self.subTest(value), self.assertRaises(InvalidInput) as caught:
                    parse_assignee(value)
                self.assertIn(hint, caught.exception.assistance)
                self.assertIn("'assignedTo' is an object", caught.exception.cause)

    def test_everything_else_stays_as_it_is(self) -> None:
        for value in ("team:2", "a@example.com", "{broken", '["x"]', 7, ["team:2"], "{" * 100_000):
            self.assertIs(parse_assignee(value), value)

    def test_the_action_refuses_it_before_anything_is_sent(self) -> None:
        with ScriptedServer() as server:
            inputs = {"issue_id": "7", "assignedTo": {"type": "team", "id": "2", "name": "ops"}}
            with self.assertRaises(InvalidInput) as caught:
                run_action("update_issue", connection_to(server.base), inputs)
            self.assertEqual(server.received, [])
        self.assertIn("team:2", caught.exception.assistance)


def submit_error(server: ScriptedServer) -> ResponseError:
    """The error of a submit_event whose event the server refuses."""
    dsn = f"http://{PUBLIC_KEY}@{server.base.removeprefix('http://')}/1"
    inputs = {"dsn": dsn, "event_json": {"message": "Pump P-2 stopped"}}
    try:
        run_action("submit_event", connection_to(server.base), inputs)
    except ResponseError as error:
        return error
    raise AssertionError("the event was accepted")
