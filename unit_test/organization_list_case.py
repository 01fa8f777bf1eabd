"""Tests that hold for each action that lists something of an organization."""

import json
from typing import ClassVar

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    ServerFailed,
    Unauthorized,
)
from testing.plugin import Json
from testing.scripted_server import Answer, Received, ScriptedServer
from testing.support import SandboxTestCase, connection_to, message, run_action

DENIED = Answer(403, b'{"detail": "You do not have permission to perform this action."}')
LAST = '<http://internal/?&cursor=100:1:0>; rel="next"; results="false"; cursor="100:1:0"'


def answer(*records: Json, cursor: str = "") -> Answer:
    """A page of a list.

    :param cursor: of the next page, "" for the last page
    """
    link = f'<http://internal/>; rel="next"; results="true"; cursor="{cursor}"' if cursor else LAST
    return Answer(body=json.dumps(records).encode(), headers={"Link": link})


def run_script(action: str, inputs: Json, *script: tuple[str, str, Answer]) -> tuple[Json, list[Received]]:
    """Run an action with inputs that its schema allows; return its output and the requests."""
    with ScriptedServer(*script) as server:
        message(action, inputs, {})
        return run_action(action, connection_to(server.base), inputs), server.received


class OrganizationListCase(SandboxTestCase):
    """Subclasses set the attributes.

    :param name: of the output, and the last segment of the path
    :param sent: a record as Sentry sends it
    :param returned: that record in the output
    """

    name: ClassVar[str]
    sent: ClassVar[Json]
    returned: ClassVar[Json]
    scope: ClassVar[str] = "org:read"
    refusals: ClassVar[int] = 1

    @property
    def action(self) -> str:
        return f"list_{self.name}"

    @property
    def path(self) -> str:
        return f"/api/0/organizations/acme/{self.name}/"

    def numbered(self, number: int) -> Json:
        return {**self.sent, "id": str(number)}

    def list_records(self, inputs: Json, *answers: Answer) -> tuple[Json, list[Received]]:
        script = (("GET", self.path, response) for response in answers)
        return run_script(self.action, {"organization_slug": "acme", **inputs}, *script)

    def test_record(self) -> None:
        output, received = self.list_records({}, answer(self.sent))
        self.assertEqual(output, {self.name: [self.returned], "truncated": False})
        self.assertEqual(received[0].params, [("per_page", "100")])

    def test_empty_list(self) -> None:
        self.assertEqual(self.list_records({}, answer())[0], {self.name: [], "truncated": False})

    def test_record_without_attributes(self) -> None:
        output, _ = self.list_records({}, answer({"id": None, "projects": None, "user": None, "name": None}))
        self.assertEqual(len(output[self.name]), 1)

    def test_query_is_sent_with_each_page(self) -> None:
        output, received = self.list_records(
            {"query": "Ämter & Co"}, answer(self.numbered(1), cursor="100:1:0"), answer(self.numbered(2))
        )
        self.assertEqual((len(output[self.name]), output["truncated"]), (2, False))
        query = ("query", "Ämter & Co")
        self.assertEqual(received[0].params, [query, ("per_page", "100")])
        self.assertEqual(received[1].params, [query, ("per_page", "100"), ("cursor", "100:1:0")])

    def test_limited_list_can_be_continued(self) -> None:
        output, received = self.list_records({"limit": 1}, answer(self.numbered(1), cursor="1:1:0"))
        self.assertEqual((output["truncated"], output["next_cursor"]), (True, "1:1:0"))
        self.assertEqual(received[0].params, [("per_page", "1")])
        _, received = self.list_records({"cursor": output["next_cursor"]}, answer(self.numbered(2)))
        self.assertEqual(received[0].params, [("per_page", "100"), ("cursor", "1:1:0")])

    def test_failure_after_the_first_page_is_a_warning(self) -> None:
        output, _ = self.list_records({}, answer(self.numbered(1), cursor="100:1:0"), Answer(500))
        self.assertEqual((len(output[self.name]), output["truncated"], output["next_cursor"]), (1, True, "100:1:0"))
        self.assertIn("failed on organization acme (500)", output["warning"])

    def test_failures(self) -> None:
        for status, body, expected, cause in (
            (401, {"detail": "Invalid token"}, Unauthorized, "did not accept the token (401)"),
            (404, {"detail": "The requested resource does not exist"}, NotFound, "no organization acme (404)"),
            (429, {"detail": "Too many requests"}, RateLimited, "refused organization acme (429)"),
            (500, {"detail": "Internal Error"}, ServerFailed, "failed on organization acme (500)"),
        ):
            responses = [Answer(status, json.dumps(body).encode(), {"Retry-After": "3600"})]
            with self.subTest(status), self.assertRaises(expected) as caught:
                self.list_records({}, *responses)
            failure: PluginException = caught.exception
            self.assertIn(cause, failure.cause)
            self.assertTrue(failure.assistance)

    def test_missing_scope(self) -> None:
        script = [("GET", self.path, DENIED)]
        script += [("GET", "/api/0/organizations/acme/users/", DENIED)] * (self.refusals - 1)
        with self.assertRaises(Forbidden) as caught:
            run_script(self.action, {"organization_slug": "acme"}, *script)
        self.assertIn(f"the scope {self.scope}", caught.exception.assistance)

    def test_invalid_inputs_send_nothing(self) -> None:
        for inputs, cause in (
            ({"organization_slug": ".."}, "The organization_slug is invalid"),
            ({"organization_slug": " "}, "'organization_slug' is empty or missing"),
            ({"limit": -1}, "The limit is negative"),
        ):
            with self.subTest(inputs), self.assertRaises(InvalidInput) as caught:
                self.list_records(inputs)
            self.assertIn(cause, caught.exception.cause)

    def test_slug_is_quoted(self) -> None:
        path = f"/api/0/organizations/a%2Fb/{self.name}/"
        output, _ = run_script(self.action, {"organization_slug": "a/b"}, ("GET", path, answer()))
        self.assertEqual(output[self.name], [])

    def test_sandbox(self) -> None:
        output = self.run_action(self.action, {"organization_slug": self.sandbox.env["ORG"]})
        self.assertTrue(output[self.name])
        self.assertFalse(output["truncated"])
        for record in output[self.name]:
            self.assertLessEqual(record.keys(), self.returned.keys())
