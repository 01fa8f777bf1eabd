"""The steps that a soak of the HTTP mode is made of, and what an answer to one has to look like."""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from jsonschema import ValidationError

from sandbox import Sandbox
from testing.plugin import Json
from testing.support import ACTIONS, validate

ISSUES = 40
NO_ISSUE = "999999999"
STATUSES = ("resolved", "ignored", "unresolved")


@dataclass(frozen=True)
class Step:
    """:param fails: it asks for what cannot be, and has to end in an error"""

    action: str
    params: Json
    fails: bool = False


class Mix:
    """Steps of all actions, some of which have to fail. The number of a step decides what it is.

    :param issues: the issues that are there to be read and changed
    """

    def __init__(self, sandbox: Sandbox, issues: list[str]) -> None:
        self._env = sandbox.env
        self._issues = issues
        self._project = {"organization_slug": self._env["ORG"], "project_slug": self._env["PROJECT"]}

    def step(self, number: int) -> Step:
        chance = random.Random(number)
        kinds: tuple[Callable[[random.Random], Step], ...] = (
            self._submit,
            self._list_issues,
            self._list_events,
            self._update,
            self._impossible,
        )
        return chance.choices(kinds, weights=(35, 20, 20, 15, 10))[0](chance)

    def _submit(self, chance: random.Random) -> Step:
        pump = chance.randrange(ISSUES)
        return Step("submit_event", {"dsn": self._env["DSN_PUBLIC"], "event_json": event_of(pump)})

    def _list_issues(self, chance: random.Random) -> Step:
        more: Json = {"all_statuses": True} if chance.random() < 0.5 else {"statsPeriod": "24h"}
        return Step("list_project_issues", {**self._project, **more, "limit": chance.randint(1, ISSUES)})

    def _list_events(self, chance: random.Random) -> Step:
        params = {"issue_id": chance.choice(self._issues), "limit": chance.randint(1, 10)}
        return Step("list_issue_events", {**params, "full": chance.random() < 0.5})

    def _update(self, chance: random.Random) -> Step:
        change: Json = chance.choice(
            ({"status": chance.choice(STATUSES)}, {"assignedTo": self._env["USER_EMAIL"]}, {"unassign": True})
        )
        return Step("update_issue", {"issue_id": chance.choice(self._issues), **change})

    def _impossible(self, chance: random.Random) -> Step:
        action, params = chance.choice(
            (
                ("submit_event", {"dsn": "https://sentry.example.com", "event_json": event_of(1)}),
                ("submit_event", {"dsn": self._env["DSN_PUBLIC"], "event_json": {}}),
                ("list_project_issues", {**self._project, "limit": -1}),
                ("list_project_issues", {**self._project, "project_slug": "no-such-project"}),
                ("list_issue_events", {"issue_id": "nonsense/../1"}),
                ("list_issue_events", {"issue_id": NO_ISSUE}),
                ("update_issue", {"issue_id": self._issues[0]}),
                ("update_issue", {"issue_id": NO_ISSUE, "status": "resolved"}),
            )
        )
        return Step(action, params, fails=True)


def event_of(pump: int) -> Json:
    return {
        "message": f"Pump {pump} stopped",
        "fingerprint": [f"pump-{pump}"],
        "tags": {"site": "north"},
        "extra": {"note": uuid.uuid4().hex * 30},
    }


def fault_in(step: Step, answer: Json) -> str:
    """What is wrong with the answer to a step, "" where nothing is."""
    told = answer.get("exception") or {}
    if answer.get("status") == "error":
        if not told.get("cause") or not told.get("assistance"):
            return f"an error without cause and assistance: {str(answer.get('error'))[:300]}"
        return "" if step.fails else f"an error: {told['cause']} ({told.get('data')})"
    if answer.get("status") != "ok" or step.fails:
        return f"the status {answer.get('status')} where {'an error' if step.fails else 'ok'} was due"
    try:
        validate(answer["output"], ACTIONS[step.action]().output.schema)
    except ValidationError as error:
        return f"an output that its schema refuses: {error.message[:300]}"
    return wrong_content(step, answer["output"])


def wrong_content(step: Step, output: Json) -> str:
    """Whether the output answers this step and no other."""
    match step.action:
        case "submit_event":
            right = len(output["id"]) == 32
        case "list_project_issues":
            right = 0 < len(output["issues"]) <= step.params["limit"]
        case "list_issue_events":
            right = 0 < len(output["events"]) <= step.params["limit"]
            right = right and {event["groupID"] for event in output["events"]} == {step.params["issue_id"]}
        case _:
            right = output["issue"]["id"] == step.params["issue_id"]
    return "" if right else "an output of something else"
