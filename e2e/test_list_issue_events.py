"""list_issue_events: completeness, order, and each input."""

import time
from typing import ClassVar

from testing.plugin import Json

from .case import RUN, E2ECase

SOME = 45
MANY = 250
# A page of 100 then ends within a second. Of more than 100 events of one second, Sentry lists only some.
PER_SECOND = 35


class TestListIssueEvents(E2ECase):
    issue: ClassVar[Json] = {}

    @classmethod
    def setUpClass(cls) -> None:
        case = cls("runTest")
        # The first event alone: Sentry 9 may create two issues for simultaneous first events.
        case.submit("events", {"message": "The first event", "environment": "e2e-a"})
        cls.issue = case.issue_of("events")
        case.submit_many(
            SOME - 1,
            lambda number: (
                "events",
                {"message": f"Event {number}", "environment": "e2e-a" if number < 4 else "e2e-b"},
            ),
        )
        issue_id = cls.issue["id"]
        case.eventually(lambda: len(case.events(issue_id)) == SOME, f"all {SOME} events")

    def runTest(self) -> None:
        """Required by setUpClass, which creates a case without a test."""

    def test_events_are_listed_once_and_newest_first(self) -> None:
        events = self.events(self.issue["id"])
        created = [event["dateCreated"] for event in events]
        self.assertEqual(created, sorted(created, reverse=True))
        self.assertEqual(len({event["eventID"] for event in events}), SOME)
        self.assertEqual({event["groupID"] for event in events}, {self.issue["id"]})

    def test_a_limit_truncates_and_the_cursor_continues(self) -> None:
        pages: list[str] = []
        cursor = ""
        for _ in range(SOME):
            params = {"issue_id": self.issue["id"], "limit": 17, "cursor": cursor}
            output = self.step("list_issue_events", params)
            pages += [event["eventID"] for event in output["events"]]
            cursor = output.get("next_cursor", "")
            if not output["truncated"]:
                break
        every = [event["eventID"] for event in self.events(self.issue["id"])]
        # Sorted, since Sentry does not order events of the same second.
        self.assertEqual(sorted(pages), sorted(every))

    def test_every_event_of_a_large_issue_is_listed(self) -> None:
        start = int(time.time()) - MANY // PER_SECOND - 1
        ids = [self.submit("many-events", {"message": "The first event", "timestamp": start})]
        issue = self.issue_of("many-events")
        ids += self.submit_many(
            MANY - 1,
            lambda number: ("many-events", {"message": f"Event {number}", "timestamp": start + number / PER_SECOND}),
        )
        self.eventually(lambda: int(self.issue_of("many-events")["count"]) == MANY, f"a count of {MANY}")
        output = self.step("list_issue_events", {"issue_id": issue["id"]})
        listed = [event["eventID"] for event in output["events"]]
        self.assertEqual((len(listed), set(listed)), (MANY, set(ids)))
        self.assertFalse(output["truncated"])

    def test_full_events_have_entries_errors_packages_and_contexts(self) -> None:
        for inputs in ({}, {"full": True}):
            event = self.events(self.issue["id"], limit=1, **inputs)[0]
            self.assertLessEqual({"entries", "errors", "packages", "contexts", "context"}, event.keys())

    def test_the_short_form_has_no_details(self) -> None:
        event = self.events(self.issue["id"], limit=1, full=False)[0]
        self.assertFalse({"entries", "errors", "packages", "contexts"} & event.keys())
        self.assertEqual(event["groupID"], self.issue["id"])

    def test_environments(self) -> None:
        self.assertEqual(len(self.events(self.issue["id"], environment="e2e-a")), 5)
        self.assertEqual(self.events(self.issue["id"], environment=f"none-{RUN}"), [])

    def test_an_issue_by_permalink(self) -> None:
        self.assertEqual(len(self.events(self.issue["permalink"])), SOME)

    def test_an_issue_by_id_or_short_id_with_the_organization(self) -> None:
        organization, short_id = self.target["ORG"], self.issue["shortId"]
        for issue_id, slug in (
            (self.issue["id"], organization),
            (short_id, organization),
            (short_id.lower(), organization),
        ):
            self.assertEqual(len(self.events(issue_id, organization_slug=slug, full=False)), SOME)

    def test_by_stdin(self) -> None:
        output = self.step_by_stdin("list_issue_events", {"issue_id": self.issue["id"]})
        self.assertEqual(len(output["events"]), SOME)

    def test_a_missing_issue(self) -> None:
        self.assertIn("(404)", self.failure("list_issue_events", {"issue_id": "999999999"})["cause"])
