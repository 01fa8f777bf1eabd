"""Search Issues against the sandbox and a scripted server."""

import json
import unittest
from typing import Any

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    BadRequest,
    Forbidden,
    InvalidInput,
    NotFound,
    ServerFailed,
    Unauthorized,
)
from komand_sentry.util.sentry.issue_search import IssueSearch
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_to, message, run_action

PATH = "/api/0/organizations/acme/issues/"
PROJECTS_PATH = "/api/0/organizations/acme/projects/"
# Only Sentry 9 lacks this path.
PROBE_PATH = "/api/0/organizations/acme/issues/0/"
ACME: Json = {"organization_slug": "acme"}
NOT_FOUND = {"detail": "The requested resource does not exist"}
NUMBERS_ONLY = {"detail": "Invalid project parameter. Values must be numbers."}
DEFAULTS = [("query", "is:unresolved"), ("groupStatsPeriod", ""), ("statsPeriod", "90d")]
ALL_PROJECTS = ("project", "-1")
PROJECTS = [{"id": "1", "slug": "pump-station"}, {"id": "2", "slug": "gate"}]


def answer(body: Any, status: int = 200, cursor: str = "") -> Answer:
    """A JSON response, of a list with a next page if there is a cursor."""
    results = "true" if cursor else "false"
    link = f'<http://x/>; rel="next"; results="{results}"; cursor="{cursor or "0:0:0"}"'
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json", "Link": link})


class TestSandbox(SandboxTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        case = cls()
        case.setUp()
        case.submit({"message": "Old pump", "timestamp": "2026-11-01T00:00:00Z", "level": "warning"})
        case.submit({"message": "Pump", "environment": "production", "fingerprint": ["2"]})
        case.submit({"message": "Gate"}, "DSN2_PUBLIC")

    def titles(self, **params: Any) -> list[str]:
        issues = self.run_action("search_issues", {**ACME, **params})["issues"]
        return sorted(issue["title"] for issue in issues)

    def test_searches_all_projects_or_some(self) -> None:
        self.assertEqual(self.titles(), ["Gate", "Old pump", "Pump"])
        self.assertEqual(self.titles(projects=["gate"]), ["Gate"])
        self.assertEqual(self.titles(projects=["pump-station", "gate"]), ["Gate", "Old pump", "Pump"])

    def test_filters_by_environment_and_query(self) -> None:
        self.assertEqual(self.titles(environments=["production"]), ["Pump"])
        self.assertEqual(self.titles(query="level:warning"), ["Old pump"])
        self.assertEqual(self.titles(query="is:resolved"), [])

    def test_an_unknown_project_is_named(self) -> None:
        with self.assertRaises(InvalidInput) as caught:
            self.titles(projects=["pump-station", "nowhere"])
        self.assertIn("no project nowhere", caught.exception.cause)

    def test_an_unknown_organization_is_an_error(self) -> None:
        with self.assertRaises(NotFound) as caught:
            self.titles(organization_slug="nowhere")
        self.assertIn("organization nowhere", caught.exception.cause)
        self.assertIn("organization_slug", caught.exception.assistance)


class Scripted(unittest.TestCase):
    """Searches on a scripted server."""

    def search(self, params: Json, *script: tuple[str, str, Answer]) -> Json:
        with ScriptedServer(*script) as self.server:
            message("search_issues", {**ACME, **params}, {})
            return run_action("search_issues", connection_to(self.server.base), {**ACME, **params})

    def failure_of(self, params: Json, *script: tuple[str, str, Answer]) -> PluginException:
        with self.assertRaises(PluginException) as caught:
            self.search(params, *script)
        self.assertEqual(len(self.server.received), len(script))
        return caught.exception

    def sent(self, number: int = 0) -> list[tuple[str, str]]:
        """The query parameters of a request, without the page size."""
        return [(name, value) for name, value in self.server.received[number].params if name != "limit"]


class TestRequests(Scripted):
    def check_sent(self, params: Json, expected: list[tuple[str, str]]) -> None:
        with self.subTest(params):
            self.search(params, ("GET", PATH, answer([])))
            self.assertEqual(sorted(self.sent()), sorted(expected))

    def test_unresolved_issues_of_all_projects_and_90_days_by_default(self) -> None:
        self.check_sent({}, [*DEFAULTS, ALL_PROJECTS])
        self.check_sent({"projects": [], "environments": [], "sort": ""}, [*DEFAULTS, ALL_PROJECTS])

    def test_every_input_reaches_the_server(self) -> None:
        self.check_sent(
            {
                "projects": ["pump-station", "gate"], "environments": ["production", "staging"],
                "query": "level:fatal", "period": "24h", "sort": "freq", "cursor": "1:0:0",
            },
            [
                ("query", "level:fatal"), ("groupStatsPeriod", ""), ("statsPeriod", "24h"), ("sort", "freq"),
                ("environment", "production"), ("environment", "staging"),
                ("project", "pump-station"), ("project", "gate"), ("cursor", "1:0:0"),
            ],
        )  # fmt: skip

    def test_all_statuses_needs_no_query(self) -> None:
        self.check_sent({"all_statuses": True}, [("query", ""), *DEFAULTS[1:], ALL_PROJECTS])
        self.check_sent({"all_statuses": True, "query": "a"}, [("query", "a"), *DEFAULTS[1:], ALL_PROJECTS])

    def test_a_time_range_is_sent_in_utc(self) -> None:
        for start, end in (
            ("2026-08-01T00:00:00Z", "2026-08-02T00:00:00Z"),
            ("2026-08-01T02:00:00+02:00", "2026-08-02T00:00:00"),
        ):
            self.check_sent(
                {"start": start, "end": end},
                [*DEFAULTS[:2], ("start", "2026-08-01T00:00:00"), ("end", "2026-08-02T00:00:00"), ALL_PROJECTS],
            )

    def test_the_limit_is_100_by_default(self) -> None:
        pages = [[{"id": str(number)} for number in range(start, start + 100)] for start in (0, 100)]
        output = self.search({}, ("GET", PATH, answer(pages[0], cursor="1:0:0")))
        self.assertEqual((len(output["issues"]), output["truncated"], output["next_cursor"]), (100, True, "1:0:0"))
        output = self.search(
            {"limit": 0}, ("GET", PATH, answer(pages[0], cursor="1:0:0")), ("GET", PATH, answer(pages[1]))
        )
        self.assertEqual((len(output["issues"]), output["truncated"]), (200, False))
        self.assertEqual(set(self.sent(1)) - set(self.sent(0)), {("cursor", "1:0:0")})

    def test_no_match_is_an_empty_list(self) -> None:
        output = self.search({}, ("GET", PATH, answer([])))
        self.assertEqual(output, {"issues": [], "truncated": False})

    def test_a_failure_after_the_first_page_is_a_warning(self) -> None:
        page = [{"id": str(number)} for number in range(100)]
        output = self.search(
            {"limit": 200}, ("GET", PATH, answer(page, cursor="1:0:0")), ("GET", PATH, answer({"detail": "no"}, 403))
        )
        self.assertEqual((len(output["issues"]), output["truncated"], output["next_cursor"]), (100, True, "1:0:0"))
        self.assertIn("403", output["warning"])


class TestProjects(Scripted):
    """Sentry before 2026 takes only the numbers of projects."""

    def test_slugs_become_numbers_on_an_older_server_for_all_pages(self) -> None:
        page = [{"id": str(number)} for number in range(100)]
        self.search(
            {"projects": ["gate", "1"], "limit": 0},
            ("GET", PATH, answer(NUMBERS_ONLY, 400)),
            ("GET", PROJECTS_PATH, answer(PROJECTS)),
            ("GET", PATH, answer(page, cursor="1:0:0")),
            ("GET", PATH, answer([])),
        )
        for number in (2, 3):
            self.assertEqual([value for name, value in self.sent(number) if name == "project"], ["2", "1"])

    def test_a_slug_that_is_not_listed_never_widens_the_search(self) -> None:
        error = self.failure_of(
            {"projects": ["gate", "nowhere"]},
            ("GET", PATH, answer(NUMBERS_ONLY, 400)),
            ("GET", PROJECTS_PATH, answer(PROJECTS)),
        )
        self.assertIsInstance(error, InvalidInput)
        self.assertIn("no project nowhere", error.cause)

    def test_the_scope_for_the_projects_is_named(self) -> None:
        error = self.failure_of(
            {"projects": ["gate"]},
            ("GET", PATH, answer(NUMBERS_ONLY, 400)),
            ("GET", PROJECTS_PATH, answer({"detail": "no"}, 403)),
        )
        self.assertIn("org:read", error.assistance)

    def test_a_server_without_a_number_for_all_projects_searches_all(self) -> None:
        refusal = {"detail": [{"loc": ["query", "project", 0], "msg": "not allowed"}]}
        self.search({}, ("GET", PATH, answer(refusal, 422)), ("GET", PATH, answer([])))
        self.assertEqual(self.sent(1), DEFAULTS)

    def test_an_unknown_project_behind_a_403_is_named(self) -> None:
        script = (
            ("GET", PATH, answer({"detail": "no"}, 403)),
            ("GET", PROBE_PATH, answer(NOT_FOUND, 404)),
        )
        error = self.failure_of({"projects": ["nowhere"]}, *script, ("GET", PROJECTS_PATH, answer(PROJECTS)))
        self.assertIn("no project nowhere", error.cause)
        for projects in (answer({"detail": "no"}, 403), answer([{"id": "3", "slug": "nowhere"}])):
            error = self.failure_of({"projects": ["nowhere"]}, *script, ("GET", PROJECTS_PATH, projects))
            self.assertIsInstance(error, Forbidden)
            self.assertIn("event:read", error.assistance)


class TestFailures(Scripted):
    def test_an_unknown_environment_is_explained(self) -> None:
        error = self.failure_of({"environments": ["prod", "uat"]}, ("GET", PATH, answer(NOT_FOUND, 404)))
        self.assertIsInstance(error, NotFound)
        self.assertIn("Check the environment prod, uat first", error.assistance)

    def test_a_sort_that_the_server_lacks_is_named(self) -> None:
        refusal = answer({"detail": "Sort key 'trends' not supported."}, 400)
        error = self.failure_of({"sort": "trends"}, ("GET", PATH, refusal), ("GET", PROBE_PATH, answer(NOT_FOUND, 404)))
        self.assertIsInstance(error, BadRequest)
        self.assertIn("Sort key 'trends'", error.data)
        fault = answer({"detail": "Internal Error"}, 500)
        error = self.failure_of({"sort": "trends"}, ("GET", PATH, fault), ("GET", PROBE_PATH, answer(NOT_FOUND, 404)))
        self.assertIsInstance(error, ServerFailed)
        self.assertIn("trends", error.assistance)

    def test_a_server_that_cannot_search_is_explained(self) -> None:
        for status in (400, 403, 500):
            with self.subTest(status):
                error = self.failure_of(
                    {}, ("GET", PATH, answer({"detail": "no"}, status)), ("GET", PROBE_PATH, Answer(404))
                )
                self.assertIn("Sentry 9", error.cause)
                self.assertIn("List Project Issues", error.assistance)
        error = self.failure_of({}, ("GET", PATH, Answer(404)), ("GET", PROBE_PATH, Answer(404)))
        self.assertIn("Sentry 9", error.cause)

    def test_a_bad_token_is_not_searched_with_twice(self) -> None:
        error = self.failure_of({}, ("GET", PATH, answer({"detail": "Invalid token"}, 401)))
        self.assertIsInstance(error, Unauthorized)

    def test_invalid_inputs_are_rejected_before_a_request_is_sent(self) -> None:
        start, end = "2026-08-01T00:00:00Z", "2026-08-02T00:00:00Z"
        for params, parts in (
            ({"period": "24h", "start": start, "end": end}, ("period", "start")),
            ({"period": "24h", "end": end}, ("period", "end")),
            ({"start": start}, ("start is set", "end is not")),
            ({"end": end}, ("end is set", "start is not")),
            ({"start": end, "end": start}, ("start is not before end",)),
            ({"start": start, "end": start}, ("start is not before end",)),
            ({"start": "yesterday", "end": end}, ("start is not a time",)),
            ({"start": start, "end": "2026-13-01"}, ("end is not a time",)),
            ({"start": "0001-01-01T00:00:00+02:00", "end": end}, ("start is not a time",)),
            ({"period": "0d"}, ("period",)),
            ({"period": "a day"}, ("period",)),
            ({"limit": -1}, ("limit",)),
            ({"organization_slug": ".."}, ("organization_slug",)),
        ):
            with self.subTest(params):
                error = self.failure_of(params)
                self.assertIsInstance(error, InvalidInput)
                for part in parts:
                    self.assertIn(part, error.cause)

    def test_a_sort_outside_the_list_and_a_missing_organization_are_rejected(self) -> None:
        for params, cause in (({**ACME, "sort": "inbox"}, "'sort'"), ({"query": "a"}, "'organization_slug'")):
            with self.subTest(params), self.assertRaises(InvalidInput) as caught:
                run_action("search_issues", connection_to("http://127.0.0.1:9"), params)
            self.assertIn(cause, caught.exception.cause)


class TestParams(unittest.TestCase):
    def test_units_of_a_period(self) -> None:
        for period in ("30s", "15m", "24h", "14d", "2w"):
            self.assertIn(("statsPeriod", period), IssueSearch(period=period).params())
