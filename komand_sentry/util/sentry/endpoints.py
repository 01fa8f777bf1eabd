"""Paths of the web API, and which one of several a server has for the same resource.

- Sentry 9 has `/issues/{number}/`, but not `/organizations/{organization}/issues/{ID}/`.
- Sentry SaaS has both, but the first only finds issues of the United States region and is deprecated: it responds with
  410 from time to time. The second also accepts short IDs.
- `/projects/{organization}/{project}/issues/` is deprecated in the same way.

An endpoint class tries the best path first, and the alternatives if the server does not have it or does not know the
issue. Regions number their issues independently. So a number alone only names an issue if exactly one organization has
it, and a change is only sent on an alternative path after a GET confirmed that it is the same issue.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeVar

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    BadRequest,
    Forbidden,
    Gone,
    HTMLResponse,
    NotFound,
    ResponseError,
    RouteMissing,
    ServerFailed,
)
from komand_sentry.util.errors.factory import ErrorContext, invalid_input, short_ids_unsupported
from komand_sentry.util.errors.messages import issue_advice
from komand_sentry.util.errors.redaction import join_truncated, sanitize
from komand_sentry.util.http.messages import Params, Response
from komand_sentry.util.http.urls import InvalidURL
from komand_sentry.util.sentry.api import API, Path
from komand_sentry.util.sentry.issue_reference import (
    IssueReference,
    is_issue_number,
    names_issue,
    organization_of_issue,
)
from komand_sentry.util.sentry.normalize import Record
from komand_sentry.util.sentry.organizations import check_slug, organization_path
from komand_sentry.util.sentry.pagination import Page
from komand_sentry.util.sentry.projects import Projects
from komand_sentry.util.sentry.scopes import READ_SCOPE, WRITE_SCOPE

T = TypeVar("T")

# The project's endpoint searches all events; the organization's searches this period at most.
ORGANIZATION_PERIOD = "90d"

_METHOD_NOT_ALLOWED = 405

# The server does not have the endpoint. Some respond with the page of their web interface instead.
_NO_ROUTE = (RouteMissing, HTMLResponse, Gone)
# The server does not know the issue, or not below this path.
_UNKNOWN = (NotFound, Forbidden, HTMLResponse, Gone)


def issue_path(issue_id: str, organization: str = "") -> Path:
    """The path of an issue, below its organization if that is known."""
    return (*(("organizations", organization) if organization else ()), "issues", issue_id)


def organization_issues_path(organization: str) -> Path:
    """The path of the issues of all projects of an organization."""
    return organization_path(organization, "issues")


def project_path(organization: str, project: str) -> Path:
    """The path of a project."""
    return ("projects", organization, project)


def project_event_path(organization: str, project: str, event_id: str) -> Path:
    """The path of an event of a project, which all versions have."""
    return (*project_path(organization, project), "events", event_id)


def event_id_path(organization: str, event_id: str) -> Path:
    """The path that resolves the ID of an event."""
    return (*organization_path(organization, "eventids"), event_id)


def short_id_path(organization: str, short_id: str) -> Path:
    """The path that resolves a short ID."""
    return (*organization_path(organization, "shortids"), short_id)


@dataclass
class IssueEndpoint:
    """The endpoint of one issue. Once found, its path stays the same, so that all pages come from one place."""

    api: API
    reference: IssueReference
    context: ErrorContext
    _path: Path = field(default=(), repr=False)

    @property
    def path(self) -> Path:
        """The path of the issue, empty until a request found it."""
        return self._path

    def check_exists(self) -> None:
        """Check that the issue exists, because some servers return an empty list if it does not.

        :raises NotFound: it does not exist
        """
        self._call(lambda path: self.api.check_exists(path, self.context))

    def get(self, *resource: str, params: Params = (), is_write: bool = False) -> Record:
        """GET the issue, or an object below it: `get("events", "latest")`.

        :param is_write: a change follows, so the issue must be identified unambiguously
        :raises PluginException: see API.get_object, or the issue cannot be identified
        """
        return self._call(lambda path: self.api.get_object((*path, *resource), self.context, params), is_write)

    def get_page(self, resource: str, params: Params) -> Page:
        """GET one page of a list below the issue, such as its events.

        :raises PluginException: see API.get_page, or the issue cannot be identified
        """
        return self._call(lambda path: self.api.get_page((*path, resource), self.context, params))

    def put(self, body: Record) -> Record:
        """PUT attributes of the issue, and return the issue.

        :raises PluginException: see API.put, or the issue cannot be identified unambiguously
        """
        return self._call(lambda path: self.api.put(path, self.context, body), is_write=True)

    def write(self, operation: Callable[[Path], T]) -> T:
        """Run an operation that changes the issue, and return its result.

        :param operation: gets the path of the issue
        :raises PluginException: what the operation raises, or the issue cannot be identified unambiguously
        """
        return self._call(operation, is_write=True)

    def delete(self) -> None:
        """DELETE the issue.

        :raises PluginException: see API.delete, or the issue cannot be identified unambiguously
        """
        self._call(lambda path: self.api.delete(path, self.context), is_write=True)

    def by_number(self, number: str) -> "IssueEndpoint":
        """The endpoint of the issue with a numeric ID, below the same path. Only for an endpoint that has been used."""
        reference = replace(self.reference, issue_id=number)
        return replace(self, reference=reference, _path=(*self._path[:-1], number))

    def organization(self) -> str:
        """The slug of the issue's organization: from the inputs of the step, or from the issue itself.

        :raises PluginException: see get, or the issue does not show its organization
        """
        if self.reference.organization:
            return self.reference.organization
        issue = self.get(is_write=True)
        in_path = self._path[1] if self._path[0] == "organizations" else ""
        organization = in_path or organization_of_issue(issue)
        if not organization:
            raise invalid_input(
                f"The organization of issue {sanitize(self.reference.issue_id)} is unknown.",
                "Set the organization_slug.",
            )
        return organization

    def _call(self, operation: Callable[[Path], T], is_write: bool = False) -> T:
        if self._path:
            return operation(self._path)
        path = self._preferred_path()
        try:
            result = operation(path)
        except _UNKNOWN as failure:
            path = self._alternative_path(failure, is_write)
            result = operation(path)
        self._path = path
        return result

    def _preferred_path(self) -> Path:
        if self.reference.is_short_id and not self.reference.organization:
            self.reference = replace(self.reference, organization=self._only_organization())
        return issue_path(self.reference.issue_id, self.reference.organization)

    def _only_organization(self) -> str:
        """The organization of a short ID, if the token sees only one."""
        try:
            slugs, is_complete = Projects(self.api).all_organization_slugs()
        except ResponseError:
            slugs, is_complete = (), False
        if len(slugs) == 1 and is_complete:
            return slugs[0]
        seen = f" It sees {join_truncated(slugs)}." if slugs else ""
        raise invalid_input(
            f"The organization of the short ID {sanitize(self.reference.issue_id)} is unknown.",
            f"Set the organization_slug, or use the issue's permalink or numeric ID.{seen}",
        )

    def _alternative_path(self, failure: ResponseError, is_write: bool) -> Path:
        """The path to use after the preferred one failed.

        :raises PluginException: `failure`, or that the issue cannot be identified
        """
        reference = self.reference
        if not reference.organization:
            # Where there are no regions, 403 means that the token may not access the issue.
            if isinstance(failure, Forbidden) and not self.api.server.is_saas:
                raise failure from None
            return self._path_in_organizations(failure, is_write)
        may_be_elsewhere = reference.is_guess and not reference.is_short_id
        if not isinstance(failure, _NO_ROUTE) and not may_be_elsewhere:
            raise failure from None
        path = issue_path(self._number(failure))
        if is_write:
            self._confirm(path, failure)
        return path

    def _number(self, failure: ResponseError) -> str:
        """The numeric ID of the issue. `GET /organizations/{organization}/shortids/{short ID}/`"""
        reference = self.reference
        if not reference.is_short_id:
            return reference.issue_id
        try:
            found = self.api.get_object(short_id_path(reference.organization, reference.issue_id), self.context)
        except _NO_ROUTE:
            raise short_ids_unsupported(reference.issue_id) from None
        except ResponseError:
            raise failure from None
        number = str(found.get("groupId", ""))
        if not is_issue_number(number):
            raise failure from None
        return number

    def _confirm(self, path: Path, failure: ResponseError) -> None:
        """Check that a path is that of the same issue, because a number may be another issue of another organization.

        :raises ResponseError: `failure`, if the server does not know the number either
        :raises InvalidInput: it is another issue, or the server does not show that it is the same
        """
        try:
            record = self.api.get_object(path, self.context)
        except _UNKNOWN:
            raise failure from None
        if not names_issue(self.reference, record):
            raise invalid_input(
                f"Nothing was changed: issue {path[-1]} of this server is not "
                f"{sanitize(self.reference.issue_id)} of organization {sanitize(self.reference.organization)}.",
                "Check the issue_id and the organization_slug, and that the connection's URL is that of the server "
                "of the permalink. Use the numeric ID alone to change the issue with this number.",
            )

    def _path_in_organizations(self, failure: ResponseError, is_write: bool) -> Path:
        """The path of the issue in the only organization that has it."""
        issue_id, log = self.reference.issue_id, self.api.http.log
        log.info(
            f"Issue {issue_id} is not found by its number alone: searching the organizations of the token "
            "(set organization_slug to skip this)"
        )
        try:
            slugs, is_complete = Projects(self.api).all_organization_slugs()
        except ResponseError:
            raise failure from None
        found, unchecked, last_error = self._search(slugs)
        if not is_complete:
            unchecked = (*unchecked, "further organizations")
        if len(found) > 1:
            self._raise_ambiguous(found)
        if unchecked and slugs and (is_write or not found):
            self._raise_unchecked(unchecked, last_error or failure)
        if not found:
            raise failure from None
        if unchecked:
            log.warning(f"Issue {issue_id} may also exist in {join_truncated(unchecked)}, which could not be checked")
        return issue_path(issue_id, found[0])

    def _search(self, slugs: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], PluginException | None]:
        """GET the issue in each organization: those that have it, those that could not be checked, and why."""
        found: list[str] = []
        unchecked: list[str] = []
        last_error: PluginException | None = None
        for position, slug in enumerate(slugs):
            if self.api.http.budget.is_overdue:
                unchecked += slugs[position:]
                break
            try:
                self.api.get_object(issue_path(self.reference.issue_id, slug), self.context)
                found.append(slug)
            except _UNKNOWN:
                continue
            except PluginException as error:
                last_error = error
                unchecked.append(slug)
        return tuple(found), tuple(unchecked), last_error

    def _raise_ambiguous(self, slugs: tuple[str, ...]) -> NoReturn:
        raise invalid_input(
            f"Issue {self.reference.issue_id} exists in each of the organizations {join_truncated(slugs)}.",
            "Regions of Sentry number their issues independently. Set the organization_slug of the right one.",
        )

    def _raise_unchecked(self, slugs: tuple[str, ...], failure: PluginException) -> NoReturn:
        raise invalid_input(
            f"Issue {self.reference.issue_id} cannot be identified: {join_truncated(slugs)} could not be checked.",
            f"Set the organization_slug. The last failure: {failure.cause}",
        )


def issue_endpoint(api: API, issue_id: str, organization_slug: str, is_write: bool = False) -> IssueEndpoint:
    """The endpoint of the issue that a user named.

    :param organization_slug: "" if unknown
    :param is_write: the operation changes the issue
    :raises InvalidInput: the issue_id or the slug is invalid, or names an issue of another server
    """
    try:
        reference = IssueReference.parse(issue_id, organization_slug)
    except InvalidURL as error:
        raise invalid_input(
            f"The issue_id is invalid: {error}.",
            "Set the issue's numeric ID (the id of an issue of List Project Issues), its short ID together with the "
            "organization_slug, such as PUMP-STATION-1K or acme/PUMP-STATION-1K, or its permalink, such as "
            "https://acme.sentry.io/issues/123/.",
        ) from None
    if organization_slug:
        check_slug("organization_slug", organization_slug)
    _check_server(api, reference, must_match=is_write and not organization_slug)
    where = f" of organization {sanitize(reference.organization)}" if reference.organization else ""
    scope = WRITE_SCOPE if is_write else READ_SCOPE
    context = ErrorContext(f"issue {reference.issue_id}{where}", scope, issue_advice())
    return IssueEndpoint(api, reference, context)


def _check_server(api: API, reference: IssueReference, must_match: bool) -> None:
    if reference.is_same_service(api.server):
        return
    problem = f"The permalink is of {reference.host}, but the connection's server is {api.server.host}"
    if must_match:
        raise invalid_input(
            f"{problem}. Nothing was changed.",
            "The same number is another issue there. Use a connection to the server of the permalink, or set the "
            "organization_slug to confirm that the issue is on the connection's server.",
        )
    api.http.log.warning(f"{problem}: using issue {reference.issue_id} of {api.server.host}")


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
        path = (*project_path(self.organization, self.project), "issues")
        try:
            return self.api.get_page(path, self.context, params)
        except ServerFailed as failure:
            raise self._sort_error(params) or failure from None
        except _NO_ROUTE as failure:
            self.api.http.log.info("The server no longer lists issues by project: listing those of its organization")
            try:
                page = self._get_organization_page(params)
            except _NO_ROUTE:
                raise failure from None
        self._use_organization = True
        return page

    def put(self, project_id: str, params: Params, body: Record) -> Response:
        """PUT attributes of several issues: through the organization, or if the server lacks that, the project.

        Without the parameter `project`, some servers act on issues of the user's own projects only.

        :param project_id: the number of the project
        :param params: which issues
        :raises PluginException: see API.send_checked
        """
        path = organization_issues_path(self.organization)
        try:
            return self.api.send_checked("PUT", path, self.context, (*params, ("project", project_id)), body)
        except ResponseError as failure:
            if not isinstance(failure, _NO_ROUTE) and failure.status_code != _METHOD_NOT_ALLOWED:
                raise
        path = (*project_path(self.organization, self.project), "issues")
        return self.api.send_checked("PUT", path, self.context, params, body)

    def check_exists(self) -> None:
        """Check that the project exists, because some servers return an empty list if it does not.

        `GET /projects/{organization}/{project}/`, which needs project:read. Otherwise the check is skipped.

        :raises NotFound: it does not exist
        """
        self.api.check_exists(project_path(self.organization, self.project), self.context)

    def _get_organization_page(self, params: Params) -> Page:
        renamed = tuple(("groupStatsPeriod" if name == "statsPeriod" else name, value) for name, value in params)
        filters = (("project", self.project), ("statsPeriod", ORGANIZATION_PERIOD))
        return self.api.get_page(organization_issues_path(self.organization), self.context, (*renamed, *filters))

    def _sort_error(self, params: Params) -> BadRequest | None:
        """The error of the organization's endpoint, which names an unsupported sort; the project's fails with 500."""
        if not any(name == "sort" for name, _ in params):
            return None
        try:
            self._get_organization_page(params)
        except BadRequest as error:
            return error if "sort" in str(error.data).lower() else None
        except PluginException:
            return None
        return None
