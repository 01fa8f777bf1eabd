"""Add Comment against a scripted server."""

import json
import unittest
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    BadRequest,
    ConnectionFailed,
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    ServerFailed,
    Unauthorized,
)
from komand_sentry.util.sentry.comments import is_recent
from testing.plugin import Json
from testing.scripted_server import Answer, Received
from unit_test.organization_list_case import answer, run_script
from unit_test.test_list_comments import note

COMMENTS = "/api/0/organizations/acme/issues/5/comments/"
PLAIN = "/api/0/issues/5/comments/"
TEXT = "Ticket OPS-42"
DUPLICATE = Answer(400, b'{"detail": "You have already posted that comment."}')
BAD_GATEWAY = Answer(502, b"<html><title>502 Bad Gateway</title></html>")
OTHER = note(1, data={"text": "Another comment"})


def close(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without a response."""
    handler.close_connection = True


LOST = Answer(play=close)


def stored(age: timedelta = timedelta(), text: str = TEXT) -> Json:
    return note(71, data={"text": text}, dateCreated=(datetime.now(UTC) - age).isoformat())


def created() -> Answer:
    return Answer(201, json.dumps(stored()).encode())


def add_comment(inputs: Json, *script: tuple[str, str, Answer]) -> tuple[Json, list[Received]]:
    inputs = {"issue_id": "5", "organization_slug": "acme", "text": TEXT, **inputs}
    return run_script("add_comment", inputs, *script)


def posts(*answers: tuple[str, Answer]) -> tuple[Json, list[Received]]:
    return add_comment({}, *((method, COMMENTS, found) for method, found in answers))


class TestAddComment(unittest.TestCase):
    def test_posts_once(self) -> None:
        output, received = posts(("POST", created()))
        comment = output["comment"]
        self.assertEqual((comment["id"], comment["text"], comment["user"]["name"]), ("71", TEXT, "Ada"))
        self.assertEqual(json.loads(received[0].body), {"text": TEXT})
        self.assertEqual(received[0].params, [])

    def test_text_is_sent_as_it_is_without_outer_blanks(self) -> None:
        text = "# Änderung 🚀\n\n> @all <b>\n```\nx\n```"
        _, received = add_comment({"text": f"\n {text} "}, ("POST", COMMENTS, created()))
        self.assertEqual(json.loads(received[0].body), {"text": text})

    def test_rate_limit_is_waited_for(self) -> None:
        limited = Answer(429, headers={"Retry-After": "2"})
        self.assertEqual(posts(("POST", limited), ("POST", created()))[0]["comment"]["id"], "71")

    def test_uses_no_pooled_connection(self) -> None:
        """A stale connection would fail without a response, and so look like a lost response."""
        paths = "/api/0/organizations/acme/issues/5/", "/api/0/organizations/acme/shortids/PUMP-1/"
        short = COMMENTS.replace("5", "PUMP-1")
        script = (
            ("POST", short, Answer(404)),
            ("GET", paths[1], Answer(body=b'{"groupId": "5"}')),
            ("GET", "/api/0/issues/5/", Answer(body=b'{"id": "5", "shortId": "PUMP-1"}')),
            ("POST", PLAIN, created()),
        )
        _, received = add_comment({"issue_id": "PUMP-1"}, *script)
        gets = {request.client_port for request in received if request.method == "GET"}
        self.assertNotIn(received[0].client_port, gets)
        self.assertNotIn(received[3].client_port, gets)


class TestLostResponse(unittest.TestCase):
    """A comment is posted once, even if the response to it is lost."""

    def test_stored_comment_is_not_posted_again(self) -> None:
        for failure in (LOST, BAD_GATEWAY, Answer(500), Answer(201, b'{"id": "71", "da')):
            with self.subTest(failure):
                output, received = posts(("POST", failure), ("GET", answer(OTHER, stored())))
                self.assertEqual((output["comment"]["id"], output["comment"]["text"]), ("71", TEXT))
                self.assertEqual(received[1].params, [("per_page", "100")])

    def test_comment_that_is_not_stored_is_posted_once_more(self) -> None:
        for failure in (LOST, BAD_GATEWAY):
            for found in ((), (OTHER,), (stored(timedelta(hours=3)),)):
                with self.subTest(failure=failure, found=found):
                    output, _ = posts(("POST", failure), ("GET", answer(*found)), ("POST", created()))
                    self.assertEqual(output["comment"]["id"], "71")

    def test_refusal_of_the_second_request_means_that_the_first_one_was_stored(self) -> None:
        for age in (timedelta(), timedelta(hours=3)):
            found = answer(stored(age))
            output, _ = posts(("POST", LOST), ("GET", answer()), ("POST", DUPLICATE), ("GET", found))
            self.assertEqual(output["comment"]["id"], "71")

    def test_second_response_is_lost_as_well(self) -> None:
        output, _ = posts(("POST", LOST), ("GET", answer()), ("POST", LOST), ("GET", answer(stored())))
        self.assertEqual(output["comment"]["id"], "71")

    def test_gives_up_after_two_requests(self) -> None:
        with self.assertRaises(ConnectionFailed) as caught:
            posts(("POST", LOST), ("GET", answer()), ("POST", BAD_GATEWAY), ("GET", answer()))
        self.assertIn("closed the connection", caught.exception.cause)
        self.assertIn("See List Comments", caught.exception.assistance)

    def test_internal_error_is_not_repeated(self) -> None:
        with self.assertRaises(ServerFailed) as caught:
            posts(("POST", Answer(500, b'{"detail": "Internal Error"}')), ("GET", answer(OTHER)))
        self.assertIn("See List Comments", caught.exception.assistance)

    def test_nothing_is_posted_again_if_the_comments_cannot_be_read(self) -> None:
        for response in (Answer(403, b'{"detail": "No"}'), Answer(404), Answer(500), Answer(body=b"{}")):
            with self.subTest(response), self.assertRaises(ConnectionFailed):
                posts(("POST", LOST), ("GET", response))

    def test_failure_of_the_second_request_reports_the_first_one(self) -> None:
        for response in (Answer(400, b'{"text": ["Too long."]}'), Answer(403, b'{"detail": "No"}')):
            with self.subTest(response), self.assertRaises(ConnectionFailed):
                posts(("POST", LOST), ("GET", answer()), ("POST", response))
        with self.assertRaises(ConnectionFailed):
            posts(("POST", LOST), ("GET", answer()), ("POST", DUPLICATE), ("GET", answer(OTHER)))


class TestFailures(unittest.TestCase):
    def fail_with(self, expected: type[PluginException], response: Answer) -> PluginException:
        with self.assertRaises(expected) as caught:
            posts(("POST", response))
        self.assertTrue(caught.exception.assistance)
        failure: PluginException = caught.exception
        return failure

    def test_repeated_comment(self) -> None:
        for body in (DUPLICATE.body, json.dumps(DUPLICATE.body.decode()).encode()):
            failure = self.fail_with(BadRequest, Answer(400, body))
            self.assertIn("already posted the same comment on issue 5 of organization acme", failure.cause)
            self.assertIn("nothing was posted", failure.assistance)

    def test_token_without_a_user(self) -> None:
        body = b'{"detail": "Key doesn\'t have permission to create Note"}'
        failure = self.fail_with(Forbidden, Answer(403, body))
        self.assertIn("The token has no user", failure.cause)
        self.assertIn("event:write", failure.assistance)

    def test_status(self) -> None:
        for status, expected, cause in (
            (400, BadRequest, "as invalid (400)"),
            (401, Unauthorized, "did not accept the token"),
            (403, Forbidden, "may not access issue 5"),
            (404, NotFound, "no issue 5 of organization acme (404)"),
            (429, RateLimited, "limits the rate"),
        ):
            with self.subTest(status):
                response = Answer(status, b'{"detail": "Message"}', {"Retry-After": "3600"})
                self.assertIn(cause, self.fail_with(expected, response).cause)

    def test_scope(self) -> None:
        self.assertIn("the scope event:write", self.fail_with(Forbidden, Answer(403, b'{"detail": "No"}')).assistance)

    def test_invalid_inputs_send_nothing(self) -> None:
        for inputs, cause in (
            ({"text": " \n"}, "'text' is empty or missing"),
            ({"issue_id": "a b"}, "The issue_id is invalid"),
            ({"organization_slug": ".."}, "The organization_slug is invalid"),
        ):
            with self.subTest(inputs), self.assertRaises(InvalidInput) as caught:
                add_comment(inputs)
            self.assertIn(cause, caught.exception.cause)


class TestAlternativePath(unittest.TestCase):
    """On another path, the number may be that of another issue, so it is confirmed first."""

    def issue(self, organization: str) -> Answer:
        permalink = f"https://sentry.example.com/organizations/{organization}/issues/5/"
        return Answer(body=json.dumps({"id": "5", "permalink": permalink}).encode())

    def test_confirmed_issue(self) -> None:
        script = (
            ("POST", COMMENTS, Answer(404)),
            ("GET", "/api/0/issues/5/", self.issue("acme")),
            ("POST", PLAIN, LOST),
            ("GET", PLAIN, answer()),
            ("POST", PLAIN, created()),
        )
        self.assertEqual(add_comment({}, *script)[0]["comment"]["id"], "71")

    def test_other_issue(self) -> None:
        script = (("POST", COMMENTS, Answer(404)), ("GET", "/api/0/issues/5/", self.issue("bravo")))
        with self.assertRaises(InvalidInput) as caught:
            add_comment({}, *script)
        self.assertIn("Nothing was changed", caught.exception.cause)


class TestIsRecent(unittest.TestCase):
    def test_is_recent(self) -> None:
        now = datetime(2026, 8, 1, 12, tzinfo=UTC)
        for created_at, expected in (
            ("2026-08-01T11:55:00.5Z", True),
            ("2026-08-01T11:56:00", True),
            ("2026-08-01T12:04:00Z", True),
            ("2026-08-01T13:03:00+01:00", True),
            ("2026-08-01T11:54:00Z", False),
            ("2026-08-01T12:06:00Z", False),
            ("yesterday", False),
            (None, False),
        ):
            with self.subTest(created_at):
                self.assertIs(is_recent({"dateCreated": created_at}, now), expected)
