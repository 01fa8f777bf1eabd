"""Update Issues against the sandbox and a scripted server."""

import json
import logging
import unittest
from http.server import BaseHTTPRequestHandler
from typing import Any

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import BadRequest, Forbidden, InvalidInput, Unauthorized
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_to, message, run_action

ISSUES = "/api/0/organizations/acme/issues/"
TEAMS = "/api/0/organizations/acme/teams/"
NOT_FOUND = {"detail": "The requested resource does not exist"}
DENIED = {"detail": "You do not have permission to perform this action."}
RESOLVE: Json = {"organization_slug": "acme", "status": "resolved"}
APPLY: Json = {**RESOLVE, "dry_run": False}
WRITES = ("PUT", "POST", "DELETE")


def path(issue_id: object) -> str:
    return f"{ISSUES}{issue_id}/"


def answer(body: Any, status: int = 200, cursor: str = "", x_hits: str = "", retry_after: str = "") -> Answer:
    """A JSON response, of a list with a next page if there is a cursor."""
    results = "true" if cursor else "false"
    link = f'<http://x/>; rel="next"; results="{results}"; cursor="{cursor or "0:0:0"}"'
    headers = {"Content-Type": "application/json", "Link": link, "X-Hits": x_hits, "Retry-After": retry_after}
    given = {name: value for name, value in headers.items() if value}
    return Answer(status, json.dumps(body).encode(), given)


def issue(number: int, **attributes: Any) -> Json:
    return {"id": str(number), "shortId": f"PUMP-{number}", "title": f"Issue {number}", "status": "unresolved"} | {
        "permalink": f"https://sentry.example.com/organizations/acme/issues/{number}/", **attributes,
    }  # fmt: skip


def found(number: int, **attributes: Any) -> tuple[str, str, Answer]:
    return ("GET", path(number), answer(issue(number, **attributes)))


def resolved(number: int, **attributes: Any) -> tuple[str, str, Answer]:
    return ("PUT", path(number), answer(issue(number, status="resolved", **attributes)))


def close(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


class Scripted(unittest.TestCase):
    """Runs the action against a scripted server."""

    def update(self, params: Json, *script: tuple[str, str, Answer], **connection: Any) -> Json:
        with ScriptedServer(*script) as self.server:
            message("update_issues", params, {})
            return run_action("update_issues", connection_to(self.server.base, **connection), params)

    def failure_of(self, params: Json, *script: tuple[str, str, Answer]) -> PluginException:
        with self.assertRaises(PluginException) as caught:
            self.update(params, *script)
        self.assertEqual(len(self.server.received), len(script))
        return caught.exception

    def writes(self) -> list[str]:
        return [request.path for request in self.server.received if request.method in WRITES]

    def searches(self) -> list[str]:
        return [request.path for request in self.server.received if request.path == ISSUES]


class TestSandbox(SandboxTestCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(3):
            self.submit({"message": f"Issue {number}", "fingerprint": [str(number)], "level": "fatal"})
        self.ids = [str(issue["id"]) for issue in self.issues(all_statuses=True)]
        self.run_action("update_issues", {**APPLY, "status": "unresolved", "issue_ids": self.ids})
        self.sandbox.requests.clear()

    def statuses(self) -> set[str]:
        return {str(issue["status"]) for issue in self.issues(all_statuses=True)}

    def test_a_dry_run_is_the_default_and_changes_nothing(self) -> None:
        for selection in ({"issue_ids": self.ids}, {"query": "level:fatal", "projects": ["pump-station"]}):
            with self.subTest(selection):
                output = self.run_action("update_issues", {**RESOLVE, **selection})
                self.assertEqual((output["dry_run"], output["matched"], output["changed"]), (True, 3, 0))
                self.assertEqual({result["after"]["status"] for result in output["results"]}, {"resolved"})
                self.assertEqual({request.method for request in self.sandbox.requests}, {"GET"})
        self.assertEqual(self.statuses(), {"unresolved"})

    def test_updates_by_ids_and_by_query(self) -> None:
        output = self.run_action("update_issues", {**APPLY, "issue_ids": self.ids})
        self.assertEqual((output["dry_run"], output["changed"], output["failed"]), (False, 3, 0))
        self.assertEqual(self.statuses(), {"resolved"})
        output = self.run_action("update_issues", {**APPLY, "query": "is:resolved", "status": "unresolved"})
        self.assertEqual((output["changed"], self.statuses()), (3, {"unresolved"}))

    def test_a_team_by_its_slug(self) -> None:
        output = self.run_action(
            "update_issues",
            {"organization_slug": "acme", "issue_ids": self.ids[:1], "assignedTo": "#ops", "dry_run": False},
        )
        self.assertEqual(output["results"][0]["after"]["assignedTo"]["id"], self.sandbox.env["TEAM_ID"])

    def test_without_the_scope_nothing_is_changed(self) -> None:
        connection = connection_to(self.sandbox.base, self.sandbox.env["TOKEN_READONLY"])
        with self.assertRaises(Forbidden) as caught:
            run_action("update_issues", connection, {**APPLY, "issue_ids": self.ids})
        self.assertIn("event:write", caught.exception.assistance)
        self.assertEqual(self.statuses(), {"unresolved"})


class TestSelection(Scripted):
    def test_neither_both_or_an_empty_list_is_an_error_before_a_request_is_sent(self) -> None:
        for params, parts in (
            ({}, ("issue_ids", "query")),
            ({"query": " "}, ("issue_ids", "query")),
            ({"issue_ids": []}, ("issue_ids", "empty")),
            ({"issue_ids": ["", " "]}, ("issue_ids", "blank item")),
            ({"query": "is:unresolved", "projects": [" "]}, ("projects", "blank item")),
            ({"issue_ids": [], "query": "is:unresolved"}, ("issue_ids", "empty")),
            ({"issue_ids": ["5"], "query": "is:unresolved"}, ("issue_ids", "query")),
            ({"issue_ids": ["5"], "projects": ["gate"]}, ("issue_ids", "projects")),
            ({"issue_ids": ["5"], "max_changes": 0}, ("max_changes",)),
            ({"issue_ids": ["5"], "organization_slug": ".."}, ("organization_slug",)),
            ({"issue_ids": ["5"], "inRelease": "1", "status": "ignored"}, ("inRelease", "ignored")),
        ):
            with self.subTest(params):
                error = self.failure_of({**APPLY, **params})
                self.assertIsInstance(error, InvalidInput)
                for part in parts:
                    self.assertIn(part, error.cause)

    def test_nothing_to_change_is_an_error(self) -> None:
        error = self.failure_of({"organization_slug": "acme", "issue_ids": ["5"]})
        self.assertIn("nothing to update", error.cause)

    def test_an_unknown_team_is_an_error_before_an_issue_is_read(self) -> None:
        error = self.failure_of(
            {**APPLY, "issue_ids": ["5"], "assignedTo": "#nobody"}, ("GET", TEAMS, answer([{"id": "2", "slug": "ops"}]))
        )
        self.assertIn("no team nobody", error.cause)

    def test_too_many_ids_are_not_even_read(self) -> None:
        for dry_run in (True, False):
            output = self.update({**RESOLVE, "issue_ids": ["1", "2", "3"], "max_changes": 2, "dry_run": dry_run})
            self.assertEqual((output["matched"], output["changed"], output["results"]), (3, 0, []))
            self.assertIn("3 issues match, but max_changes is 2", output["warning"])

    def test_too_many_matches_send_no_write(self) -> None:
        page = [issue(number) for number in range(1, 4)]
        for hits, count, text in (
            ("57", 57, "57 issues"),
            ("1000", 1000, "at least 1000 issues"),
            ("", 3, "at least 3 issues"),
        ):
            with self.subTest(text), self.assertLogs("plugin.test", logging.WARNING) as logs:
                output = self.update(
                    {**APPLY, "query": "is:unresolved", "max_changes": 2},
                    ("GET", ISSUES, answer(page, cursor="1:0:0", x_hits=hits)),
                )
                self.assertEqual((output["matched"], output["changed"], output["failed"]), (count, 0, 0))
                self.assertEqual((output["results"], self.writes()), ([], []))
                self.assertIn(f"{text} match, but max_changes is 2", output["warning"])
                self.assertIn(text, logs.output[-1])

    def test_more_than_100_issues_need_a_higher_maximum(self) -> None:
        pages = [[issue(number) for number in range(start, start + 100)] for start in (100, 200)]
        output = self.update(
            {**APPLY, "query": "a"},
            ("GET", ISSUES, answer(pages[0], cursor="1:0:0")),
            ("GET", ISSUES, answer(pages[1][:1], cursor="2:0:0")),
        )
        self.assertEqual(output["matched"], 101)

    def test_an_incomplete_search_changes_nothing(self) -> None:
        page = [issue(number) for number in range(100, 200)]
        output = self.update(
            {**APPLY, "query": "a"},
            ("GET", ISSUES, answer(page, cursor="1:0:0")),
            ("GET", ISSUES, answer(DENIED, 403)),
        )
        self.assertEqual((output["changed"], output["results"]), (0, []))
        self.assertIn("search is incomplete", output["warning"])

    def test_the_search_is_that_of_the_query_and_the_projects(self) -> None:
        output = self.update({**APPLY, "query": "a", "projects": ["gate"]}, ("GET", ISSUES, answer([])))
        self.assertEqual((output["matched"], output["changed"], output["results"]), (0, 0, []))
        self.assertNotIn("warning", output)
        params = self.server.received[0].params
        self.assertEqual({("query", "a"), ("project", "gate"), ("limit", "100")} - set(params), set())

    def test_a_query_that_is_invalid_fails_the_step(self) -> None:
        error = self.failure_of(
            {**APPLY, "query": "is:wombat"},
            ("GET", ISSUES, answer({"detail": "Error parsing search query: wombat"}, 400)),
            ("GET", path(0), answer(NOT_FOUND, 404)),
        )
        self.assertIsInstance(error, BadRequest)


class TestIDs(Scripted):
    def test_stale_ids_are_reported_and_never_widen_into_a_search(self) -> None:
        stale = ("GET", path(5), answer(NOT_FOUND, 404))
        output = self.update({**APPLY, "issue_ids": ["5", "6"]}, stale, found(6), resolved(6))
        self.assertEqual((output["matched"], output["changed"], output["failed"]), (1, 1, 1))
        self.assertEqual(output["results"][0]["id"], "5")
        self.assertIn("404", output["results"][0]["error"])
        self.assertEqual((self.writes(), self.searches()), ([path(6)], []))

    def test_only_stale_ids_send_no_write_and_no_search(self) -> None:
        script = [("GET", path(number), answer(NOT_FOUND, 404)) for number in (5, 6)]
        output = self.update({**APPLY, "issue_ids": ["5", "6"]}, *script)
        self.assertEqual((output["matched"], output["changed"], output["failed"]), (0, 0, 2))
        self.assertEqual((self.writes(), self.searches()), ([], []))

    def test_every_write_names_one_issue_in_its_path(self) -> None:
        self.update({**APPLY, "issue_ids": ["5", "6"]}, found(5), found(6), resolved(5), resolved(6))
        for request in self.server.received:
            self.assertRegex(request.path, r"/issues/[0-9]+/$")
            self.assertEqual(request.params, [])

    def test_an_issue_that_is_deleted_in_the_meantime_is_reported(self) -> None:
        output = self.update(
            {**APPLY, "issue_ids": ["5", "6"]},
            found(5),
            found(6),
            ("PUT", path(5), answer(NOT_FOUND, 404)),
            resolved(6),
        )
        self.assertEqual([result["changed"] for result in output["results"]], [False, True])
        self.assertEqual(self.searches(), [])

    def test_each_issue_is_changed_once(self) -> None:
        permalink = "https://sentry.example.com/organizations/acme/issues/5/"
        output = self.update(
            {**APPLY, "issue_ids": ["5", " 5 ", "PUMP-5", permalink]},
            found(5),
            ("GET", path("PUMP-5"), answer(issue(5))),
            found(5),
            resolved(5),
        )
        self.assertEqual((output["matched"], len(output["results"])), (1, 1))

    def test_a_merged_issue_is_the_one_it_was_merged_into(self) -> None:
        with self.assertLogs("plugin.test", logging.WARNING) as logs:
            output = self.update(
                {**APPLY, "issue_ids": ["4", "5"]},
                ("GET", path(4), answer(issue(5))),
                found(5),
                ("PUT", path(4), answer(issue(5, status="resolved"))),
            )
        self.assertIn("merged into issue 5", logs.output[0])
        self.assertEqual([result["id"] for result in output["results"]], ["5"])

    def test_what_is_no_issue_of_the_organization_is_reported_without_a_request(self) -> None:
        ids = ["not an issue", "other/PUMP-5", "https://other.sentry.io/issues/5/"]
        output = self.update({**APPLY, "issue_ids": ids})
        self.assertEqual((output["matched"], output["failed"]), (0, 3))
        self.assertIn("neither the ID nor the permalink", output["results"][0]["error"])
        for result in output["results"][1:]:
            self.assertIn("organization other", result["error"])

    def test_an_issue_that_the_token_may_not_access_is_reported(self) -> None:
        output = self.update(
            {**APPLY, "issue_ids": ["5", "6"]}, ("GET", path(5), answer(DENIED, 403)), found(6), resolved(6)
        )
        self.assertEqual([result["changed"] for result in output["results"]], [False, True])

    def test_without_access_to_any_issue_the_step_fails(self) -> None:
        script = [("GET", path(number), answer(DENIED, 403)) for number in (5, 6)]
        self.assertIsInstance(self.failure_of({**APPLY, "issue_ids": ["5", "6"]}, *script), Forbidden)

    def test_a_bad_token_or_a_server_that_is_down_fails_the_step_at_once(self) -> None:
        error = self.failure_of({**APPLY, "issue_ids": ["5", "6"]}, ("GET", path(5), answer({"detail": "no"}, 401)))
        self.assertIsInstance(error, Unauthorized)

    def test_the_number_of_another_organization_is_not_changed_on_sentry_9(self) -> None:
        other = issue(5, permalink="https://sentry.example.com/other/pump/issues/5/")
        unknown_route, number = ("GET", path(5), Answer(404)), ("GET", "/api/0/issues/5/", answer(other))
        output = self.update({**APPLY, "issue_ids": ["5"]}, unknown_route, number)
        self.assertEqual((output["changed"], self.writes()), (0, []))
        self.assertIn("Nothing was changed", output["results"][0]["error"])


class TestResults(Scripted):
    def test_before_and_after_have_only_the_attributes_to_change(self) -> None:
        user = {"type": "user", "id": "1", "name": "Ann", "email": "ann@x.example"}
        output = self.update(
            {**APPLY, "issue_ids": ["5"], "unassign": True},
            found(5, assignedTo=user, hasSeen=True),
            resolved(5, assignedTo=None, hasSeen=True),
        )
        self.assertEqual(
            output["results"],
            [
                {
                    "id": "5", "shortId": "PUMP-5", "title": "Issue 5",
                    "permalink": "https://sentry.example.com/organizations/acme/issues/5/",
                    "before": {"status": "unresolved", "assignedTo": user},
                    "after": {"status": "resolved", "assignedTo": None}, "changed": True,
                }
            ],
        )  # fmt: skip
        self.assertEqual(json.loads(self.server.received[-1].body), {"status": "resolved", "assignedTo": ""})

    def test_a_dry_run_sends_no_write(self) -> None:
        for selection, script in (
            ({"issue_ids": ["5", "6"]}, (found(5), ("GET", path(6), answer(NOT_FOUND, 404)))),
            ({"query": "a"}, (("GET", ISSUES, answer([issue(5)])),)),
        ):
            with self.subTest(selection):
                output = self.update({**RESOLVE, "comment": "Done", **selection}, *script)
                self.assertEqual((output["dry_run"], output["changed"], self.writes()), (True, 0, []))
                first = output["results"][0]
                self.assertEqual((first["before"], first["after"]), ({"status": "unresolved"}, {"status": "resolved"}))
                self.assertFalse(first["changed"])
                self.assertNotIn("error", first)

    def test_what_the_server_did_not_apply_is_an_error_of_the_issue(self) -> None:
        output = self.update(
            {**APPLY, "issue_ids": ["5", "6"], "priority": "high"},
            found(5),
            found(6),
            resolved(5),
            ("PUT", path(6), answer(issue(6))),
        )
        partly, not_at_all = output["results"]
        self.assertEqual((partly["changed"], partly["error"]), (True, "The server did not apply: priority."))
        self.assertFalse(not_at_all["changed"])
        self.assertIn("did not change status, priority", not_at_all["error"])
        self.assertEqual((output["changed"], output["failed"]), (1, 1))

    def test_each_issue_gets_the_comment_after_its_change(self) -> None:
        posted = ("POST", f"{path(5)}comments/", answer({"id": "7"}, 201))
        refused = ("POST", f"{path(6)}comments/", answer(DENIED, 403))
        output = self.update(
            {**APPLY, "issue_ids": ["5", "6"], "comment": "Done"},
            found(5),
            found(6),
            resolved(5),
            posted,
            resolved(6),
            refused,
        )
        self.assertEqual(output["changed"], 2)
        self.assertEqual(output["results"][1]["error"], "The server did not apply: comment.")

    def test_progress_is_logged_every_10_issues(self) -> None:
        page = [issue(number) for number in range(1, 26)]
        script = [resolved(number) for number in range(1, 26)]
        with self.assertLogs("plugin.test", logging.INFO) as logs:
            self.update({**APPLY, "query": "a"}, ("GET", ISSUES, answer(page)), *script)
        progress = [line for line in logs.output if "are done" in line]
        self.assertEqual(len(progress), 2)
        self.assertIn("Changed 20 issues, 20 of 25 are done, the last one is 20", progress[1])


class TestFailureInTheMiddle(Scripted):
    """100 issues match, and the 60th fails."""

    def update_100(self, failure: Answer, *rest: tuple[str, str, Answer], **connection: Any) -> Json:
        page = [issue(number) for number in range(1, 101)]
        script = [("GET", ISSUES, answer(page)), *(resolved(number) for number in range(1, 60))]
        return self.update({**APPLY, "query": "a"}, *script, ("PUT", path(60), failure), *rest, **connection)

    def check_ended_at_60(self, output: Json, cause: str) -> None:
        numbers = [int(result["id"]) for result in output["results"] if result["changed"]]
        self.assertEqual(numbers, list(range(1, 60)))
        self.assertEqual((output["matched"], output["changed"], output["failed"]), (100, 59, 41))
        self.assertIn("59 of 100 issues were changed", output["warning"])
        self.assertIn(cause, output["warning"])
        self.assertIn(cause, output["results"][59]["error"])
        for result in output["results"][60:]:
            self.assertEqual(result["error"], "Not attempted, because the update ended early.")
            self.assertEqual((result["before"], "after" in result), ({"status": "unresolved"}, False))
        for result in output["results"][:59]:
            self.assertEqual((result["after"], "error" in result), ({"status": "resolved"}, False))

    def test_a_failure_of_one_issue_does_not_concern_the_others(self) -> None:
        rest = [resolved(number) for number in range(61, 101)]
        for status in (400, 404, 500):
            with self.subTest(status):
                output = self.update_100(answer({"detail": "The reason"}, status), *rest)
                failed = [result["id"] for result in output["results"] if not result["changed"]]
                self.assertEqual((failed, output["changed"], output["failed"]), (["60"], 99, 1))
                self.assertIn(str(status), output["results"][59]["error"])
                self.assertIn("The reason", output["results"][59]["error"])
                self.assertNotIn("warning", output)

    def test_a_failure_that_concerns_all_ends_the_update(self) -> None:
        for status in (401, 403):
            with self.subTest(status):
                self.check_ended_at_60(self.update_100(answer(DENIED, status)), f"({status})")

    def test_a_rate_limit_beyond_the_time_of_the_step_ends_the_update(self) -> None:
        limited = answer({"detail": "too frequently"}, 429, retry_after="3600")
        self.check_ended_at_60(self.update_100(limited), "(429)")

    def test_a_server_that_is_no_longer_reachable_ends_the_update(self) -> None:
        closed = Answer(play=close)
        # A closed connection is tried again at once, and then the time is spent.
        output = self.update_100(closed, ("PUT", path(60), closed), timeout=1)
        self.check_ended_at_60(output, "closed the connection")
        self.assertIn("may have made the change", output["results"][59]["error"])

    def test_if_nothing_was_changed_before_the_step_fails(self) -> None:
        page = [issue(5), issue(6)]
        for status, error_type in ((401, Unauthorized), (403, Forbidden)):
            error = self.failure_of(
                {**APPLY, "query": "a"}, ("GET", ISSUES, answer(page)), ("PUT", path(5), answer(DENIED, status))
            )
            self.assertIsInstance(error, error_type)

    def test_if_each_issue_fails_for_itself_the_results_say_so(self) -> None:
        script = [("PUT", path(number), answer({"assignedTo": ["User does not exist"]}, 400)) for number in (5, 6)]
        output = self.update(
            {**APPLY, "query": "a", "assignedTo": "99"}, ("GET", ISSUES, answer([issue(5), issue(6)])), *script
        )
        self.assertEqual((output["changed"], output["failed"]), (0, 2))
        self.assertIn("User does not exist", output["results"][1]["error"])
