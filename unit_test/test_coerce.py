import copy
import itertools
import unittest
from typing import Any, ClassVar

from jsonschema import Draft202012Validator

from komand_sentry.actions.list_issue_events.schema import ListIssueEventsOutput
from komand_sentry.actions.list_project_issues.schema import ListProjectIssuesOutput
from komand_sentry.actions.submit_event.schema import SubmitEventInput
from komand_sentry.util.coerce import Schema, coerce, coerce_or_remove

# A value of every JSON type, values that look like another type, and unusual ones.
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    1,
    -1.5,
    2.0,
    10**30,
    1e300,
    "",
    "7",
    "yes",
    "x" * 500,
    [],
    [None],
    ["a", 1, None, {}, []],
    [["a", 1], ["b", None]],
    [["a", 1], "b"],
    [[["a"], 1]],
    [[], [[]], {"id": []}],
    {},
    {"": None},
    {"id": {"id": [1]}, "type": [], "values": 5, "frames": {"lineno": "x"}},
)


def coerced(value: Any, *types: str, is_output: bool = False) -> Any:
    """The value after coercion as the only declared key of an object, ABSENT if it is removed.

    :param types: the declared type, and for an array the type of its items
    """
    kind, *items = types
    declared: Schema = {"type": kind, **({"items": {"type": items[0]}} if items else {})}
    return coerce({"key": value}, {"type": "object", "properties": {"key": declared}}, is_output).get("key", "ABSENT")


class ScalarTest(unittest.TestCase):
    def test_value_is_converted_if_nothing_is_lost(self) -> None:
        cases: tuple[tuple[str, Any, Any], ...] = (
            ("string", "a", "a"),
            ("string", "", ""),
            ("string", 7, "7"),
            ("string", 7.0, "7"),
            ("string", 7.25, "7.25"),
            ("string", 10**30, "1" + 30 * "0"),
            ("string", True, "True"),
            ("string", False, "False"),
            ("string", 1e300, "1e+300"),
            ("integer", 7, 7),
            ("integer", "7", 7),
            ("integer", "-7", -7),
            ("integer", 7.0, 7),
            ("integer", "7.0", 7),
            ("number", "7.5", 7.5),
            ("number", 7.5, 7.5),
            ("boolean", False, False),
            ("boolean", 1, True),
            ("boolean", 0, False),
            ("boolean", " TRUE ", True),
            ("boolean", "no", False),
            ("array", "a", ["a"]),
        )
        for kind, given, expected in cases:
            with self.subTest(kind=kind, given=given):
                for is_output in (False, True):
                    result = coerced(given, kind, is_output=is_output)
                    self.assertEqual((result, type(result)), (expected, type(expected)))

    def test_invalid_value_stays_in_an_input_and_is_removed_from_an_output(self) -> None:
        cases: tuple[tuple[str, Any], ...] = (
            ("string", {"a": 1}),
            ("string", ["a"]),
            ("integer", True),
            ("integer", 7.5),
            ("integer", "7.5"),
            ("integer", "seven"),
            ("integer", ""),
            ("integer", "9" * 41),
            ("integer", {}),
            ("integer", "inf"),
            ("number", False),
            ("number", [1]),
            ("boolean", "maybe"),
            ("boolean", 2),
            ("boolean", []),
            ("object", "a"),
            ("object", 7),
            ("object", []),
            ("object", [["a", 1], ["b", None]]),
            ("object", ["ab"]),
            ("integer", 1e300),
        )
        for kind, given in cases:
            with self.subTest(kind=kind, given=given):
                self.assertIs(coerced(given, kind), given)
                self.assertEqual(coerced(given, kind, is_output=True), "ABSENT")

    def test_text_that_is_not_a_json_number_is_not_a_number(self) -> None:
        for kind, text in (("number", "nan"), ("number", "Infinity"), ("number", "1e999"), ("integer", "1_000")):
            with self.subTest(kind=kind, text=text):
                self.assertEqual(coerced(text, kind, is_output=True), "ABSENT")


class ContainerTest(unittest.TestCase):
    def test_null_at_a_declared_key_is_removed(self) -> None:
        for kind in ("string", "integer", "number", "boolean", "array", "object"):
            with self.subTest(kind):
                self.assertEqual(coerced(None, kind), "ABSENT")

    def test_null_in_a_list_is_removed(self) -> None:
        self.assertEqual(coerced(["a", None, 7], "array", "string"), ["a", "7"])
        self.assertEqual(coerced([{"a": None}, None], "array", "object"), [{"a": None}])
        self.assertEqual(coerced([1, None], "array", "integer"), [1])

    def test_only_the_invalid_items_of_a_list_are_removed_from_an_output(self) -> None:
        self.assertEqual(coerced(["a", {}, "b"], "array", "string", is_output=True), ["a", "b"])
        self.assertEqual(coerced(["a", {}, "b"], "array", "string"), ["a", {}, "b"])

    def test_undeclared_keys_and_free_form_objects_are_unchanged(self) -> None:
        free = {"a": None, "b": [None, [1700000000, 0], [1700003600, 0.5]], "c": {"d": {"e": None}}, "f": True}
        issue = {"id": 7, "stats": {"24h": free["b"]}, "metadata": free, "new_key": free, "another": None}
        event = {"contexts": free, "entries": [{"data": free}], "_meta": free, "packages": {"a": None}, "later": free}
        expected = copy.deepcopy(({"issues": [{**issue, "id": "7"}]}, {"events": [event]}))
        listed = coerce({"issues": [issue]}, ListProjectIssuesOutput.schema, is_output=True)
        self.assertEqual((listed, coerce({"events": [event]}, ListIssueEventsOutput.schema, True)), expected)
        sent = {"dsn": "d", "event_json": {"extra": free, "tags": {"a": None, "b": 1}, "contexts": free, "later": free}}
        self.assertEqual(coerce(sent, SubmitEventInput.schema), sent)

    def test_output_is_changed_in_place_and_input_is_not(self) -> None:
        given = {"issues": [{"id": 7, "culprit": None, "assignedTo": {"id": 1, "name": None}, "annotations": {}}]}
        before = copy.deepcopy(given)
        self.assertNotEqual(coerce(given, ListProjectIssuesOutput.schema), before)
        self.assertEqual(given, before)
        issue = given["issues"][0]
        output = coerce(given, ListProjectIssuesOutput.schema, is_output=True)
        self.assertEqual(issue, {"id": "7", "assignedTo": {"id": "1"}, "annotations": [{}]})
        self.assertIs(output["issues"][0], issue, "copies of thousands of records take time and memory")

    def test_value_that_is_not_an_object_is_unchanged(self) -> None:
        for value in ("a", 7, None, ["a"]):
            with self.subTest(value):
                self.assertEqual(coerce(value, ListProjectIssuesOutput.schema, is_output=True), value)


class RemoveTest(unittest.TestCase):
    SCHEMA: ClassVar[Schema] = {
        "$ref": "#/definitions/EventJSON",
        "definitions": SubmitEventInput.schema["definitions"],
    }

    def test_invalid_values_are_removed_from_a_copy_and_their_paths_returned(self) -> None:
        frames = [None, {"lineno": "7", "in_app": "maybe"}, "text"]
        event = {
            "level": {},
            "exception": {"values": [{"stacktrace": {"frames": frames}}, 7]},
            "user": None,
            "other": {},
        }
        before = copy.deepcopy(event)
        result, paths = coerce_or_remove(event, self.SCHEMA)
        self.assertEqual(result, {"exception": {"values": [{"stacktrace": {"frames": [{"lineno": 7}]}}]}, "other": {}})
        frame = "exception.values.0.stacktrace.frames"
        self.assertEqual(sorted(paths), sorted(("level", f"{frame}.1.in_app", f"{frame}.2", "exception.values.1")))
        self.assertEqual(event, before)
        self.assertEqual(coerce_or_remove(result, self.SCHEMA), (result, []))

    def test_value_that_is_itself_invalid_is_returned(self) -> None:
        self.assertEqual(coerce_or_remove("text", self.SCHEMA), ("text", []))

    def test_single_value_that_is_invalid_is_no_list(self) -> None:
        self.assertEqual(coerce_or_remove({"fingerprint": {}}, self.SCHEMA), ({}, ["fingerprint"]))


class GeneratedSchemaTest(unittest.TestCase):
    def test_coerced_output_is_valid_and_coercing_it_again_changes_nothing(self) -> None:
        for whole in (SubmitEventInput.schema, ListProjectIssuesOutput.schema, ListIssueEventsOutput.schema):
            definitions: dict[str, Schema] = whole["definitions"]
            objects = [({"$ref": f"#/definitions/{name}"}, part["properties"]) for name, part in definitions.items()]
            if "required" not in whole:
                objects.append((whole, whole["properties"]))
            for part, keys in objects:
                schema = {**part, "definitions": definitions}
                validator = Draft202012Validator(schema)
                for key, value in itertools.product(keys, ODD_VALUES):
                    once = coerce({key: copy.deepcopy(value)}, schema, is_output=True)
                    validator.validate(once)
                    self.assertEqual(coerce(copy.deepcopy(once), schema, is_output=True), once, key)
