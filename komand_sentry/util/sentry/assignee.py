"""The assignee of an issue: check the input `assignedTo`, and replace the slug of a team by its ID."""

import json
import re
from collections.abc import Callable
from typing import Any

from komand_sentry.util.errors.factory import ErrorContext, invalid_input
from komand_sentry.util.errors.messages import search_advice
from komand_sentry.util.errors.redaction import sanitize
from komand_sentry.util.sentry.api import API
from komand_sentry.util.sentry.issue_changes import IssueChanges
from komand_sentry.util.sentry.organizations import organization_path
from komand_sentry.util.sentry.pagination import ListSpec, PageRange
from komand_sentry.util.sentry.scopes import ORGANIZATION_SCOPE

_TEAMS = ListSpec("id", "per_page")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}")


def parse_assignee(value: Any) -> Any:
    """Return an assignee unchanged if it is not an object.

    :raises InvalidInput: it is an object, such as `assignedTo` of an issue in an output
    """
    actor = _json_object(value)
    if actor is None:
        return value
    hint = assignee_hint(actor)
    raise invalid_input(
        "The input 'assignedTo' is an object instead of the name or ID of an assignee.",
        f"Set assignedTo to {hint or 'team:ID or user:ID, with type and id of the object'}.",
    )


def assignee_hint(actor: dict[str, Any]) -> str:
    """How to write an assignee of an output as an input: `team:2`, `user:1` or an e-mail address, "" if unknown."""
    kind, identity, email = (str(actor.get(key) or "") for key in ("type", "id", "email"))
    if identity.isascii() and identity.isdigit() and kind in ("user", "team", ""):
        return f"{kind or 'user'}:{identity[:20]}"
    return email if _EMAIL.fullmatch(email) else ""


def resolve_assignee(api: API, changes: IssueChanges, organization: Callable[[], str]) -> IssueChanges:
    """The changes, with `team:ID` for the `#slug` of a team, which no version of Sentry accepts.

    `GET /organizations/{organization}/teams/`, only if the assignee is a slug.

    :param organization: returns the slug of the organization
    :raises PluginException: there is no such team, or the token may not see it
    """
    slug = changes.team_slug
    if slug is None:
        return changes
    owner = organization()
    context = ErrorContext(f"the teams of organization {sanitize(owner)}", ORGANIZATION_SCOPE, search_advice())
    teams = api.read_list(organization_path(owner, "teams"), _TEAMS, context, PageRange()).records
    identity = next((team.get("id") for team in teams if team.get("slug") == slug), None)
    if identity is None:
        raise invalid_input(
            f"Organization {sanitize(owner)} has no team {sanitize(slug)} that the token can access.",
            "Check the slug of the team, which List Teams returns, or set assignedTo to team:ID.",
        )
    return changes.with_assignee(f"team:{identity}")


def _json_object(value: Any) -> dict[str, Any] | None:
    """An object, or one that a workflow wrote as text; None if it is neither."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None
