"""Normalize issues and events of all server versions, from Sentry 9 (2018) to 2026.

Records are changed in place: copies of thousands of records would take time and memory. Differences that are only a
matter of null or of type are left to the coercion to the output schema (coerce.py).
"""

import html
import re
from typing import Any

Record = dict[str, Any]

# Each pattern visits a character once, so no text takes long.
_ANCHOR = re.compile(r"<a(?=\s)(?P<attributes>[^<>]*)>", re.I)
_HREF = re.compile(r"""(?<![\w-])href\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"']+))""", re.I)
_ANCHOR_END = re.compile(r"</a\s*>", re.I)
_TAG = re.compile(r"<[^<>]*>")


def normalize_issue(record: Record) -> Record:
    """An issue as the plugin returns it: https://docs.sentry.io/api/events/retrieve-an-issue/

    `assignedTo` becomes {type, id, name, email}, `annotations` become {displayName, url}. The rest stays as it is.
    """
    if "assignedTo" in record:
        record["assignedTo"] = _normalize_actor(record["assignedTo"])
    if isinstance(record.get("annotations"), list):
        record["annotations"] = [_normalize_annotation(annotation) for annotation in record["annotations"]]
    return record


def normalize_event(record: Record) -> Record:
    """An event as the plugin returns it: https://docs.sentry.io/api/events/list-an-issues-events/

    `tags` become {key, value}, with `query` if Sentry sends one; very old servers send pairs.
    """
    if isinstance(record.get("tags"), list):
        record["tags"] = [_normalize_tag(tag) for tag in record["tags"]]
    return record


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
