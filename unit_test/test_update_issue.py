"""Update Issue against the sandbox and a scripted server."""

import json
import unittest

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import BadRequest, Forbidden, UnexpectedResponse
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_to, run_action


class TestUpdateIssue(SandboxTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.submit({"message": "To be updated"})
        self.issue_id = self.issues(all_statuses=True)[0]["id"]

    def update(self, **attributes: object) -> Json:
        issue: Json = self.run_action("update_issue", {"issue_id": self.issue_id, **attributes})["issue"]
        return issue

    def test_each_status(self) -> None:
        for status, reported in (
            ("ignored", "ignored"),
            ("resolvedInNextRelease", "resolved"),
            ("unresolved", "unresolved"),
            ("resolved", "resolved"),
        ):
            with self.subTest(status):
                self.assertEqual(self.update(status=status)["status"], reported)
                self.assertEqual(self.issues(all_statuses=True)[0]["status"], reported)

    def test_assign_and_unassign(self) -> None:
        env = self.sandbox.env
        for actor, expected in (
            (env["USER_EMAIL"], {"type": "user", "id": env["USER_ID"], "email": env["USER_EMAIL"]}),
            (env["USER2_ID"], {"type": "user", "id": env["USER2_ID"], "email": env["USER2_EMAIL"]}),
            (f"team:{env['TEAM_ID']}", {"type": "team", "id": env["TEAM_ID"], "name": "ops"}),
        ):
            with self.subTest(actor):
                self.assertEqual(
                    self.update(assignedTo=actor)["assignedTo"].items() & expected.items(), expected.items()
                )
        self.assertNotIn("assignedTo", self.update(unassign=True))
        self.assertNotIn("assignedTo", self.issues(all_statuses=True)[0])

    def test_flags_are_set_and_cleared(self) -> None:
        for flag in ("hasSeen", "isBookmarked", "isSubscribed", "isPublic"):
            for value in (True, False):
                with self.subTest(flag=flag, value=value):
                    self.assertIs(self.update(**{flag: value})[flag], value)

    def test_only_attributes_that_are_set_are_sent(self) -> None:
        self.update(isBookmarked=False, status="", assignedTo=" ", isPublic=None)
        self.assertEqual(json.loads(self.sandbox.requests[-1].body), {"isBookmarked": False})
        self.update(unassign=True, status="resolved")
        self.assertEqual(json.loads(self.sandbox.requests[-1].body), {"assignedTo": "", "status": "resolved"})

    def test_issue_id_may_be_a_permalink(self) -> None:
        permalink = self.issues(all_statuses=True)[0]["permalink"]
        output = self.run_action("update_issue", {"issue_id": permalink, "hasSeen": True})
        self.assertEqual(output["issue"]["id"], self.issue_id)

    def test_invalid_inputs_are_rejected_before_a_request_is_sent(self) -> None:
        self.sandbox.requests.clear()
        for attributes, cause in (
            ({}, "nothing to update"),
            ({"status": "", "unassign": False}, "nothing to update"),
            ({"assignedTo": "user1@example.com", "unassign": True}, "assignedTo and unassign"),
            ({"status": "archived"}, "'status' is not one of 'resolved', 'resolvedInNextRelease'"),
            ({"hasSeen": "maybe"}, "'hasSeen' is not true or false"),
        ):
            with self.subTest(attributes), self.assertRaises(PluginException) as caught:
                self.run_action("update_issue", {"issue_id": "1", **attributes})
            self.assertIn(cause, caught.exception.cause)
        self.assertEqual(list(self.sandbox.requests), [])

    def test_an_error_contains_the_message_of_the_server(self) -> None:
        with self.assertRaises(BadRequest) as caught:
            self.update(assignedTo="user99@example.com")
        self.assertIn("assignedTo", caught.exception.data)

    def test_a_missing_scope_is_named(self) -> None:
        connection = connection_to(self.sandbox.base, self.sandbox.env["TOKEN_READONLY"])
        with self.assertRaises(Forbidden) as caught:
            run_action("update_issue", connection, {"issue_id": self.issue_id, "status": "resolved"})
        self.assertIn("event:write", caught.exception.assistance)


class TestResponse(unittest.TestCase):
    def test_a_body_that_is_not_an_issue_is_an_error(self) -> None:
        for body in (b"[]", b'"done"'):
            script = ("PUT", "/api/0/issues/5/", Answer(body=body))
            with self.subTest(body), ScriptedServer(script) as server, self.assertRaises(UnexpectedResponse):
                run_action("update_issue", connection_to(server.base), {"issue_id": "5", "hasSeen": True})
