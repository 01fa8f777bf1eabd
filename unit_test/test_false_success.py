"""A step never reports more than happened: no lost records, no change that was not made, no other issue changed."""

import hashlib
import json
import logging
import unittest
from typing import Any

from insightconnect_plugin_runtime.exceptions import PluginException

from testing.fake_clock import FakeClock
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to, run_action
from unit_test import faults

SLUGS = {"organization_slug": "acme", "project_slug": "pump-station"}
ISSUES = "/api/0/projects/acme/pump-station/issues/"
NOT_FOUND = {"detail": "The requested resource does not exist"}


def answer(body: Any, status: int = 200, link: str | None = "", **headers: str) -> Answer:
    """A JSON response. Sentry sends a Link header with every list; `link` None leaves it out."""
    sent = {"Content-Type": "application/json", **headers}
    if link is not None:
        sent["Link"] = link or '<http://x/>; rel="next"; results="false"; cursor="0:0:0"'
    return Answer(status, json.dumps(body).encode(), sent)


def next_page(cursor: str) -> str:
    return f'<http://x/>; rel="next"; results="true"; cursor="{cursor}"'


def issue(number: int = 5, **attributes: Any) -> Json:
    return {"id": str(number), "status": "unresolved", "assignedTo": None, "hasSeen": False, **attributes}


class Scripted(unittest.TestCase):
    """Runs an action against a scripted server."""

    def run_against(self, name: str, params: Json, *script: tuple[str, str, Answer], **connection: Any) -> Json:
        with ScriptedServer(*script) as server:
            self.server = server
            return run_action(name, connection_to(server.base, **connection), params)

    def fail_against(
        self, name: str, params: Json, *script: tuple[str, str, Answer], **connection: Any
    ) -> PluginException:
        with self.assertRaises(PluginException) as caught:
            self.run_against(name, params, *script, **connection)
        self.methods = [received.method for received in self.server.received]
        return caught.exception


class TestNotApplied(Scripted):
    def update(self, changes: Json, issue_after: Json) -> Json:
        return self.run_against(
            "update_issue", {"issue_id": "5", **changes}, ("PUT", "/api/0/issues/5/", answer(issue_after))
        )

    def test_what_the_server_did_not_apply_is_listed(self) -> None:
        with self.assertLogs("plugin.test", logging.WARNING) as logs:
            output = self.update({"status": "resolved", "hasSeen": True}, issue(status="resolved", hasSeen=False))
        self.assertEqual(output["not_applied"], ["hasSeen"])
        self.assertIn("hasSeen", logs.output[0])

    def test_every_attribute_is_compared(self) -> None:
        before = issue(isPublic=False, isBookmarked=False, isSubscribed=False)
        changes = {"isPublic": True, "isBookmarked": True, "isSubscribed": True, "assignedTo": "a@x.example"}
        output = self.update({**changes, "status": "unresolved"}, before)
        self.assertEqual(sorted(output["not_applied"]), sorted(changes))

    def test_what_was_applied_is_not_listed(self) -> None:
        team, user = {"type": "team", "id": "2", "name": "ops"}, {"type": "user", "id": "1", "name": "Ann"}
        for changes, after in (
            ({"status": "resolvedInNextRelease"}, issue(status="resolved")),
            ({"status": "ignored"}, issue(status="ignored")),
            ({"hasSeen": False}, issue()),
            ({"assignedTo": "team:2"}, issue(assignedTo=team)),
            ({"assignedTo": "ann@x.example"}, issue(assignedTo=user)),
            ({"assignedTo": "1"}, issue(assignedTo=user)),
            ({"unassign": True}, issue()),
        ):
            with self.subTest(changes=changes):
                self.assertEqual(self.update(changes, after).get("not_applied"), [])

    def test_an_update_that_changed_nothing_fails(self) -> None:
        for changes in ({"hasSeen": True}, {"assignedTo": "team:2"}, {"status": "resolved"}):
            with self.subTest(changes=changes):
                error = self.fail_against(
                    "update_issue", {"issue_id": "5", **changes}, ("PUT", "/api/0/issues/5/", answer(issue()))
                )
                self.assertIn(next(iter(changes)), error.cause)
                self.assertIn("did not change", error.cause)
                self.assertEqual("member of the project" in error.assistance, "hasSeen" in changes)

    def test_a_team_is_not_a_user(self) -> None:
        user = {"type": "user", "id": "2", "name": "Ann"}
        error = self.fail_against(
            "update_issue",
            {"issue_id": "5", "assignedTo": "team:2"},
            ("PUT", "/api/0/issues/5/", answer(issue(assignedTo=user))),
        )
        self.assertIn("assignedTo", error.cause)

    def test_the_reason_of_a_failing_release_resolution(self) -> None:
        reason = {"statusDetails": {"inNextRelease": ["No release data present in the system"]}}
        error = self.fail_against(
            "update_issue",
            {"issue_id": "5", "status": "resolvedInNextRelease", "hasSeen": True},
            ("PUT", "/api/0/issues/5/", answer({"detail": "Internal Error"}, 500)),
            ("PUT", "/api/0/issues/5/", answer(reason, 400)),
        )
        self.assertIn("No release data", str(error.data))
        sent = json.loads(self.server.received[1].body)
        self.assertEqual(sent, {"status": "resolved", "hasSeen": True, "statusDetails": {"inNextRelease": True}})

    def test_the_number_of_a_merged_issue_is_logged(self) -> None:
        with self.assertLogs("plugin.test", logging.WARNING) as logs:
            self.update({"status": "resolved"}, issue(7, status="resolved"))
        self.assertIn("merged into issue 7", logs.output[0])


class TestWhichIssueIsChanged(Scripted):
    def test_a_permalink_of_another_server_is_not_changed(self) -> None:
        for permalink in (
            "https://acme.sentry.io/issues/5/",
            "https://sentry.other.example/organizations/acme/issues/5/",
            "https://sentry.other.example/acme/pump-station/issues/5/",
        ):
            with self.subTest(permalink=permalink):
                error = self.fail_against("update_issue", {"issue_id": permalink, "status": "resolved"})
                self.assertEqual(self.methods, [])
                self.assertIn("Nothing was changed", error.cause)
                self.assertIn("organization_slug", error.assistance)

    def test_the_organization_confirms_a_permalink_of_another_server(self) -> None:
        self.run_against(
            "update_issue",
            {"issue_id": "https://sentry.other.example/issues/5/", "organization_slug": "acme", "status": "resolved"},
            ("PUT", "/api/0/organizations/acme/issues/5/", answer(issue(status="resolved"))),
        )

    def test_reading_a_permalink_of_another_server_warns(self) -> None:
        with self.assertLogs("plugin.test", logging.WARNING) as logs:
            self.run_against(
                "list_issue_events",
                {"issue_id": "https://sentry.other.example/organizations/acme/issues/5/"},
                ("GET", "/api/0/organizations/acme/issues/5/events/", answer([{"eventID": "a" * 32}])),
            )
        self.assertIn("sentry.other.example", logs.output[0])

    def update_by_permalink(self, base: str) -> Json:
        return {"issue_id": f"{base}/organizations/acme/issues/5/", "status": "resolved"}

    def test_another_path_is_only_written_to_after_the_issue_was_confirmed(self) -> None:
        for record, is_same in (
            (issue(permalink="http://127.0.0.1/acme/pump-station/issues/5/"), True),
            (issue(permalink="http://127.0.0.1/organizations/acme/issues/5/"), True),
            (issue(permalink="http://127.0.0.1/other/pump-station/issues/5/"), False),
            (issue(permalink=None), False),
        ):
            for missing in (Answer(404, b"", {}), answer(NOT_FOUND, 404)):
                with self.subTest(record=record, missing=missing.body):
                    script = [
                        ("PUT", "/api/0/organizations/acme/issues/5/", missing),
                        ("GET", "/api/0/issues/5/", answer(record)),
                    ]
                    if is_same:
                        script.append(("PUT", "/api/0/issues/5/", answer({**record, "status": "resolved"})))
                    with ScriptedServer(*script) as server:
                        connection = connection_to(server.base)
                        params = self.update_by_permalink(server.base)
                        if is_same:
                            run_action("update_issue", connection, params)
                            continue
                        with self.assertRaises(PluginException) as caught:
                            run_action("update_issue", connection, params)
                    self.assertIn("Nothing was changed", caught.exception.cause)

    def test_a_short_id_confirms_the_issue_of_a_server_without_the_organizations_route(self) -> None:
        params = {"issue_id": "PUMP-STATION-1K", "organization_slug": "acme", "status": "resolved"}
        found = {"groupId": "5", "shortId": "PUMP-STATION-1K"}
        for short_id, is_same in (("PUMP-STATION-1K", True), ("GATE-2", False)):
            with self.subTest(short_id=short_id):
                record = issue(shortId=short_id, status="resolved")
                script = [
                    ("PUT", "/api/0/organizations/acme/issues/PUMP-STATION-1K/", Answer(404, b"", {})),
                    ("GET", "/api/0/organizations/acme/shortids/PUMP-STATION-1K/", answer(found)),
                    ("GET", "/api/0/issues/5/", answer(record)),
                ]
                if is_same:
                    self.run_against("update_issue", params, *script, ("PUT", "/api/0/issues/5/", answer(record)))
                else:
                    error = self.fail_against("update_issue", params, *script)
                    self.assertNotIn("PUT", self.methods[1:])
                    self.assertIn("Nothing was changed", error.cause)

    def test_an_absurd_group_id_is_a_missing_issue(self) -> None:
        error = self.fail_against(
            "update_issue",
            {"issue_id": "PUMP-STATION-1K", "organization_slug": "acme", "status": "resolved"},
            ("PUT", "/api/0/organizations/acme/issues/PUMP-STATION-1K/", Answer(404, b"", {})),
            ("GET", "/api/0/organizations/acme/shortids/PUMP-STATION-1K/", answer({"groupId": "9" * 300})),
        )
        self.assertIn("404", error.cause)


class TestOnlyOneOrganization(Scripted):
    ORGANIZATIONS = ("GET", "/api/0/organizations/", answer([{"slug": "a"}, {"slug": "b"}]))

    def script(self, a: Answer, b: Answer, first: str, *rest: tuple[str, str, Answer]) -> list[tuple[str, str, Answer]]:
        tail = "events/" if first == "GET" else ""
        return [
            (first, f"/api/0/issues/5/{tail}", answer(NOT_FOUND, 404)),
            self.ORGANIZATIONS,
            ("GET", "/api/0/organizations/a/issues/5/", a),
            ("GET", "/api/0/organizations/b/issues/5/", b),
            *rest,
        ]

    def test_a_write_fails_if_an_organization_could_not_be_checked(self) -> None:
        params = {"issue_id": "5", "status": "resolved"}
        for status in (500, 400, 401):
            with self.subTest(status=status):
                broken = answer({"detail": "Internal Error"}, status)
                error = self.fail_against("update_issue", params, *self.script(broken, answer(issue()), "PUT"))
                self.assertEqual(self.methods.count("PUT"), 1)
                self.assertIn("a could not be checked", error.cause)
                self.assertIn("organization_slug", error.assistance)

    def test_a_write_goes_to_the_only_organization_that_has_the_issue(self) -> None:
        for status in (403, 404, 410):
            with self.subTest(status=status):
                put = ("PUT", "/api/0/organizations/b/issues/5/", answer(issue(status="resolved")))
                script = self.script(answer(NOT_FOUND, status), answer(issue()), "PUT", put)
                self.run_against("update_issue", {"issue_id": "5", "status": "resolved"}, *script)

    def test_reading_needs_exactly_one_organization_too(self) -> None:
        both = self.script(answer(issue()), answer(issue()), "GET")
        error = self.fail_against("list_issue_events", {"issue_id": "5"}, *both)
        self.assertIn("a, b", error.cause)
        events = ("GET", "/api/0/organizations/b/issues/5/events/", answer([{"eventID": "b" * 32}]))
        only_b = self.script(answer(NOT_FOUND, 404), answer(issue()), "GET", events)
        output = self.run_against("list_issue_events", {"issue_id": "5"}, *only_b)
        self.assertEqual(output["events"][0]["eventID"], "b" * 32)

    def test_all_organizations_are_checked(self) -> None:
        slugs = [f"org-{number}" for number in range(25)]
        pages = [
            ("GET", "/api/0/organizations/", answer([{"slug": slug} for slug in slugs[:20]], link=next_page("20:1:0"))),
            ("GET", "/api/0/organizations/", answer([{"slug": slug} for slug in slugs[20:]])),
        ]
        checks = [
            (
                "GET",
                f"/api/0/organizations/{slug}/issues/5/",
                answer(issue()) if slug in slugs[-2:] else answer({}, 404),
            )
            for slug in slugs
        ]
        first = ("PUT", "/api/0/issues/5/", answer(NOT_FOUND, 404))
        error = self.fail_against("update_issue", {"issue_id": "5", "status": "resolved"}, first, *pages, *checks)
        self.assertIn("org-23, org-24", error.cause)

    def test_a_list_of_organizations_that_may_not_be_complete_is_not_enough_for_a_write(self) -> None:
        slugs = [f"org-{number}" for number in range(100)]
        listed = [{"slug": slug} for slug in slugs]
        found = [answer(issue(hasSeen=True)) if slug == slugs[7] else answer(NOT_FOUND, 404) for slug in slugs]
        checks = [
            ("GET", f"/api/0/organizations/{slug}/issues/5/", one) for slug, one in zip(slugs, found, strict=True)
        ]
        params = {"issue_id": "5", "hasSeen": True}
        first = ("PUT", "/api/0/issues/5/", answer(NOT_FOUND, 404))
        without_link = ("GET", "/api/0/organizations/", answer(listed, link=None))
        error = self.fail_against("update_issue", params, first, without_link, *checks)
        self.assertEqual(self.methods.count("PUT"), 1)
        self.assertIn("further organizations could not be checked", error.cause)
        complete = ("GET", "/api/0/organizations/", answer(listed))
        put = ("PUT", "/api/0/organizations/org-7/issues/5/", answer(issue(hasSeen=True)))
        self.run_against("update_issue", params, first, complete, *checks, put)

    def test_an_organization_that_is_listed_twice_is_one(self) -> None:
        twice = ("GET", "/api/0/organizations/", answer([{"slug": "a"}, {"slug": "a"}]))
        check = ("GET", "/api/0/organizations/a/issues/5/", answer(issue()))
        first = ("PUT", "/api/0/issues/5/", answer(NOT_FOUND, 404))
        put = ("PUT", "/api/0/organizations/a/issues/5/", answer(issue(hasSeen=True)))
        self.run_against("update_issue", {"issue_id": "5", "hasSeen": True}, first, twice, check, put)

    def test_the_search_ends_when_the_step_takes_too_long(self) -> None:
        clock = FakeClock()
        listed = answer([{"slug": slug} for slug in ("a", "b", "c", "d")])
        # A prompt response is not waiting, but the step may take ten times its timeout only.
        slow = Answer(play=faults.after(clock, 6, NOT_FOUND, 404))
        script = [
            ("PUT", "/api/0/issues/5/", answer(NOT_FOUND, 404)),
            ("GET", "/api/0/organizations/", listed),
            ("GET", "/api/0/organizations/a/issues/5/", slow),
            ("GET", "/api/0/organizations/b/issues/5/", slow),
        ]
        error = self.fail_against("update_issue", {"issue_id": "5", "hasSeen": True}, *script, clock=clock, timeout=1)
        self.assertIn("c, d could not be checked", error.cause)
        self.assertIn("404", error.assistance)

    def test_the_last_failure_of_the_search_is_quoted(self) -> None:
        params = {"issue_id": "5", "hasSeen": True}
        failed, no_http = answer({"detail": "x"}, 500), Answer(play=faults.no_http)
        for a, b, unchecked, reason in (
            (failed, no_http, "a, b", "is not valid HTTP"),
            (no_http, failed, "a, b", "(500)"),
            (no_http, answer(NOT_FOUND, 404), "a", "is not valid HTTP"),
        ):
            with self.subTest(unchecked=unchecked, reason=reason):
                error = self.fail_against("update_issue", params, *self.script(a, b, "PUT"))
                self.assertIn(f"{unchecked} could not be checked", error.cause)
                quoted = error.assistance.partition("The last failure: ")[2]
                self.assertIn(reason, quoted)

    def test_reading_although_an_organization_could_not_be_checked_warns(self) -> None:
        events = ("GET", "/api/0/organizations/b/issues/5/events/", answer([{"eventID": "b" * 32}]))
        script = self.script(answer({"detail": "x"}, 500), answer(issue()), "GET", events)
        with self.assertLogs("plugin.test", logging.WARNING) as logs:
            self.run_against("list_issue_events", {"issue_id": "5"}, *script)
        self.assertIn("Issue 5 may also exist in a, which could not be checked", "".join(logs.output))


class TestIncompleteLists(Scripted):
    def page(self, first: int, count: int = 100) -> list[Json]:
        return [issue(number) for number in range(first, first + count)]

    def test_a_full_page_without_a_link_header_may_not_be_the_last(self) -> None:
        with self.assertLogs("plugin.test", logging.WARNING) as logs:
            output = self.run_against("list_project_issues", SLUGS, ("GET", ISSUES, answer(self.page(1), link=None)))
        self.assertTrue(output["truncated"])
        self.assertIn("did not say whether there are more", output["warning"])
        self.assertIn("did not say", logs.output[0])

    def test_a_short_page_without_a_link_header_is_the_last(self) -> None:
        output = self.run_against("list_project_issues", SLUGS, ("GET", ISSUES, answer(self.page(1, 99), link=None)))
        self.assertFalse(output["truncated"])
        self.assertNotIn("warning", output)

    def test_a_direct_hit_has_no_link_header(self) -> None:
        direct_hit: dict[str, Any] = {"X-Sentry-Direct-Hit": "1"}
        hit = answer(self.page(1, 1), link=None, **direct_hit)
        output = self.run_against("list_project_issues", {**SLUGS, "limit": 1}, ("GET", ISSUES, hit))
        self.assertFalse(output["truncated"])

    def test_a_list_that_fails_late_returns_what_was_read(self) -> None:
        first = ("GET", ISSUES, answer(self.page(1), link=next_page("1:1:0")))
        for failure, word in (
            (answer({"detail": "Internal Error"}, 500), "500"),
            (answer({"detail": "slow down"}, 429, **{"Retry-After": "7200"}), "429"),
            (answer({"not": "a list"}), "not one of Sentry"),
            (answer(self.page(101), link=next_page("1:1:0")), "already read"),
        ):
            with self.subTest(word=word):
                output = self.run_against("list_project_issues", SLUGS, first, ("GET", ISSUES, failure))
                self.assertGreaterEqual(len(output["issues"]), 100)
                self.assertTrue(output["truncated"])
                self.assertIn(word, output["warning"])
                if word != "already read":
                    self.assertEqual(output["next_cursor"], "1:1:0")

    def test_a_list_whose_first_page_fails_is_an_error(self) -> None:
        error = self.fail_against("list_project_issues", SLUGS, ("GET", ISSUES, answer({"detail": "x"}, 500)))
        self.assertIn("500", error.cause)

    def test_a_late_failure_of_events_can_be_continued(self) -> None:
        path = "/api/0/issues/5/events/"
        events = [
            {"eventID": f"{n:02x}" * 16, "dateCreated": f"2026-08-01T12:{59 - n // 2:02}:00Z"} for n in range(100)
        ]
        output = self.run_against(
            "list_issue_events",
            {"issue_id": "5"},
            ("GET", path, answer(events, link=next_page("0:100:0"))),
            ("GET", path, answer({"detail": "x"}, 500)),
        )
        digests = (hashlib.blake2b(events[n]["eventID"].encode(), digest_size=6).hexdigest() for n in (98, 99))
        self.assertEqual(output["next_cursor"], f"before:2026-08-01T12:10:01Z;known={','.join(digests)}")


class TestIgnoredFilters(Scripted):
    def test_events_of_another_environment_are_dropped(self) -> None:
        def event(number: int, tags: Any) -> Json:
            return {"eventID": f"{number:032x}", "tags": tags}

        events = [
            event(1, [{"key": "environment", "value": "production"}]),
            event(2, [{"key": "environment", "value": "staging"}]),
            event(3, [["environment", "staging"]]),
            event(4, [{"key": "level", "value": "error"}]),
            event(5, []),
        ]
        with self.assertLogs("plugin.test", logging.WARNING) as logs:
            output = self.run_against(
                "list_issue_events",
                {"issue_id": "5", "environment": "production"},
                ("GET", "/api/0/issues/5/events/", answer(events)),
            )
        self.assertEqual([found["eventID"][-1] for found in output["events"]], ["1", "4", "5"])
        self.assertIn("dropped 2 events", logs.output[0])

    def test_a_full_page_of_another_environment_without_a_link_header_may_not_be_the_last(self) -> None:
        tags = [{"key": "environment", "value": "staging"}]
        for count in (99, 100):
            events = [{"eventID": f"{number:032x}", "tags": tags} for number in range(count)]
            with self.subTest(count):
                output = self.run_against(
                    "list_issue_events",
                    {"issue_id": "5", "environment": "production"},
                    ("GET", "/api/0/issues/5/events/", answer(events, link=None)),
                    ("GET", "/api/0/issues/5/", answer(issue())),
                )
                self.assertEqual((output["events"], output["truncated"]), ([], count == 100))
                self.assertEqual("did not say whether there are more" in output.get("warning", ""), count == 100)

    def test_a_missing_project_is_an_error_on_a_server_that_returns_an_empty_list(self) -> None:
        project = "/api/0/projects/acme/pump-station/"
        error = self.fail_against(
            "list_project_issues", SLUGS, ("GET", ISSUES, answer([])), ("GET", project, answer(NOT_FOUND, 404))
        )
        self.assertIn("404", error.cause)
        for body, status in (({"slug": "pump-station"}, 200), ({"detail": "no"}, 403), ({"detail": "x"}, 500)):
            with self.subTest(status=status):
                output = self.run_against(
                    "list_project_issues", SLUGS, ("GET", ISSUES, answer([])), ("GET", project, answer(body, status))
                )
                self.assertEqual(output["issues"], [])
                self.assertFalse(output["truncated"])

    def test_a_missing_issue_is_an_error_on_a_server_that_returns_an_empty_list(self) -> None:
        events = ("GET", "/api/0/issues/5/events/", answer([]))
        missing = ("GET", "/api/0/issues/5/", answer(NOT_FOUND, 404))
        error = self.fail_against("list_issue_events", {"issue_id": "5"}, events, missing)
        self.assertIn("404", error.cause)
        output = self.run_against(
            "list_issue_events", {"issue_id": "5"}, events, ("GET", "/api/0/issues/5/", answer(issue()))
        )
        self.assertEqual(output["events"], [])


class TestMissingRoutes(Scripted):
    PAGE = Answer(200, b"<!DOCTYPE html><title>Sentry</title>", {"Content-Type": "text/html"})

    def test_a_page_of_the_web_interface_is_a_missing_route(self) -> None:
        output = self.run_against(
            "list_issue_events",
            {"issue_id": "5", "organization_slug": "acme"},
            ("GET", "/api/0/organizations/acme/issues/5/events/", self.PAGE),
            ("GET", "/api/0/issues/5/events/", answer([{"eventID": "a" * 32}])),
        )
        self.assertEqual(len(output["events"]), 1)

    def test_a_sort_that_the_server_lacks(self) -> None:
        organization = "/api/0/organizations/acme/issues/"
        error = self.fail_against(
            "list_project_issues",
            {**SLUGS, "sort": "trends"},
            ("GET", ISSUES, answer({"detail": "Internal Error"}, 500)),
            ("GET", organization, answer({"detail": "Sort key 'trends' not supported."}, 400)),
        )
        self.assertIn("Sort key 'trends' not supported.", str(error.data))
        self.assertIn("400", error.cause)

    def test_another_failure_with_a_sort(self) -> None:
        organization = "/api/0/organizations/acme/issues/"
        for other in (answer([]), answer({"detail": "You do not have that feature enabled"}, 400)):
            error = self.fail_against(
                "list_project_issues",
                {**SLUGS, "sort": "new"},
                ("GET", ISSUES, answer({"detail": "Internal Error"}, 500)),
                ("GET", organization, other),
            )
            self.assertIn("500", error.cause)
