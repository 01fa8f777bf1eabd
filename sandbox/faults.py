"""What a server, a proxy before it and the network between do to requests in a bad hour, played at random.

with Sandbox(faults=Faults(0.3, seed=1)) as sandbox:
    ...  # three requests in ten are refused, or their connection is reset
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
# Sentry sends it as JSON, and says that it is HTML.
WORDS_429 = b'"You are attempting to use this endpoint too frequently. Limit is 40 requests in 1 seconds"'
RETRY_AFTER = ("0", "1", None)


class Fault(Enum):
    UNAVAILABLE = "503"
    LIMITED = "429"
    REQUEST_LOST = "reset before the request was handled"
    ANSWER_LOST = "reset after the request was handled"


@dataclass(frozen=True)
class Refusal:
    """An answer in place of the one that the request should have got."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class Faults:
    """Chooses which requests meet a fault, and counts them. Safe to use from every request thread.

    It can be turned off and on at any time by `on`. `requests` counts all that it was asked about, `played` its faults
    by kind.

    :param rate: the share of requests that meet a fault, from 0 to 1
    :param seed: requests in the same order meet the same faults
    :param paths: a regular expression for the beginning of the paths that may meet one
    :param kinds: the faults to choose from, each as likely as the others
    :param most_in_a_row: how often one and the same request fails at most before it is let through, None for no bound.
        Without a bound there is no telling whether a client that tries a number of times gets through: at a rate of
        30 % one request in 15,000 fails eight times in a row
    """

    def __init__(
        self,
        rate: float,
        seed: int = 0,
        paths: str = "",
        kinds: Collection[Fault] = tuple(Fault),
        most_in_a_row: int | None = None,
    ) -> None:
        self.on = True
        self.requests = 0
        self.played: Counter[Fault] = Counter()
        self._rate = rate
        self._random = random.Random(seed)  # noqa: S311 - no secret comes of it
        self._paths = re.compile(paths)
        self._kinds = tuple(kinds)
        self._most_in_a_row = most_in_a_row
        self._in_a_row: Counter[int] = Counter()
        self._lock = threading.Lock()

    def choose(self, method: str, target: str, body: bytes) -> Fault | None:
        """The fault to play to a request, None for none. A request is the same as another if all of it is."""
        identity = hash((method, target, body))
        with self._lock:
            self.requests += 1
            if not self._strikes(target, identity):
                del self._in_a_row[identity]
                return None
            fault = self._random.choice(self._kinds)
            self.played[fault] += 1
            if self._most_in_a_row is not None:
                self._in_a_row[identity] += 1
            return fault

    def _strikes(self, target: str, identity: int) -> bool:
        if not self.on or not self._paths.match(target) or self._in_a_row[identity] == self._most_in_a_row:
            return False
        return self._random.random() < self._rate

    def refusal(self, fault: Fault) -> Refusal | None:
        """What the server answers to play it, None where it ends the connection without an answer."""
        html = ("Content-Type", "text/html")
        if fault is Fault.UNAVAILABLE:
            return Refusal("503 Service Temporarily Unavailable", [html], PAGE_503)
        if fault is not Fault.LIMITED:
            return None
        with self._lock:
            hint = self._random.choice(RETRY_AFTER)
        return Refusal("429 Too Many Requests", [html, *([("Retry-After", hint)] if hint else [])], WORDS_429)
