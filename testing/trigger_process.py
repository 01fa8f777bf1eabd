"""Runs a trigger as a process, as InsightConnect does."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from testing.plugin import ENVIRONMENT, Json, trigger_message

EXIT_SECONDS = 30


class TriggerProcess:
    """A trigger as a process, for the time of a `with` block. The process is killed if the block fails.

    :param params: the inputs of the trigger, without `interval`
    :param sink_url: where the trigger sends its records
    :param cache_dir: the folder with the state of triggers
    :param interval: seconds between two polls, which may be below the minimum of the plugin
    """

    def __init__(  # noqa: PLR0913 - what InsightConnect passes to a trigger
        self,
        name: str,
        params: Json,
        connection: Json,
        sink_url: str,
        cache_dir: Path,
        *,
        trigger_id: str = "trigger-1",
        interval: int = 1,
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> None:
        message = trigger_message(name, {**params, "interval": interval}, connection, sink_url, trigger_id)
        argv = [sys.executable, "-m", "testing.trigger_launcher", str(cache_dir), str(interval), "run"]
        # Appending, since the process has the same position in the file, which `log` changes.
        self._log = tempfile.TemporaryFile(mode="a+")  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log, env=environment, text=True
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message))
        self._process.stdin.close()
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self._log.close()

    @property
    def log(self) -> str:
        """Everything that the process printed."""
        self._log.seek(0)
        return self._log.read()

    def terminate(self) -> int:
        """Send SIGTERM.

        :returns: the exit status
        """
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self, seconds: float = EXIT_SECONDS) -> int:
        """Wait until the process ends.

        :returns: the exit status
        :raises AssertionError: it does not end within these seconds
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the trigger did not end within {seconds:g} s:\n{self.log}") from None
