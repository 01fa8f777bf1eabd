"""Parse, build and compare URLs without trusting them: path segments, origins, redirects."""

import ipaddress
import re
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

import idna

# The part between user info and path: a host name or an IPv6 address in brackets, and a port.
_AUTHORITY = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?)(?P<port>:[0-9]{1,5})?"
)
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f\\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_URL_LENGTH = 20_000
# Slugs have at most 100 characters.
MAX_SEGMENT_LENGTH = 200


class InvalidURL(ValueError):
    """A URL, or a part of one, is invalid. The message does not quote it, because it may hold credentials."""


def split_url(text: str) -> tuple[SplitResult, str]:
    """Split an http(s) URL, and return its parts and its authority: `host.example:9000`, `[::1]`.

    A host name with other characters than ASCII is converted to its ASCII form (punycode).

    :raises InvalidURL: the text is not such a URL, or is one that URL parsers interpret differently
    """
    text = text.strip(" \t\r\n")
    if len(text) > _MAX_URL_LENGTH:
        raise InvalidURL(f"it is longer than {_MAX_URL_LENGTH} characters")
    # urlsplit drops line breaks and treats a backslash as part of the host, so search the text itself.
    if _CONTROL_OR_SPACE.search(text):
        raise InvalidURL("it contains a space, a backslash or a control character")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise InvalidURL("it is not a URL") from None
    if parts.scheme not in ("http", "https"):
        raise InvalidURL("it starts with neither https:// nor http://")
    authority = parts.netloc.rpartition("@")[2].lower()
    return parts, _checked_authority(authority)


def _checked_authority(authority: str) -> str:
    if not authority.partition(":")[0]:
        raise InvalidURL("it has no host")
    if not authority.isascii():
        authority = _to_ascii(authority)
    match = _AUTHORITY.fullmatch(authority)
    if not match:
        raise InvalidURL("its host is neither a host name nor an IPv6 address, or its port is not a number")
    port = match["port"] or ""
    if port and not 0 < int(port[1:]) < 2**16:
        raise InvalidURL("its port is not a number from 1 to 65535")
    if not match["ipv6"]:
        return authority
    try:
        return f"[{ipaddress.IPv6Address(match['ipv6'])}]{port}"
    except ValueError:
        raise InvalidURL("its host is not an IPv6 address") from None


def _to_ascii(authority: str) -> str:
    host, colon, port = authority.partition(":")
    try:
        return idna.encode(host, uts46=True).decode() + colon + port
    except idna.IDNAError:
        raise InvalidURL("its host is not a valid internationalized host name") from None


def join_url(base: str, *segments: str) -> str:
    """Append path segments to a base URL, each percent-encoded, with a slash at the end.

    >>> join_url("https://sentry.io/api/0", "projects", "acme", "a b")
    'https://sentry.io/api/0/projects/acme/a%20b/'

    :raises InvalidURL: a segment would change the meaning of the path
    """
    return "/".join([base, *map(quote_segment, segments), ""])


def quote_segment(segment: str) -> str:
    """Percent-encode one path segment.

    :raises InvalidURL: it is empty, too long, or `.` or `..`, whose meaning percent-encoding does not change
    """
    if segment in ("", ".", ".."):
        raise InvalidURL("it is empty or consists of dots")
    if len(segment) > MAX_SEGMENT_LENGTH:
        raise InvalidURL(f"it is longer than {MAX_SEGMENT_LENGTH} characters")
    return quote(segment, safe="", errors="replace")


def is_segment(text: str) -> bool:
    """Whether the text can be one path segment, percent-encoded if necessary."""
    try:
        return bool(quote_segment(text))
    except InvalidURL:
        return False


def is_plain_http(url: str) -> bool:
    """Whether a request to the URL crosses a network without TLS."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def redirect_url(url: str, location: str, prefix: str) -> str | None:
    """Resolve the Location header of a redirect; None if it must not be followed.

    Only URLs below `prefix` on the same origin are allowed, because the request carries credentials.
    """
    try:
        target = urljoin(url, location.strip()) if location.strip() else ""
        parts, _ = split_url(target)
    except (InvalidURL, ValueError):
        return None
    root = urlsplit(prefix)
    is_below = bool(prefix) and _origin(parts) == _origin(root) and parts.path.startswith(root.path)
    if not is_below or _origin(root) != _origin(urlsplit(url)) or "@" in parts.netloc:
        return None
    # Clients and servers resolve dot segments, encoded ones too, so the final path could differ from the checked one.
    if any(_may_leave_prefix(unquote(segment)) for segment in parts.path.split("/")):
        return None
    return parts._replace(fragment="").geturl()


def is_same_resource(url: str, target: str) -> bool:
    """Whether a redirect leads to the same resource under the new name of one that it belongs to, such as its project.

    Otherwise a request that changes something could change something else: at most one segment of the path differs,
    not the last one, and none that is a number.
    """
    old, new = (urlsplit(text).path.rstrip("/").split("/") for text in (url, target))
    changed = [position for position, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]]
    is_renamed = len(changed) == 1 and changed[0] != len(old) - 1 and not old[changed[0]].isdigit()
    return len(old) == len(new) and (not changed or is_renamed)


def _may_leave_prefix(segment: str) -> bool:
    return segment.startswith(".") or any(character in segment for character in "/\\;")


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
