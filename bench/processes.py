"""Start, measure and stop the processes of the benchmark: its server, and the plugins in `run` and in HTTP mode."""

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil
import trustme

from testing.checks import check
from testing.plugin import ENVIRONMENT, Json, PluginServer
from testing.processes import process_tree

STEP_SECONDS = 600
LAUNCHER = Path(__file__).with_name("launcher.py")
# The image sets neither of these two, which slow down a start. All traffic is on loopback.
_UNSET = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
_NO_PROXY = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


class Sample(NamedTuple):
    """The measurement of a step. Memory is its peak in MiB, where that is measured."""

    seconds: float
    cpu: float
    memory: float = 0.0


class Command(NamedTuple):
    """How to start a plugin."""

    argv: tuple[str, ...]
    environment: dict[str, str]


def commands(root: Path) -> dict[str, Command]:
    """The plugin in the folder `root`, which runs in the environment there, and those to compare with."""
    environment = {key: value for key, value in ENVIRONMENT.items() if key not in _UNSET} | _NO_PROXY
    plugin = (str(root / ".venv/bin/python"), str(root / "bin/komand_sentry"))
    found = {"plugin": Command(plugin, environment | {"PYTHONPATH": str(root)})}
    for name, function in (("floor", "bare"), ("naive", "naive")):
        argv = (sys.executable, "-c", f"from bench.plugins import {function}; {function}()")
        found[name] = Command(argv, environment | {"PLUGIN_ROOT": str(root)})
    return found


def run_step(command: Command, message: bytes) -> tuple[Sample, Json]:
    """Run a step in a process, and measure it from its start to its end. Return the output too."""
    process = subprocess.run(
        [sys.executable, "-I", "-S", LAUNCHER, *command.argv, "run"],
        input=message,
        capture_output=True,
        env=command.environment,
        timeout=STEP_SECONDS,
        check=False,
    )
    seconds, cpu, peak = map(float, process.stderr.splitlines()[-1].split())
    # The runtime prints its log before the answer, which is the last line.
    return Sample(seconds, cpu, peak / 1024), _output(process.stdout.rstrip().rpartition(b"\n")[2])


class HttpMode(PluginServer):
    """A plugin in HTTP mode, for the time of a `with` block.

    :param authority: file with the certificate authority to trust
    """

    def __init__(self, command: Command, authority: str = "", threads: int = 4) -> None:
        environment = command.environment | {"REQUESTS_CA_BUNDLE": authority}
        super().__init__(command.argv, ("--threads_per_worker", str(threads)), environment)

    def cpu(self) -> float:
        """The CPU seconds of the plugin so far."""
        times = [psutil.Process(pid).cpu_times() for pid in process_tree(self.pid)]
        return sum(taken.user + taken.system for taken in times)

    def run_steps(self, action: str, messages: list[bytes]) -> tuple[float, list[Json]]:
        """Run steps over one connection. Return the seconds until the end of the last response, and the outputs."""
        connection, answers = http.client.HTTPConnection(urlsplit(self.base).netloc, timeout=STEP_SECONDS), []
        started = time.perf_counter()
        for message in messages:
            connection.request("POST", f"/actions/{action}", message, {"Content-Type": "application/json"})
            answers.append(connection.getresponse().read())
        seconds = time.perf_counter() - started
        connection.close()
        return seconds, [_output(answer) for answer in answers]


def _output(answer: bytes) -> Json:
    """:raises CheckFailed: the step failed"""
    body: Json = json.loads(answer)["body"] if answer.startswith(b"{") else {"log": answer, "status": "no answer"}
    check(body["status"] == "ok", f"the step failed: {body['log'][-2000:]!r}")
    output: Json = body["output"]
    return output


class Server(NamedTuple):
    """A running bench.server.

    :param distant: the URL that responds over TLS after the latency
    :param authority: file with the certificate authority to trust there
    """

    port: int
    distant: str
    authority: str

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def counts(self) -> tuple[int, int]:
        """The number of requests, and of bytes of their bodies, since the last time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=STEP_SECONDS)
        connection.request("GET", "/counts")
        requests, received = json.load(connection.getresponse())
        connection.close()
        return requests, received


@contextmanager
def started_server(issues: int, events: int, latency: float) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        authority, trusted, own = trustme.CA(), f"{folder}/authority.pem", f"{folder}/certificate.pem"
        authority.cert_pem.write_to_path(trusted)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(own)
        argv = (sys.executable, "-m", "bench.server", str(issues), str(events), own, str(latency))
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
            assert process.stdout
            try:
                port, tls_port = json.loads(process.stdout.readline())
                yield Server(port, f"https://127.0.0.1:{tls_port}", trusted)
            finally:
                process.terminate()
