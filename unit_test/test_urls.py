import unittest
from urllib.parse import urlsplit

from komand_sentry.util.address import (
    LONGEST_SEGMENT,
    IssueReference,
    Server,
    UnusableAddress,
    is_segment,
    is_sentry_saas,
    redirect_url,
)


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

    def test_only_http_to_another_machine_can_be_read_on_the_way(self) -> None:
        for base, is_in_the_clear in (
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
            with self.subTest(base):
                self.assertIs(Server.parse(base).is_in_the_clear, is_in_the_clear)


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
        for segment in ("", ".", "..", "evil" * LONGEST_SEGMENT, "e" * (LONGEST_SEGMENT + 1)):
            with self.subTest(segment):
                with self.assertRaises(UnusableAddress) as caught:
                    self.server.api("projects", segment, "x")
                self.assertNotIn("evil", str(caught.exception))
                self.assertFalse(is_segment(segment))

    def test_a_segment_may_be_as_long_as_a_slug_can_be_and_longer(self) -> None:
        for segment in ("x" * LONGEST_SEGMENT, "\u2603" * LONGEST_SEGMENT, " "):
            with self.subTest(segment):
                self.assertTrue(is_segment(segment))
                self.assertEqual(urlsplit(self.server.api(segment)).path.count("/"), "/s/api/0/x/".count("/"))


class RedirectTest(unittest.TestCase):
    def followed(self, location: str, to: str, url: str = "https://h.example:9000/s/api/0/issues/7/") -> None:
        with self.subTest(url=url, location=location):
            self.assertEqual(redirect_url(url, location), to)

    def refused(self, location: str, url: str = "https://h.example:9000/s/api/0/issues/7/") -> None:
        with self.subTest(url=url, location=location):
            self.assertIsNone(redirect_url(url, location))

    def test_a_redirect_within_the_api_of_the_server_leads_there(self) -> None:
        api = "https://h.example:9000/s/api/0"
        for location, to in (
            (f"{api}/issues/8/", f"{api}/issues/8/"),
            ("/s/api/0/issues/8/", f"{api}/issues/8/"),
            ("//h.example:9000/s/api/0/issues/8/", f"{api}/issues/8/"),
            ("../8/", f"{api}/issues/8/"),
            ("8/", f"{api}/issues/7/8/"),
            ("?cursor=0:100:0", f"{api}/issues/7/?cursor=0:100:0"),
            (f"  {api}/issues/8/?a=%2F..%2F&b#part ", f"{api}/issues/8/?a=%2F..%2F&b"),
            ("HTTPS://H.EXAMPLE:9000/s/api/0/", "https://H.EXAMPLE:9000/s/api/0/"),
        ):
            self.followed(location, to)

    def test_the_default_port_is_the_same_whether_it_is_written_or_not(self) -> None:
        for scheme, port in (("https", 443), ("http", 80)):
            bare, written = f"{scheme}://h.example/api/0/", f"{scheme}://h.example:{port}/api/0/"
            self.followed(written, written, bare)
            self.followed(bare, bare, written)
        self.refused("https://h.example:80/api/0/", "https://h.example/api/0/")

    def test_a_dsn_has_an_api_too(self) -> None:
        url = "https://h.example/s/api/42/store/"
        self.followed("/s/api/42/envelope/", "https://h.example/s/api/42/envelope/", url)
        self.refused("/s/store/", url)

    def test_no_redirect_leads_to_another_scheme_host_or_port(self) -> None:
        path = "/s/api/0/issues/7/"
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
            self.refused(origin + path)

    def test_no_redirect_leaves_the_api(self) -> None:
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
        ):
            self.refused(location)
        self.refused("/s/auth/\n/s/api/0/")

    def test_what_is_no_address_leads_nowhere(self) -> None:
        for location in ("https://[::1", "https://h.example:port/", "https://h.example:0/s/api/0/", "/s/api/0/a b/"):
            self.refused(location)
        self.refused("/s/api/0/" + "x" * 20_000)

    def test_an_encoded_slash_does_not_hide_dots_from_a_server_that_decodes_it(self) -> None:
        for location in ("/s/api/0/..%2f..%2fauth/", "/s/api/..%5c..%5cauth/", "/s/api/0/x%2f%2e%2e%2f..%2F/"):
            self.refused(location)

    def test_the_api_is_that_of_the_server_also_where_its_prefix_is_named_like_one(self) -> None:
        url = "https://h.example/api/sentry/api/0/issues/7/"
        self.followed("/api/sentry/api/0/issues/8/", "https://h.example/api/sentry/api/0/issues/8/", url)
        self.refused("/api/evil/", url)


class IssueReferenceTest(unittest.TestCase):
    def test_numbers_short_ids_and_permalinks_of_every_form_are_read(self) -> None:
        starts = {
            "": ("", ""),
            "https://sentry.io/organizations/acme/issues/": ("acme", "sentry.io"),
            "https://sentry.io/organizations/7/issues/": ("7", "sentry.io"),
            "https://acme.sentry.io/issues/": ("acme", "acme.sentry.io"),
            "https://acme.sentry.io/organizations/other/issues/": ("other", "acme.sentry.io"),
            "https://us.sentry.io/organizations/acme/issues/": ("acme", "us.sentry.io"),
            "https://us.sentry.io/issues/": ("", "us.sentry.io"),
            "https://WWW.Sentry.io/issues/": ("", "www.sentry.io"),
            "https://acme.us.sentry.io/issues/": ("", "acme.us.sentry.io"),
            "https://acme.sentry.io.evil.example/issues/": ("", "acme.sentry.io.evil.example"),
            "https://h.example/acme/pump-station/issues/": ("acme", "h.example"),
            "https://h.example/acme/pump-station/groups/": ("acme", "h.example"),
            "https://h.example/s/acme/pump-station/issues/": ("acme", "h.example"),
            "https://h.example/issues/": ("", "h.example"),
            "http://H.Example:9000/s/organizations/issues/issues/": ("issues", "h.example"),
            "http://[::1]:9000/organizations/acme/issues/": ("acme", "::1"),
        }
        tails = ("", "/", "/?project=7&query=is%3Aunresolved", "?a=b#c", f"/events/{'0' * 32}/", "/tags/", " \n")
        for start, (organization, host) in starts.items():
            for tail in tails if start else ("", "\n"):
                for issue in ("123", "12345678901234567890", "PUMP-STATION-1K", "pump_station-z", "7-0"):
                    with self.subTest(start + issue + tail):
                        reference = IssueReference.parse(start + issue + tail)
                        self.assertEqual(reference, IssueReference(issue, organization, host))
                        self.assertIs(reference.is_short_id, "-" in issue)

    def test_an_organization_that_is_given_counts_more_than_that_of_a_permalink(self) -> None:
        for text, host in (
            ("123", ""),
            ("PUMP-1K", ""),
            ("https://other.sentry.io/issues/PUMP-1K/", "other.sentry.io"),
            ("https://h.example/organizations/other/issues/123/", "h.example"),
        ):
            with self.subTest(text):
                reference = IssueReference.parse(text, "acme")
                self.assertEqual((reference.organization, reference.host), ("acme", host))

    def test_the_address_of_an_issue_in_the_api_names_an_organization_only_where_it_holds_one(self) -> None:
        for start, organization in (
            ("https://sentry.io/api/0/organizations/acme/issues/", "acme"),
            ("https://sentry.io/api/0/issues/", ""),
            ("https://h.example/s/api/0/groups/", ""),
        ):
            with self.subTest(start):
                self.assertEqual(IssueReference.parse(f"{start}123/events/").organization, organization)

    def test_what_is_none_of_them_is_refused_without_being_quoted(self) -> None:
        for text in (
            "",
            "PUMP",
            "PUMP-",
            "-1K",
            "--1K",
            "PUMP 1K",
            "PUMP_1K",
            "PUMP-1I",
            "PUMP-1L",
            "PUMP-1O",
            "PUMP-1U",
            f"PUMP-{'1' * 14}",
            f"{'PUMP' * 26}-1K",
            "P\u00dcMP-1K",
            "PUMP-\uff11",
            "PUMP-1K/../../PUMP",
            "-123",
            "1.5",
            "123abc",
            "1" * 21,
            "\uff11",
            "123/../../organizations/PUMP",
        ):
            self.refuse(text)
        for path in (
            "issues/PUMP/",
            "issues/PUMP-1U/",
            "issues/123PUMP/",
            "issues/123%2e/",
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
