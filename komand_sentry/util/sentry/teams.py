"""Teams of an organization."""

from dataclasses import dataclass

from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.normalize import Record, pick
from komand_sentry.util.sentry.organizations import OrganizationList
from komand_sentry.util.sentry.pagination import ListSpec, PageRange, RecordList
from komand_sentry.util.sentry.scopes import ORGANIZATION_SCOPE


def normalize_team(record: Record) -> Record:
    """A team as the plugin returns it, with the slugs of its projects."""
    projects = [pick(project, "slug").get("slug") for project in record.get("projects") or ()]
    return {**pick(record, "id", "slug", "name", "memberCount", "isMember"), "projects": projects}


TEAMS = OrganizationList("teams", ORGANIZATION_SCOPE, ListSpec("id", "per_page", normalize_team))


@dataclass(frozen=True)
class Teams:
    """https://docs.sentry.io/api/teams/"""

    api: API

    def list_for_organization(self, organization_slug: str, query: str, page_range: PageRange) -> RecordList:
        """`GET /organizations/{organization}/teams/`

        :param query: a text that the name or the slug contains, "" for all teams
        :raises PluginException: see OrganizationList.read
        """
        return TEAMS.read(self.api, organization_slug, query, page_range)
