"""GlitchTip, an independent server with Sentry's API, writes some keys in snake case."""

import json
import re
import unittest
from typing import Any

from komand_sentry.actions.list_issue_events.schema import ListIssueEventsOutput
from komand_sentry.actions.list_project_issues.schema import ListProjectIssuesOutput
from komand_sentry.util.sentry.normalize import normalize_event, normalize_issue, record_id
from testing.plugin import Json
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to, run_action

EVENT_ID = "ab12cd34ef56ab78cd90ef12ab34cd56"
EVENT: Json = {
    "id": EVENT_ID,
    "event_id": EVENT_ID,
    "project_id": 1,
    "group_id": "7",
    "date_created": "2026-08-01T12:00:00Z",
    "date_received": "2026-08-01T12:00:01Z",
    "title": "Pump P-2 stopped",
    "tags": [{"key": "environment", "value": "production"}],
}
ISSUE: Json = {
    "id": "7",
    "shortId": "PUMP-1",
    "share_id": 5,
    "status_details": {},
    "subscription_details": None,
    "user_count": 3,
    "count": "4",
    "project": {"id": "1", "slug": "pump", "name": "Pump", "platform": None},
}


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class TestSnakeCase(unittest.TestCase):
    def test_every_declared_key_of_several_words_is_normalized(self) -> None:
        schemas: tuple[tuple[Any, str, Any], ...] = (
            (ListProjectIssuesOutput.schema, "Issue", normalize_issue),
            (ListIssueEventsOutput.schema, "Event", normalize_event),
        )
        for schema, definition, normalize in schemas:
            names = [name for name in schema["definitions"][definition]["properties"] if snake_case(name) != name]
            self.assertGreater(len(names), 6)
            for name in names:
                with self.subTest(definition, name=name):
                    self.assertEqual(normalize({snake_case(name): {"id": "1"}}).keys(), {name})

    def test_a_key_of_sentry_wins_unless_it_is_null(self) -> None:
        self.assertEqual(
            normalize_event({"eventID": "a", "event_id": "b", "groupID": None, "group_id": "7"}),
            {"eventID": "a", "event_id": "b", "groupID": "7"},
        )

    def test_an_assignee_in_snake_case_is_normalized_like_any_other(self) -> None:
        self.assertEqual(normalize_issue({"assigned_to": "team:2"}), {"assignedTo": {"type": "team", "id": "2"}})

    def test_other_keys_stay_as_they_are(self) -> None:
        record = {"_meta": None, "event.type": "error", "own_key": 1, "firstSeen": "x", "user": {"ip_address": "::1"}}
        self.assertEqual(normalize_event(dict(record)), record)
        self.assertEqual(normalize_issue(dict(record)), record)


class TestRecordID(unittest.TestCase):
    def test_the_id_of_a_raw_record(self) -> None:
        for record, key, expected in (
            ({"eventID": "a", "id": "7"}, "eventID", "a"),
            ({"event_id": EVENT_ID, "id": EVENT_ID}, "eventID", EVENT_ID),
            ({"eventID": None, "id": 7}, "eventID", "7"),
            ({"id": 0}, "id", "0"),
            ({"title": "x"}, "eventID", None),
            ({"id": None}, "id", None),
        ):
            with self.subTest(record):
                self.assertEqual(record_id(record, key), expected)


class TestActions(unittest.TestCase):
    def test_list_issue_events_returns_sentrys_keys(self) -> None:
        answer = Answer(200, json.dumps([EVENT]).encode(), {"Link": '<x>; rel="next"; results="false"; cursor=""'})
        with ScriptedServer(("GET", "/api/0/organizations/acme/issues/7/events/", answer)) as server:
            inputs = {"issue_id": "7", "organization_slug": "acme"}
            output = run_action("list_issue_events", connection_to(server.base), inputs)
        self.assertEqual(
            output["events"],
            [
                {
                    "id": EVENT_ID,
                    "eventID": EVENT_ID,
                    "projectID": "1",
                    "groupID": "7",
                    "dateCreated": "2026-08-01T12:00:00Z",
                    "dateReceived": "2026-08-01T12:00:01Z",
                    "title": "Pump P-2 stopped",
                    "tags": [{"key": "environment", "value": "production"}],
                }
            ],
        )

    def test_update_issue_returns_sentrys_keys(self) -> None:
        answer = Answer(200, json.dumps({**ISSUE, "status": "resolved"}).encode())
        with ScriptedServer(("PUT", "/api/0/issues/7/", answer)) as server:
            output = run_action("update_issue", connection_to(server.base), {"issue_id": "7", "status": "resolved"})
        issue = output["issue"]
        self.assertEqual(
            {key: issue.get(key) for key in ("shareId", "statusDetails", "userCount", "subscriptionDetails")},
            {"shareId": "5", "statusDetails": {}, "userCount": 3, "subscriptionDetails": None},
        )
        self.assertFalse([key for key in issue if "_" in key])
