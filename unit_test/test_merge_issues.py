"""Merge Issues against scripted servers."""

import json
import unittest

from komand_sentry.util.errors.exceptions import (
    BadRequest,
    ConnectionFailed,
    Forbidden,
    InvalidInput,
    NotApplied,
    NotFound,
    RateLimited,
    ServerFailed,
    Unauthorized,
)
from komand_sentry.util.http.time_budget import SystemClock
from komand_sentry.util.sentry.merging import accepted_merge, merged_ids
from testing.fake_clock import FakeClock
from testing.plugin import Json
from testing.scripted_server import Answer, Received, ScriptedServer
from testing.support import ACTIONS, SandboxTestCase, connection_to, run_action, validate
from unit_test import faults

ISSUES = "/api/0/organizations/acme/issues/"
PROJECT = {"id": "2", "slug": "pump-station"}
PENDING = Answer(404, b'{"detail": "The requested resource does not exist"}')
ROUTE_MISSING = Answer(404)
GUARD = [("query", "firstSeen:<2001-01-01"), ("project", "2")]

Script = tuple[str, str, Answer]


def issue(number: str, **more: object) -> Answer:
    record = {"id": number, "shortId": f"PUMP-STATION-{number}", "project": PROJECT, "count": "3", **more}
    return Answer(body=json.dumps(record).encode())


def get(number: str, answer: Answer) -> Script:
    return ("GET", f"{ISSUES}{number}/", answer)


def put(body: object, status: int = 200) -> Script:
    return ("PUT", ISSUES, Answer(status, b"" if body is None else json.dumps(body).encode()))


def accepted(parent: str, *children: str) -> Script:
    return put({"merge": {"parent": parent, "children": [*children]}})


READ = (get("30", issue("30")), get("31", issue("31")))


class MergeCase(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = FakeClock()
        self.received: list[Received] = []

    def merge(self, *script: Script, ids: tuple[str, ...] = ("30", "31"), timeout: int = 60) -> Json:
        params = {"organization_slug": "acme", "issue_ids": [*ids]}
        validate(params, ACTIONS["merge_issues"]().input.schema)
        with ScriptedServer(*script) as server:
            self.received = server.received
            return run_action("merge_issues", connection_to(server.base, clock=self.clock, timeout=timeout), params)

    def requests(self, method: str) -> list[Received]:
        return [request for request in self.received if request.method == method]


class TestMerge(MergeCase):
    def test_merges_numbers_that_the_server_has_just_confirmed(self) -> None:
        output = self.merge(*READ, accepted("30", "31"), get("31", issue("30", count="6")))
        self.assertEqual((output["issue"]["id"], output["issue"]["count"]), ("30", "6"))
        self.assertEqual((output["merged"], output["completed"]), (["31"], True))
        (request,) = self.requests("PUT")
        self.assertEqual(request.params, [("id", "30"), ("id", "31"), *GUARD])
        self.assertEqual(json.loads(request.body), {"merge": 1})
        self.assertEqual(self.clock.slept, [])

    def test_short_ids_and_permalinks_are_sent_as_numbers(self) -> None:
        link = "https://sentry.example.com/organizations/acme/issues/31/?project=2"
        with self.assertLogs("plugin.test", "WARNING") as logs:
            self.merge(
                get("PUMP-STATION-30", issue("30", shortId="PUMP-STATION-30")),
                get("31", issue("31", permalink=link)),
                accepted("30", "31"),
                get("31", issue("30")),
                ids=("PUMP-STATION-30", link),
            )
        self.assertIn("The permalink is of sentry.example.com", logs.output[0])
        self.assertEqual(self.requests("PUT")[0].params[:2], [("id", "30"), ("id", "31")])

    def test_waits_for_every_issue(self) -> None:
        output = self.merge(
            *READ,
            get("32", issue("32")),
            accepted("30", "31", "32"),
            *[get("31", PENDING)] * 3,
            get("31", issue("30")),
            get("32", issue("32")),
            get("32", issue("30", count="9")),
            ids=("30", "31", "32"),
        )
        self.assertEqual((output["completed"], output["issue"]["count"]), (True, "9"))
        self.assertEqual(self.clock.slept, [1, 2, 4, 1])

    def test_an_issue_named_twice_is_merged_once(self) -> None:
        script = (
            *READ,
            get("PUMP-STATION-31", issue("31")),
            accepted("30", "31"),
            get("31", issue("30")),
        )
        self.merge(*script, ids=("30", "31", " 31 ", "PUMP-STATION-31"))
        self.assertEqual(self.requests("PUT")[0].params[:-2], [("id", "30"), ("id", "31")])

    def test_another_parent_is_reported(self) -> None:
        with self.assertLogs("plugin.test", "WARNING") as logs:
            output = self.merge(*READ, accepted("31", "30"), get("30", issue("31")))
        self.assertEqual((output["issue"]["id"], output["merged"]), ("31", ["30"]))
        self.assertIn("Sentry merged into issue 31 instead of the first, 30", logs.output[0])

    def test_polls_by_number_after_a_short_id(self) -> None:
        script = (
            get("PUMP-STATION-30", issue("30")),
            get("31", issue("31")),
            accepted("31", "30"),
            get("30", issue("31")),
        )
        self.assertTrue(self.merge(*script, ids=("PUMP-STATION-30", "31"))["completed"])

    def test_a_server_without_the_endpoints_of_the_organization(self) -> None:
        def plain(number: str, answer: Answer) -> Script:
            return ("GET", f"/api/0/issues/{number}/", answer)

        links = {number: {"permalink": f"https://h.example/acme/pump-station/issues/{number}/"} for number in "56"}
        read = [
            step
            for number in "56"
            for step in (get(number, ROUTE_MISSING), *[plain(number, issue(number, **links[number]))] * 2)
        ]
        for missing in (ROUTE_MISSING, Answer(405, b'{"detail": "Method not allowed"}'), Answer(410)):
            direct = ("PUT", "/api/0/projects/acme/pump-station/issues/", accepted("5", "6")[2])
            script = (*read, ("PUT", ISSUES, missing), direct, plain("6", PENDING), plain("6", issue("5")))
            with self.subTest(missing.status):
                self.assertTrue(self.merge(*script, ids=("5", "6"))["completed"])
                self.assertEqual(self.requests("PUT")[1].params, [("id", "5"), ("id", "6"), GUARD[0]])


class TestSandbox(SandboxTestCase):
    def test_the_issue_with_the_most_events_remains(self) -> None:
        for message in ("One", "Two", "Two", "Three"):
            self.submit({"message": message})
        issues = {issue["title"]: issue for issue in self.issues()}
        ids = [issues["One"]["shortId"], issues["Two"]["id"], issues["Three"]["permalink"]]
        # The sandbox merges after a moment.
        self.connection.client.clock = SystemClock()
        output = self.run_action("merge_issues", {"organization_slug": self.sandbox.env["ORG"], "issue_ids": ids})
        self.assertEqual((output["issue"]["title"], output["issue"]["count"], output["completed"]), ("Two", "4", True))
        self.assertEqual(sorted(output["merged"]), sorted(issues[title]["id"] for title in ("One", "Three")))
        self.assertFalse({"One", "Three"} & {issue["title"] for issue in self.issues()})

    def test_issues_stay_as_they_are_if_the_token_only_reads(self) -> None:
        self.submit({"message": "Four"})
        self.submit({"message": "Five"})
        ids = [issue["id"] for issue in self.issues()][:2]
        connection = connection_to(self.sandbox.base, self.sandbox.env["TOKEN_READONLY"])
        with self.assertRaises(Forbidden) as caught:
            run_action("merge_issues", connection, {"organization_slug": "acme", "issue_ids": ids})
        self.assertIn("event:write", caught.exception.assistance)
        self.assertLessEqual({"Four", "Five"}, {issue["title"] for issue in self.issues()})


class TestIncomplete(MergeCase):
    def test_a_merge_that_takes_too_long_is_not_an_error(self) -> None:
        with self.assertLogs("plugin.test", "WARNING") as logs:
            output = self.merge(*READ, accepted("31", "30"), *[get("30", PENDING)] * 4, timeout=8)
        self.assertEqual((output["issue"]["id"], output["merged"], output["completed"]), ("31", ["30"], False))
        self.assertEqual(self.clock.slept, [1, 2, 4])
        self.assertIn("has not completed the merge", logs.output[-1])

    def test_a_failure_while_waiting_does_not_hide_that_the_merge_was_accepted(self) -> None:
        for answer, cause in (
            (Answer(403, b'{"detail": "no"}'), "may not access"),
            (Answer(401, b'{"detail": "Invalid token"}'), "did not accept the token"),
            (Answer(500, b'{"detail": "Internal Error"}'), "failed on"),
            (Answer(body=b"[]"), "not one of Sentry's API"),
        ):
            with self.subTest(answer.status), self.assertLogs("plugin.test", "WARNING") as logs:
                output = self.merge(*READ, accepted("30", "31"), get("31", answer))
            self.assertEqual((output["issue"]["id"], output["completed"]), ("30", False))
            self.assertIn(cause, logs.output[-1])

    def test_issues_that_the_server_leaves_out_are_reported(self) -> None:
        with self.assertLogs("plugin.test", "WARNING") as logs:
            output = self.merge(
                *READ,
                get("32", issue("32")),
                accepted("30", "31"),
                get("31", issue("30")),
                ids=("30", "31", "32"),
            )
        self.assertEqual((output["merged"], output["completed"]), (["31"], False))
        self.assertIn("did not merge 32", logs.output[0])

    def test_a_merge_of_an_earlier_step_is_complete(self) -> None:
        output = self.merge(get("30", issue("30")), get("31", issue("30")))
        self.assertEqual((output["issue"]["id"], output["merged"], output["completed"]), ("30", ["31"], True))
        self.assertEqual(self.requests("PUT"), [])


class TestFailures(MergeCase):
    def test_invalid_inputs_send_nothing(self) -> None:
        for ids in ((), ("30",), ("30", " 30 "), ("", " ")):
            with self.subTest(ids), self.assertRaises(InvalidInput):
                self.merge(ids=ids)
        for slug, cause in (("..", "organization_slug is invalid"), ("", "'organization_slug'")):
            with self.subTest(slug), ScriptedServer() as server, self.assertRaises(InvalidInput) as caught:
                inputs = {"organization_slug": slug, "issue_ids": ["30", "31"]}
                run_action("merge_issues", connection_to(server.base), inputs)
            self.assertIn(cause, caught.exception.cause)

    def test_one_issue_under_two_names_is_not_merged(self) -> None:
        with self.assertRaises(InvalidInput) as caught:
            self.merge(get("30", issue("30")), get("PUMP-STATION-30", issue("30")), ids=("30", "PUMP-STATION-30"))
        self.assertIn("Nothing was merged", caught.exception.cause)

    def test_a_stale_or_invalid_id_sends_no_merge(self) -> None:
        with self.assertRaises(NotFound) as caught:
            self.merge(get("30", issue("30")), get("31", PENDING))
        self.assertIn("issue 31 of organization acme", caught.exception.cause)
        with self.assertRaises(InvalidInput):
            self.merge(get("30", issue("30")), ids=("30", "not an ID"))
        with self.assertRaises(InvalidInput) as invalid:
            self.merge(get("30", issue("30")), get("PUMP-1", issue("x")), ids=("30", "PUMP-1"))
        self.assertIn("without a numeric ID", invalid.exception.cause)

    def test_issues_of_different_projects_send_no_merge(self) -> None:
        for project in ({"id": "3", "slug": "gate"}, None, {}):
            with self.subTest(project), self.assertRaises(InvalidInput) as caught:
                self.merge(get("30", issue("30")), get("31", issue("31", project=project)))
            self.assertIn("Nothing was merged", caught.exception.cause)

    def test_a_success_without_a_merge_is_an_error(self) -> None:
        refusal = {"detail": "Merging across multiple projects is not supported"}
        for body, status, data in (
            (None, 204, ""),
            ({"merge": True}, 200, ""),
            ({"merge": {"parent": "30", "children": ["../31"]}}, 200, ""),
            (refusal, 200, refusal["detail"]),
        ):
            with self.subTest(body), self.assertRaises(NotApplied) as caught:
                self.merge(*READ, put(body, status))
            self.assertIn("does not report a merge", caught.exception.cause)
            self.assertIn(data, str(caught.exception.data))

    def test_a_refused_merge_is_an_error(self) -> None:
        for status, detail, error_type in (
            (400, "Only error issues can be merged.", BadRequest),
            (401, "Invalid token", Unauthorized),
            (403, "You do not have permission to perform this action.", Forbidden),
            (404, "The requested resource does not exist", NotFound),
            (500, "Internal Error", ServerFailed),
        ):
            step = ("PUT", ISSUES, Answer(status, json.dumps({"detail": detail}).encode()))
            with self.subTest(status), self.assertRaises(error_type) as caught:
                self.merge(*READ, step)
            self.assertEqual(caught.exception.data, detail)
            if status == 403:
                self.assertIn("event:write", caught.exception.assistance)

    def test_a_failure_of_the_first_read_ends_the_step(self) -> None:
        for answer, count, error_type in (
            (Answer(401, b'{"detail": "Invalid token"}'), 1, Unauthorized),
            (Answer(429, b'"too frequently"'), 8, RateLimited),
            (Answer(play=faults.cut_off), 8, ConnectionFailed),
        ):
            with self.subTest(error_type), self.assertRaises(error_type):
                self.merge(*[get("30", answer)] * count, timeout=3600)
            self.assertEqual(self.requests("PUT"), [])


class TestDecisions(unittest.TestCase):
    def test_the_response_of_a_merge(self) -> None:
        self.assertEqual(accepted_merge({"merge": {"parent": 30, "children": [31]}}), ("30", ["31"]))
        bodies: tuple[object, ...] = (
            None,
            [],
            {},
            {"merge": None},
            {"merge": True},
            {"merge": {"parent": "30"}},
            {"merge": {"parent": "30", "children": []}},
            {"merge": {"parent": "30", "children": "31"}},
            {"merge": {"parent": None, "children": ["31"]}},
            {"merge": {"parent": "30", "children": ["9" * 500]}},
        )
        for body in bodies:
            with self.subTest(body):
                self.assertIsNone(accepted_merge(body))

    def test_ids_of_other_issues_that_the_server_resolved_to_this_one(self) -> None:
        ids = ["30", "030", "31", "PUMP-1", "https://h.example/organizations/acme/issues/32/"]
        self.assertEqual(merged_ids(ids, {"id": "30"}), ["31", "32"])
        self.assertEqual(merged_ids(ids, {}), [])
