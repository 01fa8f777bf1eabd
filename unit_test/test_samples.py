"""The messages of tests/ and the examples of the spec are valid. test_entry_points.py runs the messages of actions."""

import json
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from komand_sentry.connection.schema import ConnectionSchema
from komand_sentry.util.step import SentryAction
from komand_sentry.util.trigger.base import SentryTrigger
from testing.plugin import ROOT, SAMPLES, Json, trigger_message
from testing.support import ACTIONS, SandboxTestCase, validate
from unit_test.trigger_case import TRIGGERS

SPEC: Json = yaml.safe_load(Path(ROOT, "plugin.spec.yaml").read_text(encoding="utf-8"))


CONDITIONS = ("ignoreDuration", "ignoreCount", "ignoreWindow", "ignoreUserCount", "ignoreUserWindow")


def example_of(field: Json) -> Any:
    """The value of a field's example. If the field is not a text, the spec has the value as JSON."""
    example = field["example"]
    return json.loads(example) if isinstance(example, str) and field["type"] not in ("string", "date") else example


class TestSamples(unittest.TestCase):
    def test_there_is_one_for_each_action_and_trigger_without_credentials(self) -> None:
        steps: dict[str, Callable[[], SentryAction | SentryTrigger]] = {**ACTIONS, **TRIGGERS}
        self.assertEqual({path.stem for path in SAMPLES.glob("*.json")}, {*steps, "connection_test"})
        for path in SAMPLES.glob("*.json"):
            body: Json = json.loads(path.read_text(encoding="utf-8"))["body"]
            with self.subTest(path.name):
                self.assertEqual(set(body["connection"]), set(ConnectionSchema.schema["properties"]))
                self.assertEqual(body["connection"]["token"]["token"], "")
                if path.stem in steps:
                    self.assertEqual(body["trigger" if path.stem in TRIGGERS else "action"], path.stem)
                    schema = steps[path.stem]().input.schema
                    validate(body["input"], schema)
                    self.assertLessEqual(body["input"].keys(), schema["properties"].keys())
                    self.assertLessEqual(set(schema.get("required", ())), body["input"].keys())
                    self.assertEqual(body["input"].get("dsn", ""), "")

    def test_those_of_triggers_are_like_the_messages_of_insightconnect(self) -> None:
        for name in TRIGGERS:
            message: Json = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
            body = message["body"]
            parts = (body["input"], body["connection"], body["dispatcher"]["url"], body["meta"]["triggerId"])
            self.assertEqual(message, trigger_message(name, *parts))


# Inputs whose examples contradict each other, or are of values that a new server does not have.
LEFT_OUT = {
    "": ("query", "cursor", "unassign"),
    "search_issues": ("start", "end"),
    "update_issue": ("substatus", *CONDITIONS, "inNextRelease", "inCommit", "inRelease"),
    "update_issues": ("query", "projects", "substatus", *CONDITIONS, "inNextRelease", "inCommit", "inRelease"),
}


class TestExamples(SandboxTestCase):
    def test_example_inputs_are_accepted_and_outputs_are_like_the_examples(self) -> None:
        for name, action in SPEC["actions"].items():
            with self.subTest(name):
                examples = {key: example_of(field) for key, field in action["input"].items()}
                validate(examples, ACTIONS[name]().input.schema)
                left_out = (*LEFT_OUT[""], *LEFT_OUT.get(name, ()))
                given = {key: value for key, value in examples.items() if key not in left_out}
                real = self.values(name)
                given = {key: real.get(key, value) for key, value in given.items()}
                self.check_outputs(action["output"], self.run_action(name, given))

    def values(self, action: str) -> Json:
        """What the examples cannot name: new issues for an action, and the DSN and the user of this sandbox."""
        event = {"environment": "production", "user": {"id": "7", "email": "user@example.com"}}
        for pump in ("P-1", "P-2"):
            self.submit({**event, "exception": {"type": "PumpError", "value": f"{pump} stopped in {action}"}})
        ids = [issue["id"] for issue in self.issues(query=action, all_statuses=True)]
        values = {"issue_id": ids[0], "issue_ids": ids, "projects": [self.sandbox.env["PROJECT"]]}
        return {**values, "dsn": self.sandbox.env["DSN_PUBLIC"], "assignedTo": self.sandbox.env["USER_EMAIL"]}

    def check_outputs(self, fields: Json, output: Json) -> None:
        for key, field in fields.items():
            example = example_of(field)
            real = output.get(key, example)
            self.assertIs(type(example), type(real), key)
            if isinstance(example, list):
                # A record can lack what others have: an invitation has no user, for example.
                pairs = list(zip(example, sorted(real, key=len, reverse=True), strict=False))
            else:
                pairs = [(example, real)]
            for shown, record in pairs:
                if isinstance(shown, dict):
                    self.assertLessEqual(shown.keys(), record.keys(), key)
                    for attribute, value in shown.items():
                        self.assertIs(type(value), type(record[attribute]), f"{key}.{attribute}")
