"""The trigger New Event against the sandbox, and against servers that are older or show their records late."""

import json
import time
import unittest
from typing import Any

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.triggers import NewEvent
from testing.plugin import Json
from testing.scripted_server import LAST_PAGE, Answer, ScriptedServer
from testing.support import connection_to

from .step_case import found
from .trigger_case import SandboxTriggerCase, TriggerCase, iso


class TestNewEvent(SandboxTriggerCase):
    def watch(self, *actions: Any, **params: Any) -> list[str]:
        return self.run_here("new_event", params, *actions)

    @property
    def sent(self) -> list[str]:
        return [output["event"]["eventID"] for output in self.orchestrator.outputs]

    def test_the_events_of_an_issue(self) -> None:
        self.submit("Pump P-2 stopped")
        self.submitted.clear()
        issue_id = self.issue("Pump P-2 stopped")["id"]

        def submit() -> None:
            for _ in range(3):
                self.submit("Pump P-2 stopped")
            self.submit("Another issue")
            self.submitted.pop()

        self.watch(submit, lambda: self.submit("Pump P-2 stopped"), str, issue_id=issue_id)
        self.assertEqual(sorted(self.sent), sorted(self.submitted))
        output = self.orchestrator.outputs[0]
        self.assertEqual((output["issue_id"], output["details"]["message"]), (issue_id, "Pump P-2 stopped"))
        self.assertIn("**Pump P-2 stopped**", output["summary"])

    def test_the_events_of_a_project_by_query(self) -> None:
        def submit() -> None:
            for title in ("First", "Second", "First"):
                self.submit(title, level="fatal")
            self.submit("Not fatal", level="info")
            self.submitted.pop()

        query = f"test:{self.tag} level:fatal"
        self.submit("First", level="fatal")
        self.submitted.clear()
        self.watch(submit, str, lambda: self.submit("Second", level="fatal"), project_slug="pump-station", query=query)
        self.assertEqual(sorted(self.sent), sorted(self.submitted))
        self.assertEqual(len(self.sent), 4)

    def test_a_restart_and_hundreds_of_events_of_a_few_seconds(self) -> None:
        self.submit("Burst")
        self.submitted.clear()
        issue_id = self.issue("Burst")["id"]
        self.watch(str, issue_id=issue_id)
        now = time.time()
        for number in range(240):
            self.submit("Burst", timestamp=now + number / 80)
        self.watch(str, issue_id=issue_id)
        self.watch(str, issue_id=issue_id)
        self.assertEqual(sorted(self.sent), sorted(self.submitted))
        times = [output["event"]["dateCreated"] for output in self.orchestrator.outputs]
        self.assertEqual(times, sorted(times))

    def test_an_environment(self) -> None:
        self.submit("Pump", environment="production")
        issue_id = self.issue("Pump")["id"]

        def submit() -> None:
            self.submit("Pump", environment="staging")
            self.submitted.clear()
            self.submit("Pump", environment="production")

        self.watch(submit, issue_id=issue_id, environment="production")
        self.assertEqual(self.sent, self.submitted)

    def test_an_unchanged_issue_costs_no_request_after_some_minutes(self) -> None:
        self.submit("Quiet")
        query = f"test:{self.tag}"
        self.sandbox.requests.clear()
        self.watch(*[str] * 10, project_slug="pump-station", query=query)
        reads = [request for request in self.sandbox.requests if request.path.endswith("/events/")]
        # The first poll reads it twice, to record what exists.
        self.assertIn(len(reads), (6, 7, 8))
        self.watch(lambda: self.submit("Quiet"), project_slug="pump-station", query=query)
        self.assertEqual(self.sent, self.submitted[1:])

    def test_more_than_a_hundred_events_of_one_second(self) -> None:
        def burst() -> None:
            for _ in range(130):
                self.submit("Burst", timestamp=now)

        # The issue is young: none of its events is older than the state.
        now = time.time()
        log = self.watch(burst, *[str] * 12, project_slug="pump-station", query=f"test:{self.tag}")
        self.assertEqual(sorted(self.sent), sorted(self.submitted))
        self.assertNotIn("cannot be read", "\n".join(log))


class TestInvalidInputs(unittest.TestCase):
    def test_they_are_refused_at_the_start(self) -> None:
        of_both = {"issue_id": "1", "project_slug": "p"}
        inputs: tuple[tuple[Json, str], ...] = (
            ({}, "Neither issue_id nor project_slug is set"),
            (of_both, "Both issue_id and project_slug are set"),
            ({"issue_id": "1", "query": "level:fatal"}, "query is set together with issue_id"),
            ({"issue_id": "1", "interval": 5}, "interval is out of range"),
        )
        for params, problem in inputs:
            with self.subTest(params), self.assertRaises(PluginException) as raised:
                trigger = NewEvent()
                trigger.connection = connection_to("http://127.0.0.1:9")
                trigger.run({"organization_slug": "acme", **params})
            self.assertIn(problem, str(raised.exception.cause))


ROOT = ("GET", "/api/0/", Answer(body=b"{}"))
EVENTS = ("GET", "/api/0/organizations/acme/issues/5/events/")
ISSUE = ("GET", "/api/0/organizations/acme/issues/5/")
FIRST, SECOND = "a" * 32, "b" * 32


def event(event_id: str, moment: float) -> Json:
    return {"eventID": event_id, "groupID": "5", "dateCreated": iso(moment - time.time())}


class TestServers(TriggerCase):
    def watch(self, server: ScriptedServer, *actions: Any) -> list[str]:
        return self.run_trigger("new_event", {"organization_slug": "acme", "issue_id": "5"}, *actions, url=server.base)

    def test_an_event_that_becomes_visible_late(self) -> None:
        now = time.time()
        old, late, new = event("c" * 32, now - 100), event(FIRST, now - 50), event(SECOND, now + 30)
        script = (
            ROOT,
            (*EVENTS, found([old])),
            (*EVENTS, found([old])),
            (*EVENTS, found([new, old])),
            (*ISSUE, found({"id": "5"})),
            ("GET", f"{EVENTS[1]}{SECOND}/", found(new)),
            (*EVENTS, found([new, late, old])),
            (*ISSUE, found({"id": "5"})),
            ("GET", f"{EVENTS[1]}{FIRST}/", found(late)),
            (*EVENTS, found([new, late, old])),
        )
        with ScriptedServer(*script) as server:
            self.watch(server, str, str, str)
        self.assertEqual([output["event"]["eventID"] for output in self.orchestrator.outputs], [SECOND, FIRST])

    def test_an_event_that_no_longer_exists(self) -> None:
        new = event(FIRST, time.time() + 5)
        gone = Answer(404, json.dumps({"detail": "Event not found"}).encode())
        script = (
            ROOT,
            (*EVENTS, found([])),
            (*ISSUE, found({"id": "5"})),
            (*EVENTS, found([])),
            (*ISSUE, found({"id": "5"})),
            (*EVENTS, found([new])),
            (*ISSUE, found({"id": "5"})),
            ("GET", f"{EVENTS[1]}{FIRST}/", gone),
            *((*EVENTS, found([new])), (*ISSUE, found({"id": "5"})), ("GET", f"{EVENTS[1]}{FIRST}/", gone)) * 2,
            (*EVENTS, found([new])),
        )
        with ScriptedServer(*script) as server:
            log = self.watch(server, str, str, str, str, str)
        self.assertEqual(self.orchestrator.messages, [])
        self.assertIn("no longer exists", "\n".join(log))

    def test_an_event_that_becomes_visible_after_its_count(self) -> None:
        # The interval is longer than the time after which an unchanged issue is no longer read.
        created = iso(40)
        row = {"id": "5", "lastSeen": created, "count": "2"}
        issues = ("GET", "/api/0/organizations/acme/issues/", found([row]))
        script = (
            ROOT,
            ("GET", "/api/0/organizations/acme/issues/", found([])),
            ("GET", "/api/0/organizations/acme/issues/", found([])),
            *(issues, (*EVENTS, found([])), ("GET", ISSUE[1], found({"id": "5"}))),
            *(issues, (*EVENTS, found([event(FIRST, time.time() + 40)])), (*ISSUE, found({"id": "5"}))),
            ("GET", f"{EVENTS[1]}{FIRST}/", found(event(FIRST, time.time() + 40))),
        )
        params = {"organization_slug": "acme", "project_slug": "pump-station", "interval": 600}
        with ScriptedServer(*script) as server:
            self.run_trigger("new_event", params, *[str] * 29, url=server.base)
        self.assertEqual(len(self.orchestrator.messages), 1)

    def test_an_issue_whose_list_has_gaps_is_read_again(self) -> None:
        created = iso(40)
        issues = ("GET", "/api/0/organizations/acme/issues/", found([{"id": "5", "lastSeen": created, "count": "1"}]))
        link = '<http://h.example/>; rel="next"; results="true"; cursor="0:{}:0"'
        moment = time.time() - 600
        same = [event(f"{number:032x}", moment) for number in range(100)]
        first = Answer(body=json.dumps(same).encode(), headers={"Link": link.format(100)})
        second = Answer(body=json.dumps(same[:1]).encode(), headers=LAST_PAGE)
        # All are from one second. So the window of that second is requested, and then its next page, which repeats one.
        script = (ROOT, *(issues, (*EVENTS, first), (*EVENTS, first), (*EVENTS, second)) * 10)
        params = {"organization_slug": "acme", "project_slug": "pump-station", "lookback": 300}
        with ScriptedServer(*script) as server:
            self.run_trigger("new_event", params, *[str] * 8, url=server.base)
        self.assertEqual(len(server.received), len(script))

    def test_an_issue_that_fails_does_not_block_the_others(self) -> None:
        created = iso(40)
        rows = [{"id": number, "lastSeen": created, "count": "1"} for number in ("6", "5")]
        list_path = "/api/0/organizations/acme/issues/"
        broken = ("GET", f"{list_path}6/events/", Answer(500, b'{"detail": "Internal Error"}'))
        script = (
            ROOT,
            ("GET", list_path, found([])),
            ("GET", list_path, found([])),
            ("GET", list_path, found(rows)),
            broken,
            *((*EVENTS, found([event(FIRST, time.time() + 40)])), (*ISSUE, found({"id": "5"}))),
            ("GET", f"{EVENTS[1]}{FIRST}/", found(event(FIRST, time.time() + 40))),
        )
        params = {"organization_slug": "acme", "project_slug": "pump-station"}
        with ScriptedServer(*script) as server:
            log = self.run_trigger("new_event", params, str, url=server.base)
        self.assertEqual(len(self.orchestrator.messages), 1)
        self.assertIn("The issue 6 cannot be read", "\n".join(log))

    def test_an_event_that_the_server_cannot_show_is_sent_in_a_short_form(self) -> None:
        new = event(FIRST, time.time() + 5)
        failure = ("GET", f"{EVENTS[1]}{FIRST}/", Answer(500, b'{"detail": "Internal Error"}'))
        empty = ((*EVENTS, found([])), (*ISSUE, found({"id": "5"})))
        script = (ROOT, *empty * 2, *((*EVENTS, found([new])), (*ISSUE, found({"id": "5"})), failure) * 3)
        with ScriptedServer(*script) as server:
            self.watch(server, *[str] * 4)
        output = self.orchestrator.outputs[0]
        self.assertEqual((output["event"]["eventID"], output["issue_id"]), (FIRST, "5"))
        self.assertIn("The details of this event are missing", output["summary"])

    def test_events_that_cannot_be_read_at_the_start_are_not_sent_later(self) -> None:
        issues = ("GET", "/api/0/organizations/acme/issues/", found([{"id": "5", "lastSeen": iso(0), "count": "1"}]))
        broken = (*EVENTS, Answer(500, b'{"detail": "Internal Error"}'))
        old = (*EVENTS, found([event(FIRST, time.time() - 900)]))
        with ScriptedServer(ROOT, issues, broken, issues, old, issues, old, issues, old) as server:
            params = {"organization_slug": "acme", "project_slug": "pump-station"}
            log = self.run_trigger("new_event", params, str, str, url=server.base)
        self.assertEqual(self.orchestrator.messages, [])
        self.assertIn("The poll failed", log[0])

    def test_an_incomplete_list_sends_nothing(self) -> None:
        now = time.time()
        page = [event(f"{number:032x}", now + 40) for number in range(100)]
        # 100 records and no Link header: there could be more.
        cut = Answer(body=json.dumps(page).encode())
        script = (ROOT, (*EVENTS, found([event(FIRST, now)])), (*EVENTS, found([event(FIRST, now)])), (*EVENTS, cut))
        with ScriptedServer(*script) as server:
            log = self.watch(server, str)
        self.assertEqual(self.orchestrator.messages, [])
        self.assertIn("The poll failed", "\n".join(log))
        self.assertEqual(LAST_PAGE.keys(), {"Link"})


if __name__ == "__main__":
    unittest.main()
