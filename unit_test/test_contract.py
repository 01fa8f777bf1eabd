"""The contract of version 1.0.1: every name, type, default, required flag and enum of its help page stays the same."""

import copy
import unittest
from pathlib import Path
from typing import Any

import yaml

from komand_sentry.util.coerce import coerce
from komand_sentry.util.sentry.normalize import normalize_event, normalize_issue
from testing.plugin import ROOT, Json
from testing.support import ACTIONS, validate

# name: (type, default, required, enum)
Input = tuple[str, Any, bool, list[str] | None]
INPUTS: dict[str, dict[str, Input]] = {
    "submit_event": {
        "dsn": ("string", None, True, None),
        "sentry_version": ("integer", 7, False, None),
        "event_json": ("EventJSON", None, True, None),
    },
    "list_project_issues": {
        "organization_slug": ("string", None, True, None),
        "query": ("string", None, False, None),
        "statsPeriod": ("string", "", False, ["24h", "14d", ""]),
        "shortIdLookup": ("boolean", None, False, None),
        "project_slug": ("string", None, True, None),
    },
    "list_issue_events": {"issue_id": ("string", None, True, None)},
    "update_issue": {
        "status": ("string", None, False, ["resolved", "resolvedInNextRelease", "unresolved", "ignored"]),
        "assignedTo": ("string", None, False, None),
        "hasSeen": ("boolean", None, False, None),
        "issue_id": ("string", None, True, None),
        "isSubscribed": ("boolean", None, False, None),
        "isPublic": ("boolean", None, False, None),
        "isBookmarked": ("boolean", None, False, None),
    },
}
OUTPUTS = {
    "submit_event": {"id": "string"},
    "list_project_issues": {"issues": "[]Issue"},
    "list_issue_events": {"events": "[]Event"},
    "update_issue": {"issue": "Issue"},
}

# Records with every attribute of the examples of that page.
ISSUE: Json = {
    "lastSeen": "2018-05-02T10:20:30Z",
    "numComments": 0,
    "userCount": 0,
    "stats": {"14d": [[1525132800, 3], [1525219200, 0]]},
    "title": "ValueError: too much pressure",
    "id": "4711",
    "type": "error",
    "annotations": [],
    "metadata": {"type": "ValueError", "value": "too much pressure"},
    "status": "resolved",
    "subscriptionDetails": {"reason": "unknown"},
    "isPublic": True,
    "hasSeen": True,
    "shortId": "PUMPS-4",
    "shareId": "0123456789abcdef0123456789abcdef",
    "firstSeen": "2018-05-01T10:20:30Z",
    "count": "3",
    "permalink": "https://sentry.io/acme/pumps/issues/4711/",
    "level": "error",
    "isSubscribed": True,
    "isBookmarked": True,
    "project": {"slug": "pumps", "id": "12", "name": "Pumps"},
    "statusDetails": {},
}
EVENT: Json = {
    "eventID": "fedcba9876543210fedcba9876543210",
    "packages": {},
    "tags": [{"value": "error", "key": "level"}, {"value": '"quoted"', "key": "transaction"}],
    "contexts": {},
    "dateReceived": "2018-05-02T10:20:31Z",
    "dateCreated": "2018-05-02T10:20:30Z",
    "fingerprints": ["00112233445566778899aabbccddeeff"],
    "metadata": {"type": "ValueError", "value": "too much pressure"},
    "groupID": "4711",
    "platform": "other",
    "errors": [
        {
            "data": {"name": "timestamp", "value": "2018-05-01T00:00:00+02:00"},
            "message": "Discarded invalid value for parameter 'timestamp'",
            "type": "invalid_data",
        },
        {
            "data": {"name": "event_id", "value": '"wrong"'},
            "message": "Discarded invalid value for parameter 'event_id'",
            "type": "invalid_data",
        },
    ],
    "context": {},
    "entries": [
        {
            "type": "exception",
            "data": {"values": [{"value": "too much pressure", "type": "ValueError"}], "hasSystemFrames": False},
        }
    ],
    "message": 'ValueError too much pressure "quoted"',
    "sdk": {"version": "1.0.0", "name": "komand", "upstream": {"isNewer": False, "name": "komand"}},
    "type": "error",
    "id": "25000000001",
    "size": 410,
}
JSON_TYPES = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}


class TestContract(unittest.TestCase):
    spec: Json

    @classmethod
    def setUpClass(cls) -> None:
        cls.spec = yaml.safe_load(Path(ROOT, "plugin.spec.yaml").read_text(encoding="utf-8"))

    def test_inputs(self) -> None:
        for action, inputs in INPUTS.items():
            for name, expected in inputs.items():
                given = self.spec["actions"][action]["input"][name]
                self.assertEqual(
                    (given["type"], given.get("default"), given["required"], given.get("enum")), expected, name
                )

    def test_added_inputs_are_optional(self) -> None:
        for action, inputs in INPUTS.items():
            given = self.spec["actions"][action]["input"]
            for name in given.keys() - inputs.keys():
                self.assertFalse(given[name]["required"], name)

    def test_outputs(self) -> None:
        for action, outputs in OUTPUTS.items():
            for name, kind in outputs.items():
                given = self.spec["actions"][action]["output"][name]
                self.assertEqual((given["type"], given["required"]), (kind, False), name)

    def test_connection(self) -> None:
        token = self.spec["connection"]["token"]
        self.assertEqual((token["type"], token["required"], "default" in token), ("credential_token", True, False))

    def test_plugin_attributes(self) -> None:
        expected: Json = {"name": "sentry", "vendor": "rapid7", "support": "community", "version": "2.2.0"}
        expected |= {"connection_version": 2, "cloud_ready": False}
        self.assertEqual({key: self.spec[key] for key in expected}, expected)
        sdk = {key: value for key, value in self.spec["sdk"].items() if key != "custom_cmd"}
        self.assertEqual(sdk, {"type": "slim", "version": "6.6.0", "user": "nobody"})
        self.assertEqual(
            [line.split(" - ")[0] for line in self.spec["version_history"]],
            ["2.2.0", "2.1.0", "2.0.0", "1.0.1", "1.0.0"],
        )

    def test_examples_are_valid_and_keep_every_value(self) -> None:
        for action, key, example, normalize in (
            ("list_project_issues", "issues", ISSUE, normalize_issue),
            ("list_issue_events", "events", EVENT, normalize_event),
            ("update_issue", "issue", ISSUE, normalize_issue),
        ):
            schema = ACTIONS[action]().output.schema
            record = example if key == "issue" else [example]
            validate({key: record}, schema)
            normalized: Any = normalize(copy.deepcopy(example))
            normalized = normalized if key == "issue" else [normalized]
            self.assertEqual(coerce({key: normalized}, schema, is_output=True), {key: record})

    def test_every_attribute_of_the_examples_is_declared_with_its_type(self) -> None:
        for action, name, example in (
            ("list_project_issues", "Issue", ISSUE),
            ("update_issue", "Issue", ISSUE),
            ("list_issue_events", "Event", EVENT),
        ):
            definitions = ACTIONS[action]().output.schema["definitions"]
            for key, value in example.items():
                declared = definitions[name]["properties"][key]
                kind = "object" if "$ref" in declared else declared["type"]
                self.assertEqual(kind, JSON_TYPES[type(value)], f"{name}.{key}")
