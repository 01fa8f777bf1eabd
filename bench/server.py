"""A server that costs as little as can be, so that it is not what is measured: every response is made beforehand.

    python -m bench.server --issues 40000 --events 2000 [--latency 0.05] [--tls CERTIFICATE] [--gzip]

prints the port of the API and that of the control path, which are the same without TLS. The control path answers what
was asked for since it was last asked, and begins to count anew: `GET /control` or, to let lists end after so many
records, `GET /control?records=2500`.
"""

import argparse
import asyncio
import gc
import gzip
import itertools
import json
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from bench import data

PAGE = 100
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.I)
_GZIP = re.compile(rb"\r\naccept-encoding:[^\r]*\bgzip\b", re.I)
_CURSOR = re.compile(rb"[?&]cursor=0(?:%3A|:)([0-9]+)", re.I)
_SIZE = re.compile(rb"[?&](?:limit|per_page)=([0-9]+)")
_RECORDS = re.compile(rb"[?&]records=([0-9]+)")
_NUMBERS = itertools.count()
_ISSUES = b"/api/0/projects/acme/pump-station/issues/"
_EVENTS = b"/api/0/issues/%d/events/" % data.ISSUE
_STORE = b"/api/%d/store/" % data.PROJECT


class Asked(NamedTuple):
    """What tells one request from another."""

    is_gzip: bool
    size: int
    start: int


@dataclass
class Counts:
    """What came in since it was last asked.

    :param connections: over which requests came; one that was kept from before counts too
    :param body_bytes: of what was posted
    """

    requests: int = 0
    connections: int = 0
    body_bytes: int = 0


def response(body: bytes, *headers: str) -> bytes:
    head = ("HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join((*head, "", "")).encode() + body


NOT_FOUND = response(b'{"detail":"Not found."}').replace(b"200 OK", b"404 Not Found", 1)


class Pages:
    """A list of records, cut into pages with Sentry's Link header, all of them ready to be sent.

    :param records: each as JSON
    :param url: of the list
    """

    def __init__(self, records: list[bytes], url: str, with_gzip: bool) -> None:
        self._records = records
        self._url = url
        self._encodings = (False, True) if with_gzip else (False,)
        self._full = self._rendered(range(0, len(records), PAGE), len(records) + 1)
        self._ready: dict[Asked, bytes] = {}
        self.end(len(records))

    def end(self, length: int) -> None:
        """Has the list end after so many records."""
        last = range((length - 1) // PAGE * PAGE, length, PAGE)
        self._ready = self._full | self._rendered(last, length)
        for is_gzip in self._encodings:
            self._ready[Asked(is_gzip, 1, 0)] = self._page(Asked(is_gzip, 1, 0), length)

    def page(self, target: bytes, accepts_gzip: bool) -> bytes:
        size, start = _SIZE.search(target), _CURSOR.search(target)
        # Without a size Sentry answers a hundred too.
        asked = Asked(accepts_gzip and True in self._encodings, int(size[1]) if size else PAGE, _number(start))
        return self._ready.get(asked, NOT_FOUND)

    def _rendered(self, starts: range, length: int) -> dict[Asked, bytes]:
        asked = [Asked(is_gzip, PAGE, start) for is_gzip in self._encodings for start in starts]
        return {one: self._page(one, length) for one in asked}

    def _page(self, asked: Asked, length: int) -> bytes:
        following = asked.start + asked.size
        body = b"[" + b",".join(self._records[asked.start : min(following, length)]) + b"]"
        link = ", ".join(
            (
                self._link("previous", max(asked.start - asked.size, 0), "1", asked.start > 0),
                self._link("next", following, "0", following < length),
            )
        )
        if asked.is_gzip:
            return response(gzip.compress(body, 6), link, "Content-Encoding: gzip", "Vary: Accept-Encoding")
        return response(body, link)

    def _link(self, direction: str, start: int, backwards: str, has_results: bool) -> str:
        cursor = f"0:{start}:{backwards}"
        said = f'rel="{direction}"; results="{str(has_results).lower()}"; cursor="{cursor}"'
        prefix = "Link: " if direction == "previous" else ""
        return f"{prefix}<{self._url}?&cursor={cursor}>; {said}"


def _number(match: re.Match[bytes] | None) -> int:
    return int(match[1]) if match else 0


@dataclass
class Site:
    """What all connections share.

    :param latency: how many seconds pass before a response is sent
    """

    issues: Pages
    events: Pages
    latency: float = 0.0
    counts: Counts = field(default_factory=Counts)
    connections: set[int] = field(default_factory=set)
    stored: int = 0

    def answer(self, method: bytes, target: bytes, accepts_gzip: bool) -> bytes:
        path = target.partition(b"?")[0]
        if path == _ISSUES:
            return self.issues.page(target, accepts_gzip)
        if path == _EVENTS:
            return self.events.page(target, accepts_gzip)
        if path == _STORE and method == b"POST":
            self.stored += 1
            return response(b'{"id":"%032x"}' % self.stored)
        return NOT_FOUND

    def control(self, target: bytes) -> bytes:
        """The counts so far; they begin anew."""
        self.counts.connections = len(self.connections)
        body = json.dumps(vars(self.counts)).encode()
        self.counts = Counts()
        self.connections.clear()
        if records := _number(_RECORDS.search(target)):
            self.issues.end(records)
            self.events.end(records)
        return response(body)


class Connection(asyncio.Protocol):
    """One connection of a client, which sends its next request when it has the answer to the last one."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._number = next(_NUMBERS)
        self._received = bytearray()
        self._wanted = 0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, received: bytes) -> None:
        self._received += received
        if len(self._received) < self._wanted:
            return
        end = self._received.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = bytes(self._received[:end])
        length = _number(_LENGTH.search(head))
        self._wanted = end + length
        if len(self._received) >= self._wanted:
            self._received.clear()
            self._wanted = 0
            self._answer(head, length)

    def _answer(self, head: bytes, length: int) -> None:
        method, target, _ = head.split(b" ", 2)
        site = self._site
        assert self._transport
        if target.startswith(b"/control"):
            self._transport.write(site.control(target))
            return
        site.counts.requests += 1
        site.counts.body_bytes += length
        site.connections.add(self._number)
        answer = site.answer(method, target, bool(_GZIP.search(head)))
        if site.latency:
            asyncio.get_running_loop().call_later(site.latency, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def serve(options: argparse.Namespace) -> None:
    """Serves until the process is ended."""
    loop = asyncio.get_running_loop()
    site: Site

    def connection() -> Connection:
        return Connection(site)

    control = await loop.create_server(connection, "127.0.0.1", 0)
    api = control
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.tls)
        api = await loop.create_server(connection, "127.0.0.1", 0, ssl=context)
    port, control_port = (server.sockets[0].getsockname()[1] for server in (api, control))
    base = f"{'https' if options.tls else 'http'}://127.0.0.1:{port}"
    site = Site(
        Pages(list(rendered(data.issue, options.issues)), base + _ISSUES.decode(), options.gzip),
        Pages(list(rendered(data.event, options.events)), base + _EVENTS.decode(), options.gzip),
        options.latency,
    )
    print(json.dumps({"base": base, "control": control_port}), flush=True)
    # Nothing that is here now goes away: looking for it would delay an answer now and then.
    gc.freeze()
    await asyncio.Event().wait()


def rendered(record: Callable[[int], dict[str, Any]], length: int) -> Iterator[bytes]:
    return (orjson.dumps(record(number)) for number in range(length))


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.server")
    parser.add_argument("--issues", type=int, default=PAGE, help="how many there are at most")
    parser.add_argument("--events", type=int, default=PAGE, help="how many there are at most")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each response")
    parser.add_argument("--tls", help="a file with a key and its certificate")
    parser.add_argument("--gzip", action="store_true", help="compress pages for clients that ask for it")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
