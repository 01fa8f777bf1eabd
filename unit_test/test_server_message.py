import json
import time
import unittest
from typing import Any

from komand_sentry.util.errors.redaction import MAX_QUOTE_LENGTH
from komand_sentry.util.errors.server_message import is_html, is_login_page, message_and_location, server_message
from komand_sentry.util.http.messages import Response

SECRET = "sntryu_" + "0123456789abcdef" * 4


def response(body: Any = b"", status: int = 400, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def message(body: Any) -> str:
    return server_message(response(body), (SECRET,))


class ServerMessageTest(unittest.TestCase):
    def test_every_form_of_a_body_becomes_one_line(self) -> None:
        coded = {"code": "a-code", "message": "Log in first", "extra": {"url": "/x/"}}
        bodies: tuple[tuple[Any, str], ...] = (
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
        for body, text in bodies:
            with self.subTest(body):
                self.assertEqual(message(body), text)

    def test_long_and_deep_bodies_are_truncated(self) -> None:
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
                self.assertTrue(0 < len(message(body)) <= MAX_QUOTE_LENGTH + len("..."))

    def test_secrets_are_redacted_everywhere(self) -> None:
        nested: Any = {"x" * 430: SECRET}
        for _ in range(5):
            nested = {"detail": nested}
        bodies: tuple[Any, ...] = (
            {"detail": f"Invalid token {SECRET}"},
            {SECRET: ["unknown"]},
            f"Bearer {SECRET}".encode(),
            f"<html><title>{SECRET}</title>".encode(),
            {"detail": "x" * (MAX_QUOTE_LENGTH - 20) + SECRET},
            (f"{'x' * (MAX_QUOTE_LENGTH - 20)}{SECRET}").encode(),
            nested,
            b" " * (64 * MAX_QUOTE_LENGTH - 20) + SECRET.encode(),
        )
        for body in bodies:
            with self.subTest(str(body)[:40]):
                # A part of a secret is a secret, too.
                self.assertNotIn(SECRET[:16], message(body))

    def test_truncation_leaves_no_part_of_an_escaped_secret(self) -> None:
        escaped = f"\\u{ord(SECRET[0]):04x}{SECRET[1:]}"
        for start in (0, 100, MAX_QUOTE_LENGTH - 70, MAX_QUOTE_LENGTH - 20):
            for depth in (0, 1, 3, 5, 7, 20):
                body = f'{{"{"x" * start}": "{escaped}"}}'
                for _ in range(depth):
                    body = f'{{"detail": {body}}}'
                with self.subTest(start=start, depth=depth):
                    self.assertNotIn(SECRET[:16], message(body.encode()))

    def test_time_is_proportional_to_the_size_of_the_body(self) -> None:
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
                message(body)
                is_login_page(response(body))
                self.assertLess(time.process_time() - started, 0.5)

    def test_location_of_a_redirect_follows_the_message(self) -> None:
        for body, location, text in (
            (
                {"detail": {"message": "Moved"}},
                f"/api/0/x/?token={SECRET}",
                "Moved. Location: /api/0/x/?token=********",
            ),
            ({"detail": "Moved!"}, "/login/", "Moved! Location: /login/"),
            (b"", "/login/", "Location: /login/"),
            ({"detail": "Moved"}, "", "Moved"),
        ):
            with self.subTest(text):
                self.assertEqual(message_and_location(response(body, 302, location=location), (SECRET,)), text)


class PageTest(unittest.TestCase):
    def test_html_is_recognized_by_its_start(self) -> None:
        for body, expected in (
            (b"<html>", True),
            (b"\n <!DOCTYPE html>", True),
            (b"\xef\xbb\xbf<HEAD>", True),
            (b"<?xml version='1.0'?>", True),
            (b'{"detail": "<html>"}', False),
            (b"It works: <html>", False),
            (b"", False),
        ):
            with self.subTest(body):
                self.assertIs(is_html(response(body)), expected)

    def test_login_page_is_recognized_by_its_text_or_its_location(self) -> None:
        for page in (
            response(status=302, location="https://sso.example.com/login?next=/"),
            response(status=302, location="/auth/sign-in/"),
            response(status=302, location="/users/sign_in"),
            response(status=302, location="/user_login/"),
            response(b"<html><title>Sign in to the network</title>", 200),
            response(b"<html><form><input type='password'>", 200),
            response(b"<!doctype html><body>Single Sign-On", 403),
        ):
            with self.subTest(body=page.body, location=page.header("location")):
                self.assertTrue(is_login_page(page))

    def test_other_pages_are_not_login_pages(self) -> None:
        for page in (
            response(b"<html><title>Blocked by policy</title>", 200),
            response({"detail": "log in first"}, 404),
            response(status=301, location="https://www.example.com/"),
            *(
                response(f"<html><p>{word}".encode(), 404)
                for word in ("backlog in", "catalog index", "designing", "assigning", "signing", "lossoes")
            ),
        ):
            with self.subTest(body=page.body, location=page.header("location")):
                self.assertFalse(is_login_page(page))
