"""Normalize an event to the form that the schema declares, from all the forms that Sentry accepts, and serialize it.

https://develop.sentry.dev/sdk/data-model/event-payloads/

Relay, the ingestion of Sentry, defines what an event means. It never rejects an event for one value: it removes the
value, and adds an entry to the `errors` of the event. So does this module, for what the schema does not accept.
"""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlencode

from komand_sentry.util.coerce import MAX_EXACT_FLOAT, Schema, coerce_or_remove

Event = dict[str, Any]
# Paths of the values that an event loses.
Removed = list[str]

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
_LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal"}
# Attributes that alone do not make an issue.
_METADATA = frozenset(
    ("event_id", "timestamp", "start_timestamp", "received", "type", "platform", "sdk", "version", "project", "errors")
)
# The item of an envelope for each event type, as Relay's store endpoint chooses it. All others are errors.
_ITEM_TYPES = {
    "transaction": "transaction",
    "feedback": "feedback",
    **dict.fromkeys(("csp", "hpkp", "expectct", "expectstaple"), "security"),
}
# The type of an error about a value that the event lost.
_INVALID_DATA = "invalid_data"
# An event of 1 MiB can lose 100,000 values, whose errors would exceed the size limit.
MAX_RECORDED_ERRORS = 100
# The current version of the ingestion protocol.
PROTOCOL_VERSION = 7
_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?")
# A time that Relay accepts, with or without a zone.
_ISO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}")


class InvalidEventID(ValueError):
    """An event_id that Sentry would refuse or replace."""


def to_valid_event(event_json: Any, schema: Schema) -> Any:
    """Normalize an event, coerce it to its schema, and remove the values that do not fit, as Relay does.

    The errors of the event name what is removed.

    :param schema: of the event
    :returns: a valid event, or the input itself if it is not an object
    """
    normalized = normalize_event_json(event_json)
    if not isinstance(normalized, dict):
        return normalized
    event, removed = coerce_or_remove(normalized, schema)
    return _with_errors(event, removed)


def normalize_event_json(event: Any) -> Any:
    """Convert each attribute of an event to its normal form. Attributes of unknown form stay as they are.

    Differences that are only a matter of type (numbers for texts) are left to coerce.py.
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
    removed: Removed = []
    for name, normalize in _NORMALIZERS.items():
        if name in normalized:
            normalized[name] = normalize(normalized[name])
    for name, normalize_pairs in _PAIR_NORMALIZERS.items():
        if name in normalized:
            normalized[name] = normalize_pairs(normalized[name], name, removed)
    return _with_errors(normalized, removed)


def invalid_paths(event: Event) -> tuple[str, ...]:
    """The paths of the values that the errors of a valid event report as invalid."""
    errors = event.get("errors", ())
    return tuple(str(error.get("name", "")) for error in errors if error.get("type") == _INVALID_DATA)


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


def envelope_item_type(event: Event) -> str:
    """The type of the envelope item for an event."""
    return _ITEM_TYPES.get(str(event.get("type")), "event")


def build_envelope(event_id: str, event_body: bytes, sent_at: datetime, item_type: str = "event") -> bytes:
    """An envelope with one event: https://develop.sentry.dev/sdk/data-model/envelopes/"""
    header = {"event_id": event_id, "sent_at": iso_time(sent_at)}
    item = {"type": item_type, "content_type": "application/json", "length": len(event_body)}
    return b"\n".join([json.dumps(header).encode(), json.dumps(item).encode(), event_body, b""])


def _with_errors(event: Event, removed: Removed) -> Event:
    """Report removed values in the errors of an event, as Relay does, which adds the values."""
    if not removed:
        return event
    errors = event.get("errors")
    entries = [{"type": _INVALID_DATA, "name": path} for path in removed[:MAX_RECORDED_ERRORS]]
    return {**event, "errors": [*(errors if isinstance(errors, list) else ()), *entries]}


def _values(normalize_item: Callable[[Event], Event]) -> Callable[[Any], Any]:
    """Normalize to {"values": [...]} from that, from a list, or from a single object. An empty object has no values."""

    def normalize(value: Any) -> Any:
        if isinstance(value, list):
            value = {"values": value}
        elif not isinstance(value, dict):
            return value
        elif value and "values" not in value:
            value = {"values": [value]}
        items = value.get("values")
        if isinstance(items, dict):
            items = [items] if items else []
        return {**value, "values": _items(normalize_item, items)}

    return normalize


def _items(normalize_item: Callable[[Event], Event], items: Any) -> Any:
    """Normalize the objects of a list. The rest stays as it is."""
    return (
        [normalize_item(item) if isinstance(item, dict) else item for item in items]
        if isinstance(items, list)
        else items
    )


def _attributes(**normalizers: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Normalize some attributes of an object. The rest stays as it is."""

    def normalize(value: Any) -> Any:
        names = [name for name in normalizers if name in value] if isinstance(value, dict) else []
        return {**value, **{name: normalizers[name](value[name]) for name in names}} if names else value

    return normalize


def _list_of(normalize_item: Callable[[Event], Event]) -> Callable[[Any], Any]:
    return lambda value: _items(normalize_item, value)


def _json_text(value: Any) -> Any:
    """A text as it is, anything else as JSON, in the format of Relay. What is nested too deeply stays."""
    if value is None or isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return value


def _timestamp(value: Any) -> Any:
    """ISO 8601 from seconds since 1970, as a number or a text, and from any ISO 8601 that Relay does not know.

    What is not a time stays, and Sentry reports it on the event.
    """
    try:
        moment = _moment(value)
        return value if moment is None else iso_time(moment)
    except (ValueError, OverflowError, OSError):
        return value


def _moment(value: Any) -> datetime | None:
    """A time in a form that Relay does not know, or that the schema does not declare.

    :raises ValueError: it is not a time
    :raises OverflowError, OSError: it is a number out of range
    """
    if isinstance(value, str):
        text = value.strip()
        if _ISO_TIME.match(text):
            return None
        if _NUMBER.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC)
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return datetime.fromtimestamp(value, UTC) if is_number else None


def _level(value: Any) -> Any:
    """The name of a level, from a level of Python's logging as a number or digits."""
    if isinstance(value, bool):
        return value
    text = str(value).strip()
    if re.fullmatch("[0-9]{1,3}", text):
        return _LEVELS.get(int(text) // 10 * 10, value)
    # Loggers use upper case; Sentry only knows lower case.
    return text.lower() if isinstance(value, str) else value


def _event_id(value: Any) -> Any:
    """A text, so that an ID of another type is refused like an invalid text, and not removed."""
    return _json_text(value)


def _log_entry(value: Any) -> Any:
    return value if isinstance(value, dict) else {"formatted": _json_text(value)}


def _message(value: Any) -> Any:
    return value if isinstance(value, dict) else _json_text(value)


def _whole_number(value: Any) -> Any:
    """Relay truncates a number with a fraction where it expects an integer."""
    return int(value) if isinstance(value, float) and abs(value) < MAX_EXACT_FLOAT else value


def _variables(value: Any) -> Any:
    """The variables of a frame: PHP sends arguments as a list."""
    return {str(position): item for position, item in enumerate(value)} if isinstance(value, list) else value


def _source_lines(value: Any) -> Any:
    """Source lines keep their positions, so a missing one becomes an empty one, and none is removed."""
    if not isinstance(value, list):
        return value
    return ["" if line is None else _json_text(line) if isinstance(line, (dict, list)) else line for line in value]


def _fingerprint(value: Any, path: str, removed: Removed) -> Any:
    """The texts that Relay makes of a fingerprint, since other texts group the event differently."""
    if isinstance(value, dict):
        return value
    parts = [part for part in (value if isinstance(value, list) else [value]) if part is not None]
    texts = [text for text in map(_fingerprint_text, parts) if text is not None]
    if len(texts) < len(parts):
        removed.append(path)
    return texts


def _fingerprint_text(part: Any) -> str | None:
    if isinstance(part, float):
        return f"{math.copysign(math.floor(abs(part)), part):.0f}" if abs(part) < MAX_EXACT_FLOAT else None
    return str(part) if isinstance(part, (str, int)) else None


def _pairs(value: Any, path: str, removed: Removed) -> Any:
    """An object from a list of pairs. The first of several equal names counts, and the others are removed."""
    if not isinstance(value, list):
        return value
    result: dict[str, Any] = {}
    for position, name, item in _checked_pairs(value, path, removed):
        if name in result:
            removed.append(f"{path}.{position}")
        else:
            result[name] = item
    return result


def _checked_pairs(pairs: list[Any], path: str, removed: Removed) -> list[tuple[int, str, Any]]:
    """The position, name and value of each pair of a list. What is not a pair is removed."""
    result = []
    for position, pair in enumerate(pairs):
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], (str, int, float)):
            result.append((position, str(pair[0]), pair[1]))
        elif pair is not None:
            removed.append(f"{path}.{position}")
    return result


def _tags(value: Any, path: str, removed: Removed) -> Any:
    """Numbers and booleans as texts: Relay truncates 1.5 to 1, and other servers refuse it.

    The first of several equal tags counts, in Relay, too.
    """
    if isinstance(value, list):
        pairs = _checked_pairs(value, path, removed)
        value = {}
        for _, name, item in pairs:
            value.setdefault(name, item)
    return {name: _tag_text(item) for name, item in value.items()} if isinstance(value, dict) else value


def _tag_text(value: Any) -> Any:
    return str(value) if isinstance(value, (bool, int, float)) else value


def _request(value: Any, path: str, removed: Removed) -> Any:
    if not isinstance(value, dict):
        return value
    normalized = dict(value)
    for name, normalize in _REQUEST_NORMALIZERS.items():
        if name in normalized:
            normalized[name] = normalize(normalized[name], f"{path}.{name}", removed)
    return _REQUEST(normalized)


def _query_string(value: Any, path: str, removed: Removed) -> Any:
    """A text from an object or pairs. Values of other types become JSON."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [(name, item) for _, name, item in _checked_pairs(value, path, removed)]
    else:
        return value
    # A lone surrogate cannot be percent-encoded.
    return urlencode([(name, _json_text(item) or "") for name, item in pairs], errors="replace")


def _cookies(value: Any, path: str, removed: Removed) -> Any:
    if not isinstance(value, str):
        return _pairs(value, path, removed)
    pairs = (pair.strip().partition("=") for pair in value.split(";") if pair.strip())
    return {name: unquote(value) for name, _, value in pairs}


def _headers(value: Any, path: str, removed: Removed) -> Any:
    """Header pairs as an object. A repeated header gets a list of values, which Sentry joins."""
    if not isinstance(value, list):
        return value
    values: dict[str, list[Any]] = {}
    for _, name, item in _checked_pairs(value, path, removed):
        values.setdefault(name, []).append(item)
    return {name: _flat(items) if len(items) > 1 else items[0] for name, items in values.items()}


def _flat(items: list[Any]) -> list[Any]:
    return [value for item in items for value in (item if isinstance(item, list) else [item])]


_SOURCE: dict[str, Callable[[Any], Any]] = {
    "pre_context": _source_lines,
    "post_context": _source_lines,
    "lineno": _whole_number,
    "colno": _whole_number,
}
_STACK_TRACE = _attributes(frames=_list_of(_attributes(vars=_variables, **_SOURCE)))
_MECHANISM = _attributes(exception_id=_whole_number, parent_id=_whole_number)
_REQUEST = _attributes(data=_json_text, body_size=_whole_number)
_SPAN = _attributes(timestamp=_timestamp, start_timestamp=_timestamp)
_NORMALIZERS: dict[str, Callable[[Any], Any]] = {
    "event_id": _event_id,
    "timestamp": _timestamp,
    "start_timestamp": _timestamp,
    "level": _level,
    "message": _message,
    "logentry": _log_entry,
    "exception": _values(_attributes(value=_json_text, stacktrace=_STACK_TRACE, mechanism=_MECHANISM)),
    "threads": _values(_attributes(stacktrace=_STACK_TRACE)),
    "stacktrace": _STACK_TRACE,
    "breadcrumbs": _values(_attributes(timestamp=_timestamp, level=_level)),
    "template": _attributes(**_SOURCE),
    "spans": _list_of(_SPAN),
}
# These report the items of lists that they cannot convert.
_PAIR_NORMALIZERS: dict[str, Callable[[Any, str, Removed], Any]] = {
    "tags": _tags,
    "modules": _pairs,
    "request": _request,
    "fingerprint": _fingerprint,
}
_REQUEST_NORMALIZERS: dict[str, Callable[[Any, str, Removed], Any]] = {
    "query_string": _query_string,
    "cookies": _cookies,
    "headers": _headers,
}
