"""List Members against the sandbox and a scripted server."""

import unittest
from typing import ClassVar

from komand_sentry.util.errors.exceptions import Forbidden
from komand_sentry.util.sentry.members import matches, normalize_member
from testing.plugin import Json
from testing.scripted_server import Answer
from unit_test import organization_list_case
from unit_test.organization_list_case import DENIED, answer, run_script

MEMBERS = "/api/0/organizations/acme/members/"
USERS = "/api/0/organizations/acme/users/"


def member(number: int, **more: object) -> Json:
    user = {"id": str(number), "username": f"user{number}", "email": f"user{number}@example.com", "emails": [{}]}
    return {
        "id": str(number + 100),
        "user": user,
        "name": f"User {number}",
        "email": f"user{number}@example.com",
        "orgRole": "member",
        "pending": False,
        "flags": {"sso:linked": False},
        **more,
    }


class TestListMembers(organization_list_case.OrganizationListCase):
    name = "members"
    scope = "member:read"
    refusals = 2
    sent: ClassVar[Json] = member(7)
    returned: ClassVar[Json] = {
        "id": "7",
        "membership_id": "107",
        "name": "User 7",
        "email": "user7@example.com",
        "username": "user7",
        "role": "member",
        "pending": False,
    }

    def test_pending_invitation_has_no_user_id(self) -> None:
        invited = {"id": "9", "email": "new@example.com", "name": "new@example.com", "user": None, "pending": True}
        output, _ = self.list_records({}, answer({**invited, "role": "member"}))
        self.assertEqual(
            output["members"],
            [
                {
                    "membership_id": "9",
                    "email": "new@example.com",
                    "name": "new@example.com",
                    "role": "member",
                    "pending": True,
                }
            ],
        )

    def test_id_can_be_assigned(self) -> None:
        self.submit({"message": "For a member"})
        env = self.sandbox.env
        found = self.run_action("list_members", {"organization_slug": env["ORG"]})["members"]
        by_email = {record["email"]: record for record in found}
        self.assertEqual(by_email[env["USER2_EMAIL"]]["id"], env["USER2_ID"])
        inputs = {"issue_id": self.issues()[0]["id"], "assignedTo": by_email[env["USER2_EMAIL"]]["id"]}
        assignee = self.run_action("update_issue", inputs)["issue"]["assignedTo"]
        self.assertEqual((assignee["type"], assignee["id"]), ("user", env["USER2_ID"]))


class TestWithoutScope(unittest.TestCase):
    """The members of projects are listed if the token may not list all members."""

    def list_members(self, inputs: Json, users: Answer) -> Json:
        script = (("GET", MEMBERS, DENIED), ("GET", USERS, users))
        output, received = run_script("list_members", {"organization_slug": "acme", **inputs}, *script)
        self.assertEqual(received[1].params, [])
        return output

    def test_members_of_projects(self) -> None:
        output = self.list_members({}, answer(member(1), member(2)))
        self.assertEqual([record["id"] for record in output["members"]], ["1", "2"])
        self.assertTrue(output["truncated"])
        self.assertNotIn("next_cursor", output)
        self.assertIn("lacks the scope member:read", output["warning"])

    def test_query_and_limit(self) -> None:
        users = answer(*map(member, range(1, 30)))
        output = self.list_members({"query": "USER 1"}, users)
        self.assertEqual([record["id"] for record in output["members"]], ["1", *map(str, range(10, 20))])
        output = self.list_members({"query": "user 1", "limit": 2}, users)
        self.assertEqual([record["id"] for record in output["members"]], ["1", "10"])

    def test_a_cursor_cannot_be_continued(self) -> None:
        with self.assertRaises(Forbidden):
            run_script("list_members", {"organization_slug": "acme", "cursor": "100:1:0"}, ("GET", MEMBERS, DENIED))

    def test_refusal_of_the_members_is_reported(self) -> None:
        for users in (DENIED, Answer(404), Answer(500), Answer(body=b"{}")):
            with self.subTest(users), self.assertRaises(Forbidden) as caught:
                self.list_members({}, users)
            self.assertIn("member:read", caught.exception.assistance)


class TestFunctions(unittest.TestCase):
    def test_role_of_older_servers(self) -> None:
        self.assertEqual(normalize_member({"role": "owner"})["role"], "owner")
        self.assertEqual(normalize_member({"role": "owner", "orgRole": "member"})["role"], "member")

    def test_matches(self) -> None:
        found = normalize_member({"user": {"username": "Alice"}, "email": "a@example.com", "name": None})
        for query, expected in (("ALICE", True), ("example.com", True), ("", True), ("bob", False)):
            with self.subTest(query):
                self.assertIs(matches(found, query), expected)
