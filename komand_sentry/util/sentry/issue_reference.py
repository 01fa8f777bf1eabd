"""How a user names an issue: by numeric ID, short ID or permalink."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from komand_sentry.util.http.urls import InvalidURL, split_url
from komand_sentry.util.sentry.server import Server, is_saas_host

_NUMBER = r"[0-9]{1,20}"
# The slug of the project, and a number in Crockford's base 32, which has no I, L, O and U.
_SHORT_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}-[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{1,13}"
_SLUG = r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}"
# `123`, `PUMP-STATION-1K`, `#PUMP-STATION-1K` or `acme/PUMP-STATION-1K`.
_ISSUE_ID = re.compile(rf"(?:(?P<organization>{_SLUG})/)?#?(?P<id>{_NUMBER}|{_SHORT_ID})")
_ISSUE_PATH = re.compile(rf"(?P<before>.*?)/(?:issues|groups)/(?P<id>{_NUMBER}|{_SHORT_ID})(?:/|$)")
# An issue of the category feedback has its ID in the query: `?feedbackSlug=pump-station:123`.
_FEEDBACK_PATH = re.compile(r"(?P<before>.*?)(?:/issues)?/feedback/?")
_FEEDBACK_SLUG = re.compile(rf"{_SLUG}:(?P<id>{_NUMBER})")
# A host at the start of a permalink without a scheme: with a dot or a port, so that it is not the slug of something.
_SCHEMELESS = re.compile(r"(?![^/]*//)(?:\[[^/]*\]|[^/?#]*[.:]|localhost)[^/?#]*/")
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

        A short ID may have a `#` in front of it, or its organization, as in `acme/PUMP-STATION-1K`. Permalinks, with or
        without scheme: `https://acme.sentry.io/issues/123/?project=1`,
        `https://sentry.io/organizations/acme/issues/123/`, Sentry 9's
        `https://sentry.example.com/acme/pump-station/issues/123/`, and those of feedback,
        `https://acme.sentry.io/feedback/?feedbackSlug=pump-station%3A123`.

        :param organization: the slug of the organization, which takes precedence over that of the text
        :raises InvalidURL: it is none of these
        """
        text = text.strip()
        if match := _ISSUE_ID.fullmatch(text):
            return cls(match["id"], organization or match["organization"] or "")
        try:
            parts, _ = split_url(f"https://{text}" if _SCHEMELESS.match(text) else text)
        except InvalidURL:
            raise InvalidURL("it is neither the ID nor the permalink of an issue") from None
        issue_id, before = _issue_in_url(parts.path, parts.query)
        host = parts.hostname or ""
        if organization:
            return cls(issue_id, organization, host)
        return cls(issue_id, _organization_of(host, before), host, is_guess=True)

    @property
    def is_short_id(self) -> bool:
        """Whether it is a short ID, which is only unique within an organization."""
        return not self.issue_id.isdigit()

    def is_same_service(self, server: Server) -> bool:
        """Whether the permalink, if it is one, is of the server: of its host, or both are of Sentry SaaS."""
        return not self.host or server.is_same_service(self.host)


def is_issue_number(text: str) -> bool:
    """Whether a text is a numeric ID, as of a record of the server."""
    return bool(re.fullmatch(_NUMBER, text))


def names_issue(reference: IssueReference, record: Mapping[str, Any]) -> bool:
    """Whether an issue that the server returned is the one that a reference names.

    Only its permalink shows its organization. A number alone may be another issue in another organization, so if the
    reference names an organization, the record needs a permalink of it, and its number is not compared: that of a
    merged issue differs. A short ID is unique in its organization and needs no permalink.

    :param record: the issue, in the form of any server version
    """
    organization = organization_of_issue(record)
    if organization and reference.organization and organization.lower() != reference.organization.lower():
        return False
    if reference.is_short_id:
        return str(record.get("shortId") or "").lower() == reference.issue_id.lower()
    if reference.organization:
        return bool(organization)
    return not is_other_issue(reference.issue_id, record)


def is_merged(reference: IssueReference, record: Mapping[str, Any]) -> bool:
    """Whether the server returned the issue that another one was merged into, for the ID of the merged one."""
    if reference.is_short_id:
        short_id = str(record.get("shortId") or "")
        return bool(short_id) and short_id.lower() != reference.issue_id.lower()
    return is_other_issue(reference.issue_id, record)


def is_other_issue(number: str, record: Mapping[str, Any]) -> bool:
    """Whether the server returned another issue than the requested one: the issue that it was merged into.

    :param number: the ID in the request
    """
    found = record.get("id")
    return found is not None and str(found) != (number.lstrip("0") or "0")


def _issue_in_url(path: str, query: str) -> tuple[str, str]:
    """The ID of the issue in a permalink, and the part of the path before it.

    :raises InvalidURL: it is not the permalink of an issue
    """
    if match := _ISSUE_PATH.match(path):
        return match["id"], match["before"]
    feedback = _FEEDBACK_PATH.fullmatch(path)
    slug = feedback and _FEEDBACK_SLUG.fullmatch(parse_qs(query).get("feedbackSlug", [""])[-1])
    if not feedback or not slug:
        raise InvalidURL("the URL is not the permalink of an issue")
    return slug["id"], feedback["before"]


def organization_of_issue(record: Mapping[str, Any]) -> str:
    """The organization in an issue's permalink, "" if it has none: some servers omit it for some tokens."""
    try:
        return IssueReference.parse(str(record.get("permalink") or "")).organization
    except InvalidURL:
        return ""


def _organization_of(host: str, path: str) -> str:
    """The organization that a permalink names in its host, or in its path before `/issues/`."""
    for pattern in _ORGANIZATION_PATHS:
        if match := pattern.search(path):
            return match["organization"]
    subdomain = host.removesuffix(".sentry.io")
    is_customer = is_saas_host(host) and subdomain != host and subdomain not in _RESERVED_SUBDOMAINS
    return subdomain if is_customer and "." not in subdomain else ""
