"""The steps of the check `http`, and the validation of their results."""

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
    """A step of a workflow.

    :param fails: whether the step must end with an error
    """

    action: str
    params: Json
    fails: bool = False


class Mix:
    """Steps of all actions, some of which must fail. The same number is always the same step.

    :param issues: the IDs of the issues to read and change
    """

    def __init__(self, sandbox: Sandbox, issues: list[str]) -> None:
        self._env = sandbox.env
        self._issues = issues
        self._project = {"organization_slug": self._env["ORG"], "project_slug": self._env["PROJECT"]}

    def step(self, number: int) -> Step:
        rng = random.Random(number)
        kinds: tuple[Callable[[random.Random], Step], ...] = (
            self._submit,
            self._list_issues,
            self._list_events,
            self._update,
            self._impossible,
        )
        return rng.choices(kinds, weights=(35, 20, 20, 15, 10))[0](rng)

    def _submit(self, rng: random.Random) -> Step:
        pump = rng.randrange(ISSUES)
        return Step("submit_event", {"dsn": self._env["DSN_PUBLIC"], "event_json": event_of(pump)})

    def _list_issues(self, rng: random.Random) -> Step:
        more: Json = {"all_statuses": True} if rng.random() < 0.5 else {"statsPeriod": "24h"}
        return Step("list_project_issues", {**self._project, **more, "limit": rng.randint(1, ISSUES)})

    def _list_events(self, rng: random.Random) -> Step:
        params = {"issue_id": rng.choice(self._issues), "limit": rng.randint(1, 10)}
        return Step("list_issue_events", {**params, "full": rng.random() < 0.5})

    def _update(self, rng: random.Random) -> Step:
        change: Json = rng.choice(
            ({"status": rng.choice(STATUSES)}, {"assignedTo": self._env["USER_EMAIL"]}, {"unassign": True})
        )
        return Step("update_issue", {"issue_id": rng.choice(self._issues), **change})

    def _impossible(self, rng: random.Random) -> Step:
        action, params = rng.choice(
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


def find_problem(step: Step, body: Json) -> str:
    """Describe why the body of a step's result is not as expected; "" if it is."""
    exception = body.get("exception") or {}
    if body.get("status") == "error":
        if not exception.get("cause") or not exception.get("assistance"):
            return f"an error without cause and assistance: {str(body.get('error'))[:300]}"
        return "" if step.fails else f"an error: {exception['cause']} ({exception.get('data')})"
    if body.get("status") != "ok" or step.fails:
        return f"the status {body.get('status')} instead of {'error' if step.fails else 'ok'}"
    try:
        validate(body["output"], ACTIONS[step.action]().output.schema)
    except ValidationError as error:
        return f"an output that does not match its schema: {error.message[:300]}"
    return wrong_content(step, body["output"])


def wrong_content(step: Step, output: Json) -> str:
    """Describe why the output does not belong to this step; "" if it does."""
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
    return "" if right else "the output of another step"
