"""Update Issue against the sandbox and a scripted server."""

import json
import logging
import unittest
from typing import Any, ClassVar

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import BadRequest, Forbidden, UnexpectedResponse
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_to, run_action


def answer(body: Any, status: int = 200) -> Answer:
    link = '<http://x/>; rel="next"; results="false"; cursor="0:0:0"'
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json", "Link": link})


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

    def test_a_team_may_be_given_by_its_slug(self) -> None:
        assigned = self.update(assignedTo="#ops")["assignedTo"]
        self.assertEqual((assigned["type"], assigned["id"]), ("team", self.sandbox.env["TEAM_ID"]))

    def test_ignore_conditions_and_substatus(self) -> None:
        for inputs in (
            {"ignoreDuration": 60},
            {"ignoreCount": 5, "ignoreWindow": 60},
            {"ignoreUserCount": 5, "ignoreUserWindow": 60, "substatus": "archived_until_condition_met"},
            {"substatus": "archived_until_escalating"},
            {"substatus": "archived_forever"},
        ):
            with self.subTest(inputs):
                self.update(status="unresolved")
                output = self.run_action(
                    "update_issue", {"issue_id": self.issue_id, "status": "ignored", **inputs, "priority": "low"}
                )
                self.assertEqual((output["not_applied"], output["issue"]["priority"]), ([], "low"))

    def test_a_release_that_does_not_exist_is_an_error(self) -> None:
        for release in ({"inRelease": "9.9.9"}, {"inNextRelease": True}):
            with self.subTest(release), self.assertRaises(BadRequest) as caught:
                self.update(status="resolved", **release)
            self.assertIn(next(iter(release)), caught.exception.data)

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
            ({"comment": "Only a comment"}, "nothing to update"),
            ({"ignoreCount": 5}, "ignoreCount is set, but status is not set"),
            ({"status": "ignored", "inRelease": "1.0"}, "inRelease is set, but status is ignored"),
            ({"priority": "urgent"}, "'priority' is not one of 'high', 'medium', 'low'"),
            ({"assignedTo": "#"}, "no slug after #"),
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


ISSUE = {"id": "5", "status": "resolved", "permalink": "https://sentry.example.com/organizations/acme/issues/5/"}
FORBIDDEN = {"detail": "Key doesn't have permission to create Note"}
TEAMS = [{"id": "1", "slug": "dev"}, {"id": "2", "slug": "ops"}]
PATH = "/api/0/organizations/acme/issues/5/"
TEAMS_PATH = "/api/0/organizations/acme/teams/"


class Scripted(unittest.TestCase):
    """Updates issue 5 on a scripted server."""

    def update(self, params: Json, *script: tuple[str, str, Answer]) -> Json:
        with ScriptedServer(*script) as self.server:
            return run_action("update_issue", connection_to(self.server.base), {"issue_id": "5", **params})

    def failure_of(self, params: Json, *script: tuple[str, str, Answer]) -> PluginException:
        with self.assertRaises(PluginException) as caught:
            self.update(params, *script)
        self.assertEqual(len(self.server.received), len(script))
        return caught.exception


class TestComment(Scripted):
    RESOLVE: ClassVar[Json] = {"organization_slug": "acme", "status": "resolved", "comment": "Ticket OPS-42"}

    def test_the_comment_is_posted_after_the_change(self) -> None:
        output = self.update(
            self.RESOLVE, ("PUT", PATH, answer(ISSUE)), ("POST", f"{PATH}comments/", answer({"id": "7"}, 201))
        )
        self.assertEqual(output["not_applied"], [])
        self.assertEqual(json.loads(self.server.received[0].body), {"status": "resolved"})
        self.assertEqual(json.loads(self.server.received[1].body), {"text": "Ticket OPS-42"})

    def test_a_comment_that_fails_is_not_applied_but_the_change_is(self) -> None:
        for failure in (answer(FORBIDDEN, 403), answer("You have already posted that comment.", 400)):
            with self.subTest(failure.status), self.assertLogs("plugin.test", logging.WARNING) as logs:
                output = self.update(self.RESOLVE, ("PUT", PATH, answer(ISSUE)), ("POST", f"{PATH}comments/", failure))
                self.assertEqual((output["issue"]["status"], output["not_applied"]), ("resolved", ["comment"]))
                self.assertIn("was changed, but the comment was not posted: ", logs.output[-1])
                self.assertIn(str(failure.status), logs.output[-1])

    def test_no_comment_is_posted_if_the_change_fails(self) -> None:
        self.failure_of(self.RESOLVE, ("PUT", PATH, answer({"status": ["no"]}, 400)))
        self.failure_of(self.RESOLVE, ("PUT", PATH, answer({**ISSUE, "status": "ignored"})))


class TestTeamSlug(Scripted):
    ASSIGNED: ClassVar[Json] = {**ISSUE, "assignedTo": {"type": "team", "id": "2", "name": "ops"}}

    def test_the_organization_is_that_of_the_input_or_of_the_permalink(self) -> None:
        for params in (
            {"organization_slug": "acme"},
            {"issue_id": "acme/PUMP-5"},
        ):
            path = PATH if "issue_id" not in params else "/api/0/organizations/acme/issues/PUMP-5/"
            with self.subTest(params):
                output = self.update(
                    {**params, "assignedTo": "#ops"},
                    ("GET", TEAMS_PATH, answer(TEAMS)),
                    ("PUT", path, answer(self.ASSIGNED)),
                )
                self.assertEqual(output["not_applied"], [])
                self.assertEqual(json.loads(self.server.received[-1].body), {"assignedTo": "team:2"})

    def test_without_one_the_organization_is_that_of_the_issue(self) -> None:
        self.update(
            {"assignedTo": "#ops"},
            ("GET", "/api/0/issues/5/", answer(ISSUE)),
            ("GET", TEAMS_PATH, answer(TEAMS)),
            ("PUT", "/api/0/issues/5/", answer(self.ASSIGNED)),
        )

    def test_an_issue_that_does_not_show_its_organization_is_not_changed(self) -> None:
        error = self.failure_of({"assignedTo": "#ops"}, ("GET", "/api/0/issues/5/", answer({"id": "5"})))
        self.assertIn("organization_slug", error.assistance)

    def test_an_unknown_team_is_an_error_and_nothing_is_changed(self) -> None:
        error = self.failure_of(
            {"organization_slug": "acme", "assignedTo": "#nobody"}, ("GET", TEAMS_PATH, answer(TEAMS))
        )
        self.assertIn("no team nobody", error.cause)

    def test_the_missing_scope_is_named(self) -> None:
        error = self.failure_of(
            {"organization_slug": "acme", "assignedTo": "#ops"}, ("GET", TEAMS_PATH, answer(FORBIDDEN, 403))
        )
        self.assertIn("org:read", error.assistance)


class TestOldServer(Scripted):
    def test_inputs_that_it_ignores_are_listed(self) -> None:
        output = self.update(
            {"organization_slug": "acme", "status": "ignored", "substatus": "archived_forever", "priority": "high"},
            ("PUT", PATH, answer({**ISSUE, "status": "ignored", "statusDetails": {}})),
        )
        self.assertEqual(sorted(output["not_applied"]), ["priority", "substatus"])

    def test_an_ignored_priority_alone_is_an_error(self) -> None:
        error = self.failure_of({"organization_slug": "acme", "priority": "high"}, ("PUT", PATH, answer(ISSUE)))
        self.assertIn("priority", error.cause)
        self.assertIn("Sentry 24", error.assistance)

    def test_a_fault_for_a_project_without_releases_is_explained(self) -> None:
        error = self.failure_of(
            {"organization_slug": "acme", "status": "resolved", "inNextRelease": True},
            ("PUT", PATH, answer({"detail": "Internal Error"}, 500)),
        )
        self.assertIn("no release", error.assistance)


class TestResponse(unittest.TestCase):
    def test_a_body_that_is_not_an_issue_is_an_error(self) -> None:
        for body in (b"[]", b'"done"'):
            script = ("PUT", "/api/0/issues/5/", Answer(body=body))
            with self.subTest(body), ScriptedServer(script) as server, self.assertRaises(UnexpectedResponse):
                run_action("update_issue", connection_to(server.base), {"issue_id": "5", "hasSeen": True})
