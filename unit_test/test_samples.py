"""The messages of tests/ and the examples of the spec are valid. test_entry_points.py runs the messages."""

import json
import unittest
from pathlib import Path
from typing import Any

import yaml

from komand_sentry.connection.schema import ConnectionSchema
from testing.plugin import ROOT, SAMPLES, Json
from testing.support import ACTIONS, SandboxTestCase, validate

SPEC: Json = yaml.safe_load(Path(ROOT, "plugin.spec.yaml").read_text(encoding="utf-8"))


def example_of(field: Json) -> Any:
    """The value of a field's example. If the field is not a text, the spec has the value as JSON."""
    example = field["example"]
    return json.loads(example) if isinstance(example, str) and field["type"] not in ("string", "date") else example


class TestSamples(unittest.TestCase):
    def test_there_is_one_for_each_action_without_credentials(self) -> None:
        self.assertEqual({path.stem for path in SAMPLES.glob("*.json")}, {*ACTIONS, "connection_test"})
        for path in SAMPLES.glob("*.json"):
            body: Json = json.loads(path.read_text(encoding="utf-8"))["body"]
            with self.subTest(path.name):
                self.assertEqual(set(body["connection"]), set(ConnectionSchema.schema["properties"]))
                self.assertEqual(body["connection"]["token"]["token"], "")
                if path.stem in ACTIONS:
                    schema = ACTIONS[path.stem]().input.schema
                    self.assertLessEqual(body["input"].keys(), schema["properties"].keys())
                    self.assertLessEqual(set(schema["required"]), body["input"].keys())
                    self.assertEqual(body["input"].get("dsn", ""), "")


class TestExamples(SandboxTestCase):
    def test_example_inputs_are_accepted_and_outputs_are_like_the_examples(self) -> None:
        self.submit({"message": "Pump P-2 stopped", "environment": "production"})
        issue_id = self.issues()[0]["id"]
        for name, action in SPEC["actions"].items():
            given = {key: example_of(field) for key, field in action["input"].items()}
            validate(given, ACTIONS[name]().input.schema)
            given = {key: value for key, value in given.items() if key not in ("query", "cursor", "unassign")}
            given |= {"issue_id": issue_id} if "issue_id" in given else {}
            given |= {"dsn": self.sandbox.env["DSN_PUBLIC"]} if "dsn" in given else {}
            given |= {"assignedTo": self.sandbox.env["USER_EMAIL"]} if "assignedTo" in given else {}
            with self.subTest(name):
                self.check_outputs(action["output"], self.run_action(name, given))

    def check_outputs(self, fields: Json, output: Json) -> None:
        for key, field in fields.items():
            example = example_of(field)
            real = output.get(key, example)
            self.assertIs(type(example), type(real), key)
            pairs = zip(example, real, strict=False) if isinstance(example, list) else [(example, real)]
            for shown, record in pairs:
                if isinstance(shown, dict):
                    self.assertLessEqual(shown.keys(), record.keys(), key)
                    for attribute, value in shown.items():
                        self.assertIs(type(value), type(record[attribute]), f"{key}.{attribute}")
