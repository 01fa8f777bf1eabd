import json
import unittest
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from insightconnect_plugin_runtime.exceptions import APIException, PluginException

from komand_sentry.util.errors.exceptions import (
    BadRequest,
    Forbidden,
    Gone,
    NotFound,
    RateLimited,
    ResponseError,
    RouteMissing,
    ServerFailed,
    Unauthorized,
)
from komand_sentry.util.errors.factory import (
    ErrorContext,
    ingestion_error,
    insufficient_scopes,
    invalid_input,
    not_sentry,
    pagination_error,
    response_error,
    transport_error,
    unexpected_response,
)
from komand_sentry.util.http.messages import MAX_REDIRECTS, AttemptStats, FailureKind, Response, TransportError

SECRET = "sntryu_" + "0123456789abcdef" * 4
NEXT_ATTEMPT = datetime(2026, 8, 1, 12, 30, 5, 750000, UTC)
PAGE = b"<html><title>Sign in to the network</title>"
CONTEXT = ErrorContext("issue {7}", scope="event:read", advice="Check {the} ID.")


def response(body: Any = b"", status: int = 400, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def with_stats(status: int, **stats: Any) -> Response:
    return replace(response(status=status), stats=AttemptStats(**stats))


class ExceptionTypeTest(unittest.TestCase):
    def test_type_follows_the_status(self) -> None:
        for status, error_type in (
            (301, ResponseError),
            (400, BadRequest),
            (401, Unauthorized),
            (403, Forbidden),
            (404, NotFound),
            (405, ResponseError),
            (409, ResponseError),
            (410, Gone),
            (413, ResponseError),
            (422, BadRequest),
            (429, RateLimited),
            (500, ServerFailed),
            (501, ServerFailed),
            (502, ServerFailed),
            (503, ServerFailed),
            (599, ServerFailed),
        ):
            for make in (response_error, ingestion_error):
                with self.subTest(status=status, make=make.__name__):
                    error = make(CONTEXT, response({"detail": "The reason"}, status))
                    self.assertIs(type(error), error_type)
                    self.assertIsInstance(error, APIException)
                    self.assertEqual(error.status_code, status)

    def test_404_without_an_error_object_is_a_missing_route(self) -> None:
        for body, error_type in (
            ({"detail": "The requested resource does not exist"}, NotFound),
            ({"detail": ""}, NotFound),
            ({"error": "no such route"}, RouteMissing),
            ({}, RouteMissing),
            (["detail"], RouteMissing),
            ("detail", RouteMissing),
            (b"", RouteMissing),
            (b"<html><title>Page Not Found</title>", RouteMissing),
            (b"[" * 100_000, RouteMissing),
        ):
            with self.subTest(str(body)[:60]):
                error = response_error(CONTEXT, response(body, 404))
                self.assertIs(type(error), error_type)
                self.assertIsInstance(error, NotFound)

    def test_html_page_keeps_the_type_of_its_status(self) -> None:
        for status, error_type in ((400, BadRequest), (401, Unauthorized), (403, Forbidden), (404, RouteMissing)):
            with self.subTest(status):
                self.assertIs(type(response_error(CONTEXT, response(PAGE, status))), error_type)


class ResponseErrorTest(unittest.TestCase):
    def test_every_status_has_a_cause_an_assistance_and_the_servers_message(self) -> None:
        for status in (*range(300, 309), *range(400, 431), 451, *range(500, 512), 520, 599):
            for make in (response_error, ingestion_error):
                error = make(CONTEXT, response({"detail": "The reason"}, status))
                details = f"{make.__name__}: {status}"
                self.assertIn(str(status), error.cause, details)
                self.assertTrue(error.assistance, details)
                self.assertEqual((error.status_code, error.data), (status, "The reason"), details)

    def test_texts_name_the_object_and_the_remedy(self) -> None:
        for status, cause, assistance in (
            (302, "redirect", "URL of the connection"),
            (400, "invalid", "server's response"),
            (401, "token", "expired"),
            (403, "issue {7}", "scope event:read"),
            (404, "issue {7}", "Check {the} ID."),
            (405, "unexpected", "URL"),
            (409, "issue {7}", "again"),
            (410, "no longer", "organization_slug"),
            (413, "too large", "1 MiB"),
            (414, "too long", "query"),
            (429, "rate", "60 seconds"),
            (500, "failed", "an input is one that this version does not support"),
            (503, "failed", "input is not the cause"),
            (502, "failed", "proxy"),
        ):
            with self.subTest(status):
                error = response_error(CONTEXT, response(status=status))
                self.assertIn(cause, error.cause)
                self.assertIn(assistance, error.assistance)

    def test_ingestion_errors_name_the_dsn_and_not_the_token(self) -> None:
        for status in (400, 401, 403):
            with self.subTest(status):
                error = ingestion_error(CONTEXT, response(status=status))
                self.assertIn("DSN", error.assistance)
                self.assertNotIn("token", error.cause + error.assistance)

    def test_delay_of_the_server_is_reported(self) -> None:
        for seconds, duration in (
            (0.1, "1 second"),
            (1.0, "1 second"),
            (1.01, "2 seconds"),
            (60.0, "60 seconds"),
            (119.0, "119 seconds"),
            (119.5, "2 minutes"),
            (121.0, "3 minutes"),
            (3600.0, "60 minutes"),
            (7200.0, "2 hours"),
            (86400.0 * 365, "8760 hours"),
        ):
            limited = with_stats(429, next_delay=seconds, next_attempt_at=NEXT_ATTEMPT)
            for make in (response_error, ingestion_error):
                with self.subTest(seconds=seconds, make=make.__name__):
                    assistance = make(CONTEXT, limited).assistance
                    self.assertIn(f"Wait {duration} and", assistance)
                    self.assertIn(f"Retry after {duration} ", assistance)
                    self.assertIn("2026-08-01 12:30:05 UTC", assistance)
                    self.assertIn("timeout of the connection", assistance)

    def test_retries_of_the_step_are_reported(self) -> None:
        for stats, summary in (
            (AttemptStats(), ""),
            (AttemptStats(requests=3, redirects=2), ""),
            (AttemptStats(requests=2, waited=0.0), "sent 2 requests and waited 0 seconds"),
            (AttemptStats(requests=8, waited=31.2, redirects=1), "sent 8 requests and waited 32 seconds"),
            (AttemptStats(requests=2, waited=1.0), "sent 2 requests and waited 1 second "),
        ):
            failed = replace(response(status=503), stats=stats)
            for error in (
                response_error(CONTEXT, failed),
                ingestion_error(CONTEXT, failed),
                transport_error("h.example", TransportError(FailureKind.CLOSED, "the reason", stats)),
            ):
                with self.subTest(stats=stats, cause=error.cause):
                    self.assertIn(summary, error.assistance)
                    self.assertIs("requests and waited" in error.assistance, bool(summary))
                    self.assertNotIn("Retry after", error.assistance)

    def test_organization_token_is_named_as_the_cause_of_a_403(self) -> None:
        for status, is_named in ((401, False), (403, True), (404, False)):
            with self.subTest(status):
                error = response_error(CONTEXT, response(status=status), is_organization_token=True)
                self.assertIs("organization token" in error.cause, is_named)
        error = response_error(CONTEXT, response(status=403), is_organization_token=True)
        self.assertIn("event:read", error.assistance)

    def test_html_page_is_not_a_response_of_sentry(self) -> None:
        for status in (400, 401, 403, 405, 407):
            for is_organization_token in (False, True):
                with self.subTest(status=status, is_organization_token=is_organization_token):
                    error = response_error(CONTEXT, response(PAGE, status), (), is_organization_token)
                    self.assertIn("HTML page", error.cause)
                    self.assertIn(str(status), error.cause)
                    self.assertIn("proxy", error.assistance)
                    self.assertEqual(error.data, "An HTML page: Sign in to the network")

    def test_html_page_with_a_status_that_sentry_sends_as_html_is_explained_by_its_status(self) -> None:
        for status, cause in (
            (302, "redirect"),
            (404, "found no"),
            (413, "too large"),
            (414, "too long"),
            (429, "rate"),
            (500, "failed"),
            (503, "failed"),
        ):
            with self.subTest(status):
                self.assertIn(cause, response_error(CONTEXT, response(PAGE, status)).cause)

    def test_redirect_loop_is_distinguished_from_a_redirect_to_another_address(self) -> None:
        for redirects, cause in ((0, "another address"), (MAX_REDIRECTS, "too many times")):
            with self.subTest(redirects):
                looped = with_stats(307, requests=redirects + 1, redirects=redirects)
                self.assertIn(cause, response_error(CONTEXT, looped).cause)

    def test_location_of_a_redirect_is_quoted_without_secrets(self) -> None:
        moved = response({"detail": {"message": "Moved"}}, 302, location=f"/api/0/x/?token={SECRET}")
        for error in (response_error(CONTEXT, moved, (SECRET,)), not_sentry(moved, (SECRET,))):
            self.assertEqual(error.data, "Moved. Location: /api/0/x/?token=********")

    def test_unexpected_response_quotes_the_page_without_secrets(self) -> None:
        page = response(f"<html><title>Login {SECRET}</title>".encode(), 200)
        for error in (unexpected_response(CONTEXT, page, (SECRET,)), not_sentry(page, (SECRET,))):
            self.assertEqual((error.data, error.status_code), ("An HTML page: Login ********", 200))
            self.assertIn("URL of the connection", error.cause + error.assistance)


class NotSentryTest(unittest.TestCase):
    def test_login_page_other_page_and_other_server_are_distinguished(self) -> None:
        login, other_page, other_server = (
            "leads to a login page",
            "HTML page instead of",
            "is not the base URL of a Sentry",
        )
        for foreign, cause in (
            (response(status=302, location="https://sso.example.com/login?next=/"), login),
            (response(PAGE, 200), login),
            (response(b"<html><title>Blocked by policy</title>", 200), other_page),
            (response(b"\n<HTML><title>404 Not Found</title>", 404), other_page),
            (response({"detail": "log in first"}, 404), other_server),
            (response({"version": 7}, 200), other_server),
            (response(b"It works!", 200), other_server),
            (response(b"", 404), other_server),
            (response(status=301, location="https://www.example.com/"), other_server),
        ):
            with self.subTest(body=foreign.body, location=foreign.header("location")):
                error = not_sentry(foreign)
                self.assertIn(cause, error.cause)
                self.assertTrue(error.assistance)
                self.assertEqual(error.status_code, foreign.status)


class OtherErrorTest(unittest.TestCase):
    def test_every_kind_of_failure_names_the_host_and_a_remedy(self) -> None:
        texts = set()
        for kind in FailureKind:
            with self.subTest(kind):
                error = transport_error("h{0}.example:9000", TransportError(kind, "the reason"))
                self.assertIn("h{0}.example:9000", error.cause)
                self.assertTrue(error.assistance)
                self.assertEqual(error.data, "the reason")
                texts.add((error.cause, error.assistance))
        self.assertEqual(len(texts), len(FailureKind))

    def test_transport_error_reports_attempts_and_the_next_one(self) -> None:
        stats = AttemptStats(requests=7, waited=47.0, next_delay=16.0, next_attempt_at=NEXT_ATTEMPT)
        error = transport_error("h.example", TransportError(FailureKind.REFUSED, "the reason", stats))
        self.assertIn("sent 7 requests and waited 47 seconds", error.assistance)
        self.assertIn("Retry after 16 seconds (not before 2026-08-01 12:30:05 UTC)", error.assistance)

    def test_insufficient_scopes_are_listed_with_the_ones_to_add(self) -> None:
        for scopes, listed in (((), "none"), (("org:ci", "project:read"), "org:ci, project:read")):
            for is_organization_token in (False, True):
                with self.subTest(scopes=scopes, is_organization_token=is_organization_token):
                    error = insufficient_scopes(scopes, is_organization_token)
                    self.assertIs("organization token" in error.cause, is_organization_token)
                    self.assertIn("event:read", error.assistance)
                    self.assertIn("event:write", error.assistance)
                    self.assertEqual(error.data, f"Scopes of the token: {listed}")

    def test_pagination_error_names_the_list_and_the_problem(self) -> None:
        error = pagination_error(CONTEXT, "the server repeats a page")
        self.assertIn("issue {7}", error.cause)
        self.assertIn("the server repeats a page", error.cause)
        self.assertIn("limit", error.assistance)

    def test_invalid_input_has_the_given_texts(self) -> None:
        error = invalid_input("The cause.", "The assistance.")
        self.assertIsInstance(error, PluginException)
        self.assertEqual((error.cause, error.assistance), ("The cause.", "The assistance."))
