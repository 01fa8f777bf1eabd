import unittest

from komand_sentry.util.http.urls import InvalidURL
from komand_sentry.util.sentry.server import Server, is_saas_host


class ServerTest(unittest.TestCase):
    def test_all_spellings_of_a_base_url_are_equal(self) -> None:
        for tail in ("", "/", "//", "/api", "/api/", "/api/0", "/api/0/", "?#"):
            for start, base in (
                ("https://h.example", "https://h.example"),
                (" HTTPS://H.Example", "https://h.example"),
                ("h.example", "https://h.example"),
                ("localhost:9000", "https://localhost:9000"),
                ("http://10.0.0.7:9000/Tools/my-api", "http://10.0.0.7:9000/Tools/my-api"),
                ("http://[2001:DB8:0::7]:9000", "http://[2001:db8::7]:9000"),
                ("my_sentry/apis/0", "https://my_sentry/apis/0"),
            ):
                with self.subTest(start + tail):
                    self.assertEqual(Server.parse(f"{start}{tail}\n").base, base)

    def test_invalid_base_url_is_rejected_without_quoting_it(self) -> None:
        for reason, texts in {
            "no host": ("", "https://", "https:///evil", "https://:9000", "//evil.example"),
            "https://": ("ftp://evil.example", "://evil.example", "file:///evil"),
            "user name": ("https://user@evil.example", "https://user:evil@h.example", "https://@evil.example"),
            "query": ("https://evil.example/?a=b", "evil.example#b", "https://evil.example/api/0/?a"),
            "port": ("https://evil:x", "https://evil:65536", "mailto:evil", "evil::1", "https://evil:0"),
            "control character": ("https://ev il.example", "https://evil\r\n.example", "https://h\\@evil.example"),
            "host name": ("https://\u00e9vil", "https://evil,h", "https://evil%2eh", "-evil.example", "evil-"),
            "path": (
                "evil/a/../b",
                "evil/%2e%2E/b",
                "https://evil/.",
                "https://evil/a//b",
                "https://evil/a;b",
                "evil/\u00e9",
            ),
            "": ("https://[::1", "https://[evil]", "evil\uff0fh", "https://[v1.evil]", "https://[::1]evil"),
        }.items():
            for text in texts:
                with self.subTest(reason=reason, text=text):
                    with self.assertRaises(InvalidURL) as caught:
                        Server.parse(text)
                    self.assertIn(reason, str(caught.exception))
                    self.assertNotIn("evil", str(caught.exception))

    def test_host_has_no_port(self) -> None:
        for text, host in (("https://h.example:9000/s", "h.example"), ("http://[::1]:9000", "::1")):
            with self.subTest(text):
                self.assertEqual(Server.parse(text).host, host)

    def test_sentry_io_and_its_subdomains_are_saas(self) -> None:
        for host, is_saas in (
            ("sentry.io", True),
            ("de.sentry.io", True),
            ("acme.sentry.io", True),
            ("sentry.io.example.com", False),
            ("notsentry.io", False),
            ("sentry.example.com", False),
        ):
            with self.subTest(host):
                self.assertIs(is_saas_host(host), is_saas)
                self.assertIs(Server.parse(host).is_saas, is_saas)

    def test_plain_http_is_a_url_without_tls_to_another_machine(self) -> None:
        for base, is_plain in (("http://h.example", True), ("http://localhost:9000", False), ("h.example", False)):
            with self.subTest(base):
                self.assertIs(Server.parse(base).is_plain_http, is_plain)
