"""List Comments against a scripted server."""

import unittest

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    ServerFailed,
    Unauthorized,
)
from komand_sentry.util.sentry.normalize import normalize_comment
from testing.plugin import Json
from testing.scripted_server import Answer, Received
from unit_test.organization_list_case import DENIED, answer, run_script

ISSUE = "/api/0/organizations/acme/issues/5/"
COMMENTS = f"{ISSUE}comments/"
NOT_FOUND = Answer(404, b'{"detail": "The requested resource does not exist"}')


def note(number: int, **more: object) -> Json:
    user = {"id": "1", "name": "Ada", "username": "ada", "email": "ada@example.com", "emails": [], "isStaff": False}
    data = {"text": f"Comment {number}"}
    created = "2026-08-01T12:00:00.123456Z"
    return {"id": str(number), "user": user, "type": "note", "data": data, "dateCreated": created, **more}


def list_comments(inputs: Json, *script: tuple[str, Answer]) -> tuple[Json, list[Received]]:
    inputs = {"issue_id": "5", "organization_slug": "acme", **inputs}
    return run_script("list_comments", inputs, *(("GET", path, found) for path, found in script))


class TestListComments(unittest.TestCase):
    def test_comments(self) -> None:
        output, received = list_comments({}, (COMMENTS, answer(note(2), note(1))))
        self.assertEqual(([comment["id"] for comment in output["comments"]], output["truncated"]), (["2", "1"], False))
        self.assertEqual(
            output["comments"][0],
            {
                "id": "2",
                "text": "Comment 2",
                "dateCreated": "2026-08-01T12:00:00.123456Z",
                "user": {"type": "user", "id": "1", "name": "Ada", "email": "ada@example.com"},
            },
        )
        self.assertEqual(received[0].params, [("per_page", "100")])

    def test_limited_list_can_be_continued(self) -> None:
        output, received = list_comments({"limit": 1}, (COMMENTS, answer(note(2), cursor="1785585600000:0:0")))
        self.assertEqual((output["truncated"], output["next_cursor"]), (True, "1785585600000:0:0"))
        self.assertEqual(received[0].params, [("per_page", "1")])
        inputs = {"cursor": output["next_cursor"], "limit": 0}
        output, received = list_comments(inputs, (COMMENTS, answer()))
        self.assertEqual(output, {"comments": [], "truncated": False})
        self.assertEqual(received[0].params, [("per_page", "100"), ("cursor", "1785585600000:0:0")])

    def test_the_default_limit_is_100(self) -> None:
        found = answer(*(note(number) for number in range(100)), cursor="1:0:0")
        output, _ = list_comments({}, (COMMENTS, found))
        self.assertEqual((len(output["comments"]), output["next_cursor"]), (100, "1:0:0"))

    def test_issue_without_comments(self) -> None:
        output, _ = list_comments({}, (COMMENTS, answer()), (ISSUE, Answer(body=b'{"id": "5"}')))
        self.assertEqual(output, {"comments": [], "truncated": False})

    def test_empty_list_of_an_unknown_issue(self) -> None:
        with self.assertRaises(NotFound):
            list_comments({}, (COMMENTS, answer()), (ISSUE, NOT_FOUND))

    def test_server_without_the_endpoint_of_the_organization(self) -> None:
        script = ((COMMENTS, Answer(404)), ("/api/0/issues/5/comments/", answer(note(1))))
        self.assertEqual(len(list_comments({}, *script)[0]["comments"]), 1)

    def test_failures(self) -> None:
        for response, expected, cause in (
            (Answer(401, b'{"detail": "Invalid token"}'), Unauthorized, "did not accept the token"),
            (DENIED, Forbidden, "may not access issue 5"),
            (NOT_FOUND, NotFound, "no issue 5 of organization acme (404)"),
            (Answer(429, headers={"Retry-After": "3600"}), RateLimited, "limits the rate"),
            (Answer(500, b'{"detail": "Internal Error"}'), ServerFailed, "failed on issue 5"),
        ):
            with self.subTest(response.status), self.assertRaises(expected) as caught:
                list_comments({}, (COMMENTS, response))
            failure: PluginException = caught.exception
            self.assertIn(cause, failure.cause)
            self.assertTrue(failure.assistance)

    def test_invalid_inputs_send_nothing(self) -> None:
        for inputs, cause in (
            ({"issue_id": "a b"}, "The issue_id is invalid"),
            ({"issue_id": " "}, "'issue_id' is empty or missing"),
            ({"organization_slug": ".."}, "The organization_slug is invalid"),
            ({"limit": -1}, "The limit is negative"),
        ):
            with self.subTest(inputs), self.assertRaises(InvalidInput) as caught:
                list_comments(inputs)
            self.assertIn(cause, caught.exception.cause)


class TestNormalizeComment(unittest.TestCase):
    def test_comment_without_user_or_text(self) -> None:
        for record in (note(1, user=None, data={}), note(1, user=None, data=None), note(1, user=None, data="text")):
            comment = normalize_comment(record)
            self.assertEqual((comment["text"], comment["user"]), (None, None))
