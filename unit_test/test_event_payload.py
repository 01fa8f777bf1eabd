"""Events in all the forms that Sentry accepts become the one that the schema declares, and are serialized."""

import json
import time
import unittest
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from jsonschema import Draft202012Validator

from komand_sentry.actions.submit_event.schema import SubmitEventInput
from komand_sentry.util.coerce import coerce
from komand_sentry.util.sentry.event_payload import (
    Event,
    InvalidEventID,
    build_envelope,
    has_content,
    iso_time,
    normalize_event_json,
    serialize_event,
    with_id_and_timestamp,
)

SCHEMA = {"$ref": "#/definitions/EventJSON", "definitions": SubmitEventInput.schema["definitions"]}
VALIDATOR = Draft202012Validator(SCHEMA)
NOW = datetime(2026, 8, 1, 12, 30, 0, 250000, UTC)
ID = "0123456789abcdef0123456789abcdef"
NEW_ID = "f" * 32


class NormalizeCase(unittest.TestCase):
    def becomes(self, given: Any, expected: Any) -> None:
        """Assert the normal form of an event, that it is valid, and that normalizing it again does not change it."""
        with self.subTest(given=given):
            normalized = coerce(normalize_event_json(given), SCHEMA)
            self.assertEqual(normalized, expected)
            VALIDATOR.validate(normalized)
            self.assertEqual(coerce(normalize_event_json(normalized), SCHEMA), normalized)


class TestNormalize(NormalizeCase):
    def test_lists_and_single_objects_become_objects_with_values(self) -> None:
        for name, one, two in (
            ("exception", {"type": "PumpError", "value": "dry"}, {"type": "ValveError"}),
            ("threads", {"id": "1", "crashed": True}, {"id": "2"}),
            ("breadcrumbs", {"message": "valve opened"}, {"category": "query"}),
        ):
            self.becomes({name: one}, {name: {"values": [one]}})
            self.becomes({name: [one, two]}, {name: {"values": [one, two]}})
            self.becomes({name: {"values": [one, None, two]}}, {name: {"values": [one, two]}})
            self.becomes({name: {"values": one}}, {name: {"values": [one]}})
            self.becomes({name: []}, {name: {"values": []}})

    def test_a_message_is_a_text_or_an_object(self) -> None:
        parts = {"message": "pump %s", "params": ["3"], "formatted": "pump 3"}
        self.becomes({"message": "pump 3"}, {"message": "pump 3"})
        self.becomes({"message": 3}, {"message": "3"})
        self.becomes({"message": parts}, {"logentry": parts})
        self.becomes({"logentry": parts}, {"logentry": parts})
        self.becomes({"logentry": "pump 3"}, {"logentry": {"formatted": "pump 3"}})
        self.becomes({"message": {"formatted": "other"}, "logentry": parts}, {"logentry": parts})
        self.becomes(
            {"logentry": {"message": "a", "params": {"a": None}}}, {"logentry": {"message": "a", "params": {"a": None}}}
        )

    def test_legacy_attribute_names_become_current_ones(self) -> None:
        for old, new, value in (
            ("Exception", "exception", {"values": [{"type": "PumpError"}]}),
            ("Message", "logentry", {"message": "dry"}),
            ("Stacktrace", "stacktrace", {"frames": [{"lineno": 7}]}),
            ("Template", "template", {"filename": "a.html", "lineno": 7}),
            ("Threads", "threads", {"values": [{"id": "1"}]}),
            ("Breadcrumbs", "breadcrumbs", {"values": [{"message": "a"}]}),
            ("Http", "request", {"url": "https://h.example/"}),
            ("User", "user", {"email": "user1@example.com"}),
            ("Contexts", "contexts", {"os": {"type": "os", "name": None}}),
            ("DebugMeta", "debug_meta", {"images": [{"type": "elf"}]}),
            ("Csp", "csp", {"document_uri": "https://h.example/"}),
        ):
            self.becomes({f"sentry.interfaces.{old}": value}, {new: value})
            self.becomes({f"sentry.interfaces.{old}": value, new: None}, {new: value})

    def test_the_current_attribute_name_takes_precedence_in_any_order(self) -> None:
        old, new = {"sentry.interfaces.User": {"id": "1"}}, {"user": {"id": "2"}}
        for given in ({**old, **new}, {**new, **old}):
            self.becomes(given, new)

    def test_pairs_become_objects(self) -> None:
        self.becomes({"tags": [["a", "1"], ["b", None]]}, {"tags": {"a": "1", "b": None}})
        self.becomes({"tags": {"a": True, "b": 2, "c": 1.5}}, {"tags": {"a": "True", "b": "2", "c": "1.5"}})
        self.becomes({"tags": [["a", False]]}, {"tags": {"a": "False"}})
        self.becomes({"modules": {"pump": "1.0", "valve": None}}, {"modules": {"pump": "1.0", "valve": None}})

    def test_a_level_is_a_name_or_a_number(self) -> None:
        levels: dict[str, tuple[Any, ...]] = {
            "debug": ("debug", 10, "10"),
            "info": ("info", "Info", 20),
            "warning": ("warning", "WARNING", 30, "30", 35),
            "error": ("error", " error ", 40, "40", "49"),
            "fatal": ("fatal", 50),
            "99": (99, "99"),
            "1000": (1000,),
            "sample": ("sample",),
            "²": ("²",),
        }
        for name, given in levels.items():
            for level in given:
                self.becomes({"level": level}, {"level": name})

    def test_seconds_since_1970_become_iso_8601(self) -> None:
        cases: tuple[tuple[Any, str], ...] = (
            (0, "1970-01-01T00:00:00.000000Z"),
            (1700000000, "2023-11-14T22:13:20.000000Z"),
            (1700000000.25, "2023-11-14T22:13:20.250000Z"),
            (-1.5, "1969-12-31T23:59:58.500000Z"),
            ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"),
            ("2023-11-14T22:13:20.25+01:00", "2023-11-14T22:13:20.25+01:00"),
            ("2023-11-14 22:13:20", "2023-11-14T22:13:20.000000Z"),
            (10**30, "1" + 30 * "0"),
            (-(10**12), "-1" + 12 * "0"),
        )
        for given, text in cases:
            self.becomes({"timestamp": given}, {"timestamp": text})
            self.becomes({"start_timestamp": given}, {"start_timestamp": text})
            self.becomes({"breadcrumbs": [{"timestamp": given}]}, {"breadcrumbs": {"values": [{"timestamp": text}]}})

    def test_every_form_of_a_request_is_normalized(self) -> None:
        for given, expected in (
            ({"query_string": "a=1&b"}, {"query_string": "a=1&b"}),
            ({"query_string": {"a": "1 2", "b": None}}, {"query_string": "a=1+2&b="}),
            ({"query_string": [["a", "1"], ["a", "&"], ["b", None]]}, {"query_string": "a=1&a=%26&b="}),
            ({"query_string": []}, {"query_string": ""}),
            ({"headers": {"Accept": "a"}}, {"headers": {"Accept": "a"}}),
            ({"headers": [["Accept", "a"], ["Host", "h"]]}, {"headers": {"Accept": "a", "Host": "h"}}),
            (
                {"headers": [["A", "a"], ["B", "b"], ["A", "c"], ["A", "d"]]},
                {"headers": {"A": ["a", "c", "d"], "B": "b"}},
            ),
            (
                {"headers": [["A", ["a", "b"]], ["A", "c"], ["B", ["b"]]]},
                {"headers": {"A": ["a", "b", "c"], "B": ["b"]}},
            ),
            ({"cookies": "a=1; b=%20x=y;; c"}, {"cookies": {"a": "1", "b": " x=y", "c": ""}}),
            ({"cookies": [["a", "1"], ["b", None]]}, {"cookies": {"a": "1", "b": None}}),
            ({"cookies": {"a": "1"}}, {"cookies": {"a": "1"}}),
            ({"data": {"a": [1, None]}}, {"data": '{"a":[1,null]}'}),
            ({"data": ["a"]}, {"data": '["a"]'}),
            ({"data": "a=1"}, {"data": "a=1"}),
            ({"data": 7, "env": {"A": None}, "fragment": None}, {"data": "7", "env": {"A": None}}),
        ):
            self.becomes({"request": given}, {"request": expected})

    def test_numbers_and_texts_become_the_declared_type(self) -> None:
        self.becomes({"release": 7, "dist": 7.0, "user": {"id": 7}}, {"release": "7", "dist": "7", "user": {"id": "7"}})
        self.becomes({"fingerprint": ["{{ default }}", 7, True]}, {"fingerprint": ["{{ default }}", "7", "True"]})
        frame = {"lineno": "7", "in_app": 1, "image_addr": 4096, "pre_context": ["a", None], "vars": {"a": None}}
        expected = {"lineno": 7, "in_app": True, "image_addr": "4096", "pre_context": ["a", ""], "vars": {"a": None}}
        self.becomes(
            {"exception": {"thread_id": 7, "stacktrace": {"frames": [None, frame]}, "mechanism": {"handled": "false"}}},
            {
                "exception": {
                    "values": [
                        {"thread_id": "7", "stacktrace": {"frames": [expected]}, "mechanism": {"handled": False}}
                    ]
                }
            },
        )

    def test_an_exception_value_may_be_any_json(self) -> None:
        event = coerce(normalize_event_json({"exception": {"type": "PumpError", "value": {"code": [1, None]}}}), SCHEMA)
        VALIDATOR.validate(event)
        self.assertEqual(json.loads(event["exception"]["values"][0]["value"]), {"code": [1, None]})

    def test_blank_attributes_are_removed(self) -> None:
        self.becomes({"message": "", "release": "  ", "user": None, "level": "\n", "timestamp": ""}, {})
        self.becomes({"extra": {"a": ""}, "tags": {"b": None}}, {"extra": {"a": ""}, "tags": {"b": None}})

    def test_unknown_attributes_are_unchanged(self) -> None:
        event = {"received": 1700000000, "time_spent": None, "_meta": {"a": None}, "later": [[None]], "project": 7}
        self.becomes(event, {name: value for name, value in event.items() if value is not None})

    def test_values_of_unknown_form_are_left_to_the_validation(self) -> None:
        for value in ("text", 7, None, ["a"]):
            self.assertEqual(normalize_event_json(value), value)
        for odd in (True, 7, "text", [], ["a", 7, None, []], [["a"]], {}, {"values": 7}, {"values": [7]}, float("nan")):
            for name in SubmitEventInput.schema["definitions"]["EventJSON"]["properties"]:
                with self.subTest(name=name, odd=odd):
                    VALIDATOR.validate(coerce(normalize_event_json({name: odd}), SCHEMA, is_output=True))
            for name in ("query_string", "data", "cookies", "headers"):
                with self.subTest(name=name, odd=odd):
                    normalize_event_json({"request": {name: odd}})

    def test_normalizing_takes_linear_time(self) -> None:
        started = time.process_time()
        normalize_event_json({"request": {"headers": [["a", ""]] * 60_000, "cookies": "a=b;" * 60_000}})
        normalize_event_json({"request": {"query_string": [["a", "b"]] * 60_000}, "tags": [["a", 1]] * 60_000})
        self.assertLess(time.process_time() - started, 1.0)

    def test_the_input_is_not_changed(self) -> None:
        given = {"message": {"message": "a"}, "level": 40, "request": {"data": {}}, "breadcrumbs": [{"timestamp": 1}]}
        before = json.dumps(given)
        normalize_event_json(given)
        self.assertEqual(json.dumps(given), before)


class TestIDAndTimestamp(unittest.TestCase):
    def test_id_and_timestamp_are_only_set_if_they_are_missing(self) -> None:
        event = with_id_and_timestamp({"message": "a"}, NEW_ID, NOW)
        self.assertEqual(event, {"timestamp": "2026-08-01T12:30:00.250000Z", "message": "a", "event_id": NEW_ID})
        own = {"timestamp": "2026-07-31T00:00:00Z", "event_id": ID}
        self.assertEqual(with_id_and_timestamp(own, NEW_ID, NOW), own)

    def test_setting_them_again_changes_nothing(self) -> None:
        event = with_id_and_timestamp({}, NEW_ID, NOW)
        self.assertEqual(with_id_and_timestamp(event, ID, NOW + timedelta(days=1)), event)

    def test_every_spelling_of_an_id_becomes_32_lower_case_digits(self) -> None:
        for text in (ID, ID.upper(), "01234567-89ab-cdef-0123-456789abcdef", f" {ID}\n"):
            with self.subTest(text):
                self.assertEqual(with_id_and_timestamp({"event_id": text}, NEW_ID, NOW)["event_id"], ID)

    def test_an_invalid_id_is_rejected(self) -> None:
        for text in ("", "7", ID[:-1], ID + "0", ID[:-1] + "g", ID[:-1] + "\u0660", f"{{{ID}}}", "-" * 32):
            with self.subTest(text), self.assertRaises(InvalidEventID):
                with_id_and_timestamp({"event_id": text}, NEW_ID, NOW)

    def test_iso_time_is_in_utc(self) -> None:
        self.assertEqual(iso_time(NOW.astimezone(timezone(timedelta(hours=5.5)))), "2026-08-01T12:30:00.250000Z")


class TestContent(unittest.TestCase):
    def test_an_attribute_with_a_value_is_content(self) -> None:
        for event in (
            {"message": "pump 3 stopped"},
            {"exception": {"values": [{"type": "PumpError"}]}},
            {"logentry": {"formatted": "pump 3"}},
            {"extra": {"pressure": 0}},
            {"tags": {"pump": "3"}},
            {"culprit": "pump.start"},
            {"later": 0},
            {"later": False},
        ):
            with self.subTest(event):
                self.assertTrue(has_content(event))

    def test_metadata_and_empty_values_are_not_content(self) -> None:
        context = {
            "event_id": ID,
            "timestamp": "2026-08-01T12:30:00Z",
            "start_timestamp": "2026-08-01T12:30:00Z",
            "received": 1,
            "type": "error",
            "platform": "python",
            "sdk": {"name": "a", "version": "1"},
            "version": "7",
            "project": 7,
        }
        events: tuple[Event, ...] = (
            {},
            context,
            {**context, "message": "", "extra": {}, "fingerprint": [], "user": None},
            {"extra": {"a": {"b": [None, {}, ""]}}, "exception": {"values": [{}]}},
        )
        self.assertTrue(has_content({**context, "level": "fatal"}))
        for event in events:
            with self.subTest(event):
                self.assertFalse(has_content(event))

    def test_empty_lists_and_objects_are_not_content_in_any_form(self) -> None:
        events: tuple[Event, ...] = (
            {"exception": []},
            {"exception": {}},
            {"threads": {"values": []}},
            {"breadcrumbs": [None]},
            {"logentry": {}},
            {"logentry": {"formatted": None}},
            {"request": {"headers": []}},
            {"tags": []},
        )
        for event in events:
            with self.subTest(event):
                self.assertFalse(has_content(coerce(normalize_event_json(event), SCHEMA)))


class TestSerialize(unittest.TestCase):
    def test_a_serialized_event_parses_to_the_same_event(self) -> None:
        events: tuple[Event, ...] = (
            {},
            {"message": 'gr\u00f6\u00dfe \U0001f4a7 \u2028 \x00 " \\ \n'},
            {"extra": {"a": [1, -0.5, 1e300, True, None, {}, []], "\u00f6": "b"}},
            {"extra": {"large": 10**30}},
        )
        for event in events:
            with self.subTest(event):
                body = serialize_event(event)
                self.assertEqual(json.loads(body), event)
                self.assertNotIn(b"\n", body)

    def test_lone_surrogates_become_question_marks(self) -> None:
        for text, written in (("a\ud83db", "a?b"), ("\udca7", "?"), ("\ud83d\ud83d", "??"), ("\udca7\ud83d", "??")):
            with self.subTest(repr(text)):
                event = {"message": text, "extra": {text: [text]}}
                self.assertEqual(
                    json.loads(serialize_event(event)), {"message": written, "extra": {written: [written]}}
                )

    def test_values_that_are_not_json_are_rejected(self) -> None:
        circle: dict[str, Any] = {}
        circle["extra"] = circle
        for event in ({"extra": float("nan")}, {"extra": [float("inf")]}, {"extra": -float("inf")}, circle):
            with self.subTest(str(event)), self.assertRaises(ValueError):
                serialize_event(event)

    def test_values_nested_too_deeply_are_rejected(self) -> None:
        deep: Any = {}
        for _ in range(100_000):
            deep = {"a": deep}
        with self.assertRaises(RecursionError):
            serialize_event(deep)


class TestEnvelope(unittest.TestCase):
    def test_an_envelope_has_one_event_of_the_length_in_its_header(self) -> None:
        for message in ("a", "größer\n{}\n", ""):
            with self.subTest(message):
                event = with_id_and_timestamp({"message": message}, ID, NOW)
                body = serialize_event(event)
                head, item, rest = build_envelope(event["event_id"], body, NOW).split(b"\n", 2)
                self.assertEqual(json.loads(head), {"event_id": ID, "sent_at": "2026-08-01T12:30:00.250000Z"})
                length = json.loads(item)["length"]
                self.assertEqual(
                    json.loads(item), {"type": "event", "content_type": "application/json", "length": length}
                )
                self.assertEqual((rest[:length], rest[length:]), (body, b"\n"))
