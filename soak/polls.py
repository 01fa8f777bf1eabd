"""10,000 polls of a trigger in this process: its memory and its state do not grow without end.

The server is in memory and the clock does not wait, so the day that these polls take passes in seconds.
"""

import gc
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import insightconnect_plugin_runtime.trigger as runtime
from insightconnect_plugin_runtime import Plugin

from komand_sentry.connection import Connection
from komand_sentry.triggers import NewEvent, NewIssue
from komand_sentry.util.http.messages import Request, Response
from komand_sentry.util.http.transport import Transport
from komand_sentry.util.trigger import checkpoint, event_source, issue_sources
from testing.checks import check
from testing.fake_clock import FakeClock
from testing.plugin import Json, trigger_message
from testing.processes import read_stats

POLLS = 10_000
WARM_UP = 1_000
INTERVAL = 10
# One poll in twenty finds a new issue. One in eight finds an issue that was resolved, and the poll after the next finds
# that it regressed.
NEW_EVERY = 20
REGRESSED_EVERY = 8
MAX_ISSUES = 10
# The events and activities of an issue that the server keeps.
MAX_HISTORY = 5
# What a trigger remembers at most. In the plugin, it is so much that days pass until it is reached.
BOUNDS = ((checkpoint, "MAX_SEEN", 100), (issue_sources, "_MAX_KNOWN", 50), (event_source, "_MAX_KNOWN", 50))
MAX_GROWTH_MIB = 2
MAX_GROWTH_BLOCKS = 3_000
MAX_STATE_KIB = 16
LAST_PAGE = '<https://sentry.example.com/>; rel="next"; results="false"; cursor="0:100:0"'
PROJECT = {"id": "2", "slug": "pump-station"}
TRIGGERS: tuple[tuple[Callable[[], Any], Json], ...] = (
    (NewIssue, {"events": ["new", "regressed", "escalating", "reopened"]}),
    (NewEvent, {"project_slug": PROJECT["slug"]}),
)


class PassingClock(FakeClock):
    """A fake clock that does not record its sleeps, since the list would grow."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.slept.clear()


class MemoryServer(Transport):
    """A transport that responds like a Sentry server on which something happens before each poll.

    :param after_poll: called with the number of polls so far
    """

    def __init__(self, clock: PassingClock, after_poll: Callable[[int], None]) -> None:
        super().__init__()
        self._clock = clock
        self._after_poll = after_poll
        self._issues: dict[str, Json] = {}
        self._events: dict[str, list[Json]] = {}
        self._polled_at = -1.0
        self._resolved = ""
        self.polls = 0
        self.created = 0
        self.regressed = 0

    def send(self, request: Request, timeout: float, new_connection: bool = False) -> Response:  # noqa: ARG002
        body = self._respond(urlsplit(request.url).path.removeprefix("/api/0/"), dict(request.params))
        headers = {"date": format_datetime(self._clock.now(), usegmt=True), "link": LAST_PAGE}
        return Response(200, headers, json.dumps(body).encode())

    def _respond(self, path: str, params: dict[str, str]) -> Any:
        found = re.fullmatch(r"organizations/acme/issues/(\d+)/(events/)?(.+/)?", path)
        if found:
            issue, events, event = found.groups()
            history = self._events[issue]
            return (history[0] if event else history) if events else self._issues[issue]
        if path != "organizations/acme/issues/":
            return [PROJECT] if path else {"version": "0"}
        self._count_poll()
        key = "firstSeen" if params["sort"] == "new" else "lastSeen"
        rows = [{name: value for name, value in issue.items() if name != "activity"} for issue in self._issues.values()]
        return sorted(rows, key=lambda row: str(row[key]), reverse=True)

    def _count_poll(self) -> None:
        """Count a poll, unless this is another list of the same one."""
        if self._clock.monotonic() == self._polled_at:
            return
        self._polled_at = self._clock.monotonic()
        self._after_poll(self.polls)
        self.polls += 1
        if self.polls % NEW_EVERY == 0:
            self._create()
        if self.polls % REGRESSED_EVERY == 0 and self._issues:
            self._resolved = min(self._issues, key=lambda number: str(self._issues[number]["lastSeen"]))
            self._issues[self._resolved] |= {"status": "resolved", "substatus": None}
        if self.polls % REGRESSED_EVERY == 2 and self._resolved in self._issues:
            self._regress(self._resolved)

    def _create(self) -> None:
        self.created += 1
        number = str(self.created)
        now = self._clock.now().isoformat()
        issue: Json = {
            "id": number,
            "shortId": f"PUMP-STATION-{number}",
            "title": f"Pump {number} stopped",
            "permalink": f"https://sentry.example.com/organizations/acme/issues/{number}/",
            "status": "unresolved",
            "substatus": "new",
            "count": "0",
            "firstSeen": now,
            "project": PROJECT,
            "activity": [],
        }
        self._issues[number] = issue
        self._events[number] = []
        self._add_event(number)
        for old in list(self._issues)[:-MAX_ISSUES]:
            del self._issues[old], self._events[old]

    def _regress(self, number: str) -> None:
        self.regressed += 1
        now = self._clock.now().isoformat()
        activity = {"id": str(self.regressed), "type": "set_regression", "data": {}, "dateCreated": now}
        self._issues[number]["activity"] = [activity, *self._issues[number]["activity"]][:MAX_HISTORY]
        self._issues[number] |= {"status": "unresolved", "substatus": "regressed"}
        self._add_event(number)

    def _add_event(self, number: str) -> None:
        issue, now = self._issues[number], self._clock.now().isoformat()
        issue |= {"lastSeen": now, "count": str(int(issue["count"]) + 1)}
        event: Json = {"eventID": f"{self.created + self.regressed:032x}", "groupID": number, "dateCreated": now}
        event |= {"title": issue["title"], "message": issue["title"], "tags": [{"key": "site", "value": "north"}]}
        self._events[number] = [event, *self._events[number]][:MAX_HISTORY]


class MemoryConnection(Connection):
    """The connection to a server in memory."""

    clock: PassingClock
    server: MemoryServer

    def connect(self, params: Any = None) -> None:
        super().connect(params)
        self.client.clock = self.clock
        self.client.transport = self.server


class CountingDispatcher:
    """Accepts and counts all messages."""

    count = 0

    def write(self, msg: Json) -> None:
        json.dumps(msg)
        self.count += 1


@dataclass
class Figures:
    """What a run of a trigger needed, by the number of polls.

    :param memory: resident set size of this process in MiB
    :param blocks: number of memory blocks that Python has allocated
    :param state: the size of the state file in KiB
    """

    name: str
    folder: Path
    memory: dict[int, float] = field(default_factory=dict)
    blocks: dict[int, int] = field(default_factory=dict)
    state: dict[int, float] = field(default_factory=dict)

    def after_poll(self, polls: int) -> None:
        if polls in (WARM_UP, POLLS):
            gc.collect()
            self.memory[polls] = read_stats(os.getpid()).memory / 1024
            self.blocks[polls] = sys.getallocatedblocks()
        if polls % 100 == 0 and (file := self.folder / f"{self.name}.json").exists():
            self.state[polls] = file.stat().st_size / 1024
        if polls == POLLS:
            (self.folder / "terminate_trigger.flag").touch()

    def __str__(self) -> str:
        memory = f"memory {self.memory[WARM_UP]:.1f} and {self.memory[POLLS]:.1f} MiB"
        blocks = f"{self.blocks[WARM_UP]:,} and {self.blocks[POLLS]:,} blocks"
        state = f"state {self.state[WARM_UP]:.0f} and {self.state[POLLS]:.0f} KiB"
        return f"after {WARM_UP:,} and {POLLS:,} polls {memory} in {blocks}, {state}"


def run() -> str:
    """Run the check; return a summary.

    :raises CheckFailed: a trigger leaks, or does not send each record once
    """
    return "\n".join(run_trigger(make, inputs) for make, inputs in TRIGGERS)


def run_trigger(make: Callable[[], Any], inputs: Json) -> str:
    trigger, clock = make(), PassingClock()
    trigger.dispatcher = CountingDispatcher()
    params = {"organization_slug": "acme", "interval": INTERVAL, **inputs}
    with tempfile.TemporaryDirectory() as folder, isolated(folder):
        figures = Figures(trigger.name, Path(folder))
        server = MemoryServer(clock, figures.after_poll)
        connection = MemoryConnection()
        connection.clock, connection.server = clock, server
        plugin = Plugin(name="sentry", vendor="rapid7", connection=connection)
        plugin.add_trigger(trigger)
        credentials = {"token": {"token": "0" * 64}, "url": "https://sentry.example.com"}
        plugin.handle_step(trigger_message(trigger.name, params, credentials, "https://localhost/", trigger.name))
    expected, sent = server.created + server.regressed, trigger.dispatcher.count
    check(sent == expected, f"{trigger.name} sent {sent} records instead of {expected}")
    growth = [values[POLLS] - values[WARM_UP] for values in (figures.memory, figures.blocks)]
    check(
        growth[0] <= MAX_GROWTH_MIB and growth[1] <= MAX_GROWTH_BLOCKS,
        f"the memory of {trigger.name} grows: {figures}",
    )
    check(max(figures.state.values()) <= MAX_STATE_KIB, f"the state of {trigger.name} is too large: {figures}")
    return f"{trigger.name}: {figures}; {sent:,} of {expected:,} records sent"


@contextmanager
def isolated(folder: str) -> Iterator[None]:
    """Store the state and look for the stop flag in a folder, set BOUNDS, and print no log."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.multiple(runtime, CACHE_DIR=folder, FLAG_DIR=folder))
        for module, name, value in BOUNDS:
            stack.enter_context(mock.patch.object(module, name, value))
        nothing = stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(redirect_stdout(nothing))
        stack.enter_context(redirect_stderr(nothing))
        yield
