"""Which token scopes each action needs. Used by errors, by the connection test and by the README.

https://docs.sentry.io/api/permissions/
"""

READ_SCOPE = "event:read"
WRITE_SCOPE = "event:write"
ADMIN_SCOPE = "event:admin"
ORGANIZATION_SCOPE = "org:read"
MEMBER_SCOPE = "member:read"
PROJECT_SCOPE = "project:read"
_READ = (READ_SCOPE, WRITE_SCOPE, ADMIN_SCOPE)
_WRITE = (WRITE_SCOPE, ADMIN_SCOPE)
_ORGANIZATION = (ORGANIZATION_SCOPE, "org:write", "org:admin")

# Any one of the scopes is sufficient; the first is the one to recommend. No scopes: the DSN authorizes the action.
ACTION_SCOPES: dict[str, tuple[str, ...]] = {
    "submit_event": (),
    "list_project_issues": _READ,
    "list_issue_events": _READ,
    "update_issue": _WRITE,
    "search_issues": _READ,
    "get_issue": _READ,
    "get_event": _READ,
    "list_tag_values": _READ,
    "list_comments": _READ,
    "list_projects": _ORGANIZATION,
    # With a scope of the organization only, it lists the members of projects.
    "list_members": (MEMBER_SCOPE, "member:write", "member:admin", *_ORGANIZATION),
    "list_teams": _ORGANIZATION,
    "update_issues": _WRITE,
    "merge_issues": _WRITE,
    "delete_issues": (ADMIN_SCOPE,),
    "add_comment": _WRITE,
}
# What wait_for_issue of submit_event needs: one scope of each.
WAIT_SCOPES = (_ORGANIZATION, _READ)


def recommended_scope(action: str) -> str:
    """The scope with the fewest permissions that allows an action, "" if it needs none."""
    return ACTION_SCOPES[action][0] if ACTION_SCOPES[action] else ""


def is_allowed(action: str, scopes: tuple[str, ...] | None) -> bool:
    """Whether scopes allow an action. Unknown scopes (None) count as allowed."""
    required = ACTION_SCOPES[action]
    return not required or scopes is None or bool(set(required) & set(scopes))


def missing_wait_scopes(scopes: tuple[str, ...] | None) -> tuple[str, ...]:
    """The scopes that wait_for_issue of submit_event needs besides these. Unknown scopes (None) count as sufficient."""
    return () if scopes is None else tuple(any_of[0] for any_of in WAIT_SCOPES if not set(any_of) & set(scopes))


def is_useless(scopes: tuple[str, ...] | None) -> bool:
    """Whether scopes allow no action that uses the token."""
    return not any(is_allowed(action, scopes) for action, required in ACTION_SCOPES.items() if required)
