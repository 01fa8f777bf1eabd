"""Faults of servers, proxies and networks, for `Answer.play`: each one acts on a real connection."""

import gzip
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

from testing.fake_clock import FakeClock

# Limits a fault if the client does not close the connection.
MAX_TRICKLE_SECONDS = 5.0
TRICKLE_INTERVAL = 0.01

Play = Callable[[BaseHTTPRequestHandler], None]


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Reset the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()
    handler.close_connection = True


def answer_and_close(handler: BaseHTTPRequestHandler) -> None:
    """Respond, and close the connection without a Connection header, as Sentry 9 does."""
    send_head(handler, 200, {"Content-Length": "2"})
    handler.wfile.write(b"{}")
    handler.close_connection = True


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    """Announce 100 bytes, and send one."""
    send_head(handler, 200, {"Content-Length": "100"})
    handler.wfile.write(b"[")
    handler.close_connection = True


def cut_off_chunk(handler: BaseHTTPRequestHandler) -> None:
    """Announce a chunk of 255 bytes, and send one."""
    send_head(handler, 200, {"Transfer-Encoding": "chunked"})
    handler.wfile.write(b"ff\r\n[")
    handler.close_connection = True


def no_http(handler: BaseHTTPRequestHandler) -> None:
    """Respond as a mail server."""
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n\r\n")
    handler.close_connection = True


def broken_gzip(handler: BaseHTTPRequestHandler) -> None:
    """Announce a compressed body, and send another."""
    send_head(handler, 200, {"Content-Encoding": "gzip", "Content-Length": "6"})
    handler.wfile.write(b"no zip")


def bomb(size: int, location: str = "") -> Play:
    """A small response whose body has `size` bytes when it is decompressed.

    :param location: the target if it is a redirect, "" if it is not
    """
    body = gzip.compress(b" " * size)

    def play(handler: BaseHTTPRequestHandler) -> None:
        headers = {"Content-Encoding": "gzip", "Content-Length": str(len(body)), "Location": location}
        send_head(handler, 302 if location else 200, headers)
        handler.wfile.write(body)
        handler.close_connection = True

    return play


def after(clock: FakeClock, seconds: float, body: Any, status: int = 200) -> Play:
    """Respond with JSON after some seconds of a clock."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        clock.sleep(seconds)
        content = json.dumps(body).encode()
        send_head(handler, status, {"Content-Length": str(len(content))})
        handler.wfile.write(content)

    return play


def endless_body(handler: BaseHTTPRequestHandler) -> None:
    """Send a body until the client closes the connection."""
    send_head(handler, 200, {})
    chunk = b" " * 65536
    with suppress(OSError):
        for _ in range(100_000):
            handler.wfile.write(chunk)
    handler.close_connection = True


def endless_chunk_size(handler: BaseHTTPRequestHandler) -> None:
    """Send the line with the size of a chunk until the client closes the connection."""
    send_head(handler, 200, {"Transfer-Encoding": "chunked"})
    with suppress(OSError):
        for _ in range(100_000):
            handler.wfile.write(b"0" * 65536)
    handler.close_connection = True


def trickled_body(handler: BaseHTTPRequestHandler) -> None:
    """Send a body byte by byte, so that no single read takes long."""
    send_head(handler, 200, {"Content-Length": "1000000"})
    _trickle(handler, b" ")


def trickled_headers(handler: BaseHTTPRequestHandler) -> None:
    """Send a header byte by byte."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _trickle(handler, b"x")


def silence(handler: BaseHTTPRequestHandler) -> None:
    """Do not respond until the client closes the connection."""
    handler.connection.settimeout(MAX_TRICKLE_SECONDS)
    with suppress(OSError):
        handler.connection.recv(1)
    handler.close_connection = True


def send_head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    """Send the status line and the headers."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()


def _trickle(handler: BaseHTTPRequestHandler, byte: bytes) -> None:
    end = time.monotonic() + MAX_TRICKLE_SECONDS
    with suppress(OSError):
        while time.monotonic() < end:
            handler.wfile.write(byte)
            handler.wfile.flush()
            time.sleep(TRICKLE_INTERVAL)
    handler.close_connection = True
