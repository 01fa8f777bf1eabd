"""Connections that limit the time of a whole response, where sockets only limit the time of each read.

Without it, a server that sends a byte now and then could hold a step forever, and a header line without an end could
fill the memory, because http.client reads lines as a whole.
"""

import http.client
import io
import socket
import time
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

# A hundred events with stack traces take a twentieth of it.
MAX_BODY_BYTES = 64 * 1024 * 1024
# For headers and the framing of chunks.
_MAX_FRAMING_BYTES = 4 * 1024 * 1024
_BUFFER_BYTES = 64 * 1024


class ResponseTooLarge(OSError):
    """The response has more bytes than allowed."""


def limit_response_time(manager: urllib3.PoolManager) -> None:
    """Make the pools of a manager create connections whose socket timeout applies to the whole response."""
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


class _DeadlineConnection(HTTPConnection):
    response_class = _DeadlineResponse


class _DeadlineTLSConnection(HTTPSConnection):
    response_class = _DeadlineResponse


class _DeadlinePool(HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection


class _DeadlineTLSPool(HTTPSConnectionPool):
    ConnectionCls = _DeadlineTLSConnection
