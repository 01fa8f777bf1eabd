"""`submit`: every event is stored exactly once by a server that fails 30 % of the requests."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.connection import Connection
from sandbox import Fault, Faults, Sandbox
from testing.checks import check, first_few
from testing.fake_clock import FakeClock
from testing.support import connection_to, run_action

EVENTS = 1000
CALLERS = 4
RATE = 0.3
# The plugin sends a request at most eight times. Without a limit, one event in 15,000 would fail eight times in a row,
# and so one run in sixteen. After five failures the plugin has waited for at most 31 of its 60 seconds.
MAX_IN_A_ROW = 5


class OwnClock(FakeClock, threading.local):
    """A clock for each thread, since steps wait independently."""


@dataclass(frozen=True)
class Submitted:
    """The result of one step: the event ID, or the cause of its failure."""

    message: str
    waited: float
    event_id: str = ""
    problem: str = ""


def run() -> str:
    """Run the check; return a summary.

    :raises CheckFailed: an event is lost, stored twice or counted twice, or a step failed
    """
    faults = Faults(RATE, seed=1, paths="/api/[0-9]+/store/", max_in_a_row=MAX_IN_A_ROW)
    with Sandbox(record=False, faults=faults) as sandbox:
        steps = submit_all(sandbox)
        stored = {(row["event_id"], row["message"]) for row in sandbox.store.all("SELECT event_id, message FROM event")}
        rows = sandbox.store.scalar("SELECT COUNT(*) FROM event")
        counted = sandbox.store.scalar("SELECT SUM(times_seen) FROM issue")
    failed = [f"{step.message}: {step.problem}" for step in steps if step.problem]
    check(not failed, f"{len(failed)} steps failed: {first_few(failed)}")
    lost = [step.message for step in steps if (step.event_id, step.message) not in stored]
    check(not lost, f"{len(lost)} events are not stored with the ID that their step returned: {first_few(lost)}")
    check(rows == counted == EVENTS, f"{EVENTS} steps stored {rows} events, and the issues count {counted}")
    missing = [kind.value for kind in Fault if not faults.played[kind]]
    check(not missing, f"faults that were not played: {first_few(missing)}")
    return (
        f"{EVENTS} events by {CALLERS} callers in {faults.requests} requests: none lost, none twice; maximum wait of a "
        f"step: {max(step.waited for step in steps):.0f} s\n"
        f"faults: {', '.join(f'{faults.played[kind]} {kind.value}' for kind in Fault)}"
    )


def submit_all(sandbox: Sandbox) -> list[Submitted]:
    connection = connection_to(sandbox.base, sandbox.env["TOKEN"], OwnClock())
    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(lambda number: submit(connection, sandbox.env["DSN_PUBLIC"], number), range(EVENTS)))


def submit(connection: Connection, dsn: str, number: int) -> Submitted:
    message = f"Pump {number} stopped"
    clock = connection.client.clock
    started = clock.monotonic()
    try:
        output = run_action("submit_event", connection, {"dsn": dsn, "event_json": {"message": message}})
    except PluginException as error:
        return Submitted(message, clock.monotonic() - started, problem=error.cause)
    return Submitted(message, clock.monotonic() - started, event_id=output["id"])
