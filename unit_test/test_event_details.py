"""Details of events of several platforms, and of malformed events."""

import copy
import json
import unittest
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from komand_sentry.actions.get_event.schema import GetEventOutput
from komand_sentry.util.sentry.event_details import MAX_STACKTRACE_LENGTH, event_details
from komand_sentry.util.sentry.normalize import normalize_event
from komand_sentry.util.sentry.stack_trace import MAX_EXCEPTIONS, render, traces_of
from testing.plugin import Json
from testing.support import validate
from unit_test.conftest import many

EVENTS = Path(__file__).parent / "events"
PLATFORMS = ("python", "javascript", "java", "go", "native", "cron")

_DEFINITIONS = GetEventOutput.schema["definitions"]
_DETAILS_SCHEMA: Json = {**_DEFINITIONS["EventDetails"], "definitions": _DEFINITIONS}

# Names that the details are built from, so that arbitrary values get into each place.
_KEYS = (
    "absPath", "colNo", "context", "contexts", "crashed", "culprit", "current", "data", "dateCreated",
    "entries", "environment", "eventID", "exception", "filename", "formatted", "frames", "function", "id",
    "inApp", "instructionAddr", "key", "level", "lineNo", "message", "module", "occurrence", "package",
    "platform", "release", "request", "stacktrace", "subtitle", "tags", "threadId", "threads", "title", "type",
    "url", "user", "value", "values", "version",
)  # fmt: skip
_ARBITRARY: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(_KEYS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=12,
)


def sample(platform: str) -> tuple[Json, Json]:
    """An issue and an event of a platform."""
    record = json.loads((EVENTS / f"{platform}.json").read_text(encoding="utf-8"))
    return record["issue"], record["event"]


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value within a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for key, item in items for found in paths_of(item, (*path, key))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a path."""
    result = copy.deepcopy(value)
    parent = result
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = new
    return result


@st.composite
def malformed_events(draw: st.DrawFn) -> Any:
    """An event of a platform with arbitrary values at some places."""
    event = sample(draw(st.sampled_from(PLATFORMS)))[1]
    for _ in range(draw(st.integers(1, 3))):
        event = replaced(event, draw(st.sampled_from(paths_of(event))), draw(_ARBITRARY))
    return event


def exception_event(*exceptions: Json, platform: str = "java") -> Json:
    return {"platform": platform, "entries": [{"type": "exception", "data": {"values": list(exceptions)}}]}


def exception(name: str, frames: list[Json] | None) -> Json:
    return {"type": name, "value": "v", "stacktrace": None if frames is None else {"frames": frames}}


class TestPlatforms(unittest.TestCase):
    def test_location_is_the_innermost_frame_of_the_application(self) -> None:
        for platform, location in (
            ("python", {"file": "pumps/valve.py", "function": "open_valve", "line": 44}),
            ("javascript", {"file": "/static/app.3f9c2d.min.js", "function": "t", "line": 1}),
            ("java", {"file": "Scheduler.java", "function": "com.acme.pumps.Scheduler.plan", "line": 81}),
            (
                "go",
                {
                    "file": "/src/gateway/fieldbus/reader.go",
                    "function": "github.com/acme/gateway/fieldbus.(*Reader).Next",
                    "line": 118,
                },
            ),
            ("native", {"file": "/build/flow/src/sensor.c", "function": "read_flow", "line": 77}),
            ("cron", None),
        ):
            with self.subTest(platform):
                self.assertEqual(event_details(sample(platform)[1]).get("location"), location)

    def test_all_attributes_are_found(self) -> None:
        details = event_details(sample("python")[1], "https://acme.sentry.io/issues/31/events/1/")
        del details["stacktrace"], details["location"], details["tags"]
        self.assertEqual(
            details,
            {
                "exception_type": "ValveTimeout",
                "exception_value": "Valve V-7 did not open within 5 s",
                "culprit": "/start",
                "release": "pumps@2.4.1",
                "environment": "production",
                "level": "error",
                "platform": "python",
                "transaction": "/start",
                "url": "https://pumps.example.com/start",
                "user": {
                    "id": "815",
                    "email": "operator@example.com",
                    "username": "operator",
                    "ip_address": "203.0.113.7",
                },
                "timestamp": "2026-07-31T10:15:07Z",
                "permalink": "https://acme.sentry.io/issues/31/events/1/",
            },
        )

    def test_an_event_without_exception_has_the_message_of_its_occurrence(self) -> None:
        details = event_details(sample("cron")[1])
        self.assertEqual(details["message"], "Your monitor is failing: A missed check-in was detected.")
        self.assertEqual(details["culprit"], "A missed check-in was detected")
        self.assertEqual(details.keys() & {"exception_type", "stacktrace", "user", "permalink"}, set())
        self.assertEqual(details["tags"]["monitor.slug"], "nightly-calibration")

    def test_python_starts_with_the_cause(self) -> None:
        lines = event_details(sample("python")[1])["stacktrace"].split("\n")
        self.assertEqual(lines[0], "Traceback (most recent call last):")
        self.assertEqual(lines.index("TimeoutError: timed out"), 7)
        self.assertEqual(lines[-3], '  File "pumps/valve.py", line 44, in open_valve')
        self.assertEqual(lines[-1], "ValveTimeout: Valve V-7 did not open within 5 s")

    def test_java_ends_with_the_first_cause(self) -> None:
        lines = event_details(sample("java")[1])["stacktrace"].split("\n")
        titles = [line for line in lines if not line.startswith("  at ")]
        self.assertEqual(
            titles,
            [
                "ScheduleException: Cannot load the plan of pump P-2",
                "Caused by: SQLException: Connection to plans.example.com:5432 refused",
                "Caused by: SocketTimeoutException: Connect timed out",
            ],
        )
        self.assertEqual(lines[3], "  at com.acme.pumps.Scheduler.plan (Scheduler.java:81)")
        self.assertEqual(lines[-1], "  at sun.nio.ch.NioSocketImpl.timedFinishConnect (NioSocketImpl.java:546)")

    def test_native_frames_of_the_crashed_thread_have_addresses(self) -> None:
        lines = event_details(sample("native")[1])["stacktrace"].split("\n")
        self.assertEqual(lines[0], "SIGSEGV: Segfault at 0x10")
        self.assertEqual(lines[1], "  at __libc_start_main [libc.so.6 0x7f10aa0013e2]")
        self.assertEqual(lines[-1], "  at read_flow (/build/flow/src/sensor.c:77) [libflow.so 0x7f10a9e210d4]")

    def test_a_minified_line_is_shown_at_its_column(self) -> None:
        source = "a" * 500 + "THE_CALL()" + "b" * 500
        frame = {"filename": "app.js", "function": "f", "lineNo": 1, "colNo": 501, "context": [[1, source]]}
        trace = event_details(exception_event(exception("E", [frame]), platform="javascript"))["stacktrace"]
        self.assertIn("THE_CALL()", trace)
        self.assertLess(len(trace), 250)


class TestForms(unittest.TestCase):
    def test_message_is_the_formatted_one(self) -> None:
        for entry, message, expected in (
            ({"formatted": "Pump P-2 stopped", "message": "Pump %s stopped"}, "x", "Pump P-2 stopped"),
            ({"message": "Pump %s stopped"}, "x", "Pump %s stopped"),
            (None, "Pump P-2 stopped", "Pump P-2 stopped"),
        ):
            event = {"message": message, "entries": [{"type": "message", "data": entry}]}
            with self.subTest(expected):
                self.assertEqual(event_details(event)["message"], expected)

    def test_release_is_an_object_a_text_or_a_tag(self) -> None:
        for release in ({"version": "1.2"}, "1.2", None):
            event = {"release": release, "tags": [{"key": "release", "value": "1.2"}]}
            with self.subTest(release):
                self.assertEqual(event_details(event)["release"], "1.2")

    def test_tags_are_pairs_on_very_old_servers(self) -> None:
        event = normalize_event({"tags": [["level", "error"], ["count", 3], ["none", None]]})
        self.assertEqual(event_details(event)["tags"], {"level": "error", "count": "3", "none": ""})

    def test_frames_of_an_exception_without_any_are_those_of_its_thread(self) -> None:
        frames = {name: {"frames": [{"function": name}]} for name in ("first", "own", "crashed", "current")}
        threads: list[Json] = [
            {"id": 1, "stacktrace": frames["first"]},
            {"id": 2, "stacktrace": frames["own"]},
            {"id": 3, "stacktrace": frames["crashed"], "crashed": True},
            {"id": 4, "stacktrace": frames["current"], "current": True},
        ]
        for thread_id, shown, expected in ((2, 4, "own"), (None, 4, "crashed"), (9, 2, "first"), (None, 0, None)):
            event = exception_event({**exception("E", None), "threadId": thread_id})
            event["entries"].append({"type": "threads", "data": {"values": threads[:shown]}})
            with self.subTest(expected):
                self.assertEqual(event_details(event).get("location"), expected and {"function": expected})

    def test_a_stack_trace_without_exception(self) -> None:
        event = {"entries": [{"type": "stacktrace", "data": {"frames": [{"function": "f", "lineNo": 3}]}}]}
        self.assertEqual(event_details(event)["stacktrace"], "  at f")

    def test_a_long_stack_trace_keeps_the_failing_frames(self) -> None:
        frames = [{"function": f"f{number}", "filename": "a" * 500, "lineNo": number} for number in range(1, 1001)]
        for platform in ("java", "python"):
            event = exception_event(*(exception(f"E{number}", frames) for number in range(30)), platform=platform)
            trace = event_details(event)["stacktrace"]
            with self.subTest(platform):
                self.assertLessEqual(len(trace), MAX_STACKTRACE_LENGTH)
                self.assertGreater(len(trace), MAX_STACKTRACE_LENGTH // 2)
                self.assertEqual(trace.count("f1000"), MAX_EXCEPTIONS)
                self.assertEqual(trace.count("more frames"), MAX_EXCEPTIONS)
                self.assertIn("E29: v", trace)
                self.assertNotIn("E19: v", trace)


class TestMalformed(unittest.TestCase):
    @many
    @given(malformed_events() | st.dictionaries(st.sampled_from(_KEYS), _ARBITRARY), st.integers(200, 3000))
    def test_details_of_any_event_are_valid(self, event: Any, max_length: int) -> None:
        details = event_details(normalize_event(event))
        validate(details, _DETAILS_SCHEMA)
        self.assertNotIn("", [value for key, value in details.items() if key != "tags"])
        self.assertLessEqual(len(details.get("stacktrace", "")), MAX_STACKTRACE_LENGTH)
        self.assertLessEqual(len(render(traces_of(event), max_length)), max_length)
