"""Who may do what: each kind of token, through the connection test and the actions."""

from sandbox.plugin import Json, connection_test_message, run_plugin

from .case import RUN, E2ECase

NOBODYS_TOKEN = "0123456789abcdef" * 4


class TestConnectionTest(E2ECase):
    def answer(self, token: str) -> Json:
        return self.server.test_connection(connection_test_message(self.target.connection(token)))

    def test_tokens_that_the_server_accepts(self) -> None:
        self.need("TOKEN_READONLY", "TOKEN_USELESS")
        for token in ("TOKEN", "TOKEN_READONLY", "TOKEN_USELESS"):
            self.assertEqual(self.answer(token)["status"], "ok")

    def test_by_stdin(self) -> None:
        answer = run_plugin("test", connection_test_message(self.target.connection()))
        self.assertEqual((answer["status"], answer["output"]), ("ok", {"success": True}))

    def test_a_token_of_nobody(self) -> None:
        self.assertIn("did not accept the token", self.answer(NOBODYS_TOKEN)["exception"]["cause"])

    def test_a_token_that_has_expired(self) -> None:
        self.need("TOKEN_EXPIRED")
        refusal = self.answer("TOKEN_EXPIRED")["exception"]
        self.assertIn("did not accept the token", refusal["cause"])
        self.assertIn("expired", refusal["data"])

    def test_a_url_that_is_not_the_base_of_the_server(self) -> None:
        connection = {**self.target.connection(), "url": f"{self.target['URL'].rstrip('/')}/{self.target['ORG']}"}
        answer = self.server.test_connection(connection_test_message(connection))
        self.assertIn("not the base URL of a Sentry server", answer["exception"]["cause"])


class TestAccess(E2ECase):
    def list_params(self) -> Json:
        return {"organization_slug": self.target["ORG"], "project_slug": self.target["PROJECT"], "limit": 1}

    def test_a_token_of_nobody_or_expired_can_do_nothing(self) -> None:
        self.need("TOKEN_EXPIRED")
        for token in (NOBODYS_TOKEN, "TOKEN_EXPIRED"):
            refusal = self.failure("list_project_issues", self.list_params(), token)
            self.assertIn("did not accept the token (401)", refusal["cause"])

    def test_a_read_only_token_lists_but_does_not_update(self) -> None:
        self.need("TOKEN_READONLY")
        issue = self.new_issue("read-only")
        self.assertTrue(self.step("list_project_issues", self.list_params(), "TOKEN_READONLY")["issues"])
        self.assertTrue(self.step("list_issue_events", {"issue_id": issue["id"]}, "TOKEN_READONLY")["events"])
        refusal = self.failure("update_issue", {"issue_id": issue["id"], "status": "resolved"}, "TOKEN_READONLY")
        self.assertIn("(403)", refusal["cause"])
        self.assertIn("event:write", refusal["assistance"])
        self.assertEqual(self.issue_of("read-only")["status"], "unresolved")

    def test_a_token_without_the_scope_is_told_which_one(self) -> None:
        self.need("TOKEN_USELESS")
        issue = self.new_issue("no-scope")
        for name, params, scope in (
            ("list_project_issues", self.list_params(), "event:read"),
            ("list_issue_events", {"issue_id": issue["id"]}, "event:read"),
            ("update_issue", {"issue_id": issue["id"], "hasSeen": True}, "event:write"),
        ):
            refusal = self.failure(name, params, "TOKEN_USELESS")
            self.assertIn("(403)", refusal["cause"])
            self.assertIn(scope, refusal["assistance"])

    def test_an_issue_of_another_organization_stays_closed(self) -> None:
        """Its number is not told to us; a server that counts issues puts it between two of ours."""
        self.need("DSN_ELSEWHERE")
        first = int(self.new_issue("before-elsewhere")["id"])
        event = {"message": f"elsewhere {RUN}", "fingerprint": [RUN, "elsewhere"]}
        self.step("submit_event", {"dsn": self.target["DSN_ELSEWHERE"], "event_json": event})
        last = int(self.new_issue("after-elsewhere")["id"])
        self.assertEqual(last - first, 2, "the server does not number issues one by one")
        for name, more in (("list_issue_events", {}), ("update_issue", {"status": "resolved"})):
            refusal = self.failure(name, {"issue_id": str(first + 1), **more})
            self.assertIn("(403)", refusal["cause"])
