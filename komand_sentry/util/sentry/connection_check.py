"""The connection test: which server responds, what the token is, and which actions it allows."""

import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.factory import ErrorContext, not_sentry, response_error
from komand_sentry.util.errors.redaction import join_truncated, redact, sanitize
from komand_sentry.util.errors.server_message import is_html
from komand_sentry.util.http.messages import Request, Response, TransportError
from komand_sentry.util.sentry.api import API, USER_AGENT
from komand_sentry.util.sentry.auth_token import TokenType, token_type
from komand_sentry.util.sentry.projects import Projects
from komand_sentry.util.sentry.scopes import ACTION_SCOPES, is_allowed, missing_wait_scopes, recommended_scope

# Statuses of other servers at `/api/0/`: not found, or a redirect to a page.
_NOT_SENTRY_STATUSES = (301, 302, 303, 307, 308, 404, 405)
# Pages for browsers that contain the version: a JSON configuration, and before 2023 the login page.
_VERSION_PATHS = ("api/client-config/", "auth/login/")
_VERSION = re.compile(r'"version":\s*\{[^{}]*"current":\s*"([0-9A-Za-z.+_-]{1,40})"')


class ConnectionReport(NamedTuple):
    """The result of a connection test.

    :param version: of the server, "" if unknown
    :param user: the owner of the token, "" if it has none
    :param scopes: None if unknown
    :param projects: `organization/project`, None if the token may not list them
    """

    server: str
    version: str
    token: TokenType
    user: str
    scopes: tuple[str, ...] | None
    projects: tuple[str, ...] | None

    def lines(self) -> list[str]:
        """The report as lines of the log."""
        scopes = "unknown, the server does not list them" if self.scopes is None else join_truncated(self.scopes)
        projects = "unknown, the token may not list them" if self.projects is None else join_truncated(self.projects)
        return [
            f"Server: {self.server}, {self.version or 'version unknown'}",
            f"Token: {self.token.name}",
            f"User: {sanitize(self.user) or 'none'}",
            f"Scopes: {scopes}",
            f"Projects: {projects}",
            *(f"{action}: {self._permission(action)}" for action in ACTION_SCOPES),
        ]

    def _permission(self, action: str) -> str:
        scope = recommended_scope(action)
        if not scope:
            missing = " and ".join(missing_wait_scopes(self.scopes))
            return f"allowed by the DSN of the event{f', but wait_for_issue needs {missing}' if missing else ''}"
        if not is_allowed(action, self.scopes):
            return f"NOT allowed, the token needs the scope {scope}"
        return "unknown, the server does not list the scopes" if self.scopes is None else "allowed"

    def output(self) -> dict[str, Any]:
        """The report as the output of the connection test."""
        values = {
            "server": self.server,
            "version": self.version or None,
            "token": self.token.name,
            "user": self.user or None,
            "scopes": None if self.scopes is None else list(self.scopes),
            "projects": None if self.projects is None else list(self.projects),
            "actions": {action: is_allowed(action, self.scopes) for action in ACTION_SCOPES},
        }
        return {"success": True, **{name: value for name, value in values.items() if value is not None}}


def check_connection(api: API) -> ConnectionReport:
    """Find out which server responds, whose token it is and what the token can access, and log the report.

    :raises PluginException: unreachable, not a Sentry server, or the token is not accepted
    """
    identity = _identity(api)
    scopes, version, projects = scopes_of(identity), _version(api), _project_names(api)
    report = ConnectionReport(
        server=api.server.base,
        version=version,
        token=token_type(api.token),
        user=redact(user_of(identity), api.secrets),
        scopes=scopes and tuple(redact(scope, api.secrets) for scope in scopes),
        projects=projects and tuple(redact(project, api.secrets) for project in projects),
    )
    for line in report.lines():
        api.http.log.info(line)
    return report


def _identity(api: API) -> dict[str, Any]:
    """{version, auth: {scopes}, user}. `GET /api/0/`, which needs no scope."""
    response = api.send("GET", ())
    is_page = is_html(response) and response.status < 500 and response.status != 429
    if response.status in _NOT_SENTRY_STATUSES or is_page:
        raise not_sentry(response, api.secrets, urlsplit(api.server.base).path)
    context = ErrorContext("the API")
    identity = api.parse(api.raise_for_status(response, context))
    if not isinstance(identity, dict) or "version" not in identity:
        raise not_sentry(response, api.secrets, urlsplit(api.server.base).path)
    if not identity.get("auth") and not identity.get("user"):
        # A server that does not receive the Authorization header responds as to an anonymous user.
        raise response_error(context, Response(401, {}, b'{"detail": "The server received no token."}'))
    return identity


def _version(api: API) -> str:
    if api.server.is_saas:
        return "Sentry SaaS"
    for path in _VERSION_PATHS:
        # These pages are public, so they get no token.
        request = Request("GET", f"{api.server.base}/{path}", headers={"User-Agent": USER_AGENT})
        try:
            response = api.http.send(request, max_attempts=1)
        except TransportError:
            continue
        if version := version_in(response.body.decode("utf-8", errors="replace")):
            return f"Sentry {version}"
    return ""


def _project_names(api: API) -> tuple[str, ...] | None:
    try:
        return Projects(api).names()
    except PluginException:
        # The rest of the report is still useful.
        return None


def version_in(page: str) -> str:
    """The server version in a page for browsers, "" if there is none."""
    match = _VERSION.search(page)
    return match[1] if match else ""


def scopes_of(identity: dict[str, Any]) -> tuple[str, ...] | None:
    """The scopes in the response of `GET /api/0/`, None if it has none."""
    auth = identity.get("auth")
    scopes = auth.get("scopes") if isinstance(auth, dict) else None
    return tuple(sorted(str(scope) for scope in scopes)) if isinstance(scopes, list) else None


def user_of(identity: dict[str, Any]) -> str:
    """The user in the response of `GET /api/0/`, "" if it has none."""
    user = identity.get("user")
    if not isinstance(user, dict):
        return ""
    return next((str(user[key]) for key in ("email", "username", "name", "id") if user.get(key)), "")
