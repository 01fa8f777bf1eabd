import base64
import json
import unittest
from typing import Any

from komand_sentry.util.sentry.auth_token import MAX_TOKEN_LENGTH, TokenType, is_valid_token, token_type

SECRET = "0123456789abcdef" * 4


def organization_token(claims: Any, secret: str = SECRET) -> str:
    return f"sntrys_{base64.b64encode(json.dumps(claims).encode()).decode()}_{secret}"


class TokenTypeTest(unittest.TestCase):
    def test_prefix_shows_the_type(self) -> None:
        for token, name, is_organization_token in (
            (f"sntryu_{SECRET}", "user token", False),
            (f"sntrys_{SECRET}", "organization token", True),
            (f"sntryi_{SECRET}", "token of an internal integration", False),
            (f"sntrya_{SECRET}", "token of an OAuth application", False),
            ("sntrys_", "organization token", True),
            (SECRET, "token of a user or an internal integration, from before 2024", False),
        ):
            with self.subTest(token):
                found = token_type(token)
                self.assertEqual((found.name, found.region), (name, ""))
                self.assertIs(found.is_organization_token, is_organization_token)

    def test_other_tokens_have_an_unknown_type(self) -> None:
        for token in (
            "",
            "a-token",
            SECRET[:-1],
            SECRET + "0",
            SECRET.upper(),
            f"{SECRET}\n",
            f"SNTRYS_{SECRET}",
            "sntry",
        ):
            with self.subTest(token):
                self.assertEqual(token_type(token), TokenType("token of an unknown type"))

    def test_type_contains_no_part_of_the_token(self) -> None:
        for prefix in ("", "sntryu_", "sntrys_", "sntryi_", "sntrya_", "other_"):
            with self.subTest(prefix):
                self.assertNotIn(SECRET[:8], repr(token_type(prefix + SECRET)))


class RegionTest(unittest.TestCase):
    def test_organization_token_names_its_server(self) -> None:
        us, de = "https://us.sentry.io", "https://de.sentry.io"
        cases: tuple[tuple[dict[str, Any], str], ...] = (
            ({"iat": 1700000000.5, "url": "https://sentry.io", "region_url": de, "org": "acme"}, de),
            ({"url": us, "region_url": ""}, us),
            ({"url": us, "region_url": None}, us),
            ({"url": us}, us),
            ({"region_url": f"{de}/api/0/"}, de),
            ({"region_url": "https://sentry.example.com:9000/s/"}, "https://sentry.example.com:9000/s"),
            ({"region_url": "http://localhost:9000"}, "http://localhost:9000"),
        )
        for claims, region in cases:
            with self.subTest(claims):
                self.assertEqual(token_type(organization_token(claims)).region, region)

    def test_secret_may_contain_base64_characters(self) -> None:
        for secret in (SECRET, "a+b/c=", ""):
            with self.subTest(secret):
                token = organization_token({"region_url": "https://de.sentry.io"}, secret)
                self.assertEqual(token_type(token).region, "https://de.sentry.io")

    def test_base64_padding_is_optional(self) -> None:
        for name in ("a", "ab", "abc"):
            with self.subTest(name):
                claims = {"org": name, "url": "https://de.sentry.io"}
                token = "_".join(part.rstrip("=") for part in organization_token(claims).split("_"))
                self.assertEqual(token_type(token).region, "https://de.sentry.io")

    def test_plain_http_region_is_ignored(self) -> None:
        for url in ("http://sentry.example.com", "http://10.0.0.7:9000", "http://localhost.example.com"):
            with self.subTest(url):
                self.assertEqual(token_type(organization_token({"region_url": url})).region, "")

    def test_invalid_region_is_ignored(self) -> None:
        claims: tuple[Any, ...] = (
            {},
            [],
            None,
            "https://de.sentry.io",
            7,
            {"region_url": 7},
            {"region_url": ["https://de.sentry.io"]},
            {"region_url": {"url": "https://de.sentry.io"}},
            {"region_url": ""},
            {"region_url": "ftp://de.sentry.io"},
            {"region_url": "https://user1@de.sentry.io"},
            {"region_url": "https://de.sentry.io/../x"},
            {"region_url": "https://de.sentry.io/?a=b"},
            {"region_url": "https://h.example\\@de.sentry.io"},
            {"region_url": "https://de.sentry.io\r\nX-Evil: 1"},
        )
        for claim in claims:
            with self.subTest(claim):
                self.assertEqual(token_type(organization_token(claim)), TokenType("organization token"))

    def test_invalid_payload_is_ignored(self) -> None:
        for payload in (
            "",
            "_",
            "!",
            "a",
            "____",
            "gr\u00f6\u00dfe",
            "\ud800",
            "eyJ1cmwi!OiJodHRwczovL2RlLnNlbnRyeS5pbyJ9",
            base64.b64encode(b"\xff\xfe{").decode(),
            base64.b64encode(b"{").decode(),
            base64.b64encode(b"\x00" * 100).decode(),
            base64.b64encode(b"[" * (MAX_TOKEN_LENGTH // 2)).decode(),
            base64.b64encode(b"[" * 100_000).decode(),
            base64.b64encode(b"9" * 5000).decode(),
        ):
            with self.subTest(repr(payload[:40])):
                self.assertEqual(token_type(f"sntrys_{payload}_{SECRET}"), TokenType("organization token"))


class ValidTokenTest(unittest.TestCase):
    def test_valid_token_is_printable_ascii_without_spaces(self) -> None:
        for token, is_valid in (
            (SECRET, True),
            ("x" * MAX_TOKEN_LENGTH, True),
            ("x" * (MAX_TOKEN_LENGTH + 1), False),
            ("", False),
            ("two words", False),
            ("line\nbreak", False),
            ("\u00e9", False),
            ("\x7f", False),
        ):
            with self.subTest(token[:20]):
                self.assertIs(is_valid_token(token), is_valid)
