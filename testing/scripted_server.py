"""An HTTP server on loopback that plays a script of expected requests and their responses.

A request that is not the next one of the script fails the test, and so does a request that is never sent.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

# The header of the last page of a list, which Sentry sends with every page.
LAST_PAGE = {"Link": '<http://h.example/>; rel="next"; results="false"; cursor="0:100:0"'}


@dataclass(frozen=True)
class Received:
    """A request as the server received it."""

    method: str
    path: str
    params: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    client_port: int


@dataclass(frozen=True)
class Answer:
    """A response of the script.

    :param play: a function that responds instead, such as with a reset
    :param unread: whether to respond before reading the body of the request
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    play: Callable[[BaseHTTPRequestHandler], None] | None = None
    unread: bool = False


class ScriptedServer:
    """`with ScriptedServer(("GET", "/api/0/", Answer(...)), ...) as server:`; `server.received` afterwards."""

    def __init__(self, *script: tuple[str, str, Answer]) -> None:
        self._script = list(script)
        self._lock = threading.Lock()
        self.received: list[Received] = []
        self.unexpected: list[str] = []
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._httpd.daemon_threads = True
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.01,), daemon=True)
        self.base = f"http://127.0.0.1:{self._httpd.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()
        if kind is None or self.unexpected:
            assert not self.unexpected, f"unexpected requests: {self.unexpected}"
            assert not self._script, f"never requested: {[line[:2] for line in self._script]}"

    def _leaves_unread(self) -> bool:
        with self._lock:
            return bool(self._script) and self._script[0][2].unread

    def _next(self, received: Received) -> Answer:
        with self._lock:
            self.received.append(received)
            if self._script and self._script[0][:2] == (received.method, received.path):
                return self._script.pop(0)[2]
            self.unexpected.append(f"{received.method} {received.path}")
            return Answer(status=599, body=b"not in the script")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Without this, the body would wait for the acknowledgement of the headers.
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                parts = urlsplit(self.path)
                body = b"" if outer._leaves_unread() else self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                path = self.path if self.command == "CONNECT" else parts.path
                params = parse_qsl(parts.query, keep_blank_values=True)
                answer = outer._next(Received(self.command, path, params, headers, body, self.client_address[1]))
                if answer.play:
                    answer.play(self)
                    return
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            # http.server calls these methods by name.
            do_GET = do_POST = do_PUT = do_DELETE = do_CONNECT = handle_any  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing."""

        return Handler
