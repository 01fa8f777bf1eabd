"""`triggers`: a trigger loses no issue, whatever ends its process or rejects its messages, and sends them in order.

The trigger is a process that sends to a sink. `polls.py` checks that it does not leak.
"""

import multiprocessing
import random
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from komand_sentry.connection import Connection
from sandbox import Sandbox
from testing.checks import CheckFailed, check, first_few
from testing.plugin import ENVIRONMENT, Json
from testing.processes import read_stats
from testing.sink import REJECTIONS, Sink
from testing.support import connection_params, connection_to, run_action
from testing.trigger_process import TriggerProcess

from . import polls

KILLS = 20
KILLED_ISSUES = 500
# Seconds until a process is killed. It needs almost a second to start.
LIFE = (0.5, 2.0)
REJECTED_ISSUES = 200
REJECTED_SHARE = 0.1
TERMINATED_ISSUES = 60
MAX_EXIT_SECONDS = 1.0
# One connection to the server, and one to the sink.
MAX_SOCKETS = 2
# See Sink.delay: so that some signals arrive while a message is sent.
SINK_SECONDS = 0.005
MAX_SECONDS = 60
LOOKBACK = 3600


@dataclass
class World:
    """A sandbox in which new issues arrive, and a sink that receives them from a trigger.

    :param folder: for the state of the trigger
    :param submitted: the number of issues
    """

    sandbox: Sandbox
    sink: Sink
    folder: Path
    connection: Connection = field(init=False)
    submitted: int = 0

    def __post_init__(self) -> None:
        self.connection = connection_to(self.sandbox.base, self.sandbox.env["TOKEN"])

    def trigger(self, **params: object) -> TriggerProcess:
        inputs = {"organization_slug": self.sandbox.env["ORG"], "lookback": LOOKBACK, **params}
        environment = {**ENVIRONMENT, **({"SSL_CERT_FILE": str(self.sink.ca_bundle)} if self.sink.tls else {})}
        return TriggerProcess(
            "new_issue",
            inputs,
            connection_params(self.sandbox),
            self.sink.url,
            self.folder,
            environment=environment,
        )

    def submit(self, count: int, seconds: float = 0.0) -> None:
        """Create issues that are named by consecutive numbers, and pause after each one."""
        for _ in range(count):
            message = f"Pump {self.submitted} stopped"
            params = {
                "dsn": self.sandbox.env["DSN_PUBLIC"],
                "event_json": {"message": message, "fingerprint": [message]},
            }
            run_action("submit_event", self.connection, params)
            self.submitted += 1
            time.sleep(seconds)

    def sent(self) -> list[int]:
        """The numbers of the issues that the sink accepted, in the order in which they arrived."""
        return [number_of(output) for output in self.sink.outputs]

    def wait_for_all(self, process: TriggerProcess) -> None:
        """Wait until the sink accepted all issues.

        :raises CheckFailed: it takes too long
        """
        complete = self.sink.wait_for(lambda outputs: len(set(map(number_of, outputs))) >= self.submitted, MAX_SECONDS)
        missing = [str(number) for number in range(self.submitted) if number not in self.sent()]
        check(complete, f"{len(missing)} of {self.submitted} issues were lost: {first_few(missing)}\n{process.log}")

    def repeats(self) -> int:
        sent = self.sent()
        return len(sent) - len(set(sent))

    def check_order(self) -> None:
        first_sent = list(dict.fromkeys(self.sent()))
        wrong = [str(number) for number, later in pairwise(first_sent) if number > later]
        check(not wrong, f"{len(wrong)} issues were sent after a newer one: {first_few(wrong)}")


def number_of(output: Json) -> int:
    found = re.fullmatch(r"Pump (\d+) stopped", output["issue"]["title"])
    if found is None or output["reason"] != "new":
        raise CheckFailed(f"an unexpected output: {output}")
    return int(found[1])


@contextmanager
def world(reject: float = 0.0, tls: bool = False) -> Iterator[World]:
    with Sandbox(record=False) as sandbox, Sink(reject, tls=tls) as sink, tempfile.TemporaryDirectory() as folder:
        yield World(sandbox, sink, Path(folder))


def run() -> str:
    """Run the checks; return their summaries.

    :raises CheckFailed: an issue is lost, or sent more often or later than it may be, or the trigger leaks
    """
    # The first check is busy, and the next one mostly waits, so the polls run meanwhile.
    summaries = [check_kills()]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        of_polls = pool.submit(polls.run)
        summaries += [check_rejections(), check_termination()]
        return "\n".join([*summaries, of_polls.result()])


def check_kills() -> str:
    """Kill the trigger again and again while issues arrive."""
    rng = random.Random(1)
    lives = [rng.uniform(*LIFE) for _ in range(KILLS)]
    with world() as of:
        of.sink.delay = SINK_SECONDS
        arrivals = threading.Thread(target=of.submit, args=(KILLED_ISSUES, 0.8 * sum(lives) / KILLED_ISSUES))
        arrivals.start()
        for seconds in lives:
            with of.trigger() as process:
                time.sleep(seconds)
                process.kill()
        arrivals.join()
        with of.trigger() as process:
            of.wait_for_all(process)
        repeats = of.repeats()
        check(repeats <= KILLS, f"{repeats} issues were sent again after {KILLS} kills")
        of.check_order()
    return f"{KILLED_ISSUES} new issues during {KILLS} kills: none lost, {repeats} sent again"


def check_rejections() -> str:
    """Reject some messages while issues arrive."""
    with world(reject=REJECTED_SHARE) as of, of.trigger() as process:
        of.submit(REJECTED_ISSUES, 0.02)
        of.wait_for_all(process)
        of.check_order()
        deliveries, repeats, sockets = of.sink.deliveries, of.repeats(), read_stats(process.pid).sockets
    rejections = [delivery.status for delivery in deliveries if not delivery.accepted]
    missing = [str(status) for status in REJECTIONS if status not in rejections]
    check(not missing, f"rejections that did not occur: {first_few(missing)}")
    check(repeats == 0, f"{repeats} issues were sent again after they had been accepted")
    check(sockets <= MAX_SOCKETS, f"the trigger has {sockets} sockets")
    return (
        f"{REJECTED_ISSUES} new issues in {len(deliveries)} messages, {len(rejections)} of them rejected: none lost, "
        f"none sent again, all in order; sockets at the end: {sockets}"
    )


def check_termination() -> str:
    """Terminate the trigger while it sends, and while it waits for a response that does not come."""
    with world(tls=True) as of:
        of.submit(TERMINATED_ISSUES)
        exits = [terminate(of, seconds) for seconds in (SINK_SECONDS, MAX_SECONDS)]
        of.sink.delay = 0.0
        with of.trigger() as process:
            of.wait_for_all(process)
        of.check_order()
        repeats = of.repeats()
    check(repeats <= len(exits), f"{repeats} issues were sent again after {len(exits)} terminations")
    return (
        f"{TERMINATED_ISSUES} new issues during {len(exits)} terminations: ended after "
        f"{' and '.join(f'{seconds:.2f} s' for seconds in exits)}, none lost, {repeats} sent again"
    )


def terminate(of: World, delay: float) -> float:
    """Start the trigger, and terminate it after some messages; return how many seconds it takes to end.

    :param delay: of the sink, when the trigger is terminated
    """
    of.sink.delay = SINK_SECONDS
    enough = len(of.sink.deliveries) + 5
    with of.trigger() as process:
        is_sending = of.sink.wait_for(lambda _: len(of.sink.deliveries) >= enough, MAX_SECONDS)
        check(is_sending, f"the trigger sends nothing:\n{process.log}")
        of.sink.delay = delay
        time.sleep(2 * SINK_SECONDS)
        started = time.monotonic()
        status = process.terminate()
        seconds = time.monotonic() - started
        check(status == 0, f"the trigger ended with the status {status}:\n{process.log}")
    check(seconds <= MAX_EXIT_SECONDS, f"the trigger ended {seconds:.2f} s after SIGTERM")
    return seconds
