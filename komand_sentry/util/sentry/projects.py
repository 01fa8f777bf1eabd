"""Organizations and projects that the token can see."""

from dataclasses import dataclass

from komand_sentry.util.errors.exceptions import ConnectionFailed, ResponseError
from komand_sentry.util.errors.factory import ErrorContext
from komand_sentry.util.http.messages import Params
from komand_sentry.util.http.urls import is_segment
from komand_sentry.util.sentry.api import API, Path
from komand_sentry.util.sentry.normalize import Record, pick
from komand_sentry.util.sentry.organizations import OrganizationList, organization_path
from komand_sentry.util.sentry.pagination import ListSpec, Page, PageRange, RecordList, read_list
from komand_sentry.util.sentry.scopes import ORGANIZATION_SCOPE

# The connection test may send a request for each of them. Few tokens can access more.
MAX_CHECKED_ORGANIZATIONS = 20
# The search for an issue sends a request for each organization.
MAX_SEARCHED_ORGANIZATIONS = 300
_KEYS = ("id", "slug", "name", "platform", "status", "isMember", "hasAccess", "dateCreated", "firstEvent")


def normalize_project(record: Record) -> Record:
    """A project as the plugin returns it, without its settings, features and statistics."""
    return pick(record, *_KEYS)


PROJECTS = OrganizationList("projects", ORGANIZATION_SCOPE, ListSpec("id", "per_page", normalize_project))
ORGANIZATIONS = ListSpec("slug", "per_page")


@dataclass(frozen=True)
class Projects:
    """https://docs.sentry.io/api/projects/ and https://docs.sentry.io/api/organizations/"""

    api: API

    def list_for_organization(self, organization_slug: str, query: str, page_range: PageRange) -> RecordList:
        """`GET /organizations/{organization}/projects/`

        :param query: a text that the name or the slug contains, "" for all projects
        :raises PluginException: see OrganizationList.read
        """
        return PROJECTS.read(self.api, organization_slug, query, page_range)

    def organization_slugs(self) -> tuple[str, ...]:
        """The slugs of the organizations, empty if the token may not list them. `GET /organizations/`

        :raises ConnectionFailed: no complete response was received
        """
        return self._usable(self._list(("organizations",)) or [])

    def all_organization_slugs(self) -> tuple[tuple[str, ...], bool]:
        """The slugs of all organizations, and whether these are known to be all: see RecordList.truncated.

        :raises PluginException: the list could not be read
        """
        context = ErrorContext("the organizations of the token")

        def fetch(params: Params) -> Page:
            return self.api.get_page(("organizations",), context, params)

        organizations = read_list(fetch, ORGANIZATIONS, PageRange(MAX_SEARCHED_ORGANIZATIONS), context, self.api.http)
        return self._usable(organizations.records), not organizations.truncated

    def names(self) -> tuple[str, ...] | None:
        """`organization/project` of the projects, None if the token may not list them. Reads one page of each list.

        `GET /projects/`, or `GET /organizations/{organization}/projects/` of each organization.

        :raises ConnectionFailed: no complete response was received
        """
        projects = self._list(("projects",))
        if projects:
            named = ((_slug(project.get("organization")), _slug(project)) for project in projects)
            return tuple("/".join(filter(None, pair)) for pair in named if pair[1])
        # Sentry SaaS lists only the projects of one region there.
        names: list[str] = []
        is_allowed = projects is not None
        for slug in self.organization_slugs()[:MAX_CHECKED_ORGANIZATIONS]:
            try:
                found = self._list(organization_path(slug, "projects"))
            except ConnectionFailed:
                self.api.http.log.warning(f"Not all projects are listed: those of {slug} could not be read in time")
                break
            is_allowed = is_allowed or found is not None
            names += [f"{slug}/{_slug(project)}" for project in found or () if _slug(project)]
        return tuple(names) if is_allowed else None

    def _usable(self, organizations: list[Record]) -> tuple[str, ...]:
        slugs = map(_slug, organizations)
        return tuple(slug for slug in slugs if is_segment(slug) and not self.api.contains_token(slug))

    def _list(self, path: Path) -> list[Record] | None:
        try:
            return self.api.get_page(path, ErrorContext("the list")).records
        except ResponseError:
            return None


def _slug(record: object) -> str:
    slug = record.get("slug") if isinstance(record, dict) else None
    return slug if isinstance(slug, str) else ""
