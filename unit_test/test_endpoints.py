"""Which endpoint an issue is found at: with and without its organization, on old servers and on those of regions."""

import json
import os
import unittest
from typing import ClassVar
from unittest import mock

from insightconnect_plugin_runtime.exceptions import APIException, PluginException

from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import SandboxTestCase, connection_to, run_action

UNKNOWN = Answer(404, b'{"detail": "The requested resource does not exist"}')
NO_ROUTE = Answer(404)
GONE = Answer(410, b'{"message": "This API no longer exists."}', {"X-Sentry-Deprecation-Date": "2026-08-01T00:00:00Z"})
EVENTS = Answer(body=b'[{"eventID": "1"}]')
ISSUE = Answer(body=b'{"id": "5"}')
FORBIDDEN = Answer(403, b'{"detail": "You do not have permission to perform this action."}')

PLAIN = "/api/0/issues/5/events/"
ACME = "/api/0/organizations/acme/issues/5/events/"
BRAVO = "/api/0/organizations/bravo/issues/5/events/"
ORGANIZATIONS = "/api/0/organizations/"


def organizations(*slugs: str) -> Answer:
    return Answer(body=json.dumps([{"slug": slug} for slug in slugs]).encode())


def list_events(*script: tuple[str, Answer], **params: object) -> Json:
    with ScriptedServer(*(("GET", path, answer) for path, answer in script)) as server:
        return run_action("list_issue_events", connection_to(server.base), {"issue_id": "5", **params})


class TestIssueRoute(unittest.TestCase):
    def test_an_organization_given_or_named_by_the_permalink_is_asked(self) -> None:
        for params in (
            {"organization_slug": "acme"},
            {"issue_id": "https://acme.sentry.io/issues/5/"},
            {"issue_id": "https://sentry.example.com/organizations/acme/issues/5/?project=2"},
            {"issue_id": "https://sentry.example.com/acme/pump-station/issues/5/"},
            {"issue_id": "https://bravo.sentry.io/issues/5/", "organization_slug": "acme"},
        ):
            with self.subTest(params):
                self.assertEqual(len(list_events((ACME, EVENTS), **params)["events"]), 1)

    def test_without_an_organization_the_number_is_asked_for_alone(self) -> None:
        for issue_id in ("5", "https://sentry.io/issues/5/", "https://de.sentry.io/issues/5/"):
            with self.subTest(issue_id):
                self.assertEqual(len(list_events((PLAIN, EVENTS), issue_id=issue_id)["events"]), 1)

    def test_a_server_without_the_route_is_asked_for_the_number_alone(self) -> None:
        output = list_events((ACME, NO_ROUTE), (PLAIN, EVENTS), organization_slug="acme")
        self.assertEqual(len(output["events"]), 1)

    def test_an_organization_that_only_the_permalink_names_may_be_wrong(self) -> None:
        for link in (
            "https://sentry.example.com/organizations/renamed/issues/5/",
            "https://sentry.example.com/tools/renamed/issues/5/",
            "https://renamed.sentry.io/issues/5/",
        ):
            slug = "tools" if "tools" in link else "renamed"
            for first in (UNKNOWN, FORBIDDEN, GONE, NO_ROUTE):
                with self.subTest(link, status=first.status):
                    asked = (f"/api/0/organizations/{slug}/issues/5/events/", first)
                    self.assertEqual(len(list_events(asked, (PLAIN, EVENTS), issue_id=link)["events"]), 1)

    def test_an_issue_that_the_organization_does_not_know_is_not_looked_for_elsewhere(self) -> None:
        with self.assertRaises(APIException) as caught:
            list_events((ACME, UNKNOWN), organization_slug="acme")
        self.assertEqual(caught.exception.cause, "Sentry found no issue 5 of organization acme (404).")

    def test_short_ids_are_understood_by_the_route_or_looked_up(self) -> None:
        issue = "/api/0/organizations/acme/issues/PUMP-1K/events/"
        short = "/api/0/organizations/acme/shortids/PUMP-1K/"
        found = Answer(body=b'{"groupId": "5", "organizationSlug": "acme"}')
        for script in (((issue, EVENTS),), ((issue, NO_ROUTE), (short, found), (PLAIN, EVENTS))):
            for params in (
                {"issue_id": "PUMP-1K", "organization_slug": "acme"},
                {"issue_id": "https://acme.sentry.io/issues/PUMP-1K/"},
            ):
                with self.subTest(params, requests=len(script)):
                    self.assertEqual(len(list_events(*script, **params)["events"]), 1)
        for answer in (
            UNKNOWN,
            Answer(body=b'{"groupId": null}'),
            Answer(body=b'{"groupId": "../1"}'),
            Answer(body=b"[]"),
        ):
            with self.subTest(answer), self.assertRaises(APIException) as caught:
                list_events((issue, NO_ROUTE), (short, answer), issue_id="PUMP-1K", organization_slug="acme")
            self.assertIn("no issue PUMP-1K", caught.exception.cause)

    def test_a_short_id_alone_will_do_where_the_token_sees_one_organization_only(self) -> None:
        issue = "/api/0/organizations/acme/issues/PUMP-1K/events/"
        output = list_events((ORGANIZATIONS, organizations("acme")), (issue, EVENTS), issue_id="PUMP-1K")
        self.assertEqual(len(output["events"]), 1)
        for answer, seen in (
            (organizations("acme", "bravo"), "It sees acme, bravo."),
            (organizations(".."), "numeric ID."),
            (FORBIDDEN, "numeric ID."),
        ):
            with self.subTest(answer), self.assertRaises(PluginException) as caught:
                list_events((ORGANIZATIONS, answer), issue_id="PUMP-1K")
            self.assertIn("PUMP-1K does not tell its organization", caught.exception.cause)
            self.assertTrue(caught.exception.assistance.endswith(seen), caught.exception.assistance)

    def test_where_the_number_alone_is_not_known_the_organizations_of_the_token_are_tried(self) -> None:
        for first in (UNKNOWN, NO_ROUTE, GONE):
            with self.subTest(first.status), self.assertLogs("plugin.test", "INFO") as logs:
                output = list_events(
                    (PLAIN, first),
                    (ORGANIZATIONS, organizations("bravo", "..", "acme")),
                    (BRAVO, UNKNOWN),
                    (ACME, EVENTS),
                )
                self.assertEqual(len(output["events"]), 1)
            self.assertIn("an organization_slug saves the search", "".join(logs.output))

    def test_all_pages_are_read_from_where_the_issue_was_found(self) -> None:
        link = {"Link": '<http://h/>; rel="next"; results="true"; cursor="0:100:0"'}
        first = Answer(body=EVENTS.body, headers=link)
        output = list_events(
            (PLAIN, UNKNOWN),
            (ORGANIZATIONS, organizations("acme")),
            (ACME, first),
            (ACME, Answer(body=b'[{"eventID": "2"}]')),
        )
        self.assertEqual([event["eventID"] for event in output["events"]], ["1", "2"])

    def test_where_nobody_knows_the_issue_the_first_refusal_is_reported(self) -> None:
        for first, cause in ((UNKNOWN, "(404)"), (GONE, "(410)")):
            for others in (
                [(ORGANIZATIONS, FORBIDDEN)],
                [(ORGANIZATIONS, organizations())],
                [(ORGANIZATIONS, organizations("acme", "bravo")), (ACME, UNKNOWN), (BRAVO, FORBIDDEN)],
            ):
                with self.subTest(cause, others=len(others)), self.assertRaises(APIException) as caught:
                    list_events((PLAIN, first), *others)
                self.assertIn(cause, caught.exception.cause)
                self.assertIn("organization_slug", caught.exception.assistance)

    def test_a_failure_in_an_organization_hides_no_other_and_is_not_taken_for_not_found(self) -> None:
        for failure in (Answer(500), Answer(401, b'{"detail": {"code": "sso-required"}}')):
            search = (PLAIN, UNKNOWN), (ORGANIZATIONS, organizations("acme", "bravo")), (ACME, failure)
            with self.subTest(failure.status):
                self.assertEqual(len(list_events(*search, (BRAVO, EVENTS))["events"]), 1)
                with self.assertRaises(APIException) as caught:
                    list_events(*search, (BRAVO, UNKNOWN))
                self.assertEqual(caught.exception.status_code, failure.status)

    def test_a_change_is_made_where_one_organization_alone_has_the_issue_or_nowhere(self) -> None:
        number, acme, bravo = (
            f"/api/0/{path}issues/5/" for path in ("", "organizations/acme/", "organizations/bravo/")
        )
        search = [("PUT", number, UNKNOWN), ("GET", ORGANIZATIONS, organizations("acme", "bravo"))]
        changes = {"issue_id": "5", "hasSeen": True}
        script = [*search, ("GET", acme, UNKNOWN), ("GET", bravo, ISSUE), ("PUT", bravo, ISSUE)]
        with ScriptedServer(*script) as server:
            run_action("update_issue", connection_to(server.base), changes)
        script = [*search, ("GET", acme, ISSUE), ("GET", bravo, ISSUE)]
        with ScriptedServer(*script) as server, self.assertRaises(PluginException) as caught:
            run_action("update_issue", connection_to(server.base), changes)
        self.assertIn("in each of the organizations acme, bravo", caught.exception.cause)

    def test_a_refusal_of_another_servers_issue_is_final_but_not_of_sentry_saas_whose_regions_count_alike(self) -> None:
        with self.assertRaises(APIException) as caught:
            list_events((PLAIN, FORBIDDEN))
        self.assertEqual(caught.exception.status_code, 403)
        script = ((PLAIN, FORBIDDEN), (ORGANIZATIONS, organizations("acme")), (ACME, EVENTS))
        with ScriptedServer(*(("GET", path, answer) for path, answer in script)) as proxy:
            through = {"HTTP_PROXY": proxy.base, "http_proxy": proxy.base, "NO_PROXY": "", "no_proxy": ""}
            with mock.patch.dict(os.environ, through):
                output = run_action("list_issue_events", connection_to("http://sentry.io"), {"issue_id": "5"})
        self.assertEqual(len(output["events"]), 1)

    def test_an_update_takes_the_same_ways_and_keeps_its_body(self) -> None:
        number, acme = "/api/0/issues/5/", "/api/0/organizations/acme/issues/5/"
        for params, script in (
            ({"organization_slug": "acme"}, [("PUT", acme, ISSUE)]),
            ({"organization_slug": "acme"}, [("PUT", acme, NO_ROUTE), ("PUT", number, ISSUE)]),
            ({}, [("PUT", number, GONE), ("GET", ORGANIZATIONS, organizations("acme")), ("PUT", acme, ISSUE)]),
        ):
            with self.subTest(params, requests=len(script)), ScriptedServer(*script) as server:
                changes = {"issue_id": "5", "hasSeen": True, **params}
                self.assertEqual(run_action("update_issue", connection_to(server.base), changes)["issue"]["id"], "5")
                for received in server.received:
                    self.assertEqual(received.body, b'{"hasSeen": true}' if received.method == "PUT" else b"")


class TestProjectIssuesRoute(unittest.TestCase):
    PROJECT, ORGANIZATION = "/api/0/projects/acme/pump/issues/", "/api/0/organizations/acme/issues/"
    SLUGS: ClassVar[Json] = {"organization_slug": "acme", "project_slug": "pump"}

    def test_the_organization_takes_over_where_the_projects_endpoint_is_gone(self) -> None:
        link = {"Link": '<http://h/>; rel="next"; results="true"; cursor="1:0:0"'}
        for first in (GONE, NO_ROUTE):
            script = (
                ("GET", self.PROJECT, first),
                ("GET", self.ORGANIZATION, Answer(body=b'[{"id": "1"}]', headers=link)),
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

    def test_a_project_that_is_not_known_is_not_looked_for_elsewhere(self) -> None:
        with ScriptedServer(("GET", self.PROJECT, UNKNOWN)) as server, self.assertRaises(APIException) as caught:
            run_action("list_project_issues", connection_to(server.base), self.SLUGS)
        self.assertIn("no project pump of organization acme", caught.exception.cause)

    def test_where_neither_is_there_the_first_refusal_is_reported(self) -> None:
        script = (("GET", self.PROJECT, GONE), ("GET", self.ORGANIZATION, NO_ROUTE))
        with ScriptedServer(*script) as server, self.assertRaises(APIException) as caught:
            run_action("list_project_issues", connection_to(server.base), self.SLUGS)
        self.assertEqual(caught.exception.status_code, 410)


class TestAgainstSentry(SandboxTestCase):
    def test_every_way_of_naming_an_issue_finds_it(self) -> None:
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

    def test_the_organizations_own_list_is_the_same_as_the_projects(self) -> None:
        self.submit({"message": "Listed by both"})
        by_project = self.issues(statsPeriod="24h", sort="new")
        with mock.patch("komand_sentry.util.routes.is_gone", return_value=True):
            by_organization = self.issues(statsPeriod="24h", sort="new")
        self.assertIn("/api/0/organizations/acme/issues/", [request.path for request in self.sandbox.requests])
        for one, other in zip(by_project, by_organization, strict=True):
            self.assertEqual(one, {key: other[key] for key in one})
