"""The event that is submitted: the one shape that the schema types, made from all the shapes that Sentry accepts.

https://develop.sentry.dev/sdk/data-model/event-payloads/
"""

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlencode

Event = dict[str, Any]

# Names of older clients: https://develop.sentry.dev/sdk/data-model/event-payloads/ still lists them as aliases.
_LEGACY_NAMES = {
    "sentry.interfaces.Exception": "exception",
    "sentry.interfaces.Message": "logentry",
    "sentry.interfaces.Stacktrace": "stacktrace",
    "sentry.interfaces.Template": "template",
    "sentry.interfaces.Threads": "threads",
    "sentry.interfaces.Breadcrumbs": "breadcrumbs",
    "sentry.interfaces.Http": "request",
    "sentry.interfaces.User": "user",
    "sentry.interfaces.Contexts": "contexts",
    "sentry.interfaces.DebugMeta": "debug_meta",
    "sentry.interfaces.Csp": "csp",
}
_WITH_VALUES = ("exception", "threads", "breadcrumbs")
_LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal"}
# What says when and from where, and not what.
_WITHOUT_CONTENT = frozenset(
    ("event_id", "timestamp", "start_timestamp", "received", "type", "platform", "sdk", "version", "project")
)
# Of the protocol that events are sent by.
PROTOCOL_VERSION = 7
_EVENT_ID = re.compile(r"[0-9a-f]{32}")


class MalformedEventID(ValueError):
    """An event_id that Sentry would refuse or replace."""


def canonical_event(event: Any) -> Any:
    """The event with each attribute in its canonical shape. Attributes of unknown shape stay as they are.

    Whatever is only a matter of type (numbers for texts, pairs for objects) is left to the schema's own conforming.
    """
    if not isinstance(event, dict):
        return event
    shaped: Event = {}
    for given_name, value in event.items():
        name: str = _LEGACY_NAMES.get(given_name) or given_name
        # A blank text at the top is an input that a person left blank, and Sentry reports some of them as errors.
        if not (isinstance(value, str) and not value.strip()) and value is not None:
            # Where both names of an attribute are given, today's counts.
            shaped[name] = event.get(name) or value
    if isinstance(shaped.get("message"), dict):
        shaped.setdefault("logentry", shaped.pop("message"))
    for name in _WITH_VALUES:
        if name in shaped:
            shaped[name] = _with_values(shaped[name])
    for name, shape in _SHAPES.items():
        if name in shaped:
            shaped[name] = shape(shaped[name])
    return shaped


def ready_event(event: Event, new_id: str, now: datetime) -> Event:
    """The event with its event_id and timestamp fixed, so that it stays one event however often it is sent.

    :param new_id: the ID to take where the event has none
    :raises MalformedEventID: its event_id is not 32 hexadecimal digits (dashes aside)
    """
    event_id = str(event.get("event_id", new_id)).strip().replace("-", "").lower()
    if not _EVENT_ID.fullmatch(event_id):
        raise MalformedEventID(event_id)
    return {"timestamp": iso_time(now), **event, "event_id": event_id}


def has_content(event: Event) -> bool:
    """Whether there is anything that Sentry could make an issue of."""
    values = [value for name, value in event.items() if name not in _WITHOUT_CONTENT]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list):
            values += value
        elif value not in ("", None):
            return True
    return False


def event_json(event: Event) -> bytes:
    """The event as it is sent. Halves of characters, which JSON can write and Sentry's Relay does not take, become `?`.

    :raises ValueError: it holds NaN or Infinity, or itself
    :raises RecursionError: it is nested too deeply
    """
    return json.dumps(event, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def iso_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def envelope(event_id: str, event_body: bytes, sent_at: datetime) -> bytes:
    """The event as an envelope of one item, https://develop.sentry.dev/sdk/data-model/envelopes/"""
    header = {"event_id": event_id, "sent_at": iso_time(sent_at)}
    item = {"type": "event", "content_type": "application/json", "length": len(event_body)}
    return b"\n".join([json.dumps(header).encode(), json.dumps(item).encode(), event_body, b""])


def _with_values(value: Any) -> Any:
    """{"values": [...]} from that, from a bare list, or from a single object; an empty object is none at all."""
    if not isinstance(value, dict):
        value = {"values": value}
    elif value and "values" not in value:
        value = {"values": [value]}
    items = value.get("values")
    if isinstance(items, dict):
        items = [items]
    return {**value, "values": [_record(item) for item in items]} if isinstance(items, list) else value


def _record(value: Any) -> Any:
    """An exception, whose value may be any JSON, a thread or a breadcrumb, which has a time and a level."""
    if not isinstance(value, dict):
        return value
    shaped = dict(value)
    if isinstance(shaped.get("value"), (dict, list)):
        shaped["value"] = _json_text(shaped["value"])
    for name, shape in (("timestamp", _timestamp), ("level", _level)):
        if name in shaped:
            shaped[name] = shape(shaped[name])
    return shaped


def _json_text(value: Any) -> Any:
    """The value written as JSON, itself where it cannot be: it is then refused by the schema."""
    try:
        return json.dumps(value)
    except RecursionError:
        return value


def _timestamp(value: Any) -> Any:
    """ISO 8601 from seconds since 1970; a number that is no time stays, for Sentry to say so on the event."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    try:
        return iso_time(datetime.fromtimestamp(value, UTC))
    except (ValueError, OverflowError, OSError):
        return value


def _level(value: Any) -> Any:
    """A level's name from the numbers of Python's logging, given as number or digits."""
    if isinstance(value, bool):
        return value
    text = str(value).strip()
    if re.fullmatch("[0-9]{1,3}", text):
        return _LEVELS.get(int(text) // 10 * 10, value)
    # Upper case is how loggers write it; Sentry knows lower case only.
    return text.lower() if isinstance(value, str) else value


def _tags(value: Any) -> Any:
    """Numbers and booleans as the texts that Sentry makes of them; its Relay would cut 1.5 to 1, others refuse them."""
    if isinstance(value, dict):
        return {name: _tag_text(item) for name, item in value.items()}
    if isinstance(value, list):
        return [[pair[0], _tag_text(pair[1])] if isinstance(pair, list) and len(pair) == 2 else pair for pair in value]
    return value


def _tag_text(value: Any) -> Any:
    return str(value) if isinstance(value, (bool, int, float)) else value


def _log_entry(value: Any) -> Any:
    return value if isinstance(value, dict) else {"formatted": value}


def _request(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    shaped = dict(value)
    if isinstance(shaped.get("query_string"), (dict, list)):
        shaped["query_string"] = _query_string(shaped["query_string"])
    if isinstance(shaped.get("data"), (dict, list)):
        shaped["data"] = _json_text(shaped["data"])
    if isinstance(shaped.get("cookies"), str):
        shaped["cookies"] = _cookies(shaped["cookies"])
    if isinstance(shaped.get("headers"), list):
        shaped["headers"] = _headers(shaped["headers"])
    return shaped


def _query_string(value: Any) -> Any:
    pairs = list(value.items()) if isinstance(value, dict) else value
    if not all(isinstance(pair, (list, tuple)) for pair in pairs):
        return value
    try:
        return urlencode([(name, "" if item is None else item) for name, item in pairs])
    except (TypeError, ValueError):
        return value


def _cookies(header: str) -> dict[str, str]:
    pairs = (pair.strip().partition("=") for pair in header.split(";") if pair.strip())
    return {name: unquote(value) for name, _, value in pairs}


def _headers(pairs: list[Any]) -> Any:
    """Header pairs as an object; a header that comes several times has a list of values, which Sentry joins."""
    merged: dict[str, Any] = {}
    repeated = set()
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            return pairs
        name, value = pair
        if name not in merged:
            merged[name] = value
            continue
        if name not in repeated:
            repeated.add(name)
            merged[name] = [*merged[name]] if isinstance(merged[name], list) else [merged[name]]
        merged[name].append(value)
    return merged


_SHAPES = {
    "timestamp": _timestamp,
    "start_timestamp": _timestamp,
    "level": _level,
    "tags": _tags,
    "logentry": _log_entry,
    "request": _request,
}
