"""Normalize issues and events of all server versions, from Sentry 9 (2018) to 2026, and of GlitchTip.

Records are changed in place: copies of thousands of records would take time and memory. Differences that are only a
matter of null or of type are left to the coercion to the output schema (coerce.py).
"""

import html
import re
from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]

# Each pattern visits a character once, so no text takes long.
_ANCHOR = re.compile(r"<a(?=\s)(?P<attributes>[^<>]*)>", re.I)
_HREF = re.compile(r"""(?<![\w-])href\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"']+))""", re.I)
_ANCHOR_END = re.compile(r"</a\s*>", re.I)
_TAG = re.compile(r"<[^<>]*>")
_MIN_YEAR, _MAX_YEAR = 1971, 9000
_CAPITALS = re.compile(r"(?<=[a-z])[A-Z]+")


def _by_snake_case(names: str) -> dict[str, str]:
    """Sentry's names by their form on GlitchTip, which writes some in snake case: {"event_id": "eventID"}."""
    return {_CAPITALS.sub(lambda match: f"_{match[0]}", name).lower(): name for name in names.split()}


_ISSUE_KEYS = _by_snake_case(
    "shortId statusDetails issueType issueCategory priorityLockedAt userCount firstSeen lastSeen numComments "
    "assignedTo isUnhandled isPublic shareId isBookmarked isSubscribed subscriptionDetails hasSeen matchingEventId "
    "matchingEventEnvironment seerFixabilityScore seerAutofixLastTriggered seenBy firstRelease lastRelease "
    "userReportCount"
)
_EVENT_KEYS = _by_snake_case(
    "eventID groupID projectID dateCreated dateReceived groupingConfig crashFile userReport nextEventID "
    "previousEventID"
)


def record_id(record: Record, key: str) -> str | None:
    """The ID of a record of a list as the server sent it, None if it has none.

    :param key: of the ID in Sentry's lists, such as eventID. GlitchTip's events have only `id` in the same form
    """
    identity = record.get(key)
    identity = record.get("id") if identity is None else identity
    return None if identity is None else str(identity)


def normalize_issue(record: Record) -> Record:
    """An issue as the plugin returns it: https://docs.sentry.io/api/events/retrieve-an-issue/

    `assignedTo` becomes {type, id, name, email}, `annotations` become {displayName, url}, and keys in snake case get
    Sentry's names. The rest stays as it is.
    """
    _rename_keys(record, _ISSUE_KEYS)
    if "assignedTo" in record:
        record["assignedTo"] = _normalize_actor(record["assignedTo"])
    if isinstance(record.get("annotations"), list):
        record["annotations"] = [_normalize_annotation(annotation) for annotation in record["annotations"]]
    return record


def normalize_event(record: Record) -> Record:
    """An event as the plugin returns it: https://docs.sentry.io/api/events/list-an-issues-events/

    `tags` become {key, value}, with `query` if Sentry sends one; very old servers send pairs. Keys in snake case get
    Sentry's names.
    """
    _rename_keys(record, _EVENT_KEYS)
    if isinstance(record.get("tags"), list):
        record["tags"] = [_normalize_tag(tag) for tag in record["tags"]]
    return record


def normalize_comment(record: Record) -> Record:
    """A comment as the plugin returns it. Sentry's is an activity of the type note."""
    actor = _normalize_actor(record.get("user"))
    user = pick(actor, "type", "id", "name", "email") if isinstance(actor, dict) else None
    return {**pick(record, "id", "dateCreated"), "text": text_of(record), "user": user}


def text_of(comment: Record) -> Any:
    """The text of a comment as Sentry sends it."""
    data = comment.get("data")
    return data.get("text") if isinstance(data, dict) else None


def parse_time(text: object) -> datetime | None:
    """A time of a record in UTC, None if it is not one."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    # Arithmetic with times near the limits of datetime overflows.
    if not moment or not _MIN_YEAR <= moment.year <= _MAX_YEAR:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def pick(record: Record, *keys: str) -> Record:
    """The part of a record that the plugin returns."""
    return {key: record[key] for key in keys if key in record}


def _rename_keys(record: Record, names: dict[str, str]) -> None:
    for snake_case in record.keys() & names.keys():
        if record.get(names[snake_case]) is None:
            record[names[snake_case]] = record.pop(snake_case)


def _normalize_actor(value: Any) -> Any:
    """The assignee of an issue. Sentry 8 sends a user object without type, and some of its releases `user:1`."""
    if isinstance(value, dict):
        actor = {"type": value.get("type") or "user", **{key: value[key] for key in value if key != "type"}}
        return {**actor, "name": actor.get("name") or actor.get("username") or actor.get("slug")}
    if not isinstance(value, str) or not value:
        return None
    kind, _, identity = value.rpartition(":")
    if identity.isdigit():
        return {"type": kind or "user", "id": identity}
    return {"type": "user", "name": value, **({"email": value} if "@" in value else {})}


def _normalize_annotation(value: Any) -> Any:
    """Until 2024, an annotation is an HTML link."""
    if not isinstance(value, str):
        return value
    links = ((anchor, _HREF.search(anchor["attributes"])) for anchor in _ANCHOR.finditer(value))
    anchor, href = next(((anchor, href) for anchor, href in links if href), (None, None))
    if not anchor or not href:
        return {"displayName": html.unescape(_TAG.sub("", value)).strip(), "url": None}
    inside = _ANCHOR_END.split(value[anchor.end() :], maxsplit=1)[0]
    url = html.unescape(href["double"] or href["single"] or href["bare"] or "")
    return {"displayName": html.unescape(_TAG.sub("", inside)).strip() or url, "url": url}


def _normalize_tag(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 2:
        return {"key": value[0], "value": value[1]}
    if isinstance(value, dict) and value.get("_meta", ...) is None:
        # Sentry 9 adds `_meta: null` to every tag.
        return {key: item for key, item in value.items() if key != "_meta"}
    return value
