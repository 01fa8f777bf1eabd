"""Comments on an issue: list, post and delete.

A comment is an activity of the type `note`. Differences from Sentry: a comment cannot be edited, and mentions nobody.
"""

import json
import time
from typing import Any, cast

from flask import Response, jsonify

from .auth import ApiError, bad_request, find_issue, not_found, the_caller, the_store
from .grouping import Json
from .issues import issue_route
from .pagination import requested_per_page, respond, scored_page
from .serializers import activity_json
from .store import Row
from .update import Invalid, checked_object, collect, join, request_data

DUPLICATE_SECONDS = 3600
NOTES = "SELECT * FROM activity WHERE type = 'note' AND issue = ?"


@issue_route("comments/", "GET")
def list_comments(organization: str | None, issue_id: str) -> Response:
    """The comments, newest first. The value of a cursor is a time in milliseconds."""
    _, _, issue = find_issue(organization, issue_id)
    rows = {row["id"]: row for row in the_store().all(NOTES, issue["id"])}
    page = scored_page([(int(row["created"] * 1000), row["id"]) for row in rows.values()], requested_per_page())
    return respond(page, lambda note_id: activity_json(rows[note_id]))


@issue_route("comments/", "POST")
def post_comment(organization: str | None, issue_id: str) -> tuple[Response, int]:
    """Post a comment. The same text by the same user within an hour is an error."""
    _, _, issue = find_issue(organization, issue_id)
    text = valid_text(request_data())
    store, caller = the_store(), the_caller()
    with store.transaction():
        since = time.time() - DUPLICATE_SECONDS
        recent = store.all(f"{NOTES} AND user = ? AND created > ?", issue["id"], caller.id, since)
        if any(json.loads(row["data"])["text"] == text for row in recent):
            raise bad_request("You have already posted that comment.")
        note_id = store.add_activity(issue["id"], caller.id, "note", text=text)
        join(issue["id"], "commented")
    return jsonify(activity_json(cast(Row, store.one("SELECT * FROM activity WHERE id = ?", note_id)))), 201


def valid_text(body: Any) -> str:
    """The text of a request body.

    :raises ApiError: 400 with {field: [message]}
    """
    try:
        data: Json = {"text": None} | collect(checked_object(body), {"text": checked_text})
    except Invalid as error:
        raise ApiError(400, error.args[0]) from None
    if data["text"] is None:
        raise ApiError(400, {"text": ["This field is required."]})
    return cast(str, data["text"])


def checked_text(value: Any) -> str:
    """A text without the space around it."""
    if value is None:
        raise Invalid("This field may not be null.")
    if not isinstance(value, str):
        raise Invalid("Not a valid string.")
    if not value.strip():
        raise Invalid("This field may not be blank.")
    return value.strip()


@issue_route("comments/<note_id>/", "DELETE")
def delete_comment(organization: str | None, issue_id: str, note_id: str) -> tuple[str, int]:
    """Delete a comment of the caller. Comments of others are not found."""
    _, _, issue = find_issue(organization, issue_id)
    sql = f"{NOTES} AND user = ? AND CAST(id AS TEXT) = ?"
    row = the_store().one(sql, issue["id"], the_caller().id, note_id)
    if row is None:
        raise not_found()
    the_store().run("DELETE FROM activity WHERE id = ?", row["id"])
    return "", 204
