"""update_issue: each input, and the issue as the server shows it."""

from typing import Any

from testing.plugin import Json

from .case import RUN, E2ECase


class TestUpdateIssue(E2ECase):
    def setUp(self) -> None:
        self.case = f"update-{self._testMethodName.removeprefix('test_').replace('_', '-')}"
        self.issue_id: str = self.new_issue(self.case, release=f"e2e@{RUN}")["id"]

    def update(self, **attributes: Any) -> Json:
        """Update the issue; compare the output with the list of issues, and return the issue from that list."""
        output = self.step("update_issue", {"issue_id": self.issue_id, **attributes})["issue"]
        listed = self.issues(query=f"e2e_case:{self.case}-{RUN}")[0]
        for key in ("status", "assignedTo", "isBookmarked", "isSubscribed", "hasSeen", "isPublic"):
            self.assertEqual(output.get(key), listed.get(key), key)
        return listed

    def test_every_status(self) -> None:
        for status, reported in (("resolved", "resolved"), ("unresolved", "unresolved"), ("ignored", "ignored")):
            self.assertEqual(self.update(status=status)["status"], reported)
        self.update(status="unresolved")
        issue = self.update(status="resolvedInNextRelease")
        self.assertEqual((issue["status"], issue["statusDetails"].get("inNextRelease")), ("resolved", True))

    def test_assign_to_a_user_by_email_and_id_and_un_assign(self) -> None:
        self.need("USER_EMAIL", "USER_ID", "USER_NAME")
        for actor in (self.target["USER_EMAIL"], self.target["USER_ID"], self.target["USER_NAME"]):
            assigned = self.update(assignedTo=actor)["assignedTo"]
            self.assertEqual((assigned["type"], assigned["id"]), ("user", self.target["USER_ID"]))
            self.assertEqual(assigned["email"], self.target["USER_EMAIL"])
            self.assertTrue(assigned["name"])
            self.assertNotIn("assignedTo", self.update(unassign=True))

    def test_assign_to_a_team(self) -> None:
        self.need("TEAM_ID")
        assigned = self.update(assignedTo=f"team:{self.target['TEAM_ID']}")["assignedTo"]
        self.assertEqual((assigned["type"], assigned["id"]), ("team", self.target["TEAM_ID"]))
        self.assertNotIn("assignedTo", self.update(unassign=True))

    def test_flags_are_set_and_cleared(self) -> None:
        for flag in ("hasSeen", "isBookmarked", "isSubscribed", "isPublic"):
            for value in (True, False):
                with self.subTest(flag=flag, value=value):
                    self.assertIs(self.update(**{flag: value})[flag], value)

    def test_a_shared_issue_has_a_share_id(self) -> None:
        self.assertTrue(self.update(isPublic=True)["shareId"])
        self.assertNotIn("shareId", self.update(isPublic=False))

    def test_attributes_without_an_input_keep_their_value(self) -> None:
        self.update(isBookmarked=True, status="ignored")
        issue = self.update(hasSeen=False, status="", assignedTo="")
        self.assertEqual((issue["isBookmarked"], issue["status"]), (True, "ignored"))

    def test_an_issue_by_permalink(self) -> None:
        permalink = self.issues(query=f"e2e_case:{self.case}-{RUN}")[0]["permalink"]
        output = self.step("update_issue", {"issue_id": permalink, "isBookmarked": True})
        self.assertEqual((output["issue"]["id"], output["issue"]["isBookmarked"]), (self.issue_id, True))

    def test_an_issue_by_id_or_short_id_with_the_organization(self) -> None:
        short_id = self.issues(query=f"e2e_case:{self.case}-{RUN}")[0]["shortId"]
        for issue_id, flag in ((short_id, True), (self.issue_id, False)):
            params = {"issue_id": issue_id, "organization_slug": self.target["ORG"], "isBookmarked": flag}
            issue = self.step("update_issue", params)["issue"]
            self.assertEqual((issue["id"], issue["isBookmarked"]), (self.issue_id, flag))

    def test_ignored_with_a_substatus(self) -> None:
        for substatus in ("archived_until_escalating", "archived_forever"):
            output = self.step("update_issue", self.inputs(status="ignored", substatus=substatus))
            self.assertEqual((output["issue"]["substatus"], output["not_applied"]), (substatus, []))
            self.assertEqual(self.details()["substatus"], substatus)
            self.update(status="unresolved")

    def test_ignored_under_conditions(self) -> None:
        for inputs, expected in (
            ({"ignoreDuration": 30}, {"ignoreUntil"}),
            ({"ignoreCount": 10, "ignoreWindow": 60}, {"ignoreCount", "ignoreWindow"}),
            ({"ignoreUserCount": 5, "ignoreUserWindow": 60}, {"ignoreUserCount", "ignoreUserWindow"}),
        ):
            with self.subTest(inputs):
                self.step("update_issue", self.inputs(status="ignored", **inputs))
                issue = self.details()
                set_details = {name for name, value in issue["statusDetails"].items() if value and name != "actor"}
                self.assertEqual((issue["status"], set_details), ("ignored", expected))
                self.step("update_issue", self.inputs(status="unresolved"))

    def test_resolved_in_a_release(self) -> None:
        for version in (f"e2e@{RUN}", "latest"):
            self.step("update_issue", self.inputs(status="resolved", inRelease=version))
            issue = self.details()
            self.assertEqual(issue["status"], "resolved")
            self.assertTrue(issue["statusDetails"]["inRelease"])
            self.step("update_issue", self.inputs(status="unresolved"))

    def test_resolved_in_an_unknown_release(self) -> None:
        error = self.failure("update_issue", self.inputs(status="resolved", inRelease=f"none@{RUN}"))
        self.assertIn("(400)", error["cause"])
        self.assertIn("inRelease", error["data"])
        self.assertEqual(self.details()["status"], "unresolved")

    def test_resolved_in_the_next_release(self) -> None:
        self.step("update_issue", self.inputs(status="resolved", inNextRelease=True))
        issue = self.details()
        self.assertEqual((issue["status"], issue["statusDetails"]["inNextRelease"]), ("resolved", True))

    def test_resolved_in_a_commit(self) -> None:
        self.need("REPOSITORY", "COMMIT")
        commit = {"commit": self.target["COMMIT"], "repository": self.target["REPOSITORY"]}
        self.step("update_issue", self.inputs(status="resolved", inCommit=commit))
        details = self.details()["statusDetails"]
        self.assertEqual(details["inCommit"]["id"], self.target["COMMIT"])

    def test_priority(self) -> None:
        for priority in ("low", "high"):
            self.step("update_issue", self.inputs(priority=priority))
            self.assertEqual(self.details()["priority"], priority)

    def test_a_comment_after_the_change(self) -> None:
        self.step("update_issue", self.inputs(isBookmarked=True, comment=f"Ticket of run {RUN}"))
        comments = self.step("list_comments", {"issue_id": self.issue_id})["comments"]
        self.assertEqual([comment["text"] for comment in comments], [f"Ticket of run {RUN}"])

    def test_assign_to_a_team_by_its_slug(self) -> None:
        self.need("TEAM_ID")
        teams = self.step("list_teams", {"organization_slug": self.target["ORG"]})["teams"]
        slug = next(team["slug"] for team in teams if team["id"] == self.target["TEAM_ID"])
        assigned = self.update(assignedTo=f"#{slug}", organization_slug=self.target["ORG"])["assignedTo"]
        self.assertEqual((assigned["type"], assigned["id"]), ("team", self.target["TEAM_ID"]))

    def inputs(self, **attributes: Any) -> Json:
        return {"issue_id": self.issue_id, **attributes}

    def details(self) -> Json:
        """The issue as the server shows it."""
        issue: Json = self.step("get_issue", {"issue_id": self.issue_id})["issue"]
        return issue

    def test_by_stdin(self) -> None:
        output = self.step_by_stdin("update_issue", {"issue_id": self.issue_id, "status": "ignored"})
        self.assertEqual(output["issue"]["status"], "ignored")

    def test_an_unknown_assignee(self) -> None:
        params = {"issue_id": self.issue_id, "assignedTo": f"{RUN}@example.com"}
        error = self.failure("update_issue", params)
        self.assertIn("(400)", error["cause"])
        self.assertIn("assignedTo", error["data"])

    def test_a_missing_issue(self) -> None:
        error = self.failure("update_issue", {"issue_id": "999999999", "hasSeen": True})
        self.assertIn("(404)", error["cause"])
