"""The trigger New Issue against the sandbox, and against servers that fail or lack what Sentry has."""

import json
import os
import time
import unittest
from http.server import BaseHTTPRequestHandler
from typing import Any

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.triggers import NewIssue
from testing.fake_clock import FakeClock
from testing.plugin import Json
from testing.scripted_server import LAST_PAGE, Answer, ScriptedServer
from testing.support import connection_to, run_action

from .step_case import found
from .trigger_case import SandboxTriggerCase, TriggerCase, iso


class NewIssueCase(SandboxTriggerCase):
    def update(self, title: str, **changes: Any) -> None:
        run_action("update_issue", self.actions, {"issue_id": self.issue(title)["id"], **changes})

    def watch(self, *actions: Any, **params: Any) -> list[str]:
        return self.run_here("new_issue", {"query": f"test:{self.tag}", **params}, *actions)

    @property
    def sent(self) -> list[tuple[str, str]]:
        return [(output["reason"], output["issue"]["title"]) for output in self.orchestrator.outputs]


class TestNewIssue(NewIssueCase):
    def test_each_new_issue_is_sent_once_with_its_summary(self) -> None:
        self.submit("Old")
        log = self.watch(lambda: self.submit("Pump P-2 stopped"), lambda: self.submit("Pump P-2 stopped"), str)
        self.assertEqual(self.sent, [("new", "Pump P-2 stopped")])
        output = self.orchestrator.outputs[0]
        self.assertIn("**Pump P-2 stopped**", output["summary"])
        self.assertEqual(output["issue"]["tags"][0]["key"], "level")
        self.assertIn("Started without an earlier state: sends new issues from now on.", log)

    def test_a_restart_sends_what_appeared_meanwhile(self) -> None:
        self.watch(lambda: self.submit("First"))
        self.submit("Second")
        self.watch(str)
        self.watch(str)
        self.assertEqual(self.sent, [("new", "First"), ("new", "Second")])
        self.assertEqual(os.listdir(self.folder / "CACHE_DIR"), ["t-1.json"])

    def test_lookback(self) -> None:
        self.submit("Too old", timestamp=time.time() - 7200)
        self.submit("Recent", timestamp=time.time() - 1800)
        self.watch(str, lookback=3600)
        self.assertEqual(self.sent, [("new", "Recent")])

    def test_projects_and_environments(self) -> None:
        def submit() -> None:
            self.submit("In production", environment="production")
            self.submit("In staging", environment="staging")

        submit()
        self.tag += "-2"
        self.watch(submit, projects=["pump-station"], environments=["production"])
        self.assertEqual(self.sent, [("new", "In production")])

    def test_what_appears_before_the_first_poll_succeeds_is_sent(self) -> None:
        # Sentry refuses an environment that has no events yet.
        log = self.watch(lambda: self.submit("First", environment="future"), environments=["future"])
        self.assertIn("The poll failed", log[0])
        self.assertEqual(self.sent, [("new", "First")])

    def test_an_issue_that_was_deleted_meanwhile_is_skipped(self) -> None:
        def submit_and_delete() -> None:
            self.submit("Deleted")
            issue_id = self.issue("Deleted")["id"]
            deleted.append(issue_id)
            self.orchestrator.refuse = 1

        def delete() -> None:
            run_action("delete_issues", self.actions, {"organization_slug": "acme", "issue_ids": deleted, "confirm": 1})

        deleted: list[str] = []
        log = self.watch(submit_and_delete, delete, lambda: self.submit("Next"), *[str] * 10)
        self.assertEqual(self.sent, [("new", "Next")])
        self.assertIn("Not sent, because it no longer exists", "\n".join(log))

    def test_a_refused_message_is_sent_again(self) -> None:
        def submit() -> None:
            self.submit("First")
            self.submit("Second", timestamp=time.time() + 1)
            self.orchestrator.refuse = 2

        log = self.watch(submit, str, str, str, str)
        self.assertEqual(self.sent, [("new", "First"), ("new", "Second")])
        self.assertIn("The orchestrator did not accept the message", "\n".join(log))

    def test_an_issue_whose_first_event_arrives_late(self) -> None:
        def late() -> None:
            self.submit("Late", timestamp=time.time() - 86400)

        # It is not on the first page of the issues, so it is found within an hour.
        for number in range(110):
            self.submit(f"Old {number}", timestamp=time.time() - 7200 + number)
        self.watch(late, *[str] * 62)
        self.assertEqual(self.sent, [("new", "Late")])

    def test_an_issue_that_matches_the_query_later_is_not_new(self) -> None:
        self.submit("Old", level="info")
        self.watch(lambda: self.submit("Old", level="fatal"), str, query=f"test:{self.tag} level:fatal")
        self.assertEqual(self.sent, [])


class TestChangedIssues(NewIssueCase):
    def test_a_regression(self) -> None:
        self.submit("Old")
        self.watch(
            lambda: self.update("Old", status="resolved"),
            lambda: self.submit("Old"),
            lambda: self.submit("Old"),
            lambda: self.update("Old", status="resolved"),
            lambda: self.submit("Old"),
            events=["regressed"],
        )
        self.assertEqual(self.sent, [("regressed", "Old")] * 2)

    def test_an_issue_that_is_reopened_without_a_new_event(self) -> None:
        self.submit("Old")
        self.watch(
            lambda: self.update("Old", status="resolved"),
            lambda: self.update("Old", status="unresolved"),
            str,
            events=["reopened", "regressed"],
        )
        self.assertEqual(self.sent, [("reopened", "Old")])

    def test_an_old_issue_that_is_reopened(self) -> None:
        # More than a page of issues have later events.
        self.submit("Old", timestamp=time.time() - 86400)
        self.update("Old", status="resolved")
        for number in range(110):
            self.submit(f"Newer {number}", timestamp=time.time() - 7200 + number)
        self.watch(str, lambda: self.update("Old", status="unresolved"), *[str] * 10, events=["reopened"])
        self.assertEqual(self.sent, [("reopened", "Old")])

    def test_an_issue_that_is_reopened_while_the_trigger_is_down(self) -> None:
        self.submit("Old", timestamp=time.time() - 7200)
        self.update("Old", status="resolved")
        self.watch(str, events=["reopened"])
        self.update("Old", status="unresolved")
        self.watch(str, events=["reopened"])
        self.watch(str, events=["reopened"])
        self.assertEqual(self.sent, [("reopened", "Old")])

    def test_an_archived_issue_that_escalates(self) -> None:
        self.submit("Old")
        self.update("Old", status="ignored", ignoreCount=2)
        self.watch(*[lambda: self.submit("Old")] * 4, events=["escalating", "regressed"])
        self.assertEqual(self.sent, [("escalating", "Old")])

    def test_changes_during_an_outage(self) -> None:
        self.submit("Old")
        self.watch(str, events=["new", "regressed"])
        self.update("Old", status="resolved")
        FakeClock.sleep(self.clock, 7200)
        self.submit("Old")
        # Resolved again, so the change only is in the activity.
        self.update("Old", status="resolved")
        self.watch(str, str, events=["new", "regressed"])
        self.assertEqual(self.sent, [("regressed", "Old")])

    def test_a_regression_that_is_resolved_again_before_the_next_poll(self) -> None:
        def regress() -> None:
            self.submit("Old", timestamp=time.time() + 1)
            self.update("Old", status="resolved")

        self.submit("Old")
        self.update("Old", status="resolved")
        self.watch(str, regress, str, events=["regressed"])
        self.assertEqual(self.sent, [("regressed", "Old")])

    def test_two_changes_between_two_polls(self) -> None:
        def twice() -> None:
            for _ in range(2):
                self.update("Old", status="resolved")
                self.submit("Old")

        self.submit("Old")
        self.watch(twice, str, events=["regressed"])
        self.assertEqual(self.sent, [("regressed", "Old")] * 2)

    def test_other_events_send_no_earlier_changes(self) -> None:
        self.submit("Old")
        self.watch(str, events=["regressed"])
        self.update("Old", status="resolved")
        self.update("Old", status="unresolved")
        self.sandbox.store.run("UPDATE activity SET created = created - 100")
        self.watch(str, events=["regressed", "reopened"])
        self.assertEqual(self.sent, [])

    def test_earlier_changes_are_not_sent(self) -> None:
        self.submit("Old")
        self.update("Old", status="resolved")
        self.submit("Old")
        self.sandbox.store.run("UPDATE activity SET created = created - 100")
        self.watch(lambda: self.submit("Old"), str, events=["regressed", "reopened", "escalating"])
        self.assertEqual(self.sent, [])

    def test_a_change_is_sent_although_the_first_attempt_failed(self) -> None:
        def regress() -> None:
            self.update("Old", status="resolved")
            self.submit("Old")
            self.orchestrator.refuse = 1

        self.submit("Old")
        self.watch(regress, str, str, events=["regressed"])
        self.assertEqual(self.sent, [("regressed", "Old")])


class TestState(NewIssueCase):
    def test_a_damaged_state_is_a_start_with_a_warning(self) -> None:
        self.watch(str)
        valid = json.loads(self.state_file.read_text())
        damaged = ("", "{", "[]", json.dumps({**valid, "version": 0}), json.dumps({**valid, "checkpoints": {"a": 1}}))
        for text in (*damaged, json.dumps({**valid, "checkpoints": []}), json.dumps({"version": 1})):
            with self.subTest(text[:30]):
                self.state_file.write_text(text)
                log = self.watch(str)
                self.assertIn("The state of the earlier run is not used", "\n".join(log))
                self.assertEqual(json.loads(self.state_file.read_text()).keys(), valid.keys())
        self.assertEqual(self.sent, [])

    def test_the_log_between_two_messages_is_bounded(self) -> None:
        self.log_stream.write("line\n" * 100_000 + "the last line\n")
        self.watch(str)
        text = self.log_stream.getvalue()
        self.assertLess(len(text), 64 * 1024)
        self.assertTrue(text.endswith("the last line\n"))

    def test_another_query_starts_without_the_state_and_another_interval_does_not(self) -> None:
        self.watch(str)
        self.submit("New")
        log = self.watch(str, query=f"test:{self.tag} level:error")
        self.assertIn("the connection or the inputs of the trigger changed", "\n".join(log))
        self.assertEqual(self.sent, [])
        self.watch(str)
        self.submit("Newer")
        self.watch(str, interval=61, lookback=5, events=["new", "regressed"])
        self.assertEqual(self.sent, [("new", "Newer")])

    def test_without_a_trigger_id_nothing_is_stored(self) -> None:
        self.trigger_id = None
        log = self.watch(lambda: self.submit("New"))
        self.assertIn("no triggerId", log[0])
        self.assertEqual((self.sent, os.listdir(self.folder / "CACHE_DIR")), ([("new", "New")], []))

    def test_a_trigger_id_cannot_leave_the_cache_folder(self) -> None:
        self.trigger_id = "../../x"
        log = self.watch(str)
        self.assertIn("is not used", log[0])
        self.assertEqual(sorted(os.listdir(self.folder)), ["CACHE_DIR", "FLAG_DIR"])


class TestInvalidInputs(TriggerCase):
    def test_they_are_refused_at_the_start(self) -> None:
        inputs: tuple[tuple[Json, str], ...] = (
            ({}, "organization_slug' is empty or missing"),
            ({"organization_slug": ".."}, "organization_slug is invalid"),
            ({"organization_slug": "acme", "interval": 9}, "interval is out of range: 9 seconds"),
            ({"organization_slug": "acme", "lookback": -1}, "lookback is out of range"),
            ({"organization_slug": "acme", "lookback": 8_000_000}, "lookback is out of range"),
            ({"organization_slug": "acme", "events": ["new", "deleted"]}, "unknown values: deleted"),
        )
        for params, problem in inputs:
            with self.subTest(params), self.assertRaises(PluginException) as raised:
                self.start(params)
            self.assertIn(problem, str(raised.exception.cause))

    def start(self, params: Json) -> None:
        trigger = NewIssue()
        trigger.connection = connection_to("http://127.0.0.1:9")
        trigger.run(params)


def row(number: int, seconds: float) -> Json:
    return {"id": str(number), "title": f"Issue {number}", "firstSeen": iso(seconds), "lastSeen": iso(seconds)}


PAGE = Answer(body=b"[]", headers=LAST_PAGE)
SEARCH = ("GET", "/api/0/organizations/acme/issues/")
TIME = ("GET", "/api/0/", Answer(body=b"{}"))


class TestFailures(TriggerCase):
    def watch(self, server: ScriptedServer, *actions: Any, token: str = "a-token") -> list[str]:
        return self.run_trigger("new_issue", {"organization_slug": "acme"}, *actions, url=server.base, token=token)

    def test_the_time_is_that_of_the_server(self) -> None:
        def dated(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(
                b"HTTP/1.1 200 OK\r\nDate: Sat, 01 Aug 2026 12:00:00 GMT\r\nContent-Length: 2\r\n\r\n{}"
            )

        with ScriptedServer(("GET", "/api/0/", Answer(play=dated)), (*SEARCH, PAGE), (*SEARCH, PAGE)) as s:
            self.watch(s)
        self.assertEqual(
            json.loads(self.state_file.read_text())["checkpoints"]["new_issues"]["latest"], 1785585600000000
        )
        self.assertEqual(dict(s.received[1].params)["sort"], "new")
        self.assertEqual(dict(s.received[1].params)["query"], "")

    def test_a_row_without_a_time_does_not_end_the_list(self) -> None:
        next_page = {"Link": '<http://h.example/>; rel="next"; results="true"; cursor="0:100:0"'}
        rows = [row(number, 30) for number in range(10, 30)]
        rows += [{"id": "9", "firstSeen": None}, row(8, -900_000)]
        existing = found([row(50, -1_000_000)])
        script = (
            *(TIME, (*SEARCH, existing), (*SEARCH, existing)),
            *((*SEARCH, Answer(body=json.dumps(rows).encode(), headers=next_page)), (*SEARCH, found([row(31, 20)]))),
            ("GET", "/api/0/organizations/acme/issues/31/", found(row(31, 20))),
            ("GET", "/api/0/organizations/acme/issues/31/events/latest/", Answer(404)),
            ("GET", "/api/0/organizations/acme/issues/10/", Answer(401)),
        )
        with ScriptedServer(*script) as server:
            self.watch(server, str)
        self.assertEqual(self.orchestrator.outputs[0]["issue"]["id"], "31")

    def test_a_server_without_a_search_is_read_by_project(self) -> None:
        projects = [{"slug": "open"}, {"slug": "closed"}, {"slug": "secret", "hasAccess": False}]
        path = "/api/0/projects/acme/open/issues/"
        closed = ("GET", "/api/0/projects/acme/closed/issues/", Answer(403, b'{"detail": "No permission"}'))
        listed = ("GET", "/api/0/organizations/acme/projects/", found(projects))
        missing = ("GET", "/api/0/organizations/acme/issues/0/", Answer(404))
        exists = ("GET", "/api/0/projects/acme/open/", found(projects[0]))
        empty = (listed, ("GET", path, PAGE), exists, closed)
        script = (
            *(TIME, (*SEARCH, Answer(404)), missing),
            *empty,
            *((*SEARCH, Answer(404)), missing),
            *empty,
            *(listed, ("GET", path, found([row(5, 20)])), closed),
            ("GET", "/api/0/organizations/acme/issues/5/", Answer(404)),
            ("GET", "/api/0/issues/5/", found({"id": "5", "title": "Pump"})),
            ("GET", "/api/0/issues/5/events/latest/", found({"eventID": "1"})),
        )
        with ScriptedServer(*script) as server:
            self.watch(server, str)
        self.assertEqual([output["issue"]["title"] for output in self.orchestrator.outputs], ["Pump"])
        self.assertEqual(dict(server.received[4].params)["sort"], "new")

    def test_an_issue_that_the_server_cannot_show_is_sent_in_a_short_form(self) -> None:
        failure = ("GET", "/api/0/organizations/acme/issues/5/", Answer(500, b'{"detail": "Internal Error"}'))
        page = (*SEARCH, found([row(5, 20)]))
        with ScriptedServer(TIME, (*SEARCH, PAGE), (*SEARCH, PAGE), *(page, failure) * 3) as server:
            self.watch(server, *[str] * 4)
        output = self.orchestrator.outputs[0]
        self.assertEqual((output["issue"], output["reason"]), ({"id": "5"}, "new"))
        self.assertIn("The details of this issue are missing", output["summary"])

    def test_an_issue_that_was_merged_meanwhile_is_skipped(self) -> None:
        remaining = ("GET", "/api/0/organizations/acme/issues/5/", found({"id": "4"}))
        event = ("GET", "/api/0/organizations/acme/issues/5/events/latest/", found({"eventID": "1"}))
        page = (*SEARCH, found([row(5, 20)]))
        with ScriptedServer(TIME, (*SEARCH, PAGE), (*SEARCH, PAGE), *(page, remaining, event) * 3) as server:
            log = self.watch(server, *[str] * 4)
        self.assertEqual(self.orchestrator.outputs, [])
        self.assertIn("no longer exists", "\n".join(log))

    def test_a_project_that_fails_at_the_start_sends_nothing_old(self) -> None:
        # As far as Sentry 9: each project is read on its own.
        projects = [{"slug": "a"}, {"slug": "b"}]
        search = ((*SEARCH, Answer(404)), ("GET", "/api/0/organizations/acme/issues/0/", Answer(404)))
        listed = ("GET", "/api/0/organizations/acme/projects/", found(projects))
        path_a, path_b = (f"/api/0/projects/acme/{slug}/issues/" for slug in "ab")
        # After a 500, the search is asked whether the sort is the cause.
        broken = (("GET", path_a, Answer(500, b'{"detail": "Internal Error"}')), (*SEARCH, Answer(404)))
        old = found([row(3, -90_000), row(2, -100_000)])
        good = (listed, ("GET", path_a, old), ("GET", path_b, found([row(4, -80_000)])))
        with ScriptedServer(TIME, *search, listed, *broken, *search, *good, *search, *good, *good) as server:
            log = self.watch(server, str, str)
        self.assertEqual(self.orchestrator.outputs, [])
        self.assertIn("The poll failed", log[0])

    def test_a_revoked_token_is_logged_without_the_token(self) -> None:
        token = "sntryu_" + "0123456789abcdef" * 4
        refusal = Answer(401, json.dumps({"detail": f"Invalid token {token}"}).encode())
        with ScriptedServer(("GET", "/api/0/", refusal), *[(*SEARCH, refusal)] * 3) as server:
            log = self.watch(server, str, str, str, token=token)
        failures = [line for line in log if "The poll failed" in line]
        self.assertEqual(len(failures), 1)
        self.assertIn("did not accept the token", failures[0])
        self.assertNotIn(token, "\n".join(log))


if __name__ == "__main__":
    unittest.main()
