"""An interrupted step ends as a failed step, never as a success without an output."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from insightconnect_plugin_runtime.exceptions import ConnectionTestException, PluginException

from komand_sentry.util.interruption import Interruptible, Termination
from testing.plugin import ENVIRONMENT, LOCAL, Json, action_message, connection_test_message
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to, run_action
from unit_test import faults

SECONDS = 20
INTERRUPTED = "The step was interrupted before it completed: "
ISSUES = "/api/0/projects/acme/pump-station/issues/"
LIST_INPUT = {"organization_slug": "acme", "project_slug": "pump-station"}
SERVER_ERROR = Answer(503)


def _hang(arrived: threading.Event) -> Answer:
    def play(handler: BaseHTTPRequestHandler) -> None:
        arrived.set()
        faults.silence(handler)

    return Answer(play=play)


def _start(*arguments: str, cwd: str | None = None, **more: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        # A parent that ignores SIGINT, such as a job in the background, would pass that on.
        ["env", "--default-signal=INT", *LOCAL, *arguments],
        env={**ENVIRONMENT, **more},
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


class TestRun(unittest.TestCase):
    def interrupt(self, command: str, path: str, message: Callable[[Json], Json], number: int) -> Json:
        """The body that a process prints after a signal during its first request."""
        arrived = threading.Event()
        with ScriptedServer(("GET", path, _hang(arrived))) as server, _start(command) as process:
            assert process.stdin
            connection = {"token": {"token": "a-token"}, "url": server.base}
            process.stdin.write(json.dumps(message(connection)).encode())
            process.stdin.close()
            self.assertTrue(arrived.wait(SECONDS))
            process.send_signal(number)
            process.wait(SECONDS)
            assert process.stdout
            lines = process.stdout.read().decode().strip().splitlines()
        self.assertNotEqual(process.returncode, 0)
        body: Json = json.loads(lines[-1])["body"]
        return body

    def assert_interrupted(self, body: Json, signal_name: str) -> None:
        self.assertEqual(body["status"], "error")
        self.assertIn(INTERRUPTED + f"the process received {signal_name}.", body["error"])
        self.assertIn("Run the step again.", body["error"])

    def test_a_step_that_receives_a_signal_fails(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number.name):
                body = self.interrupt(
                    "run",
                    ISSUES,
                    lambda connection: action_message("list_project_issues", LIST_INPUT, connection),
                    number,
                )
                self.assert_interrupted(body, number.name)
                self.assertNotIn("output", body)

    def test_a_connection_test_that_receives_a_signal_fails(self) -> None:
        self.assert_interrupted(self.interrupt("test", "/api/0/", connection_test_message, signal.SIGTERM), "SIGTERM")


class TestHTTPMode(unittest.TestCase):
    def test_the_worker_timeout_of_gunicorn_fails_the_step(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        options = {"bind": address, "workers": 1, "worker_class": "sync", "threads": 1, "timeout": 2}
        arrived = threading.Event()
        with (
            tempfile.TemporaryDirectory() as directory,
            ScriptedServer(("GET", ISSUES, _hang(arrived))) as server,
        ):
            Path(directory, "gunicorn.json").write_text(json.dumps(options), encoding="utf-8")
            with _start("http", cwd=directory, GUNICORN_CONFIG_FILE="gunicorn.json") as process:
                try:
                    self.wait_for(f"http://{address}/api/v1/status")
                    connection = {"token": {"token": "a-token"}, "url": server.base}
                    message = action_message("list_project_issues", LIST_INPUT, connection)
                    body = self.post(f"http://{address}/actions/list_project_issues", message)
                finally:
                    process.terminate()
                    process.communicate(timeout=SECONDS)
        self.assertEqual(body["status"], "error")
        self.assertIn(INTERRUPTED + "its process is ending, as after a worker timeout of HTTP mode.", body["error"])
        self.assertIn("at least 2 threads per worker", body["error"])

    def wait_for(self, url: str) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                urllib.request.urlopen(url, timeout=1).close()
                return
            except OSError:
                self.assertLess(time.monotonic(), deadline, "HTTP mode did not start")
                time.sleep(0.05)

    def post(self, url: str, message: Json) -> Json:
        request = urllib.request.Request(url, json.dumps(message).encode(), {"Content-Type": "application/json"})
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=SECONDS)
        with caught.exception as response:
            body: Json = json.load(response)["body"]
        return body


class TestInterruptible(unittest.TestCase):
    def test_whatever_is_not_an_exception_is_an_interruption(self) -> None:
        for error in (KeyboardInterrupt(), SystemExit(1), GeneratorExit()):
            with self.subTest(repr(error)), self.assertRaises(PluginException) as caught, Interruptible():
                raise error
            self.assertTrue(caught.exception.cause.startswith(INTERRUPTED))
            self.assertEqual(caught.exception.data, type(error).__name__)

    def test_an_exception_stays_what_it_is(self) -> None:
        with self.assertRaises(KeyError), Interruptible():
            raise KeyError("x")

    def test_an_interrupted_wait_between_attempts_fails_the_step(self) -> None:
        with ScriptedServer(("GET", ISSUES, SERVER_ERROR)) as server:
            connection = connection_to(server.base, clock=_InterruptedClock())
            with self.assertRaises(PluginException) as caught:
                run_action("list_project_issues", connection, LIST_INPUT)
        self.assertEqual(caught.exception.data, "KeyboardInterrupt")

    def test_an_interrupted_connection_test_fails(self) -> None:
        with ScriptedServer(("GET", "/api/0/", SERVER_ERROR)) as server:
            connection = connection_to(server.base, clock=_InterruptedClock())
            with self.assertRaises(ConnectionTestException) as caught:
                connection.test()
        self.assertEqual(caught.exception.data, "KeyboardInterrupt")

    def test_sigterm_is_handled_only_meanwhile(self) -> None:
        with self.assertRaises(PluginException) as caught, Interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(SECONDS)
        self.assertIn("SIGTERM", caught.exception.cause)
        self.assertEqual(signal.getsignal(signal.SIGTERM), signal.SIG_DFL)

    def test_a_second_sigterm_does_not_interrupt_the_report_of_the_first(self) -> None:
        with self.assertRaises(PluginException) as caught, Interruptible():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(SECONDS)
            finally:
                self.assertEqual(signal.getsignal(signal.SIGTERM), signal.SIG_IGN)
        self.assertIn("SIGTERM", caught.exception.cause)

    def test_a_handler_of_the_runtime_stays(self) -> None:
        received: list[int] = []
        self.addCleanup(signal.signal, signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
        with Interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual(received, [signal.SIGTERM])

    def test_other_threads_leave_signals_alone(self) -> None:
        seen: list[object] = []

        def work() -> None:
            with Interruptible():
                seen.append(signal.getsignal(signal.SIGTERM))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertEqual(seen, [signal.SIG_DFL])


class _InterruptedClock:
    """A clock whose first wait is interrupted."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, _: float) -> None:
        raise KeyboardInterrupt


TRIGGER = """
import sys, time
from komand_sentry.util.interruption import Termination
termination = Termination()
with termination:
    if sys.argv[1] == "idle":
        print("ready", flush=True)
        time.sleep(20)
    try:
        with termination.deferred():
            print("ready", flush=True)
            time.sleep(0.5)
            print("saved", flush=True)
            if sys.argv[1] == "failing":
                raise OSError("full")
    except OSError:
        pass
    time.sleep(20)
    print("went on")
print("stopped")
"""


class TestTermination(unittest.TestCase):
    """The end of a trigger by a signal."""

    def stop(self, case: str, *numbers: int) -> tuple[float, str, int]:
        """Signal a process.

        :returns: the seconds until it ends, its output, and its exit status
        """
        argv = ["env", "--default-signal=INT", sys.executable, "-c", TRIGGER, case]
        with subprocess.Popen(argv, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            process.stdout.readline()
            started = time.monotonic()
            for number in numbers:
                process.send_signal(number)
            output = process.stdout.read()
            status = process.wait(SECONDS)
        return time.monotonic() - started, output, status

    def test_a_signal_ends_it_at_once_without_an_error(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                seconds, output, status = self.stop("idle", number)
                self.assertEqual((output, status), ("stopped\n", 0))
                self.assertLess(seconds, 1)

    def test_the_state_is_stored_first(self) -> None:
        seconds, output, status = self.stop("saving", signal.SIGTERM, signal.SIGTERM)
        self.assertEqual((output, status), ("saved\nstopped\n", 0))
        self.assertLess(seconds, 1.5)

    def test_a_signal_is_not_lost_if_the_state_cannot_be_stored(self) -> None:
        seconds, output, status = self.stop("failing", signal.SIGTERM)
        self.assertEqual((output, status), ("saved\nstopped\n", 0))
        self.assertLess(seconds, 1.5)

    def test_another_thread_handles_no_signals(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        found: list[object] = []

        def run() -> None:
            with Termination():
                found.append(signal.getsignal(signal.SIGTERM))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        self.assertEqual(found, [before])
