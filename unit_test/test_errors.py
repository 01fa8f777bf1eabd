import json
import unittest
from typing import Any

from komand_sentry.util import errors
from komand_sentry.util.errors import Target, ingestion_error, not_a_sentry, response_error, server_words, shown
from komand_sentry.util.exchange import Response, Unreachable

SECRET = "sntryu_" + "0123456789abcdef" * 4
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
            302: ("redirect", "not followed"),
            400: ("invalid", "own words"),
            401: ("token", "expired"),
            403: ("issue {7}", "scope event:read"),
            404: ("issue {7}", "Check {the} ID."),
            405: ("unexpected", "URL"),
            409: ("issue {7}", "Wait"),
            410: ("no longer", "later"),
            413: ("too large", "1 MiB"),
            429: ("rate", "a minute"),
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

    def test_retry_after_is_shown_where_it_is_in_seconds(self) -> None:
        date = "Sat, 01 Aug 2026 12:00:00 GMT"
        for header, wait in (("60", "60 seconds"), (date, "a minute"), ("9" * 9, "a minute"), ("²", "a minute")):
            for make in (response_error, ingestion_error):
                with self.subTest(header=header, make=make.__name__):
                    error = make(TARGET, response(status=429, retry_after=header))
                    self.assertIn(f"Wait {wait} and", error.assistance)

    def test_where_a_redirect_leads_is_shown_without_secrets(self) -> None:
        moved = response({"detail": {"message": "Moved"}}, 302, location=f"/api/0/x/?token={SECRET}")
        for error in (response_error(TARGET, moved, (SECRET,)), not_a_sentry(moved, (SECRET,))):
            self.assertEqual(error.data, "Moved Location: /api/0/x/?token=********")
        self.assertEqual(response_error(TARGET, response(status=302, location="/login/")).data, "Location: /login/")

    def test_an_answer_that_is_not_sentrys_shows_what_came(self) -> None:
        page = response(f"<html><title>Login {SECRET}</title>".encode(), 200)
        for error in (errors.unexpected_answer(TARGET, page, (SECRET,)), not_a_sentry(page, (SECRET,))):
            self.assertEqual((error.data, error.status_code), ("An HTML page: Login ********", 200))
            self.assertIn("URL of the connection", error.cause + error.assistance)


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
