"""`listing`: an issue that does not change is listed exactly once while other issues change.

Between two pages, new issues are created before and after the position of the cursor, and others are resolved, ignored
and re-opened. One of these is always the first issue of the next page, which the cursor refers to.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from komand_sentry.connection import Connection
from komand_sentry.util.http.messages import Request, Response
from komand_sentry.util.http.transport import Transport
from komand_sentry.util.sentry.pagination import PAGE_SIZE
from sandbox import Sandbox
from testing.checks import check, first_few
from testing.plugin import Json
from testing.support import connection_to, run_action

ISSUES = 2000
CALLERS = 4
# Seconds between the events of two issues, and the age of the newest event.
APART = 60
NEWEST_AGE = 3600
# Numbers of changes between two pages.
NEW = 10
REOPENED = 3
CLOSED_AFTER = 4
# Alternating, so that the following issues move backward after one page and forward after the next.
CLOSED_BEFORE = (2, 2 * NEW)


class InterruptedTransport(Transport):
    """A transport with a callback after each response."""

    def __init__(self, after_response: Callable[[Response], None]) -> None:
        super().__init__()
        self._after_response = after_response

    def send(self, request: Request, timeout: float, new_connection: bool = False) -> Response:
        response = super().send(request, timeout, new_connection)
        self._after_response(response)
        return response


@dataclass
class World:
    """The issues of a sandbox and their changes, which are made by the plugin's own actions.

    :param ids: the IDs of the initial issues, the one with the newest event first
    :param closed: the IDs of issues that are resolved or ignored
    :param changed: the IDs of all issues that were changed
    """

    sandbox: Sandbox
    connection: Connection
    now: float = field(default_factory=time.time)
    ids: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    pages: int = 0
    new: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def fill(self) -> None:
        with ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(lambda place: self.submit(f"Pump {place} stopped", self.age(place)), range(ISSUES)))
        rows = self.sandbox.store.all("SELECT id FROM issue ORDER BY last_seen DESC")
        self.ids = [str(row["id"]) for row in rows]
        check(len(set(self.ids)) == ISSUES, f"{len(self.ids)} issues were made of {ISSUES} events")

    def age(self, place: float) -> float:
        return NEWEST_AGE + place * APART

    def submit(self, message: str, age: float) -> None:
        event = {"message": message, "fingerprint": [message], "timestamp": self.now - age}
        params = {"dsn": self.sandbox.env["DSN_PUBLIC"], "event_json": event}
        run_action("submit_event", self.connection, params)

    def after_page(self, response: Response) -> None:
        """Change some issues if there is another page."""
        self.pages += 1
        listed = [self.ids.index(issue["id"]) for issue in response.json() if issue["id"] in self.ids]
        if 'rel="next"; results="true"' in response.header("link"):
            self.reopen_some()
            self.close_some(max(listed) + 1)
            self.submit_some()

    def reopen_some(self) -> None:
        for issue in self.rng.sample(self.closed, min(REOPENED, len(self.closed))):
            self.set_status(issue, "unresolved")
            self.closed.remove(issue)

    def close_some(self, following: int) -> None:
        """Close the first issue of the next page, and others before and after it."""
        before = [issue for issue in self.ids[:following] if issue not in self.closed]
        first, *after = [issue for issue in self.ids[following:] if issue not in self.closed]
        others = self.rng.sample(before, CLOSED_BEFORE[self.pages % 2])
        others += self.rng.sample(after, min(CLOSED_AFTER, len(after)))
        for issue in (first, *others):
            self.set_status(issue, self.rng.choice(("resolved", "ignored")))
            self.closed.append(issue)

    def set_status(self, issue: str, status: str) -> None:
        self.changed.append(issue)
        run_action("update_issue", self.connection, {"issue_id": issue, "status": status})

    def submit_some(self) -> None:
        """Submit new events, half of them with an old timestamp, which puts their issues among the others."""
        for number in range(NEW):
            self.new += 1
            place = self.rng.randrange(ISSUES) + self.rng.uniform(0.1, 0.9)
            self.submit(f"Valve {self.new} stuck", self.age(place) if number % 2 else 0.0)


def run() -> str:
    """Run the check; return a summary.

    :raises CheckFailed: an issue is missing or listed twice
    """
    with Sandbox(record=False) as sandbox:
        world = World(sandbox, connection_to(sandbox.base, sandbox.env["TOKEN"]))
        world.fill()
        output = list_all(world)
    times = Counter(issue["id"] for issue in output["issues"])
    unchanged = set(world.ids) - set(world.changed)
    missing = sorted(unchanged - set(times), key=world.ids.index)
    repeated = [issue for issue, count in times.items() if count > 1]
    check(not output["truncated"], "the list is truncated")
    check(not missing, f"{len(missing)} unchanged issues are not listed: {first_few(missing)}")
    check(not repeated, f"{len(repeated)} issues are listed more than once: {first_few(repeated)}")
    min_changes = ISSUES // PAGE_SIZE - 1
    check(
        world.pages > min_changes and world.new >= min_changes * NEW,
        f"only {world.pages} pages, {world.new} new issues",
    )
    return (
        f"{len(times)} issues in {world.pages} pages, {world.new} new issues and {len(world.changed)} changes:\n"
        f"each of the {len(unchanged)} unchanged issues is listed once, and no other is listed twice"
    )


def list_all(world: World) -> Json:
    env = world.sandbox.env
    connection = connection_to(world.sandbox.base, env["TOKEN"])
    connection.client.transport = InterruptedTransport(world.after_page)
    params = {"organization_slug": env["ORG"], "project_slug": env["PROJECT"]}
    return run_action("list_project_issues", connection, params)
