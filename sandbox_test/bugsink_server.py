"""A Bugsink server (https://www.bugsink.com/) on loopback, to submit events to."""

import json
import socket
import sqlite3
import subprocess
import time
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import requests

from testing.plugin import Json

BIN = Path(__file__).resolve().parent.parent / ".venv-bugsink" / "bin"
START_SECONDS = 60
STOP_SECONDS = 15

# Without a queue, an event is stored before the response. "warn" logs where an event does not match Sentry's schema;
# "strict" would drop such an event, but respond with its ID.
SETTINGS = """
from bugsink.settings.default import *

SECRET_KEY = "not secret: the server runs on loopback during a test"
ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES["default"]["NAME"] = {folder!r} + "/db.sqlite3"
DATABASES["snappea"]["NAME"] = {folder!r} + "/snappea.sqlite3"
SNAPPEA = {{"TASK_ALWAYS_EAGER": True}}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
BUGSINK = {{
    "BASE_URL": {base!r},
    "INGEST_STORE_BASE_DIR": {folder!r} + "/ingestion",
    "PHONEHOME": False,
    "VALIDATE_ON_DIGEST": "warn",
}}
"""
NEW_PROJECT = 'from projects.models import Project; print(Project.objects.create(name="Pump Station").dsn)'
EVENTS = """
select id, event_id, level, logger, release, dist, environment, server_name, "transaction", platform,
    calculated_type as type, calculated_value as value, data
from events_event
"""
TAGS = """
select tags_tagkey.key, tags_tagvalue.value
from tags_eventtag
join tags_tagvalue on tags_tagvalue.id = tags_eventtag.value_id
join tags_tagkey on tags_tagkey.id = tags_tagvalue.key_id
where tags_eventtag.event_id = ?
"""


class BugsinkServer:
    """The server with one empty project, for the time of a `with` block.

    `dsn` is the DSN of the project.
    """

    dsn: str

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(TemporaryDirectory(prefix="bugsink-")))
            # Pass an open socket to the server, so that no other process can take the port.
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            self.base = f"http://127.0.0.1:{listener.getsockname()[1]}"
            settings = SETTINGS.format(folder=str(self._folder), base=self.base)
            (self._folder / "bugsink_conf.py").write_text(settings)
            self._manage("migrate", "--verbosity", "0")
            self.dsn = self._manage("shell", "--verbosity", "0", "--command", NEW_PROJECT)
            self._process = self._start(listener)
            stack.callback(self._stop)
            listener.close()  # so that connections fail if the server ends early
            self._wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def events(self) -> dict[str, Json]:
        """The stored events by ID: the columns, the JSON in `data`, and the tags."""
        with closing(sqlite3.connect(f"file:{self._folder}/db.sqlite3?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute(EVENTS)]
            for row in rows:
                row["data"] = json.loads(row["data"])
                row["tags"] = dict(map(tuple, database.execute(TAGS, (row["id"],))))
        return {row["event_id"]: row for row in rows}

    def log(self) -> str:
        return (self._folder / "server.log").read_text()

    def _environment(self) -> dict[str, str]:
        """An empty environment, since Bugsink reads settings and a DSN for its own errors from it."""
        return {"DJANGO_SETTINGS_MODULE": "bugsink_conf", "HOME": str(self._folder)}

    def _manage(self, *arguments: str) -> str:
        """Run a management command; return its output.

        :raises AssertionError: the command fails
        """
        process = subprocess.run(
            [BIN / "bugsink-manage", *arguments],
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if process.returncode:
            raise AssertionError(f"bugsink-manage {arguments[0]} failed:\n{process.stdout}{process.stderr}")
        return process.stdout.strip()

    def _start(self, listener: socket.socket) -> subprocess.Popen[bytes]:
        bind = ("--bind", f"fd://{listener.fileno()}", "--no-control-socket", "--worker-tmp-dir", self._folder)
        with (self._folder / "server.log").open("wb") as log:
            return subprocess.Popen(
                [BIN / "gunicorn", *bind, "bugsink.wsgi"],
                cwd=self._folder,
                env=self._environment(),
                pass_fds=[listener.fileno()],
                stdout=log,
                stderr=log,
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                requests.get(f"{self.base}/health/ready", timeout=5).raise_for_status()
            except requests.RequestException:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"bugsink did not start:\n{self.log()}")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the worker ends by itself
            self._process.wait()
