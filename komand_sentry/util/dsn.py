"""The DSN of a Sentry project: where its events go and with which key.

Grammar, https://develop.sentry.dev/sdk/overview/#parsing-the-dsn :
`{scheme}://{public key}[:{secret key}]@{host}[:{port}][/{path prefix}]/{project ID}`
"""

import re
from dataclasses import dataclass, field

from komand_sentry.util.address import UnusableAddress, split_url

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PATH = re.compile(r"(?P<prefix>(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*)/(?P<project>[0-9]{1,20})/?")


class MalformedDSN(ValueError):
    """What is wrong with a DSN, in words that do not quote it: it may hold a secret key."""


@dataclass(frozen=True)
class DSN:
    """A parsed DSN. `base` is the server's root: scheme, host, port and path prefix, without a slash at the end."""

    base: str
    project_id: str
    public_key: str
    secret_key: str = field(default="", repr=False)

    @property
    def store_url(self) -> str:
        return f"{self.base}/api/{self.project_id}/store/"

    @property
    def envelope_url(self) -> str:
        return f"{self.base}/api/{self.project_id}/envelope/"

    def auth_header(self, version: int, client: str, timestamp: int) -> str:
        """The X-Sentry-Auth header, https://develop.sentry.dev/sdk/overview/#authentication ; seconds since 1970."""
        items = {
            "sentry_version": str(version),
            "sentry_client": client,
            "sentry_timestamp": str(timestamp),
            "sentry_key": self.public_key,
            "sentry_secret": self.secret_key,
        }
        return "Sentry " + ", ".join(f"{name}={value}" for name, value in items.items() if value)


def parse_dsn(text: str) -> DSN:
    """:raises MalformedDSN: the text is not a DSN; the message says which part"""
    try:
        parts, location = split_url(text)
    except UnusableAddress as error:
        raise MalformedDSN(str(error)) from None
    if not parts.username:
        raise MalformedDSN("it holds no public key")
    if not _KEY.fullmatch(parts.username) or not _KEY.fullmatch(parts.password or "none"):
        raise MalformedDSN("its keys may hold letters and digits only")
    path = _PATH.fullmatch(parts.path)
    if not path:
        raise MalformedDSN("it does not end with the number of a project")
    base = f"{parts.scheme}://{location}{path['prefix']}"
    return DSN(base, path["project"], parts.username, parts.password or "")
