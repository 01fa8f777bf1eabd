"""Under which path a server keeps an issue, or the issues of a project: that differs by its age and its regions.

- Sentry 9 knows `/issues/{number}/` and not `/organizations/{organization}/issues/{ID}/`.
- Sentry SaaS serves the first for issues of its region in the United States only, and is about to give it up: it
  answers 410 for a while, with a header that says so. The second takes short IDs too.
- `/projects/{organization}/{project}/issues/` is on its way out in the same manner.

A route tries the one that fits best, and where a server does not have it, or does not know the issue, the other. As
regions count their issues alike, a change is made where one organization alone has an issue of the number, or nowhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util import errors
from komand_sentry.util.address import IssueReference
from komand_sentry.util.errors import Target, listed, shown
from komand_sentry.util.exchange import Params, Response
from komand_sentry.util.web_api import WebAPI, json_of

MOST_ORGANIZATIONS = 20
# The project's endpoint looks at all events; the organization's at the last 90 days, if it is not told the period.
ORGANIZATION_PERIOD = "90d"

# How Sentry says that it does not know an issue, or not under this path.
_UNKNOWN = (403, 404, 410)

Segments = tuple[str, ...]


def is_route_missing(response: Response) -> bool:
    """Whether the server does not have the endpoint. Of an object that it does not have it says so in JSON."""
    if response.status != 404:
        return False
    answer = json_of(response)
    return not (isinstance(answer, dict) and "detail" in answer)


def is_gone(response: Response) -> bool:
    """Whether the endpoint is retired, for now or for good: https://docs.sentry.io/api/ , "deprecated"."""
    return response.status == 410


@dataclass
class IssueRoute:
    """The way to one issue. Once found it stays, so that all pages of a listing are read from the same place."""

    api: WebAPI
    reference: IssueReference
    target: Target
    _path: Segments = field(default=(), repr=False)

    def call(self, method: str, tail: str = "", params: Params = (), body: Any = None) -> Response:
        """One call of the issue's endpoint, or of one below it.

        :raises PluginException: see WebAPI.call, or a short ID whose organization cannot be told
        """
        below = (tail,) if tail else ()
        if self._path:
            return self.api.call(method, (*self._path, *below), self.target, params, body)
        first = self._first_path()
        response = self.api.ask(method, (*first, *below), params, body)
        if response.is_success:
            self._path = first
            return response
        for path in self._other_paths(method, response):
            other = self.api.ask(method, (*path, *below), params, body)
            if other.is_success:
                self._path = path
                return other
            if other.status not in _UNKNOWN:
                # It says more than that the issue is not known.
                response = other
        return self.api.judged(response, self.target)

    def _first_path(self) -> Segments:
        reference = self.reference
        if reference.is_short_id and not reference.organization:
            self.reference = reference = replace(reference, organization=self._only_organization())
        if reference.organization:
            return ("organizations", reference.organization, "issues", reference.issue_id)
        return ("issues", reference.issue_id)

    def _only_organization(self) -> str:
        """A short ID names an issue within an organization; which one, is plain where the token sees only one."""
        slugs = self.api.organizations()
        if len(slugs) == 1:
            return slugs[0]
        seen = f"It sees {listed(slugs)}." if slugs else ""
        raise errors.input_error(
            f"The short ID {shown(self.reference.issue_id)} does not tell its organization, nor does the token.",
            f"Give the organization_slug, the issue's permalink, or its numeric ID. {seen}".strip(),
        )

    def _other_paths(self, method: str, response: Response) -> Iterator[Segments]:
        reference = self.reference
        if reference.organization:
            is_elsewhere = reference.is_guess and response.status in _UNKNOWN and not reference.is_short_id
            if (is_route_missing(response) or is_elsewhere) and (number := self._number()):
                yield ("issues", number)
        elif is_gone(response) or response.status == 404 or (response.status == 403 and self._may_be_anothers):
            yield from self._paths_in_organizations(method)

    @property
    def _may_be_anothers(self) -> bool:
        """Regions of Sentry SaaS count their issues alike: the number may be that of somebody else's elsewhere."""
        return self.api.server.is_sentry_saas

    def _number(self) -> str:
        """The number of the issue: on a server without the organization's route a short ID has to be looked up.

        `GET /organizations/{organization}/shortids/{short ID}/`
        """
        reference = self.reference
        if not reference.is_short_id:
            return reference.issue_id
        answer = json_of(self.api.ask("GET", ("organizations", reference.organization, "shortids", reference.issue_id)))
        number = str(answer.get("groupId", "")) if isinstance(answer, dict) else ""
        return number if number.isascii() and number.isdigit() else ""

    def _paths_in_organizations(self, method: str) -> Iterator[Segments]:
        name = f"Issue {self.reference.issue_id}"
        self.api.say(f"{name} is not found by its number alone: looking in the organizations of the token")
        slugs = self.api.organizations()[:MOST_ORGANIZATIONS]
        paths: list[Segments] = [("organizations", slug, "issues", self.reference.issue_id) for slug in slugs]
        if method != "GET" and len(paths) > 1:
            paths = [path for path in paths if self.api.ask("GET", path).is_success]
            if len(paths) > 1:
                raise self._ambiguous(tuple(path[1] for path in paths))
        for path in paths:
            self.api.say(f"{name}: trying organization {shown(path[1])} (an organization_slug saves the search)")
            yield path

    def _ambiguous(self, slugs: tuple[str, ...]) -> PluginException:
        return errors.input_error(
            f"There is an issue {self.reference.issue_id} in each of the organizations {listed(slugs)}.",
            "Regions of Sentry count their issues alike. Give the organization_slug of the one that is meant.",
        )


@dataclass
class ProjectIssuesRoute:
    """The way to the issues of a project: by the project's endpoint, or where that is gone the organization's."""

    api: WebAPI
    organization: str
    project: str
    target: Target
    _is_by_organization: bool = field(default=False, repr=False)

    def page(self, params: Params) -> Response:
        """One page, `params` being those of the project's endpoint.

        :raises PluginException: see WebAPI.call
        """
        if self._is_by_organization:
            return self.api.judged(self._ask_organization(params), self.target)
        response = self.api.ask("GET", ("projects", self.organization, self.project, "issues"), params)
        if is_gone(response) or is_route_missing(response):
            self.api.say("The server no longer lists issues by project: asking its organization for those of it")
            other = self._ask_organization(params)
            if not is_route_missing(other):
                self._is_by_organization = True
                return self.api.judged(other, self.target)
        return self.api.judged(response, self.target)

    def _ask_organization(self, params: Params) -> Response:
        renamed = tuple(("groupStatsPeriod" if name == "statsPeriod" else name, value) for name, value in params)
        of_project = (("project", self.project), ("statsPeriod", ORGANIZATION_PERIOD))
        return self.api.ask("GET", ("organizations", self.organization, "issues"), (*renamed, *of_project))
