"""Updates of issues: validation and effects of `PUT .../issues/{id}/` and of the bulk PUT on the lists.

Unknown fields are ignored, like in Sentry. Not supported: `discard` and `inbox`.
"""

# ruff: noqa: S608 - only fixed text is put into SQL; every value is bound.

import json
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from flask import request

from .auth import ApiError, bad_request, is_member, the_caller, the_store
from .grouping import Json
from .merging import merge
from .serializers import actor_json, commit_json, iso, user_by_id
from .store import Row

STATUSES = ("resolved", "unresolved", "ignored", "resolvedInNextRelease", "muted")
SUBSTATUSES = (
    "archived_until_escalating", "archived_until_condition_met", "archived_forever",
    "escalating", "ongoing", "regressed", "new",
)  # fmt: skip
PRIORITIES = ("high", "medium", "low")
BOOLEANS = ("isPublic", "isBookmarked", "isSubscribed", "hasSeen", "merge")
MAX_WINDOW_MINUTES = 7 * 24 * 60
MAX_NUMBER = 2**31 - 1
IGNORE_LIMITS = {
    "ignoreDuration": MAX_NUMBER,
    "ignoreCount": MAX_NUMBER,
    "ignoreWindow": MAX_WINDOW_MINUTES,
    "ignoreUserCount": MAX_NUMBER,
    "ignoreUserWindow": MAX_WINDOW_MINUTES,
}
SNOOZE_FIELDS = ("ignoreCount", "ignoreWindow", "ignoreUserCount", "ignoreUserWindow")


class Invalid(Exception):
    """The value of a field is invalid. The argument is the message, or a map of messages for a nested field."""


def request_data() -> Any:
    """The JSON of the body; an empty object for an empty body."""
    body = request.get_data()
    if not body:
        return {}
    if request.mimetype != "application/json":
        raise ApiError(415, {"detail": f'Unsupported media type "{request.content_type or ""}" in request.'})
    try:
        data = json.loads(body)
        json.dumps(data, ensure_ascii=False).encode()  # fails for a lone surrogate, which no database accepts
        return data
    except (ValueError, RecursionError) as error:
        raise ApiError(400, {"detail": f"JSON parse error - {error}"}) from None


# --- validation of single values


def boolean(value: Any) -> bool:
    if value is None:
        raise Invalid("This field may not be null.")
    # Numbers and words are accepted as well; 1 equals True and 0 equals False.
    for result, words in ((True, ("true", "t", "1")), (False, ("false", "f", "0"))):
        if value == result or (isinstance(value, str) and value.lower() in words):
            return result
    raise Invalid("Must be a valid boolean.")


def choice(choices: tuple[str, ...], nullable: bool = False) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if value is None and nullable:
            return None
        if value is None:
            raise Invalid("This field may not be null.")
        if not isinstance(value, str) or value not in choices:
            raise Invalid(f'"{value}" is not a valid choice.')
        return value

    return check


def minutes_or_count(value: Any, limit: int) -> int | None:
    if value is None:
        return None
    try:
        number = int(str(value))
    except ValueError:
        raise Invalid("A valid integer is required.") from None
    if number < 0:
        raise Invalid("Ensure this value is greater than or equal to 0.")
    if number > limit:
        raise Invalid(f"Ensure this value is less than or equal to {limit}.")
    return number


def assignee(value: Any, organization: int) -> str | None:
    """`user:{id}` or `team:{id}` from such a text, a user ID, username or email; None (un-assign) for a falsy value."""
    if not value:
        return None
    kind, actor_id = parse_actor(value)
    store = the_store()
    if kind == "team":
        team = store.one("SELECT * FROM team WHERE id = ?", actor_id)
        if team is None:
            raise Invalid("Team does not exist")
        if team["organization"] != organization:
            raise Invalid("Team is not a member of this organization")
        return f"team:{actor_id}"
    if store.one("SELECT 1 FROM user WHERE id = ?", actor_id) is None:
        raise Invalid("User does not exist")
    if not is_member(actor_id, organization):
        raise Invalid("User is not a member of this organization")
    return f"user:{actor_id}"


def parse_actor(value: Any) -> tuple[str, int]:
    text = str(value)
    kind, _, number = text.rpartition(":")
    is_number = number.isascii() and number.isdigit()
    if (
        not isinstance(value, str | int)
        or isinstance(value, bool)
        or kind not in ("", "user", "team")
        or (kind and not is_number)
    ):
        raise Invalid("Could not parse actor. Format should be `type:id` where type is `team` or `user`.")
    if is_number:
        return kind or "user", min(int(number), MAX_NUMBER)
    found = the_store().scalar("SELECT id FROM user WHERE lower(email) = lower(?)", text)
    if found is None:
        raise Invalid("User does not exist")
    return "user", cast(int, found)


def latest_release(projects: list[int]) -> Row | None:
    sql = """SELECT release.* FROM release JOIN release_project ON release = release.id
        WHERE project IN (SELECT value FROM json_each(?)) ORDER BY release.id DESC LIMIT 1"""
    return the_store().one(sql, json.dumps(projects))


def in_release(value: Any, projects: list[int]) -> Row:
    if not isinstance(value, str):
        raise Invalid("This field may not be null." if value is None else "Not a valid string.")
    if value == "latest":
        release = latest_release(projects)
    else:
        sql = """SELECT release.* FROM release JOIN release_project ON release = release.id
            WHERE project IN (SELECT value FROM json_each(?)) AND version = ?"""
        release = the_store().one(sql, json.dumps(projects), value)
    if release is None:
        raise Invalid("Unable to find a release with the given version.")
    return release


def in_next_release(value: Any, projects: list[int]) -> Row:
    """The latest release. The value has to be a boolean, but false acts like true."""
    boolean(value)
    release = latest_release(projects)
    if release is None:
        raise Invalid("No release data present in the system to form a basis for 'Next Release'")
    return release


def checked_object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise Invalid({"non_field_errors": [f"Invalid data. Expected a dictionary, but got {type(value).__name__}."]})
    return value


def in_commit(value: Any, organization: int) -> int:
    """The ID of a commit."""
    value = checked_object(value)
    if missing := {key: ["This field is required."] for key in ("commit", "repository") if key not in value}:
        raise Invalid(missing)
    commits = the_store().all(
        "SELECT * FROM repository_commit WHERE organization = ? AND repository = ?",
        organization,
        str(value["repository"]),
    )
    if not commits:
        raise Invalid({"repository": ["Unable to find the given repository."]})
    found = next((row["id"] for row in commits if row["key"] == value["commit"]), None)
    if found is None:
        raise Invalid({"commit": ["Unable to find the given commit."]})
    return cast(int, found)


# --- validation of the whole


def collect(data: Json, checks: dict[str, Callable[[Any], Any]]) -> Json:
    """The validated values of the fields in `data`.

    :raises Invalid: with a map of all invalid fields
    """
    valid: Json = {}
    wrong: Json = {}
    for name, check in checks.items():
        if name in data:
            try:
                valid[name] = check(data[name])
            except Invalid as error:
                message = error.args[0]
                wrong[name] = message if isinstance(message, dict) else [message]
    if wrong:
        raise Invalid(wrong)
    return valid


def ignore_checks() -> dict[str, Callable[[Any], Any]]:
    return {name: partial(minutes_or_count, limit=limit) for name, limit in IGNORE_LIMITS.items()}


def status_details(value: Any, organization: int, projects: list[int]) -> Json:
    checks = {
        "inRelease": lambda version: in_release(version, projects),
        "inNextRelease": lambda flag: in_next_release(flag, projects),
        "inCommit": lambda commit: in_commit(commit, organization),
    }
    return collect(checked_object(value), {**checks, **ignore_checks()})


def validate(data: Any, organization: Row, issues: list[Row]) -> Json:
    """The changes that a request body asks for.

    :raises ApiError: 400 with {field: [message]} for all invalid fields
    """
    projects = sorted({issue["project"] for issue in issues})
    checks: dict[str, Callable[[Any], Any]] = {
        "status": choice(STATUSES),
        "substatus": choice(SUBSTATUSES, nullable=True),
        "statusDetails": lambda value: status_details(value, organization["id"], projects),
        "assignedTo": lambda value: assignee(value, organization["id"]),
        "priority": choice(PRIORITIES),
        **dict.fromkeys(BOOLEANS, boolean),
        **ignore_checks(),
    }
    try:
        changes = collect(checked_object(data), checks)
    except Invalid as error:
        raise ApiError(400, error.args[0]) from None
    if len(projects) > 1:
        refuse_across_projects(changes)
    return changes


def refuse_across_projects(changes: Json) -> None:
    """Refuse what works only for issues of one project."""
    by_release = {"inRelease", "inNextRelease", "inCommit"}.intersection(changes.get("statusDetails", {}))
    if changes.get("status") == "resolvedInNextRelease" or (changes.get("status") == "resolved" and by_release):
        raise bad_request("Cannot set resolved for multiple projects.")
    if changes.get("merge"):
        raise bad_request("Merging across multiple projects is not supported")


# --- effects


def apply(changes: Json, issues: list[Row]) -> Json:
    """Change the issues; return what a bulk update responds with."""
    effects: dict[str, Callable[[Any, list[Row]], Json]] = {
        "assignedTo": assign,
        "priority": set_priority,
        "isPublic": share,
        "isBookmarked": bookmark,
        "isSubscribed": subscribe,
        "hasSeen": mark_seen,
        "merge": lambda wanted, rows: merge(rows) if wanted else {},
    }
    delta: Json = {}
    with the_store().transaction():
        if "status" in changes:
            delta |= set_status(changes, issues)
        for name, effect in effects.items():
            if name in changes:
                delta |= effect(changes[name], issues)
    return delta


def set_status(changes: Json, issues: list[Row]) -> Json:
    status, details = changes["status"], changes.get("statusDetails", {})
    if status in ("resolved", "resolvedInNextRelease"):
        is_next = status == "resolvedInNextRelease" or "inNextRelease" in details
        if "inCommit" in details:
            delta = resolve_in_commit(issues, details["inCommit"])
        else:
            delta = resolve(issues, is_next, details.get("inRelease"))
    elif status in ("ignored", "muted"):
        # The top-level copies of the ignore conditions count only without statusDetails.
        delta = ignore(issues, details if "statusDetails" in changes else changes, changes.get("substatus"))
    else:
        delta = unresolve(issues, changes.get("substatus"))
    for issue in issues:
        join(issue["id"], "changed_status")
    return delta


def resolve(issues: list[Row], is_next: bool, release: Row | None) -> Json:
    """Resolve the issues. A resolved issue keeps its resolution."""
    caller = the_caller()
    release = latest_release([issue["project"] for issue in issues]) if is_next else release
    kind: Json = {}
    if release is not None:
        kind = {"inNextRelease": True} if is_next else {"inRelease": release["version"]}
    resolution = kind | {"release": release["id"], "actor": caller.id} if release is not None else None
    for issue in issues:
        if issue["status"] != "resolved":
            the_store().set_status(issue["id"], "resolved", None, resolution=resolution)
            activity = {"version": kind.get("inRelease", "")} if kind else {}
            the_store().add_activity(
                issue["id"], caller.id, "set_resolved_in_release" if kind else "set_resolved", **activity
            )
    details = kind | {"actor": user_by_id(caller.id)} if kind else {}
    return {"status": "resolved", "statusDetails": details, "inbox": None}


def resolve_in_commit(issues: list[Row], commit: int) -> Json:
    caller = the_caller()
    for issue in issues:
        if issue["status"] != "resolved":
            the_store().set_status(issue["id"], "resolved", None, resolution={"inCommit": commit})
            the_store().add_activity(issue["id"], caller.id, "set_resolved_in_commit", commit=commit)
    details = {"inCommit": commit_json(commit), "actor": user_by_id(caller.id)}
    return {"status": "resolved", "statusDetails": details, "inbox": None}


def ignore(issues: list[Row], details: Json, substatus: str | None) -> Json:
    caller = the_caller()
    snooze: Json = {name: details.get(name) or None for name in SNOOZE_FIELDS}
    duration = details.get("ignoreDuration")
    snooze["ignoreUntil"] = time.time() + duration * 60 if duration else None
    is_conditional = any(value is not None for value in snooze.values())
    if substatus not in SUBSTATUSES[:3]:
        substatus = "archived_until_condition_met" if is_conditional else "archived_forever"
    snooze_json = snooze | {"ignoreUntil": iso(snooze["ignoreUntil"])}
    for issue in issues:
        if issue["status"] != "ignored":
            stored = (snooze | {"actor": caller.id} if is_conditional else {}) | {"timesSeen": issue["times_seen"]}
            the_store().set_status(issue["id"], "ignored", substatus, snooze=stored)
            the_store().add_activity(issue["id"], caller.id, "set_ignored", **snooze_json)
    details_json: Json = {"ignoreUntilEscalating": True} if substatus == "archived_until_escalating" else {}
    if is_conditional:
        details_json = snooze_json | {"actor": user_by_id(caller.id)}
    return {"status": "ignored", "statusDetails": details_json, "substatus": substatus, "inbox": None}


def unresolve(issues: list[Row], substatus: str | None) -> Json:
    substatus = substatus if substatus in SUBSTATUSES[3:] else "ongoing"
    for issue in issues:
        if issue["status"] != "unresolved":
            the_store().set_status(issue["id"], "unresolved", substatus)
            the_store().add_activity(issue["id"], the_caller().id, "set_unresolved")
    return {"status": "unresolved", "statusDetails": {}, "substatus": substatus}


def assign(value: str | None, issues: list[Row]) -> Json:
    actor = actor_json(value)
    for issue in issues:
        the_store().run("UPDATE issue SET assignee = ? WHERE id = ?", value, issue["id"])
        if actor is None:
            the_store().add_activity(issue["id"], the_caller().id, "unassigned")
            continue
        data = {"assignee": actor["id"], "assigneeEmail": actor.get("email"), "assigneeType": actor["type"]}
        the_store().add_activity(issue["id"], the_caller().id, "assigned", **data)
        if actor["type"] == "user":
            join(issue["id"], "assigned", int(actor["id"]))
    return {"assignedTo": actor}


def set_priority(value: str, issues: list[Row]) -> Json:
    sql = "UPDATE issue SET priority = ?, priority_locked = ? WHERE id = ?"
    for issue in issues:
        the_store().run(sql, value, time.time(), issue["id"])
        the_store().add_activity(issue["id"], the_caller().id, "set_priority", priority=value)
    return {"priority": value}


def share(value: bool, issues: list[Row]) -> Json:
    """Share or un-share the issues. Each share has a new ID."""
    share_id = None
    for issue in issues:
        share_id = uuid.uuid4().hex if value else None
        the_store().run("UPDATE issue SET share_id = ? WHERE id = ?", share_id, issue["id"])
        if value or issue["share_id"] is not None:
            the_store().add_activity(issue["id"], the_caller().id, "set_public" if value else "set_private")
    return {"isPublic": value, "shareId": share_id}


def set_own(issue_id: int, user: int, column: str, value: Any) -> None:
    """Set a column of what the server stores for this issue and user."""
    the_store().run("INSERT OR IGNORE INTO issue_user (issue, user) VALUES (?, ?)", issue_id, user)
    the_store().run(f"UPDATE issue_user SET {column} = ? WHERE issue = ? AND user = ?", value, issue_id, user)


def join(issue_id: int, reason: str, user: int | None = None) -> None:
    """Subscribe a user, by default the caller, who is not subscribed yet."""
    user = user or the_caller().id
    sql = "SELECT reason FROM issue_user WHERE issue = ? AND user = ?"
    set_own(issue_id, user, "reason", the_store().scalar(sql, issue_id, user) or reason)


def bookmark(value: bool, issues: list[Row]) -> Json:
    for issue in issues:
        set_own(issue["id"], the_caller().id, "bookmarked", value)
        if value:
            join(issue["id"], "bookmarked")
    return {"isBookmarked": value}


def subscribe(value: bool, issues: list[Row]) -> Json:
    for issue in issues:
        set_own(issue["id"], the_caller().id, "reason", "unknown" if value else None)
    return {"isSubscribed": value, "subscriptionDetails": {"reason": "unknown"}}


def mark_seen(value: bool, issues: list[Row]) -> Json:
    for issue in issues:
        set_own(issue["id"], the_caller().id, "seen", time.time() if value else None)
    return {"hasSeen": value}
