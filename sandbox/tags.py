"""The values of a tag of an issue.

The values of the tag `user` have other fields than those of all other tags, like in Sentry.
"""

# ruff: noqa: S608 - only fixed text is put into SQL; every value is bound.

import json
from typing import Any, cast

from flask import Response, jsonify, request

from .auth import find_issue, not_found, the_store
from .grouping import Json
from .issues import environment_filter, issue_route, require_environments
from .pagination import requested_per_page, respond, scored_page
from .serializers import gravatar_url, iso, tag_name, user_tag_query
from .store import Row

TOP_VALUES = 9
# The score of a value; the highest comes first. Values have no ID, so `id`, the default, is like `age`.
SORTS = {
    "date": lambda row: int(row["last_seen"] * 1000),
    "count": lambda row: row["count"],
    "age": lambda row: int(row["first_seen"] * 1000),
}


def tag_values(organization: int, issue: Row, key: str) -> list[Row]:
    """The values of a tag with their counts and times, the most frequent first."""
    require_environments(organization)
    where, values = environment_filter()
    sql = f"""SELECT value, COUNT(*) AS count, MIN(event.timestamp) AS first_seen, MAX(event.timestamp) AS last_seen
        FROM event_key JOIN event ON event.id = event_key.event
        WHERE event.issue = ? AND key = ? AND is_tag AND {where} GROUP BY value ORDER BY count DESC, value"""
    return the_store().all(sql, issue["id"], key, *values)


@issue_route("tags/<key>/", "GET")
def get_tag(organization: str | None, issue_id: str, key: str) -> Response:
    """A tag with its most frequent values. A tag that no event of the issue has is not found."""
    org, _, issue = find_issue(organization, issue_id)
    rows = tag_values(org["id"], issue, key)
    if not rows:
        raise not_found()
    return jsonify(
        {
            "key": key,
            "name": tag_name(key),
            "uniqueValues": len(rows),
            "totalValues": sum(row["count"] for row in rows),
            "topValues": [value_json(key, row) for row in rows[:TOP_VALUES]],
        }
    )


@issue_route("tags/<key>/values/", "GET")
def list_tag_values(organization: str | None, issue_id: str, key: str) -> Response:
    """The values of a tag by `sort`. A tag that no event of the project has is not found."""
    org, project, issue = find_issue(organization, issue_id)
    sql = "SELECT 1 FROM event_key JOIN event ON event.id = event WHERE project = ? AND key = ? AND is_tag LIMIT 1"
    rows = tag_values(org["id"], issue, key)
    if the_store().one(sql, project["id"], key) is None:
        raise not_found()
    score: Any = SORTS.get(request.args.get("sort", ""), SORTS["age"])
    page = scored_page([(score(row), position) for position, row in enumerate(rows)], requested_per_page())
    if key == "user":
        return respond(page, lambda position: user_value_json(issue, rows[position]))
    return respond(page, lambda position: value_json(key, rows[position]))


def counted_json(key: str, row: Row) -> Json:
    query = user_tag_query(row["value"]) if key == "user" else None
    return {
        "value": row["value"],
        "count": row["count"],
        "firstSeen": iso(row["first_seen"]),
        "lastSeen": iso(row["last_seen"]),
        **({"query": query} if query else {}),
    }


def value_json(key: str, row: Row) -> Json:
    return {"key": key, "name": value_name(key, row["value"]), **counted_json(key, row)}


def value_name(key: str, value: str) -> str:
    """A value for display: a user without the kind of its ID, a release without its package."""
    if key == "user":
        return value.partition(":")[2]
    return value.rpartition("@")[2] if key == "release" else value


def user_value_json(issue: Row, row: Row) -> Json:
    """A value of the tag `user`: the user of the latest event with it."""
    sql = "SELECT data FROM event WHERE issue = ? AND user_key = ? ORDER BY timestamp DESC LIMIT 1"
    user = json.loads(cast(str, the_store().scalar(sql, issue["id"], row["value"])))["user"]
    return {
        "id": user.get("id"),
        "identifier": user.get("id"),
        "username": user.get("username"),
        "email": user.get("email"),
        "name": user.get("email") or user.get("username"),
        "ipAddress": user.get("ip_address"),
        "avatarUrl": gravatar_url(user.get("email") or ""),
        **counted_json("user", row),
    }
