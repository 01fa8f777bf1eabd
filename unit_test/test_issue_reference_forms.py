"""Every form in which a user may name an issue, and whether a record is the issue that was named."""

import json
import unittest

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.http.urls import InvalidURL
from komand_sentry.util.sentry.issue_reference import IssueReference, is_other_issue, names_issue
from komand_sentry.util.sentry.server import Server
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to, run_action

FEEDBACK = "feedback/?feedbackSlug=pump-station%3A4579431421&project=5"
# text: (issue ID, organization, host)
FORMS = {
    "123": ("123", "", ""),
    "#123": ("123", "", ""),
    "PUMP-STATION-1K": ("PUMP-STATION-1K", "", ""),
    "#PUMP-STATION-1K": ("PUMP-STATION-1K", "", ""),
    " acme/PUMP-STATION-1K ": ("PUMP-STATION-1K", "acme", ""),
    "acme/#PUMP-STATION-1K": ("PUMP-STATION-1K", "acme", ""),
    "acme/123": ("123", "acme", ""),
    f"https://acme.sentry.io/{FEEDBACK}": ("4579431421", "acme", "acme.sentry.io"),
    f"https://acme.sentry.io/issues/{FEEDBACK}": ("4579431421", "acme", "acme.sentry.io"),
    f"https://sentry.io/organizations/acme/{FEEDBACK}": ("4579431421", "acme", "sentry.io"),
    f"https://sentry.io/organizations/acme/issues/{FEEDBACK}": ("4579431421", "acme", "sentry.io"),
    f"https://sentry.example.com:9000/prefix/organizations/acme/{FEEDBACK}": (
        *("4579431421", "acme", "sentry.example.com"),
    ),
    "https://acme.sentry.io/issues/feedback?mailbox=ignored&feedbackSlug=pump:5#x": ("5", "acme", "acme.sentry.io"),
    f"https://sentry.example.com/prefix/issues/{FEEDBACK}": ("4579431421", "", "sentry.example.com"),
    "acme.sentry.io/issues/123/": ("123", "acme", "acme.sentry.io"),
    "acme.sentry.io/issues/PUMP-STATION-1K/?project=1": ("PUMP-STATION-1K", "acme", "acme.sentry.io"),
    f"acme.sentry.io/{FEEDBACK}": ("4579431421", "acme", "acme.sentry.io"),
    "sentry.example.com/organizations/acme/issues/5/": ("5", "acme", "sentry.example.com"),
    "Sentry.Example.com:9000/acme/pump-station/issues/5": ("5", "acme", "sentry.example.com"),
    "localhost/organizations/acme/issues/5/": ("5", "acme", "localhost"),
    "localhost:9000/organizations/acme/issues/5/": ("5", "acme", "localhost"),
    "[::1]:9000/organizations/acme/issues/5/": ("5", "acme", "::1"),
    "sentry.example.com/issues/5/?referrer=https://example.com": ("5", "", "sentry.example.com"),
}
INVALID = (
    *("", "#", "##123", "acme/", "/123", "acme/pump/123", "acme//123", "acme/PUMP STATION-1K", "PUMP-STATION-1L"),
    *("acme/issues/123/", "sentry/organizations/acme/issues/5/", "/organizations/acme/issues/5/", "acme.sentry.io"),
    *("ftp://acme.sentry.io/issues/123/", "javascript:x/issues/123/", "//acme.sentry.io/issues/123/"),
    "https://acme.sentry.io/feedback/",
    "https://acme.sentry.io/feedback/?feedbackSlug=pump",
    "https://acme.sentry.io/feedback/?feedbackSlug=pump%3A12x",
    "https://acme.sentry.io/feedback/?feedbackSlug=%3A123",
    "https://acme.sentry.io/feedback/?feedbackSlug=pump%3A1%2F..%2F2",
    "https://acme.sentry.io/replays/?feedbackSlug=pump%3A123",
    "https://acme.sentry.io/feedback/more/?feedbackSlug=pump%3A123",
)


class TestForms(unittest.TestCase):
    def test_each_form(self) -> None:
        for text, expected in FORMS.items():
            with self.subTest(text):
                reference = IssueReference.parse(text)
                self.assertEqual((reference.issue_id, reference.organization, reference.host), expected)

    def test_the_organization_slug_takes_precedence(self) -> None:
        for text in FORMS:
            with self.subTest(text):
                reference = IssueReference.parse(text, "other")
                self.assertEqual((reference.organization, reference.is_guess), ("other", False))

    def test_only_the_organization_of_a_permalink_is_a_guess(self) -> None:
        for text, (_, _, host) in FORMS.items():
            self.assertEqual(IssueReference.parse(text).is_guess, bool(host), text)

    def test_anything_else_is_refused(self) -> None:
        for text in INVALID:
            with self.subTest(text), self.assertRaises(InvalidURL):
                IssueReference.parse(text)

    def test_the_action_uses_each_form(self) -> None:
        for text, path in (
            ("acme/PUMP-STATION-1K", "organizations/acme/issues/PUMP-STATION-1K"),
            ("#123", "issues/123"),
            ("{host}/organizations/acme/issues/5/", "organizations/acme/issues/5"),
            (f"{{host}}/organizations/acme/{FEEDBACK}", "organizations/acme/issues/4579431421"),
        ):
            answer = Answer(200, json.dumps({"id": "5", "hasSeen": True}).encode())
            with self.subTest(text), ScriptedServer(("PUT", f"/api/0/{path}/", answer)) as server:
                issue_id = text.format(host=server.base.removeprefix("http://"))
                run_action("update_issue", connection_to(server.base), {"issue_id": issue_id, "hasSeen": True})

    def test_the_action_refuses_other_texts_before_anything_is_sent(self) -> None:
        with ScriptedServer() as server:
            for text in filter(None, INVALID):
                with self.subTest(text), self.assertRaises(PluginException) as caught:
                    run_action("update_issue", connection_to(server.base), {"issue_id": text, "hasSeen": True})
                self.assertIn("The issue_id is invalid", caught.exception.cause)


class TestService(unittest.TestCase):
    def test_is_same_service(self) -> None:
        saas, self_hosted = "https://de.sentry.io", "https://Sentry.example.com:9000/prefix"
        for text, server, expected in (
            ("123", self_hosted, True),
            ("acme/PUMP-1", saas, True),
            ("https://acme.sentry.io/issues/5/", saas, True),
            ("https://sentry.io./organizations/acme/issues/5/", saas, True),
            ("https://acme.sentry.io/issues/5/", self_hosted, False),
            ("https://SENTRY.example.com/issues/5/", self_hosted, True),
            ("sentry.example.com./issues/5/", self_hosted, True),
            ("https://sentry.other.example/organizations/acme/issues/5/", self_hosted, False),
            ("https://sentry.example.com.other.example/issues/5/", self_hosted, False),
            ("https://sentry.example.com/issues/5/", saas, False),
            ("https://notsentry.io/issues/5/", saas, False),
        ):
            with self.subTest(text, server=server):
                self.assertIs(IssueReference.parse(text).is_same_service(Server.parse(server)), expected)


class TestNamedIssue(unittest.TestCase):
    def test_names_issue(self) -> None:
        acme = "https://sentry.example.com/organizations/acme/issues/5/"
        old = "https://sentry.example.com/acme/pump/issues/5/"
        feedback = "https://sentry.io/organizations/acme/feedback/?feedbackSlug=pump%3A5"
        for text, record, expected in (
            ("acme/5", {"id": "5", "permalink": acme}, True),
            ("ACME/5", {"id": "5", "permalink": old}, True),
            ("acme/5", {"id": "5", "permalink": feedback}, True),
            ("acme/5", {"id": "9", "permalink": acme.replace("5", "9")}, True),  # merged into 9
            ("acme/5", {"id": "5", "permalink": acme.replace("acme", "other")}, False),
            ("acme/5", {"id": "5", "permalink": None}, False),
            ("acme/5", {"id": "5", "permalink": "Not implemented"}, False),
            ("acme/5", {"id": "5"}, False),
            ("acme/PUMP-1", {"id": "5", "shortId": "PUMP-1", "permalink": None}, True),
            ("acme/pump-1", {"id": "5", "shortId": "PUMP-1", "permalink": acme}, True),
            ("acme/PUMP-1", {"id": "5", "shortId": "PUMP-1", "permalink": acme.replace("acme", "other")}, False),
            ("acme/PUMP-1", {"id": "5", "shortId": "PUMP-2", "permalink": acme}, False),
            ("acme/PUMP-1", {"id": "5", "shortId": None, "permalink": acme}, False),
            ("PUMP-1", {"id": "5", "shortId": "PUMP-1", "permalink": acme}, True),
            ("5", {"id": "5", "permalink": acme}, True),
            ("5", {"id": 5}, True),
            ("5", {"id": "9"}, False),
        ):
            with self.subTest(text, record=record):
                self.assertIs(names_issue(IssueReference.parse(text), record), expected)

    def test_is_other_issue(self) -> None:
        for number, record, expected in (
            ("5", {"id": "5"}, False),
            ("5", {"id": 5}, False),
            ("0005", {"id": "5"}, False),
            ("0", {"id": "0"}, False),
            ("5", {"id": "9"}, True),
            ("5", {}, False),
            ("5", {"id": None}, False),
        ):
            with self.subTest(number, record=record):
                self.assertIs(is_other_issue(number, record), expected)
