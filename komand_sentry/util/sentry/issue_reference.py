"""How a user names an issue: by numeric ID, short ID or permalink."""

import re
from dataclasses import dataclass, field

from komand_sentry.util.http.urls import InvalidURL, split_url
from komand_sentry.util.sentry.server import Server, is_saas_host

_NUMBER = r"[0-9]{1,20}"
# The slug of the project, and a number in Crockford's base 32, which has no I, L, O and U.
_SHORT_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}-[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{1,13}"
_ISSUE_ID = re.compile(f"{_NUMBER}|{_SHORT_ID}")
_ISSUE_PATH = re.compile(rf"(?P<before>.*?)/(?:issues|groups)/(?P<id>{_NUMBER}|{_SHORT_ID})(?:/|$)")
_SLUG = r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}"
# The part of a permalink before `/issues/`: today's, and that of Sentry 9 with organization and project.
_ORGANIZATION_PATHS = (
    re.compile(rf"/organizations/(?P<organization>{_SLUG})(?:/|$)"),
    re.compile(rf"/(?!(?:api|projects|settings)/)(?P<organization>{_SLUG})/{_SLUG}$"),
)
# Subdomains of sentry.io that are not the slug of an organization.
_RESERVED_SUBDOMAINS = ("www", "us", "de", "eu", "app")


@dataclass(frozen=True)
class IssueReference:
    """A parsed issue_id.

    :param issue_id: a number, or a short ID such as PUMP-STATION-1K
    :param organization: the slug of its organization, "" if unknown
    :param host: of the permalink, "" if an ID was given
    :param is_guess: the organization is read from the permalink, where it may be outdated or not a slug at all
    """

    issue_id: str
    organization: str = ""
    host: str = ""
    is_guess: bool = field(default=False, compare=False)

    @classmethod
    def parse(cls, text: str, organization: str = "") -> "IssueReference":
        """Parse a number, a short ID, or a permalink of any form, with anything after the ID.

        Permalinks: `https://acme.sentry.io/issues/123/?project=1`, `https://sentry.io/organizations/acme/issues/123/`,
        and Sentry 9's `https://sentry.example.com/acme/pump-station/issues/123/`.

        :param organization: the slug of the organization, which takes precedence over that of the permalink
        :raises InvalidURL: it is none of these
        """
        text = text.strip()
        if _ISSUE_ID.fullmatch(text):
            return cls(text, organization)
        try:
            parts, _ = split_url(text)
        except InvalidURL:
            raise InvalidURL("it is neither the ID nor the permalink of an issue") from None
        match = _ISSUE_PATH.match(parts.path)
        if not match:
            raise InvalidURL("the URL is not the permalink of an issue")
        host = parts.hostname or ""
        if organization:
            return cls(match["id"], organization, host)
        return cls(match["id"], _organization_of(host, match["before"]), host, is_guess=True)

    @property
    def is_short_id(self) -> bool:
        """Whether it is a short ID, which is only unique within an organization."""
        return not self.issue_id.isdigit()

    def is_foreign_to(self, server: Server) -> bool:
        """Whether the permalink is of Sentry SaaS and the server is not, or the reverse.

        The same number is then another issue, unless one is a proxy of the other: host names prove nothing.
        """
        return bool(self.host) and is_saas_host(self.host) != server.is_saas


def _organization_of(host: str, path: str) -> str:
    """The organization that a permalink names in its host, or in its path before `/issues/`."""
    for pattern in _ORGANIZATION_PATHS:
        if match := pattern.search(path):
            return match["organization"]
    subdomain = host.removesuffix(".sentry.io")
    is_customer = is_saas_host(host) and subdomain != host and subdomain not in _RESERVED_SUBDOMAINS
    return subdomain if is_customer and "." not in subdomain else ""
