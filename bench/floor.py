"""The floor: the pages over one connection, parsed, and nothing done with them.

Python's garbage collector is at work as it comes, and takes more than half of the time where so much is made at once.
For information it can be switched off.

As a process of its own it stands beside the plugin's `run`, and so begins as that has to, with the runtime:

    python -c "from bench.floor import run; run()" LISTING

or, as a process that is warm, beside the plugin's HTTP mode: it reads listings from stdin, one a line, and writes for
each what it took.

    python -c "from bench.floor import serve; serve()"

A LISTING is a JSON object of `url`, `params`, `id_key`, `collects` (whether the garbage collector is at work) and
`authority` (the file of those to trust, or "").
"""

import gc
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import orjson
import urllib3

from bench.data import TOKEN
from bench.reading import peak, reset_peak

Listing = dict[str, Any]
Pools = dict[str, urllib3.PoolManager]

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json", "Accept-Encoding": "gzip"}
SECONDS = 60.0


def pool(authority: str) -> urllib3.PoolManager:
    return urllib3.PoolManager(maxsize=16, ca_certs=authority or None, timeout=SECONDS)


def records_of(http: urllib3.PoolManager, listing: Listing) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    params, cursor = dict(listing["params"]), ""
    while True:
        query = urlencode(params | ({"cursor": cursor} if cursor else {}))
        response = http.request("GET", f"{listing['url']}?{query}", headers=HEADERS)
        if response.status != 200:
            raise ValueError(f"the server answered {response.status}")
        records += orjson.loads(response.data)
        following = response.headers["link"].rpartition('rel="next"')[2]
        if 'results="true"' not in following:
            return records
        cursor = following.rpartition('cursor="')[2].partition('"')[0]


def seen(records: list[dict[str, Any]], listing: Listing) -> dict[str, int]:
    """What proves that the whole list was read."""
    return {"records": len(records), "different": len({record[listing["id_key"]] for record in records})}


def run() -> None:
    import insightconnect_plugin_runtime  # noqa: F401, PLC0415 - it is what every step begins with, and no other use

    listing = json.loads(sys.argv[1])
    print(json.dumps(seen(records_of(pool(listing["authority"]), listing), listing)))


def serve() -> None:
    pools: Pools = {}
    for line in sys.stdin:
        print(json.dumps(measured(json.loads(line), pools)), flush=True)


def measured(listing: Listing, pools: Pools) -> dict[str, Any]:
    """Reads a list: what it took and what came of it."""
    authority = listing["authority"]
    http = pools.setdefault(authority, pool(authority))
    reset_peak("self")
    started, began = time.perf_counter(), time.process_time()
    with collecting(listing["collects"]):
        records = records_of(http, listing)
        wall, cpu = time.perf_counter() - started, time.process_time() - began
    return {"wall": wall, "cpu": cpu, "peak": peak("self"), **seen(records, listing)}


@contextmanager
def collecting(is_on: bool) -> Iterator[None]:
    """Has the garbage collector at work or not for a while."""
    if not is_on:
        gc.disable()
    try:
        yield
    finally:
        gc.enable()
