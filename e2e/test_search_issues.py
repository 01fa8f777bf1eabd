"""search_issues: completeness, each filter, and the time range."""

import time
from datetime import UTC, datetime
from typing import Any, ClassVar

from testing.plugin import Json

from .case import RUN, E2ECase

SOME = 12
DAY = 86400


class TestSearchIssues(E2ECase):
    tag: ClassVar[str] = f"search:{RUN}"
    started: ClassVar[float]

    @classmethod
    def setUpClass(cls) -> None:
        case, cls.started = cls("runTest"), time.time()

        def event(number: int) -> tuple[str, Json]:
            is_first = number == 0
            return f"search-{number}", {
                "message": f"Search {number} of run {RUN}",
                "level": "fatal" if is_first else "warning",
                "environment": f"search-{RUN}" if number < 3 else "e2e",
                "tags": {"search": RUN},
                **({"timestamp": cls.started - 2 * DAY} if is_first else {}),
            }

        case.submit_many(SOME, event)
        case.eventually(lambda: len(case.issues(query=cls.tag)) == SOME, f"all {SOME} issues")

    def runTest(self) -> None:
        """Required by setUpClass, which creates a case without a test."""

    def search(self, **inputs: Any) -> Json:
        return self.step("search_issues", {"organization_slug": self.target["ORG"], "query": self.tag, **inputs})

    def ids(self, **inputs: Any) -> list[str]:
        return [issue["id"] for issue in self.search(**inputs)["issues"]]

    def every_id(self) -> list[str]:
        return [issue["id"] for issue in self.issues(query=self.tag)]

    def test_every_issue_is_found_once(self) -> None:
        output = self.search()
        found = [issue["id"] for issue in output["issues"]]
        self.assertEqual((sorted(found), output["truncated"]), (sorted(self.every_id()), False))
        self.assertEqual({issue["project"]["slug"] for issue in output["issues"]}, {self.target["PROJECT"]})

    def test_a_limit_truncates_and_the_cursor_continues(self) -> None:
        first = self.search(limit=7)
        self.assertEqual((len(first["issues"]), first["truncated"]), (7, True))
        rest = self.search(cursor=first["next_cursor"])
        self.assertFalse(rest["truncated"])
        ids = [issue["id"] for issue in first["issues"] + rest["issues"]]
        self.assertEqual(sorted(ids), sorted(self.every_id()))

    def test_projects(self) -> None:
        self.assertEqual(len(self.ids(projects=[self.target["PROJECT"]])), SOME)
        error = self.failure(
            "search_issues", {"organization_slug": self.target["ORG"], "projects": [f"none-{RUN}"], "query": self.tag}
        )
        self.assertIn(f"none-{RUN}", error["cause"])

    def test_environments(self) -> None:
        self.assertEqual(len(self.ids(environments=[f"search-{RUN}"])), 3)
        self.assertEqual(len(self.ids(environments=[f"search-{RUN}", "e2e"])), SOME)

    def test_queries(self) -> None:
        for query, count in ((f"{self.tag} level:fatal", 1), (f"{self.tag} is:resolved", 0), (f"none:{RUN}", 0)):
            with self.subTest(query):
                self.assertEqual(len(self.ids(query=query)), count)

    def test_time_ranges(self) -> None:
        before = datetime.fromtimestamp(self.started - 3 * DAY, UTC)
        between = datetime.fromtimestamp(self.started - DAY, UTC)
        for inputs, count in (
            ({"period": "24h"}, SOME - 1),
            ({"period": "3d"}, SOME),
            ({"start": before.isoformat(), "end": between.isoformat()}, 1),
        ):
            with self.subTest(inputs):
                self.assertEqual(len(self.ids(**inputs)), count)

    def test_sorts(self) -> None:
        for sort, key in (("date", "lastSeen"), ("new", "firstSeen")):
            times = [issue[key][:19] for issue in self.search(sort=sort)["issues"]]
            self.assertEqual(times, sorted(times, reverse=True))

    def test_a_resolved_issue_needs_all_statuses(self) -> None:
        issue = self.new_issue("search-resolved")["id"]
        self.step("update_issue", {"issue_id": issue, "status": "resolved"})
        self.eventually(lambda: issue not in self.ids(query=""), "the issue as resolved")
        self.assertIn(issue, self.ids(query="", all_statuses=True))

    def test_by_stdin(self) -> None:
        output = self.step_by_stdin("search_issues", {"organization_slug": self.target["ORG"], "query": self.tag})
        self.assertEqual(len(output["issues"]), SOME)

    def test_refusals(self) -> None:
        for inputs, cause in (({"organization_slug": f"none-{RUN}"}, "(404)"), ({"query": "is:bogus"}, "(400)")):
            with self.subTest(inputs):
                params = {"organization_slug": self.target["ORG"], **inputs}
                self.assertIn(cause, self.failure("search_issues", params)["cause"])
