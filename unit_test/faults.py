"""What a server, a proxy or a network does to a client: ways to play it on a real connection."""

import gzip
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

# Trickling goes on for so long at most, should the client not hang up.
LONGEST_TRICKLE_SECONDS = 5.0
TRICKLE_SECONDS = 0.01

Play = Callable[[BaseHTTPRequestHandler], None]


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Ends the connection with a reset."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()
    handler.close_connection = True


def answer_and_close(handler: BaseHTTPRequestHandler) -> None:
    """Closes the connection after the answer without having said so, as Sentry 9 does."""
    send_head(handler, 200, {"Content-Length": "2"})
    handler.wfile.write(b"{}")
    handler.close_connection = True


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    """Promises 100 bytes and sends one."""
    send_head(handler, 200, {"Content-Length": "100"})
    handler.wfile.write(b"[")
    handler.close_connection = True


def cut_off_chunk(handler: BaseHTTPRequestHandler) -> None:
    send_head(handler, 200, {"Transfer-Encoding": "chunked"})
    handler.wfile.write(b"ff\r\n[")
    handler.close_connection = True


def no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n\r\n")
    handler.close_connection = True


def broken_gzip(handler: BaseHTTPRequestHandler) -> None:
    send_head(handler, 200, {"Content-Encoding": "gzip", "Content-Length": "6"})
    handler.wfile.write(b"no zip")


def bomb(size: int, location: str = "") -> Play:
    """A small response that becomes so many bytes when it is decompressed.

    :param location: to which it redirects; "" where it is no redirect
    """
    body = gzip.compress(b" " * size)

    def play(handler: BaseHTTPRequestHandler) -> None:
        headers = {"Content-Encoding": "gzip", "Content-Length": str(len(body)), "Location": location}
        send_head(handler, 302 if location else 200, headers)
        handler.wfile.write(body)
        handler.close_connection = True

    return play


def endless_body(handler: BaseHTTPRequestHandler) -> None:
    """Sends without end, until the client hangs up."""
    send_head(handler, 200, {})
    chunk = b" " * 65536
    with suppress(OSError):
        for _ in range(100_000):
            handler.wfile.write(chunk)
    handler.close_connection = True


def endless_chunk_size(handler: BaseHTTPRequestHandler) -> None:
    """A line that says how long the next chunk is, and has no end."""
    send_head(handler, 200, {"Transfer-Encoding": "chunked"})
    with suppress(OSError):
        for _ in range(100_000):
            handler.wfile.write(b"0" * 65536)
    handler.close_connection = True


def trickled_body(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then: no single wait is long."""
    send_head(handler, 200, {"Content-Length": "1000000"})
    _trickle(handler, b" ")


def trickled_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _trickle(handler, b"x")


def silence(handler: BaseHTTPRequestHandler) -> None:
    """Takes the request and never answers, until the client hangs up."""
    handler.connection.settimeout(LONGEST_TRICKLE_SECONDS)
    with suppress(OSError):
        handler.connection.recv(1)
    handler.close_connection = True


def send_head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()


def _trickle(handler: BaseHTTPRequestHandler, byte: bytes) -> None:
    end = time.monotonic() + LONGEST_TRICKLE_SECONDS
    with suppress(OSError):
        while time.monotonic() < end:
            handler.wfile.write(byte)
            handler.wfile.flush()
            time.sleep(TRICKLE_SECONDS)
    handler.close_connection = True
