"""HTTP requests, responses and failures as plain values, independent of the HTTP library."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import cached_property
from math import isfinite
from typing import Any, NamedTuple
from urllib.parse import urlsplit

MAX_REDIRECTS = 5
# A page of a hundred events of 1 MiB has fewer values.
MAX_JSON_VALUES = 5_000_000
# Error responses of Sentry have a few values.
MAX_ERROR_VALUES = 10_000
MAX_ERROR_BYTES = 1024 * 1024

Params = tuple[tuple[str, str], ...]

_IDEMPOTENT_METHODS = ("GET", "PUT")
_STATUSES_WITHOUT_BODY = (204, 205)


class TooManyValues(ValueError):
    """A JSON body has more values than allowed, which would take many times its size in memory."""


class FailureKind(Enum):
    """Why no complete response was received. The value is a sentence about the host."""

    DNS = "The host name {host} cannot be resolved."
    DNS_TEMPORARY = "The host name {host} cannot be resolved at the moment."
    REFUSED = "{host} refused the connection."
    TIMEOUT = "{host} did not respond in time."
    CERTIFICATE = "The TLS certificate of {host} cannot be verified."
    TLS = "The TLS connection to {host} failed."
    CA_BUNDLE = "The CA bundle for {host} cannot be loaded."
    GEVENT = "TLS connections, as to {host}, cannot work in this process."
    PROXY = "The proxy for {host} cannot be used."
    PROXY_INVALID = "The proxy setting for {host} is invalid."
    PROXY_REFUSED = "The proxy refused to connect to {host}."
    CLOSED = "{host} closed the connection without a response."
    INCOMPLETE = "The response of {host} is incomplete."
    MALFORMED = "The response of {host} is not valid HTTP."
    TOO_LARGE = "The response of {host} is larger than the plugin accepts."
    TIME_SPENT = "The step has spent its time limit waiting for {host}."
    INVALID_REQUEST = "The request to {host} cannot be sent."
    CONNECTION = "The connection to {host} failed."

    def describe(self, host: str) -> str:
        """The failure as a sentence."""
        return self.value.format(host=host)


@dataclass(frozen=True)
class Request:
    """An HTTP request. `headers` may hold credentials, so they stay out of its repr.

    :param idempotent: a POST that the server deduplicates, so that sending it twice has the effect of sending it once
    :param redirect_prefix: redirects are followed to URLs that start with it, and to no others; "" follows none
    :param expects_json: a success has a JSON body, so one that is empty or ends early is a failed request
    """

    method: str
    url: str
    params: Params = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    idempotent: bool = False
    redirect_prefix: str = ""
    expects_json: bool = False

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    @property
    def is_idempotent(self) -> bool:
        """Whether sending it twice has the effect of sending it once."""
        return self.idempotent or self.method in _IDEMPOTENT_METHODS


class AttemptStats(NamedTuple):
    """How many requests were sent for one result, and when the next one could succeed.

    :param requests: number of requests sent, redirects included
    :param waited: total seconds of the pauses between them
    :param redirects: number of redirects followed
    :param next_delay: seconds to wait before the next attempt; None if a retry would not help
    :param next_attempt_at: the end of that delay
    """

    requests: int = 1
    waited: float = 0.0
    redirects: int = 0
    next_delay: float | None = None
    next_attempt_at: datetime | None = None

    @property
    def attempts(self) -> int:
        """Number of attempts, redirects excluded."""
        return self.requests - self.redirects


_SINGLE_ATTEMPT = AttemptStats()


@dataclass
class Response:
    """An HTTP response. `headers` has lower-case names; `body` is decoded from any content encoding."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    stats: AttemptStats = _SINGLE_ATTEMPT

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str:
        """The value of a header, "" if it is absent."""
        return self.headers.get(name.lower(), "")

    @cached_property
    def json_values(self) -> int:
        """An upper bound of the number of values in the JSON body, without parsing: commas in strings count, too."""
        return sum(self.body.count(mark) for mark in (b",", b"{", b"["))

    def json(self) -> Any:
        """The body, parsed as JSON once, regardless of its content type: Sentry labels some JSON as text/html.

        Numbers that JSON cannot represent (NaN, Infinity, 1e999) become null.

        :raises TooManyValues: the body has too many values
        :raises JSONDecodeError, UnicodeDecodeError: the body is not JSON, or ends early
        :raises ValueError: the body is nested too deeply
        """
        return self._json

    @cached_property
    def _json(self) -> Any:
        limit = MAX_JSON_VALUES if self.is_success else MAX_ERROR_VALUES
        if self.json_values > limit:
            raise TooManyValues(f"more than {limit:,} values")
        try:
            # Only UTF-8: json.loads would detect UTF-16, in which a search of the raw body finds no secret.
            text = self.body.decode("utf-8-sig", errors="surrogatepass")
            return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    @property
    def is_incomplete_json(self) -> bool:
        """Whether the body is empty, or starts like JSON and is not. Servers and proxies can end a body early without
        a protocol error."""
        if self.status in _STATUSES_WITHOUT_BODY:
            return False
        start = self.body[:100].lstrip()[:1]
        if start not in (b"", b"{", b"["):
            return False
        try:
            self.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            return True
        except ValueError:
            # Too many values, or nested too deeply: a retry does not help.
            return False
        return False


def _finite(text: str) -> float | None:
    number = float(text)
    return number if isfinite(number) else None


class TransportError(Exception):
    """No complete response was received.

    :param reason: the message of the network library, without credentials
    """

    def __init__(self, kind: FailureKind, reason: str, stats: AttemptStats = _SINGLE_ATTEMPT) -> None:
        super().__init__(f"{kind.name}: {reason}")
        self.kind = kind
        self.reason = reason
        self.stats = stats
