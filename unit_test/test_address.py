import unittest

from komand_sentry.util.address import IssueReference, Server, UnusableAddress, is_sentry_saas


class ServerTest(unittest.TestCase):
    def test_every_spelling_of_a_base_url_is_one_base(self) -> None:
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

    def test_what_is_no_server_is_refused_without_being_quoted(self) -> None:
        refused = {
            "no host": ("", "https://", "https:///evil", "https://:9000", "//evil.example"),
            "https://": ("ftp://evil.example", "://evil.example", "file:///evil"),
            "user name": ("https://user@evil.example", "https://user:evil@h.example", "https://@evil.example"),
            "after the path": ("https://evil.example/?a=b", "evil.example#b", "https://evil.example/api/0/?a"),
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
        }
        for words, texts in refused.items():
            for text in texts:
                with self.subTest(words=words, text=text):
                    with self.assertRaises(UnusableAddress) as caught:
                        Server.parse(text)
                    self.assertIn(words, str(caught.exception))
                    self.assertNotIn("evil", str(caught.exception))

    def test_host_is_the_name_alone(self) -> None:
        for text, host in (("https://h.example:9000/s", "h.example"), ("http://[::1]:9000", "::1")):
            with self.subTest(text):
                self.assertEqual(Server.parse(text).host, host)

    def test_sentry_saas_is_sentry_io_and_what_is_under_it(self) -> None:
        for host in ("sentry.io", "de.sentry.io", "acme.sentry.io"):
            self.assertTrue(is_sentry_saas(host), host)
        for host in ("sentry.io.example.com", "notsentry.io", "sentry.example.com", ""):
            self.assertFalse(is_sentry_saas(host), host)


class EndpointTest(unittest.TestCase):
    server = Server("https://h.example:9000/s")

    def test_an_endpoint_keeps_port_and_prefix_and_ends_with_a_slash(self) -> None:
        self.assertEqual(self.server.api(), "https://h.example:9000/s/api/0/")
        self.assertEqual(self.server.api("issues", "7", "events"), "https://h.example:9000/s/api/0/issues/7/events/")

    def test_no_segment_leaves_its_place(self) -> None:
        quoted = {
            "pump-station_2.0~x": "pump-station_2.0~x",
            "../../x": "..%2F..%2Fx",
            "...": "...",
            "%2e%2e": "%252e%252e",
            "a?b=c&d#e f\\": "a%3Fb%3Dc%26d%23e%20f%5C",
            "a\r\nHost: b": "a%0D%0AHost%3A%20b",
            "gr\u00f6\u00dfe\ud800": "gr%C3%B6%C3%9Fe%3F",
        }
        for segment, text in quoted.items():
            with self.subTest(segment=repr(segment)):
                self.assertEqual(self.server.api("projects", segment), f"{self.server.base}/api/0/projects/{text}/")

    def test_a_segment_that_quoting_cannot_hold_is_refused(self) -> None:
        for segment in ("", ".", ".."):
            with self.subTest(segment), self.assertRaises(UnusableAddress):
                self.server.api("projects", segment, "x")


class IssueReferenceTest(unittest.TestCase):
    def test_numbers_and_permalinks_of_every_form_are_read(self) -> None:
        starts = {
            "": "",
            "https://sentry.io/organizations/acme/issues/": "sentry.io",
            "https://sentry.io/organizations/7/issues/": "sentry.io",
            "https://acme.sentry.io/issues/": "acme.sentry.io",
            "https://h.example/acme/pump-station/issues/": "h.example",
            "https://h.example/acme/pump-station/groups/": "h.example",
            "http://H.Example:9000/s/organizations/issues/issues/": "h.example",
            "http://[::1]:9000/organizations/acme/issues/": "::1",
        }
        tails = ("", "/", "/?project=7&query=is%3Aunresolved", "?a=b#c", f"/events/{'0' * 32}/", "/tags/", " \n")
        for start, host in starts.items():
            for tail in tails if start else ("", "\n"):
                for number in ("123", "12345678901234567890"):
                    with self.subTest(start + number + tail):
                        self.assertEqual(IssueReference.parse(start + number + tail), IssueReference(number, host))

    def test_what_is_neither_number_nor_permalink_is_refused_without_being_quoted(self) -> None:
        for text in ("", "PUMP-1K", "-123", "1.5", "123abc", "1" * 21, "\uff11", "123/../../organizations/PUMP"):
            self.refuse(text)
        for path in (
            "issues/PUMP-1K/",
            "issues/123PUMP/",
            "issues/?project=123",
            "PUMP/123/",
            "#/issues/123/",
            "issues/",
        ):
            self.refuse(f"https://acme.sentry.io/{path}")
        for start in ("https://[PUMP", "https://", "ftp://PUMP", "https://h\\@PUMP", "https://h\nPUMP", "PUMP.example"):
            self.refuse(f"{start}/issues/123/")

    def refuse(self, text: str) -> None:
        with self.subTest(text):
            with self.assertRaises(UnusableAddress) as caught:
                IssueReference.parse(text)
            self.assertNotIn("PUMP", str(caught.exception))

    def test_the_number_in_a_permalink_has_ascii_digits_as_a_number_alone_has(self) -> None:
        self.refuse("https://acme.sentry.io/issues/\uff11\uff12/")

    def test_a_permalink_looks_foreign_where_one_side_is_sentry_saas_and_the_other_is_not(self) -> None:
        saas, own = "https://acme.sentry.io/issues/1/", "https://h.example/organizations/acme/issues/1/"
        for base, foreign in (("https://sentry.io", own), ("https://de.sentry.io", own), ("https://h.example", saas)):
            for text in ("1", saas, own):
                with self.subTest(text=text, base=base):
                    self.assertIs(IssueReference.parse(text).looks_foreign_to(Server(base)), text == foreign)
