"""`http`: the plugin's HTTP mode returns the expected result for every step, and does not leak.

Some requests fail at random, so that the plugin retries all the time. It uses the real clock: a request fails at most
twice in a row, which delays a step by about three seconds. No step may fail because of that.
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

from .steps import ISSUES, Mix, event_of, find_problem

CALLERS = 8
RATE = 0.05
MAX_IN_A_ROW = 2
SAMPLE_SECONDS = 0.1
# With fewer steps there are too few samples.
MIN_STEPS = 500
DEFAULT_STEPS = 1500

# The processes use about 115 MiB. After the warm-up they grow by about 1 MiB, in 1,500 steps as in 20,000.
MAX_GROWTH_KIB = 5 * 1024
# The port is open in the parent process and in its worker process.
LISTENING = 2
# The runtime's default. Each thread keeps one connection to the server.
WORKER_THREADS = 4
SOCKETS_AT_REST = LISTENING + WORKER_THREADS
# The plugin closes a caller's connection shortly after the caller has the response.
SETTLING_SECONDS = 5


@dataclass
class Run:
    """The steps of one run and their results.

    :param samples: statistics of the plugin's processes, each with the number of steps done by then
    """

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
                with suppress(psutil.Error):  # a process ended: the steps and the next sample show it
                    self.samples.append((self.done, read_stats(self.server.pid)))
                time.sleep(SAMPLE_SECONDS)
            for step in steps:
                step.result()
        self.seconds = time.monotonic() - started

    def run_step(self, number: int) -> None:
        step = self.mix.step(number)
        try:
            body = self.server.run(step.action, action_message(step.action, step.params, self.connection))
            wrong = find_problem(step, body)
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            body, wrong = {}, f"no response: {error!r}"
        with self.lock:
            self.done += 1
            self.failed += body.get("status") == "error"
            if wrong:
                self.wrong.append(f"step {number}, {step.action}: {wrong}")
            elif step.action == "submit_event" and not step.fails:
                self.event_ids.append(body["output"]["id"])

    def fifth(self, number: int) -> list[ProcessStats]:
        """The statistics during one fifth of the steps. The first fifth is the warm-up."""
        return [stats for done, stats in self.samples if number - 1 <= done * 5 / self.steps < number]


def run(steps: int) -> str:
    """Run the check; return a summary.

    :raises CheckFailed: a step has an unexpected result, or the plugin's processes leak
    """
    faults = Faults(RATE, seed=1, max_in_a_row=MAX_IN_A_ROW)
    faults.on = False
    with Sandbox(record=False, faults=faults) as sandbox, PluginServer() as server:
        soak = Run(server, Mix(sandbox, create_issues(sandbox)), connection_params(sandbox), steps)
        faults.on = True
        soak.run()
        at_rest = stats_at_rest(server.pid)
        check_results(soak, sandbox)
    played = f"{faults.played.total()} faults in {faults.requests} requests"
    return (
        f"{steps} steps by {CALLERS} callers, {steps / soak.seconds:.0f} a second: {steps - soak.failed} ok, "
        f"{soak.failed} expected errors, no other; {played}\n" + check_growth(soak, at_rest)
    )


def stats_at_rest(pid: int) -> ProcessStats:
    deadline = time.monotonic() + SETTLING_SECONDS
    while (stats := read_stats(pid)).sockets > SOCKETS_AT_REST and time.monotonic() < deadline:
        time.sleep(SAMPLE_SECONDS)
    return stats


def create_issues(sandbox: Sandbox) -> list[str]:
    connection = connection_to(sandbox.base, sandbox.env["TOKEN"])
    for pump in range(ISSUES):
        params = {"dsn": sandbox.env["DSN_PUBLIC"], "event_json": event_of(pump)}
        run_action("submit_event", connection, params)
    return [str(row["id"]) for row in sandbox.store.all("SELECT id FROM issue")]


def check_results(soak: Run, sandbox: Sandbox) -> None:
    check(not soak.wrong, f"{len(soak.wrong)} of {soak.done} steps got a wrong response: {first_few(soak.wrong)}")
    stored = {row["event_id"] for row in sandbox.store.all("SELECT event_id FROM event")}
    lost = [event_id for event_id in soak.event_ids if event_id not in stored]
    check(not lost, f"{len(lost)} events are not stored: {first_few(lost)}")
    expected = ISSUES + len(soak.event_ids)
    check(len(stored) == expected, f"{expected} events were submitted, {len(stored)} are stored")


def check_growth(soak: Run, at_rest: ProcessStats) -> str:
    """Memory, threads and sockets of the plugin's processes after the warm-up and at the end.

    :raises CheckFailed: one of them exceeds its limit
    """
    early, late = soak.fifth(2), soak.fifth(5)
    pids = {stats.pids for _, stats in soak.samples}
    check(len(pids) == 1, f"the plugin's processes were restarted: {pids}")
    memory = [statistics.median(stats.memory for stats in fifth) / 1024 for fifth in (early, late)]
    # A thread that looks up a host exists for a moment, so the maximum would depend on when it is sampled.
    threads = [statistics.median_high(stats.threads for stats in fifth) for fifth in (early, late)]
    sockets = [statistics.median_high(stats.sockets for stats in fifth) for fifth in (early, late)]
    max_sockets = max(stats.sockets for _, stats in soak.samples)
    figures = (
        f"after the warm-up and at the end: memory {memory[0]:.1f} and {memory[1]:.1f} MiB, threads {threads[0]} and "
        f"{threads[1]}, sockets {sockets[0]} and {sockets[1]}; at most {max_sockets} sockets, at rest {at_rest.sockets}"
    )
    check(memory[1] - memory[0] <= MAX_GROWTH_KIB / 1024, f"the memory grows: {figures}")
    check(threads[1] <= threads[0], f"the number of threads grows: {figures}")
    check(
        max_sockets <= LISTENING + CALLERS + POOL_SIZE, f"more sockets than callers and connection pool need: {figures}"
    )
    check(at_rest.sockets <= SOCKETS_AT_REST, f"sockets are left open at rest: {figures}")
    return figures
