"""Issues and events of all server versions become the records that the output schemas declare."""

import copy
import json
import time
import unittest
from typing import Any

from komand_sentry.actions.list_issue_events.schema import ListIssueEventsOutput
from komand_sentry.actions.list_project_issues.schema import ListProjectIssuesOutput
from komand_sentry.util.coerce import coerce
from komand_sentry.util.sentry.normalize import Record, normalize_event, normalize_issue
from testing.support import validate

EVENT_ID = "0123456789abcdef0123456789abcdef"
ISSUE_2018: Record = json.loads("""{
    "id": "7", "shortId": "PUMP-7", "shareId": null, "culprit": "", "logger": null, "permalink": null, "level": "error",
    "status": "ignored", "statusDetails": {"ignoreCount": 5, "ignoreUntil": null, "actor": null},
    "project": {"id": "2", "name": "Pump", "slug": "pump"}, "metadata": {"type": "PumpError", "value": null},
    "assignedTo": {"type": "user", "id": "1", "name": "user1@example.com", "email": "user1@example.com"},
    "annotations": ["<a href=\\"https://tracker.example/7?a=1&amp;b=2\\">#7</a>"], "subscriptionDetails": null,
    "numComments": 0, "count": "12", "userCount": 0, "firstSeen": "2018-11-06T09:00:00Z", "lastSeen": null,
    "isPublic": false, "stats": {"24h": [[1541494800, 0], [1541498400, 12]]}
}""")
ISSUE_2026: Record = ISSUE_2018 | json.loads("""{
    "substatus": "archived_until_condition_met", "platform": "python", "isUnhandled": false, "priority": null,
    "project": {"id": "2", "name": "Pump", "slug": "pump", "platform": null}, "filtered": null, "owners": null,
    "assignedTo": {"type": "team", "id": "3", "name": "valves"}, "seerFixabilityScore": 0.25,
    "annotations": [{"displayName": "#7", "url": "https://tracker.example/7"}], "derivedData": {"blocker": null},
    "inbox": {"reason": 0, "reason_details": null, "date_added": "2026-08-01T00:00:00.125Z"},
    "lifetime": {"count": "12", "stats": null}, "stats": {"24h": [[1785542400, 0.0], [1785546000, 12.5]]}
}""")
EVENT_2018: Record = json.loads("""{
    "id": "4711", "eventID": "0123456789abcdef0123456789abcdef", "groupID": "7", "dist": null, "message": "dry",
    "user": {"id": "1", "email": null, "username": null, "ip_address": "10.0.0.7", "name": null, "data": null},
    "tags": [{"key": "level", "value": "error", "_meta": null}, {"key": "user", "value": "id:1", "query": "user:1"}],
    "entries": [{"type": "message", "data": {"message": "dry", "params": null}}], "contexts": {},
    "context": {"a": null}, "packages": {"pump": null}, "sdk": null, "crashFile": null, "metadata": {"title": null},
    "size": 512, "errors": [{"type": "invalid_data", "message": "odd release", "data": {"value": null}}],
    "fingerprints": ["fedcba9876543210fedcba9876543210"], "_meta": {"user": null, "tags": {}}
}""")
EVENT_2026: Record = json.loads("""{
    "id": "0123456789abcdef0123456789abcdef", "eventID": "0123456789abcdef0123456789abcdef", "event.type": "error",
    "groupID": null, "projectID": "2", "message": "", "location": null, "user": null, "platform": "other",
    "tags": [{"key": "user", "value": null, "query": "user.id:7"}], "crashFile": null, "occurrence": null,
    "previousEventID": null
}""")


def issue_out(raw: Record) -> Any:
    """The output of List Project Issues for one issue of a server."""
    output = coerce({"issues": [normalize_issue(copy.deepcopy(raw))]}, ListProjectIssuesOutput.schema, is_output=True)
    validate(output, ListProjectIssuesOutput.schema)
    return output["issues"][0]


def event_out(raw: Record) -> Any:
    """The output of List Issue Events for one event of a server."""
    output = coerce({"events": [normalize_event(copy.deepcopy(raw))]}, ListIssueEventsOutput.schema, is_output=True)
    validate(output, ListIssueEventsOutput.schema)
    return output["events"][0]


def without_nulls(record: Record, *kept: str) -> Record:
    return {key: value for key, value in record.items() if value is not None or key in kept}


class TestIssue(unittest.TestCase):
    maxDiff = None

    def test_an_issue_of_2018_only_loses_nulls(self) -> None:
        link = {"displayName": "#7", "url": "https://tracker.example/7?a=1&b=2"}
        self.assertEqual(issue_out(ISSUE_2018), {**without_nulls(ISSUE_2018), "annotations": [link]})

    def test_an_issue_of_2026_only_loses_nulls(self) -> None:
        project = {"id": "2", "name": "Pump", "slug": "pump"}
        self.assertEqual(issue_out(ISSUE_2026), {**without_nulls(ISSUE_2026), "project": project})

    def test_missing_attributes_are_not_added(self) -> None:
        for row in ({"id": "7"}, {"id": "7", "stats": None, "assignedTo": None, "annotations": None}):
            with self.subTest(row):
                self.assertEqual(issue_out(row), {"id": "7"})

    def test_every_form_of_an_assignee_becomes_an_actor(self) -> None:
        mail = "user1@example.com"
        forms: tuple[tuple[Any, Any], ...] = (
            ({"type": "team", "id": 3, "name": "valves"}, {"type": "team", "id": "3", "name": "valves"}),
            (
                {"type": "team", "id": "3", "slug": "valves"},
                {"type": "team", "id": "3", "slug": "valves", "name": "valves"},
            ),
            ({"id": "1", "username": "u1", "name": None}, {"type": "user", "id": "1", "username": "u1", "name": "u1"}),
            ({"id": "1", "type": None}, {"type": "user", "id": "1"}),
            ("user:1", {"type": "user", "id": "1"}),
            ("team:3", {"type": "team", "id": "3"}),
            ("1", {"type": "user", "id": "1"}),
            (mail, {"type": "user", "name": mail, "email": mail}),
            ("u1", {"type": "user", "name": "u1"}),
        )
        for given, actor in forms:
            with self.subTest(given):
                self.assertEqual(issue_out({"id": "7", "assignedTo": given}), {"id": "7", "assignedTo": actor})
        for nobody in (None, ""):
            with self.subTest(nobody):
                self.assertEqual(issue_out({"id": "7", "assignedTo": nobody}), {"id": "7"})

    def test_html_annotations_become_objects(self) -> None:
        url = "https://tracker.example/7?a=1&b=2"
        html = url.replace("&", "&amp;")
        forms: tuple[tuple[Any, Any], ...] = (
            (f'<a href="{html}">A &lt; B</a>', {"displayName": "A < B", "url": url}),
            (f"<a class='x' HREF='{html}' rel=nofollow>\n <b>#7</b></a>", {"displayName": "#7", "url": url}),
            (f"see <a href={html}>#7</a > there", {"displayName": "#7", "url": url}),
            (f'<a href="{html}\'s">#7</a>', {"displayName": "#7", "url": f"{url}'s"}),
            (f'<a name="x"></a><a href="{html}">#7</a>', {"displayName": "#7", "url": url}),
            (f'<a href="{html}"></a>', {"displayName": url, "url": url}),
            ("<i>plain</i> &amp; short", {"displayName": "plain & short"}),
            ({"displayName": "#7", "url": url}, {"displayName": "#7", "url": url}),
            ({"displayName": "#7", "url": None, "new": None}, {"displayName": "#7", "new": None}),
        )
        for given, annotation in forms:
            with self.subTest(given):
                self.assertEqual(issue_out({"annotations": [given, None]}), {"annotations": [annotation]})

    def test_annotations_are_parsed_in_linear_time(self) -> None:
        for annotation in (
            "<a " * 5_000,
            "<a href=x>" * 5_000,
            "<a href" * 5_000,
            "<a href='" * 5_000,
            "<" * 30_000,
            "<a href=" + "href=" * 500 + "\n" * 500,
        ):
            with self.subTest(annotation[:20]):
                started = time.process_time()
                normalize_issue({"annotations": [annotation]})
                self.assertLess(time.process_time() - started, 0.5)


class TestEvent(unittest.TestCase):
    maxDiff = None

    def test_an_event_of_2018_only_loses_nulls(self) -> None:
        tags = [{"key": "level", "value": "error"}, EVENT_2018["tags"][1]]
        expected = {**without_nulls(EVENT_2018), "tags": tags, "user": {"id": "1", "ip_address": "10.0.0.7"}}
        self.assertEqual(event_out(EVENT_2018), expected)

    def test_an_event_of_2026_only_loses_nulls_of_declared_attributes(self) -> None:
        tags = [{"key": "user", "query": "user.id:7"}]
        self.assertEqual(event_out(EVENT_2026), {**without_nulls(EVENT_2026), "tags": tags})

    def test_every_form_of_a_tag_becomes_key_and_value(self) -> None:
        a = {"key": "a", "value": "1"}
        forms: tuple[tuple[Any, Any], ...] = (
            (["a", 1], a),
            (a, a),
            ({**a, "_meta": None}, a),
            ({**a, "_meta": {"value": {"": {}}}}, {**a, "_meta": {"value": {"": {}}}}),
        )
        for given, tag in forms:
            with self.subTest(given):
                self.assertEqual(event_out({"tags": [given]}), {"tags": [tag]})
