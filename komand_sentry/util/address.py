"""Where things are on a Sentry server: base URLs, paths and references to issues."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

DEFAULT_URL = "https://sentry.io"

# What may stand between the user info and the path: a name or an IPv6 address in brackets, and a port.
_AUTHORITY = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?)(?P<port>:[0-9]{1,5})?"
)
# No percent signs: HTTP clients un-quote and fold away an encoded `..`.
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_API_ROOT = re.compile(r"/api(/0)?$")
_ISSUE_PATH = re.compile(r"/(?:issues|groups)/(?P<id>[0-9]{1,20})(?:/|$)")
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f\\]")


class UnusableAddress(ValueError):
    """What is wrong with an address, in words that do not quote it."""


def split_url(text: str) -> tuple[SplitResult, str]:
    """An http(s) URL in its parts, and its host and port as they stand in a URL: `h.example:9000`, `[::1]`.

    :raises UnusableAddress: it is none, or one that URL parsers disagree on
    """
    text = text.strip(" \t\r\n")
    # urlsplit drops line breaks and reads a backslash as part of the host, so they are looked for in the text itself.
    if _CONTROL_OR_SPACE.search(text):
        raise UnusableAddress("it holds a space, a backslash or a control character")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise UnusableAddress("it is not a URL") from None
    if parts.scheme not in ("http", "https"):
        raise UnusableAddress("it begins with neither https:// nor http://")
    location = parts.netloc.rpartition("@")[2].lower()
    if not location.partition(":")[0]:
        raise UnusableAddress("it names no host")
    authority = _AUTHORITY.fullmatch(location)
    if not authority:
        raise UnusableAddress("its host is neither a host name nor an IPv6 address, or its port not a number")
    port = authority["port"] or ""
    if port and not 0 < int(port[1:]) < 2**16:
        raise UnusableAddress("its port is not a number from 1 to 65535")
    if not authority["ipv6"]:
        return parts, location
    try:
        return parts, f"[{ipaddress.IPv6Address(authority['ipv6'])}]{port}"
    except ValueError:
        raise UnusableAddress("its host is not an IPv6 address") from None


@dataclass(frozen=True)
class Server:
    """A Sentry server. `base` is scheme, host, port and path prefix, without a slash at the end."""

    base: str

    @classmethod
    def parse(cls, text: str) -> "Server":
        """Accepts the URL with or without a scheme (https is taken), trailing slash, /api/0, path prefix and port.

        :raises UnusableAddress: it is not the URL of a server
        """
        text = text.strip()
        if "://" not in text:
            text = f"https://{text}"
        parts, location = split_url(text)
        if "@" in parts.netloc:
            raise UnusableAddress("it holds a user name, which belongs into no URL")
        if parts.query or parts.fragment:
            raise UnusableAddress("it goes on after the path")
        prefix = _API_ROOT.sub("", parts.path.rstrip("/"))
        if not _PREFIX.fullmatch(prefix):
            raise UnusableAddress("its path holds characters that the address of a server cannot have")
        return cls(f"{parts.scheme}://{location}{prefix}")

    @property
    def host(self) -> str:
        return urlsplit(self.base).hostname or ""

    @property
    def is_sentry_saas(self) -> bool:
        return is_sentry_saas(self.host)

    def api(self, *segments: str) -> str:
        """The URL of a web API endpoint, each segment quoted, with the trailing slash that Sentry insists on.

        :raises UnusableAddress: a segment would leave its place in the path
        """
        return "/".join([self.base, "api/0", *(quote_segment(segment) for segment in segments), ""])


def is_sentry_saas(host: str) -> bool:
    return host == "sentry.io" or host.endswith(".sentry.io")


def quote_segment(segment: str) -> str:
    """:raises UnusableAddress: empty, or `.` or `..`, which stay what they are however they are quoted"""
    if segment in ("", ".", ".."):
        raise UnusableAddress("it is empty or only dots")
    return quote(segment, safe="", errors="replace")


@dataclass(frozen=True)
class IssueReference:
    """The number of an issue, and the host of the permalink it was read from ("" where it was given as a number)."""

    issue_id: str
    host: str = ""

    @classmethod
    def parse(cls, text: str) -> "IssueReference":
        """Reads a numeric ID or a permalink of either form, with whatever follows the number.

        `https://sentry.io/organizations/acme/issues/123/`, `https://acme.sentry.io/issues/123/?project=1`, and
        Sentry 9's `https://sentry.example.com/acme/pump-station/issues/123/`.

        :raises UnusableAddress: it is neither
        """
        text = text.strip()
        if re.fullmatch(r"[0-9]{1,20}", text):
            return cls(text)
        try:
            parts, _ = split_url(text)
        except UnusableAddress:
            raise UnusableAddress("it is neither the number of an issue nor the link of its page") from None
        match = _ISSUE_PATH.search(parts.path)
        if not match:
            raise UnusableAddress("the link is not that of an issue's page")
        return cls(match["id"], parts.hostname or "")

    def looks_foreign_to(self, server: Server) -> bool:
        """Whether the permalink is of Sentry SaaS and the server is not, or the reverse.

        The same number is then another issue, unless the server is a proxy of the other: a host name is no proof.
        """
        return bool(self.host) and is_sentry_saas(self.host) != server.is_sentry_saas
