"""Connections that limit the time of connecting and of a whole response, where urllib3 limits each address and read.

Without it, a host with many unreachable addresses, or a server that sends a byte from time to time, could block a step
for hours, and an endless header line could fill the memory, because http.client reads lines as a whole.
"""

import http.client
import io
import socket
import threading
import time
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

# A page of 100 events with stack traces has about 5 % of it.
MAX_BODY_BYTES = 64 * 1024 * 1024
# For headers and the framing of chunks.
_MAX_FRAMING_BYTES = 4 * 1024 * 1024
_BUFFER_BYTES = 64 * 1024
# A firewall can drop an idle connection without telling either side. Many do after a few minutes.
MAX_IDLE_SECONDS = 60.0
# How soon the kernel closes a connection whose other end is gone. In seconds, TCP_USER_TIMEOUT in milliseconds.
_TCP_OPTIONS = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}
SOCKET_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    # Not every operating system has all of them.
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in _TCP_OPTIONS.items()
        if hasattr(socket, name)
    ),
)
# The timeout 0 would make a socket non-blocking.
_MIN_TIMEOUT = 0.001

_Addresses = list[tuple[Any, ...]]


class ResponseTooLarge(OSError):
    """The response has more bytes than allowed."""


def limit_response_time(manager: urllib3.PoolManager) -> None:
    """Make the pools of a manager create connections whose timeouts apply to connecting and to the whole response."""
    manager.pool_classes_by_scheme = {"http": _DeadlinePool, "https": _DeadlineTLSPool}


class _DeadlineFile(io.RawIOBase):
    """Reads from a socket until the socket's timeout has passed once for all reads together."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._file = sock.makefile("rb", buffering=0)
        seconds = sock.gettimeout()
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._bytes_left = MAX_BODY_BYTES + _MAX_FRAMING_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)
        size = self._file.readinto(buffer)
        self._bytes_left -= size or 0
        if self._bytes_left < 0:
            raise ResponseTooLarge("too large")
        return size

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _DeadlineSocket:
    """The part of a socket that http.client.HTTPResponse uses."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineFile(self._socket), _BUFFER_BYTES)


class _DeadlineResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(cast(socket.socket, _DeadlineSocket(sock)), *args, **kwargs)

    def _read_status(self) -> tuple[str, int, str]:
        """Make http.client skip each interim response (RFC 9110, section 15.2), where it only skips 100."""
        version, status, reason = super()._read_status()  # type: ignore[misc]
        is_interim = 100 <= status < 200 and status != http.HTTPStatus.SWITCHING_PROTOCOLS
        return version, http.HTTPStatus.CONTINUE if is_interim else status, reason


class _DeadlineConnection(HTTPConnection):
    response_class = _DeadlineResponse
    _deadline = 0.0
    _last_used = 0.0

    def connect(self) -> None:
        self._deadline = time.monotonic() + cast(float, self.timeout)
        super().connect()
        self.sock.settimeout(cast(float, self.timeout))

    def _new_conn(self) -> socket.socket:
        """Resolve the host and connect to one of its addresses, all within the timeout."""
        self._last_used = time.monotonic()
        try:
            return _connect(_resolve(self._dns_host.strip("[]"), self.port, self._deadline), self._deadline)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"Connecting to {self.host} took longer than {self.timeout} s") from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error

    def _tunnel(self) -> None:
        super()._tunnel()
        self.sock.settimeout(_left(self._deadline))

    def getresponse(self) -> Any:
        self._last_used = time.monotonic()
        return super().getresponse()

    @property
    def is_connected(self) -> bool:
        """Whether a pooled connection can be used again."""
        return super().is_connected and time.monotonic() - self._last_used <= MAX_IDLE_SECONDS


class _DeadlineTLSConnection(_DeadlineConnection, HTTPSConnection):
    pass


def _resolve(host: str, port: int, deadline: float) -> _Addresses:
    """Look up the addresses of a host, in another thread, because getaddrinfo has no timeout.

    :raises socket.gaierror: the host name cannot be resolved, or not in time
    """
    results: list[_Addresses | OSError | ValueError] = []

    def look_up() -> None:
        try:
            results.append(socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            results.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_left(deadline))
    if not results:
        raise socket.gaierror(socket.EAI_AGAIN, "The name server did not respond in time")
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def _connect(addresses: _Addresses, deadline: float) -> socket.socket:
    """Connect to the first address that accepts. Each may take half of the time that is left, the last one all of it.

    :raises OSError: the failure of the last address
    """
    failure = OSError("the host has no address")
    for remaining, (family, kind, protocol, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            for option in SOCKET_OPTIONS:
                sock.setsockopt(*option)
            sock.settimeout(_left(deadline) / min(remaining, 2))
            sock.connect(address)
            sock.settimeout(_left(deadline))
            return sock
        except OSError as error:
            failure = error
            if sock:
                sock.close()
    raise failure


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), _MIN_TIMEOUT)


class _DeadlinePool(HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection


class _DeadlineTLSPool(HTTPSConnectionPool):
    ConnectionCls = _DeadlineTLSConnection
