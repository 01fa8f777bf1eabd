import unittest

from komand_sentry.util.address import IssueReference, Server, UnusableAddress, is_sentry_saas


class ServerTest(unittest.TestCase):
    def test_every_spelling_of_a_base_url_is_one_base(self) -> None:
        spellings = {
            "https://sentry.example.com": (
                "https://sentry.example.com",
                "https://sentry.example.com/",
                "https://sentry.example.com//",
                "https://sentry.example.com/api",
                "https://sentry.example.com/api/0",
                "https://sentry.example.com/api/0/",
                "https://sentry.example.com/?#",
                "sentry.example.com",
                "sentry.example.com/api/0/",
                "HTTPS://Sentry.Example.COM/",
                " https://sentry.example.com\n",
            ),
            "https://sentry.example.com/Tools/sentry": (
                "https://sentry.example.com/Tools/sentry",
                "https://SENTRY.example.com/Tools/sentry/",
                "https://sentry.example.com/Tools/sentry/api/0/",
                "sentry.example.com/Tools/sentry",
            ),
            "https://localhost:9000": ("localhost:9000", "localhost:9000/api/0", "https://LocalHost:9000/"),
            "http://10.0.0.7:9000/s": ("http://10.0.0.7:9000/s", "http://10.0.0.7:9000/s/api/"),
            "http://[2001:db8::7]:9000": ("http://[2001:DB8::7]:9000/", "http://[2001:db8:0::7]:9000"),
            "https://my_sentry": ("my_sentry",),
            "https://sentry.example.com/apis/0": ("https://sentry.example.com/apis/0",),
            "https://sentry.example.com/my-api": ("https://sentry.example.com/my-api/",),
        }
        for base, texts in spellings.items():
            for text in texts:
                with self.subTest(text):
                    self.assertEqual(Server.parse(text).base, base)

    def test_what_is_no_server_is_refused_without_being_quoted(self) -> None:
        refused = {
            "no host": ("", "https://", "https:///evil", "https://:9000", "//evil.example"),
            "https://": ("ftp://evil.example", "://evil.example", "file:///evil"),
            "user name": ("https://user@evil.example", "https://user:evil@h.example", "https://@evil.example"),
            "after the path": ("https://evil.example/?a=b", "evil.example#b", "https://evil.example/api/0/?a"),
            "port": ("https://evil.example:x", "https://evil.example:65536", "mailto:evil", "evil::1"),
            "control character": ("https://ev il.example", "https://evil\r\n.example", "https://h\\@evil.example"),
            "host name": ("https://évil.example", "https://evil,example", "https://evil%2eexample", "-evil.example"),
            "IPv6": ("https://[v1.evil:1]",),
            "path": (
                "https://evil.example/a/../b",
                "https://evil.example/.",
                "https://evil.example/a//b",
                "https://evil.example/a;b",
                "https://evil.example/é",
            ),
            "not a URL": ("https://[::1", "https://[evil]", "https://evil\uff0fexample"),
        }
        for words, texts in refused.items():
            for text in texts:
                with self.subTest(words=words, text=text):
                    with self.assertRaises(UnusableAddress) as caught:
                        Server.parse(text)
                    self.assertIn(words, str(caught.exception))
                    self.assertNotIn("evil", str(caught.exception))

    def test_port_zero_and_a_name_in_or_after_brackets_are_refused(self) -> None:
        for text in ("https://h.example:0", "https://[v1.h]", "https://[::1]h.example"):
            with self.subTest(text), self.assertRaises(UnusableAddress):
                Server.parse(text)

    def test_host_is_the_name_alone(self) -> None:
        for text, host in (("https://h.example:9000/s", "h.example"), ("http://[::1]:9000", "::1")):
            with self.subTest(text):
                self.assertEqual(Server.parse(text).host, host)

    def test_sentry_saas_is_sentry_io_and_what_is_under_it(self) -> None:
        hosts = {
            "sentry.io": True,
            "de.sentry.io": True,
            "acme.sentry.io": True,
            "sentry.io.example.com": False,
            "notsentry.io": False,
            "": False,
        }
        for host, expected in hosts.items():
            with self.subTest(host):
                self.assertIs(is_sentry_saas(host), expected)


class EndpointTest(unittest.TestCase):
    server = Server("https://h.example:9000/s")

    def test_an_endpoint_keeps_port_and_prefix_and_ends_with_a_slash(self) -> None:
        self.assertEqual(self.server.api(), "https://h.example:9000/s/api/0/")
        self.assertEqual(self.server.api("issues", "7", "events"), "https://h.example:9000/s/api/0/issues/7/events/")

    def test_no_segment_leaves_its_place(self) -> None:
        quoted = {
            "pump-station_2.0~x": "pump-station_2.0~x",
            "a/b": "a%2Fb",
            "../../x": "..%2F..%2Fx",
            "...": "...",
            "%2e%2e": "%252e%252e",
            "a?b=c&d": "a%3Fb%3Dc%26d",
            "a#b": "a%23b",
            "a b": "a%20b",
            "a\\b": "a%5Cb",
            "a\r\nHost: b": "a%0D%0AHost%3A%20b",
            "größe": "gr%C3%B6%C3%9Fe",
            "\ud800": "%3F",
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
        forms = {
            "123": "",
            " 123\n": "",
            "12345678901234567890": "",
            "https://sentry.io/organizations/acme/issues/123/": "sentry.io",
            "https://acme.sentry.io/issues/123/": "acme.sentry.io",
            "https://acme.sentry.io/issues/123": "acme.sentry.io",
            "https://sentry.example.com/acme/pump-station/issues/123/": "sentry.example.com",
            "http://Sentry.Example.com:9000/s/organizations/acme/issues/123/": "sentry.example.com",
            "http://[::1]:9000/organizations/acme/issues/123/": "::1",
            "https://sentry.example.com/acme/pump-station/groups/123/": "sentry.example.com",
            "https://acme.sentry.io/issues/123/?project=7&query=is%3Aunresolved": "acme.sentry.io",
            "https://acme.sentry.io/issues/123?referrer=x#events": "acme.sentry.io",
            "https://acme.sentry.io/issues/123/events/0123456789abcdef0123456789abcdef/": "acme.sentry.io",
            "https://sentry.io/organizations/7/issues/123/tags/": "sentry.io",
            "https://sentry.io/organizations/issues/issues/123/": "sentry.io",
        }
        for text, host in forms.items():
            with self.subTest(text):
                number = "12345678901234567890" if text.startswith("12345") else "123"
                self.assertEqual(IssueReference.parse(text), IssueReference(number, host))

    def test_what_is_neither_number_nor_permalink_is_refused_without_being_quoted(self) -> None:
        refused = (
            "",
            "PUMP-1K",
            "-123",
            "1.5",
            "123abc",
            "123456789012345678901",
            "\uff11\uff12\uff13",
            "123/../../organizations/PUMP",
            "https://acme.sentry.io/issues/PUMP-1K/",
            "https://acme.sentry.io/issues/123PUMP/",
            "https://acme.sentry.io/issues/?project=123&PUMP",
            "https://acme.sentry.io/PUMP/123/",
            "https://acme.sentry.io/PUMP/#/issues/123/",
            "https://acme.sentry.io/share/issue/0123456789abcdef0123456789abcdef/PUMP",
            "https://[PUMP/issues/123/",
            "https:///issues/123/PUMP",
            "ftp://acme.sentry.io/issues/123/PUMP",
            "https://acme.sentry.io\\@PUMP/issues/123/",
            "https://acme.sentry.io/iss\nues/123/PUMP",
        )
        for text in refused:
            with self.subTest(text):
                with self.assertRaises(UnusableAddress) as caught:
                    IssueReference.parse(text)
                self.assertNotIn("PUMP", str(caught.exception))

    def test_the_number_in_a_permalink_has_ascii_digits_as_a_number_alone_has(self) -> None:
        with self.assertRaises(UnusableAddress):
            IssueReference.parse("https://acme.sentry.io/issues/\uff11\uff12\uff13/")

    def test_a_permalink_looks_foreign_where_one_side_is_sentry_saas_and_the_other_is_not(self) -> None:
        saas, own = "https://acme.sentry.io/issues/1/", "https://sentry.example.com/organizations/acme/issues/1/"
        cases = {
            ("1", "https://sentry.io"): False,
            ("1", "https://sentry.example.com"): False,
            (saas, "https://sentry.io"): False,
            (saas, "https://de.sentry.io"): False,
            (saas, "https://sentry.example.com"): True,
            (own, "https://sentry.io"): True,
            (own, "https://sentry.example.com"): False,
            (own, "http://10.0.0.7:9000"): False,
        }
        for (text, base), expected in cases.items():
            with self.subTest(text=text, base=base):
                self.assertIs(IssueReference.parse(text).looks_foreign_to(Server(base)), expected)
