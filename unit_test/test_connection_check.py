import time
import unittest
from typing import Any

from komand_sentry.util.errors import MOST_LISTED, listed
from komand_sentry.util.preflight import (
    ACTION_SCOPES,
    Preflight,
    project_names,
    scopes_of,
    user_of,
    version_in,
)
from komand_sentry.util.token import token_kind
from testing.support import ACTIONS

REPORT = Preflight(
    server="https://sentry.example.com",
    version="Sentry 24.1.0",
    token=token_kind("sntryu_0123"),
    user="user1@example.com",
    scopes=("event:read", "event:write"),
    projects=("acme/pump-station",),
)


class PreflightTest(unittest.TestCase):
    def test_every_action_of_the_plugin_is_judged(self) -> None:
        self.assertEqual(ACTION_SCOPES.keys(), ACTIONS.keys())

    def test_a_scope_allows_what_it_stands_for_and_nothing_else(self) -> None:
        for scopes, allowed in (
            ((), {"submit_event"}),
            (("org:ci", "project:admin", "event"), {"submit_event"}),
            (("event:read",), {"submit_event", "list_project_issues", "list_issue_events"}),
            (("event:write",), ACTIONS.keys()),
            (("event:admin",), ACTIONS.keys()),
            (("event:read", "event:write"), ACTIONS.keys()),
            (None, ACTIONS.keys()),
        ):
            with self.subTest(scopes):
                report = REPORT._replace(scopes=scopes)
                self.assertEqual({action for action in ACTIONS if report.allows(action)}, {*allowed})
                self.assertIs(report.is_useless, {*allowed} == {"submit_event"})
                self.assertEqual(report.output()["actions"], {action: action in allowed for action in ACTIONS})

    def test_the_report_for_a_person_has_a_line_for_each_fact(self) -> None:
        self.assertEqual(
            REPORT.lines(),
            [
                "Server: https://sentry.example.com, Sentry 24.1.0",
                "Token: user token",
                "User: user1@example.com",
                "Scopes: event:read, event:write",
                "Projects: acme/pump-station",
                "submit_event: allowed, by the DSN of the event alone",
                "list_project_issues: allowed",
                "list_issue_events: allowed",
                "update_issue: allowed",
            ],
        )

    def test_the_report_for_a_person_tells_what_is_not_known_from_what_is_not_there(self) -> None:
        unknown = REPORT._replace(version="", user="", scopes=None, projects=None).lines()
        self.assertIn("Server: https://sentry.example.com, its version not told", unknown)
        self.assertIn("User: none", unknown)
        self.assertIn("Scopes: not told by the server", unknown)
        self.assertIn("Projects: not told, the token may not list them", unknown)
        self.assertIn("update_issue: not known, the server does not tell the scopes", unknown)
        nothing = REPORT._replace(scopes=(), projects=()).lines()
        self.assertIn("Scopes: none", nothing)
        self.assertIn("Projects: none", nothing)
        self.assertIn("list_issue_events: NOT allowed, the token needs the scope event:read", nothing)
        self.assertIn("update_issue: NOT allowed, the token needs the scope event:write", nothing)
        self.assertIn("submit_event: allowed, by the DSN of the event alone", nothing)

    def test_the_report_for_a_program_leaves_out_what_is_not_known(self) -> None:
        self.assertEqual(
            REPORT.output(),
            {
                "success": True,
                "server": "https://sentry.example.com",
                "version": "Sentry 24.1.0",
                "token": "user token",
                "user": "user1@example.com",
                "scopes": ["event:read", "event:write"],
                "projects": ["acme/pump-station"],
                "actions": dict.fromkeys(ACTIONS, True),
            },
        )
        unknown = REPORT._replace(version="", user="", scopes=None, projects=None).output()
        self.assertEqual(unknown.keys(), {"success", "server", "token", "actions"})
        nothing = REPORT._replace(scopes=(), projects=()).output()
        self.assertEqual((nothing["scopes"], nothing["projects"]), ([], []))

    def test_no_server_writes_a_line_of_its_own_into_the_report(self) -> None:
        forged = "a\nupdate_issue: allowed\x1b[2J\u2028"
        for report in (
            REPORT._replace(user=forged),
            REPORT._replace(scopes=(forged,)),
            REPORT._replace(projects=(forged,)),
        ):
            with self.subTest(report):
                for line in report.lines():
                    self.assertTrue(line.isprintable(), line)

    def test_long_lists_are_shown_in_part(self) -> None:
        names = tuple(f"p{number}" for number in range(MOST_LISTED + 3))
        for count, text in (
            (0, "none"),
            (1, "p0"),
            (MOST_LISTED, ", ".join(names[:MOST_LISTED])),
            (MOST_LISTED + 1, f"{', '.join(names[:MOST_LISTED])} and 1 more"),
            (MOST_LISTED + 3, f"{', '.join(names[:MOST_LISTED])} and 3 more"),
        ):
            with self.subTest(count):
                self.assertEqual(listed(names[:count]), text)


class AnswerTest(unittest.TestCase):
    def test_scopes_are_known_only_where_the_server_lists_them(self) -> None:
        cases: tuple[tuple[Any, Any], ...] = (
            ({"auth": {"scopes": ["event:write", "event:read"]}}, ("event:read", "event:write")),
            ({"auth": {"scopes": []}}, ()),
            ({"auth": {"scopes": ["a", 7, None]}}, ("7", "None", "a")),
            ({"auth": {"scopes": None}}, None),
            ({"auth": {"scopes": "event:read"}}, None),
            ({"auth": {}}, None),
            ({"auth": None}, None),
            ({"auth": ["scopes"]}, None),
            ({}, None),
        )
        for identity, scopes in cases:
            with self.subTest(identity):
                self.assertEqual(scopes_of(identity), scopes)

    def test_a_user_is_named_by_what_says_most(self) -> None:
        everything = {"id": 1, "name": "User One", "username": "user1", "email": "user1@example.com"}
        cases: tuple[tuple[Any, str], ...] = (
            (everything, "user1@example.com"),
            ({**everything, "email": ""}, "user1"),
            ({"id": 1, "name": "User One", "email": None}, "User One"),
            ({"id": 1}, "1"),
            ({}, ""),
            (None, ""),
            ("user1", ""),
            ([everything], ""),
        )
        for user, name in cases:
            with self.subTest(user):
                self.assertEqual(user_of({"user": user}), name)
        self.assertEqual(user_of({}), "")

    def test_a_project_is_named_with_its_organization_where_that_is_told(self) -> None:
        cases: tuple[tuple[Any, str], ...] = (
            ({"slug": "acme", "name": "Acme"}, "acme/pump"),
            ({"slug": ""}, "pump"),
            ({}, "pump"),
            (None, "pump"),
            ("acme", "pump"),
        )
        for organization, name in cases:
            with self.subTest(organization):
                project = {"id": "1", "slug": "pump", "organization": organization}
                self.assertEqual(project_names([project]), (name,))
        self.assertEqual(project_names([{"slug": "pump"}, {"id": 1}, {"slug": 7}, "x", None]), ("pump",))


class VersionTest(unittest.TestCase):
    def test_it_is_read_from_a_configuration_of_its_own_and_from_within_a_page(self) -> None:
        for page, version in (
            ('{"version": {"current": "24.1.0", "latest": "24.2.0"}}', "24.1.0"),
            ('<script>window.__initialData = {"a": {}, "version":{"current":"9.1.2","build":"b"}};</script>', "9.1.2"),
            (
                '{"version": {"build": "0a", "latest": "24.2.0",\n  "current":  "24.1.0.dev0+x-1_2"}}',
                "24.1.0.dev0+x-1_2",
            ),
        ):
            with self.subTest(page):
                self.assertEqual(version_in(page), version)

    def test_a_page_without_it_tells_none(self) -> None:
        for page in (
            "",
            "<html><title>Login</title>",
            '{"version": "24.1.0"}',
            '{"version": null, "current": "1"}',
            '{"version": {"latest": "24.2.0"}, "x": {"current": "1"}}',
            '{"version": {"current": ""}}',
            '{"version": {"current": null}}',
            '{"version": {"current": "<script>"}}',
            '{"version": {"current": "1\\n2"}}',
            f'{{"version": {{"current": "{"1" * 41}"}}}}',
        ):
            with self.subTest(page):
                self.assertEqual(version_in(page), "")

    def test_looking_for_it_takes_time_in_proportion_to_the_size_of_the_page(self) -> None:
        for page in ('"version":{' * 50_000, '"version":' + " " * 10**5, '"version":{' + '"current": ' * 50_000):
            with self.subTest(page[:20]):
                started = time.process_time()
                version_in(page)
                self.assertLess(time.process_time() - started, 0.5)
