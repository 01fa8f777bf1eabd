"""Permissions: each kind of token, with the connection test and the actions."""

from testing.plugin import Json, connection_test_message, run_plugin

from .case import RUN, E2ECase

UNKNOWN_TOKEN = "0123456789abcdef" * 4


class TestConnectionTest(E2ECase):
    def run_test(self, token: str) -> Json:
        return self.server.test_connection(connection_test_message(self.target.connection(token)))

    def test_it_reports_the_permissions_of_the_token(self) -> None:
        self.need("TOKEN_READONLY")
        for token, may_update in (("TOKEN", True), ("TOKEN_READONLY", False)):
            result = self.run_test(token)
            self.assertEqual(result["status"], "ok", result.get("error"))
            actions = result["output"]["actions"]
            self.assertTrue(actions["list_project_issues"] and actions["list_issue_events"] and actions["submit_event"])
            self.assertIs(actions["update_issue"], may_update)
            self.assertIn("event:read", result["output"]["scopes"])
            self.assertIn(f"update_issue: {'allowed' if may_update else 'NOT allowed'}", result["log"])

    def test_it_reports_server_version_user_and_projects(self) -> None:
        report = self.run_test("TOKEN")["output"]
        self.assertEqual(report["server"], self.target["URL"].rstrip("/"))
        self.assertIn(f"{self.target['ORG']}/{self.target['PROJECT']}", str(report["projects"]))
        if self.target.server == "sentry-9.1.2":
            self.assertEqual((report["version"], report["user"]), ("Sentry 9.1.2", self.target["USER_EMAIL"]))

    def test_a_token_that_allows_no_action_fails(self) -> None:
        self.need("TOKEN_USELESS")
        self.assertIn("allows no action that uses the token", self.run_test("TOKEN_USELESS")["exception"]["cause"])

    def test_by_stdin(self) -> None:
        result = run_plugin("test", connection_test_message(self.target.connection()))
        self.assertEqual((result["status"], result["output"]["success"]), ("ok", True))

    def test_an_unknown_token(self) -> None:
        self.assertIn("did not accept the token", self.run_test(UNKNOWN_TOKEN)["exception"]["cause"])

    def test_an_expired_token(self) -> None:
        self.need("TOKEN_EXPIRED")
        error = self.run_test("TOKEN_EXPIRED")["exception"]
        self.assertIn("did not accept the token", error["cause"])
        self.assertIn("expired", error["data"])

    def test_a_url_that_is_not_the_base_url(self) -> None:
        connection = {**self.target.connection(), "url": f"{self.target['URL'].rstrip('/')}/{self.target['ORG']}"}
        result = self.server.test_connection(connection_test_message(connection))
        self.assertIn("not the base URL of a Sentry server", result["exception"]["cause"])


class TestAccess(E2ECase):
    def list_params(self) -> Json:
        return {"organization_slug": self.target["ORG"], "project_slug": self.target["PROJECT"], "limit": 1}

    def test_an_unknown_or_expired_token_is_refused(self) -> None:
        self.need("TOKEN_EXPIRED")
        for token in (UNKNOWN_TOKEN, "TOKEN_EXPIRED"):
            error = self.failure("list_project_issues", self.list_params(), token)
            self.assertIn("did not accept the token (401)", error["cause"])

    def test_a_read_only_token_lists_but_does_not_update(self) -> None:
        self.need("TOKEN_READONLY")
        issue = self.new_issue("read-only")
        self.assertTrue(self.step("list_project_issues", self.list_params(), "TOKEN_READONLY")["issues"])
        self.assertTrue(self.step("list_issue_events", {"issue_id": issue["id"]}, "TOKEN_READONLY")["events"])
        error = self.failure("update_issue", {"issue_id": issue["id"], "status": "resolved"}, "TOKEN_READONLY")
        self.assertIn("(403)", error["cause"])
        self.assertIn("event:write", error["assistance"])
        self.assertEqual(self.issue_of("read-only")["status"], "unresolved")

    def test_a_missing_scope_is_named(self) -> None:
        self.need("TOKEN_USELESS")
        issue = self.new_issue("no-scope")
        for name, params, scope in (
            ("list_project_issues", self.list_params(), "event:read"),
            ("list_issue_events", {"issue_id": issue["id"]}, "event:read"),
            ("update_issue", {"issue_id": issue["id"], "hasSeen": True}, "event:write"),
        ):
            error = self.failure(name, params, "TOKEN_USELESS")
            self.assertIn("(403)", error["cause"])
            self.assertIn(scope, error["assistance"])

    def test_an_issue_of_another_organization_is_refused(self) -> None:
        """Its ID is unknown, but a server that counts issues assigns one between those of two other issues."""
        self.need("DSN_ELSEWHERE")
        first = int(self.new_issue("before-elsewhere")["id"])
        event = {"message": f"elsewhere {RUN}", "fingerprint": [RUN, "elsewhere"]}
        self.step("submit_event", {"dsn": self.target["DSN_ELSEWHERE"], "event_json": event})
        last = int(self.new_issue("after-elsewhere")["id"])
        self.assertEqual(last - first, 2, "the server does not assign consecutive IDs")
        for name, more in (("list_issue_events", {}), ("update_issue", {"status": "resolved"})):
            error = self.failure(name, {"issue_id": str(first + 1), **more})
            self.assertIn("(403)", error["cause"])
