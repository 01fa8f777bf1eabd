"""The event that the plugin sends is the one that Relay would keep: values whose form or type is not the declared one.

sandbox_test/test_relay_differential.py compares all attributes with Relay itself.
"""

import json
import logging
import os
import time
import unittest
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.util.errors.exceptions import InvalidInput
from komand_sentry.util.sentry.event_payload import normalize_event_json
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to, run_action

EVENT_ID = "9d6b1fb4c9f44c0f8ad9b1f7a0f6a6b1"
KEY = "3f6b2c1d9e8a4f70b5c4d3e2f1a09b8c"


def submit(event: Any) -> tuple[Json, list[str]]:
    """Run the action, and return the event that it sends and its warnings."""
    with ScriptedServer(("POST", "/api/7/store/", Answer(body=b'{"id": "%s"}' % EVENT_ID.encode()))) as server:
        dsn = server.base.replace("://", f"://{KEY}@") + "/7"
        logger = logging.getLogger("plugin.test")
        with unittest.TestCase().assertLogs(logger, logging.INFO) as logs:
            logger.info("The step starts")
            run_action("submit_event", connection_to("https://sentry.example.com"), {"dsn": dsn, "event_json": event})
        sent: Json = json.loads(server.received[0].body)
    return sent, [record.getMessage() for record in logs.records if record.levelno == logging.WARNING]


class RelayCase(unittest.TestCase):
    def sends(self, given: Json, expected: Json) -> None:
        """The event is sent with the expected attributes, without a warning."""
        with self.subTest(given):
            sent, warnings = submit({"message": "m", **given})
            self.assertEqual({name: sent[name] for name in expected}, expected)
            self.assertNotIn("errors", sent)
            self.assertEqual(warnings, [])

    def loses(self, given: Json, expected: Json, *paths: str) -> None:
        """The event is sent with the expected attributes, and the errors and the log name the paths that it lost."""
        with self.subTest(given):
            sent, warnings = submit({"message": "m", **given})
            self.assertEqual({name: sent.get(name) for name in expected}, expected)
            self.assertEqual([error["name"] for error in sent["errors"]], list(paths))
            self.assertEqual({error["type"] for error in sent["errors"]}, {"invalid_data"})
            self.assertEqual(len(warnings), 1)
            self.assertTrue(warnings[0].endswith(": " + ", ".join(paths)), warnings[0])


class TestForms(RelayCase):
    def test_a_list_of_variables_becomes_an_object_of_positions(self) -> None:
        for name in ("exception", "threads"):
            for given, expected in (
                (["a.php"], {"0": "a.php"}),
                ([["GET", "/a"], ["GET", "/b"]], {"0": ["GET", "/a"], "1": ["GET", "/b"]}),
                ([], {}),
                ({"a": None}, {"a": None}),
            ):
                item = {"type": "E", "stacktrace": {"frames": [{"function": "f", "vars": given}]}}
                frames = [{"function": "f", "vars": expected}]
                self.sends({name: [item]}, {name: {"values": [{"type": "E", "stacktrace": {"frames": frames}}]}})
        self.sends({"stacktrace": {"frames": [{"vars": [1]}]}}, {"stacktrace": {"frames": [{"vars": {"0": 1}}]}})

    def test_pairs_are_objects_in_five_attributes(self) -> None:
        pairs, result = [["a", "1"], ["b", None]], {"a": "1", "b": None}
        self.sends({"tags": pairs, "modules": pairs}, {"tags": result, "modules": result})
        self.sends(
            {"request": {"headers": pairs, "cookies": pairs}}, {"request": {"headers": result, "cookies": result}}
        )
        self.sends({"request": {"query_string": pairs}}, {"request": {"query_string": "a=1&b="}})

    def test_pairs_are_no_objects_elsewhere(self) -> None:
        pairs = [["a", "1"], ["b", "2"]]
        for name in ("extra", "contexts", "csp", "transaction_info", "measurements", "user", "sdk", "debug_meta"):
            self.loses({name: pairs}, {name: None}, name)
        self.loses({"user": {"id": 1, "data": pairs}}, {"user": {"id": "1"}}, "user.data")
        self.loses({"request": {"url": "u", "env": pairs}}, {"request": {"url": "u"}}, "request.env")

    def test_pairs_keep_what_is_valid(self) -> None:
        given = [["a", "1"], ["b"], "c", None, [["d"], "e"], ["f", 2], ["a", "3"]]
        self.loses({"tags": given}, {"tags": {"a": "1", "f": "2"}}, "tags.1", "tags.2", "tags.4")
        request = {"query_string": [["a", "1"], ["b"], "c"], "cookies": [["a", "1"], ["a", "2"]]}
        expected = {"query_string": "a=1", "cookies": {"a": "1"}}
        paths = ("request.query_string.1", "request.query_string.2", "request.cookies.1")
        self.loses({"request": request}, {"request": expected}, *paths)

    def test_values_of_a_query_string_are_json(self) -> None:
        for given, expected in (
            ({"color": ["red"]}, "color=%5B%22red%22%5D"),
            ([["on", True], ["off", False], ["none", None]], "on=true&off=false&none="),
            ({"a": {"b": [1, None]}}, "a=%7B%22b%22%3A%5B1%2Cnull%5D%7D"),
            ({"a": 1.5, "b": 7}, "a=1.5&b=7"),
            ({"a": "x y", "b": "\u00fc", "c": "\ud83d"}, "a=x+y&b=%C3%BC&c=%3F"),
            ("a=%20&b", "a=%20&b"),
        ):
            self.sends({"request": {"query_string": given}}, {"request": {"query_string": expected}})

    def test_structured_texts_are_json_in_the_format_of_relay(self) -> None:
        for given, expected in (
            ({"a": [1, None]}, '{"a":[1,null]}'),
            (True, "true"),
            (7.0, "7.0"),
            (["\u00fc"], '["\u00fc"]'),
        ):
            self.sends({"exception": [{"value": given}]}, {"exception": {"values": [{"value": expected}]}})
            self.sends({"request": {"data": given}}, {"request": {"data": expected}})
            if not isinstance(given, dict):
                self.sends({"message": given}, {"message": expected})
                self.sends({"logentry": given}, {"logentry": {"formatted": expected}})

    def test_fingerprints_are_those_of_relay(self) -> None:
        for given, expected in (
            (["a", None, "b"], ["a", "b"]),
            ([1, True, None, 1.9, -0.5, 7.0], ["1", "True", "1", "-0", "7"]),
            ([None], []),
            ("pump", ["pump"]),
            (1.5, ["1"]),
        ):
            self.sends({"fingerprint": given}, {"fingerprint": expected})
        self.loses({"fingerprint": ["a", ["b"], 1e300]}, {"fingerprint": ["a"]}, "fingerprint")
        self.loses({"fingerprint": {"a": "b"}}, {"fingerprint": None}, "fingerprint")

    def test_empty_objects_are_no_values(self) -> None:
        for name in ("exception", "threads", "breadcrumbs"):
            self.sends({name: {"values": {}}}, {name: {"values": []}})
            self.sends({name: {}}, {name: {}})

    def test_nulls_keep_positions_in_source_lines_only(self) -> None:
        frame = {"lineno": 7, "pre_context": ["a", None, ["b"]], "post_context": [None]}
        expected = {"lineno": 7, "pre_context": ["a", "", '["b"]'], "post_context": [""]}
        self.sends({"stacktrace": {"frames": [frame, None]}}, {"stacktrace": {"frames": [expected]}})
        self.sends({"template": frame}, {"template": expected})
        sdk = {"name": "a", "version": "1", "integrations": ["x", None], "features": [None]}
        self.sends({"sdk": sdk}, {"sdk": sdk | {"integrations": ["x"], "features": []}})

    def test_an_integer_is_truncated_as_relay_does(self) -> None:
        for given, expected in ((7.9, 7), (-7.9, -7), ("7", 7), (7.0, 7)):
            frame = {"lineno": given, "colno": given}
            self.sends(
                {"stacktrace": {"frames": [frame]}}, {"stacktrace": {"frames": [dict.fromkeys(frame, expected)]}}
            )
            self.sends({"request": {"body_size": given}}, {"request": {"body_size": expected}})
            mechanism = {"type": "a", "exception_id": given, "parent_id": given}
            result = {"type": "a", "exception_id": expected, "parent_id": expected}
            self.sends({"exception": [{"mechanism": mechanism}]}, {"exception": {"values": [{"mechanism": result}]}})
        self.loses({"stacktrace": {"frames": [{"lineno": 1e300}]}}, {}, "stacktrace.frames.0.lineno")
        self.sends({"release": 1e300}, {"release": "1e+300"})


class TestTimes(RelayCase):
    def test_times_are_parsed_from_texts(self) -> None:
        for given, expected in (
            ("1754049600", "2025-08-01T12:00:00.000000Z"),
            (" 1754049600.25\n", "2025-08-01T12:00:00.250000Z"),
            (1754049600, "2025-08-01T12:00:00.000000Z"),
            ("2026-08-01 12:00:00", "2026-08-01T12:00:00.000000Z"),
            ("2026-08-01 12:00:00.5+02:00", "2026-08-01T10:00:00.500000Z"),
            ("2026-08-01", "2026-08-01T00:00:00.000000Z"),
            ("2026-08-01T12:00Z", "2026-08-01T12:00:00.000000Z"),
            ("2026-08-01T12:00:00", "2026-08-01T12:00:00"),
            ("2026-08-01T12:00:00.123456789+02:00", "2026-08-01T12:00:00.123456789+02:00"),
            ("yesterday", "yesterday"),
            ("1e9", "1e9"),
            ("9" * 20, "9" * 20),
            ("0001-01-01 00:00:00+23:00", "0001-01-01 00:00:00+23:00"),
        ):
            times = {"timestamp": given, "start_timestamp": given}
            result = {"timestamp": expected, "start_timestamp": expected}
            breadcrumbs = {"values": [{"timestamp": expected}]}
            self.sends(
                {**times, "spans": [times], "breadcrumbs": [{"timestamp": given}]},
                {**result, "spans": [result], "breadcrumbs": breadcrumbs},
            )

    def test_a_time_without_a_zone_is_in_utc_wherever_the_plugin_runs(self) -> None:
        self.addCleanup(time.tzset)
        with mock.patch.dict(os.environ, {"TZ": "Asia/Tokyo"}):
            time.tzset()
            self.sends({"timestamp": "2026-08-01 12:00:00"}, {"timestamp": "2026-08-01T12:00:00.000000Z"})

    def test_a_time_that_is_none_is_replaced_by_the_current_one(self) -> None:
        sent, warnings = submit({"message": "m", "timestamp": {"a": 1}})
        self.assertLess(abs((datetime.now(UTC) - datetime.fromisoformat(sent["timestamp"])).total_seconds()), 60)
        self.assertIn("timestamp", warnings[0])


class TestInvalidValues(RelayCase):
    def test_one_invalid_value_does_not_reject_the_event(self) -> None:
        self.loses(
            {"breadcrumbs": [{"message": "a"}, {"message": "b", "data": ["x"]}]},
            {"breadcrumbs": {"values": [{"message": "a"}, {"message": "b"}]}},
            "breadcrumbs.values.1.data",
        )
        self.loses({"logentry": {"message": {}}}, {"message": "m", "logentry": {}}, "logentry.message")
        self.loses({"level": ["error"], "tags": 7}, {"level": None, "tags": None}, "level", "tags")
        self.loses({"exception": "text"}, {"exception": None}, "exception")
        self.loses({"request": "text"}, {"request": None}, "request")
        frame = {"function": "f", "pre_context": {"a": 1}}
        self.loses(
            {"stacktrace": {"frames": [frame]}},
            {"stacktrace": {"frames": [{"function": "f"}]}},
            "stacktrace.frames.0.pre_context",
        )
        self.loses(
            {"exception": ["text", {"type": "E"}]}, {"exception": {"values": [{"type": "E"}]}}, "exception.values.0"
        )
        self.loses(
            {"exception": [{"type": "E", "stacktrace": {"frames": [None, {"function": "f", "in_app": "maybe"}]}}]},
            {"exception": {"values": [{"type": "E", "stacktrace": {"frames": [{"function": "f"}]}}]}},
            "exception.values.0.stacktrace.frames.1.in_app",
        )

    def test_what_is_nested_too_deeply_for_json_stays_for_the_schema(self) -> None:
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        self.assertIs(normalize_event_json({"message": deep})["message"], deep)

    def test_the_errors_of_the_input_are_kept(self) -> None:
        given = {"type": "js_no_source", "url": "https://h.example/a.js"}
        sent, _ = submit({"message": "m", "errors": [given], "tags": 7})
        self.assertEqual(sent["errors"], [given, {"type": "invalid_data", "name": "tags"}])
        self.loses({"errors": "text"}, {}, "errors")

    def test_neither_log_nor_errors_quote_a_value(self) -> None:
        sent, warnings = submit({"message": "m", "user": {"data": ["a-password"]}, "extra": "a-password"})
        self.assertNotIn("a-password", json.dumps(sent) + str(warnings))

    def test_many_invalid_values_do_not_make_the_event_too_large(self) -> None:
        event = {"message": "m", "breadcrumbs": [{"message": "b" * 20, "data": [1]}] * 18_000}
        sent, warnings = submit(event)
        self.assertEqual(len(sent["breadcrumbs"]["values"]), 18_000)
        self.assertEqual(len(sent["errors"]), 100)
        self.assertLess(len(warnings[0]), 1000)

    def test_what_is_no_event_is_rejected(self) -> None:
        for event, cause in (
            ("text", "The input 'event_json' is not an object."),
            (["a"], "The input 'event_json' is not an object."),
            ({"breadcrumbs": 7}, "The event has no content."),
            ({"message": "m", "event_id": ["a"]}, "The event_id of the event is invalid."),
            ({"message": "m", "event_id": 7}, "The event_id of the event is invalid."),
            ({"message": "m", "extra": {"a": float("nan")}}, "The event cannot be serialized as JSON"),
        ):
            with self.subTest(cause), self.assertRaises(InvalidInput) as caught:
                params = {"dsn": f"https://{KEY}@h.example/7", "event_json": event}
                run_action("submit_event", connection_to("https://sentry.example.com"), params)
            self.assertIn(cause, caught.exception.cause)


class TestSize(unittest.TestCase):
    def test_the_size_is_checked_first(self) -> None:
        event = {"message": "m", "breadcrumbs": [{"message": "b" * 30, "data": ["x"], "level": []}] * 150_000}
        self.assertGreater(len(json.dumps(event)), 10 * 1024 * 1024 * 0.9)
        params = {"dsn": f"https://{KEY}@h.example/7", "event_json": event}
        started = time.process_time()
        with self.assertRaises(PluginException) as caught:
            run_action("submit_event", connection_to("https://sentry.example.com"), params)
        self.assertLess(time.process_time() - started, 1.0)
        self.assertIn("The event is too large", caught.exception.cause)

    def test_normalizing_takes_time_in_proportion_to_the_size(self) -> None:
        frame = {"function": "f", "lineno": 7, "vars": {"a": 1}, "pre_context": ["a", None, "b"], "in_app": True}
        exception = {"type": "E", "value": "v", "stacktrace": {"frames": [frame] * 100}}
        event = {"message": "m", "exception": [exception], "breadcrumbs": [{"message": "b", "timestamp": 1}] * 1000}
        size = len(json.dumps(event)) / 1024
        started = time.process_time()
        submit(event)
        self.assertLess((time.process_time() - started) * 1000 / size, 5)
