"""The base URL of a Sentry server."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from komand_sentry.util.http.urls import InvalidURL, is_plain_http, split_url

DEFAULT_URL = "https://sentry.io"

# No percent signs: HTTP clients decode and remove an encoded `..`.
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_API_SUFFIX = re.compile(r"/api(/0)?$")


class Server(NamedTuple):
    """A Sentry server.

    :param base: scheme, host, port and path prefix, without a slash at the end
    """

    base: str

    @classmethod
    def parse(cls, text: str) -> "Server":
        """Parse a base URL: with or without scheme (https by default), slash at the end, /api/0, path prefix and port.

        >>> Server.parse("sentry.example.com/api/0/").base
        'https://sentry.example.com'

        :raises InvalidURL: it is not the base URL of a server
        """
        text = text.strip()
        if "://" not in text:
            text = f"https://{text}"
        parts, authority = split_url(text)
        if "@" in parts.netloc:
            raise InvalidURL("it contains a user name")
        if parts.query or parts.fragment:
            raise InvalidURL("it has a query or a fragment")
        prefix = _API_SUFFIX.sub("", parts.path.rstrip("/"))
        if not _PREFIX.fullmatch(prefix):
            raise InvalidURL("its path contains characters that the base URL of a server cannot have")
        return cls(f"{parts.scheme}://{authority}{prefix}")

    @property
    def host(self) -> str:
        """Host name without port."""
        return urlsplit(self.base).hostname or ""

    @property
    def is_saas(self) -> bool:
        """Whether it is Sentry SaaS."""
        return is_saas_host(self.host)

    def is_same_service(self, host: str) -> bool:
        """Whether a host is that of the server, or both are of Sentry SaaS."""
        host = host.rstrip(".")
        return host == self.host.rstrip(".") or (is_saas_host(host) and self.is_saas)

    @property
    def is_plain_http(self) -> bool:
        """Whether requests cross a network without TLS."""
        return is_plain_http(self.base)


def is_saas_host(host: str) -> bool:
    """Whether the host belongs to Sentry SaaS."""
    return host == "sentry.io" or host.endswith(".sentry.io")
