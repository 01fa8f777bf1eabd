"""The HTTP server: werkzeug's threaded one with connections that stay open.

werkzeug's handler closes every connection and waits before it does; Sentry's servers keep them open, and clients with a
pool rely on that. So the handler below reads the whole request, runs the application and sends one response with its
length. Nagle's algorithm is off, or each answer could wait 40 ms for the client's delayed acknowledgement.
"""

import io
import socket
import struct
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from .app import create_app
from .faults import Fault, Faults
from .ingest import MAX_BODY
from .store import Store

MAX_DRAINED = 100 * 1024 * 1024
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024  # headers and body leave in one packet
    timeout = 60
    server_version = "sandbox"
    sys_version = ""

    def version_string(self) -> str:
        return self.server_version

    def log(self, type: str, message: str, *args: Any) -> None:
        """Quiet."""

    def setup(self) -> None:
        super().setup()
        self.server.app.extensions["connections"].add(self.connection)  # type: ignore[attr-defined]

    def finish(self) -> None:
        self.server.app.extensions["connections"].discard(self.connection)  # type: ignore[attr-defined]
        super().finish()

    def read_body(self, environ: dict[str, Any]) -> bytes | None:
        """The whole body, None when it is larger than is allowed."""
        if environ.get("wsgi.input_terminated"):  # chunked
            body: bytes = environ["wsgi.input"].read(MAX_BODY + 1)
            return body if len(body) <= MAX_BODY else None
        try:
            length = max(int(environ.get("CONTENT_LENGTH") or 0), 0)
        except ValueError:
            length = 0
        if length <= MAX_BODY:
            return self.rfile.read(length)
        # Read on for a while, so that the client gets to see the answer instead of a reset.
        remaining = min(length, MAX_DRAINED)
        while remaining > 0 and (chunk := self.rfile.read(min(remaining, MAX_BODY))):
            remaining -= len(chunk)
        return None

    def run_wsgi(self) -> None:
        if self.headers.get("Expect", "").strip().lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        environ = self.make_environ()
        body = self.read_body(environ)
        if body is None:
            self.close_connection = True
            self.reply("413 CONTENT TOO LARGE", [("Content-Type", "text/plain")], b"length limit exceeded")
            return
        environ.update(
            {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), "wsgi.input_terminated": True}
        )
        faults: Faults = self.server.app.extensions["faults"]  # type: ignore[attr-defined]
        fault = faults.choose(self.command, self.path, body)
        if fault and (refusal := faults.refusal(fault)):
            self.reply(refusal.status, refusal.headers, refusal.body)
        elif fault is Fault.REQUEST_LOST:
            self.reset()
        else:
            answer = self.handled(environ)
            self.reset() if fault is Fault.ANSWER_LOST else self.reply(*answer)

    def handled(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        """Runs the application: status, headers and body of its answer."""
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc: Any = None) -> Any:
            started[:] = [status, headers]

        payload = b"".join(self.server.app(environ, start_response))
        return started[0], started[1], payload

    def reset(self) -> None:
        """Ends the connection without an answer, as when the server or a proxy before it is killed."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        self.connection.close()
        self.close_connection = True

    def reply(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@dataclass(frozen=True)
class ReceivedRequest:
    method: str
    path: str  # as sent: still percent-encoded
    query_string: str
    headers: dict[str, str]
    body: bytes


class Sandbox:
    """A Sentry on a loopback port, for the time of a `with` block.

    `env` holds addresses, tokens and ids; `requests` lists what was received since the last `requests.clear()`, without
    what a fault kept from being handled; `faults` plays none unless some are given.
    """

    def __init__(  # noqa: PLR0913 - what a caller does not name is as it should be
        self,
        database: str = ":memory:",
        port: int = 0,
        host: str = "127.0.0.1",
        quota: int | None = None,
        record: bool = True,
        *,
        faults: Faults | None = None,
    ) -> None:
        self.requests: list[ReceivedRequest] = []
        self.faults = faults or Faults(0.0)
        self.store = Store(database)
        self._app: Flask = create_app(self.store, quota)
        self._app.extensions["connections"] = set()
        self._app.extensions["faults"] = self.faults
        if record:
            self._app.before_request_funcs.setdefault(None, []).insert(0, self._record)
        self._server: BaseWSGIServer = make_server(host, port, self._app, threaded=True, request_handler=Handler)
        self.base = f"http://{host}:{self._server.server_port}"
        self.store.url_prefix = self.base
        self.env = self.store.env()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def _record(self) -> None:
        target = urlsplit(request.environ["RAW_URI"])
        headers = dict(request.headers)
        self.requests.append(ReceivedRequest(request.method, target.path, target.query, headers, request.get_data()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, cut open connections, close the database."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        for connection in list(self._app.extensions["connections"]):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self.store.close()
