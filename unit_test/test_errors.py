import json
import time
import unittest
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from komand_sentry.util import errors
from komand_sentry.util.errors import (
    Target,
    happening,
    ingestion_error,
    not_a_sentry,
    response_error,
    server_words,
    shown,
    useless_token,
)
from komand_sentry.util.exchange import MOST_REDIRECTS, Effort, Response, Unreachable

SECRET = "sntryu_" + "0123456789abcdef" * 4
NEXT_TRY = datetime(2026, 8, 1, 12, 30, 5, 750000, UTC)
PAGE = b"<html><title>Sign in to the network</title>"
TARGET = Target("issue {7}", scope="event:read", advice="Check {the} ID.")


def response(body: Any = b"", status: int = 400, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def words(body: Any) -> str:
    return server_words(response(body), (SECRET,))


class ServerWordsTest(unittest.TestCase):
    def test_every_shape_of_a_body_is_a_sentence(self) -> None:
        coded = {"code": "a-code", "message": "Log in first", "extra": {"url": "/x/"}}
        shapes: tuple[tuple[Any, str], ...] = (
            ("Slow down.", "Slow down."),
            (["a", None, "b"], "a; b"),
            ({"detail": "No such issue"}, "No such issue"),
            ({"detail": ["a", "b"]}, "a; b"),
            ({"detail": coded}, "Log in first"),
            ({"message": "Gone."}, "Gone."),
            ({"error": "wrong key", "error_name": "x"}, "wrong key"),
            ({"info": "no such route"}, "no such route"),
            ({"detail": "", "error": "b"}, "b"),
            ({"status": ["no choice", "b"]}, "status: no choice; b"),
            ({"a": ["1"], "b": ["2"]}, "a: 1; b: 2"),
            ({"statusDetails": {"inRelease": ["unknown"]}}, "statusDetails: inRelease: unknown"),
            ({"statusDetails": [{"inRelease": ["unknown"]}]}, "statusDetails: inRelease: unknown"),
            (json.dumps({"detail": "Already posted."}), "Already posted."),
            ("{no json}", "{no json}"),
            ({"detail": "bad", "causes": ["unexpected end", "line 1"]}, "bad (unexpected end; line 1)"),
            ({"detail": "bad", "causes": []}, "bad"),
            (7, "7"),
            ({}, ""),
            ([], ""),
            (None, ""),
            (b"", ""),
            (b"plain\r\n  text\x0b", "plain text"),
            (b"{cut off", "{cut off"),
            ("größer".encode("utf-16"), "\ufffd\ufffdg?r?\ufffd?\ufffd?e?r?"),
            (b"\x1b[2Jcleared", "?[2Jcleared"),
            (b"caf\xe9 \xff", "caf\ufffd \ufffd"),
            (b"<html>\r\n<head><title>502 Bad\n Gateway</title></head>", "An HTML page: 502 Bad Gateway"),
            (b"\n<!DOCTYPE html><body>Hi</body>", "An HTML page"),
            (b"<HTML><title> </title>", "An HTML page"),
            (b"\xef\xbb\xbf<html><title>IIS</title>", "An HTML page: IIS"),
        )
        for body, text in shapes:
            with self.subTest(body):
                self.assertEqual(words(body), text)

    def test_what_is_very_long_or_deep_is_cut(self) -> None:
        deep: Any = "x"
        for _ in range(50):
            deep = {"detail": [deep]}
        bodies: tuple[Any, ...] = (
            "x" * 10**6,
            {"detail": ["x" * 99] * 1000},
            {f"field{number}": ["x"] for number in range(1000)},
            deep,
            b"x" * 10**6,
            b"[" * 10**5,
            b"[" * 900 + b"]" * 900,
            json.dumps('{"a":' * 5000),
            b"9" * 5000,
            b"<html><title>" + b"x" * 10**5 + b"</title>",
        )
        for body in bodies:
            with self.subTest(str(body)[:40]):
                self.assertTrue(0 < len(words(body)) <= errors.LONGEST_WORDS + len("..."))

    def test_secrets_are_blacked_out_wherever_they_stand(self) -> None:
        nested: Any = {"x" * 430: SECRET}
        for _ in range(5):
            nested = {"detail": nested}
        bodies: tuple[Any, ...] = (
            {"detail": f"Invalid token {SECRET}"},
            {SECRET: ["unknown"]},
            f"Bearer {SECRET}".encode(),
            f"<html><title>{SECRET}</title>".encode(),
            {"detail": "x" * (errors.LONGEST_WORDS - 20) + SECRET},
            (f"{'x' * (errors.LONGEST_WORDS - 20)}{SECRET}").encode(),
            nested,
            b" " * (64 * errors.LONGEST_WORDS - 20) + SECRET.encode(),
        )
        for body in bodies:
            with self.subTest(str(body)[:40]):
                # A part of a secret is one already.
                self.assertNotIn(SECRET[:16], words(body))

    def test_no_part_of_a_secret_that_json_escapes_is_left_where_words_are_cut(self) -> None:
        escaped = f"\\u{ord(SECRET[0]):04x}{SECRET[1:]}"
        for start in (0, 100, errors.LONGEST_WORDS - 70, errors.LONGEST_WORDS - 20):
            for depth in (0, 1, 3, 5, 7, 20):
                body = f'{{"{"x" * start}": "{escaped}"}}'
                for _ in range(depth):
                    body = f'{{"detail": {body}}}'
                with self.subTest(start=start, depth=depth):
                    self.assertNotIn(SECRET[:16], words(body.encode()))

    def test_reading_a_body_takes_time_in_proportion_to_its_size(self) -> None:
        for body in (
            b"<html>" + b"<title>" * 10_000,
            b"<html>" + b"<title " * 20_000,
            b"<html><title>" + b" " * 10**6,
            b"<" * 10**6,
            b'{"' * 10**5,
            b"log sign " * 10**5,
        ):
            with self.subTest(body[:20]):
                started = time.process_time()
                words(body)
                not_a_sentry(response(body), (SECRET,))
                self.assertLess(time.process_time() - started, 0.5)

    def test_a_secret_within_another_leaves_nothing_of_that_one(self) -> None:
        for secrets in ((SECRET[10:20], SECRET), (SECRET, SECRET[10:20]), ("c", SECRET), (SECRET[:20], SECRET)):
            with self.subTest(secrets):
                left = server_words(response({"detail": f"Invalid key {SECRET}."}), secrets)
                self.assertNotIn(SECRET[-16:], left)
                self.assertNotIn(SECRET[:7], left)

    def test_an_empty_secret_blacks_nothing_out(self) -> None:
        self.assertEqual(server_words(response({"detail": "bad"}), ("",)), "bad")


class ResponseErrorTest(unittest.TestCase):
    def test_every_status_says_what_happened_and_what_to_do(self) -> None:
        for status in (*range(300, 309), *range(400, 431), 451, *range(500, 512), 520, 599):
            for make in (response_error, ingestion_error):
                with self.subTest(status=status, make=make.__name__):
                    error = make(TARGET, response({"detail": "so be it"}, status))
                    self.assertIn(str(status), error.cause)
                    self.assertTrue(error.assistance)
                    self.assertEqual((error.status_code, error.data), (status, "so be it"))

    def test_the_words_fit_the_status(self) -> None:
        cases = {
            302: ("redirect", "followed only within the API"),
            400: ("invalid", "own words"),
            401: ("token", "expired"),
            403: ("issue {7}", "scope event:read"),
            404: ("issue {7}", "Check {the} ID."),
            405: ("unexpected", "URL"),
            409: ("issue {7}", "Wait"),
            410: ("no longer", "organization_slug"),
            413: ("too large", "1 MiB"),
            429: ("rate", "Wait 60 seconds"),
            500: ("failed", "not of the input"),
            502: ("failed", "proxy"),
        }
        for status, (cause, assistance) in cases.items():
            with self.subTest(status):
                error = response_error(TARGET, response(status=status))
                self.assertIn(cause, error.cause)
                self.assertIn(assistance, error.assistance)

    def test_at_ingestion_the_dsn_is_to_blame_and_not_the_token(self) -> None:
        for status in (400, 401, 403):
            with self.subTest(status):
                error = ingestion_error(TARGET, response(status=status))
                self.assertIn("DSN", error.assistance)
                self.assertNotIn("token", error.cause + error.assistance)

    def test_how_long_a_server_wants_to_be_left_alone_is_told_in_full(self) -> None:
        waits: tuple[tuple[float, str], ...] = (
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
        )
        for seconds, wait in waits:
            effort = Effort(next_wait=seconds, next_try=NEXT_TRY)
            for make in (response_error, ingestion_error):
                with self.subTest(seconds=seconds, make=make.__name__):
                    error = make(TARGET, replace(response(status=429), effort=effort))
                    self.assertIn(f"Wait {wait} and", error.assistance)
                    self.assertIn(f"makes sense in {wait}, from 2026-08-01 12:30:05 UTC on", error.assistance)
                    self.assertIn("timeout of the connection", error.assistance)

    def test_what_the_step_did_by_itself_is_told_where_it_did_anything(self) -> None:
        for effort, told in (
            (Effort(), ""),
            (Effort(requests=3, redirects=2), ""),
            (Effort(requests=2, waited=0.0), "sent 2 requests and waited 0 seconds between them."),
            (Effort(requests=8, waited=31.2, redirects=1), "sent 8 requests and waited 32 seconds between them."),
            (Effort(requests=2, waited=1.0), "sent 2 requests and waited 1 second between them."),
        ):
            failed = replace(response(status=503), effort=effort)
            for error in (
                response_error(TARGET, failed),
                ingestion_error(TARGET, failed),
                errors.unreachable_error("h.example", Unreachable("lost", "the reason", effort)),
            ):
                with self.subTest(effort=effort, cause=error.cause):
                    self.assertIn(told, error.assistance)
                    self.assertIs("requests and waited" in error.assistance, bool(told))
                    self.assertNotIn("Another try", error.assistance)

    def test_an_organization_token_is_named_where_it_is_what_stands_in_the_way(self) -> None:
        for status, is_named in ((401, False), (403, True), (404, False)):
            with self.subTest(status):
                error = response_error(TARGET, response(status=status), organization_token=True)
                self.assertIs("is an organization token" in error.cause, is_named)
        self.assertIn("event:read", response_error(TARGET, response(status=403), organization_token=True).assistance)

    def test_a_page_for_people_is_not_taken_for_sentrys_own_answer(self) -> None:
        for status in (400, 401, 403, 405, 407):
            for organization_token in (False, True):
                with self.subTest(status=status, organization_token=organization_token):
                    error = response_error(TARGET, response(PAGE, status), organization_token=organization_token)
                    self.assertIn("HTML page", error.cause)
                    self.assertIn(str(status), error.cause)
                    self.assertIn("proxy", error.assistance)
                    self.assertEqual(error.data, "An HTML page: Sign in to the network")
        for status, cause in (
            (404, "found no"),
            (413, "too large"),
            (414, "too long"),
            (429, "rate"),
            (500, "failed"),
            (503, "failed"),
            (302, "redirect"),
        ):
            with self.subTest(status):
                self.assertIn(cause, response_error(TARGET, response(PAGE, status)).cause)

    def test_redirects_without_end_are_told_from_one_that_leads_away(self) -> None:
        for redirects, cause in ((0, "to another address"), (MOST_REDIRECTS, "one redirect after another")):
            effort = Effort(requests=redirects + 1, redirects=redirects)
            with self.subTest(redirects):
                self.assertIn(cause, response_error(TARGET, replace(response(status=307), effort=effort)).cause)

    def test_where_a_redirect_leads_is_shown_without_secrets(self) -> None:
        moved = response({"detail": {"message": "Moved"}}, 302, location=f"/api/0/x/?token={SECRET}")
        for error in (response_error(TARGET, moved, (SECRET,)), not_a_sentry(moved, (SECRET,))):
            self.assertEqual(error.data, "Moved. Location: /api/0/x/?token=********")
        self.assertEqual(response_error(TARGET, response(status=302, location="/login/")).data, "Location: /login/")

    def test_an_answer_that_is_not_sentrys_shows_what_came(self) -> None:
        page = response(f"<html><title>Login {SECRET}</title>".encode(), 200)
        for error in (errors.unexpected_answer(TARGET, page, (SECRET,)), not_a_sentry(page, (SECRET,))):
            self.assertEqual((error.data, error.status_code), ("An HTML page: Login ********", 200))
            self.assertIn("URL of the connection", error.cause + error.assistance)


class NotASentryTest(unittest.TestCase):
    def test_a_login_a_foreign_page_and_anything_else_are_told_apart(self) -> None:
        login, foreign, other = "leads to a login page", "came in place of", "is not the base URL of a Sentry server."
        cases: tuple[tuple[Response, str], ...] = (
            (response(status=302, location="https://sso.example.com/login?next=/"), login),
            (response(status=302, location="/auth/sign-in/"), login),
            (response(status=302, location="/users/sign_in"), login),
            (response(status=302, location="/user_login/"), login),
            (response(PAGE, 200), login),
            (response(b"<html><form><input type='password'>", 200), login),
            (response(b"<!doctype html><body>Single Sign-On", 403), login),
            (response(b"<html><title>Blocked by policy</title>", 200), foreign),
            (response(b"\n<HTML><title>404 Not Found</title>", 404), foreign),
            (response({"detail": "log in first"}, 404), other),
            (response({"version": 7}, 200), other),
            (response(b"It works!", 200), other),
            (response(b"", 404), other),
            (response(status=301, location="https://www.example.com/"), other),
        )
        for given, cause in cases:
            with self.subTest(body=given.body, location=given.header("location")):
                error = not_a_sentry(given)
                self.assertIn(cause, error.cause)
                self.assertTrue(error.assistance)
                self.assertEqual(error.status_code, given.status)

    def test_words_that_only_contain_the_word_for_a_login_make_no_login_page(self) -> None:
        for word in ("backlog in", "catalog index", "designing", "assigning", "signing", "lossoes"):
            with self.subTest(word):
                self.assertNotIn("login", not_a_sentry(response(f"<html><p>{word}".encode(), 404)).cause)


class OtherErrorTest(unittest.TestCase):
    def test_every_kind_of_failure_names_the_host_and_what_to_do(self) -> None:
        seen = set()
        for kind in errors.UNREACHABLE:
            with self.subTest(kind):
                error = errors.unreachable_error("h{0}.example:9000", Unreachable(kind, "the reason"))
                self.assertIn("h{0}.example:9000", error.cause)
                self.assertEqual(error.data, "the reason")
                seen.add((error.cause, error.assistance))
        self.assertEqual(len(seen), len(errors.UNREACHABLE))

    def test_a_kind_that_nobody_knows_is_a_failed_connection(self) -> None:
        self.assertIn("failed", errors.unreachable_error("h.example", Unreachable("new", "")).cause)

    def test_a_failure_tells_what_was_tried_and_when_another_try_makes_sense(self) -> None:
        effort = Effort(requests=7, waited=47.0, next_wait=16.0, next_try=NEXT_TRY)
        error = errors.unreachable_error("h.example", Unreachable("refused", "the reason", effort))
        self.assertIn("sent 7 requests and waited 47 seconds", error.assistance)
        self.assertIn("in 16 seconds, from 2026-08-01 12:30:05 UTC on", error.assistance)

    def test_a_useless_token_is_told_what_it_lacks(self) -> None:
        for scopes, shown_scopes in (((), "none"), (("org:ci", "project:read"), "org:ci, project:read")):
            for is_of_organization in (False, True):
                with self.subTest(scopes=scopes, is_of_organization=is_of_organization):
                    error = useless_token(scopes, is_of_organization)
                    self.assertIs("organization token" in error.cause, is_of_organization)
                    self.assertIn("event:read", error.assistance)
                    self.assertIn("event:write", error.assistance)
                    self.assertEqual(error.data, f"Scopes of the token: {shown_scopes}")

    def test_a_broken_listing_shows_the_servers_link_without_secrets(self) -> None:
        last = response(b"[]", 200, link=f'<https://h.example/?token={SECRET}>; rel="next"')
        error = errors.broken_listing(TARGET, "it goes in a circle", last, (SECRET,))
        self.assertIn("issue {7} cannot be read to its end: it goes in a circle.", error.cause)
        self.assertIn("limit below 100", error.assistance)
        self.assertEqual(error.data, '<https://h.example/?token=********>; rel="next"')

    def test_the_log_says_in_a_line_why_a_request_is_sent_again(self) -> None:
        for outcome, line in (
            (response(status=429), "h{0}.example:9000 limits the rate of requests (429)."),
            (response(PAGE, status=503), "h{0}.example:9000 failed (503)."),
            (Unreachable("lost", "the reason"), "h{0}.example:9000 closed the connection before it answered."),
            (Unreachable("resolver", ""), "The name h{0}.example:9000 could not be resolved just now."),
            (Unreachable("new", ""), "The connection to h{0}.example:9000 failed."),
        ):
            with self.subTest(line):
                self.assertEqual(happening("h{0}.example:9000", outcome), line)
        for kind in errors.UNREACHABLE:
            with self.subTest(kind):
                self.assertNotIn("\n", happening("h.example", Unreachable(kind, "")))

    def test_an_input_error_says_what_it_was_given(self) -> None:
        error = errors.input_error("The cause.", "The assistance.")
        self.assertEqual((error.cause, error.assistance), ("The cause.", "The assistance."))

    def test_a_text_of_the_input_is_shown_on_one_line_and_not_too_long(self) -> None:
        for text, expected in (
            ("pump station", "pump station"),
            ("a\r\nb\x1b\u2028c", "a??b??c"),
            ("\ud800", "?"),
            ("x" * errors.LONGEST_NAME, "x" * errors.LONGEST_NAME),
            ("x" * (errors.LONGEST_NAME + 1), "x" * errors.LONGEST_NAME + "..."),
        ):
            with self.subTest(repr(text)):
                self.assertEqual(shown(text), expected)
