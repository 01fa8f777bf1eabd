"""Paths of the web API, and which one of several a server has for the same resource.

- Sentry 9 has `/issues/{number}/`, but not `/organizations/{organization}/issues/{ID}/`.
- Sentry SaaS has both, but the first only finds issues of the United States region and is deprecated: it responds with
  410 at times. The second also accepts short IDs.
- `/projects/{organization}/{project}/issues/` is deprecated in the same way.

An endpoint class tries the best path first, and the alternatives if the server does not have it or does not know the
issue. Regions number their issues independently, so a change is only made if exactly one organization has the issue.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from komand_sentry.util.errors.exceptions import (
    Forbidden,
    Gone,
    InvalidInput,
    NotFound,
    ResponseError,
    RouteMissing,
)
from komand_sentry.util.errors.factory import ErrorContext, invalid_input
from komand_sentry.util.errors.redaction import join_truncated, sanitize
from komand_sentry.util.http.messages import Params
from komand_sentry.util.sentry.api import API, Path
from komand_sentry.util.sentry.issue_reference import IssueReference
from komand_sentry.util.sentry.pagination import Page, Record
from komand_sentry.util.sentry.projects import MAX_ORGANIZATIONS, Projects

T = TypeVar("T")

# The project's endpoint searches all events; the organization's searches this period at most.
ORGANIZATION_PERIOD = "90d"


def issue_path(issue_id: str, organization: str = "") -> Path:
    """The path of an issue, below its organization if that is known."""
    return (*(("organizations", organization) if organization else ()), "issues", issue_id)


def organization_issues_path(organization: str) -> Path:
    """The path of the issues of all projects of an organization."""
    return ("organizations", organization, "issues")


def project_issues_path(organization: str, project: str) -> Path:
    """The path of the issues of a project."""
    return ("projects", organization, project, "issues")


def short_id_path(organization: str, short_id: str) -> Path:
    """The path that resolves a short ID."""
    return ("organizations", organization, "shortids", short_id)


@dataclass
class IssueEndpoint:
    """The endpoint of one issue. Once found, its path stays the same, so that all pages come from one place."""

    api: API
    reference: IssueReference
    context: ErrorContext
    _path: Path = field(default=(), repr=False)

    def get_page(self, resource: str, params: Params) -> Page:
        """GET one page of a list below the issue, such as its events.

        :raises PluginException: see API.get_page, or the organization of a short ID is unknown
        """
        return self._call(lambda path: self.api.get_page((*path, resource), self.context, params))

    def put(self, body: Record) -> Record:
        """PUT attributes of the issue, and return the issue.

        :raises PluginException: see API.put, or it is unknown in which organization the issue is
        """
        return self._call(lambda path: self.api.put(path, self.context, body), is_write=True)

    def _call(self, operation: Callable[[Path], T], is_write: bool = False) -> T:
        if self._path:
            return operation(self._path)
        path = self._preferred_path()
        try:
            result = operation(path)
        except (NotFound, Forbidden, Gone) as failure:
            path, result = self._call_alternative(operation, failure, is_write)
        self._path = path
        return result

    def _call_alternative(
        self, operation: Callable[[Path], T], failure: ResponseError, is_write: bool
    ) -> tuple[Path, T]:
        for path in self._alternative_paths(failure, is_write):
            try:
                return path, operation(path)
            except (NotFound, Forbidden, Gone):
                continue
            except ResponseError as other:
                # It says more than that the issue is unknown.
                failure = other
        raise failure from None

    def _preferred_path(self) -> Path:
        if self.reference.is_short_id and not self.reference.organization:
            self.reference = replace(self.reference, organization=self._only_organization())
        return issue_path(self.reference.issue_id, self.reference.organization)

    def _only_organization(self) -> str:
        """The organization of a short ID, if the token sees only one."""
        slugs = Projects(self.api).organization_slugs()
        if len(slugs) == 1:
            return slugs[0]
        seen = f" It sees {join_truncated(slugs)}." if slugs else ""
        raise invalid_input(
            f"The organization of the short ID {sanitize(self.reference.issue_id)} is unknown.",
            f"Set the organization_slug, or use the issue's permalink or numeric ID.{seen}",
        )

    def _alternative_paths(self, failure: ResponseError, is_write: bool) -> Iterator[Path]:
        reference = self.reference
        if reference.organization:
            may_be_elsewhere = reference.is_guess and not reference.is_short_id
            if (isinstance(failure, RouteMissing) or may_be_elsewhere) and (number := self._number()):
                yield issue_path(number)
        # On Sentry SaaS, the same number may be an issue of another region that the token may not access.
        elif not isinstance(failure, Forbidden) or self.api.server.is_saas:
            yield from self._organization_paths(is_write)

    def _number(self) -> str:
        """The numeric ID of the issue. `GET /organizations/{organization}/shortids/{short ID}/`"""
        reference = self.reference
        if not reference.is_short_id:
            return reference.issue_id
        try:
            found = self.api.get_object(short_id_path(reference.organization, reference.issue_id), self.context)
        except ResponseError:
            return ""
        number = str(found.get("groupId", ""))
        return number if number.isascii() and number.isdigit() else ""

    def _organization_paths(self, is_write: bool) -> Iterator[Path]:
        issue_id, log = self.reference.issue_id, self.api.http.log
        log.info(f"Issue {issue_id} is not found by its number alone: searching the organizations of the token")
        slugs = Projects(self.api).organization_slugs()[:MAX_ORGANIZATIONS]
        if is_write and len(slugs) > 1:
            slugs = tuple(slug for slug in slugs if self._exists(issue_path(issue_id, slug)))
            if len(slugs) > 1:
                raise self._ambiguous(slugs)
        for slug in slugs:
            log.info(f"Issue {issue_id}: trying organization {sanitize(slug)} (set organization_slug to skip this)")
            yield issue_path(issue_id, slug)

    def _exists(self, path: Path) -> bool:
        return self.api.send("GET", path).is_success

    def _ambiguous(self, slugs: tuple[str, ...]) -> InvalidInput:
        return invalid_input(
            f"Issue {self.reference.issue_id} exists in each of the organizations {join_truncated(slugs)}.",
            "Regions of Sentry number their issues independently. Set the organization_slug of the right one.",
        )


@dataclass
class ProjectIssuesEndpoint:
    """The issues of a project: from the project's endpoint, or if the server lacks it, from the organization's."""

    api: API
    organization: str
    project: str
    context: ErrorContext
    _use_organization: bool = field(default=False, repr=False)

    def get_page(self, params: Params) -> Page:
        """GET one page.

        :param params: those of the project's endpoint
        :raises PluginException: see API.get_page
        """
        if self._use_organization:
            return self._get_organization_page(params)
        try:
            return self.api.get_page(project_issues_path(self.organization, self.project), self.context, params)
        except (RouteMissing, Gone) as failure:
            self.api.http.log.info("The server no longer lists issues by project: listing those of its organization")
            try:
                page = self._get_organization_page(params)
            except RouteMissing:
                raise failure from None
        self._use_organization = True
        return page

    def _get_organization_page(self, params: Params) -> Page:
        renamed = tuple(("groupStatsPeriod" if name == "statsPeriod" else name, value) for name, value in params)
        filters = (("project", self.project), ("statsPeriod", ORGANIZATION_PERIOD))
        return self.api.get_page(organization_issues_path(self.organization), self.context, (*renamed, *filters))
