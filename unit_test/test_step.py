import unittest
from collections.abc import Callable
from typing import Any

from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.actions import ListProjectIssues, SubmitEvent, UpdateIssue
from komand_sentry.connection.schema import ConnectionSchema
from komand_sentry.util.judge import Judge
from komand_sentry.util.step import Params, SentryAction, StepInput, read_params

SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "limit": {"type": "integer"},
        "full": {"type": "boolean"},
        "sort": {"type": "string", "enum": ["new", "freq"]},
        "owner": {"$ref": "#/definitions/owner"},
        "names": {"type": "array", "items": {"type": "string"}},
        "score": {"type": "number", "minimum": 0},
    },
    "definitions": {"owner": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}},
}


class ReadParamsTest(unittest.TestCase):
    def test_inputs_come_trimmed_in_their_declared_types_and_blank_ones_not_at_all(self) -> None:
        cases: tuple[tuple[Params, Params], ...] = (
            ({"name": " a\n"}, {"name": "a"}),
            ({"name": 7, "limit": "7", "full": "false"}, {"name": "7", "limit": 7, "full": False}),
            ({"name": "a", "limit": 0, "full": False}, {"name": "a", "limit": 0, "full": False}),
            ({"name": "a", "limit": "", "full": None, "sort": " ", "owner": None}, {"name": "a"}),
            ({"name": "a", "names": "b"}, {"name": "a", "names": ["b"]}),
            ({"name": "a", "names": [], "owner": {"id": "7"}}, {"name": "a", "names": [], "owner": {"id": 7}}),
            ({"name": "a", "unknown": [None]}, {"name": "a", "unknown": [None]}),
        )
        for given, read in cases:
            with self.subTest(given):
                self.assertEqual(read_params(given, Judge(SCHEMA)), read)

    def test_a_canonical_shape_is_made_of_inputs_that_were_given(self) -> None:
        canonical: dict[str, Callable[[Any], Any]] = {"owner": lambda value: {"id": value}}
        self.assertEqual(
            read_params({"name": "a", "owner": "7"}, Judge(SCHEMA), canonical), {"name": "a", "owner": {"id": 7}}
        )
        self.assertEqual(read_params({"name": "a", "owner": ""}, Judge(SCHEMA), canonical), {"name": "a"})

    def test_a_refusal_names_the_input_and_does_not_quote_it(self) -> None:
        cases: tuple[tuple[Any, str], ...] = (
            ({"name": ""}, "The input 'name' is empty or missing."),
            ({}, "The input 'name' is empty or missing."),
            ({"name": {"SECRET": 1}}, "The input 'name' is not a text."),
            ({"name": "a", "limit": "SECRET"}, "The input 'limit' is not a whole number."),
            ({"name": "a", "full": "SECRET"}, "The input 'full' is not true or false."),
            ({"name": "a", "score": "SECRET"}, "The input 'score' is not a number."),
            ({"name": "a", "score": -7}, "The input 'score' is not valid."),
            ({"name": "a", "sort": "SECRET"}, "The input 'sort' is not one of 'new', 'freq'."),
            ({"name": "a", "owner": "SECRET"}, "The input 'owner' is not an object."),
            ({"name": "a", "owner": {"id": None}}, "The input 'owner.id' is empty or missing."),
            ({"name": "a", "owner": {"id": "SECRET"}}, "The input 'owner.id' is not a whole number."),
            ({"name": "a", "names": ["b", ["SECRET"]]}, "The input 'names.1' is not a text."),
            (None, "The step's input is not an object."),
            (["SECRET"], "The step's input is not an object."),
        )
        for given, cause in cases:
            with self.subTest(given):
                with self.assertRaises(PluginException) as caught:
                    read_params(given, Judge(SCHEMA))
                self.assertEqual(caught.exception.cause, cause)
                self.assertTrue(caught.exception.assistance)
                self.assertNotIn("SECRET", f"{caught.exception} {caught.exception.data}")

    def test_a_connection_without_token_is_told_so(self) -> None:
        for given, name in (({}, "token"), ({"token": {}}, "token.token"), ({"token": {"token": None}}, "token.token")):
            with self.subTest(given):
                with self.assertRaises(PluginException) as caught:
                    read_params(given, Judge(ConnectionSchema.schema))
                self.assertEqual(caught.exception.cause, f"The input '{name}' is empty or missing.")


class SentryActionTest(unittest.TestCase):
    def test_the_runtime_judges_no_input_before_the_action_does(self) -> None:
        schema_input = StepInput(SCHEMA)
        for given in ({}, {"name": ""}, None):
            schema_input.validate(given)
            schema_input.validate_required(given)
        with self.assertRaises(PluginException):
            UpdateIssue().given({"issue_id": ""})

    def test_an_action_reads_its_inputs_by_its_own_schema(self) -> None:
        cases: tuple[tuple[SentryAction, Params, Params], ...] = (
            (UpdateIssue(), {"issue_id": 7, "hasSeen": "false"}, {"issue_id": "7", "hasSeen": False}),
            (
                SubmitEvent(),
                {"dsn": " d", "event_json": [["message", 7]]},
                {"dsn": "d", "event_json": {"message": "7"}},
            ),
        )
        for action, given, read in cases:
            with self.subTest(action.name):
                self.assertEqual(action.given(given), read)

    def test_an_answer_has_neither_nulls_nor_misfits_at_declared_keys(self) -> None:
        issues = [{"id": 7, "culprit": None, "project": "x", "stats": {"24h": [[1, None]]}}, "x"]
        self.assertEqual(
            ListProjectIssues().answer({"issues": issues, "truncated": False, "next_cursor": None}),
            {"issues": [{"id": "7", "stats": {"24h": [[1, None]]}}], "truncated": False},
        )
