"""An HTTP server on loopback that receives the messages of a trigger, as InsightConnect does."""

import json
import random
import select
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from testing.plugin import Json

# The statuses of the responses to rejected messages. None closes the connection without a response.
REJECTIONS = (500, 503, 429, None)


@dataclass(frozen=True)
class Delivery:
    """A message as the sink received it.

    :param status: of the response, None for no response
    """

    message: Json
    status: int | None

    @property
    def accepted(self) -> bool:
        return self.status == 200

    @property
    def output(self) -> Json:
        output: Json = self.message["body"]["output"]
        return output


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the end of a connection."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Sink:
    """Receives messages on a free port, for the time of a `with` block.

    `url` is the URL of the dispatcher. With TLS, SSL_CERT_FILE must name `ca_bundle`. `delay`, which can change at any
    time, is how many seconds the sink takes to accept a message, and then to respond. A message is lost if the trigger
    is killed before it is accepted.

    :param reject: the share of the messages to reject
    :param seed: of the random numbers that choose these messages
    """

    def __init__(self, reject: float = 0.0, seed: int = 1, tls: bool = False) -> None:
        self.tls = tls
        self.reject = reject
        self.delay = 0.0
        self._rng = random.Random(seed)
        self._deliveries: list[Delivery] = []
        self._arrival = threading.Condition()
        self._closed = threading.Event()
        self._httpd = Server(("127.0.0.1", 0), self._handler())
        self._folder = tempfile.TemporaryDirectory()
        self.ca_bundle = Path(self._folder.name, "bundle.pem")
        if tls:
            self._use_tls()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._httpd.server_address[1]}/dispatcher"
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.01,), daemon=True)

    def _use_tls(self) -> None:
        # `make demo` uses the sink without TLS, and its environment does not have this package.
        import trustme  # noqa: PLC0415

        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_bundle))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._httpd.socket = context.wrap_socket(self._httpd.socket, server_side=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._httpd.shutdown()
        self._httpd.server_close()
        self._folder.cleanup()

    @property
    def deliveries(self) -> list[Delivery]:
        """All messages, in the order in which they arrived."""
        with self._arrival:
            return list(self._deliveries)

    @property
    def outputs(self) -> list[Json]:
        """The outputs of the accepted messages, in the order in which they arrived."""
        return [delivery.output for delivery in self.deliveries if delivery.accepted]

    def wait_for(self, ready: Callable[[list[Json]], bool], seconds: float) -> bool:
        """Wait until `ready` is true for the outputs of the accepted messages.

        :returns: False if it is not within these seconds
        """
        with self._arrival:
            return self._arrival.wait_for(lambda: ready(self.outputs), seconds)

    def _receive(self, body: bytes) -> int | None:
        """Record a message; return the status of the response."""
        message = json.loads(body)
        with self._arrival:
            status = self._rng.choice(REJECTIONS) if self._rng.random() < self.reject else 200
            self._deliveries.append(Delivery(message, status))
            self._arrival.notify_all()
        return status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Without this, the body would wait for the acknowledgement of the headers.
            disable_nagle_algorithm = True

            # http.server calls this method by name.
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer._closed.wait(outer.delay)
                status = None if self.is_client_gone() else outer._receive(body)
                outer._closed.wait(outer.delay)
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def is_client_gone(self) -> bool:
                # It sends nothing before the response, so what can be read is the end of the connection.
                return bool(select.select([self.connection], [], [], 0)[0])

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing."""

        return Handler
