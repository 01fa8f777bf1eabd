"""Events of an issue, and an event of a project.

Lists are newest first, in the short form unless `full=1` or `full=true`.
"""

import re
from collections.abc import Sequence

from flask import Blueprint, Response, jsonify, request

from .auth import find_issue, find_project, needs, not_found, shuffles_ties, the_store
from .ingest import parse_event_id
from .issues import event_filters, is_true, issue_route
from .pagination import offset_page, requested_per_page, respond
from .search import Conditions, compile_query
from .serializers import detail_event_json, full_event_json, simple_event_json
from .store import Row

events = Blueprint("events", __name__, url_prefix="/api/0")

NEWEST_FIRST = "ORDER BY event.timestamp DESC, event.id DESC"
NEWEST_SECOND_FIRST = "ORDER BY CAST(event.timestamp AS INTEGER) DESC, RANDOM()"
EVENTS = "SELECT event.* FROM event JOIN issue ON issue.id = event.issue"


@issue_route("events/", "GET")
def issue_events(organization: str | None, issue_id: str) -> Response:
    """The events that match `query` (or have that event ID), `environment`, and `start`/`end`/`statsPeriod`."""
    _, _, issue = find_issue(organization, issue_id)
    query = request.args.get("query", "").strip()
    event_id = parse_event_id(query)
    conditions = Conditions(event=[("event.event_id = ?", (event_id,))]) if event_id else compile_query(query, True)
    where, values = event_filters(conditions, windowed=True).where()

    order = NEWEST_SECOND_FIRST if shuffles_ties() else NEWEST_FIRST

    def fetch(offset: int, count: int) -> Sequence[Row]:
        sql = f"{EVENTS} WHERE event.issue = ? AND {where} {order} LIMIT ? OFFSET ?"
        return the_store().all(sql, issue["id"], *values, count, offset)

    serialize = full_event_json if is_true("full") else simple_event_json
    return respond(offset_page(fetch, requested_per_page()), serialize)


@issue_route("events/<event_id>/", "GET")
def issue_event(organization: str | None, issue_id: str, event_id: str) -> Response:
    """One event by `latest`, `oldest`, `recommended` (here the latest) or its ID. Other words are unknown routes."""
    org, _, issue = find_issue(organization, issue_id)
    where, values = event_filters(Conditions(event=[("event.issue = ?", (issue["id"],))]), windowed=False).where()
    order = NEWEST_FIRST
    if event_id == "oldest":
        order = "ORDER BY event.timestamp, event.id"
    elif event_id not in ("latest", "recommended"):
        where, values = f"{where} AND event.event_id = ?", (*values, parse_event_id(event_id))
    row = the_store().one(f"{EVENTS} WHERE {where} {order} LIMIT 1", *values)
    if row is None:
        raise not_found("Event not found" if is_event_name(event_id) else "The requested resource does not exist")
    return jsonify(detail_event_json(row, org["id"]))


def is_event_name(text: str) -> bool:
    return re.fullmatch(r"latest|oldest|recommended|\d+|[A-Fa-f0-9-]{32,36}", text) is not None


@events.get("/projects/<organization>/<project>/events/<event_id>/")
@needs("project")
def project_event(organization: str, project: str, event_id: str) -> Response:
    org, row = find_project(organization, project)
    sql = "SELECT * FROM event WHERE project = ? AND event_id = ?"
    event = the_store().one(sql, row["id"], parse_event_id(event_id))
    if event is None:
        raise not_found("Event not found")
    return jsonify(detail_event_json(event, org["id"]))
