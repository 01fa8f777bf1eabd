"""list_project_issues: completeness, order, and each input."""

from typing import ClassVar

from testing.plugin import Json

from .case import RUN, E2ECase

MANY = 260


def whole_seconds(time: str) -> str:
    """The time without its fraction, since Sentry with Snuba orders issues by whole seconds."""
    return time[:19]


class TestListProjectIssues(E2ECase):
    bulk: ClassVar[str] = f"bulk:{RUN}"
    listed: ClassVar[list[Json]] = []

    @classmethod
    def setUpClass(cls) -> None:
        case = cls("runTest")
        case.submit_many(
            MANY,
            lambda number: (
                f"bulk-{number}",
                {
                    "message": f"Bulk {number} of run {RUN}",
                    "level": "fatal" if number == 0 else "warning",
                    "environment": f"e2e-{RUN}" if number < 3 else "e2e",
                    "tags": {"bulk": RUN, "parity": number % 2},
                },
            ),
        )
        query = cls.bulk
        cls.listed = case.eventually(
            lambda: issues if len(issues := case.issues(query=query)) == MANY else None, f"all {MANY} issues"
        )

    def runTest(self) -> None:
        """Required by setUpClass, which creates a case without a test."""

    def ids(self, **inputs: object) -> list[str]:
        return [issue["id"] for issue in self.issues(**inputs)]

    def test_more_than_250_issues_are_listed_once_and_in_order(self) -> None:
        seen = [whole_seconds(issue["lastSeen"]) for issue in self.listed]
        self.assertEqual(seen, sorted(seen, reverse=True))
        self.assertEqual(len({issue["id"] for issue in self.listed}), MANY)

    def test_a_limit_truncates_and_the_cursor_continues(self) -> None:
        first = self.list_issues(query=self.bulk, limit=120)
        self.assertEqual((len(first["issues"]), first["truncated"]), (120, True))
        rest = self.list_issues(query=self.bulk, cursor=first["next_cursor"])
        self.assertFalse(rest["truncated"])
        # Sorted, since Sentry does not order issues of the same second.
        ids = sorted(issue["id"] for issue in first["issues"] + rest["issues"])
        self.assertEqual(ids, sorted(issue["id"] for issue in self.listed))

    def test_limits_around_the_size_of_a_page(self) -> None:
        for limit in (1, 99, 100, 101):
            output = self.list_issues(query=self.bulk, limit=limit)
            self.assertEqual((len(output["issues"]), output["truncated"]), (limit, True))

    def test_queries(self) -> None:
        for query, count in (
            (f"{self.bulk} level:fatal", 1),
            (f"{self.bulk} parity:1", MANY // 2),
            (f"{self.bulk} is:unresolved", MANY),
            (f"{self.bulk} is:resolved", 0),
            (f"{self.bulk} is:unassigned", MANY),
            (f"Bulk 7 of run {RUN}", 1),
            (f"no_such_tag:{RUN}", 0),
        ):
            with self.subTest(query):
                self.assertEqual(len(self.ids(query=query)), count)

    def test_environments(self) -> None:
        self.assertEqual(len(self.ids(query=self.bulk, environment=f"e2e-{RUN}")), 3)
        self.assertEqual(self.ids(query=self.bulk, environment=f"none-{RUN}"), [])

    def test_sort_by_age_and_by_number_of_events(self) -> None:
        by_age = [whole_seconds(issue["firstSeen"]) for issue in self.issues(query=self.bulk, sort="new", limit=150)]
        self.assertEqual(by_age, sorted(by_age, reverse=True))
        # One page only: all counts are equal, and Sentry 9 then omits some issues between pages.
        counts = [int(issue["count"]) for issue in self.issues(query=f"e2e_run:{RUN}", sort="freq", limit=50)]
        self.assertEqual(counts, sorted(counts, reverse=True))

    def test_sort_by_trends(self) -> None:
        self.assertTrue(self.ids(query=self.bulk, sort="trends", limit=5))

    def test_stats_periods(self) -> None:
        for period, buckets in (("24h", 24), ("14d", 14)):
            stats = self.issues(query=self.bulk, limit=1, statsPeriod=period)[0]["stats"]
            self.assertEqual(list(stats), [period])
            self.assertIn(len(stats[period]), (buckets, buckets + 1))
            self.assertEqual(sum(count for _, count in stats[period]), 1)
        self.assertFalse(self.issues(query=self.bulk, limit=1, statsPeriod="")[0].get("stats"))
        self.assertFalse(self.issues(query=self.bulk, limit=1)[0].get("stats"))

    def test_short_id_lookup(self) -> None:
        issue = self.listed[0]
        self.assertEqual(self.ids(query=issue["shortId"], shortIdLookup=True), [issue["id"]])
        self.assertEqual(self.ids(query=issue["shortId"], shortIdLookup=False), [])

    def test_statuses(self) -> None:
        """Without a query, unresolved issues are listed, or all with `all_statuses`."""
        issue = self.new_issue("status")
        self.assertIn(issue["id"], self.ids(limit=20))
        self.step("update_issue", {"issue_id": issue["id"], "status": "resolved"})
        self.assertNotIn(issue["id"], self.ids(limit=20))
        self.assertIn(issue["id"], self.ids(limit=20, all_statuses=True))

    def test_by_stdin(self) -> None:
        slugs = {"organization_slug": self.target["ORG"], "project_slug": self.target["PROJECT"]}
        output = self.step_by_stdin("list_project_issues", {**slugs, "query": self.bulk})
        ids = sorted(issue["id"] for issue in output["issues"])
        self.assertEqual(ids, sorted(issue["id"] for issue in self.listed))

    def test_refusals(self) -> None:
        slugs = {"organization_slug": self.target["ORG"], "project_slug": self.target["PROJECT"]}
        for inputs, cause in (
            ({"project_slug": f"none-{RUN}"}, "(404)"),
            ({"organization_slug": f"none-{RUN}"}, "(404)"),
            ({"query": "is:bogus"}, "(400)"),
        ):
            with self.subTest(inputs):
                self.assertIn(cause, self.failure("list_project_issues", {**slugs, **inputs})["cause"])
