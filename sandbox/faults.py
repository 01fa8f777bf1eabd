"""Random faults of a server, a proxy or a network: error responses and reset connections.

with Sandbox(faults=Faults(0.3, seed=1)) as sandbox:
    ...  # 30 % of the requests fail
    sandbox.faults.on = False
"""

import random
import re
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

PAGE_503 = (
    b"<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503 Service "
    b"Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
# Sentry sends this JSON as text/html.
BODY_429 = b'"You are attempting to use this endpoint too frequently. Limit is 40 requests in 1 seconds"'
RETRY_AFTER = ("0", "1", None)


class Fault(Enum):
    UNAVAILABLE = "503"
    LIMITED = "429"
    REQUEST_LOST = "reset before the request was handled"
    RESPONSE_LOST = "reset after the request was handled"


@dataclass(frozen=True)
class ErrorResponse:
    """The error response that replaces the regular one."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class Faults:
    """Choose the requests that fail, and count them. Thread-safe.

    Set `on` to False or True to turn the faults off or on. `requests` is the number of all requests, `played` counts
    the faults by kind.

    :param rate: the fraction of requests that fail, from 0 to 1
    :param seed: requests in the same order have the same faults
    :param paths: a regular expression that the beginning of a path must match to fail
    :param kinds: the faults to choose from, with equal probability
    :param max_in_a_row: how often identical requests fail in a row at most, None for no limit. Without a limit, a
        client with eight attempts can still fail: at a rate of 30 %, one request in 15,000 fails eight times in a row
    """

    def __init__(
        self,
        rate: float,
        seed: int = 0,
        paths: str = "",
        kinds: Collection[Fault] = tuple(Fault),
        max_in_a_row: int | None = None,
    ) -> None:
        self.on = True
        self.requests = 0
        self.played: Counter[Fault] = Counter()
        self._rate = rate
        self._random = random.Random(seed)  # noqa: S311 - not used for a secret
        self._paths = re.compile(paths)
        self._kinds = tuple(kinds)
        self._max_in_a_row = max_in_a_row
        self._in_a_row: Counter[int] = Counter()
        self._lock = threading.Lock()

    def choose(self, method: str, target: str, body: bytes) -> Fault | None:
        """The fault to play for a request, None for none."""
        identity = hash((method, target, body))
        with self._lock:
            self.requests += 1
            if not self._should_fail(target, identity):
                del self._in_a_row[identity]
                return None
            fault = self._random.choice(self._kinds)
            self.played[fault] += 1
            if self._max_in_a_row is not None:
                self._in_a_row[identity] += 1
            return fault

    def _should_fail(self, target: str, identity: int) -> bool:
        if not self.on or not self._paths.match(target) or self._in_a_row[identity] == self._max_in_a_row:
            return False
        return self._random.random() < self._rate

    def error_response(self, fault: Fault) -> ErrorResponse | None:
        """The error response of a fault, None if the connection ends without a response."""
        html = ("Content-Type", "text/html")
        if fault is Fault.UNAVAILABLE:
            return ErrorResponse("503 Service Temporarily Unavailable", [html], PAGE_503)
        if fault is not Fault.LIMITED:
            return None
        with self._lock:
            hint = self._random.choice(RETRY_AFTER)
        return ErrorResponse("429 Too Many Requests", [html, *([("Retry-After", hint)] if hint else [])], BODY_429)
