"""The JSON of the web API, made of rows and normalized events.

IDs and an issue's `count` are strings. Times are ISO 8601 with a Z, with a fraction only if there is one. Where
Sentry's code differs from its API description, this follows the code: null in the `statusDetails` of a snooze,
`matchingEventId` only with a direct hit, full events without `event.type`.
"""

# ruff: noqa: S608 - only fixed text is put into SQL; every value is bound.

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import md5
from typing import Any, cast

from . import grouping
from .auth import encode_base32, shuffles_ties, the_caller, the_store
from .grouping import Json
from .ingest import is_snooze_over
from .store import Row

HOUR, DAY = 3600, 86400
MAX_ACTIVITIES = 100
LETTER_AVATAR = {"avatarType": "letter_avatar", "avatarUuid": None, "avatarUrl": None}

ERROR_MESSAGES = {
    "invalid_data": "Discarded invalid value",
    "invalid_attribute": "Discarded unknown attribute",
    "missing_attribute": "Missing value for required attribute",
    "value_too_long": "Discarded value due to exceeding maximum length",
    "future_timestamp": "Invalid timestamp (in future)",
    "past_timestamp": "Invalid timestamp (too old)",
    "clock_drift": "Clock drift detected in SDK",
    "invalid_environment": 'Environment cannot contain "/" or newlines',
}


def iso(moment: float | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(round(moment, 6), UTC).isoformat().replace("+00:00", "Z")


# --- people, projects, releases


def gravatar_url(email: str) -> str:
    return f"https://gravatar.com/avatar/{md5(email.encode(), usedforsecurity=False).hexdigest()}?s=32&d=mm"


def user_json(user: Row) -> Json:
    return {
        "id": str(user["id"]),
        "name": user["name"] or user["email"],
        "username": user["email"],
        "email": user["email"],
        "avatarUrl": gravatar_url(user["email"]),
        "avatar": LETTER_AVATAR,
        "isActive": bool(user["active"]),
        "hasPasswordAuth": True,
        "dateJoined": iso(user["created"]),
        **dict.fromkeys(("isSuspended", "isManaged", "has2fa", "isSuperuser", "isStaff"), False),
        **dict.fromkeys(("lastLogin", "lastActive")),
        "experiments": {},
        "emails": [{"id": str(user["id"]), "email": user["email"], "is_verified": True}],
    }


def user_by_id(user_id: int | None) -> Json | None:
    user = the_store().one("SELECT * FROM user WHERE id = ?", user_id)
    return None if user is None else user_json(user)


def actor_json(assignee: str | None) -> Json | None:
    """The actor for `user:1` or `team:1`, as stored in the database."""
    if assignee is None:
        return None
    kind, _, actor_id = assignee.partition(":")
    if kind == "team":
        slug = the_store().scalar("SELECT slug FROM team WHERE id = ?", int(actor_id))
        return {"type": "team", "id": actor_id, "name": slug}
    user = cast(Row, the_store().one("SELECT * FROM user WHERE id = ?", int(actor_id)))
    return {"type": "user", "id": actor_id, "name": user["name"] or user["email"], "email": user["email"]}


def release_json(version: str | None, organization: int) -> Json | None:
    if version is None:
        return None
    release = the_store().one("SELECT * FROM release WHERE organization = ? AND version = ?", organization, version)
    if release is None:
        return {"version": version}
    sql = "SELECT project.* FROM release_project JOIN project ON project = project.id WHERE release = ?"
    projects = the_store().all(sql, release["id"])
    return {
        "id": release["id"],
        "version": version,
        "shortVersion": version,
        "status": "open",
        "dateCreated": iso(release["created"]),
        "firstEvent": iso(release["created"]),
        "data": {},
        "authors": [],
        "projects": [project_ref(row) | {"hasHealthData": False} for row in projects],
        **dict.fromkeys(("commitCount", "deployCount", "newGroups"), 0),
        **dict.fromkeys(("versionInfo", "ref", "url", "dateReleased", "lastEvent", "owner", "userAgent")),
        **dict.fromkeys(("lastCommit", "lastDeploy")),
    }


def commit_json(commit_id: int) -> Json:
    row = cast(Row, the_store().one("SELECT * FROM repository_commit WHERE id = ?", commit_id))
    repository = {
        "id": "1",
        "name": row["repository"],
        "url": None,
        "status": "active",
        "dateCreated": iso(row["created"]),
    }
    return {
        "id": row["key"],
        "message": row["message"],
        "dateCreated": iso(row["created"]),
        "repository": repository,
        **dict.fromkeys(("author", "pullRequest")),
        "suspectCommitType": "",
        "releases": [],
    }


def project_ref(row: Row) -> Json:
    return {"id": str(row["id"]), "slug": row["slug"], "name": row["slug"], "platform": row["platform"]}


# --- issues


def short_id(issue: Row, project: Row) -> str:
    return f"{project['slug'].upper()}-{encode_base32(issue['short_id'])}"


def status_json(issue: Row) -> Json:
    """`status`, `substatus` and `statusDetails`. An issue whose snooze is over is unresolved."""
    if issue["status"] == "ignored" and is_snooze_over(issue):
        return {"status": "unresolved", "substatus": "ongoing", "statusDetails": {}}
    resolution, snooze = json.loads(issue["resolution"] or "{}"), json.loads(issue["snooze"] or "{}")
    if "inCommit" in resolution:
        return {
            "status": "resolved",
            "substatus": None,
            "statusDetails": {"inCommit": commit_json(resolution["inCommit"])},
        }
    details = {key: resolution[key] for key in ("inNextRelease", "inRelease") if key in resolution}
    if "actor" in snooze:  # under conditions
        keys = ("ignoreCount", "ignoreUserCount", "ignoreUserWindow", "ignoreWindow")
        details = {key: snooze.get(key) for key in keys}
        details["ignoreUntil"] = iso(snooze.get("ignoreUntil"))
        if details["ignoreCount"] is not None and not details["ignoreWindow"]:
            details["ignoreCount"] -= issue["times_seen"] - snooze["timesSeen"]  # what remains
    if details:
        details["actor"] = user_by_id(resolution.get("actor", snooze.get("actor")))
    substatus = None if issue["status"] == "resolved" else issue["substatus"]
    return {"status": issue["status"], "substatus": substatus, "statusDetails": details}


def issue_json(issue: Row) -> Json:
    """The base form of an issue: the response to a PUT, and a part of the list and detail forms."""
    store = the_store()
    project = cast(Row, store.one("SELECT * FROM project WHERE id = ?", issue["project"]))
    slug = store.scalar("SELECT slug FROM organization WHERE id = ?", project["organization"])
    sql = "SELECT * FROM issue_user WHERE issue = ? AND user = ?"
    notes = "SELECT COUNT(*) FROM activity WHERE issue = ? AND type = 'note'"
    mine: Any = store.one(sql, issue["id"], the_caller().id) or defaultdict(lambda: None)
    status = status_json(issue)
    return {
        "id": str(issue["id"]),
        "shareId": issue["share_id"],
        "shortId": short_id(issue, project),
        "title": issue["title"],
        "culprit": issue["culprit"],
        "permalink": f"{store.url_prefix}/organizations/{slug}/issues/{issue['id']}/",
        "logger": issue["logger"],
        "level": issue["level"],
        **status,
        "isPublic": issue["share_id"] is not None,
        "platform": issue["platform"],
        "project": project_ref(project),
        "type": issue["type"],
        "metadata": json.loads(issue["metadata"]),
        "numComments": store.scalar(notes, issue["id"]),
        "assignedTo": actor_json(issue["assignee"]),
        "isBookmarked": bool(mine["bookmarked"]),
        "isSubscribed": mine["reason"] is not None,
        "subscriptionDetails": {"reason": mine["reason"]} if mine["reason"] else None,
        "hasSeen": mine["seen"] is not None,
        "annotations": [],
        "issueType": "error",
        "issueCategory": "error",
        "priority": issue["priority"],
        "priorityLockedAt": iso(issue["priority_locked"]),
        **dict.fromkeys(("seerFixabilityScore", "seerAutofixLastTriggered", "seerExplorerAutofixLastTriggered")),
        "derivedData": {
            "status": status["status"],
            "isAssigned": issue["assignee"] is not None,
            "viewCount": 0,
            "lastProgressedAt": None,
            **dict.fromkeys(("hasOpenFixPr", "hasRootCause"), False),
            **dict.fromkeys(("blocker", "progress", "lastCompletedAutofixStep"), "none"),
        },
        "isUnhandled": bool(issue["unhandled"]),
        **times_json(issue),
    }


def times_json(issue: Row) -> Json:
    users = the_store().scalar("SELECT COUNT(DISTINCT user_key) FROM event WHERE issue = ?", issue["id"])
    return {
        "count": str(issue["times_seen"]),
        "userCount": users,
        "firstSeen": iso(issue["first_seen"]),
        "lastSeen": iso(issue["last_seen"]),
    }


def event_counts(issue_ids: Iterable[int], step: int, buckets: int) -> dict[int, list[list[int]]]:
    """For each issue [[start of bucket, events], ...], oldest first, the current bucket last."""
    last = int(time.time()) // step * step
    starts = [last - step * back for back in reversed(range(buckets))]
    counts: dict[int, dict[int, int]] = defaultdict(dict)
    sql = """SELECT issue, CAST(timestamp / ? AS INTEGER) * ? AS start, COUNT(*) AS number FROM event
        WHERE issue IN (SELECT value FROM json_each(?)) AND timestamp >= ? GROUP BY 1, 2"""
    ids = list(issue_ids)
    for row in the_store().all(sql, step, step, json.dumps(ids), starts[0]):
        counts[row["issue"]][row["start"]] = row["number"]
    return {issue_id: [[start, counts[issue_id].get(start, 0)] for start in starts] for issue_id in ids}


def stream_json(issues: list[Row], period: str, lifetime: bool) -> list[Json]:
    """Issues as a list shows them.

    :param period: 24h, 14d or auto; empty for no `stats`
    :param lifetime: whether to add what only the organization's list has
    """
    step, buckets = (DAY, 14) if period == "14d" else (HOUR, 24)
    stats = event_counts((issue["id"] for issue in issues), step, buckets) if period else {}
    return [
        issue_json(issue)
        | ({"stats": {period: stats[issue["id"]]}} if period else {})
        | ({"lifetime": times_json(issue) | {"stats": None}, "filtered": None} if lifetime else {})
        for issue in issues
    ]


def detail_json(issue: Row, organization: int) -> Json:
    """An issue as `GET .../issues/{id}/` shows it: with history, people, statistics, tags and releases."""
    store = the_store()
    sql = "SELECT user.*, seen FROM issue_user JOIN user ON user.id = user WHERE issue = ? AND"
    seen = store.all(f"{sql} seen IS NOT NULL ORDER BY seen DESC", issue["id"])
    participants = store.all(f"{sql} reason IS NOT NULL ORDER BY user.id", issue["id"])
    return {
        **issue_json(issue),
        "activity": activities_json(issue),
        "seenBy": [user_json(user) | {"lastSeen": iso(user["seen"])} for user in seen],
        "participants": [user_json(user) | {"type": "user"} for user in participants],
        "userReportCount": 0,
        "stats": {
            "24h": event_counts([issue["id"]], HOUR, 25)[issue["id"]],
            "30d": event_counts([issue["id"]], DAY, 31)[issue["id"]],
        },
        "tags": tag_totals(issue["id"]),
        "firstRelease": release_json(issue["first_release"], organization),
        "lastRelease": release_json(issue["last_release"], organization),
    }


def activity_json(row: Row) -> Json:
    return {
        "id": str(row["id"]),
        "user": user_by_id(row["user"]),
        "type": row["type"],
        "data": json.loads(row["data"]),
        "dateCreated": iso(row["created"]),
    }


def activities_json(issue: Row) -> list[Json]:
    """The activities, newest first. The last one, "first seen", is not stored and has the ID 0."""
    sql = f"SELECT * FROM activity WHERE issue = ? ORDER BY id DESC LIMIT {MAX_ACTIVITIES - 1}"
    activities = [activity_json(row) for row in the_store().all(sql, issue["id"])]
    data = {"priority": issue["priority"]}
    first = {"id": "0", "user": None, "type": "first_seen", "data": data, "dateCreated": iso(issue["first_seen"])}
    return [*activities, first]


def tag_name(key: str) -> str:
    return key.replace("_", " ").title()


def tag_totals(issue_id: int) -> list[Json]:
    sql = """SELECT key, COUNT(*) AS total, COUNT(DISTINCT value) AS different FROM event_key
        JOIN event ON event.id = event_key.event WHERE issue = ? AND is_tag GROUP BY key ORDER BY key LIMIT 100"""
    return [
        {
            "key": row["key"],
            "name": tag_name(row["key"]),
            "uniqueValues": row["different"],
            "totalValues": row["total"],
        }
        for row in the_store().all(sql, issue_id)
    ]


# --- events


def event_user_json(event: Json) -> Json | None:
    user = event.get("user")
    if not user:
        return None
    keys = ("id", "email", "username", "ip_address", "name", "geo")
    return {key: user.get(key) for key in keys} | {"data": user.get("data")}


def user_tag_query(value: str) -> str:
    """The search for a value of the tag `user`, such as `id:7`."""
    kind, _, name = value.partition(":")
    return f'user.{kind}:"{name}"'


def event_tags_json(event: Json) -> list[Json]:
    tags: list[Json] = []
    for key, value in grouping.tags_of(event):
        tag = {"key": key, "value": value}
        if key == "user":
            tag["query"] = user_tag_query(value)
        tags.append(tag)
    return tags


def common_event_json(row: Row, event: Json, summary: grouping.Summary) -> Json:
    return {
        **dict.fromkeys(("id", "eventID"), row["event_id"]),
        "groupID": str(row["issue"]),
        "projectID": str(row["project"]),
        "title": summary.title,
        "location": summary.location,
        "culprit": summary.culprit,
        "metadata": summary.metadata,
        "user": event_user_json(event),
        "tags": event_tags_json(event),
        "platform": event.get("platform"),
        "dateCreated": iso(int(row["timestamp"]) if shuffles_ties() else row["timestamp"]),
        "crashFile": None,
    }


def simple_event_json(row: Row) -> Json:
    """An event as a list shows it."""
    event = json.loads(row["data"])
    summary = grouping.summarize(event)
    return {**common_event_json(row, event, summary), "event.type": summary.type, "message": row["message"]}


def full_event_json(row: Row) -> Json:
    """An event with everything, as a list shows it with `full=1`."""
    event = json.loads(row["data"])
    summary = grouping.summarize(event)
    sdk = event.get("sdk")
    contexts = {key: value for key, value in (event.get("contexts") or {}).items() if value is not None}
    return {
        **common_event_json(row, event, summary),
        "type": summary.type,
        "size": len(row["data"]),
        "entries": entries_json(event),
        "dist": event.get("dist"),
        "message": grouping.formatted_message(event),
        "contexts": contexts,
        "sdk": sdk and {"name": sdk.get("name"), "version": sdk.get("version")},
        "context": event.get("extra") or {},
        "packages": event.get("modules") or {},
        "dateReceived": iso(event.get("received")),
        "errors": errors_json(event),
        "occurrence": None,
        "_meta": meta_json(event.get("_meta") or {}),
        "fingerprints": json.loads(row["hashes"]),
        "groupingConfig": {"id": "newstyle:2023-01-11", "enhancements": ""},
    }


def detail_event_json(row: Row, organization: int) -> Json:
    """One event with its release and its neighbors in the issue."""
    store = the_store()
    neighbour = "SELECT event_id FROM event WHERE issue = ? AND (timestamp, id)"
    here = (row["issue"], row["timestamp"], row["id"])
    return {
        **full_event_json(row),
        "release": release_json(json.loads(row["data"]).get("release"), organization),
        "userReport": None,
        "sdkUpdates": [],
        "resolvedWith": [],
        "nextEventID": store.scalar(f"{neighbour} > (?, ?) ORDER BY timestamp, id LIMIT 1", *here),
        "previousEventID": store.scalar(f"{neighbour} < (?, ?) ORDER BY timestamp DESC, id DESC LIMIT 1", *here),
    }


def errors_json(event: Json) -> list[Json]:
    """The errors that the normalizer reported. Sentry hides errors of breadcrumbs, extra, tags and frames."""
    errors = []
    for error in event.get("errors") or []:
        name = (error or {}).get("name") or ""
        if not error or name.startswith(("breadcrumbs.", "extra.", "tags.")) or ".frames." in name:
            continue
        message = ERROR_MESSAGES.get(error["type"], "Unknown error")
        data = {key: value for key, value in error.items() if key != "type"}
        errors.append({"type": error["type"], "message": message, "data": data})
    return errors


def meta_json(meta: Json) -> Json:
    names = {"user": "user", "contexts": "contexts", "context": "extra", "packages": "modules", "sdk": "sdk"}
    return {"entries": {}, "tags": meta.get("tags") or {}, "message": meta.get("logentry")} | {
        key: meta.get(name) for key, name in names.items()
    }


def entries_json(event: Json) -> list[Json]:
    """The interfaces in the order in which Sentry shows them."""
    message = {key: value for key, value in (event.get("logentry") or {}).items() if value}
    exceptions, threads, crumbs = (grouping.values(event, name) for name in ("exception", "threads", "breadcrumbs"))
    trace = event.get("stacktrace")
    frames = [frame for exception in exceptions for frame in grouping.frames_of(exception)]
    candidates: list[tuple[str, Any]] = [
        ("message", message),
        ("exception", exceptions and {
            "values": [exception_json(value) for value in exceptions],
            "hasSystemFrames": has_system_frames(frames),
            "excOmitted": None,
        }),
        ("stacktrace", trace and stacktrace_json(trace)),
        ("threads", threads and {"values": [thread_json(value) for value in threads]}),
        ("breadcrumbs", crumbs and {"values": [breadcrumb_json(value) for value in crumbs]}),
        ("request", event.get("request") and request_json(event["request"])),
    ]  # fmt: skip
    return [{"type": kind, "data": data} for kind, data in candidates if data]


def has_system_frames(frames: list[Json]) -> bool:
    """Whether some frames belong to the application and some do not."""
    return len({bool(frame.get("in_app")) for frame in frames}) > 1


def exception_json(exception: Json) -> Json:
    same = {key: exception.get(key) for key in ("type", "value", "module", "mechanism")}
    trace, raw = exception.get("stacktrace"), exception.get("raw_stacktrace")
    return {
        **same,
        "threadId": exception.get("thread_id"),
        "stacktrace": stacktrace_json(trace) if trace else None,
        "rawStacktrace": stacktrace_json(raw) if raw else None,
    }


def thread_json(thread: Json) -> Json:
    same = {key: thread.get(key) for key in ("id", "name", "state")}
    flags = {key: bool(thread.get(key)) for key in ("crashed", "current", "main")}
    trace = thread.get("stacktrace")
    stacktraces = {"stacktrace": stacktrace_json(trace) if trace else None, "rawStacktrace": None}
    return same | flags | stacktraces | {"heldLocks": thread.get("held_locks")}


def stacktrace_json(trace: Json) -> Json:
    frames = [frame for frame in trace.get("frames") or [] if frame]
    return {
        "frames": [frame_json(frame) for frame in frames],
        "framesOmitted": trace.get("frames_omitted"),
        "registers": trace.get("registers"),
        "hasSystemFrames": has_system_frames(frames),
    }


def frame_json(frame: Json) -> Json:
    """The source around a line is one list of [line number, text]."""
    names = {
        "filename": "filename", "absPath": "abs_path", "module": "module", "package": "package",
        "platform": "platform", "function": "function", "rawFunction": "raw_function", "lineNo": "lineno",
        "colNo": "colno", "vars": "vars", "symbol": "symbol", "symbolAddr": "symbol_addr",
        "instructionAddr": "instruction_addr", "addrMode": "addr_mode", "trust": "trust", "lock": "lock",
    }  # fmt: skip
    context: list[list[Any]] = []
    if frame.get("lineno") is not None and frame.get("context_line") is not None:
        before = frame.get("pre_context") or []
        lines = [*before, frame["context_line"], *(frame.get("post_context") or [])]
        context = [[number, line] for number, line in enumerate(lines, frame["lineno"] - len(before))]
    renamed = {key: frame.get(name) for key, name in names.items()}
    return renamed | {"inApp": bool(frame.get("in_app")), "context": context, "errors": None}


def breadcrumb_json(crumb: Json) -> Json:
    same = {key: crumb.get(key) for key in ("type", "category", "level", "message", "data", "event_id")}
    return same | {"timestamp": iso(crumb.get("timestamp"))}


def request_json(http: Json) -> Json:
    names = {"apiTarget": "api_target", "inferredContentType": "inferred_content_type"}
    lists = {"query": "query_string", "headers": "headers", "cookies": "cookies"}
    return {
        **{key: http.get(key) for key in ("method", "url", "fragment", "data", "env")},
        **{key: http.get(name) for key, name in names.items()},
        **{key: http.get(name) or [] for key, name in lists.items()},
    }
