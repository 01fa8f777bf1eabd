"""Where things are on a Sentry server: base URLs, paths and references to issues."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

DEFAULT_URL = "https://sentry.io"

# What may stand between the user info and the path: a name or an IPv6 address in brackets, and a port.
_AUTHORITY = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?)(?P<port>:[0-9]{1,5})?"
)
# No percent signs: HTTP clients un-quote and fold away an encoded `..`.
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
# `/api/0/` of the web API, `/api/{project}/` of ingestion.
_API_PREFIX = re.compile(r"(.*?/api/)[0-9]+/")
_API_ROOT = re.compile(r"/api(/0)?$")
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f\\]")
_LONGEST_URL = 20_000
# Sentry's own slugs have 100 characters at most.
LONGEST_SEGMENT = 200
_DEFAULT_PORTS = {"http": 80, "https": 443}

_NUMBER = r"[0-9]{1,20}"
# The slug of the project and a number in base 32, whose digits leave out I, L, O and U.
_SHORT_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}-[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{1,13}"
_ISSUE_PATH = re.compile(rf"(?P<before>.*?)/(?:issues|groups)/(?P<id>{_NUMBER}|{_SHORT_ID})(?:/|$)")
_SLUG = r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}"
# What stands before `/issues/` in a permalink: of today's form, and of Sentry 9's with organization and project.
_ORGANIZATION_PATHS = (
    re.compile(rf"/organizations/(?P<organization>{_SLUG})(?:/|$)"),
    re.compile(rf"/(?!(?:api|projects|settings)/)(?P<organization>{_SLUG})/{_SLUG}$"),
)
# `acme.sentry.io` is the organization acme; these are not.
_NO_ORGANIZATION = ("www", "us", "de", "eu", "app")


class UnusableAddress(ValueError):
    """What is wrong with an address, in words that do not quote it."""


def split_url(text: str) -> tuple[SplitResult, str]:
    """An http(s) URL in its parts, and its host and port as they stand in a URL: `h.example:9000`, `[::1]`.

    :raises UnusableAddress: it is none, or one that URL parsers disagree on
    """
    text = text.strip(" \t\r\n")
    if len(text) > _LONGEST_URL:
        raise UnusableAddress(f"it is longer than {_LONGEST_URL} characters")
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


class Server(NamedTuple):
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

    @property
    def is_in_the_clear(self) -> bool:
        """Whether what is sent to it can be read on the way."""
        return is_in_the_clear(self.base)

    def api(self, *segments: str) -> str:
        """The URL of a web API endpoint, each segment quoted, with the trailing slash that Sentry insists on.

        :raises UnusableAddress: a segment would leave its place in the path
        """
        return "/".join([self.base, "api/0", *(quote_segment(segment) for segment in segments), ""])


def is_sentry_saas(host: str) -> bool:
    return host == "sentry.io" or host.endswith(".sentry.io")


def is_in_the_clear(url: str) -> bool:
    """Whether what is sent to a URL can be read on the way: by http, to another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def quote_segment(segment: str) -> str:
    """:raises UnusableAddress: empty, too long, or `.` or `..`, which stay what they are however they are quoted"""
    if segment in ("", ".", ".."):
        raise UnusableAddress("it is empty or only dots")
    if len(segment) > LONGEST_SEGMENT:
        raise UnusableAddress(f"it is longer than {LONGEST_SEGMENT} characters")
    return quote(segment, safe="", errors="replace")


def is_segment(text: str) -> bool:
    """Whether it can stand as one segment of a path, in quotes where it must."""
    try:
        return bool(quote_segment(text))
    except UnusableAddress:
        return False


def redirect_url(url: str, location: str) -> str | None:
    """Where a redirect from an API's URL leads, None where that is not the API of the same server.

    The token must go nowhere else: not to another scheme, host or port, nor to what else that host may serve.
    """
    try:
        target = urljoin(url, location.strip()) if location.strip() else ""
        parts, _ = split_url(target)
    except (UnusableAddress, ValueError):
        return None
    here = urlsplit(url)
    root = _API_PREFIX.match(here.path)
    if _origin(parts) != _origin(here) or not root or not parts.path.startswith(root[1]) or "@" in parts.netloc:
        return None
    # Clients and servers fold dots away, encoded ones too, so that the path would not be the one that was looked at.
    if any(_may_climb(unquote(segment)) for segment in parts.path.split("/")):
        return None
    return parts._replace(fragment="").geturl()


def _may_climb(segment: str) -> bool:
    return segment.startswith(".") or any(character in segment for character in "/\\;")


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)


@dataclass(frozen=True)
class IssueReference:
    """An issue as a person names it.

    :param issue_id: a number or a short ID, such as PUMP-STATION-1K
    :param organization: the slug of its organization, "" where it is not told
    :param is_guess: the organization was read from the permalink, whose slug may be of yesterday, or no slug at all
    :param host: of the permalink it was read from, "" where it was given as an ID
    """

    issue_id: str
    organization: str = ""
    host: str = ""
    is_guess: bool = field(default=False, compare=False)

    @classmethod
    def parse(cls, text: str, organization: str = "") -> "IssueReference":
        """Reads a number, a short ID, or a permalink of any form, with whatever follows the ID.

        `https://sentry.io/organizations/acme/issues/123/`, `https://acme.sentry.io/issues/123/?project=1`, and
        Sentry 9's `https://sentry.example.com/acme/pump-station/issues/123/`.

        :param organization: the slug of the organization, which a permalink's own does not override
        :raises UnusableAddress: it is none of them
        """
        text = text.strip()
        if re.fullmatch(f"{_NUMBER}|{_SHORT_ID}", text):
            return cls(text, organization)
        try:
            parts, _ = split_url(text)
        except UnusableAddress:
            raise UnusableAddress("it is neither the ID of an issue nor the link of its page") from None
        match = _ISSUE_PATH.match(parts.path)
        if not match:
            raise UnusableAddress("the link is not that of an issue's page")
        host = parts.hostname or ""
        if organization:
            return cls(match["id"], organization, host)
        return cls(match["id"], _organization_of(host, match["before"]), host, is_guess=True)

    @property
    def is_short_id(self) -> bool:
        return not self.issue_id.isdigit()

    def looks_foreign_to(self, server: Server) -> bool:
        """Whether the permalink is of Sentry SaaS and the server is not, or the reverse.

        The same number is then another issue, unless the server is a proxy of the other: a host name is no proof.
        """
        return bool(self.host) and is_sentry_saas(self.host) != server.is_sentry_saas


def _organization_of(host: str, path: str) -> str:
    """The organization that a permalink names by its host or by what stands before `/issues/` in its path."""
    for form in _ORGANIZATION_PATHS:
        if match := form.search(path):
            return match["organization"]
    subdomain = host.removesuffix(".sentry.io")
    is_customer = is_sentry_saas(host) and subdomain != host and subdomain not in _NO_ORGANIZATION
    return subdomain if is_customer and "." not in subdomain else ""
