"""The changes that the inputs of a step request, and what of them an issue shows."""

import unittest
from typing import Any

from komand_sentry.util.errors.exceptions import InvalidInput
from komand_sentry.util.sentry.issue_changes import IssueChanges

COMMIT = {"commit": "4f6efe508a2e", "repository": "acme/pumps"}
IGNORED = {"status": "ignored"}
RESOLVED = {"status": "resolved"}
FOREVER, ESCALATING, CONDITION_MET = (
    f"archived_{suffix}" for suffix in ("forever", "until_escalating", "until_condition_met")
)


class TestBody(unittest.TestCase):
    def test_only_what_is_set_is_sent_false_included(self) -> None:
        changes = IssueChanges.parse({"issue_id": "5", "hasSeen": False, "priority": "low", "dry_run": True})
        self.assertEqual(changes.body, {"hasSeen": False, "priority": "low"})

    def test_unassign_is_an_empty_assignee(self) -> None:
        self.assertEqual(IssueChanges.parse({"unassign": True}).body, {"assignedTo": ""})

    def test_conditions_and_releases_are_details_of_the_status(self) -> None:
        for inputs, details in (
            ({**IGNORED, "ignoreDuration": 60}, {"ignoreDuration": 60}),
            ({**IGNORED, "ignoreCount": 5, "ignoreWindow": 10080}, {"ignoreCount": 5, "ignoreWindow": 10080}),
            ({**IGNORED, "ignoreUserCount": 5, "ignoreUserWindow": 1}, {"ignoreUserCount": 5, "ignoreUserWindow": 1}),
            ({**RESOLVED, "inRelease": "latest"}, {"inRelease": "latest"}),
            ({**RESOLVED, "inNextRelease": True}, {"inNextRelease": True}),
            ({**RESOLVED, "inCommit": COMMIT}, {"inCommit": COMMIT}),
        ):
            with self.subTest(inputs):
                expected = {"status": inputs["status"], "statusDetails": details}
                self.assertEqual(IssueChanges.parse(inputs).body, expected)

    def test_the_substatus_is_sent_with_its_condition(self) -> None:
        inputs = {**IGNORED, "substatus": CONDITION_MET, "ignoreCount": 5}
        self.assertEqual(
            IssueChanges.parse(inputs).body,
            {**IGNORED, "substatus": CONDITION_MET, "statusDetails": {"ignoreCount": 5}},
        )

    def test_false_and_empty_values_that_sentry_would_take_as_set_are_not_sent(self) -> None:
        inputs = {**RESOLVED, "inNextRelease": False, "inCommit": {}, "unassign": False}
        self.assertEqual(IssueChanges.parse(inputs).body, RESOLVED)

    def test_a_comment_is_not_part_of_the_body(self) -> None:
        changes = IssueChanges.parse({**RESOLVED, "comment": "Ticket OPS-42"})
        self.assertEqual((changes.body, changes.comment), (RESOLVED, "Ticket OPS-42"))

    def test_the_slug_of_a_team_is_found_and_replaced(self) -> None:
        changes = IssueChanges.parse({**RESOLVED, "assignedTo": "#ops"})
        self.assertEqual(changes.team_slug, "ops")
        self.assertEqual(changes.with_assignee("team:2").body, {**RESOLVED, "assignedTo": "team:2"})
        for other in ("team:2", "a@x.example", "1"):
            self.assertIsNone(IssueChanges.parse({"assignedTo": other}).team_slug)
        self.assertIsNone(IssueChanges.parse(RESOLVED).team_slug)


class TestInvalidCombinations(unittest.TestCase):
    def check_rejected(self, inputs: dict[str, Any], *parts: str) -> None:
        with self.subTest(inputs), self.assertRaises(InvalidInput) as caught:
            IssueChanges.parse(inputs)
        for part in parts:
            self.assertIn(part, f"{caught.exception.cause} {caught.exception.assistance}")

    def test_nothing_to_change(self) -> None:
        self.check_rejected({}, "nothing to update", "status", "unassign")
        self.check_rejected({"unassign": False, "inNextRelease": False}, "nothing to update")
        self.check_rejected({"comment": "Only this"}, "nothing to update", "Add Comment")

    def test_two_assignees(self) -> None:
        self.check_rejected({"assignedTo": "1", "unassign": True}, "assignedTo", "unassign")

    def test_conditions_need_the_status_ignored(self) -> None:
        for name in ("ignoreDuration", "ignoreCount", "ignoreUserCount", "ignoreWindow", "ignoreUserWindow"):
            self.check_rejected({name: 5}, name, "status is not set", "ignored")
            self.check_rejected({**RESOLVED, name: 5}, name, "status is resolved", "ignored")
        self.check_rejected({"substatus": FOREVER}, "substatus", "status is not set")
        self.check_rejected({"status": "unresolved", "substatus": FOREVER}, "substatus", "status is unresolved")

    def test_releases_need_the_status_resolved(self) -> None:
        for name, value in (("inRelease", "1.0"), ("inNextRelease", True), ("inCommit", COMMIT)):
            self.check_rejected({name: value}, name, "status is not set", "resolved")
            for status in ("ignored", "unresolved", "resolvedInNextRelease"):
                self.check_rejected({"status": status, name: value}, name, f"status is {status}")

    def test_two_releases(self) -> None:
        self.check_rejected({**RESOLVED, "inRelease": "1", "inNextRelease": True}, "inRelease", "inNextRelease")
        self.check_rejected({**RESOLVED, "inRelease": "1", "inCommit": COMMIT}, "inRelease", "inCommit")
        self.check_rejected({**RESOLVED, "inNextRelease": True, "inCommit": COMMIT}, "inNextRelease", "inCommit")

    def test_a_window_needs_its_count(self) -> None:
        self.check_rejected({**IGNORED, "ignoreWindow": 5}, "ignoreWindow", "ignoreCount")
        self.check_rejected({**IGNORED, "ignoreUserWindow": 5, "ignoreCount": 1}, "ignoreUserWindow", "ignoreUserCount")

    def test_substatus_and_conditions_belong_together(self) -> None:
        self.check_rejected({**IGNORED, "substatus": CONDITION_MET}, CONDITION_MET, "ignoreDuration", "ignoreUserCount")
        for substatus in (FOREVER, ESCALATING):
            self.check_rejected({**IGNORED, "substatus": substatus, "ignoreCount": 5}, substatus, "ignoreCount")

    def test_numbers_are_positive_and_windows_at_most_a_week(self) -> None:
        for name in ("ignoreDuration", "ignoreCount", "ignoreUserCount"):
            for value in (0, -1):
                self.check_rejected({**IGNORED, name: value}, f"{name} is {value}", "positive")
        self.check_rejected({**IGNORED, "ignoreCount": 1, "ignoreWindow": 10081}, "ignoreWindow is 10081", "10080")
        self.check_rejected({**IGNORED, "ignoreUserCount": 1, "ignoreUserWindow": 0}, "ignoreUserWindow is 0")

    def test_a_commit_needs_its_repository(self) -> None:
        for commit, missing in (
            ({"commit": "1"}, "repository"),
            ({"repository": "r", "commit": " "}, "commit"),
            ({"other": 1}, "commit, repository"),
        ):
            self.check_rejected({**RESOLVED, "inCommit": commit}, f"inCommit has no {missing}")


class TestNotApplied(unittest.TestCase):
    def check(self, inputs: dict[str, Any], issue: dict[str, Any], not_applied: list[str]) -> None:
        with self.subTest(inputs, issue=issue):
            self.assertEqual(IssueChanges.parse(inputs).not_applied(issue), not_applied)

    def test_attributes_that_an_old_server_ignores(self) -> None:
        self.check({"priority": "high", **RESOLVED}, RESOLVED, ["priority"])
        self.check({"priority": "high"}, {"priority": "low"}, ["priority"])
        self.check({"priority": "high"}, {"priority": "high"}, [])
        self.check({**IGNORED, "substatus": FOREVER}, IGNORED, ["substatus"])
        self.check({**IGNORED, "substatus": FOREVER}, {**IGNORED, "substatus": FOREVER}, [])

    def test_conditions(self) -> None:
        for inputs, reported in (
            ({"ignoreDuration": 60}, {"ignoreUntil": "2026-08-01T00:00:00Z", "ignoreCount": None}),
            ({"ignoreCount": 5, "ignoreWindow": 60}, {"ignoreCount": 4, "ignoreWindow": 60}),
            ({"ignoreUserCount": 5, "ignoreUserWindow": 60}, {"ignoreUserCount": 5, "ignoreUserWindow": 60}),
        ):
            self.check({**IGNORED, **inputs}, {**IGNORED, "statusDetails": reported}, [])
            for details in ({}, None, dict.fromkeys(reported)):
                self.check({**IGNORED, **inputs}, {**IGNORED, "statusDetails": details}, list(inputs))

    def test_releases(self) -> None:
        for inputs, details, applied in (
            ({"inRelease": "1.0"}, {"inRelease": "1.0"}, True),
            ({"inRelease": "1.0"}, {"inRelease": "0.9"}, False),
            ({"inRelease": "latest"}, {"inRelease": "1.0"}, True),
            ({"inRelease": "latest"}, {}, False),
            ({"inNextRelease": True}, {"inNextRelease": True}, True),
            ({"inNextRelease": True}, {"inRelease": "1.0"}, True),
            ({"inNextRelease": True}, {}, False),
            ({"inCommit": COMMIT}, {"inCommit": {"id": "4f6efe508a2e"}}, True),
            ({"inCommit": COMMIT}, {}, False),
        ):
            expected = [] if applied else list(inputs)
            self.check({**RESOLVED, **inputs}, {**RESOLVED, "statusDetails": details}, expected)

    def test_the_name_of_the_input_is_reported(self) -> None:
        self.check({"unassign": True}, {"assignedTo": {"type": "user", "id": "1"}}, ["unassign"])
        self.check({"assignedTo": "#ops"}, {"assignedTo": {"type": "user", "id": "1"}}, ["assignedTo"])
        self.check({"assignedTo": "#ops"}, {"assignedTo": {"type": "team", "id": "1"}}, [])
        self.check({"assignedTo": "1"}, {"assignedTo": None}, ["assignedTo"])


class TestPreview(unittest.TestCase):
    def test_the_preview_has_the_form_of_an_issue(self) -> None:
        changes = IssueChanges.parse({"status": "resolvedInNextRelease", "unassign": True, "hasSeen": False})
        self.assertEqual(changes.preview(), {"status": "resolved", "assignedTo": None, "hasSeen": False})
        self.assertEqual(
            changes.attributes_of({"status": "unresolved", "hasSeen": True, "title": "T"}),
            {"status": "unresolved", "assignedTo": None, "hasSeen": True},
        )
