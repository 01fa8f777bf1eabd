import unittest

from komand_sentry.util.http.urls import InvalidURL
from komand_sentry.util.sentry.issue_reference import IssueReference
from komand_sentry.util.sentry.server import Server


class IssueReferenceTest(unittest.TestCase):
    def assert_rejected(self, text: str) -> None:
        with self.subTest(text):
            with self.assertRaises(InvalidURL) as caught:
                IssueReference.parse(text)
            self.assertNotIn("PUMP", str(caught.exception))

    def test_numbers_short_ids_and_permalinks_are_parsed(self) -> None:
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
                    text = start + issue + tail
                    reference = IssueReference.parse(text)
                    self.assertEqual(reference, IssueReference(issue, organization, host), text)
                    self.assertIs(reference.is_short_id, "-" in issue, text)

    def test_given_organization_takes_precedence_over_that_of_a_permalink(self) -> None:
        for text, host in (
            ("123", ""),
            ("PUMP-1K", ""),
            ("https://other.sentry.io/issues/PUMP-1K/", "other.sentry.io"),
            ("https://h.example/organizations/other/issues/123/", "h.example"),
        ):
            with self.subTest(text):
                reference = IssueReference.parse(text, "acme")
                self.assertEqual((reference.organization, reference.host), ("acme", host))

    def test_api_url_of_an_issue_is_a_permalink(self) -> None:
        for start, organization in (
            ("https://sentry.io/api/0/organizations/acme/issues/", "acme"),
            ("https://sentry.io/api/0/issues/", ""),
            ("https://h.example/s/api/0/groups/", ""),
        ):
            with self.subTest(start):
                self.assertEqual(IssueReference.parse(f"{start}123/events/").organization, organization)

    def test_invalid_reference_is_rejected_without_quoting_it(self) -> None:
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
            self.assert_rejected(text)
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
            self.assert_rejected(f"https://acme.sentry.io/{path}")
        for start in ("https://[PUMP", "https://", "ftp://PUMP", "https://h\\@PUMP", "https://h\nPUMP", "PUMP.example"):
            self.assert_rejected(f"{start}/issues/123/")

    def test_number_in_a_permalink_has_ascii_digits(self) -> None:
        self.assert_rejected("https://acme.sentry.io/issues/\uff11\uff12/")

    def test_permalink_is_foreign_if_only_one_side_is_saas(self) -> None:
        saas, own = "https://acme.sentry.io/issues/1/", "https://h.example/organizations/acme/issues/1/"
        for base, foreign in (("https://sentry.io", own), ("https://de.sentry.io", own), ("https://h.example", saas)):
            for text in ("1", saas, own):
                with self.subTest(text=text, base=base):
                    self.assertIs(IssueReference.parse(text).is_foreign_to(Server(base)), text == foreign)

    def test_only_the_organization_of_a_permalink_is_a_guess(self) -> None:
        permalink = "https://acme.sentry.io/issues/1/"
        for text, organization, is_guess in (("1", "", False), (permalink, "", True), (permalink, "acme", False)):
            with self.subTest(text=text, organization=organization):
                self.assertIs(IssueReference.parse(text, organization).is_guess, is_guess)
