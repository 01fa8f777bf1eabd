"""What a connection test tells: which server answers, what the token is, and which actions it allows."""

import re
from typing import Any, NamedTuple

from komand_sentry.util.errors import listed, shown
from komand_sentry.util.token import TokenKind

READ = ("event:read", "event:write", "event:admin")
WRITE = ("event:write", "event:admin")
# Any one of them will do, https://docs.sentry.io/api/permissions/ . Events are authorized by their DSN.
ACTION_SCOPES: dict[str, tuple[str, ...]] = {
    "submit_event": (),
    "list_project_issues": READ,
    "list_issue_events": READ,
    "update_issue": WRITE,
}
_VERSION = re.compile(r'"version":\s*\{[^{}]*"current":\s*"([0-9A-Za-z.+_-]{1,40})"')


class Preflight(NamedTuple):
    """
    :param version: of the server, "" where it does not tell
    :param user: whose token it is, "" where it is nobody's
    :param scopes: None where the server does not tell
    :param projects: `organization/project`, None where the token may not list them
    """

    server: str
    version: str
    token: TokenKind
    user: str
    scopes: tuple[str, ...] | None
    projects: tuple[str, ...] | None

    def allows(self, action: str) -> bool:
        wanted = ACTION_SCOPES[action]
        return not wanted or self.scopes is None or bool(set(wanted) & set(self.scopes))

    @property
    def is_useless(self) -> bool:
        """Whether the token allows no action that uses it."""
        return not any(self.allows(action) for action, wanted in ACTION_SCOPES.items() if wanted)

    def lines(self) -> list[str]:
        """The report, for a person."""
        scopes = "not told by the server" if self.scopes is None else listed(self.scopes)
        projects = "not told, the token may not list them" if self.projects is None else listed(self.projects)
        return [
            f"Server: {self.server}, {self.version or 'its version not told'}",
            f"Token: {self.token.name}",
            f"User: {shown(self.user) or 'none'}",
            f"Scopes: {scopes}",
            f"Projects: {projects}",
            *(f"{name}: {self._verdict(name)}" for name in ACTION_SCOPES),
        ]

    def _verdict(self, action: str) -> str:
        wanted = ACTION_SCOPES[action]
        if not wanted:
            return "allowed, by the DSN of the event alone"
        if self.allows(action):
            return "allowed" if self.scopes is not None else "not known, the server does not tell the scopes"
        return f"NOT allowed, the token needs the scope {wanted[0]}"

    def output(self) -> dict[str, Any]:
        """The report, for a program."""
        facts = {
            "server": self.server,
            "version": self.version or None,
            "token": self.token.name,
            "user": self.user or None,
            "scopes": None if self.scopes is None else list(self.scopes),
            "projects": None if self.projects is None else list(self.projects),
            "actions": {action: self.allows(action) for action in ACTION_SCOPES},
        }
        return {"success": True, **{name: fact for name, fact in facts.items() if fact is not None}}


def project_names(projects: list[Any]) -> tuple[str, ...]:
    """`organization/project` of each element of `GET /projects/`"""
    named = ((_slug(project.get("organization")), _slug(project)) for project in projects if isinstance(project, dict))
    return tuple("/".join(filter(None, pair)) for pair in named if pair[1])


def _slug(value: Any) -> str:
    slug = value.get("slug") if isinstance(value, dict) else None
    return slug if isinstance(slug, str) else ""


def version_in(page: str) -> str:
    """The version that Sentry writes into its configuration for browsers, as JSON of its own or within a page."""
    match = _VERSION.search(page)
    return match[1] if match else ""


def scopes_of(identity: dict[str, Any]) -> tuple[str, ...] | None:
    """Of the answer of `GET /api/0/`: {version, auth: {scopes} or null, user: {...} or null}"""
    auth = identity.get("auth")
    scopes = auth.get("scopes") if isinstance(auth, dict) else None
    return tuple(sorted(str(scope) for scope in scopes)) if isinstance(scopes, list) else None


def user_of(identity: dict[str, Any]) -> str:
    user = identity.get("user")
    if not isinstance(user, dict):
        return ""
    return next((str(user[key]) for key in ("email", "username", "name", "id") if user.get(key)), "")
