"""update_issues, merge_issues and delete_issues."""

from typing import Any

from testing.plugin import Json

from .case import RUN, E2ECase


class ActOnManyCase(E2ECase):
    """Three issues for each test, and a query that finds them."""

    def setUp(self) -> None:
        self.case = self.name.lower().replace(".test_", "-").replace("_", "-")
        self.query = f"many:{self.case}-{RUN}"
        self.ids: list[str] = []
        for number in range(3):
            event = {"message": f"{self.case} {number} of run {RUN}", "tags": {"many": f"{self.case}-{RUN}"}}
            case = f"{self.case}-{number}"
            self.submit(case, event)
            self.ids.append(self.issue_of(case)["id"])

    def act(self, name: str, **inputs: Any) -> Json:
        return self.step(name, {"organization_slug": self.target["ORG"], **inputs})

    def statuses(self) -> list[str]:
        """The statuses of the issues as the server lists them, with an empty text for a missing issue."""
        listed = {issue["id"]: issue["status"] for issue in self.issues(query=self.query)}
        return [listed.get(issue_id, "") for issue_id in self.ids]


class TestUpdateIssues(ActOnManyCase):
    def test_issues_by_id(self) -> None:
        output = self.act("update_issues", issue_ids=self.ids[:2], status="resolved", dry_run=False)
        self.assertEqual((output["matched"], output["changed"], output["failed"]), (2, 2, 0))
        self.assertEqual([result["before"]["status"] for result in output["results"]], ["unresolved"] * 2)
        self.assertEqual([result["after"]["status"] for result in output["results"]], ["resolved"] * 2)
        self.assertEqual(self.statuses(), ["resolved", "resolved", "unresolved"])

    def test_issues_by_query(self) -> None:
        output = self.act("update_issues", query=self.query, status="ignored", dry_run=False)
        self.assertEqual((output["matched"], output["changed"]), (3, 3))
        self.assertEqual(self.statuses(), ["ignored"] * 3)

    def test_a_dry_run_changes_nothing(self) -> None:
        output = self.act("update_issues", issue_ids=self.ids, status="resolved")
        self.assertEqual((output["dry_run"], output["matched"], output["changed"]), (True, 3, 0))
        self.assertEqual([result["after"]["status"] for result in output["results"]], ["resolved"] * 3)
        self.assertEqual(self.statuses(), ["unresolved"] * 3)

    def test_more_issues_than_max_changes(self) -> None:
        output = self.act("update_issues", issue_ids=self.ids, status="resolved", dry_run=False, max_changes=2)
        self.assertEqual((output["matched"], output["changed"]), (3, 0))
        self.assertTrue(output["warning"])
        self.assertEqual(self.statuses(), ["unresolved"] * 3)

    def test_a_stale_id_changes_nothing_else(self) -> None:
        output = self.act("update_issues", issue_ids=["999999999", self.ids[0]], status="resolved", dry_run=False)
        self.assertEqual((output["changed"], output["failed"]), (1, 1))
        self.assertEqual(self.statuses(), ["resolved", "unresolved", "unresolved"])

    def test_only_a_stale_id(self) -> None:
        output = self.act("update_issues", issue_ids=["999999999"], status="resolved", dry_run=False)
        self.assertEqual((output["changed"], output["failed"]), (0, 1))
        self.assertEqual(self.statuses(), ["unresolved"] * 3)

    def test_by_stdin(self) -> None:
        params = {"organization_slug": self.target["ORG"], "issue_ids": self.ids, "hasSeen": True, "dry_run": False}
        self.assertEqual(self.step_by_stdin("update_issues", params)["changed"], 3)


class TestMergeIssues(ActOnManyCase):
    def test_issues_become_one(self) -> None:
        output = self.act("merge_issues", issue_ids=self.ids)
        self.assertTrue(output["completed"])
        remaining = output["issue"]["id"]
        # Sentry decides which one remains.
        self.assertEqual(sorted([remaining, *output["merged"]]), sorted(self.ids))
        for issue_id in self.ids:
            self.assertEqual(self.step("get_issue", {"issue_id": issue_id})["issue"]["id"], remaining)
        self.eventually(lambda: len(self.events(remaining)) == 3, "the events of all issues")

    def test_by_stdin(self) -> None:
        params = {"organization_slug": self.target["ORG"], "issue_ids": self.ids[:2]}
        self.assertEqual(len(self.step_by_stdin("merge_issues", params)["merged"]), 1)

    def test_a_single_issue(self) -> None:
        params = {"organization_slug": self.target["ORG"], "issue_ids": self.ids[:1]}
        self.assertIn("two", self.failure("merge_issues", params)["cause"])


class TestDeleteIssues(ActOnManyCase):
    def test_issues_are_deleted(self) -> None:
        output = self.act("delete_issues", issue_ids=self.ids[:2], confirm=2)
        self.assertEqual(sorted(output["deleted"]), sorted(self.ids[:2]))
        self.assertEqual([result["changed"] for result in output["results"]], [True, True])
        for issue_id in self.ids[:2]:
            self.assertIn("(404)", self.failure("get_issue", {"issue_id": issue_id})["cause"])
        self.assertEqual(self.step("get_issue", {"issue_id": self.ids[2]})["issue"]["id"], self.ids[2])

    def test_another_number_than_confirmed(self) -> None:
        params = {"organization_slug": self.target["ORG"], "issue_ids": self.ids, "confirm": 2}
        self.assertIn("confirm", self.failure("delete_issues", params)["cause"])
        self.assertEqual(self.statuses(), ["unresolved"] * 3)

    def test_a_read_only_token(self) -> None:
        self.need("TOKEN_READONLY")
        params = {"organization_slug": self.target["ORG"], "issue_ids": self.ids, "confirm": 3}
        self.assertIn("event:admin", self.failure("delete_issues", params, "TOKEN_READONLY")["assistance"])
        self.assertEqual(self.statuses(), ["unresolved"] * 3)

    def test_by_stdin(self) -> None:
        params = {"organization_slug": self.target["ORG"], "issue_ids": self.ids, "confirm": 3}
        self.assertEqual(sorted(self.step_by_stdin("delete_issues", params)["deleted"]), sorted(self.ids))
