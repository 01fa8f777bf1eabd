"""submit_event: the events as the server shows them."""

from collections.abc import Callable
from typing import Any, ClassVar

from testing.plugin import Json

from .case import RUN, E2ECase

UNKNOWN_KEY = "0123456789abcdef0123456789abcdef"

EXCEPTION = {"type": "ValveTimeout", "value": "V-7 did not open"}
FRAME = {"filename": "pumps/valve.py", "function": "open", "lineno": 42, "in_app": True, "vars": {"v": None}}

# The submitted event, and a part of the event as the server shows it (an attribute, or a type of `entries`).
SHAPES: dict[str, tuple[Json, dict[str, Any]]] = {
    "message": ({"message": "Pump P-2 stopped"}, {"message": {"formatted": "Pump P-2 stopped"}}),
    "message-as-logentry": (
        {"message": {"message": "Pump %s stopped", "params": ["P-2"]}},
        {"message": {"formatted": "Pump P-2 stopped", "params": ["P-2"]}},
    ),
    "logentry-as-text": ({"logentry": "Pump P-3 stopped"}, {"message": {"formatted": "Pump P-3 stopped"}}),
    "exception-values": ({"exception": {"values": [EXCEPTION]}}, {"exception": {"values": [EXCEPTION]}}),
    "exception-list": ({"exception": [EXCEPTION]}, {"exception": {"values": [EXCEPTION]}}),
    "exception-single": ({"exception": EXCEPTION}, {"exception": {"values": [EXCEPTION]}}),
    "exception-legacy-name": ({"sentry.interfaces.Exception": [EXCEPTION]}, {"exception": {"values": [EXCEPTION]}}),
    "stacktrace": (
        {"exception": {**EXCEPTION, "stacktrace": {"frames": [FRAME]}, "mechanism": {"type": "x", "handled": False}}},
        {"exception": {"values": [{**EXCEPTION, "mechanism": {"type": "x", "handled": False}}]}},
    ),
    "threads": (
        {"message": "m", "threads": [{"id": 1, "name": "main", "crashed": True}]},
        {"threads": {"values": [{"id": "1", "name": "main", "crashed": True}]}},
    ),
    "breadcrumbs": (
        {"message": "m", "breadcrumbs": [{"message": "b", "timestamp": 1700000000, "level": "info"}]},
        {"breadcrumbs": {"values": [{"message": "b", "level": "info"}]}},
    ),
    "request": (
        {
            "message": "m",
            "request": {
                "url": "https://pumps.example.com/p",
                "method": "POST",
                "query_string": {"q": "1"},
                "headers": [["X-A", "b"]],
                "data": {"speed": 3},
            },
        },
        {"request": {"url": "https://pumps.example.com/p", "method": "POST", "data": {"speed": 3}}},
    ),
    "user": (
        {"message": "m", "user": {"id": 5, "email": "user1@example.com", "ip_address": "198.51.100.7"}},
        {"user": {"id": "5", "email": "user1@example.com", "ip_address": "198.51.100.7"}},
    ),
    "contexts": (
        {"message": "m", "contexts": {"os": {"name": "Linux"}}},
        {"contexts": {"os": {"name": "Linux", "type": "os"}}},
    ),
    "extra": ({"message": "m", "extra": {"a": {"b": [1, None]}}}, {"context": {"a": {"b": [1, None]}}}),
    "modules": ({"message": "m", "modules": {"requests": "2.32.0"}}, {"packages": {"requests": "2.32.0"}}),
    "platform": ({"message": "m", "platform": "python"}, {"platform": "python"}),
    "sdk": ({"message": "m", "sdk": {"name": "e2e", "version": "1.0"}}, {"sdk": {"name": "e2e", "version": "1.0"}}),
    "blank-inputs": ({"message": "m", "environment": "", "release": "", "user": None}, {}),
}
TAGS: dict[str, tuple[Json, dict[str, str]]] = {
    "tags-of-every-kind": ({"tags": {"depth": 4, "open": True}}, {"depth": "4", "open": "True"}),
    "tags-from-attributes": (
        {"environment": "production", "server_name": "host-1", "logger": "pumps", "transaction": "/start"},
        {"environment": "production", "server_name": "host-1", "logger": "pumps", "transaction": "/start"},
    ),
    "level-by-name": ({"level": "fatal"}, {"level": "fatal"}),
    "level-by-number": ({"level": 30}, {"level": "warning"}),
    "level-in-upper-case": ({"level": "INFO"}, {"level": "info"}),
    "release-by-number": ({"release": 7, "dist": 77}, {"release": "7", "dist": "77"}),
}


class TestSubmitEvent(E2ECase):
    maxDiff = None
    ids: ClassVar[dict[str, str]] = {}

    @classmethod
    def setUpClass(cls) -> None:
        # Submit all events before reading any, to wait only once.
        case = cls("runTest")
        for name, (event, _) in SHAPES.items():
            cls.ids[name] = case.submit(name, event)
        for name, (event, _) in TAGS.items():
            cls.ids[name] = case.submit(name, {"message": "m", **event})

    def runTest(self) -> None:
        """Required by setUpClass, which creates a case without a test."""

    def test_every_shape_is_stored_without_errors(self) -> None:
        for name, (_, expected) in SHAPES.items():
            with self.subTest(name):
                event = self.event_of(self.issue_of(name), self.ids[name])
                entries = {entry["type"]: entry["data"] for entry in event["entries"]}
                for key, value in expected.items():
                    self.assert_holds(entries[key] if key in entries else event[key], value, key)
                self.assertEqual(event["errors"], [])

    def test_attributes_become_tags(self) -> None:
        for name, (_, expected) in TAGS.items():
            with self.subTest(name):
                event = self.event_of(self.issue_of(name), self.ids[name])
                tags = {tag["key"]: tag["value"] for tag in event["tags"]}
                self.assert_holds(tags, expected, "tags")
                self.assertEqual(event["errors"], [])

    def test_frames_keep_their_variables(self) -> None:
        event = self.event_of(self.issue_of("stacktrace"), self.ids["stacktrace"])
        frame = event["entries"][0]["data"]["values"][0]["stacktrace"]["frames"][0]
        self.assertEqual((frame["function"], frame["lineNo"], frame["vars"]), ("open", 42, {"v": None}))

    def test_invalid_attributes_are_errors_of_the_event(self) -> None:
        for case, event, name in (
            ("timestamp-of-2018", {"timestamp": "2018-07-16T00:00:00+02:00"}, "timestamp"),
            ("timestamp-garbage", {"timestamp": "yesterday"}, "timestamp"),
            ("level-bogus", {"level": "alarming"}, "level"),
            ("ip-bogus", {"user": {"ip_address": "nowhere"}}, "user.ip_address"),
        ):
            with self.subTest(case):
                event_id = self.submit(case, {"message": "m", **event})
                errors = self.event_of(self.issue_of(case), event_id)["errors"]
                self.assertEqual([error["data"]["name"] for error in errors], [name])
                self.assertTrue(errors[0]["type"] and errors[0]["message"])

    def test_a_timestamp_is_kept_as_text_and_as_number(self) -> None:
        issue_time = self.issue_of("message")["lastSeen"]
        for case, timestamp in (("iso-time", issue_time), ("iso-time-with-zone", issue_time.replace("Z", "+00:00"))):
            event_id = self.submit(case, {"message": "m", "timestamp": timestamp})
            created = self.event_of(self.issue_of(case), event_id)["dateCreated"]
            self.assertEqual(created[:19], issue_time[:19])

    def test_the_event_id_of_the_input_is_stored(self) -> None:
        event_id = f"{RUN}{RUN[:4]}4ABC8DEF0123456789abcdef"[:32].upper()
        self.assertEqual(self.submit("own-id", {"message": "m", "event_id": event_id}), event_id.lower())
        self.assertEqual(self.event_of(self.issue_of("own-id"), event_id.lower())["eventID"], event_id.lower())

    def test_a_dsn_with_a_secret_and_a_protocol_version(self) -> None:
        self.need("DSN_SECRET")
        event_id = self.submit("secret-dsn", {"message": "m"}, dsn=self.target["DSN_SECRET"], sentry_version=7)
        self.event_of(self.issue_of("secret-dsn"), event_id)

    def test_by_stdin(self) -> None:
        event = {"message": "m", "fingerprint": [RUN, "stdin"], "tags": {"e2e_case": f"stdin-{RUN}"}}
        event_id = self.step_by_stdin("submit_event", {"dsn": self.target["DSN"], "event_json": event})["id"]
        issue = self.issue_of("stdin")
        self.assertEqual(self.event_of(issue, event_id)["eventID"], event_id)

    def test_the_issue_of_the_event_is_returned(self) -> None:
        self.assert_issue_is_found("wait", self.step)

    def test_the_issue_of_the_event_is_returned_by_stdin(self) -> None:
        self.assert_issue_is_found("wait-stdin", self.step_by_stdin)

    def assert_issue_is_found(self, case: str, run: Callable[[str, Json], Json]) -> None:
        event = {"message": "m", "fingerprint": [RUN, case], "tags": {"e2e_case": f"{case}-{RUN}"}}
        inputs = {"wait_for_issue": True, "organization_slug": self.target["ORG"]}
        output = run("submit_event", {"dsn": self.target["DSN"], "event_json": event, **inputs})
        issue = self.issue_of(case)
        self.assertTrue(output["found"])
        found = tuple(output[name] for name in ("issue_id", "short_id", "permalink"))
        self.assertEqual(found, (issue["id"], issue["shortId"], issue["permalink"]))

    def test_without_waiting_no_issue_is_returned(self) -> None:
        output = self.step("submit_event", {"dsn": self.target["DSN"], "event_json": {"message": f"m {RUN}"}})
        self.assertEqual(list(output), ["id"])

    def assert_holds(self, actual: Any, expected: Any, path: str) -> None:
        """Assert that `actual` has all expected values. The server may add others."""
        if isinstance(expected, dict):
            self.assertIsInstance(actual, dict, path)
            for key, value in expected.items():
                self.assertIn(key, actual, path)
                self.assert_holds(actual[key], value, f"{path}.{key}")
        elif isinstance(expected, list) and expected and isinstance(expected[0], dict):
            self.assertEqual(len(actual), len(expected), path)
            for index, value in enumerate(expected):
                self.assert_holds(actual[index], value, f"{path}.{index}")
        else:
            self.assertEqual(actual, expected, path)


class TestSubmitEventRefused(E2ECase):
    def refused(self, **inputs: Any) -> Json:
        params = {"dsn": self.target["DSN"], "event_json": {"message": f"Refused in run {RUN}"}, **inputs}
        return self.failure("submit_event", params)

    def test_an_unknown_key(self) -> None:
        scheme, _, rest = self.target["DSN"].partition("://")
        dsn = f"{scheme}://{UNKNOWN_KEY}@{rest.rpartition('@')[2]}"
        self.assertIn("Client Keys (DSN)", self.refused(dsn=dsn)["assistance"])

    def test_an_unsupported_protocol_version(self) -> None:
        self.assertIn("99", self.refused(sentry_version=99)["data"])

    def test_invalid_inputs_are_refused_by_the_plugin(self) -> None:
        for inputs in ({"dsn": "https://sentry.example.com/1"}, {"event_json": {"event_id": "abcd", "message": "m"}}):
            self.assertIn("invalid", self.refused(**inputs)["cause"])
