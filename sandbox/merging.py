"""Merges of issues: the issue with the most events remains, whatever the order of the request.

Sentry merges later. Meanwhile the merged issues are not found, then their IDs lead to the issue that remains. Here the
events move at once, and only the IDs take the time that is set.
"""

import time

from .auth import the_caller, the_store
from .grouping import Json
from .store import Row


def merge(issues: list[Row]) -> Json:
    """Merge the issues; return what a bulk update responds with. A single issue stays as it is."""
    if len(issues) < 2:
        return {"merge": True}
    parent, *children = sorted(issues, key=lambda issue: (issue["times_seen"], issue["id"]), reverse=True)
    the_store().add_activity(parent["id"], the_caller().id, "merge", issues=[{"id": child["id"]} for child in children])
    for child in children:
        move(child, parent["id"])
    return {"merge": {"parent": str(parent["id"]), "children": [str(child["id"]) for child in children]}}


def move(child: Row, parent: int) -> None:
    """Move everything of an issue to another one and leave a redirect."""
    store = the_store()
    for table in ("event", "issue_hash", "activity"):
        store.run(f"UPDATE {table} SET issue = ? WHERE issue = ?", parent, child["id"])  # noqa: S608 - fixed names
    store.run("UPDATE OR IGNORE issue_user SET issue = ? WHERE issue = ?", parent, child["id"])
    store.run("DELETE FROM issue_user WHERE issue = ?", child["id"])
    store.run("UPDATE issue_redirect SET target = ? WHERE target = ?", parent, child["id"])
    store.run(
        "INSERT INTO issue_redirect VALUES (?, ?, ?, ?, ?)",
        child["id"], child["project"], child["short_id"], parent, time.time() + store.merge_seconds,
    )  # fmt: skip
    store.run(
        """UPDATE issue SET times_seen = times_seen + ?, first_seen = MIN(first_seen, ?), last_seen = MAX(last_seen, ?)
        WHERE id = ?""",
        child["times_seen"], child["first_seen"], child["last_seen"], parent,
    )  # fmt: skip
    store.run("DELETE FROM issue WHERE id = ?", child["id"])
