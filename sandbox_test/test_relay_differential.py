"""Compare what Relay makes of an event with what it makes of the same event as the plugin sends it.

Relay's own normalizer, from the package sentry-relay, defines what is right. For each attribute of EventJSON, of its
nested types too, and values of all JSON types, the results are equal, unless DIFFERENCES lists the value: then the
plugin sends another value on purpose, and Relay makes the same of the event as of a raw event with that value.
"""

import json
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from insightconnect_plugin_runtime.exceptions import PluginException
from jsonschema import Draft202012Validator
from sentry_relay.exceptions import ProcessingErrorInvalidTransaction
from sentry_relay.processing import StoreNormalizer

from komand_sentry.actions import SubmitEvent
from komand_sentry.actions.submit_event.schema import SubmitEventInput
from komand_sentry.util.sentry.ingest import prepare_event
from komand_sentry.util.step import parse_inputs
from testing.plugin import Json

SCHEMA: Json = SubmitEventInput.schema
VALIDATOR = Draft202012Validator(SCHEMA)
DEFINITIONS: Json = SCHEMA["definitions"]
EVENT_ID = "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1"
NOW = datetime.now(UTC)
YESTERDAY = (NOW - timedelta(days=1)).replace(microsecond=0)
MAX_SECONDS_FROM_NOW = 300
# Set by Relay for each event, whatever the event has.
SET_BY_RELAY = ("_meta", "_metrics", "event_id", "grouping_config", "key_id", "project", "received", "version")

TEXT_TIME = f"{YESTERDAY:%Y-%m-%d %H:%M:%S}"
PAIRS = [["k", "v"], ["l", None], ["m", True], ["n", 1.5]]
REPEATED = [["k", "v"], ["k", "w"]]
MIXED_OBJECT = {"k": None, "l": 1, "m": True, "n": 1.5, "o": ["p"], "q": {"r": None}}
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -7, 1.5, 7.0, 1e300, int(YESTERDAY.timestamp()), YESTERDAY.timestamp() + 0.5,
    "7", "1.5", "true", str(int(YESTERDAY.timestamp())), TEXT_TIME, YESTERDAY.isoformat(), "text", "", "  ",
    [], [None], ["a"], [1, True, None, "b"], [1.5, -0.5], [["a"], "b"], PAIRS, REPEATED, [["k", "v", "w"], ["k", "v"]],
    [{"k": "v"}], [{"type": "T", "value": "v"}], {}, {"k": "v"}, MIXED_OBJECT, {"values": [{"k": "v"}]},
    {"values": None},
)  # fmt: skip
# In place of a value: the attribute is not in the event at all.
ABSENT = object()
# What makes an object of a type complete: Relay discards an exception that has neither type nor value, for example.
COMPLETE: dict[str, Json] = {
    "Breadcrumb": {"message": "b"},
    "ErrorException": {"type": "E", "value": "v"},
    "ErrorMechanism": {"type": "generic"},
    "EventJSON": {"message": "m"},
    "EventRequest": {"url": "https://h.example/"},
    "EventSdk": {"name": "s", "version": "1"},
    "EventTemplate": {"filename": "t", "lineno": 1, "context_line": "c"},
    "EventThread": {"id": "1"},
    "EventUser": {"id": "1"},
    "LogEntry": {"message": "l"},
    "SdkPackage": {"name": "p", "version": "2"},
    "StackFrame": {"function": "f"},
    "StackTrace": {"frames": [{"function": "f"}]},
}


class Attribute(NamedTuple):
    """An attribute of an event, or the items of one that is a list.

    :param path: `exception.values.*.type`
    :param event_with: makes an event in which it has a value
    """

    path: str
    schema: Json
    event_with: Callable[[Any], Json]

    @property
    def type(self) -> str:
        """The declared JSON type."""
        return "object" if "$ref" in self.schema else str(self.schema["type"])

    @property
    def item_type(self) -> str:
        """The declared JSON type of the items of a list, "" if it is none."""
        items = self.schema.get("items", {})
        return "object" if "$ref" in items else str(items.get("type", ""))

    @property
    def is_top_level(self) -> bool:
        """Whether it is an attribute of the event itself."""
        return "." not in self.path


def attributes_of(schema: Json, path: str, event_with: Callable[[Any], Json]) -> Iterator[Attribute]:
    if path:
        yield Attribute(path, schema, event_with)
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        for key, declared in DEFINITIONS[name]["properties"].items():

            def with_key(value: Any, name: str = name, key: str = key) -> Json:
                item = {**COMPLETE.get(name, {}), key: value}
                return event_with({key: value for key, value in item.items() if value is not ABSENT})

            yield from attributes_of(declared, f"{path}.{key}".lstrip("."), with_key)
    elif schema["type"] == "array":
        yield from attributes_of(
            schema["items"], f"{path}.*", lambda value: event_with([] if value is ABSENT else [value])
        )


ATTRIBUTES = tuple(attributes_of({"$ref": "#/definitions/EventJSON"}, "", lambda event: event))


@dataclass(frozen=True)
class Difference:
    """Values that the plugin sends in another form than Relay reads them.

    :param replace: the value in that form; the value itself if this difference does not concern it
    """

    reason: str
    replace: Callable[[Attribute, Any], Any]


def as_text(value: Any) -> Any:
    """A number or a boolean as a text."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return str(value) if isinstance(value, (bool, int, float)) else value


def as_type(value: Any, json_type: str) -> Any:
    """A scalar in another JSON type, if it can be expressed in it."""
    if json_type == "string":
        return as_text(value)
    if json_type == "integer" and value in ("7", str(int(YESTERDAY.timestamp()))):
        return int(value)
    if json_type == "boolean" and not isinstance(value, (bool, float, list, dict)):
        return {"1": True, "0": False, "true": True}.get(str(value), value)
    return value


def compact_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def replace_time(attribute: Attribute, value: Any) -> Any:
    if not attribute.path.endswith("timestamp") or not isinstance(value, str):
        return value
    if value == TEXT_TIME:
        return YESTERDAY.timestamp()
    return float(value) if value.replace(".", "").isdigit() else value


def replace_scalar(attribute: Attribute, value: Any) -> Any:
    return as_type(value, attribute.type) if isinstance(value, (bool, int, float, str)) else value


def replace_single(attribute: Attribute, value: Any) -> Any:
    if attribute.type != "array" or isinstance(value, list) or value is None:
        return value
    is_value_list = attribute.path in ("exception.values", "threads.values", "breadcrumbs.values")
    if isinstance(value, dict):
        return [value] if attribute.item_type == "object" and (value or not is_value_list) else value
    return [value if attribute.path == "fingerprint" else as_text(value)] if attribute.item_type == "string" else value


def replace_items(attribute: Attribute, value: Any) -> Any:
    if attribute.item_type != "string" or not isinstance(value, list) or attribute.path == "fingerprint":
        return value
    is_source = attribute.path.endswith("_context")
    items = [compact_json(item) if is_source and isinstance(item, (list, dict)) else as_text(item) for item in value]
    return ["" if is_source and item is None else item for item in items]


def replace_source_line(attribute: Attribute, value: Any) -> Any:
    if not attribute.path.endswith("_context.*"):
        return value
    return "" if value is None else compact_json(value) if isinstance(value, (list, dict)) else value


def replace_tags(attribute: Attribute, value: Any) -> Any:
    if attribute.path != "tags" or not isinstance(value, (list, dict)):
        return value
    if isinstance(value, dict):
        return {name: as_text(item) for name, item in value.items()}
    return [[pair[0], as_text(pair[1])] if isinstance(pair, list) and len(pair) == 2 else pair for pair in value]


def replace_modules(attribute: Attribute, value: Any) -> Any:
    is_pairs = attribute.path == "modules" and isinstance(value, list)
    return {pair[0]: pair[1] for pair in reversed(value) if is_pair(pair)} if is_pairs else value


def replace_query_nulls(attribute: Attribute, value: Any) -> Any:
    if attribute.path != "request.query_string" or not isinstance(value, (list, dict)):
        return value
    pairs: list[Any] = list(value.items()) if isinstance(value, dict) else value
    return [[pair[0], "" if pair[1] is None else pair[1]] if len(pair) == 2 else pair for pair in pairs]


def replace_repeated_headers(attribute: Attribute, value: Any) -> Any:
    return {"k": ["v", "w"]} if attribute.path == "request.headers" and value is REPEATED else value


def replace_cookies(attribute: Attribute, value: Any) -> Any:
    if attribute.path != "request.cookies":
        return value
    if isinstance(value, str) and value.strip():
        return {value: ""}
    return {"k": "v"} if value is REPEATED else value


def replace_data(attribute: Attribute, value: Any) -> Any:
    return (
        compact_json(value) if attribute.path == "request.data" and not isinstance(value, (str, type(None))) else value
    )


def replace_blank(attribute: Attribute, value: Any) -> Any:
    return None if attribute.is_top_level and isinstance(value, str) and not value.strip() else value


def replace_false(attribute: Attribute, value: Any) -> Any:
    return "false" if attribute.path in ("message", "logentry") and value is False else value


def replace_exceptions(attribute: Attribute, value: Any) -> Any:
    if attribute.path.removesuffix(".*") not in ("exception", "exception.values"):
        return value
    items = [value] if attribute.path.endswith("*") else value
    return ABSENT if isinstance(items, list) and not any(isinstance(item, dict) for item in items) else value


def replace_log_entry(attribute: Attribute, value: Any) -> Any:
    is_blank = value is None or (isinstance(value, str) and not value.strip())
    return ABSENT if attribute.path == "logentry" and is_blank else value


def is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


DIFFERENCES = (
    Difference("An input that is left blank is an empty text in InsightConnect, not a faulty attribute", replace_blank),
    Difference("Workflow variables are texts, of times too: Relay would use the time of receipt", replace_time),
    Difference(
        "Workflow variables are texts, and a number for a text is one: Relay discards them, or truncates 1.5",
        replace_scalar,
    ),
    Difference("The same for the texts of a list, and for source lines, which keep their positions", replace_items),
    Difference("A single value for a list is one item: Relay discards it", replace_single),
    Difference("A source line that is not a text becomes JSON: Relay makes an empty line of it", replace_source_line),
    Difference("The value of a tag is not truncated: Relay makes 1 of 1.5", replace_tags),
    Difference("Pairs are modules, too: Relay discards them", replace_modules),
    Difference("The schema declares a text, in which a name without a value has an empty one", replace_query_nulls),
    Difference("The schema declares an object, in which a header is repeated as a list", replace_repeated_headers),
    Difference(
        "The schema declares an object, in which a cookie cannot be repeated and has a value; the step logs the loss",
        replace_cookies,
    ),
    Difference("The schema declares a text, whose content type Relay infers", replace_data),
    Difference("The message false is a text like true: Relay takes it for no message", replace_false),
    Difference("A logentry that is null or left blank does not hide the message", replace_log_entry),
    Difference("A list without any exception does not make the event an error", replace_exceptions),
)
# Differences in what the errors of the event name: patterns of paths, reason.
ERROR_DIFFERENCES = {
    (
        "exception",
        "threads",
        "breadcrumbs",
        "*.values",
        "*.mechanism.type",
    ): "A null is an attribute that is not given, and an empty object is an empty list of values",
    ("*frames", "*frames.?"): "A stack trace that loses its only frame has none, which Relay reports, too",
    ("*.filename", "*.abs_path"): "Relay uses one for the other silently",
    ("hpkp", "expectct", "expectstaple"): "Relay reports the attribute itself, which it does not know any more",
    ("logentry.message",): "Relay names the object that it discards; the plugin names the value, and keeps the rest",
    ("logentry.formatted",): "Relay replaces it silently by the message",
    ("server_name", "site"): "Relay makes a tag of it, and drops other values silently",
    ("type",): "Relay drops other types of the event silently",
    ("measurements",): "Relay drops them silently if the event is not a transaction",
    ("sdk.name", "sdk.version"): "Relay reports the attribute as invalid; without it, it is also missing",
    ("modules",): "Relay discards all pairs; the plugin only those that are not pairs",
    ("request.cookies",): "Relay keeps repeated cookies; the plugin cannot",
}
# Values that the plugin rejects: attribute, reason.
REJECTED = {
    "event_id": "The store endpoint of Relay rejects an event whose event_id is invalid",
    "message": "An event without any content would become an issue without a name",
}


class Result(NamedTuple):
    """What Relay makes of an event.

    :param errors: type and name of each error, positions aside
    """

    event: Any
    errors: frozenset[tuple[str, str]]


def relay_result(event: Json) -> Result:
    normalizer = StoreNormalizer(
        project_id=1,
        client="test/1",
        client_ip="198.51.100.9",
        protocol_version="7",
        max_secs_in_future=60,
        max_secs_in_past=30 * 24 * 3600,
    )
    try:
        normalized = normalizer.normalize_event(raw_event=json.dumps({"event_id": EVENT_ID, **event}))
    except ProcessingErrorInvalidTransaction:
        return Result("an invalid transaction", frozenset())
    errors = normalized.pop("errors", None) or ()
    for name in SET_BY_RELAY:
        normalized.pop(name, None)
    if abs(normalized["timestamp"] - NOW.timestamp()) < MAX_SECONDS_FROM_NOW:
        normalized["timestamp"] = "now"
    return Result(
        without_empty(normalized),
        frozenset((str(error.get("type")), str(error.get("name"))) for error in errors if error),
    )


def without_empty(value: Any) -> Any:
    """Without nulls and empty values: Relay keeps them where it discards something, and that is what `errors` say."""
    if isinstance(value, dict):
        items = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item not in (None, "", {}, [])}
    if isinstance(value, list):
        return [item for item in map(without_empty, value) if item not in (None, {}, [])]
    return value


def sent(event: Json) -> Json:
    """The event as the plugin sends it, by the functions of its action."""
    params = {"dsn": "https://0123@h.example/1", "event_json": event}
    inputs = parse_inputs(params, SCHEMA, SubmitEvent.normalizers)
    VALIDATOR.validate(inputs)
    body: Json = json.loads(prepare_event(inputs["event_json"], NOW).body)
    return body


class TestEveryAttribute(unittest.TestCase):
    maxDiff = None

    def test_relay_makes_the_same_of_the_event_that_the_plugin_sends(self) -> None:
        used: set[str] = set()
        unlisted = []
        for attribute in ATTRIBUTES:
            for value in VALUES:
                difference = compare(attribute, value, used)
                if difference:
                    unlisted.append(f"{attribute.path} = {json.dumps(value)}: {difference}")
        self.assertEqual(unlisted, [])
        listed = {difference.reason for difference in DIFFERENCES} | {*ERROR_DIFFERENCES.values(), *REJECTED.values()}
        self.assertEqual(listed - used, set(), "listed differences that do not exist")


def compare(attribute: Attribute, value: Any, used: set[str]) -> str:
    """What differs although it is not listed, "" if nothing does. Adds the reasons of what differs to `used`."""
    event = attribute.event_with(value)
    if attribute.path == "event_id":
        event = {**event, "event_id": EVENT_ID} if value in (None, "", "  ") else event
    raw = relay_result(event)
    try:
        result = relay_result({**sent(event), "event_id": EVENT_ID})
    except PluginException as error:
        used.add(REJECTED.get(attribute.path, ""))
        return "" if attribute.path in REJECTED else f"rejected: {error.cause}"
    alike = [(raw, "")] if raw.event == result.event else []
    if result != raw:
        alike += [(one, reason) for one, reason in listed_results(attribute, value) if one.event == result.event]
    for one, reason in alike:
        if result.errors in (raw.errors, one.errors):
            used.add(reason)
            return ""
    reason = error_difference(attribute.path)
    if not alike or not reason:
        return f"{result} instead of {raw}"
    used.update((reason, alike[0][1]))
    return ""


def error_difference(path: str) -> str:
    """The reason of a listed difference in the errors, "" if there is none."""
    found = (
        reason for patterns, reason in ERROR_DIFFERENCES.items() if any(fnmatchcase(path, one) for one in patterns)
    )
    return next(found, "")


def listed_results(attribute: Attribute, value: Any) -> Iterator[tuple[Result, str]]:
    """What Relay makes of the event with the value of each listed difference, and the reasons."""
    for difference in DIFFERENCES:
        replaced = difference.replace(attribute, value)
        if replaced is not value:
            yield relay_result(attribute.event_with(replaced)), difference.reason


class TestCoverage(unittest.TestCase):
    def test_every_declared_attribute_and_json_type_is_compared(self) -> None:
        self.assertGreater(len(ATTRIBUTES), 200)
        self.assertGreaterEqual(len(VALUES), 20)
        self.assertEqual({type(value) for value in VALUES}, {type(None), bool, int, float, str, list, dict})
