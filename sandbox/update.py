"""Changing issues: the validation and the effects of `PUT .../issues/{id}/` and of the bulk PUT on the lists.

Unknown fields are ignored, as by Sentry. Left out: `merge`, `discard` (needs a paid feature), commits (the sandbox has
no repositories, so `inCommit` fails as for an unknown one), semantic version ranges.
"""

# ruff: noqa: S608 - only fixed text is put into SQL; every value is bound.

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from flask import request

from .auth import ApiError, is_member, the_caller, the_store
from .grouping import Json
from .serializers import actor_json, iso, user_by_id
from .store import Row

STATUSES = ("resolved", "unresolved", "ignored", "resolvedInNextRelease", "muted")
SUBSTATUSES = (
    "archived_until_escalating", "archived_until_condition_met", "archived_forever",
    "escalating", "ongoing", "regressed", "new",
)  # fmt: skip
PRIORITIES = ("high", "medium", "low")
BOOLEANS = ("isPublic", "isBookmarked", "isSubscribed", "hasSeen", "inbox", "discard")
TRUE, FALSE = ("true", "t", "1", "y", "yes", "on"), ("false", "f", "0", "n", "no", "off")
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
    """A field's value is not valid; the argument is what is said about it (a message, or a map for a nested field)."""


def parse_moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def request_data() -> Any:
    """The body as the REST framework parses it: JSON or a form; nothing when it is empty."""
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return request.form.to_dict()
    body = request.get_data()
    if not body:
        return {}
    if request.mimetype != "application/json":
        raise ApiError(415, {"detail": f'Unsupported media type "{request.content_type or ""}" in request.'})
    try:
        data = json.loads(body)
        json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair is text that no database takes
        return data
    except (ValueError, RecursionError) as error:
        raise ApiError(400, {"detail": f"JSON parse error - {error}"}) from None


# --- validation of single values


def boolean(value: Any) -> bool:
    if value is None:
        raise Invalid("This field may not be null.")
    text = str(value).lower()
    if isinstance(value, dict | list) or text not in TRUE + FALSE:
        raise Invalid("Must be a valid boolean.")
    return text in TRUE


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
    """A user id, `user:{id}`, `team:{id}`, a user name or an e-mail address; whatever is falsy un-assigns."""
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
    if not isinstance(value, str | int) or isinstance(value, bool) or kind not in ("", "user", "team"):
        wanted = "Format should be `type:id` where type is `team` or `user`."
        raise Invalid(f"Could not parse actor. {wanted}")
    if number.isascii() and number.isdigit():
        return kind or "user", min(int(number), MAX_NUMBER)
    if kind:
        raise Invalid("Could not parse actor. Format should be `type:id` where type is `team` or `user`.")
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
    """The value has to be a boolean, but false acts like true."""
    boolean(value)
    release = latest_release(projects)
    if release is None:
        raise Invalid("No release data present in the system to form a basis for 'Next Release'")
    return release


def in_commit(value: Any) -> None:
    if not isinstance(value, dict):
        raise Invalid({"non_field_errors": [f"Invalid data. Expected a dictionary, but got {type(value).__name__}."]})
    missing = {key: ["This field is required."] for key in ("commit", "repository") if key not in value}
    raise Invalid(missing or {"repository": ["Unable to find the given repository."]})


# --- validation of the whole


def collect(data: Json, checks: dict[str, Callable[[Any], Any]]) -> Json:
    """The validated values of the fields that are there; Invalid with a map of all that is wrong."""
    valid: Json = {}
    wrong: Json = {}
    for name, check in checks.items():
        if name in data:
            try:
                valid[name] = check(data[name])
            except Invalid as error:
                said = error.args[0]
                wrong[name] = said if isinstance(said, dict) else [said]
    if wrong:
        raise Invalid(wrong)
    return valid


def ignore_checks() -> dict[str, Callable[[Any], Any]]:
    return {name: partial(minutes_or_count, limit=limit) for name, limit in IGNORE_LIMITS.items()}


def status_details(value: Any, projects: list[int]) -> Json:
    if not isinstance(value, dict):
        raise Invalid({"non_field_errors": [f"Invalid data. Expected a dictionary, but got {type(value).__name__}."]})
    checks = {
        "inRelease": lambda version: in_release(version, projects),
        "inNextRelease": lambda flag: in_next_release(flag, projects),
        "inCommit": in_commit,
    }
    return collect(value, {**checks, **ignore_checks()})


def validate(data: Any, organization: Row, issues: list[Row]) -> Json:
    """The changes that a body asks for; 400 with {field: [message]} when something in it is not valid."""
    if not isinstance(data, dict):
        said = f"Invalid data. Expected a dictionary, but got {type(data).__name__}."
        raise ApiError(400, {"non_field_errors": [said]})
    projects = sorted({issue["project"] for issue in issues})
    checks: dict[str, Callable[[Any], Any]] = {
        "status": choice(STATUSES),
        "substatus": choice(SUBSTATUSES, nullable=True),
        "statusDetails": lambda value: status_details(value, projects),
        "assignedTo": lambda value: assignee(value, organization["id"]),
        "priority": choice(PRIORITIES),
        **dict.fromkeys(BOOLEANS, boolean),
        **ignore_checks(),
    }
    try:
        changes = collect(data, checks)
    except Invalid as error:
        raise ApiError(400, error.args[0]) from None
    if "discard" in changes:
        check_discard(changes)
    return changes


def check_discard(changes: Json) -> None:
    if len(changes) > 1:
        raise ApiError(400, {"non_field_errors": ["Other attributes cannot be updated when discarding"]})
    if "event:admin" not in the_caller().scopes:
        raise ApiError(400, {"discard": ["You do not have permission to discard events"]})
    raise ApiError(400, {"detail": ["You do not have that feature enabled"]})


# --- effects


def apply(changes: Json, issues: list[Row]) -> Json:
    """Change the issues; the result is the delta that a bulk update answers with."""
    effects: dict[str, Callable[[Any, list[Row]], Json]] = {
        "assignedTo": assign,
        "priority": set_priority,
        "isPublic": share,
        "isBookmarked": bookmark,
        "isSubscribed": subscribe,
        "hasSeen": mark_seen,
        "inbox": review,
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
        next_wanted = status == "resolvedInNextRelease" or "inNextRelease" in details
        delta = resolve(issues, next_wanted, details.get("inRelease"))
    elif status in ("ignored", "muted"):
        # The top-level copies of the ignore conditions count only without statusDetails.
        delta = ignore(issues, details if "statusDetails" in changes else changes, changes.get("substatus"))
    else:
        delta = unresolve(issues, changes.get("substatus"))
    for issue in issues:
        join(issue["id"], "changed_status")
    return delta


def resolve(issues: list[Row], in_next: bool, release: Row | None) -> Json:
    """An issue that is resolved already stays as it is, the kind of its resolution too."""
    store, caller = the_store(), the_caller()
    release = latest_release([issue["project"] for issue in issues]) if in_next else release
    resolution: Json | None = None
    if release is not None:
        kind = {"inNextRelease": True} if in_next else {"inRelease": release["version"]}
        resolution = kind | {"release": release["id"], "actor": caller.id}
    for issue in issues:
        if issue["status"] == "resolved":
            continue
        store.run(
            "UPDATE issue SET status = 'resolved', substatus = NULL, resolution = ?, snooze = NULL WHERE id = ?",
            json.dumps(resolution) if resolution else None, issue["id"],
        )  # fmt: skip
        kind_of_activity = "set_resolved_in_release" if resolution else "set_resolved"
        data = {"version": "" if in_next else release["version"]} if release is not None else {}
        store.add_activity(issue["id"], caller.id, kind_of_activity, **data)
    details: Json = {}
    if resolution:
        details = {key: value for key, value in resolution.items() if key in ("inNextRelease", "inRelease")}
        details["actor"] = user_by_id(caller.id)
    return {"status": "resolved", "statusDetails": details, "inbox": None}


def ignore(issues: list[Row], details: Json, substatus: str | None) -> Json:
    store, caller = the_store(), the_caller()
    snooze: Json = {name: details.get(name) or None for name in SNOOZE_FIELDS}
    duration = details.get("ignoreDuration")
    snooze["ignoreUntil"] = time.time() + duration * 60 if duration else None
    is_conditional = any(value is not None for value in snooze.values())
    if substatus not in SUBSTATUSES[:3]:
        substatus = "archived_until_condition_met" if is_conditional else "archived_forever"
    for issue in issues:
        if issue["status"] == "ignored":
            continue
        kept = json.dumps(snooze | {"timesSeen": issue["times_seen"], "actor": caller.id}) if is_conditional else None
        store.run(
            "UPDATE issue SET status = 'ignored', substatus = ?, resolution = NULL, snooze = ? WHERE id = ?",
            substatus, kept, issue["id"],
        )  # fmt: skip
        store.add_activity(
            issue["id"], caller.id, "set_ignored", **snooze | {"ignoreUntil": iso(snooze["ignoreUntil"])}
        )
    shown: Json = {"ignoreUntilEscalating": True} if substatus == "archived_until_escalating" else {}
    if is_conditional:
        shown = snooze | {"ignoreUntil": iso(snooze["ignoreUntil"]), "actor": user_by_id(caller.id)}
    return {"status": "ignored", "statusDetails": shown, "substatus": substatus, "inbox": None}


def unresolve(issues: list[Row], substatus: str | None) -> Json:
    substatus = substatus if substatus in SUBSTATUSES[3:] else "ongoing"
    for issue in issues:
        if issue["status"] == "unresolved":
            continue
        the_store().run(
            "UPDATE issue SET status = 'unresolved', substatus = ?, resolution = NULL, snooze = NULL WHERE id = ?",
            substatus, issue["id"],
        )  # fmt: skip
        the_store().add_activity(issue["id"], the_caller().id, "set_unresolved")
    return {"status": "unresolved", "statusDetails": {}, "substatus": substatus}


def assign(value: str | None, issues: list[Row]) -> Json:
    store = the_store()
    for issue in issues:
        store.run("UPDATE issue SET assignee = ? WHERE id = ?", value, issue["id"])
        actor = actor_json(value)
        if actor is None:
            store.add_activity(issue["id"], the_caller().id, "unassigned")
            continue
        data = {"assignee": actor["id"], "assigneeEmail": actor.get("email"), "assigneeType": actor["type"]}
        store.add_activity(issue["id"], the_caller().id, "assigned", **data)
        if actor["type"] == "user":
            join(issue["id"], "assigned", int(actor["id"]))
    return {"assignedTo": actor_json(value)}


def set_priority(value: str, issues: list[Row]) -> Json:
    for issue in issues:
        the_store().run(
            "UPDATE issue SET priority = ?, priority_locked = ? WHERE id = ?", value, time.time(), issue["id"]
        )
        the_store().add_activity(issue["id"], the_caller().id, "set_priority", priority=value)
    return {"priority": value}


def share(value: bool, issues: list[Row]) -> Json:
    """Each time it is made public an issue gets a new share id."""
    share_id = None
    for issue in issues:
        share_id = uuid.uuid4().hex if value else None
        the_store().run("UPDATE issue SET share_id = ? WHERE id = ?", share_id, issue["id"])
        if value or issue["share_id"] is not None:
            the_store().add_activity(issue["id"], the_caller().id, "set_public" if value else "set_private")
    return {"isPublic": value, "shareId": share_id}


def own_row(issue_id: int, user: int) -> None:
    the_store().run("INSERT OR IGNORE INTO issue_user (issue, user) VALUES (?, ?)", issue_id, user)


def join(issue_id: int, reason: str, user: int | None = None) -> None:
    """Subscribe someone who is not subscribed yet."""
    user = user or the_caller().id
    own_row(issue_id, user)
    the_store().run(
        "UPDATE issue_user SET reason = COALESCE(reason, ?) WHERE issue = ? AND user = ?", reason, issue_id, user
    )


def set_own(column: str, value: Any, issues: list[Row]) -> None:
    for issue in issues:
        own_row(issue["id"], the_caller().id)
        the_store().run(
            f"UPDATE issue_user SET {column} = ? WHERE issue = ? AND user = ?", value, issue["id"], the_caller().id
        )


def bookmark(value: bool, issues: list[Row]) -> Json:
    set_own("bookmarked", value, issues)
    for issue in issues:
        if value:
            join(issue["id"], "bookmarked")
    return {"isBookmarked": value}


def subscribe(value: bool, issues: list[Row]) -> Json:
    set_own("reason", "unknown" if value else None, issues)
    return {"isSubscribed": value, "subscriptionDetails": {"reason": "unknown"}}


def mark_seen(value: bool, issues: list[Row]) -> Json:
    set_own("seen", time.time() if value else None, issues)
    return {"hasSeen": value}


def review(value: bool, issues: list[Row]) -> Json:
    for issue in issues:
        the_store().run("UPDATE issue SET reviewed = ? WHERE id = ?", not value, issue["id"])
        if not value:
            the_store().add_activity(issue["id"], the_caller().id, "mark_reviewed")
    return {"inbox": value}
