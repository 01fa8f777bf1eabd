"""Normalize an event to the form that the schema declares, from all the forms that Sentry accepts, and serialize it.

https://develop.sentry.dev/sdk/data-model/event-payloads/
"""

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlencode

Event = dict[str, Any]

# Attribute names of older clients, which Sentry still accepts as aliases.
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
_VALUE_LISTS = ("exception", "threads", "breadcrumbs")
_LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal"}
# Attributes that alone do not make an issue.
_METADATA = frozenset(
    ("event_id", "timestamp", "start_timestamp", "received", "type", "platform", "sdk", "version", "project")
)
# The current version of the ingestion protocol.
PROTOCOL_VERSION = 7
_EVENT_ID = re.compile(r"[0-9a-f]{32}")


class InvalidEventID(ValueError):
    """An event_id that Sentry would refuse or replace."""


def normalize_event_json(event: Any) -> Any:
    """Convert each attribute of an event to its normal form. Attributes of unknown form stay as they are.

    Differences that are only a matter of type (numbers for texts, pairs for objects) are left to coerce.py.
    """
    if not isinstance(event, dict):
        return event
    normalized: Event = {}
    for given_name, value in event.items():
        name: str = _LEGACY_NAMES.get(given_name) or given_name
        # A blank text at the top level is an input that the user left blank. Sentry reports some of them as errors.
        if not (isinstance(value, str) and not value.strip()) and value is not None:
            # If both names of an attribute are set, the current one counts.
            normalized[name] = event.get(name) or value
    if isinstance(normalized.get("message"), dict):
        normalized.setdefault("logentry", normalized.pop("message"))
    for name in _VALUE_LISTS:
        if name in normalized:
            normalized[name] = _value_list(normalized[name])
    for name, normalize in _NORMALIZERS.items():
        if name in normalized:
            normalized[name] = normalize(normalized[name])
    return normalized


def with_id_and_timestamp(event: Event, new_id: str, now: datetime) -> Event:
    """Set event_id and timestamp, so that the server recognizes a retry as the same event.

    :param new_id: the ID of an event that has none
    :raises InvalidEventID: its event_id is not 32 hexadecimal digits, with or without dashes
    """
    event_id = str(event.get("event_id", new_id)).strip().replace("-", "").lower()
    if not _EVENT_ID.fullmatch(event_id):
        raise InvalidEventID(event_id)
    return {"timestamp": iso_time(now), **event, "event_id": event_id}


def has_content(event: Event) -> bool:
    """Whether the event has an attribute from which Sentry can create an issue."""
    values = [value for name, value in event.items() if name not in _METADATA]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list):
            values += value
        elif value not in ("", None):
            return True
    return False


def serialize_event(event: Event) -> bytes:
    """The event as JSON. Lone surrogates, which JSON can express but Relay refuses, become `?`.

    :raises ValueError: it contains NaN, Infinity, or itself
    :raises RecursionError: it is nested too deeply
    """
    return json.dumps(event, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def iso_time(moment: datetime) -> str:
    """A time in ISO 8601, in UTC, with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def build_envelope(event_id: str, event_body: bytes, sent_at: datetime) -> bytes:
    """An envelope with one event: https://develop.sentry.dev/sdk/data-model/envelopes/"""
    header = {"event_id": event_id, "sent_at": iso_time(sent_at)}
    item = {"type": "event", "content_type": "application/json", "length": len(event_body)}
    return b"\n".join([json.dumps(header).encode(), json.dumps(item).encode(), event_body, b""])


def _value_list(value: Any) -> Any:
    """{"values": [...]} from that, from a list, or from a single object. An empty object has no values."""
    if not isinstance(value, dict):
        value = {"values": value}
    elif value and "values" not in value:
        value = {"values": [value]}
    items = value.get("values")
    if isinstance(items, dict):
        items = [items]
    return {**value, "values": [_normalize_item(item) for item in items]} if isinstance(items, list) else value


def _normalize_item(value: Any) -> Any:
    """An exception, whose value may be any JSON, a thread, or a breadcrumb, which has a timestamp and a level."""
    if not isinstance(value, dict):
        return value
    normalized = dict(value)
    if isinstance(normalized.get("value"), (dict, list)):
        normalized["value"] = _json_text(normalized["value"])
    for name, normalize in (("timestamp", _timestamp), ("level", _level)):
        if name in normalized:
            normalized[name] = normalize(normalized[name])
    return normalized


def _json_text(value: Any) -> Any:
    """The value as JSON, or the value itself if it is nested too deeply: the validation then refuses it."""
    try:
        return json.dumps(value)
    except RecursionError:
        return value


def _timestamp(value: Any) -> Any:
    """ISO 8601 from seconds since 1970. A number that is not a time stays, and Sentry reports it on the event."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    try:
        return iso_time(datetime.fromtimestamp(value, UTC))
    except (ValueError, OverflowError, OSError):
        return value


def _level(value: Any) -> Any:
    """The name of a level, from a level of Python's logging as a number or digits."""
    if isinstance(value, bool):
        return value
    text = str(value).strip()
    if re.fullmatch("[0-9]{1,3}", text):
        return _LEVELS.get(int(text) // 10 * 10, value)
    # Loggers use upper case; Sentry only knows lower case.
    return text.lower() if isinstance(value, str) else value


def _tags(value: Any) -> Any:
    """Numbers and booleans as texts: Relay truncates 1.5 to 1, and other servers refuse it."""
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
    normalized = dict(value)
    if isinstance(normalized.get("query_string"), (dict, list)):
        normalized["query_string"] = _query_string(normalized["query_string"])
    if isinstance(normalized.get("data"), (dict, list)):
        normalized["data"] = _json_text(normalized["data"])
    if isinstance(normalized.get("cookies"), str):
        normalized["cookies"] = _cookies(normalized["cookies"])
    if isinstance(normalized.get("headers"), list):
        normalized["headers"] = _headers(normalized["headers"])
    return normalized


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
    """Header pairs as an object. A repeated header gets a list of values, which Sentry joins."""
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


_NORMALIZERS = {
    "timestamp": _timestamp,
    "start_timestamp": _timestamp,
    "level": _level,
    "tags": _tags,
    "logentry": _log_entry,
    "request": _request,
}
