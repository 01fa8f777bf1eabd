"""The processes that take part, each for the time of a `with` block and ended by its number."""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from testing.checks import check
from testing.plugin import ENVIRONMENT, LOCAL, ROOT, Json, PluginServer
from testing.processes import process_tree

STEP_SECONDS = 600
# A shell may ask for these, with which each piece of an output is a write of its own and modules are compiled anew each
# time. The image does neither.
_NOT_AS_IN_IMAGE = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
# No request is to leave this machine, and none to go by a proxy that is set for others.
LOOPBACK = {
    **{name: value for name, value in ENVIRONMENT.items() if name not in _NOT_AS_IN_IMAGE},
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
NAIVE = (sys.executable, "-c", "from bench.naive import main; main()")
BARE = (sys.executable, "-c", "from bench.bare import main; main()")
PLUGIN = LOCAL


class _Process:
    """A process that is sent lines and answers each with one."""

    def __init__(self, argv: Sequence[str], environment: dict[str, str] = LOOPBACK) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        check(bool(line), f"the process {self._process.args!r} ended")
        return json.loads(line)

    def ask(self, question: Any) -> Any:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self.line()


class Server(_Process):
    """What is asked for issues and events: see server.py."""

    def __init__(self, *options: str) -> None:
        super().__init__(["-m", "bench.server", *options])
        told = self.line()
        self.base: str = told["base"]
        self._port: int = told["control"]

    def reset(self, records: int = 0) -> dict[str, int]:
        """What was asked for since the last time. Lists are from now on so many records long, if any are named."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=STEP_SECONDS)
        connection.request("GET", f"/control?records={records}")
        counts: dict[str, int] = json.load(connection.getresponse())
        connection.close()
        return counts


class WarmFloor(_Process):
    """What reads listings with nothing else to do: see floor.py."""

    def __init__(self) -> None:
        super().__init__(["-c", "from bench.floor import serve; serve()"])


class Launcher(_Process):
    """Starts other processes: see launcher.py."""

    def __init__(self) -> None:
        super().__init__(["-S", "-m", "bench.launcher"])

    def run(self, argv: Sequence[str], message: str = "", **environment: str) -> tuple[dict[str, float], str]:
        """What it took, and what it wrote.

        :raises CheckFailed: it failed
        """
        with tempfile.TemporaryDirectory() as folder:
            given, out, err = (Path(folder, name) for name in ("in", "out", "err"))
            given.write_text(message, encoding="utf-8")
            files = {"stdin": str(given), "stdout": str(out), "stderr": str(err)}
            took = self.ask({"argv": list(argv), "env": {**LOOPBACK, **environment}, **files})
            check(took["status"] == 0, f"{argv} failed: {err.read_text(errors='replace')[-2000:]}")
            return took, out.read_text(encoding="utf-8")


class HttpMode(PluginServer):
    """A plugin in the runtime's HTTP mode. `worker` is the process that does the work."""

    def __init__(self, argv: Sequence[str], threads: int = 4, **environment: str) -> None:
        super().__init__(argv, ("--threads_per_worker", str(threads)), {**LOOPBACK, **environment})

    def __enter__(self) -> Self:
        super().__enter__()
        (self.worker,) = [member for member in process_tree(self.pid) if member != self.pid]
        return self

    def close(self) -> None:
        """At once: it has nothing to lose, and to end as it should takes it a second."""
        for pid in process_tree(self.pid) if self._process.poll() is None else ():
            os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.base.removeprefix("http://"), timeout=STEP_SECONDS)


def post(connection: http.client.HTTPConnection, action: str, message: bytes) -> bytes:
    """The answer to one step."""
    connection.request("POST", f"/actions/{action}", message, {"Content-Type": "application/json"})
    return connection.getresponse().read()


def encoded(message: Json) -> bytes:
    return json.dumps(message).encode()
