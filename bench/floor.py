"""The floor: read the pages of a list over one kept-alive connection, parse them, and do nothing else."""

import hashlib
import time
from typing import Any

import orjson
import urllib3

from bench.data import TOKEN

Records = list[dict[str, Any]]
Fingerprint = tuple[int, str]

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json", "Accept-Encoding": "gzip"}
SECONDS = 60.0
_pools: dict[str, urllib3.PoolManager] = {}


def pool(authority: str = "") -> urllib3.PoolManager:
    """The connection pool of this process.

    :param authority: file with the certificate authority to trust, "" for those of the system
    """
    if authority not in _pools:
        _pools[authority] = urllib3.PoolManager(maxsize=16, ca_certs=authority or None, timeout=SECONDS)
    return _pools[authority]


def fetch(url: str, authority: str = "") -> Records:
    """Read all pages of a list.

    :param url: of the first page, with its query
    """
    http, records, page = pool(authority), Records(), url
    while True:
        response = http.request("GET", page, headers=HEADERS)
        if response.status != 200:
            raise ValueError(f"the server returned {response.status} for {page}")
        records += orjson.loads(response.data)
        following = response.headers["link"].rpartition('rel="next"')[2]
        if 'results="true"' not in following:
            return records
        page = f"{url}&cursor=" + following.rpartition('cursor="')[2].partition('"')[0]


def measure(url: str, authority: str) -> tuple[float, float, Fingerprint]:
    """Read a list. Return the seconds and CPU seconds that it took, and the fingerprint of its records."""
    started, began = time.perf_counter(), time.process_time()
    records = fetch(url, authority)
    return time.perf_counter() - started, time.process_time() - began, fingerprint(records)


def fingerprint(records: Records) -> Fingerprint:
    """The number of records that differ, and a hash of what every reader of a list returns unchanged, in order."""
    kept = [(record["id"], record["title"], record["metadata"]) for record in records]
    digest = hashlib.sha256(orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return len({identity for identity, *_ in kept}), digest
