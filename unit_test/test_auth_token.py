import base64
import json
import unittest
from typing import Any

from komand_sentry.util.token import LONGEST_TOKEN, TokenKind, token_kind

SECRET = "0123456789abcdef" * 4


def organization_token(facts: Any, secret: str = SECRET) -> str:
    return f"sntrys_{base64.b64encode(json.dumps(facts).encode()).decode()}_{secret}"


class TokenKindTest(unittest.TestCase):
    def test_a_token_tells_its_kind_by_how_it_begins(self) -> None:
        for token, name, is_of_organization in (
            (f"sntryu_{SECRET}", "user token", False),
            (f"sntrys_{SECRET}", "organization token", True),
            (f"sntryi_{SECRET}", "token of an internal integration", False),
            (f"sntrya_{SECRET}", "token of an OAuth application", False),
            ("sntrys_", "organization token", True),
            (SECRET, "token of a user or an internal integration, in the form of before 2024", False),
        ):
            with self.subTest(token):
                kind = token_kind(token)
                self.assertEqual((kind.name, kind.region), (name, ""))
                self.assertIs(kind.is_of_organization, is_of_organization)

    def test_any_other_token_is_of_a_kind_that_does_not_show(self) -> None:
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
                self.assertEqual(token_kind(token), TokenKind("token of a kind that does not show"))

    def test_no_part_of_the_token_is_in_what_it_tells(self) -> None:
        for prefix in ("", "sntryu_", "sntrys_", "sntryi_", "sntrya_", "other_"):
            with self.subTest(prefix):
                self.assertNotIn(SECRET[:8], repr(token_kind(prefix + SECRET)))


class RegionTest(unittest.TestCase):
    def test_an_organization_token_names_its_server(self) -> None:
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
        for facts, region in cases:
            with self.subTest(facts):
                self.assertEqual(token_kind(organization_token(facts)).region, region)

    def test_the_secret_may_hold_what_base64_holds(self) -> None:
        for secret in (SECRET, "a+b/c=", ""):
            with self.subTest(secret):
                token = organization_token({"region_url": "https://de.sentry.io"}, secret)
                self.assertEqual(token_kind(token).region, "https://de.sentry.io")

    def test_base64_may_lack_its_padding(self) -> None:
        for name in ("a", "ab", "abc"):
            with self.subTest(name):
                facts = {"org": name, "url": "https://de.sentry.io"}
                token = "_".join(part.rstrip("=") for part in organization_token(facts).split("_"))
                self.assertEqual(token_kind(token).region, "https://de.sentry.io")

    def test_a_server_that_would_get_the_token_in_the_clear_is_none(self) -> None:
        for url in ("http://sentry.example.com", "http://10.0.0.7:9000", "http://localhost.example.com"):
            with self.subTest(url):
                self.assertEqual(token_kind(organization_token({"region_url": url})).region, "")

    def test_what_names_no_server_is_none(self) -> None:
        facts: tuple[Any, ...] = (
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
        for one in facts:
            with self.subTest(one):
                self.assertEqual(token_kind(organization_token(one)), TokenKind("organization token"))

    def test_what_is_no_base64_of_json_names_no_server(self) -> None:
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
            base64.b64encode(b"[" * (LONGEST_TOKEN // 2)).decode(),
            base64.b64encode(b"[" * 100_000).decode(),
            base64.b64encode(b"9" * 5000).decode(),
        ):
            with self.subTest(repr(payload[:40])):
                self.assertEqual(token_kind(f"sntrys_{payload}_{SECRET}"), TokenKind("organization token"))
