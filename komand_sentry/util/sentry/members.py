"""Members of an organization."""

from dataclasses import dataclass

from komand_sentry.util.errors.exceptions import Forbidden, ResponseError
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.normalize import Record, pick
from komand_sentry.util.sentry.organizations import OrganizationList, organization_context, organization_path
from komand_sentry.util.sentry.pagination import ListSpec, PageRange, RecordList
from komand_sentry.util.sentry.scopes import MEMBER_SCOPE, ORGANIZATION_SCOPE

_SEARCHED = ("name", "email", "username")
_WITHOUT_SCOPE = (
    f"The token lacks the scope {MEMBER_SCOPE}, so only members of the projects that it can access are listed, "
    "and no invitations."
)


def normalize_member(record: Record) -> Record:
    """A member as the plugin returns it.

    Sentry's `id` is that of the membership, and `user` is null until an invitation is accepted. `orgRole` is `role` on
    older servers.
    """
    user = record.get("user") or {}
    return {
        "id": user.get("id"),
        "membership_id": record.get("id"),
        "name": record.get("name") or user.get("name"),
        "email": record.get("email") or user.get("email"),
        "username": user.get("username"),
        "role": record.get("orgRole") or record.get("role"),
        **pick(record, "pending"),
    }


MEMBERS = OrganizationList("members", MEMBER_SCOPE, ListSpec("membership_id", "per_page", normalize_member))


@dataclass(frozen=True)
class Members:
    """https://docs.sentry.io/api/organizations/"""

    api: API

    def list_for_organization(self, organization_slug: str, query: str, page_range: PageRange) -> RecordList:
        """`GET /organizations/{organization}/members/`, or if the token may not list these, `users/` instead.

        :param query: a text to search for, "" for all members
        :raises PluginException: see OrganizationList.read
        """
        try:
            return MEMBERS.read(self.api, organization_slug, query, page_range)
        except Forbidden as failure:
            # Only the first list has cursors.
            users = None if page_range.cursor else self._users(organization_slug)
            if users is None:
                raise failure from None
        self.api.http.log.warning(_WITHOUT_SCOPE)
        found = [user for user in users if matches(user, query)]
        return RecordList(found[: page_range.limit or None], True, None, _WITHOUT_SCOPE)

    def _users(self, organization_slug: str) -> list[Record] | None:
        """The members of the projects that the token can access, None if it may not list them. They are not paginated.

        `GET /organizations/{organization}/users/`
        """
        context = organization_context(organization_slug, ORGANIZATION_SCOPE)
        try:
            page = self.api.get_page(organization_path(organization_slug, "users"), context)
        except ResponseError:
            return None
        return [normalize_member(record) for record in page.records]


def matches(member: Record, query: str) -> bool:
    """Whether the name, the email or the username of a member contains a text."""
    return any(query.casefold() in str(member[key] or "").casefold() for key in _SEARCHED)
