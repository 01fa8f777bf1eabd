import time
import unittest
from typing import Any

from komand_sentry.util.sentry.auth_token import token_type
from komand_sentry.util.sentry.connection_check import ConnectionReport, scopes_of, user_of, version_in
from komand_sentry.util.sentry.scopes import (
    ACTION_SCOPES,
    is_allowed,
    is_useless,
    missing_wait_scopes,
    recommended_scope,
)
from testing.support import ACTIONS

READERS = (
    "list_project_issues",
    "list_issue_events",
    "search_issues",
    "get_issue",
    "get_event",
    "list_tag_values",
    "list_comments",
)
WRITERS = ("update_issue", "update_issues", "merge_issues", "add_comment")
DIRECTORY = ("list_projects", "list_members", "list_teams")
REPORT = ConnectionReport(
    server="https://sentry.example.com",
    version="Sentry 24.1.0",
    token=token_type("sntryu_0123"),
    user="user1@example.com",
    scopes=("event:read", "event:write"),
    projects=("acme/pump-station",),
)


class ScopesTest(unittest.TestCase):
    def test_every_action_has_its_scopes(self) -> None:
        self.assertEqual(ACTION_SCOPES.keys(), ACTIONS.keys())

    def test_scope_allows_its_actions_only(self) -> None:
        for scopes, allowed in (
            ((), {"submit_event"}),
            (("org:ci", "project:admin", "event"), {"submit_event"}),
            (("team:read", "team:write", "team:admin"), {"submit_event"}),
            (("event:read",), {"submit_event", *READERS}),
            (("event:write",), {"submit_event", *READERS, *WRITERS}),
            (("event:read", "event:write"), {"submit_event", *READERS, *WRITERS}),
            (("event:admin",), {"submit_event", *READERS, *WRITERS, "delete_issues"}),
            (("org:read",), {"submit_event", *DIRECTORY}),
            (("org:admin",), {"submit_event", *DIRECTORY}),
            (("member:read",), {"submit_event", "list_members"}),
            (("event:admin", "org:read"), ACTIONS.keys()),
            (None, ACTIONS.keys()),
        ):
            with self.subTest(scopes):
                self.assertEqual({action for action in ACTIONS if is_allowed(action, scopes)}, {*allowed})
                self.assertIs(is_useless(scopes), {*allowed} == {"submit_event"})
                output = REPORT._replace(scopes=scopes).output()
                self.assertEqual(output["actions"], {action: action in allowed for action in ACTIONS})

    def test_recommended_scope_allows_the_action(self) -> None:
        for action, scope in (
            ("submit_event", ""),
            *((action, "event:read") for action in READERS),
            *((action, "event:write") for action in WRITERS),
            ("delete_issues", "event:admin"),
            ("list_projects", "org:read"),
            ("list_members", "member:read"),
            ("list_teams", "org:read"),
        ):
            with self.subTest(action):
                self.assertEqual(recommended_scope(action), scope)
                self.assertTrue(is_allowed(action, (scope,)))

    def test_waiting_for_an_issue_needs_the_token(self) -> None:
        for scopes, missing in (
            (None, ()),
            ((), ("org:read", "event:read")),
            (("org:read",), ("event:read",)),
            (("event:write",), ("org:read",)),
            (("org:admin", "event:admin"), ()),
        ):
            with self.subTest(scopes):
                self.assertEqual(missing_wait_scopes(scopes), missing)


class ConnectionReportTest(unittest.TestCase):
    def test_log_has_a_line_for_each_fact(self) -> None:
        self.assertEqual(
            REPORT.lines(),
            [
                "Server: https://sentry.example.com, Sentry 24.1.0",
                "Token: user token",
                "User: user1@example.com",
                "Scopes: event:read, event:write",
                "Projects: acme/pump-station",
                "submit_event: allowed by the DSN of the event, but wait_for_issue needs org:read",
                "list_project_issues: allowed",
                "list_issue_events: allowed",
                "update_issue: allowed",
                "search_issues: allowed",
                "get_issue: allowed",
                "get_event: allowed",
                "list_tag_values: allowed",
                "list_comments: allowed",
                "list_projects: NOT allowed, the token needs the scope org:read",
                "list_members: NOT allowed, the token needs the scope member:read",
                "list_teams: NOT allowed, the token needs the scope org:read",
                "update_issues: allowed",
                "merge_issues: allowed",
                "delete_issues: NOT allowed, the token needs the scope event:admin",
                "add_comment: allowed",
            ],
        )

    def test_log_distinguishes_unknown_from_none(self) -> None:
        unknown = REPORT._replace(version="", user="", scopes=None, projects=None).lines()
        self.assertIn("Server: https://sentry.example.com, version unknown", unknown)
        self.assertIn("User: none", unknown)
        self.assertIn("Scopes: unknown, the server does not list them", unknown)
        self.assertIn("Projects: unknown, the token may not list them", unknown)
        self.assertIn("update_issue: unknown, the server does not list the scopes", unknown)
        nothing = REPORT._replace(scopes=(), projects=()).lines()
        self.assertIn("Scopes: none", nothing)
        self.assertIn("Projects: none", nothing)
        self.assertIn("list_issue_events: NOT allowed, the token needs the scope event:read", nothing)
        self.assertIn("update_issue: NOT allowed, the token needs the scope event:write", nothing)
        self.assertIn(
            "submit_event: allowed by the DSN of the event, but wait_for_issue needs org:read and event:read", nothing
        )
        self.assertIn("submit_event: allowed by the DSN of the event", unknown)

    def test_output_omits_what_is_unknown(self) -> None:
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
                "actions": {action: action not in (*DIRECTORY, "delete_issues") for action in ACTIONS},
            },
        )
        unknown = REPORT._replace(version="", user="", scopes=None, projects=None).output()
        self.assertEqual(unknown.keys(), {"success", "server", "token", "actions"})
        nothing = REPORT._replace(scopes=(), projects=()).output()
        self.assertEqual((nothing["scopes"], nothing["projects"]), ([], []))

    def test_text_of_the_server_cannot_add_a_line(self) -> None:
        forged = "a\nupdate_issue: allowed\x1b[2J\u2028"
        for report in (
            REPORT._replace(user=forged),
            REPORT._replace(scopes=(forged,)),
            REPORT._replace(projects=(forged,)),
        ):
            with self.subTest(report):
                for line in report.lines():
                    self.assertTrue(line.isprintable(), line)


class IdentityTest(unittest.TestCase):
    def test_scopes_are_unknown_if_the_server_does_not_list_them(self) -> None:
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

    def test_user_is_named_by_the_most_specific_attribute(self) -> None:
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


class VersionTest(unittest.TestCase):
    def test_version_is_read_from_a_configuration_and_from_a_page(self) -> None:
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

    def test_page_without_a_version(self) -> None:
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

    def test_time_is_proportional_to_the_size_of_the_page(self) -> None:
        for page in ('"version":{' * 50_000, '"version":' + " " * 10**5, '"version":{' + '"current": ' * 50_000):
            with self.subTest(page[:20]):
                started = time.process_time()
                version_in(page)
                self.assertLess(time.process_time() - started, 0.5)
