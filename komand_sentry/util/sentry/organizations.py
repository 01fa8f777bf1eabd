"""Lists of an organization, such as its teams: https://docs.sentry.io/api/organizations/"""

from typing import NamedTuple

from komand_sentry.util.errors.factory import ErrorContext, invalid_input
from komand_sentry.util.errors.messages import list_failure_advice, organization_advice
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.http.urls import InvalidURL, quote_segment
from komand_sentry.util.sentry.api import API, Path
from komand_sentry.util.sentry.pagination import ListSpec, PageRange, RecordList


class OrganizationList(NamedTuple):
    """A list that an organization has: `GET /organizations/{organization}/{resource}/`

    :param resource: the last segment of the path
    :param scope: the token scope that the list needs
    """

    resource: str
    scope: str
    spec: ListSpec

    def read(self, api: API, organization_slug: str, query: str, page_range: PageRange) -> RecordList:
        """As many pages as the range needs.

        :param query: a text to search for, "" for all records
        :raises PluginException: see API.read_list, or the slug is invalid
        """
        check_slug("organization_slug", organization_slug)
        context = organization_context(organization_slug, self.scope, page_range.cursor)
        params = (("query", query),) if query else ()
        return api.read_list(
            organization_path(organization_slug, self.resource), self.spec, context, page_range, params
        )


def organization_path(organization: str, resource: str) -> Path:
    """The path of a resource of an organization, such as its teams."""
    return ("organizations", organization, resource)


def organization_context(organization: str, scope: str, cursor: str = "") -> ErrorContext:
    """What errors say about a request for a list of an organization."""
    failure_advice = list_failure_advice(cursor=cursor)
    return ErrorContext(f"organization {sanitize(organization)}", scope, organization_advice(), failure_advice)


def check_slug(name: str, slug: str) -> None:
    """Check that a slug can be a segment of a path.

    :param name: of the input
    :raises InvalidInput: it cannot
    """
    try:
        quote_segment(slug)
    except InvalidURL as error:
        raise invalid_input(
            f"The {name} is invalid: {error}.",
            "The slug is in the URL of Sentry's pages, as in "
            "https://sentry.io/organizations/<organization_slug>/projects/<project_slug>/.",
        ) from None
