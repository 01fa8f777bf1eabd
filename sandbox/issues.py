"""Issues: the lists of a project and of an organization, detail, update and deletion.

A search looks at the events: an issue is found if one of its events meets all conditions, and its score is computed
from the events that do.

Differences from Sentry: `trends` sorts by the number of matching events of the last day and then by last seen; `count`
counts all events, also when a period is given; `expand` and `collapse` have no effect; there are no saved searches.
"""

# ruff: noqa: S608 - only fixed text is put into SQL; every value is bound.

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, cast

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
    not_found,
    shuffles_ties,
    the_store,
)
from .ingest import parse_event_id
from .pagination import MAX_PAGE, link_header, scored_page
from .search import UNITS, Clause, Conditions, compile_query, parse_moment
from .serializers import detail_json, issue_json, stream_json
from .store import Row

issues = Blueprint("issues", __name__, url_prefix="/api/0")

MAX_HITS = 1000
DEFAULT_QUERY = "is:unresolved"
DEFAULT_DAYS = 90
PERIODS = ("", "24h", "14d")
# The score of an issue, from columns of the search below; the highest comes first.
SORTS = {
    "date": "MAX(event.timestamp) * 1000",
    "new": "issue.first_seen * 1000",
    "freq": "COUNT(*)",
    "user": "COUNT(DISTINCT event.user_key)",
    "trends": "SUM(event.timestamp >= unixepoch() - 86400) * 10000000000 + issue.last_seen",
}
SORTS_BY_SECONDS = {
    "date": "CAST(MAX(event.timestamp) AS INTEGER) * 1000",
    "new": "CAST(issue.first_seen AS INTEGER) * 1000",
}


def is_true(name: str) -> bool:
    return request.args.get(name, "").lower() in ("1", "true")


def time_window() -> tuple[float, float]:
    """`statsPeriod`, or `start` and `end` together, or the last 90 days."""
    now = time.time()
    period, start, end = (request.args.get(name) for name in ("statsPeriod", "start", "end"))
    if period is not None:
        match = re.fullmatch(r"(\d{1,6})([smhdw]?)", period)
        if match is None:
            raise bad_request(f"Invalid statsPeriod: '{period}'")
        return now - int(match[1]) * (UNITS | {"s": 1, "": 1})[match[2]], now + 86400
    if (start is None) != (end is None):
        raise bad_request("start and end are both required")
    if start is None or end is None:
        return now - DEFAULT_DAYS * 86400, now + 86400
    since, until = (parse_bound(text) for text in (start, end))
    if since >= until:
        raise bad_request("start must be before end")
    return since, until


def parse_bound(text: str) -> float:
    """A `start` or `end`: in UTC, with Z, +00:00 or no offset."""
    moment = parse_moment(text) if re.fullmatch(r"[\d-]+(T[\d:.]+(Z|\+00:00)?)?", text) else None
    if moment is None:
        raise bad_request(f"{text} is not a valid ISO8601 date query")
    return moment


def environment_filter() -> Clause:
    """The condition of `environment`. An empty name is that of events without an environment."""
    environments = request.args.getlist("environment")
    if not environments:
        return "1", ()
    return f"COALESCE(event.environment, '') IN ({', '.join('?' * len(environments))})", tuple(environments)


def require_environments(organization: int) -> None:
    """Fail for an unknown `environment`. The lists of a project and of events are empty instead."""
    sql = "SELECT DISTINCT environment FROM event JOIN project ON project.id = project WHERE organization = ?"
    known = {"", *(row[0] for row in the_store().all(sql, organization))}
    if not known.issuperset(request.args.getlist("environment")):
        raise not_found()


def event_filters(conditions: Conditions, windowed: bool) -> Conditions:
    """Add the conditions of `environment` and of the time window."""
    conditions.event.append(environment_filter())
    if windowed:
        column = "CAST(event.timestamp AS INTEGER)" if shuffles_ties() else "event.timestamp"
        conditions.event.append((f"{column} >= ? AND {column} < ?", time_window()))
    return conditions


def scored_issues(projects: list[int], conditions: Conditions, by_seconds: bool = False) -> list[tuple[int, int]]:
    """(score, ID) of the issues that a search finds.

    :param by_seconds: whether the sorts by a time compare whole seconds
    """
    sort = request.args.get("sort") or "date"
    if sort not in SORTS:
        raise bad_request(f"Sort key '{sort}' not supported.")
    where, values = conditions.where()
    score = (SORTS_BY_SECONDS if by_seconds else SORTS).get(sort, SORTS[sort])
    sql = f"""SELECT CAST({score} AS INTEGER), issue.id FROM issue JOIN event ON event.issue = issue.id
        WHERE issue.project IN ({', '.join('?' * len(projects))}) AND {where} GROUP BY issue.id"""
    return [(row[0], row[1]) for row in the_store().all(sql, *projects, *values)]


def requested_query() -> str:
    query = request.args.get("query")
    return DEFAULT_QUERY if query is None else query.strip()


def direct_hit(organization: int, projects: list[int], query: str) -> tuple[list[Row], Row | None] | None:
    """The issue of an event ID, or with `shortIdLookup` of a short ID, in any status; None for other queries."""
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


def list_issues(organization: int, projects: list[int], windowed: bool, period: str) -> Response:
    query = requested_query()
    try:
        limit = max(min(int(request.args.get("limit") or MAX_PAGE), MAX_PAGE), 0)
    except ValueError:
        raise bad_request("invalid limit") from None
    hit = direct_hit(organization, projects, query)
    if hit is not None:
        rows, event = hit
        matching = (
            {"matchingEventId": event["event_id"], "matchingEventEnvironment": event["environment"]} if event else {}
        )
        response = jsonify([found | matching for found in stream_json(rows, period, windowed)])
        response.headers["X-Sentry-Direct-Hit"] = "1"
        return response
    conditions = compile_query(query)
    # Sentry reads the first page by date from PostgreSQL if no condition needs Snuba, and all other pages from Snuba.
    is_by_date = request.args.get("sort", "date") in ("", "date")
    needs_snuba = conditions.event or request.args.get("environment") or request.args.get("cursor")
    is_fine = is_by_date and not needs_snuba
    found = scored_issues(projects, event_filters(conditions, windowed), shuffles_ties() and not is_fine)
    page = scored_page(found, limit)
    if shuffles_ties() and is_fine:
        # The offset counts equal milliseconds. On the next page it would omit issues of the same second.
        page = replace(page, next=replace(page.next, offset=0))
    response = jsonify(stream_json(issues_by_ids(page.items, projects), period, windowed))
    response.headers["Link"] = link_header(page)
    response.headers["X-Hits"] = str(min(len(found), MAX_HITS))
    response.headers["X-Max-Hits"] = str(MAX_HITS)
    return response


@issues.get("/projects/<organization>/<project>/issues/")
@needs("event")
def project_issues(organization: str, project: str) -> Response:
    org, row = find_project(organization, project)
    period = request.args.get("statsPeriod", "24h")
    if period not in PERIODS:
        raise bad_request("Invalid stats_period. Valid choices are '', '24h', and '14d'")
    return list_issues(org["id"], [row["id"]], False, period)


def selected_projects(organization: int) -> list[int]:
    """The IDs of `project` (IDs or slugs, -1 for all); all by default."""
    rows = the_store().all("SELECT id, slug FROM project WHERE organization = ?", organization)
    ids, slugs = {str(row["id"]): row["id"] for row in rows}, {row["slug"]: row["id"] for row in rows}
    wanted = [value for value in request.args.getlist("project") if value]
    if not wanted or "-1" in wanted:
        return list(ids.values())
    if any(value not in ids and value not in slugs for value in wanted):
        raise forbidden()
    return sorted({ids.get(value) or slugs[value] for value in wanted})


@issues.get("/organizations/<organization>/issues/")
@needs("event")
def organization_issues(organization: str) -> Response:
    org = find_organization(organization)
    period = request.args.get("groupStatsPeriod", "24h")
    if period not in (*PERIODS, "auto"):
        raise bad_request("Invalid stats_period. Valid choices are '', '24h', '14d', and 'auto'")
    projects = selected_projects(org["id"])
    require_environments(org["id"])
    groups = request.args.getlist("group")
    if groups:
        if not all(group.isdigit() for group in groups):
            raise bad_request("Group ids must be integers")
        return jsonify(stream_json(issues_by_ids([int(group) for group in groups], projects), period, True))
    return list_issues(org["id"], projects, True, period)


def issues_by_ids(ids: Iterable[int], projects: list[int]) -> list[Row]:
    """The issues of these projects with these IDs, in that order."""
    # SQLite cannot bind a number beyond 64 bits. No issue has such an ID.
    found = (the_store().one("SELECT * FROM issue WHERE id = ?", min(issue_id, 2**62)) for issue_id in ids)
    return [row for row in found if row is not None and row["project"] in projects]


def bulk_targets(projects: list[int]) -> list[Row]:
    """The issues of `?id=...`, or without one the first 1000 that the search finds.

    Unknown IDs select nothing, as documented. The code of Sentry in 2025 continues with the search.
    """
    ids = request.args.getlist("id")
    if ids:
        if not all(issue_id.isdigit() for issue_id in ids):
            raise ApiError(500, {"detail": "Internal Error", "errorId": None})
        return issues_by_ids(dict.fromkeys(int(issue_id) for issue_id in ids), projects)
    found = scored_issues(projects, event_filters(compile_query(requested_query()), False))
    return issues_by_ids([issue_id for _, issue_id in sorted(found, reverse=True)[:MAX_HITS]], projects)


def update_many(organization: Row, projects: list[int]) -> Response | tuple[str, int]:
    rows = bulk_targets(projects)
    changes = update.validate(update.request_data(), organization, rows)
    if not rows:
        return "", 204
    return jsonify(update.apply(changes, rows))


@issues.put("/projects/<organization>/<project>/issues/")
@needs("event")
def update_project_issues(organization: str, project: str) -> Response | tuple[str, int]:
    org, row = find_project(organization, project)
    return update_many(org, [row["id"]])


@issues.put("/organizations/<organization>/issues/")
@needs("event")
def update_organization_issues(organization: str) -> Response | tuple[str, int]:
    org = find_organization(organization)
    return update_many(org, selected_projects(org["id"]))


@issues.delete("/projects/<organization>/<project>/issues/")
@needs("event")
def delete_project_issues(organization: str, project: str) -> tuple[str, int]:
    _, row = find_project(organization, project)
    delete(bulk_targets([row["id"]]))
    return "", 204


@issues.delete("/organizations/<organization>/issues/")
@needs("event")
def delete_organization_issues(organization: str) -> tuple[str, int]:
    org = find_organization(organization)
    delete(bulk_targets(selected_projects(org["id"])))
    return "", 204


def delete(rows: list[Row]) -> None:
    """Delete issues at once. Sentry deletes them later, but responds with 404 from now on as well."""
    store = the_store()
    with store.transaction():
        for row in rows:
            store.run("DELETE FROM event_key WHERE event IN (SELECT id FROM event WHERE issue = ?)", row["id"])
            for table in ("event", "issue_hash", "issue_user", "activity"):
                store.run(f"DELETE FROM {table} WHERE issue = ?", row["id"])
            store.run("DELETE FROM issue_redirect WHERE target = ?", row["id"])
            store.run("DELETE FROM issue WHERE id = ?", row["id"])


# --- one issue: each route exists with and without the organization


def issue_route(path: str, *methods: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a view under `/issues/{id}/` and `/organizations/{org}/issues/{id}/`."""

    def register(view: Callable[..., Any]) -> Callable[..., Any]:
        guarded = needs("event")(view)
        tail = f"/issues/<issue_id>/{path}"
        issues.add_url_rule(f"/organizations/<organization>{tail}", view_func=guarded, methods=methods)
        issues.add_url_rule(tail, view_func=guarded, methods=methods, defaults={"organization": None})
        return view

    return register


@issue_route("", "GET")
def get_issue(organization: str | None, issue_id: str) -> Response:
    org, _, issue = find_issue(organization, issue_id)
    require_environments(org["id"])
    return jsonify(detail_json(issue, org["id"]))


@issue_route("", "PUT")
def put_issue(organization: str | None, issue_id: str) -> Response:
    """Respond with the whole issue in its base form."""
    org, _, issue = find_issue(organization, issue_id)
    update.apply(update.validate(update.request_data(), org, [issue]), [issue])
    return jsonify(issue_json(cast(Row, the_store().one("SELECT * FROM issue WHERE id = ?", issue["id"]))))


@issue_route("", "DELETE")
def delete_issue(organization: str | None, issue_id: str) -> tuple[str, int]:
    _, _, issue = find_issue(organization, issue_id)
    delete([issue])
    return "", 202
