"""`http`: the plugin as an HTTP server answers every step as is due, and does not grow.

A share of its requests meets a fault, so that its ways to try again are at work all the time. The clock is the real one
here: a request fails twice in a row at most, which costs a step about three seconds, and no step may fail for it.
"""

import http.client
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from komand_sentry.util.http.transport import POOL_SIZE
from sandbox import Faults, Sandbox
from testing.checks import check, first_few
from testing.plugin import Json, PluginServer, action_message
from testing.processes import ProcessStats, read_stats
from testing.support import connection_params, connection_to, run_action

from .steps import ISSUES, Mix, event_of, fault_in

CALLERS = 8
RATE = 0.05
MOST_IN_A_ROW = 2
SAMPLE_SECONDS = 0.1
# Fewer steps are over before there is much to measure.
LEAST_STEPS = 500
USUAL_STEPS = 1500

# Of some 115 MiB. Python's allocator takes about 1 MiB more after the warm-up, in 1,500 steps as in 20,000.
MOST_GROWTH_KIB = 5 * 1024
# The port, in the process that holds it and in its child that answers.
LISTENING = 2
# The runtime's, where nothing else is asked for. Each keeps one connection to the server.
WORKER_THREADS = 4
SOCKETS_AT_REST = LISTENING + WORKER_THREADS
# A caller has its answer a moment before its connection is closed.
SETTLING_SECONDS = 5


@dataclass
class Run:
    """What became of the steps so far, and readings of the plugin's processes, each with the steps done by then."""

    server: PluginServer
    mix: Mix
    connection: Json
    steps: int
    seconds: float = 0.0
    done: int = 0
    failed: int = 0
    wrong: list[str] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    samples: list[tuple[int, ProcessStats]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        started = time.monotonic()
        with ThreadPoolExecutor(CALLERS) as pool:
            steps = [pool.submit(self.run_step, number) for number in range(self.steps)]
            while not all(step.done() for step in steps):
                with suppress(psutil.Error):  # a process that ended; the steps and the next reading show it
                    self.samples.append((self.done, read_stats(self.server.pid)))
                time.sleep(SAMPLE_SECONDS)
            for step in steps:
                step.result()
        self.seconds = time.monotonic() - started

    def run_step(self, number: int) -> None:
        step = self.mix.step(number)
        try:
            answer = self.server.run(step.action, action_message(step.action, step.params, self.connection))
            wrong = fault_in(step, answer)
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            answer, wrong = {}, f"no answer: {error!r}"
        with self.lock:
            self.done += 1
            self.failed += answer.get("status") == "error"
            if wrong:
                self.wrong.append(f"step {number}, {step.action}: {wrong}")
            elif step.action == "submit_event" and not step.fails:
                self.event_ids.append(answer["output"]["id"])

    def fifth(self, number: int) -> list[ProcessStats]:
        """The readings of one fifth of the steps, of which the first is the warm-up."""
        return [reading for done, reading in self.samples if number - 1 <= done * 5 / self.steps < number]


def run(steps: int) -> str:
    """:raises CheckFailed: a step was not answered as is due, or the plugin's processes grew"""
    faults = Faults(RATE, seed=1, most_in_a_row=MOST_IN_A_ROW)
    faults.on = False
    with Sandbox(record=False, faults=faults) as sandbox, PluginServer() as server:
        soak = Run(server, Mix(sandbox, made_issues(sandbox)), connection_params(sandbox), steps)
        faults.on = True
        soak.run()
        at_rest = read_at_rest(server.pid)
        check_answers(soak, sandbox)
    played = f"{faults.played.total()} faults in {faults.requests} requests"
    return (
        f"{steps} steps by {CALLERS} callers, {steps / soak.seconds:.0f} a second: {steps - soak.failed} ok, "
        f"{soak.failed} errors where one was due, none else; {played}\n" + growth(soak, at_rest)
    )


def read_at_rest(pid: int) -> ProcessStats:
    deadline = time.monotonic() + SETTLING_SECONDS
    while (reading := read_stats(pid)).sockets > SOCKETS_AT_REST and time.monotonic() < deadline:
        time.sleep(SAMPLE_SECONDS)
    return reading


def made_issues(sandbox: Sandbox) -> list[str]:
    connection = connection_to(sandbox.base, sandbox.env["TOKEN"])
    for pump in range(ISSUES):
        params = {"dsn": sandbox.env["DSN_PUBLIC"], "event_json": event_of(pump)}
        run_action("submit_event", connection, params)
    return [str(row["id"]) for row in sandbox.store.all("SELECT id FROM issue")]


def check_answers(soak: Run, sandbox: Sandbox) -> None:
    check(not soak.wrong, f"{len(soak.wrong)} of {soak.done} steps got a wrong response: {first_few(soak.wrong)}")
    stored = {row["event_id"] for row in sandbox.store.all("SELECT event_id FROM event")}
    lost = [event_id for event_id in soak.event_ids if event_id not in stored]
    check(not lost, f"{len(lost)} events are not stored: {first_few(lost)}")
    expected = ISSUES + len(soak.event_ids)
    check(len(stored) == expected, f"{expected} events were submitted, {len(stored)} are stored")


def growth(soak: Run, at_rest: ProcessStats) -> str:
    """What the processes of the plugin held after the warm-up and at the end.

    :raises CheckFailed: it is more than it may be
    """
    early, late = soak.fifth(2), soak.fifth(5)
    pids = {reading.pids for _, reading in soak.samples}
    check(len(pids) == 1, f"the plugin's processes ended and were started anew: {pids}")
    memory = [statistics.median(reading.memory for reading in fifth) / 1024 for fifth in (early, late)]
    threads = [max(reading.threads for reading in fifth) for fifth in (early, late)]
    sockets = [statistics.median_high(reading.sockets for reading in fifth) for fifth in (early, late)]
    most = max(reading.sockets for _, reading in soak.samples)
    figures = (
        f"after the warm-up and at the end: memory {memory[0]:.1f} and {memory[1]:.1f} MiB, threads {threads[0]} and "
        f"{threads[1]}, sockets {sockets[0]} and {sockets[1]}; at most {most} sockets, at rest {at_rest.sockets}"
    )
    check(memory[1] - memory[0] <= MOST_GROWTH_KIB / 1024, f"the memory grows: {figures}")
    check(threads[0] == threads[1], f"the number of threads changes: {figures}")
    check(most <= LISTENING + CALLERS + POOL_SIZE, f"more sockets than callers and pool account for: {figures}")
    check(at_rest.sockets <= SOCKETS_AT_REST, f"sockets are left open at rest: {figures}")
    return figures
