import copy
import itertools
import unittest
from typing import Any

from jsonschema import Draft202012Validator

from komand_sentry.actions.list_issue_events.schema import ListIssueEventsOutput
from komand_sentry.actions.list_project_issues.schema import ListProjectIssuesOutput
from komand_sentry.actions.submit_event.schema import SubmitEventInput
from komand_sentry.util.shape import Schema, conform

# One value of every JSON type, and those that look like another type or are like nothing at all.
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


def shaped(value: Any, *types: str, drop: bool = False) -> Any:
    """The value as it comes out at the only declared key of an object; ABSENT where it is left out."""
    kind, *items = types
    declared: Schema = {"type": kind, **({"items": {"type": items[0]}} if items else {})}
    return conform({"key": value}, {"type": "object", "properties": {"key": declared}}, drop).get("key", "ABSENT")


class ScalarTest(unittest.TestCase):
    def test_what_can_be_said_in_the_declared_type_is(self) -> None:
        cases: tuple[tuple[str, Any, Any], ...] = (
            ("string", "a", "a"),
            ("string", "", ""),
            ("string", 7, "7"),
            ("string", 7.0, "7"),
            ("string", 7.25, "7.25"),
            ("string", 10**30, "1" + 30 * "0"),
            ("string", True, "True"),
            ("string", False, "False"),
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
            ("object", [["a", 1], ["b", None]], {"a": 1, "b": None}),
            ("object", [["a", 1], ["b", 2], ["a", 3]], {"a": 1, "b": 2}),
            ("object", [[7, {"x": None}]], {"7": {"x": None}}),
            ("object", [], {}),
        )
        for kind, given, expected in cases:
            with self.subTest(kind=kind, given=given):
                for drop in (False, True):
                    result = shaped(given, kind, drop=drop)
                    self.assertEqual((result, type(result)), (expected, type(expected)))

    def test_what_cannot_be_said_stays_for_the_schema_to_refuse_or_is_dropped(self) -> None:
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
            ("object", [["a", 1], ["b"]]),
            ("object", [["a", 1, 2]]),
            ("object", [["a", 1], None]),
            ("object", [[["a"], 1]]),
            ("object", ["ab"]),
        )
        for kind, given in cases:
            with self.subTest(kind=kind, given=given):
                self.assertIs(shaped(given, kind), given)
                self.assertEqual(shaped(given, kind, drop=True), "ABSENT")

    def test_a_text_that_json_would_not_take_for_a_number_is_none(self) -> None:
        for kind, text in (("number", "nan"), ("number", "Infinity"), ("number", "1e999"), ("integer", "1_000")):
            with self.subTest(kind=kind, text=text):
                self.assertEqual(shaped(text, kind, drop=True), "ABSENT")


class ContainerTest(unittest.TestCase):
    def test_a_null_at_a_declared_key_is_left_out(self) -> None:
        for kind in ("string", "integer", "number", "boolean", "array", "object"):
            with self.subTest(kind):
                self.assertEqual(shaped(None, kind), "ABSENT")

    def test_a_null_in_a_list_keeps_the_place_of_a_text_and_of_nothing_else(self) -> None:
        self.assertEqual(shaped(["a", None, 7], "array", "string"), ["a", "", "7"])
        self.assertEqual(shaped([{"a": None}, None], "array", "object"), [{"a": None}])
        self.assertEqual(shaped([1, None], "array", "integer"), [1])

    def test_a_misfit_in_a_list_is_dropped_without_its_neighbours(self) -> None:
        self.assertEqual(shaped(["a", {}, "b"], "array", "string", drop=True), ["a", "b"])
        self.assertEqual(shaped(["a", {}, "b"], "array", "string"), ["a", {}, "b"])

    def test_unknown_keys_and_free_form_objects_pass_untouched(self) -> None:
        free = {"a": None, "b": [None, [1700000000, 0], [1700003600, 0.5]], "c": {"d": {"e": None}}, "f": True}
        issue = {"id": 7, "stats": {"24h": free["b"]}, "metadata": free, "new_key": free, "another": None}
        event = {"contexts": free, "entries": [{"data": free}], "_meta": free, "packages": {"a": None}, "later": free}
        expected = copy.deepcopy(({"issues": [{**issue, "id": "7"}]}, {"events": [event]}))
        listed = conform({"issues": [issue]}, ListProjectIssuesOutput.schema, is_output=True)
        self.assertEqual((listed, conform({"events": [event]}, ListIssueEventsOutput.schema, True)), expected)
        sent = {"dsn": "d", "event_json": {"extra": free, "tags": {"a": None, "b": 1}, "contexts": free, "later": free}}
        self.assertEqual(conform(sent, SubmitEventInput.schema), sent)

    def test_an_input_is_not_changed_and_an_output_is(self) -> None:
        given = {"issues": [{"id": 7, "culprit": None, "assignedTo": {"id": 1, "name": None}, "annotations": {}}]}
        before = copy.deepcopy(given)
        self.assertNotEqual(conform(given, ListProjectIssuesOutput.schema), before)
        self.assertEqual(given, before)
        issue = given["issues"][0]
        shaped = conform(given, ListProjectIssuesOutput.schema, is_output=True)
        self.assertEqual(issue, {"id": "7", "assignedTo": {"id": "1"}, "annotations": [{}]})
        self.assertIs(shaped["issues"][0], issue, "thousands of copies take their time and their memory")

    def test_what_is_no_object_at_all_comes_back_as_it_is(self) -> None:
        for value in ("a", 7, None, ["a"]):
            with self.subTest(value):
                self.assertEqual(conform(value, ListProjectIssuesOutput.schema, is_output=True), value)


class GeneratedSchemaTest(unittest.TestCase):
    def test_with_misfits_dropped_any_object_is_valid(self) -> None:
        for whole in (SubmitEventInput.schema, ListProjectIssuesOutput.schema, ListIssueEventsOutput.schema):
            definitions: dict[str, Schema] = whole["definitions"]
            objects = [({"$ref": f"#/definitions/{name}"}, part["properties"]) for name, part in definitions.items()]
            if "required" not in whole:
                objects.append((whole, whole["properties"]))
            for part, keys in objects:
                schema = {**part, "definitions": definitions}
                validator = Draft202012Validator(schema)
                for key, value in itertools.product(keys, ODD_VALUES):
                    with self.subTest(title=whole["title"], key=key, value=str(value)[:100]):
                        once = conform({key: value}, schema, is_output=True)
                        validator.validate(once)
                        self.assertEqual(conform(copy.deepcopy(once), schema, is_output=True), once)
