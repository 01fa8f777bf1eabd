"""One HTTP exchange as plain values, so that what is decided about it needs no network and no HTTP library."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """A request to send. `headers` may hold credentials, so they stay out of its repr."""

    method: str
    url: str
    params: Params = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class Response:
    """What came back. `headers` has lower-case names; `body` is decoded from any content encoding."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")

    def json(self) -> Any:
        """The body as JSON, whatever its content type says (Sentry sends JSON as text/html at times).

        :raises ValueError: the body is not JSON
        """
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class Unreachable(Exception):
    """No response came. `kind` is one of the keys of errors.UNREACHABLE, `reason` says it in the network's words."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
