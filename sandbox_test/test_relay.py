"""Events of the plugin in Relay's normalizer: it reports no error that the unchanged input does not cause as well.

Relay is Sentry's ingestion since 2020. The package sentry-relay has the normalizer of its store endpoint.
"""

import json
import re
import unittest
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentry_relay.exceptions import ProcessingErrorInvalidTransaction
from sentry_relay.processing import StoreNormalizer

from e2e.test_submit_event import SHAPES, TAGS
from komand_sentry.actions import SubmitEvent
from komand_sentry.actions.submit_event.schema import SubmitEventInput
from komand_sentry.util.sentry.event_payload import with_id_and_timestamp
from komand_sentry.util.step import parse_inputs
from testing.plugin import Json

EXAMPLES = 2000
EVENT_ID = "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1"
DEFINITIONS: Json = SubmitEventInput.schema["definitions"]
REFUSED = "the event as a whole"
MONTH = 30 * 24 * 3600

# Plausible values of attributes that do not accept every text.
PLAUSIBLE: dict[str, st.SearchStrategy[Any]] = {
    "level": st.sampled_from(["debug", "info", "warning", "error", "fatal", "WARNING", 10, "40", "alarming"]),
    "platform": st.sampled_from(["python", "javascript", "other", "teapot"]),
    "timestamp": st.sampled_from(["2026-08-01T12:00:00Z", "2026-08-01T12:00:00+02:00", 1785585600, 1785585600.5, "x"]),
    "event_id": st.sampled_from([EVENT_ID, "9D6B1FB4-C9F4-4C0F-8AD9-B1F7A0F6A6B1"]),
    "type": st.sampled_from(["error", "default", "teapot"]),
    "ip_address": st.sampled_from(["198.51.100.7", "::1", "{{auto}}", "nowhere"]),
    "url": st.sampled_from(["https://pumps.example.com/p-2", "/p-2"]),
}
TEXTS = st.one_of(st.text(max_size=12), st.integers(-9, 99), st.booleans(), st.sampled_from(["0x10f4", "p-2", ""]))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**31), 2**31), st.text(max_size=8))
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
# A cookie that is repeated is lost, since the schema declares an object.
PAIRS = st.lists(
    st.tuples(st.text("abc.-", min_size=1, max_size=4), SCALARS).map(list),
    max_size=3,
    unique_by=lambda pair: str(pair[0]),
)


def values_of(schema: Json, name: str = "") -> st.SearchStrategy[Any]:
    """Values of an attribute, in its declared type and in other types that Sentry accepts."""
    if name in PLAUSIBLE:
        return PLAUSIBLE[name]
    if "$ref" in schema:
        schema = DEFINITIONS[schema["$ref"].rpartition("/")[2]]
    match schema["type"]:
        case "string":
            return TEXTS
        case "integer":
            return st.integers(0, 2**31)
        case "boolean":
            return st.booleans()
        case "array":
            return st.lists(values_of(schema["items"]), max_size=3)
    return objects_of(schema["properties"]) if "properties" in schema else free_objects(name)


def objects_of(properties: Json) -> st.SearchStrategy[Any]:
    attributes = {key: st.none() | values_of(declared, key) for key, declared in properties.items()}
    objects = st.lists(st.sampled_from(sorted(attributes)), max_size=5, unique=True).flatmap(
        lambda keys: st.fixed_dictionaries({key: attributes[key] for key in keys})
    )
    if list(properties) != ["values"]:
        return objects
    # {"values": [...]}, a bare list, or a single one.
    items = values_of(properties["values"]["items"])
    return st.one_of(
        st.lists(items, max_size=3).map(lambda value: {"values": value}), st.lists(items, max_size=3), items
    )


def free_objects(name: str) -> st.SearchStrategy[Any]:
    objects = st.dictionaries(st.text("abc.-", min_size=1, max_size=4), JSON_VALUES, max_size=3)
    return objects | PAIRS if name in ("tags", "headers", "cookies") else objects


EVENTS = objects_of(DEFINITIONS["EventJSON"]["properties"])


def sent_event(event: Json) -> Json:
    """The event that the plugin sends for an `event_json`."""
    params = {"dsn": "https://0123@h.example/1", "event_json": event}
    parsed = parse_inputs(params, SubmitEventInput.schema, SubmitEvent.normalizers)["event_json"]
    event = json.loads(json.dumps(with_id_and_timestamp(parsed, EVENT_ID, datetime.now(UTC)), allow_nan=False))
    return dict(event)


def errors_of(event: Json) -> set[str]:
    """The attributes with an error in Relay, without list positions, since the plugin omits null in lists."""
    normalizer = StoreNormalizer(
        project_id=1,
        client="e2e/1",
        client_ip="198.51.100.9",
        protocol_version="7",
        max_secs_in_future=60,
        max_secs_in_past=MONTH,
    )
    try:
        normalised = normalizer.normalize_event(raw_event=json.dumps(event))
    except ProcessingErrorInvalidTransaction:
        # An event with a start time is a transaction, which Relay may refuse completely.
        return {REFUSED}
    return {re.sub(r"\b\d+\b", "*", error.get("name", "")) for error in normalised.get("errors") or ()}


class TestRelay(unittest.TestCase):
    def check(self, event: Json) -> None:
        plain = {**event, "event_id": event.get("event_id") or EVENT_ID}
        expected = errors_of(plain)
        if expected != {REFUSED}:
            self.assertLessEqual(errors_of(sent_event(event)), expected)

    def test_every_shape_of_the_end_to_end_tests(self) -> None:
        for name, (event, _) in (SHAPES | TAGS).items():
            with self.subTest(name):
                self.assertEqual(errors_of(sent_event(event)), set())

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(EVENTS)
    def test_generated_events(self, event: Json) -> None:
        self.check(event if isinstance(event, dict) else {"exception": event})
