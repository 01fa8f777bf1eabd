"""The HTTP server: cheroot with a gateway that plays faults, and the `Sandbox` that tests use."""

import io
import os
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import unquote_to_bytes, urlsplit

from cheroot import wsgi
from flask import Flask, request

from .app import create_app
from .faults import Fault, Faults
from .ingest import MAX_BODY
from .store import Store

# Requests that are handled at the same time; idle connections take no thread.
THREADS = 16
MAX_DRAINED = 100 * 1024 * 1024
CLOSE_WITH_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds

Headers = list[tuple[str, str]]


class Gateway(wsgi.Gateway_10):
    """Read the whole request, then play a fault or run the application, and send one response with its length."""

    def respond(self) -> None:
        # cheroot leaves %2F encoded. Sentry's WSGI server decodes it like all other characters.
        self.env["PATH_INFO"] = unquote_to_bytes(urlsplit(self.env["REQUEST_URI"]).path).decode("latin-1")
        body = self.read_body()
        if body is None:
            self.req.close_connection = True
            self.reply("413 CONTENT TOO LARGE", [("Content-Type", "text/plain")], b"length limit exceeded")
            return
        self.env.update({"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
        faults: Faults = self.req.server.faults
        fault = faults.choose(self.env["REQUEST_METHOD"], self.env["REQUEST_URI"], body)
        if fault and (error := faults.error_response(fault)):
            self.reply(error.status, error.headers, error.body)
        elif fault is Fault.REQUEST_LOST:
            self.reset()
        else:
            response = self.run_application()
            self.reset() if fault is Fault.RESPONSE_LOST else self.reply(*response)

    def read_body(self) -> bytes | None:
        """The whole body, None when it is larger than allowed."""
        if self.req.chunked_read:
            body: bytes = self.req.rfile.read(MAX_BODY + 1)
            return body if len(body) <= MAX_BODY else None
        length = int(self.env.get("CONTENT_LENGTH") or 0)
        if length <= MAX_BODY:
            return bytes(self.req.rfile.read(length))
        # Read on for a while. A client that is still sending would see a reset instead of the response.
        remaining = min(length, MAX_DRAINED)
        while remaining > 0 and (chunk := self.req.rfile.read(min(remaining, MAX_BODY))):
            remaining -= len(chunk)
        return None

    def run_application(self) -> tuple[str, Headers, bytes]:
        """Status, headers and body of the application's response."""
        started: list[Any] = []

        def start_response(status: str, headers: Headers, _exc: Any = None) -> Callable[[bytes], None]:
            started[:] = [status, headers]
            return self.write

        payload = b"".join(self.req.server.wsgi_app(self.env, start_response))
        return started[0], started[1], payload

    def reply(self, status: str, headers: Headers, body: bytes) -> None:
        if not any(name.lower() == "content-length" for name, _ in headers):
            headers = [*headers, ("Content-Length", str(len(body)))]
        self.start_response(status, headers)
        if self.env["REQUEST_METHOD"] != "HEAD":
            self.write(body)

    def reset(self) -> None:
        """End the connection without a response, like a server or a proxy that is killed."""
        connection = self.req.conn
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CLOSE_WITH_RESET)
        # Closed here, since cheroot would shut the connection down first, which the client sees as a regular end.
        connection.linger = True
        os.close(connection.socket.detach())
        self.req.close_connection = True
        self.req.sent_headers = True


class Server(wsgi.Server):
    """cheroot's WSGI server, set up to keep connections open and to stop quickly."""

    expiration_interval = 0.02  # stop() waits for up to this time
    keep_alive_conn_limit = 1000

    def __init__(self, address: tuple[str, int], app: Flask, faults: Faults) -> None:
        super().__init__(
            address, app, THREADS, server_name="sandbox", request_queue_size=128, timeout=60, shutdown_timeout=1
        )
        self.gateway = Gateway
        self.faults = faults

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        """Print only errors of the sandbox itself, not what happens to connections."""
        if traceback:
            super().error_log(msg, level, traceback)


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as the sandbox received it.

    :param path: as sent, still percent-encoded
    """

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    body: bytes


class Sandbox:
    """A Sentry server on a loopback port, for the time of a `with` block.

    `base`, the URL, and `env`, which holds addresses, tokens and IDs, are available inside the block. `requests` lists
    what was received since the last `requests.clear()`, except requests that a fault kept from being handled.

    :param database: the path of an SQLite file
    :param port: 0 for any free port
    :param record: whether to keep requests in `requests`
    :param faults: the faults to play, none by default
    :param ties: `shuffled` for the lists of Sentry 23.7.1 with Snuba, which knows times by whole seconds. Events of the
        same second come in another order for each request, so pages by offset repeat some and omit others. The first
        page of issues by date is ordered by milliseconds, further pages by seconds, so some issues come twice.
        `stable` for the same order in all requests, as on a server that knows fractions of a second
    :param merge_seconds: how long the IDs of merged issues are not found, until they lead to the issue that remains
    """

    def __init__(  # noqa: PLR0913 - all have a default
        self,
        database: str = ":memory:",
        port: int = 0,
        host: str = "127.0.0.1",
        record: bool = True,
        *,
        faults: Faults | None = None,
        ties: Literal["stable", "shuffled"] = "shuffled",
        merge_seconds: float = 0.1,
    ) -> None:
        self.requests: list[ReceivedRequest] = []
        self.faults = faults or Faults(0.0)
        self.store = Store(database, merge_seconds)
        app = create_app(self.store, ties == "shuffled")
        if record:
            app.before_request_funcs.setdefault(None, []).insert(0, self._record)
        self._server = Server((host, port), app, self.faults)
        self._thread = threading.Thread(target=self._server.serve, daemon=True)

    def _record(self) -> None:
        target = urlsplit(request.environ["REQUEST_URI"])
        headers = dict(request.headers)
        self.requests.append(ReceivedRequest(request.method, target.path, target.query, headers, request.get_data()))

    def __enter__(self) -> Self:
        self._server.prepare()
        host, port = self._server.bind_addr
        self.base = self.store.url_prefix = f"http://{host}:{port}"
        self.env = self.store.env()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, close all connections and the database."""
        self._server.stop()
        self.store.close()
