"""Issue lists, issue detail, deletion and hashes.

Lists: `GET /projects/{org}/{project}/issues/` and `GET /organizations/{org}/issues/`. A search looks at the events: an
issue is found when one of its events meets all conditions, and its score is taken from the events that do.

Differences: `trends` and `recommended` sort by the number of matching events of the last day and then by last
seen (Sentry's weighting is not public in detail); `count` is of all events, also when a period is given; rows are
never removed after paging; saved searches, views and bulk deletion are left out.
"""

# ruff: noqa: S608 - only fixed text is put into SQL; every value is bound.

import re
import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from . import update
from .auth import (
    ApiError,
    bad_request,
    find_issue,
    find_organization,
    find_project,
    forbidden,
    issue_by_short_id,
    needs,
    the_store,
)
from .grouping import Json
from .ingest import parse_event_id
from .pagination import Page, link_header, offset_page, requested_per_page, respond, scored_page
from .search import UNITS, Conditions, compile_query
from .serializers import detail_json, full_event_json, issue_json, lifetime_json, simple_event_json, stream_json
from .store import Row

issues = Blueprint("issues", __name__, url_prefix="/api/0")

MAX_HITS = 1000
MAX_LIMIT = 100
DEFAULT_QUERY = "is:unresolved"
DEFAULT_DAYS = 90
PERIODS = ("", "24h", "14d")
# What each `collapse` of the organization's list takes away from a row.
COLLAPSES = {
    "stats": ("stats", "lifetime", "filtered"),
    "lifetime": ("lifetime",),
    "filtered": ("filtered",),
    "unhandled": ("isUnhandled",),
}
# The score of an issue, from columns of the search below; the highest comes first.
RECENT = "SUM(event.timestamp >= unixepoch() - 86400)"
SORTS = {
    "date": "MAX(event.timestamp) * 1000",
    "new": "issue.first_seen * 1000",
    "freq": "COUNT(*)",
    "user": "COUNT(DISTINCT event.user_key)",
    "inbox": "issue.first_seen * 1000",
    "trends": f"{RECENT} * 10000000000 + issue.last_seen",
    "priority": f"{RECENT} * 10000000000 + issue.last_seen",
    "recommended": f"{RECENT} * 10000000000 + issue.last_seen",
}


def is_true(name: str) -> bool:
    return request.args.get(name, "").lower() in ("1", "true")


def time_window() -> tuple[float, float]:
    """`statsPeriod`, or `start` and `end` together, or the last 90 days."""
    now = time.time()
    period, start, end = (request.args.get(name) for name in ("statsPeriod", "start", "end"))
    if period:
        match = re.fullmatch(r"(\d{1,6})([smhdw]?)", period)
        if match is None:
            raise bad_request(f"Invalid statsPeriod: '{period}'")
        return now - int(match[1]) * (UNITS | {"s": 1, "": 1})[match[2]], now + 86400
    if (start is None) != (end is None):
        raise bad_request("start and end are both required")
    if start is None or end is None:
        return now - DEFAULT_DAYS * 86400, now + 86400
    since, until = update.parse_moment(start), update.parse_moment(end)
    if since is None or until is None:
        raise bad_request(f"{end if since is not None else start} is not a valid ISO8601 date query")
    if since >= until:
        raise bad_request("start must be before end")
    return since, until


def event_filters(conditions: Conditions, windowed: bool) -> Conditions:
    """Add the conditions of `environment` and of the time window."""
    environments = request.args.getlist("environment")
    if environments:
        marks = ", ".join("?" * len(environments))
        conditions.event.append((f"event.environment IN ({marks})", tuple(environments)))
    if windowed:
        conditions.event.append(("event.timestamp BETWEEN ? AND ?", time_window()))
    return conditions


def scored_issues(projects: list[int], conditions: Conditions) -> list[tuple[int, int]]:
    """(score, id) of the issues that a search finds."""
    sort = request.args.get("sort") or "date"
    if sort not in SORTS:
        raise bad_request(f"Sort key '{sort}' not supported.")
    where, values = conditions.where()
    sql = f"""SELECT CAST({SORTS[sort]} AS INTEGER), issue.id FROM issue JOIN event ON event.issue = issue.id
        WHERE issue.project IN ({', '.join('?' * len(projects))}) AND {where} GROUP BY issue.id"""
    return [(row[0], row[1]) for row in the_store().all(sql, *projects, *values)]


def requested_query() -> str:
    query = request.args.get("query")
    return DEFAULT_QUERY if query is None else query.strip()


def direct_hit(organization: int, projects: list[int], query: str) -> tuple[list[Row], Row | None] | None:
    """An event id, or with `shortIdLookup` a short id, finds its issue whatever the status; None for other queries."""
    store, event_id = the_store(), parse_event_id(query)
    if event_id:
        marks = ", ".join("?" * len(projects))
        event = store.one(f"SELECT * FROM event WHERE event_id = ? AND project IN ({marks})", event_id, *projects)
        return (store.all("SELECT * FROM issue WHERE id = ?", event["issue"]), event) if event else ([], None)
    if is_true("shortIdLookup"):
        issue = issue_by_short_id(organization, query)
        if issue is not None and issue["project"] in projects:
            return [issue], None
    return None


def list_issues(
    organization: int, projects: list[int], windowed: bool, period: str, shape: Callable[[Json, Row], Json]
) -> Response:
    query, expand = requested_query(), request.args.getlist("expand")
    try:
        limit = max(min(int(request.args.get("limit") or MAX_LIMIT), MAX_LIMIT), 0)
    except ValueError:
        raise bad_request("invalid limit") from None

    def rows_json(rows: list[Row]) -> list[dict[str, Any]]:
        return [shape(found, row) for found, row in zip(stream_json(rows, period, expand), rows, strict=True)]

    hit = direct_hit(organization, projects, query)
    if hit is not None:
        rows, event = hit
        matching = (
            {"matchingEventId": event["event_id"], "matchingEventEnvironment": event["environment"]} if event else {}
        )
        response = jsonify([found | matching for found in rows_json(rows)])
        response.headers["X-Sentry-Direct-Hit"] = "1"
        return response
    found = scored_issues(projects, event_filters(compile_query(query), windowed))
    page = scored_page(found, limit)
    rows = [
        row for row in (the_store().one("SELECT * FROM issue WHERE id = ?", i) for i in page.items) if row is not None
    ]
    response = jsonify(rows_json(rows))
    response.headers["Link"] = link_header(page)
    response.headers["X-Hits"] = str(min(len(found), MAX_HITS))
    response.headers["X-Max-Hits"] = str(MAX_HITS)
    return response


@issues.get("/projects/<organization>/<project>/<any(issues, groups):_alias>/")
@needs("event")
def project_issues(organization: str, project: str, _alias: str) -> Response:
    org, row = find_project(organization, project)
    period = request.args.get("statsPeriod", "24h")
    if period not in PERIODS:
        raise bad_request("Invalid stats_period. Valid choices are '', '24h', and '14d'")
    return list_issues(org["id"], [row["id"]], False, period, lambda found, _: found)


def selected_projects(organization: int) -> list[int]:
    """`project` (ids, -1 for all, slugs since 2026) and `projectSlug`; anything unknown among them is forbidden."""
    rows = the_store().all("SELECT id, slug FROM project WHERE organization = ?", organization)
    ids, slugs = {str(row["id"]): row["id"] for row in rows}, {row["slug"]: row["id"] for row in rows}
    wanted = [value for value in request.args.getlist("project") if value] + request.args.getlist("projectSlug")
    if not wanted or "-1" in wanted:
        return list(ids.values())
    if any(value not in ids and value not in slugs for value in wanted):
        raise forbidden()
    return sorted({ids.get(value) or slugs[value] for value in wanted})


@issues.get("/organizations/<organization>/<any(issues, groups):_alias>/")
@needs("event")
def organization_issues(organization: str, _alias: str) -> Response:
    org = find_organization(organization)
    period = request.args.get("groupStatsPeriod", "24h")
    if period not in (*PERIODS, "auto"):
        raise bad_request("Invalid stats_period. Valid choices are '', '24h', '14d', and 'auto'")
    collapse = request.args.getlist("collapse")
    projects = selected_projects(org["id"])
    groups = request.args.getlist("group")
    if groups:
        if not all(group.isdigit() for group in groups):
            raise bad_request("Group ids must be integers")
        return jsonify(stream_json(issues_by_ids(groups, projects), period))
    hidden = {key for name in collapse for key in COLLAPSES.get(name, ())}

    def shape(found: Json, row: Row) -> Json:
        return {key: value for key, value in (found | lifetime_json(row)).items() if key not in hidden}

    return list_issues(org["id"], projects, True, period, shape)


def issues_by_ids(ids: list[str], projects: list[int]) -> list[Row]:
    found = (the_store().one("SELECT * FROM issue WHERE id = ?", min(int(i), 2**62)) for i in ids if i.isdigit())
    return [row for row in found if row is not None and row["project"] in projects]


def bulk_targets(projects: list[int]) -> list[Row]:
    """The issues of `?id=..`; without an id the first 1000 that the search finds. Unknown ids select nothing (Sentry
    up to 2024, and documented in 2026); the code of 2025 falls through to the search, which would be a trap here."""
    ids = request.args.getlist("id")
    if ids:
        return issues_by_ids(ids, projects)
    found = scored_issues(projects, event_filters(compile_query(requested_query()), False))
    return issues_by_ids([str(issue_id) for _, issue_id in sorted(found, reverse=True)[:MAX_HITS]], projects)


def update_many(organization: Row, projects: list[int]) -> Response | tuple[str, int]:
    rows = bulk_targets(projects)
    changes = update.validate(update.request_data(), organization, rows)
    if not rows:
        return "", 204
    return jsonify(update.apply(changes, rows))


@issues.put("/projects/<organization>/<project>/<any(issues, groups):_alias>/")
@needs("event")
def update_project_issues(organization: str, project: str, _alias: str) -> Response | tuple[str, int]:
    org, row = find_project(organization, project)
    return update_many(org, [row["id"]])


@issues.put("/organizations/<organization>/<any(issues, groups):_alias>/")
@needs("event")
def update_organization_issues(organization: str, _alias: str) -> Response | tuple[str, int]:
    org = find_organization(organization)
    return update_many(org, selected_projects(org["id"]))


def delete(rows: list[Row]) -> None:
    """Deletion is asynchronous in Sentry, but an issue answers 404 from the moment it is asked for."""
    store = the_store()
    with store.transaction():
        for row in rows:
            store.run("DELETE FROM event_key WHERE event IN (SELECT id FROM event WHERE issue = ?)", row["id"])
            for table in ("event", "issue_hash", "issue_user", "activity"):
                store.run(f"DELETE FROM {table} WHERE issue = ?", row["id"])
            store.run("DELETE FROM issue WHERE id = ?", row["id"])


# --- one issue: each route exists with and without the organization


def issue_route(path: str, *methods: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a view under `/issues/{id}/` and `/organizations/{org}/issues/{id}/`, with the alias `groups`."""

    def register(view: Callable[..., Any]) -> Callable[..., Any]:
        guarded = needs("event")(view)
        tail = f"/<any(issues, groups):_alias>/<issue_id>/{path}"
        issues.add_url_rule(f"/organizations/<organization>{tail}", view_func=guarded, methods=methods)
        issues.add_url_rule(tail, view_func=guarded, methods=methods, defaults={"organization": None})
        return view

    return register


@issue_route("", "GET")
def get_issue(organization: str | None, issue_id: str, _alias: str) -> Response:
    org, project, issue = find_issue(organization, issue_id)
    environments = request.args.getlist("environment")
    known = {
        row[0] for row in the_store().all("SELECT DISTINCT environment FROM event WHERE project = ?", project["id"])
    }
    if environments and not known.intersection(environments):
        raise ApiError(404, {"detail": "The requested resource does not exist"})
    return jsonify(detail_json(issue, org["id"], request.args.getlist("expand"), request.args.getlist("collapse")))


@issue_route("", "PUT")
def put_issue(organization: str | None, issue_id: str, _alias: str) -> Response | tuple[str, int]:
    """Answers the whole issue in its base form; a discarded one is gone (204)."""
    org, _, issue = find_issue(organization, issue_id)
    changes = update.validate(update.request_data(), org, [issue])
    update.apply(changes, [issue])
    row = the_store().one("SELECT * FROM issue WHERE id = ?", issue["id"])
    return jsonify(issue_json(row)) if row is not None else ("", 204)


@issue_route("", "DELETE")
def delete_issue(organization: str | None, issue_id: str, _alias: str) -> tuple[str, int]:
    _, _, issue = find_issue(organization, issue_id)
    delete([issue])
    return "", 202


@issue_route("hashes/", "GET")
def get_hashes(organization: str | None, issue_id: str, _alias: str) -> Response:
    _, _, issue = find_issue(organization, issue_id)
    event_form = simple_event_json if request.args.get("full", "1").lower() in ("0", "false") else full_event_json

    def hash_json(row: Row) -> dict[str, Any]:
        sql = "SELECT * FROM event WHERE issue = ? AND hashes LIKE ? ORDER BY timestamp DESC, id DESC LIMIT 1"
        latest = the_store().one(sql, issue["id"], f'%"{row["hash"]}"%')
        event = event_form(latest) if latest is not None else None
        return {"id": row["hash"], "latestEvent": event, "mergedBySeer": False, "seerMatchDistance": None}

    def fetch(offset: int, count: int) -> list[Row]:
        sql = "SELECT hash FROM issue_hash WHERE issue = ? ORDER BY hash LIMIT ? OFFSET ?"
        return the_store().all(sql, issue["id"], count, offset)

    page: Page = offset_page(fetch, requested_per_page())
    return respond(page, hash_json)
