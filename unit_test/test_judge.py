"""The compiled judgement is jsonschema's own, which the runtime would use."""

import subprocess
import sys
import unittest
from typing import Any, ClassVar

import hypothesis.strategies as st
from hypothesis import given, settings
from jsonschema import Draft202012Validator, ValidationError

from komand_sentry.util.judge import Judge
from komand_sentry.util.step import SentryAction
from testing.plugin import ROOT
from testing.support import ACTIONS

settings.register_profile("judge", deadline=None, max_examples=200, derandomize=True)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**30), max_value=10**30)
    | st.floats()
    | st.sampled_from(["", "date", "24h", "a", "\ud800", "1", 1.0, 7.0, 2**63, 2**64, -0.0])
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcde"), inner, max_size=4)
)
ACTION_SCHEMAS = [schema for make in ACTIONS.values() for schema in (make().input.schema, make().output.schema)]


def names_of(schema: Any) -> list[str]:
    """The property names of a schema and of its definitions."""
    found = list(schema.get("properties", {}))
    for definition in schema.get("definitions", {}).values():
        found += definition.get("properties", {})
    return sorted(set(found))


def near(schema: Any) -> st.SearchStrategy[Any]:
    """Values with the names that the schema knows, and of whatever type."""
    names = st.sampled_from(names_of(schema))
    inner = st.recursive(SCALARS, lambda part: st.lists(part, max_size=2) | st.dictionaries(names, part, max_size=3))
    return st.dictionaries(st.sampled_from(list(schema["properties"])), inner, max_size=4)


class TestVerdicts(unittest.TestCase):
    def same(self, schema: Any, value: Any) -> None:
        expected = Draft202012Validator(schema).is_valid(value)
        judge = Judge(schema)
        # Judged as it is the first time, by what is compiled from then on.
        self.assertIs(judge.accepts(value), expected)
        self.assertIs(judge.refusal(value) is None, expected)

    @settings.get_profile("judge")
    @given(st.data())
    def test_of_the_schemas_of_the_actions_it_is_the_same_for_whatever_comes(self, data: st.DataObject) -> None:
        schema = data.draw(st.sampled_from(ACTION_SCHEMAS))
        self.same(schema, data.draw(near(schema) | JSON))

    @settings.get_profile("judge")
    @given(JSON, st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"]))
    def test_of_each_type_it_is_the_same_for_whatever_comes(self, value: Any, kind: str) -> None:
        self.same({"type": kind}, value)
        self.same({"type": "object", "properties": {"a": {"type": kind, "enum": [1, "a"]}}, "required": ["a"]}, value)


class TestOutput(unittest.TestCase):
    def test_an_output_that_is_not_what_the_schema_declares_is_refused_with_the_same_exception(self) -> None:
        for name, make in ACTIONS.items():
            action: SentryAction = make()
            key = next(iter(action.output.schema["properties"]))
            with self.subTest(name), self.assertRaises(ValidationError):
                action.output.validate({key: 7.5})
            action.output.validate({})


class TestCompiling(unittest.TestCase):
    SCHEMA: ClassVar[dict[str, Any]] = {"type": "object", "properties": {"a": {"type": "array"}}}

    def test_what_compiles_is_not_loaded_for_one_small_value(self) -> None:
        judge = Judge(self.SCHEMA)
        self.assertTrue(judge.accepts({"a": [[1, {"b": 2}]]}))
        self.assertIsNone(judge._compiled)
        self.assertFalse(judge.accepts({"a": 7}))
        self.assertIsNotNone(judge._compiled)

    def test_it_is_for_a_large_one(self) -> None:
        for large in ({"a": [0] * 500}, {"a": [{"b": [[0] * 500]}]}, {"a": [], "b": {str(n): n for n in range(500)}}):
            judge = Judge(self.SCHEMA)
            self.assertTrue(judge.accepts(large))
            self.assertIsNotNone(judge._compiled)

    def test_a_process_loads_what_its_step_needs(self) -> None:
        needless = ("jsonschema_rs", "komand_sentry.util.ingestion", "komand_sentry.util.survey")
        program = (
            f"import komand_sentry.connection, komand_sentry.actions, sys; print(*{{*sys.modules}} & {{*{needless}}})"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.strip(), "")
