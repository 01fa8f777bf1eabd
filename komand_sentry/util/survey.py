"""Asks a server who the token is and what it sees: the requests of a connection test."""

from typing import Any

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util import errors, preflight
from komand_sentry.util.errors import Target, blacked_out
from komand_sentry.util.exchange import Request, Response, Unreachable
from komand_sentry.util.preflight import Preflight
from komand_sentry.util.routes import MOST_ORGANIZATIONS
from komand_sentry.util.token import token_kind
from komand_sentry.util.web_api import USER_AGENT, WebAPI, json_of, slugs_of

# What stands at `/api/0/` where there is no Sentry: nothing, or a redirect to a page.
_NOT_AN_API = (301, 302, 303, 307, 308, 404, 405)
# Where Sentry tells its version, to browsers only: in a configuration as JSON, and before 2023 in its login page.
_VERSION_PATHS = ("api/client-config/", "auth/login/")


def identity(api: WebAPI) -> dict[str, Any]:
    """Who the token is: {version, auth: {scopes}, user}. `GET /api/0/`, which needs no scope.

    :raises PluginException: unreachable, not a Sentry, or the token is not accepted
    """
    response = api.ask("GET", ())
    is_page = errors.is_html(response) and response.status < 500 and response.status != 429
    if response.status in _NOT_AN_API or is_page:
        raise errors.not_a_sentry(response, api.secrets)
    target = Target("the API")
    answer = json_of(api.judged(response, target))
    if not isinstance(answer, dict) or "version" not in answer:
        raise errors.not_a_sentry(response, api.secrets)
    if not answer.get("auth") and not answer.get("user"):
        # A server that reads no Authorization header, as behind a proxy that strips it, answers as to a stranger.
        raise errors.response_error(target, Response(401, {}, b'{"detail": "The server saw no token."}'))
    return answer


def take(api: WebAPI) -> Preflight:
    """What the token may do, where, and as whom.

    :raises PluginException: unreachable, not a Sentry, or the token is not accepted
    """
    who = identity(api)
    projects, version, scopes = _projects(api), _version(api), preflight.scopes_of(who)
    return Preflight(
        server=api.server.base,
        version=version,
        token=token_kind(api.token),
        user=blacked_out(preflight.user_of(who), api.secrets),
        scopes=None if scopes is None else tuple(blacked_out(scope, api.secrets) for scope in scopes),
        projects=None if projects is None else tuple(blacked_out(project, api.secrets) for project in projects),
    )


def _version(api: WebAPI) -> str:
    if api.server.is_sentry_saas:
        return "Sentry SaaS"
    for path in _VERSION_PATHS:
        # Pages for everybody, so they get no token.
        request = Request("GET", f"{api.server.base}/{path}", headers={"User-Agent": USER_AGENT})
        try:
            response = api.sender.send(request, most_tries=1)
        except Unreachable:
            continue
        if version := preflight.version_in(response.body.decode("utf-8", errors="replace")):
            return f"Sentry {version}"
    return ""


def _projects(api: WebAPI) -> tuple[str, ...] | None:
    """`organization/project` of those that the token sees, of each list the first page; None where that is not told."""
    try:
        return _listed_projects(api)
    except PluginException:
        # What else the report says is worth having all the same.
        return None


def _listed_projects(api: WebAPI) -> tuple[str, ...] | None:
    """`GET /projects/`, or `GET /organizations/{organization}/projects/` of each organization"""
    response = api.ask("GET", ("projects",))
    found = json_of(response) if response.is_success else None
    if isinstance(found, list) and found:
        return preflight.project_names(found)
    # In Sentry SaaS that list holds the projects of one region only.
    slugs = api.organizations()[:MOST_ORGANIZATIONS]
    lists = [(slug, api.ask("GET", ("organizations", slug, "projects"))) for slug in slugs]
    if not response.is_success and not any(of_one.is_success for _, of_one in lists):
        return None
    return tuple(f"{slug}/{project}" for slug, of_one in lists for project in slugs_of(of_one))
