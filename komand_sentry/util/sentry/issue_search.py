"""Search the issues of an organization: https://docs.sentry.io/api/events/list-an-organizations-issues/"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import (
    BadRequest,
    Forbidden,
    HTMLResponse,
    ResponseError,
    RouteMissing,
    ServerFailed,
)
from komand_sentry.util.errors.factory import ErrorContext, invalid_input, search_unsupported
from komand_sentry.util.errors.messages import list_failure_advice, search_advice
from komand_sentry.util.errors.redaction import join_truncated, sanitize
from komand_sentry.util.http.messages import Params
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.endpoints import (
    ORGANIZATION_PERIOD,
    issue_path,
    organization_issues_path,
)
from komand_sentry.util.sentry.organizations import organization_path
from komand_sentry.util.sentry.pagination import ListSpec, Page, PageRange, RecordList, read_list
from komand_sentry.util.sentry.scopes import ORGANIZATION_SCOPE, READ_SCOPE

_PERIOD = re.compile(r"[1-9][0-9]{0,5}[smhdw]")
# Without it, Sentry before 2026 searches only the projects of the teams that the token's user is a member of.
_ALL_PROJECTS = "-1"
# No issue has this number.
_NO_ISSUE = "0"
# What a server that lacks the search responds with. Sentry 9 has the route, but fails on it in several ways.
_MAY_BE_UNSUPPORTED = (BadRequest, Forbidden, ServerFailed, RouteMissing, HTMLResponse)
_PROJECTS = ListSpec("id", "per_page")


class IssueSearch(NamedTuple):
    """Which issues of an organization to find.

    :param projects: slugs or IDs, empty for all that the token can access
    :param environments: names, empty for all
    :param query: "" for all statuses
    :param period: such as "24h"; "" for that from `start` to `end`, or if these are empty, for 90 days
    :param sort: "" for the default of the server
    """

    projects: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    query: str = "is:unresolved"
    period: str = ""
    start: str = ""
    end: str = ""
    sort: str = ""

    def params(self) -> Params:
        """The query parameters, without those of the projects, which depend on the server.

        :raises InvalidInput: the time range is invalid
        """
        environments = tuple(("environment", name) for name in self.environments)
        sort = (("sort", self.sort),) if self.sort else ()
        return (("query", self.query), ("groupStatsPeriod", ""), *self._time_params(), *environments, *sort)

    def _time_params(self) -> Params:
        for name, value in (("start", self.start), ("end", self.end)):
            if value and self.period:
                raise invalid_input(
                    f"Both period and {name} are set.", "Set either period, or start and end, but not both."
                )
        if self.period and not _PERIOD.fullmatch(self.period):
            raise invalid_input(
                "The period is invalid.", "Set a number and a unit (s, m, h, d, w), such as 24h, 14d or 2w."
            )
        if not self.start and not self.end:
            return (("statsPeriod", self.period or ORGANIZATION_PERIOD),)
        if not self.start or not self.end:
            given, missing = ("start", "end") if self.start else ("end", "start")
            raise invalid_input(
                f"{given} is set, but {missing} is not.", "Set both start and end, or a period instead."
            )
        start, end = _parse_time("start", self.start), _parse_time("end", self.end)
        if start >= end:
            raise invalid_input("start is not before end.", "Set a start that is before the end.")
        return (("start", start.isoformat()), ("end", end.isoformat()))


def _parse_time(name: str, text: str) -> datetime:
    """A time in UTC without time zone, which is the form that all versions of Sentry accept."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise invalid_input(
            f"{name} is not a time.", f"Set {name} to a time in ISO 8601, such as 2026-08-01T00:00:00Z."
        ) from None


@dataclass
class SearchEndpoint:
    """The issues of an organization that match a search.

    :param hits: number of issues that match, as far as the server says; 0 if it does not. Sentry counts up to 1000
    """

    api: API
    organization: str
    search: IssueSearch
    hits: int = 0
    _projects: Params | None = field(default=None, repr=False)

    def read(self, spec: ListSpec, page_range: PageRange) -> RecordList:
        """`GET /organizations/{organization}/issues/`, as many pages as the range needs.

        :raises PluginException: see read_list, the search is invalid, or the server cannot search
        """
        context = ErrorContext(
            f"organization {sanitize(self.organization)}",
            READ_SCOPE,
            search_advice(self.search.environments),
            list_failure_advice(self.search.sort, page_range.cursor),
        )
        params = self.search.params()

        def fetch(page_params: Params) -> Page:
            return self._get_page((*params, *page_params), context)

        return read_list(fetch, spec, page_range, context, self.api.http)

    def _get_page(self, params: Params, context: ErrorContext) -> Page:
        if self._projects is not None:
            return self._request(params, context, self._projects)
        page, self._projects = self._get_first_page(params, context)
        self.hits = page.hits
        return page

    def _get_first_page(self, params: Params, context: ErrorContext) -> tuple[Page, Params]:
        """The first page, and the query parameters for the projects in the form that the server accepts."""
        projects = _project_params(self.search.projects or (_ALL_PROJECTS,))
        try:
            return self._request_explained(params, context, projects), projects
        except BadRequest as failure:
            if not _refuses_projects(failure):
                raise
        # Sentry before 2026 takes numbers only, and other servers have no number for all projects.
        projects = _project_params(self._project_ids()) if self.search.projects else ()
        return self._request_explained(params, context, projects), projects

    def _request_explained(self, params: Params, context: ErrorContext, projects: Params) -> Page:
        try:
            return self._request(params, context, projects)
        except _MAY_BE_UNSUPPORTED as failure:
            if not _refuses_projects(failure):
                self._explain(failure)
            raise

    def _request(self, params: Params, context: ErrorContext, projects: Params) -> Page:
        return self.api.get_page(organization_issues_path(self.organization), context, (*params, *projects))

    def _explain(self, failure: ResponseError) -> None:
        """Raise a more specific error if the cause of a failure is known.

        :raises InvalidInput: there is no such project, or the server cannot search
        """
        # Other statuses from 501 on mean that the server is down or overloaded.
        is_down = isinstance(failure, ServerFailed) and failure.status_code != 500
        if not is_down and not self.api.server.is_saas and self._is_unsupported():
            raise search_unsupported() from None
        if isinstance(failure, Forbidden) and self.search.projects:
            # Sentry refuses the whole search for a project that it does not know.
            try:
                self._project_ids()
            except ResponseError:
                return

    def _is_unsupported(self) -> bool:
        """Whether the server lacks the path of an issue below its organization, as Sentry 9 does."""
        try:
            self.api.get_object(issue_path(_NO_ISSUE, self.organization), ErrorContext("the search"))
        except (RouteMissing, HTMLResponse):
            return True
        except PluginException:
            return False
        return False

    def _project_ids(self) -> tuple[str, ...]:
        """`GET /organizations/{organization}/projects/`

        :raises InvalidInput: a project is not among them
        :raises PluginException: the list could not be read
        """
        name = f"the projects of organization {sanitize(self.organization)}"
        context = ErrorContext(name, ORGANIZATION_SCOPE, search_advice())
        projects = self.api.read_list(
            organization_path(self.organization, "projects"), _PROJECTS, context, PageRange()
        ).records
        ids = {str(project.get("slug")): str(project.get("id")) for project in projects}
        unknown = tuple(slug for slug in self.search.projects if slug not in ids and slug not in ids.values())
        if unknown:
            raise invalid_input(
                f"Organization {sanitize(self.organization)} has no project {join_truncated(unknown)} that the token "
                "can access.",
                "Check the slugs of projects, which are in the URLs of the projects' pages.",
            )
        return tuple(ids.get(slug, slug) for slug in self.search.projects)


def _refuses_projects(failure: ResponseError) -> bool:
    """Whether the server refuses the form of the projects, such as a slug."""
    return isinstance(failure, BadRequest) and "project" in f"{failure.cause} {failure.data}".lower()


def _project_params(projects: Sequence[str]) -> Params:
    return tuple(("project", project) for project in projects)
