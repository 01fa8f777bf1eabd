"""Which endpoints are used for an issue and for the issues of a project, on servers of all versions and regions."""

import itertools
import json
import os
import unittest
from typing import ClassVar
from unittest import mock

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    BadRequest,
    Forbidden,
    Gone,
    InvalidInput,
    NotFound,
    ResponseError,
    ServerFailed,
)
from komand_sentry.util.sentry import projects
from testing.plugin import Json
from testing.scripted_server import LAST_PAGE, Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_to, run_action

NOT_FOUND = Answer(404, b'{"detail": "The requested resource does not exist"}')
ROUTE_MISSING = Answer(404)
GONE = Answer(410, b'{"message": "This API no longer exists."}', {"X-Sentry-Deprecation-Date": "2026-08-01T00:00:00Z"})
EVENTS = Answer(body=b'[{"eventID": "1"}]', headers=LAST_PAGE)
ISSUE = Answer(body=b'{"id": "5", "hasSeen": true}')
FORBIDDEN = Answer(403, b'{"detail": "You do not have permission to perform this action."}')

PLAIN = "/api/0/issues/5/events/"
ACME = "/api/0/organizations/acme/issues/5/events/"
ACME_ISSUE = "/api/0/organizations/acme/issues/5/"
BRAVO_ISSUE = "/api/0/organizations/bravo/issues/5/"
ORGANIZATIONS = "/api/0/organizations/"

WEB_PAGE = Answer(200, b"<!DOCTYPE html><title>Sentry</title>", {"Content-Type": "text/html"})


def organizations(*slugs: str) -> Answer:
    return Answer(body=json.dumps([{"slug": slug} for slug in slugs]).encode(), headers=LAST_PAGE)


def next_page(cursor: str) -> dict[str, str]:
    return {"Link": f'<http://h.example/>; rel="next"; results="true"; cursor="{cursor}"'}


def list_events(*script: tuple[str, Answer], **params: object) -> Json:
    with ScriptedServer(*(("GET", path, answer) for path, answer in script)) as server:
        return run_action("list_issue_events", connection_to(server.base), {"issue_id": "5", **params})


class TestIssueEndpoint(unittest.TestCase):
    def test_uses_the_organization_of_the_input_or_of_the_permalink(self) -> None:
        for params in (
            {"organization_slug": "acme"},
            {"issue_id": "https://acme.sentry.io/issues/5/"},
            {"issue_id": "https://sentry.example.com/organizations/acme/issues/5/?project=2"},
            {"issue_id": "https://sentry.example.com/acme/pump-station/issues/5/"},
            {"issue_id": "https://bravo.sentry.io/issues/5/", "organization_slug": "acme"},
        ):
            with self.subTest(params):
                self.assertEqual(len(list_events((ACME, EVENTS), **params)["events"]), 1)

    def test_uses_the_numeric_id_alone_without_an_organization(self) -> None:
        for issue_id in ("5", "https://sentry.io/issues/5/", "https://de.sentry.io/issues/5/"):
            with self.subTest(issue_id):
                self.assertEqual(len(list_events((PLAIN, EVENTS), issue_id=issue_id)["events"]), 1)

    def test_uses_the_numeric_id_alone_if_the_server_lacks_the_endpoint_of_the_organization(self) -> None:
        output = list_events((ACME, ROUTE_MISSING), (PLAIN, EVENTS), organization_slug="acme")
        self.assertEqual(len(output["events"]), 1)

    def test_uses_the_numeric_id_alone_if_the_organization_of_the_permalink_is_wrong(self) -> None:
        for link in (
            "https://sentry.example.com/organizations/renamed/issues/5/",
            "https://sentry.example.com/tools/renamed/issues/5/",
            "https://renamed.sentry.io/issues/5/",
        ):
            slug = "tools" if "tools" in link else "renamed"
            for first in (NOT_FOUND, FORBIDDEN, GONE, ROUTE_MISSING):
                with self.subTest(link, status=first.status):
                    asked = (f"/api/0/organizations/{slug}/issues/5/events/", first)
                    self.assertEqual(len(list_events(asked, (PLAIN, EVENTS), issue_id=link)["events"]), 1)

    def test_does_not_search_if_the_organization_of_the_input_has_no_such_issue(self) -> None:
        with self.assertRaises(NotFound) as caught:
            list_events((ACME, NOT_FOUND), organization_slug="acme")
        self.assertIn("no issue 5 of organization acme (404)", caught.exception.cause)

    def test_resolves_a_short_id_if_the_server_lacks_the_endpoint_of_the_organization(self) -> None:
        issue = "/api/0/organizations/acme/issues/PUMP-1K/events/"
        short = "/api/0/organizations/acme/shortids/PUMP-1K/"
        found = Answer(body=b'{"groupId": "5", "organizationSlug": "acme"}')
        for script in (((issue, EVENTS),), ((issue, ROUTE_MISSING), (short, found), (PLAIN, EVENTS))):
            for params in (
                {"issue_id": "PUMP-1K", "organization_slug": "acme"},
                {"issue_id": "https://acme.sentry.io/issues/PUMP-1K/"},
            ):
                with self.subTest(params, requests=len(script)):
                    self.assertEqual(len(list_events(*script, **params)["events"]), 1)
        for answer in (
            NOT_FOUND,
            Answer(body=b'{"groupId": null}'),
            Answer(body=b'{"groupId": "../1"}'),
            Answer(body=b"[]"),
        ):
            with self.subTest(answer), self.assertRaises(NotFound) as caught:
                list_events((issue, ROUTE_MISSING), (short, answer), issue_id="PUMP-1K", organization_slug="acme")
            self.assertIn("no issue PUMP-1K", caught.exception.cause)

    def test_a_server_without_short_ids_needs_the_number(self) -> None:
        issue = "/api/0/organizations/acme/issues/PUMP-1K/events/"
        short = "/api/0/organizations/acme/shortids/PUMP-1K/"
        for missing in (ROUTE_MISSING, GONE, WEB_PAGE):
            with self.subTest(missing.status), self.assertRaises(InvalidInput) as caught:
                list_events((issue, missing), (short, missing), issue_id="PUMP-1K", organization_slug="acme")
            self.assertIn("does not find issues by short ID, such as PUMP-1K", caught.exception.cause)
            self.assertIn("numeric ID", caught.exception.assistance)

    def test_a_short_id_needs_an_organization_unless_the_token_sees_only_one(self) -> None:
        issue = "/api/0/organizations/acme/issues/PUMP-1K/events/"
        output = list_events((ORGANIZATIONS, organizations("acme")), (issue, EVENTS), issue_id="PUMP-1K")
        self.assertEqual(len(output["events"]), 1)
        for answer, seen in (
            (organizations("acme", "bravo"), "It sees acme, bravo."),
            (organizations(".."), "numeric ID."),
            (FORBIDDEN, "numeric ID."),
        ):
            with self.subTest(answer), self.assertRaises(InvalidInput) as caught:
                list_events((ORGANIZATIONS, answer), issue_id="PUMP-1K")
            self.assertIn("organization of the short ID PUMP-1K is unknown", caught.exception.cause)
            self.assertIn("organization_slug", caught.exception.assistance)
            self.assertTrue(caught.exception.assistance.endswith(seen), caught.exception.assistance)

    def test_a_short_id_without_organization_needs_a_complete_list_with_exactly_one(self) -> None:
        issue = "/api/0/organizations/acme/issues/PUMP-1K/events/"
        first = Answer(body=organizations("acme").body, headers=next_page("1:1:0"))
        for rest, is_known in (
            (organizations(), True),
            (organizations("acme"), True),
            (organizations("bravo"), False),
            (FORBIDDEN, False),
            (Answer(500), False),
        ):
            script = [(ORGANIZATIONS, first), (ORGANIZATIONS, rest)]
            with self.subTest(rest):
                if is_known:
                    self.assertEqual(len(list_events(*script, (issue, EVENTS), issue_id="PUMP-1K")["events"]), 1)
                    continue
                with self.assertRaises(InvalidInput) as caught:
                    list_events(*script, issue_id="PUMP-1K")
                self.assertIn("organization of the short ID PUMP-1K is unknown", caught.exception.cause)

    def test_searches_the_organizations_of_the_token_if_the_numeric_id_alone_is_not_found(self) -> None:
        for first in (NOT_FOUND, ROUTE_MISSING, GONE):
            with self.subTest(first.status), self.assertLogs("plugin.test", "INFO") as logs:
                output = list_events(
                    (PLAIN, first),
                    (ORGANIZATIONS, organizations("bravo", "..", "acme")),
                    (BRAVO_ISSUE, NOT_FOUND),
                    (ACME_ISSUE, ISSUE),
                    (ACME, EVENTS),
                )
                self.assertEqual(len(output["events"]), 1)
            self.assertIn("set organization_slug to skip this", "".join(logs.output))

    def test_reads_all_pages_from_the_endpoint_that_was_found(self) -> None:
        first = Answer(body=EVENTS.body, headers=next_page("0:100:0"))
        output = list_events(
            (PLAIN, NOT_FOUND),
            (ORGANIZATIONS, organizations("acme")),
            (ACME_ISSUE, ISSUE),
            (ACME, first),
            (ACME, Answer(body=b'[{"eventID": "2"}]', headers=LAST_PAGE)),
        )
        self.assertEqual([event["eventID"] for event in output["events"]], ["1", "2"])

    def test_reports_the_first_error_if_no_organization_has_the_issue(self) -> None:
        for first, error in ((NOT_FOUND, NotFound), (GONE, Gone)):
            for others in (
                [(ORGANIZATIONS, organizations())],
                [(ORGANIZATIONS, organizations("acme", "bravo")), (ACME_ISSUE, NOT_FOUND), (BRAVO_ISSUE, FORBIDDEN)],
            ):
                with self.subTest(error, others=len(others)), self.assertRaises(error) as caught:
                    list_events((PLAIN, first), *others)
                self.assertIn("organization_slug", caught.exception.assistance)

    def test_reports_the_first_error_if_the_token_may_not_list_organizations(self) -> None:
        for first, error in ((NOT_FOUND, NotFound), (GONE, Gone)):
            for refusal in (FORBIDDEN, Answer(500)):
                with self.subTest(error, refusal=refusal.status), self.assertRaises(PluginException) as caught:
                    list_events((PLAIN, first), (ORGANIZATIONS, refusal))
                self.assertIsInstance(caught.exception, error)
                self.assertIn("organization_slug", caught.exception.assistance)
                script = [("PUT", "/api/0/issues/5/", first), ("GET", ORGANIZATIONS, refusal)]
                with ScriptedServer(*script) as server, self.assertRaises(PluginException) as caught:
                    run_action("update_issue", connection_to(server.base), {"issue_id": "5", "hasSeen": True})
                self.assertIsInstance(caught.exception, error)
                self.assertIn("organization_slug", caught.exception.assistance)

    def test_reports_a_failure_in_an_organization_unless_another_has_the_issue(self) -> None:
        for failure, reason in (
            (Answer(500), "failed on issue 5 (500)"),
            (Answer(401, b'{"detail": {"code": "sso-required"}}'), "requires single sign-on (401)"),
        ):
            search = (PLAIN, NOT_FOUND), (ORGANIZATIONS, organizations("acme", "bravo")), (ACME_ISSUE, failure)
            with self.subTest(failure.status):
                output = list_events(*search, (BRAVO_ISSUE, ISSUE), (BRAVO_ISSUE + "events/", EVENTS))
                self.assertEqual(len(output["events"]), 1)
                with self.assertRaises(PluginException) as caught:
                    list_events(*search, (BRAVO_ISSUE, NOT_FOUND))
                self.assertIn("Issue 5 cannot be identified: acme could not be checked", caught.exception.cause)
                self.assertIn("organization_slug", caught.exception.assistance)
                self.assertIn(reason, caught.exception.assistance)

    def test_reads_all_pages_of_organizations_and_changes_nothing_if_there_are_too_many(self) -> None:
        number = "/api/0/issues/5/"
        changes = {"issue_id": "5", "hasSeen": True}
        for has_more in (False, True):
            pages = [
                Answer(body=json.dumps([{"slug": f"a{page}"}]).encode(), headers=next_page(f"100:{page}:0"))
                for page in range(5)
            ]
            if not has_more:
                pages[4] = organizations("a4")
            script = [("PUT", number, NOT_FOUND), *(("GET", ORGANIZATIONS, page) for page in pages)]
            script += [("GET", f"/api/0/organizations/a{page}/issues/5/", NOT_FOUND) for page in range(4)]
            script += [("GET", "/api/0/organizations/a4/issues/5/", ISSUE)]
            if not has_more:
                script += [("PUT", "/api/0/organizations/a4/issues/5/", ISSUE)]
            with (
                self.subTest(has_more=has_more),
                ScriptedServer(*script) as server,
                mock.patch.object(projects, "MAX_SEARCHED_ORGANIZATIONS", 5),
            ):
                if not has_more:
                    run_action("update_issue", connection_to(server.base), changes)
                    continue
                with self.assertRaises(InvalidInput) as caught:
                    run_action("update_issue", connection_to(server.base), changes)
                self.assertIn("further organizations could not be checked", caught.exception.cause)
                requested = [dict(received.params) for received in server.received[1:6]]
                self.assertEqual(
                    [params.get("cursor") for params in requested], [None, "100:0:0", "100:1:0", "100:2:0", "100:3:0"]
                )
                self.assertEqual([params["per_page"] for params in requested], ["5", "4", "3", "2", "1"])

    def test_a_page_of_the_web_interface_is_a_missing_route(self) -> None:
        output = list_events((ACME, WEB_PAGE), (PLAIN, EVENTS), organization_slug="acme")
        self.assertEqual(len(output["events"]), 1)
        search = (PLAIN, WEB_PAGE), (ORGANIZATIONS, organizations("acme")), (ACME_ISSUE, ISSUE), (ACME, EVENTS)
        self.assertEqual(len(list_events(*search)["events"]), 1)

    def test_an_update_is_not_confirmed_by_an_issue_that_the_server_does_not_show(self) -> None:
        for first, second in itertools.product((ROUTE_MISSING, WEB_PAGE, GONE), (NOT_FOUND, FORBIDDEN, GONE, WEB_PAGE)):
            script = (("PUT", ACME_ISSUE, first), ("GET", "/api/0/issues/5/", second))
            with (
                self.subTest(first=first.status, second=second.status),
                ScriptedServer(*script) as server,
                self.assertRaises(ResponseError) as caught,
            ):
                changes = {"issue_id": "5", "organization_slug": "acme", "hasSeen": True}
                run_action("update_issue", connection_to(server.base), changes)
            self.assertEqual(caught.exception.status_code, first.status)
            self.assertIn("issue 5 of organization acme", caught.exception.cause)

    def test_updates_an_issue_only_if_one_organization_has_it(self) -> None:
        number = "/api/0/issues/5/"
        search = [("PUT", number, NOT_FOUND), ("GET", ORGANIZATIONS, organizations("acme", "bravo"))]
        changes = {"issue_id": "5", "hasSeen": True}
        found = [("GET", ACME_ISSUE, NOT_FOUND), ("GET", BRAVO_ISSUE, ISSUE)]
        script = [*search, *found, ("PUT", BRAVO_ISSUE, ISSUE)]
        with ScriptedServer(*script) as server:
            run_action("update_issue", connection_to(server.base), changes)
        script = [*search, ("GET", ACME_ISSUE, ISSUE), ("GET", BRAVO_ISSUE, ISSUE)]
        with ScriptedServer(*script) as server, self.assertRaises(InvalidInput) as caught:
            run_action("update_issue", connection_to(server.base), changes)
        self.assertIn("in each of the organizations acme, bravo", caught.exception.cause)

    def test_searches_after_a_403_only_on_sentry_saas_whose_regions_use_the_same_numbers(self) -> None:
        with self.assertRaises(Forbidden):
            list_events((PLAIN, FORBIDDEN))
        script = ((PLAIN, FORBIDDEN), (ORGANIZATIONS, organizations("acme")), (ACME_ISSUE, ISSUE), (ACME, EVENTS))
        with ScriptedServer(*(("GET", path, answer) for path, answer in script)) as proxy:
            environment = {"HTTP_PROXY": proxy.base, "http_proxy": proxy.base, "NO_PROXY": "", "no_proxy": ""}
            with mock.patch.dict(os.environ, environment):
                output = run_action("list_issue_events", connection_to("http://sentry.io"), {"issue_id": "5"})
        self.assertEqual(len(output["events"]), 1)

    def test_an_update_uses_the_same_endpoints_and_sends_the_same_body(self) -> None:
        number = "/api/0/issues/5/"
        confirmed = Answer(body=b'{"id": "5", "permalink": "https://sentry.example.com/acme/pump-station/issues/5/"}')
        search = [("PUT", number, GONE), ("GET", ORGANIZATIONS, organizations("acme")), ("GET", ACME_ISSUE, ISSUE)]
        for params, script in (
            ({"organization_slug": "acme"}, [("PUT", ACME_ISSUE, ISSUE)]),
            (
                {"organization_slug": "acme"},
                [("PUT", ACME_ISSUE, ROUTE_MISSING), ("GET", number, confirmed), ("PUT", number, ISSUE)],
            ),
            ({}, [*search, ("PUT", ACME_ISSUE, ISSUE)]),
        ):
            with self.subTest(params, requests=len(script)), ScriptedServer(*script) as server:
                changes = {"issue_id": "5", "hasSeen": True, **params}
                self.assertEqual(run_action("update_issue", connection_to(server.base), changes)["issue"]["id"], "5")
                for received in server.received:
                    self.assertEqual(received.body, b'{"hasSeen": true}' if received.method == "PUT" else b"")


class TestProjectIssuesEndpoint(unittest.TestCase):
    PROJECT, ORGANIZATION = "/api/0/projects/acme/pump/issues/", "/api/0/organizations/acme/issues/"
    SLUGS: ClassVar[Json] = {"organization_slug": "acme", "project_slug": "pump"}

    def test_uses_the_organization_if_the_server_lacks_the_endpoint_of_the_project(self) -> None:
        for first in (GONE, ROUTE_MISSING, WEB_PAGE):
            script = (
                ("GET", self.PROJECT, first),
                ("GET", self.ORGANIZATION, Answer(body=b'[{"id": "1"}]', headers=next_page("1:0:0"))),
                ("GET", self.ORGANIZATION, Answer(body=b'[{"id": "2"}]')),
            )
            with self.subTest(first.status), ScriptedServer(*script) as server:
                params = {**self.SLUGS, "statsPeriod": "14d", "environment": "production", "sort": "new"}
                output = run_action("list_project_issues", connection_to(server.base), params)
                self.assertEqual([issue["id"] for issue in output["issues"]], ["1", "2"])
                expected = {
                    "query": "is:unresolved",
                    "groupStatsPeriod": "14d",
                    "statsPeriod": "90d",
                    "project": "pump",
                    "environment": "production",
                    "sort": "new",
                    "limit": "100",
                }
                self.assertEqual(dict(server.received[1].params), expected)
                self.assertEqual(dict(server.received[2].params), {**expected, "cursor": "1:0:0"})

    def test_does_not_use_the_organization_if_the_project_is_not_found(self) -> None:
        with ScriptedServer(("GET", self.PROJECT, NOT_FOUND)) as server, self.assertRaises(NotFound) as caught:
            run_action("list_project_issues", connection_to(server.base), self.SLUGS)
        self.assertIn("no project pump of organization acme", caught.exception.cause)

    def test_reports_the_first_error_if_the_server_has_neither_endpoint(self) -> None:
        script = (("GET", self.PROJECT, GONE), ("GET", self.ORGANIZATION, ROUTE_MISSING))
        with ScriptedServer(*script) as server, self.assertRaises(Gone):
            run_action("list_project_issues", connection_to(server.base), self.SLUGS)

    def test_a_failure_with_a_sort_is_only_explained_if_the_organization_refuses_the_sort(self) -> None:
        failed = Answer(500, b'{"detail": "Internal Error"}')
        refused = Answer(400, b'{"detail": "Sort key \'trends\' not supported."}')
        for second, error, word in (
            (refused, BadRequest, "trends"),
            (Answer(400, b'{"detail": "no"}'), ServerFailed, "Internal Error"),
            (failed, ServerFailed, "Internal Error"),
            (NOT_FOUND, ServerFailed, "Internal Error"),
            (Answer(body=b"[]", headers=LAST_PAGE), ServerFailed, "Internal Error"),
        ):
            script = (("GET", self.PROJECT, failed), ("GET", self.ORGANIZATION, second))
            with (
                self.subTest(second.status, body=second.body),
                ScriptedServer(*script) as server,
                self.assertRaises(ResponseError) as caught,
            ):
                run_action("list_project_issues", connection_to(server.base), {**self.SLUGS, "sort": "trends"})
            self.assertIsInstance(caught.exception, error)
            self.assertIn(word, caught.exception.data)

    def test_an_empty_list_of_a_server_that_does_not_show_projects(self) -> None:
        empty = ("GET", self.PROJECT, Answer(body=b"[]", headers=LAST_PAGE))
        for second in (ROUTE_MISSING, FORBIDDEN, GONE, WEB_PAGE, Answer(500)):
            script = (empty, ("GET", "/api/0/projects/acme/pump/", second))
            with self.subTest(second.status), ScriptedServer(*script) as server:
                output = run_action("list_project_issues", connection_to(server.base), self.SLUGS)
                self.assertEqual((output["issues"], output["truncated"]), ([], False))

    def test_an_empty_rest_of_a_list_is_not_checked(self) -> None:
        with ScriptedServer(("GET", self.PROJECT, Answer(body=b"[]", headers=LAST_PAGE))) as server:
            output = run_action("list_project_issues", connection_to(server.base), {**self.SLUGS, "cursor": "1:0:0"})
        self.assertEqual(output["issues"], [])


class TestSandbox(SandboxTestCase):
    def test_finds_an_issue_by_every_form_of_its_id(self) -> None:
        event_id = self.submit({"message": "Named in many ways"})
        issue = self.issues(query="Named in many ways")[0]
        for params in (
            {"issue_id": issue["id"]},
            {"issue_id": issue["permalink"]},
            {"issue_id": issue["shortId"]},
            {"issue_id": issue["id"], "organization_slug": "acme"},
            {"issue_id": issue["shortId"].lower(), "organization_slug": "acme"},
        ):
            with self.subTest(params):
                events = self.run_action("list_issue_events", params)["events"]
                self.assertEqual([event["eventID"] for event in events], [event_id])
                updated = self.run_action("update_issue", {**params, "isBookmarked": True})["issue"]
                self.assertEqual(updated["id"], issue["id"])

    def test_both_endpoints_return_the_same_issues(self) -> None:
        self.submit({"message": "Listed by both"})
        self.submit({"message": "Listed by both, too"})
        by_project = {issue["id"]: issue for issue in self.issues(statsPeriod="24h", sort="new")}
        # No server has this path, so the response is the one of a server without the endpoint of the project.
        missing = ("projects", "acme", "pump-station", "missing")
        with mock.patch("komand_sentry.util.sentry.endpoints.project_path", return_value=missing):
            by_organization = {issue["id"]: issue for issue in self.issues(statsPeriod="24h", sort="new")}
        self.assertEqual(self.sandbox.requests[-1].path, "/api/0/organizations/acme/issues/")
        self.assertGreaterEqual(len(by_project), 2)
        self.assertEqual(by_project.keys(), by_organization.keys())
        for number, issue in by_project.items():
            self.assertEqual(issue, {key: by_organization[number][key] for key in issue})
