"""Issues: list those of a project, update one."""

from dataclasses import dataclass
from typing import NamedTuple

from komand_sentry.util.errors.factory import ErrorContext, invalid_input
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.messages import Params
from komand_sentry.util.http.urls import InvalidURL, quote_segment
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.endpoints import IssueEndpoint, ProjectIssuesEndpoint
from komand_sentry.util.sentry.issue_reference import IssueReference
from komand_sentry.util.sentry.normalize import normalize_issue
from komand_sentry.util.sentry.pagination import ListSpec, Page, PageRange, Record, RecordList, read_list
from komand_sentry.util.sentry.scopes import READ_SCOPE, WRITE_SCOPE

ISSUES = ListSpec("id", "limit", normalize_issue)


class IssueFilter(NamedTuple):
    """Which issues of a project to list: https://docs.sentry.io/api/events/list-a-projects-issues/

    :param query: "" for all statuses
    :param stats_period: of the histogram in `stats`: "24h", "14d" or "" (none)
    """

    query: str = "is:unresolved"
    stats_period: str = ""
    short_id_lookup: bool = False
    environment: str = ""
    sort: str = ""

    def params(self) -> Params:
        """`query` and `statsPeriod` are always sent, because their defaults differ between servers."""
        optional = {
            "shortIdLookup": "1" if self.short_id_lookup else "",
            "environment": self.environment,
            "sort": self.sort,
        }
        given = tuple((name, value) for name, value in optional.items() if value)
        return (("query", self.query), ("statsPeriod", self.stats_period), *given)


@dataclass(frozen=True)
class Issues:
    """https://docs.sentry.io/api/events/"""

    api: API

    def list_for_project(
        self, organization_slug: str, project_slug: str, issue_filter: IssueFilter, page_range: PageRange
    ) -> RecordList:
        """`GET /projects/{organization}/{project}/issues/`, as many pages as the range needs.

        :raises PluginException: see API.get_page and read_list
        """
        check_slugs(organization_slug=organization_slug, project_slug=project_slug)
        context = ErrorContext(
            f"project {sanitize(project_slug)} of organization {sanitize(organization_slug)}",
            READ_SCOPE,
            "Check both slugs (they are in the URL of the project's page, not in its title), that the token may see "
            "the project, and for Sentry SaaS that the connection's URL is that of the region, such as "
            "https://de.sentry.io.",
        )
        endpoint = ProjectIssuesEndpoint(self.api, organization_slug, project_slug, context)
        params = issue_filter.params()

        def fetch(page_params: Params) -> Page:
            return endpoint.get_page((*params, *page_params))

        return read_list(fetch, ISSUES, page_range, context, self.api.http)

    def update(self, issue_id: str, organization_slug: str, changes: Record) -> Record:
        """`PUT /organizations/{organization}/issues/{ID}/` or `PUT /issues/{ID}/`

        :param issue_id: a number, a permalink or a short ID
        :param organization_slug: "" if unknown
        :param changes: the attributes to change; all others stay as they are
        :returns: the updated issue
        :raises PluginException: see API.put, or the issue_id is invalid
        """
        endpoint = issue_endpoint(self.api, issue_id, organization_slug, WRITE_SCOPE)
        return normalize_issue(endpoint.put(changes))


def issue_endpoint(api: API, issue_id: str, organization_slug: str, scope: str) -> IssueEndpoint:
    """The endpoint of the issue that a user named.

    :param organization_slug: "" if unknown
    :param scope: that the operation needs
    :raises InvalidInput: the issue_id or the slug is invalid
    """
    try:
        reference = IssueReference.parse(issue_id, organization_slug)
    except InvalidURL as error:
        raise invalid_input(
            f"The issue_id is invalid: {error}.",
            "Set the issue's numeric ID (the id of an issue of List Project Issues), its short ID together with the "
            "organization_slug, or its permalink, such as https://acme.sentry.io/issues/123/.",
        ) from None
    if organization_slug:
        check_slugs(organization_slug=organization_slug)
    if reference.is_foreign_to(api.server):
        api.http.log.warning(
            f"The permalink is of {reference.host}, but the connection's server is {api.server.host}: "
            f"using issue {reference.issue_id} of {api.server.host}"
        )
    where = f" of organization {sanitize(reference.organization)}" if reference.organization else ""
    context = ErrorContext(
        f"issue {reference.issue_id}{where}",
        scope,
        "Check the ID, that the issue was not deleted or merged, that the token may see its project, the "
        "organization_slug if you set one, and for Sentry SaaS that the connection's URL is that of the region, such "
        "as https://de.sentry.io.",
    )
    return IssueEndpoint(api, reference, context)


def check_slugs(**slugs: str) -> None:
    """Check that slugs can be segments of a path.

    :param slugs: by the name of the input
    :raises InvalidInput: one cannot
    """
    for name, slug in slugs.items():
        try:
            quote_segment(slug)
        except InvalidURL as error:
            raise invalid_input(
                f"The {name} is invalid: {error}.",
                "The slug is in the URL of Sentry's pages, as in "
                "https://sentry.io/organizations/<organization_slug>/projects/<project_slug>/.",
            ) from None
