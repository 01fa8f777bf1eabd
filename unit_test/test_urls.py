import unittest
from urllib.parse import urlsplit

from komand_sentry.util.http.urls import (
    MAX_SEGMENT_LENGTH,
    InvalidURL,
    is_loopback,
    is_plain_http,
    is_segment,
    join_url,
    quote_segment,
    redirect_url,
    split_url,
)

API = "https://h.example:9000/s/api/0"


class SplitTest(unittest.TestCase):
    def test_authority_is_normalized_and_without_user_info(self) -> None:
        for url, authority in (
            ("https://H.Example:9000/s?a=b#c", "h.example:9000"),
            (" HTTP://user:secret@h.example\n", "h.example"),
            ("http://[2001:DB8:0::7]:9000", "[2001:db8::7]:9000"),
            ("https://my_sentry.", "my_sentry."),
        ):
            with self.subTest(url):
                self.assertEqual(split_url(url)[1], authority)

    def test_parts_are_those_of_the_url(self) -> None:
        parts, _ = split_url("https://user:secret@h.example/s/42?a=b#c")
        self.assertEqual((parts.scheme, parts.username, parts.password), ("https", "user", "secret"))
        self.assertEqual((parts.path, parts.query, parts.fragment), ("/s/42", "a=b", "c"))

    def test_invalid_url_is_rejected_without_quoting_it(self) -> None:
        for url, reason in (
            ("https://evil.example/" + "x" * 20_000, "longer than"),
            ("https://evil.example/a b", "space"),
            ("https://evil.example\\@h.example", "backslash"),
            ("https://evil.example/\x7f", "control character"),
            ("https://[evil", "not a URL"),
            ("ftp://evil.example", "https://"),
            ("https://", "no host"),
            ("https://:9000", "no host"),
            ("https://evil,h.example", "host name"),
            ("https://evil.example:x", "port"),
            ("https://evil.example:65536", "port"),
            ("https://[::1::2]", ""),
        ):
            with self.subTest(url[:40]):
                with self.assertRaises(InvalidURL) as caught:
                    split_url(url)
                self.assertIn(reason, str(caught.exception))
                self.assertNotIn("evil", str(caught.exception))


class PlainHTTPTest(unittest.TestCase):
    def test_only_http_to_another_machine_is_plain(self) -> None:
        for url, is_plain in (
            ("http://h.example", True),
            ("http://10.0.0.7:9000/s", True),
            ("http://[2001:db8::7]", True),
            ("http://localhost.example", True),
            ("http://notlocalhost", True),
            ("http://127.evil.example", True),
            ("http://localhost:9000", False),
            ("http://sentry.localhost", False),
            ("http://127.0.0.1:9000", False),
            ("http://127.3.2.1", False),
            ("http://[::1]:9000", False),
            ("https://h.example", False),
            ("https://localhost", False),
        ):
            with self.subTest(url):
                self.assertIs(is_plain_http(url), is_plain)

    def test_loopback_is_this_machine(self) -> None:
        for host, expected in (
            ("127.0.0.1", True),
            ("::1", True),
            ("localhost", True),
            ("0.0.0.0", False),
            ("", False),
        ):
            with self.subTest(host):
                self.assertIs(is_loopback(host), expected)


class JoinTest(unittest.TestCase):
    def test_port_and_prefix_of_the_base_are_kept_and_the_url_ends_with_a_slash(self) -> None:
        self.assertEqual(join_url(API), f"{API}/")
        self.assertEqual(join_url(API, "issues", "7", "events"), f"{API}/issues/7/events/")

    def test_segments_are_percent_encoded(self) -> None:
        for segment, quoted in (
            ("pump-station_2.0~x", "pump-station_2.0~x"),
            ("../../x", "..%2F..%2Fx"),
            ("...", "..."),
            ("%2e%2e", "%252e%252e"),
            ("a?b=c&d#e f\\", "a%3Fb%3Dc%26d%23e%20f%5C"),
            ("a\r\nHost: b", "a%0D%0AHost%3A%20b"),
            ("gr\u00f6\u00dfe\ud800", "gr%C3%B6%C3%9Fe%3F"),
        ):
            with self.subTest(segment=repr(segment)):
                self.assertEqual(quote_segment(segment), quoted)
                self.assertEqual(join_url(API, "projects", segment), f"{API}/projects/{quoted}/")

    def test_segment_that_would_change_the_path_is_rejected(self) -> None:
        for segment in ("", ".", "..", "evil" * MAX_SEGMENT_LENGTH, "e" * (MAX_SEGMENT_LENGTH + 1)):
            with self.subTest(segment[:40]):
                with self.assertRaises(InvalidURL) as caught:
                    join_url(API, "projects", segment, "x")
                self.assertNotIn("evil", str(caught.exception))
                self.assertFalse(is_segment(segment))

    def test_longest_segment_is_accepted(self) -> None:
        for segment in ("x" * MAX_SEGMENT_LENGTH, "\u2603" * MAX_SEGMENT_LENGTH, " "):
            with self.subTest(segment[:40]):
                self.assertTrue(is_segment(segment))
                self.assertEqual(urlsplit(join_url(API, segment)).path.count("/"), "/s/api/0/x/".count("/"))


class RedirectTest(unittest.TestCase):
    url = f"{API}/issues/7/"
    prefix = "https://h.example:9000/s/api/"

    def assert_followed(self, location: str, target: str, url: str = "", prefix: str = "") -> None:
        with self.subTest(url=url, location=location):
            self.assertEqual(redirect_url(url or self.url, location, prefix or self.prefix), target)

    def assert_not_followed(self, location: str, url: str = "", prefix: str = "") -> None:
        with self.subTest(url=url, location=location):
            self.assertIsNone(redirect_url(url or self.url, location, prefix or self.prefix))

    def test_location_below_the_prefix_is_resolved(self) -> None:
        for location, target in (
            (f"{API}/issues/8/", f"{API}/issues/8/"),
            ("/s/api/0/issues/8/", f"{API}/issues/8/"),
            ("//h.example:9000/s/api/0/issues/8/", f"{API}/issues/8/"),
            ("../8/", f"{API}/issues/8/"),
            ("8/", f"{API}/issues/7/8/"),
            ("?cursor=0:100:0", f"{API}/issues/7/?cursor=0:100:0"),
            (f"  {API}/issues/8/?a=%2F..%2F&b#part ", f"{API}/issues/8/?a=%2F..%2F&b"),
            ("HTTPS://H.EXAMPLE:9000/s/api/0/", "https://H.EXAMPLE:9000/s/api/0/"),
        ):
            self.assert_followed(location, target)

    def test_explicit_default_port_is_the_same_origin(self) -> None:
        for scheme, port in (("https", 443), ("http", 80)):
            implicit, explicit = f"{scheme}://h.example/api/", f"{scheme}://h.example:{port}/api/"
            self.assert_followed(f"{explicit}0/", f"{explicit}0/", f"{implicit}0/", implicit)
            self.assert_followed(f"{implicit}0/", f"{implicit}0/", f"{explicit}0/", explicit)
        self.assert_not_followed("https://h.example:80/api/0/", "https://h.example/api/0/", "https://h.example/api/")

    def test_other_origin_is_not_followed(self) -> None:
        for origin in (
            "http://h.example:9000",
            "https://h.example",
            "https://h.example:9001",
            "https://evil.example:9000",
            "https://h.example.:9000",
            "https://h.example.evil.example:9000",
            "https://user@h.example:9000",
            "https://h.example:9000@evil.example",
            "https://h.example:9000\\@evil.example",
            "https://evil.example\\@h.example:9000",
            "https://@h.example:9000",
            "https:///h.example:9000",
            "https://h.ex\u00e4mple:9000",
            "//evil.example:9000",
            "///evil.example",
            "\\\\evil.example",
            "ftp://h.example:9000",
            "javascript:alert(1)//",
        ):
            self.assert_not_followed(f"{origin}/s/api/0/issues/7/")

    def test_request_to_another_origin_than_the_prefix_is_not_redirected(self) -> None:
        self.assert_not_followed(f"{API}/issues/8/", "https://evil.example/s/api/0/")

    def test_path_outside_the_prefix_is_not_followed(self) -> None:
        for location in (
            "",
            " ",
            "/",
            "/login/",
            "/s/",
            "/s/api",
            "/api/0/",
            "/s/auth/login/?next=/s/api/0/",
            "/s/api/../auth/",
            "/s/api/%2e%2e/auth/",
            "/s/api/%2E./auth/",
            "/s/api/./0/%2e%2E",
            "https://h.example:9000/s/api/../../auth/",
            "../../../../../auth/",
            "/s/auth/\n/s/api/0/",
        ):
            self.assert_not_followed(location)

    def test_encoded_slash_does_not_hide_dot_segments(self) -> None:
        for location in ("/s/api/0/..%2f..%2fauth/", "/s/api/..%5c..%5cauth/", "/s/api/0/x%2f%2e%2e%2f..%2F/"):
            self.assert_not_followed(location)

    def test_invalid_location_is_not_followed(self) -> None:
        for location in (
            "https://[::1",
            "https://h.example:port/",
            "https://h.example:0/s/api/0/",
            "/s/api/0/a b/",
            "/s/api/0/" + "x" * 20_000,
        ):
            self.assert_not_followed(location)

    def test_without_a_prefix_nothing_is_followed(self) -> None:
        for location in (f"{API}/issues/8/", "8/", "/"):
            with self.subTest(location):
                self.assertIsNone(redirect_url(self.url, location, ""))
