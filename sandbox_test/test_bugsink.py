"""Events submitted to Bugsink, an independent server that validates them against Sentry's schema."""

import os
import re
import unittest
from typing import ClassVar

from e2e.test_submit_event import SHAPES, TAGS
from komand_sentry.actions.submit_event.schema import SubmitEventInput
from komand_sentry.connection import Connection
from komand_sentry.util.sentry.event_payload import normalize_event_json
from komand_sentry.util.step import parse_inputs
from testing.plugin import Json
from testing.support import connection_to, run_action

from .bugsink_server import BIN, BugsinkServer

EVENTS: dict[str, Json] = {
    **{name: event for name, (event, _) in SHAPES.items()},
    **{name: {"message": "m", **event} for name, (event, _) in TAGS.items()},
}
# Events with another title than in Sentry: Bugsink does not format messages.
TITLES = {"message-as-logentry": ("Log Message", "Pump %s stopped")}

VALIDATION_ERROR = re.compile(r"event data validation failed: \[[\"'](.*)[\"']\]")
# The schema is stricter than Sentry, which accepts `message` instead of `logentry`.
NO_MESSAGE = "$: Additional properties are not allowed ('message' was unexpected)"


def setUpModule() -> None:
    if not (BIN / "bugsink-manage").exists():
        reason = f"needs {BIN.parent.name}, an environment with requirements-bugsink.txt"
        if os.environ.get("CI"):
            raise AssertionError(reason)
        raise unittest.SkipTest(reason)


class TestBugsink(unittest.TestCase):
    maxDiff = None
    server: ClassVar[BugsinkServer]
    connection: ClassVar[Connection]
    ids: ClassVar[dict[str, str]]
    validation_errors: ClassVar[dict[str, list[str]]]
    stored: ClassVar[dict[str, Json]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = cls.enterClassContext(BugsinkServer())
        cls.connection = connection_to(cls.server.base)
        submitted = {name: cls.submit(event) for name, event in EVENTS.items()}
        cls.ids = {name: event_id for name, (event_id, _) in submitted.items()}
        cls.validation_errors = {name: validation_errors for name, (_, validation_errors) in submitted.items()}
        cls.stored = cls.server.events()

    @classmethod
    def submit(cls, event: Json) -> tuple[str, list[str]]:
        """Submit an event; return its ID and the validation errors in Bugsink's log."""
        logged = len(cls.server.log())
        output = run_action("submit_event", cls.connection, {"dsn": cls.server.dsn, "event_json": event})
        return output["id"], VALIDATION_ERROR.findall(cls.server.log()[logged:])

    def test_exactly_these_events_are_stored(self) -> None:
        self.assertEqual(len(set(self.ids.values())), len(EVENTS))
        self.assertEqual(set(self.stored), set(self.ids.values()))

    def test_an_event_is_stored_as_it_was_sent(self) -> None:
        for name, event in EVENTS.items():
            with self.subTest(name):
                params = {"dsn": self.server.dsn, "event_json": event}
                sent = parse_inputs(params, SubmitEventInput.schema, {"event_json": normalize_event_json})["event_json"]
                data = dict(self.stored[self.ids[name]]["data"])
                self.assertTrue(data.pop("timestamp"))
                self.assertEqual(data, {**sent, "event_id": self.ids[name]})

    def test_the_title_is_the_exception_or_message(self) -> None:
        for name, (_, expected) in SHAPES.items():
            with self.subTest(name):
                title = "Log Message", expected.get("message", {"formatted": "m"})["formatted"]
                if "exception" in expected:
                    exception = expected["exception"]["values"][0]
                    title = exception["type"], exception["value"]
                event = self.stored[self.ids[name]]
                self.assertEqual((event["type"], event["value"]), TITLES.get(name, title))

    def test_attributes_become_columns_or_tags(self) -> None:
        for name, (_, expected) in TAGS.items():
            with self.subTest(name):
                event = self.stored[self.ids[name]]
                self.assertEqual({**event, **event["tags"], **expected}, {**event, **event["tags"]})

    def test_the_events_match_sentrys_schema_with_known_exceptions(self) -> None:
        for name, event in EVENTS.items():
            with self.subTest(name):
                is_text = isinstance(event.get("message"), str)
                self.assertEqual(self.validation_errors[name], [NO_MESSAGE] if is_text else [])
                if is_text:
                    # Bugsink logs only one error per event, so `message` may hide another.
                    rest = {key: value for key, value in event.items() if key != "message"}
                    _, validation_errors = self.submit({"logentry": event["message"], **rest})
                    self.assertEqual(validation_errors, [])
