"""A Sentry server that costs little: its records are encoded before the measurement.

The path of a list names its length: project `pump-station-2500` has 2,500 issues, issue 2500 has 2,500 events. One port
responds at once over HTTP, the other after a latency over TLS. `GET /counts` on the first port returns the number of
requests, and of bytes of their bodies, since the last time.

    python -m bench.server ISSUES EVENTS CERTIFICATE LATENCY
"""

import asyncio
import json
import re
import ssl
import sys
from functools import partial
from urllib.parse import parse_qs, urlsplit

import orjson

from bench import data

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
_LIST = re.compile(r"/api/0/(?:projects/acme/pump-station-(?P<issues>\d+)/issues|issues/(?P<events>\d+)/events)/")


class Site:
    """The content of the server, shared by its connections."""

    def __init__(self, issues: int, events: int) -> None:
        sizes = {"issues": issues, "events": events}
        examples = zip(sizes.items(), data.examples(), strict=True)
        self.records = {
            kind: [orjson.dumps(data.record(example, number)) for number in range(size)]
            for (kind, size), example in examples
        }
        self.requests = self.received = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency: float = 0.0) -> None:
        """Respond to the requests of a connection until the client closes it."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                await asyncio.sleep(latency)
                method, target, _ = head.decode().split(" ", 2)
                writer.write(self.respond(method, target, len(body)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def respond(self, method: str, target: str, received: int) -> bytes:
        if target == "/counts":
            counts, self.requests, self.received = (self.requests, self.received), 0, 0
            return _response(json.dumps(counts).encode())
        self.requests += 1
        self.received += received
        if method == "POST":
            return _response(b'{"id":"%032x"}' % self.requests)
        url = urlsplit(target)
        path, query = _LIST.match(url.path), dict(parse_qs(url.query))
        assert path, target
        (kind, total), *_ = ((kind, int(size)) for kind, size in path.groupdict().items() if size)
        (size,) = query.get("limit") or query["per_page"]
        start = int(query.get("cursor", ["0:0:0"])[0].split(":")[1])
        end = start + int(size)
        link = f"{_link('previous', 0, start > 0)}, {_link('next', end, end < total)}"
        return _response(b"[" + b",".join(self.records[kind][start : min(end, total)]) + b"]", link)


def _link(direction: str, start: int, has_results: bool) -> str:
    # Not an offset cursor (0:100:0), at which the plugin continues by time, because this server ignores times.
    cursor = f"1785585600000:{start}:{int(direction == 'previous')}"
    results = str(has_results).lower()
    return f'<http://127.0.0.1/?cursor={cursor}>; rel="{direction}"; results="{results}"; cursor="{cursor}"'


def _response(body: bytes, link: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nLink: {link}\r\n\r\n"
    return head.encode() + body


async def serve(site: Site, certificate: str, latency: float) -> None:
    """Serve until the process ends."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    plain = await asyncio.start_server(site.handle, "127.0.0.1")
    tls = await asyncio.start_server(partial(site.handle, latency=latency), "127.0.0.1", ssl=context)
    print(json.dumps([server.sockets[0].getsockname()[1] for server in (plain, tls)]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Site(int(sys.argv[1]), int(sys.argv[2])), sys.argv[3], float(sys.argv[4])))
