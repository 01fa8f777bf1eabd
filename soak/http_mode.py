"""`http`: the plugin as an HTTP server answers every step well, and does not grow.

A small share of the requests that it sends meets a fault, so that its ways to try again are at work all the time. Here
the clock is the real one: a request fails twice in a row at most, which costs a step some three seconds.
"""

import statistics
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from komand_sentry.util.transport import POOL_SIZE
from sandbox import Faults, Sandbox
from sandbox.plugin import Json, PluginServer, action_message
from unit_test.support import connection_params, connection_to, run_action

from . import process
from .claims import claim, some
from .process import Reading
from .steps import ISSUES, Mix, Step, event_of, fault_in

CALLERS = 8
RATE = 0.05
MOST_IN_A_ROW = 2
SAMPLE_SECONDS = 0.1


@dataclass
class Run:
    """The answers to the steps so far, and readings of the plugin's processes: (steps done, reading)."""

    server: PluginServer
    mix: Mix
    connection: Json
    done: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    samples: list[tuple[int, Reading]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def all_steps(self, count: int) -> None:
        with ThreadPoolExecutor(CALLERS) as pool:
            steps = [pool.submit(self.step, number) for number in range(count)]
            while not all(step.done() for step in steps):
                self.samples.append((self.done, process.read(self.server.pid)))
                time.sleep(SAMPLE_SECONDS)
            for step in steps:
                step.result()

    def step(self, number: int) -> None:
        step = self.mix.step(number)
        answer = self.server.run(step.action, action_message(step.action, step.params, self.connection))
        wrong = fault_in(step, answer)
        with self.lock:
            self.done += 1
            self.outcomes[answer["status"]] += 1
            if wrong:
                self.faults.append(f"step {number}, {step.action}: {wrong}")
            elif step.action == "submit_event" and not step.fails:
                self.event_ids.append(answer["output"]["id"])


if __name__ == "__main__":
    import sys, logging

    logging.disable(logging.WARNING)
    count = int(sys.argv[1])
    faults = Faults(RATE, seed=1, most_in_a_row=MOST_IN_A_ROW)
    faults.on = False
    with Sandbox(record=False, faults=faults) as sandbox, PluginServer() as server:
        c = connection_to(sandbox.base, sandbox.env["TOKEN"])
        for pump in range(ISSUES):
            run_action("submit_event", c, {"dsn": sandbox.env["DSN_PUBLIC"], "event_json": event_of(pump)})
        ids = [str(r["id"]) for r in sandbox.store.all("SELECT id FROM issue")]
        faults.on = True
        run = Run(server, Mix(sandbox, ids), connection_params(sandbox))
        t = time.time()
        run.all_steps(count)
        t = time.time() - t
        print(count / t, run.outcomes, run.faults[:5], len(run.faults), faults.played, faults.requests)
        for i in range(20):
            s = [r for d, r in run.samples if i * count / 20 <= d < (i + 1) * count / 20]
            if s:
                print(
                    i,
                    statistics.median(r.memory for r in s),
                    {r.threads for r in s},
                    Counter(r.sockets for r in s),
                    {r.pids for r in s},
                )
        for _ in range(3):
            print(process.read(server.pid))
            time.sleep(1)
