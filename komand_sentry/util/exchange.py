"""One HTTP exchange as plain values, so that what is decided about it needs no network and no HTTP library."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

MOST_REDIRECTS = 5
# A page of a hundred events of 1 MiB has fewer.
MOST_VALUES = 5_000_000

Params = tuple[tuple[str, str], ...]


class _Integers(dict[str, int]):
    """Integers by their digits: the times of all issues' stats are the same, and one object each will do for them."""

    def __missing__(self, digits: str) -> int:
        number = int(digits)
        if len(digits) <= _LONGEST_SHARED:
            if len(self) >= _MOST_SHARED:
                self.clear()
            self[digits] = number
        return number


_LONGEST_SHARED = 20
_MOST_SHARED = 4096
_INTEGERS = _Integers()


@dataclass(frozen=True)
class Request:
    """A request to send. `headers` may hold credentials, so they stay out of its repr.

    :param has_own_id: what the request creates has its ID already, so that a server tells a repeat from a second one
    """

    method: str
    url: str
    params: Params = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    has_own_id: bool = False

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice does what sending it once does."""
        return self.method in ("GET", "PUT") or self.has_own_id


class Effort(NamedTuple):
    """What it took to get a response, or to learn that none comes.

    :param requests: how many requests were sent
    :param waited: seconds spent in pauses between them
    :param redirects: how many redirects were followed
    :param next_wait: seconds that the server is to be left alone before another try; None where no try would help
    :param next_try: the time that these seconds end
    """

    requests: int = 1
    waited: float = 0.0
    redirects: int = 0
    next_wait: float | None = None
    next_try: datetime | None = None

    @property
    def tries(self) -> int:
        return self.requests - self.redirects


_ONE_REQUEST = Effort()


@dataclass(frozen=True)
class Response:
    """What came back. `headers` has lower-case names; `body` is decoded from any content encoding."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    effort: Effort = _ONE_REQUEST

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")

    def json(self) -> Any:
        """The body as JSON, whatever its content type says (Sentry sends JSON as text/html at times).

        :raises ValueError: the body is not JSON
        """
        if sum(self.body.count(mark) for mark in (b",", b"{", b"[")) > MOST_VALUES:
            # Each takes far more memory than the bytes that it is written in.
            raise ValueError("too many values")
        try:
            # NaN and Infinity, which JSON does not have, would make the output of the step none either.
            return json.loads(self.body, parse_constant=lambda _: None, parse_int=_INTEGERS.__getitem__)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class Unreachable(Exception):
    """No response came. `kind` is one of the keys of errors.UNREACHABLE, `reason` says it in the network's words."""

    def __init__(self, kind: str, reason: str, effort: Effort | None = None) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
        self.effort = effort or _ONE_REQUEST
