"""The DSN of a Sentry project: where its events are sent to, and with which key.

Grammar, https://develop.sentry.dev/sdk/overview/#parsing-the-dsn :
`{scheme}://{public key}[:{secret key}]@{host}[:{port}][/{path prefix}]/{project ID}`
"""

import re
from dataclasses import dataclass, field

from komand_sentry.util.http.urls import InvalidURL, split_url

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PATH = re.compile(r"(?P<prefix>(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*)/(?P<project>[0-9]{1,20})/?")
_SLASHES = re.compile(r"/{2,}")


class InvalidDSN(ValueError):
    """A DSN is invalid. The message does not quote it, because it may hold a secret key."""


@dataclass(frozen=True)
class DSN:
    """A parsed DSN.

    :param base: scheme, host, port and path prefix of the server, without a slash at the end
    """

    base: str
    project_id: str
    public_key: str
    secret_key: str = field(default="", repr=False)

    @property
    def api_prefix(self) -> str:
        """The URL below which all ingestion endpoints of the server are."""
        return f"{self.base}/api/"

    @property
    def store_url(self) -> str:
        """The endpoint for single events, which newer servers may lack."""
        return f"{self.api_prefix}{self.project_id}/store/"

    @property
    def envelope_url(self) -> str:
        """The endpoint for envelopes, which Sentry 9 lacks."""
        return f"{self.api_prefix}{self.project_id}/envelope/"

    def auth_header(self, version: int, client: str, timestamp: int) -> str:
        """The X-Sentry-Auth header: https://develop.sentry.dev/sdk/overview/#authentication

        :param version: of the protocol
        :param client: name and version of the client
        :param timestamp: seconds since 1970
        """
        items = {
            "sentry_version": str(version),
            "sentry_client": client,
            "sentry_timestamp": str(timestamp),
            "sentry_key": self.public_key,
            "sentry_secret": self.secret_key,
        }
        return "Sentry " + ", ".join(f"{name}={value}" for name, value in items.items() if value)


def parse_dsn(text: str) -> DSN:
    """Parse a DSN.

    :raises InvalidDSN: the text is not a DSN
    """
    try:
        parts, authority = split_url(text)
    except InvalidURL as error:
        raise InvalidDSN(str(error)) from None
    if not parts.username:
        raise InvalidDSN("it has no public key")
    if not _KEY.fullmatch(parts.username) or not _KEY.fullmatch(parts.password or "none"):
        raise InvalidDSN("its keys contain other characters than letters and digits")
    # Self-hosted Sentry puts two slashes in front of the number if its url-prefix ends with one.
    path = _PATH.fullmatch(_SLASHES.sub("/", parts.path))
    if not path:
        raise InvalidDSN("it does not end with the number of a project")
    base = f"{parts.scheme}://{authority}{path['prefix']}"
    return DSN(base, path["project"], parts.username, parts.password or "")
