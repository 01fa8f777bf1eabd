"""Authentication, scopes, and access to organizations, projects and issues.

The order is Sentry's: first the token (401), then its scopes (403), then the object (404 if it does not exist in its
organization or project, 403 if the caller is not a member of its organization).
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from flask import current_app, g, request

from .store import Row, Store

P = ParamSpec("P")
R = TypeVar("R")


class ApiError(Exception):
    """An error response with Sentry's body."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, headers or {}


def bad_request(detail: str) -> ApiError:
    return ApiError(400, {"detail": detail})


def forbidden() -> ApiError:
    return ApiError(403, {"detail": "You do not have permission to perform this action."})


def not_found(detail: str = "The requested resource does not exist") -> ApiError:
    return ApiError(404, {"detail": detail})


def unauthorized(detail: str) -> ApiError:
    # The x keeps browsers from asking for a password.
    return ApiError(401, {"detail": detail}, {"WWW-Authenticate": 'xBasic realm="api"'})


@dataclass(frozen=True)
class Caller:
    user: Row
    scopes: frozenset[str]

    @property
    def id(self) -> int:
        return cast(int, self.user["id"])


def the_store() -> Store:
    return cast(Store, current_app.extensions["store"])


def shuffles_ties() -> bool:
    """Whether lists have the order of Sentry 23.7.1 with Snuba, see `Sandbox`."""
    return cast(bool, current_app.config["SHUFFLES_TIES"])


def the_caller() -> Caller:
    return cast(Caller, g.caller)


def authenticate() -> Caller | None:
    """The owner of the bearer token, None without one."""
    words = request.headers.get("Authorization", "").split()
    if not words or words[0].lower() != "bearer":
        return None
    if len(words) == 1:
        raise unauthorized("Invalid token header. No credentials provided.")
    if len(words) > 2:
        raise unauthorized("Invalid token header. Token string should not contain spaces.")
    token = the_store().one("SELECT * FROM token WHERE token = ?", words[1])
    if token is None:
        raise unauthorized("Invalid token")
    if token["expires"] is not None and token["expires"] < time.time():
        raise unauthorized("Token expired")
    user = the_store().one("SELECT * FROM user WHERE id = ?", token["user"])
    if user is None or not user["active"]:
        raise unauthorized("User inactive or deleted")
    return Caller(user, frozenset(token["scopes"].split()))


SCOPES: dict[str, dict[str, tuple[str, ...]]] = {
    kind: {
        "GET": (f"{kind}:read", f"{kind}:write", f"{kind}:admin"),
        "PUT": (f"{kind}:write", f"{kind}:admin"),
        "POST": (f"{kind}:write", f"{kind}:admin"),
        "DELETE": (f"{kind}:admin",),
    }
    for kind in ("event", "member", "org", "project", "team")
}


def needs(kind: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a view run only for a token that holds one of the scopes of `kind` for the request's method."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            caller = authenticate()
            if caller is None:
                raise unauthorized("Authentication credentials were not provided.")
            if not caller.scopes.intersection(SCOPES[kind]["GET" if request.method == "HEAD" else request.method]):
                raise forbidden()
            g.caller = caller
            return view(*args, **kwargs)

        return guarded

    return decorate


def is_member(user: int, organization: int) -> bool:
    return bool(the_store().one("SELECT 1 FROM member WHERE user = ? AND organization = ?", user, organization))


def find_organization(id_or_slug: str) -> Row:
    row = the_store().one("SELECT * FROM organization WHERE slug = ? OR CAST(id AS TEXT) = ?", id_or_slug, id_or_slug)
    if row is None:
        raise not_found()
    if not is_member(the_caller().id, row["id"]):
        raise forbidden()
    return row


def find_project(organization: str, id_or_slug: str) -> tuple[Row, Row]:
    org = find_organization(organization)
    sql = "SELECT * FROM project WHERE organization = ? AND (slug = ? OR CAST(id AS TEXT) = ?)"
    row = the_store().one(sql, org["id"], id_or_slug, id_or_slug)
    if row is None:
        raise not_found()
    return org, row


def row_by_short_id(table: str, organization: int, short_id: str) -> Row | None:
    """The row of a short ID: the project's slug and a number in Crockford's base 32, such as PUMP-STATION-1A.

    :param table: `issue` or `issue_redirect`
    """
    match = re.fullmatch(r"(.+)[-_ ]([0-9A-Za-z]{1,12})", short_id)
    number = decode_base32(match[2]) if match else None
    if match is None or number is None:
        return None
    sql = f"""SELECT {table}.* FROM {table} JOIN project ON project.id = project
        WHERE project.organization = ? AND project.slug = ? AND short_id = ?"""  # noqa: S608 - fixed names
    return the_store().one(sql, organization, match[1].lower(), number)


def issue_by_short_id(organization: int, short_id: str) -> Row | None:
    """The issue of a short ID. Those of merged issues lead nowhere."""
    return row_by_short_id("issue", organization, short_id)


def merged_into(redirect: Row | None) -> Row | None:
    """The issue that another one was merged into, None while the merge is pending."""
    if redirect is None or redirect["since"] > time.time():
        return None
    return the_store().one("SELECT * FROM issue WHERE id = ?", redirect["target"])


BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def encode_base32(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 32)
        digits = BASE32[digit] + digits
    return digits or "0"


def decode_base32(text: str) -> int | None:
    number = 0
    for char in text.upper():
        if char not in BASE32:
            return None
        number = number * 32 + BASE32.index(char)
    return number if number < 2**63 else None


def find_issue(organization: str | None, issue_id: str) -> tuple[Row, Row, Row]:
    """Organization, project and issue of `/issues/{id}/` (numeric only) or `/organizations/{org}/issues/{id}/`.

    The ID of a merged issue leads to the issue that it was merged into.
    """
    store = the_store()
    org = find_organization(organization) if organization is not None else None
    if issue_id.isascii() and issue_id.isdigit():
        # SQLite cannot bind a number beyond 64 bits. No issue has such an ID.
        number = int(issue_id) if len(issue_id) < 19 else None
        issue = store.one("SELECT * FROM issue WHERE id = ?", number)
        issue = issue or merged_into(store.one("SELECT * FROM issue_redirect WHERE issue = ?", number))
    elif org is not None:
        issue = issue_by_short_id(org["id"], issue_id)
        issue = issue or merged_into(row_by_short_id("issue_redirect", org["id"], issue_id))
    else:
        issue = None
    if issue is None:
        raise not_found()
    project = cast(Row, store.one("SELECT * FROM project WHERE id = ?", issue["project"]))
    if org is None:
        org = cast(Row, store.one("SELECT * FROM organization WHERE id = ?", project["organization"]))
        if not is_member(the_caller().id, org["id"]):
            raise forbidden()
    elif org["id"] != project["organization"]:
        raise not_found()
    return org, project, issue
