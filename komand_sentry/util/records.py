"""Sentry's records, brought from the dialects of its versions (9 of 2018 to 2026) to one.

A record is changed itself, since thousands of copies would take their time and their memory. What is only a matter of
null or of type is left to the output schema's own conforming (see shape.py).
"""

import html
import re
import sys
from typing import Any

Record = dict[str, Any]

# Where the issues of a listing have one of a few texts each.
_ALIKE = ("level", "status", "substatus", "platform", "type", "issueType", "issueCategory", "priority")
_ALIKE_IN_PROJECT = ("id", "name", "slug", "platform")
# Each looks at a character once, so that no text takes long.
_ANCHOR = re.compile(r"<a(?=\s)(?P<attributes>[^<>]*)>", re.I)
_HREF = re.compile(r"""(?<![\w-])href\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"']+))""", re.I)
_ANCHOR_END = re.compile(r"</a\s*>", re.I)
_TAG = re.compile(r"<[^<>]*>")


def issue_record(record: Record) -> Record:
    """An issue as the plugin returns it: https://docs.sentry.io/api/events/retrieve-an-issue/

    `assignedTo` is {type, id, name, email}, `annotations` are {displayName, url}; the rest stands as Sentry sent it.
    """
    if "assignedTo" in record:
        record["assignedTo"] = _actor(record["assignedTo"])
    if isinstance(record.get("annotations"), list):
        record["annotations"] = [_annotation(annotation) for annotation in record["annotations"]]
    _share_texts(record, _ALIKE)
    if isinstance(record.get("project"), dict):
        _share_texts(record["project"], _ALIKE_IN_PROJECT)
    return record


def event_record(record: Record) -> Record:
    """An event as the plugin returns it: https://docs.sentry.io/api/events/list-an-issues-events/

    `tags` are {key, value}, with a `query` where Sentry names one; very old servers send them as pairs.
    """
    if isinstance(record.get("tags"), list):
        record["tags"] = [_tag(tag) for tag in record["tags"]]
    return record


def _share_texts(record: Record, keys: tuple[str, ...]) -> None:
    """Has equal texts of all records be one text in memory."""
    for key in keys:
        if type(text := record.get(key)) is str:
            record[key] = sys.intern(text)


def _actor(value: Any) -> Any:
    """Who an issue is assigned to. Sentry 8 sends a user object without type, some of its releases `user:1`."""
    if isinstance(value, dict):
        actor = {"type": value.get("type") or "user", **{key: value[key] for key in value if key != "type"}}
        return {**actor, "name": actor.get("name") or actor.get("username") or actor.get("slug")}
    if not isinstance(value, str) or not value:
        return None
    kind, _, identity = value.rpartition(":")
    if identity.isdigit():
        return {"type": kind or "user", "id": identity}
    return {"type": "user", "name": value, **({"email": value} if "@" in value else {})}


def _annotation(value: Any) -> Any:
    """Up to 2024 an annotation is an HTML link."""
    if not isinstance(value, str):
        return value
    links = ((anchor, _HREF.search(anchor["attributes"])) for anchor in _ANCHOR.finditer(value))
    anchor, href = next(((anchor, href) for anchor, href in links if href), (None, None))
    if not anchor or not href:
        return {"displayName": html.unescape(_TAG.sub("", value)).strip(), "url": None}
    inside = _ANCHOR_END.split(value[anchor.end() :], maxsplit=1)[0]
    url = html.unescape(href["double"] or href["single"] or href["bare"] or "")
    return {"displayName": html.unescape(_TAG.sub("", inside)).strip() or url, "url": url}


def _tag(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 2:
        return {"key": value[0], "value": value[1]}
    if isinstance(value, dict) and value.get("_meta", ...) is None:
        # Sentry 9 notes on every tag that there is nothing to note.
        return {key: item for key, item in value.items() if key != "_meta"}
    return value
