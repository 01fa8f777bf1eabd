"""new_issue and new_event, as processes that send to a sink: what starts a workflow, and what does not."""

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from testing.plugin import Json
from testing.sink import Sink
from testing.trigger_process import TriggerProcess

from .case import RUN, E2ECase

PROBE_SECONDS = 1.0
# Sentry does not regard an issue as regressed if it was created less than five seconds before.
AGE_SECONDS = 60
# A trigger that is stopped before it has read the response to a message sends the message again.
RESPONSE_SECONDS = 1.0


class TriggerCase(E2ECase):
    """A test case with a sink, and a folder for the state of its triggers."""

    def setUp(self) -> None:
        self.sink = self.enterContext(Sink())
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def trigger(self, name: str, **inputs: object) -> TriggerProcess:
        params = {"organization_slug": self.target["ORG"], **inputs}
        return TriggerProcess(name, params, self.target.connection(), self.sink.url, self.folder)

    def wait_until_watching(self, process: TriggerProcess, probe: Callable[[], Callable[[Json], bool]]) -> None:
        """Create records until the sink receives one of them. The trigger then also has sent what came before.

        :param probe: creates a record; returns a function that recognizes its output
        """
        deadline = time.monotonic() + self.target.seconds
        probes = [probe()]
        while not self.sink.wait_for(
            lambda outputs: any(is_one(o) for is_one in probes for o in outputs), PROBE_SECONDS
        ):
            if time.monotonic() > deadline:
                self.fail(f"the trigger sent nothing within {self.target.seconds:g} s:\n{process.log}")
            probes.append(probe())


class TestNewIssue(TriggerCase):
    numbers: ClassVar["itertools.count[int]"] = itertools.count()

    def submit_issue(self, case: str, **event: object) -> None:
        self.submit(case, {"message": f"{case} of run {RUN}", **event})

    def old_issue(self, case: str) -> str:
        """Create an issue as if it had been for a while; return its ID."""
        issue_id: str = self.new_issue(case, timestamp=self.seconds_ago(AGE_SECONDS))["id"]
        return issue_id

    def probe(self) -> Callable[[Json], bool]:
        case = f"trigger-probe-{next(self.numbers)}"
        self.submit_issue(case)
        return lambda output: output["issue"]["title"] == f"{case} of run {RUN}"

    def outputs_of(self, case: str) -> list[Json]:
        return [output for output in self.sink.outputs if output["issue"]["title"] == f"{case} of run {RUN}"]

    def start_trigger(self, **inputs: object) -> TriggerProcess:
        """Start the trigger, and wait until it is watching."""
        process = self.enterContext(self.trigger("new_issue", projects=[self.target["PROJECT"]], **inputs))
        self.wait_until_watching(process, self.probe)
        return process

    def only_output_of(self, case: str, process: TriggerProcess) -> Json:
        """Wait for an output of an issue and for a later one; return the first, which must be the only one."""
        self.eventually(lambda: self.outputs_of(case), f"the output of {case}")
        self.wait_until_watching(process, self.probe)
        (output,) = self.outputs_of(case)
        return output

    def test_a_new_issue_and_one_that_existed(self) -> None:
        self.old_issue("trigger-old")
        process = self.start_trigger()
        for case in ("trigger-old", "trigger-new", "trigger-new"):
            self.submit_issue(case)
        output = self.only_output_of("trigger-new", process)
        issue = self.issue_of("trigger-new")
        found = tuple(output["issue"][name] for name in ("id", "shortId", "status"))
        self.assertEqual((output["reason"], *found), ("new", issue["id"], issue["shortId"], "unresolved"))
        for text in (f"trigger-new of run {RUN}", issue["permalink"]):
            self.assertIn(text, output["summary"])
        self.assertEqual(self.outputs_of("trigger-old"), [])

    def test_a_restart_continues_without_repeating(self) -> None:
        process = self.start_trigger()
        self.submit_issue("trigger-first")
        self.only_output_of("trigger-first", process)
        time.sleep(RESPONSE_SECONDS)
        self.assertEqual(process.terminate(), 0, process.log)
        self.submit_issue("trigger-stopped")
        self.only_output_of("trigger-stopped", self.start_trigger())
        titles = [output["issue"]["title"] for output in self.sink.outputs]
        self.assertEqual(len(titles), len(set(titles)))

    def test_regressed_and_reopened(self) -> None:
        cases = ("regressed", "reopened")
        ids = {case: self.old_issue(f"trigger-{case}") for case in cases}
        process = self.start_trigger(events=["regressed", "reopened", "new"], query=f"e2e_run:{RUN}")
        for issue_id in ids.values():
            self.step("update_issue", {"issue_id": issue_id, "status": "resolved"})
        # Sentry 9 has no substatus, so the trigger has to see the issues resolved to notice the change at once. The
        # second probe is sent after the poll that sent the first one.
        for _ in range(2):
            self.wait_until_watching(process, self.probe)
        self.step("update_issue", {"issue_id": ids["reopened"], "status": "unresolved"})
        for case in cases:
            self.submit_issue(f"trigger-{case}")
        for case in cases:
            output = self.only_output_of(f"trigger-{case}", process)
            found = (output["reason"], output["issue"]["id"], output["issue"]["status"])
            self.assertEqual(found, (case, ids[case], "unresolved"))

    def test_escalating(self) -> None:
        issue_id = self.old_issue("trigger-escalating")
        inputs = {"issue_id": issue_id, "status": "ignored", "ignoreCount": 1}
        issue = self.step("update_issue", inputs)["issue"]
        self.assertEqual(issue["substatus"], "archived_until_condition_met")
        process = self.start_trigger(events=["escalating", "new"])
        self.submit_issue("trigger-escalating")
        output = self.only_output_of("trigger-escalating", process)
        self.assertEqual((output["reason"], output["issue"]["substatus"]), ("escalating", "escalating"))


class TestNewEvent(TriggerCase):
    def submit_to(self, case: str) -> str:
        return self.submit(case, {"message": f"{case} of run {RUN}", "tags": {"watched": RUN}})

    def start_trigger(self, case: str, **inputs: object) -> None:
        """Start the trigger, and wait until it is watching the issue of a case."""

        def probe() -> Callable[[Json], bool]:
            event_id = self.submit_to(case)
            return lambda output: output["event"]["eventID"] == event_id

        process = self.enterContext(self.trigger("new_event", **inputs))
        self.wait_until_watching(process, probe)

    def outputs_of(self, *event_ids: str) -> list[Json]:
        """Wait for the outputs of events. No event may have been sent twice."""
        self.eventually(lambda: set(event_ids) <= set(self.sent()), "the events")
        self.assertEqual(len(self.sent()), len(set(self.sent())))
        found = {output["event"]["eventID"]: output for output in self.sink.outputs}
        return [found[event_id] for event_id in event_ids]

    def sent(self) -> list[str]:
        return [output["event"]["eventID"] for output in self.sink.outputs]

    def test_events_of_an_issue(self) -> None:
        existing = self.submit_to("trigger-events")
        issue = self.issue_of("trigger-events")
        self.start_trigger("trigger-events", issue_id=issue["shortId"])
        other = self.submit_to("trigger-other")
        (output,) = self.outputs_of(self.submit_to("trigger-events"))
        title = f"trigger-events of run {RUN}"
        self.assertEqual((output["issue_id"], output["event"]["groupID"]), (issue["id"], issue["id"]))
        self.assertEqual((output["event"]["title"], output["details"]["message"]), (title, title))
        self.assertIn(title, output["summary"])
        self.assertFalse({existing, other} & set(self.sent()))

    def test_events_of_a_project_by_query(self) -> None:
        cases = ("trigger-north", "trigger-south")
        existing = {self.submit_to(case) for case in cases}
        issues = [self.issue_of(case) for case in cases]
        project, query = self.target["PROJECT"], f"watched:{RUN} e2e_run:{RUN}"
        self.start_trigger(cases[0], project_slug=project, query=query)
        existing.add(self.submit("trigger-unwatched", {"message": f"trigger-unwatched of run {RUN}"}))
        outputs = self.outputs_of(*(self.submit_to(case) for case in cases))
        self.assertEqual([output["issue_id"] for output in outputs], [issue["id"] for issue in issues])
        self.assertFalse(existing & set(self.sent()))
