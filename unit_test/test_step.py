import gc
import json
import unittest
from typing import Any

import insightconnect_plugin_runtime
from insightconnect_plugin_runtime.exceptions import PluginException

from komand_sentry.actions import ListProjectIssues, SubmitEvent, UpdateIssue
from komand_sentry.connection.schema import ConnectionSchema
from komand_sentry.util.errors.exceptions import BadRequest, ResponseError, UnexpectedResponse
from komand_sentry.util.http.messages import Response
from komand_sentry.util.step import Inputs, Normalizer, Outputs, SentryAction, build_output, parse_inputs, step
from testing.scripted_server import Answer, ScriptedServer
from testing.support import connection_to

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


class ParseInputsTest(unittest.TestCase):
    def test_inputs_are_stripped_and_coerced_and_blank_ones_removed(self) -> None:
        cases: tuple[tuple[Inputs, Inputs], ...] = (
            ({"name": " a\n"}, {"name": "a"}),
            ({"name": 7, "limit": "7", "full": "false"}, {"name": "7", "limit": 7, "full": False}),
            ({"name": "a", "limit": 0, "full": False}, {"name": "a", "limit": 0, "full": False}),
            ({"name": "a", "limit": "", "full": None, "sort": " ", "owner": None}, {"name": "a"}),
            ({"name": "a", "names": "b"}, {"name": "a", "names": ["b"]}),
            ({"name": "a", "names": [], "owner": {"id": "7"}}, {"name": "a", "names": [], "owner": {"id": 7}}),
            ({"name": "a", "unknown": [None]}, {"name": "a", "unknown": [None]}),
        )
        for params, inputs in cases:
            with self.subTest(params):
                self.assertEqual(parse_inputs(params, SCHEMA), inputs)

    def test_inputs_that_are_set_are_normalized(self) -> None:
        normalizers: dict[str, Normalizer] = {"owner": lambda value: {"id": value}}
        for owner, inputs in (("7", {"name": "a", "owner": {"id": 7}}), ("", {"name": "a"}), (None, {"name": "a"})):
            with self.subTest(owner):
                self.assertEqual(parse_inputs({"name": "a", "owner": owner}, SCHEMA, normalizers), inputs)

    def test_error_names_the_input_and_does_not_quote_its_value(self) -> None:
        cases: tuple[tuple[Any, str, str], ...] = (
            ({"name": ""}, "'name'", "missing"),
            ({}, "'name'", "missing"),
            ({"name": {"SECRET": 1}}, "'name'", "text"),
            ({"name": "a", "limit": "SECRET"}, "'limit'", "integer"),
            ({"name": "a", "full": "SECRET"}, "'full'", "true or false"),
            ({"name": "a", "score": "SECRET"}, "'score'", "number"),
            ({"name": "a", "score": -7}, "'score'", "invalid"),
            ({"name": "a", "sort": "SECRET"}, "'sort'", "'new', 'freq'"),
            ({"name": "a", "owner": "SECRET"}, "'owner'", "object"),
            ({"name": "a", "names": {"SECRET": [{"SECRET": 1}]}}, "'names'", "list"),
            ({"name": "a", "owner": {"id": None}}, "'owner.id'", "missing"),
            ({"name": "a", "owner": {"id": "SECRET"}}, "'owner.id'", "integer"),
            ({"name": "a", "names": ["b", ["SECRET"]]}, "'names.1'", "text"),
            (None, "The input of the", "object"),
            (["SECRET"], "The input of the", "object"),
        )
        for params, name, problem in cases:
            for owner in ("step", "connection"):
                with self.subTest(params=params, owner=owner):
                    with self.assertRaises(PluginException) as caught:
                        parse_inputs(params, SCHEMA, owner=owner)
                    self.assertIn(name, caught.exception.cause)
                    self.assertIn(problem, caught.exception.cause)
                    self.assertIn(f"of the {owner}", caught.exception.cause + caught.exception.assistance)
                    self.assertNotIn("SECRET", f"{caught.exception} {caught.exception.data}")

    def test_connection_without_a_token_is_invalid(self) -> None:
        for params, name in (
            ({}, "token"),
            ({"token": {}}, "token.token"),
            ({"token": {"token": None}}, "token.token"),
        ):
            with self.subTest(params):
                with self.assertRaises(PluginException) as caught:
                    parse_inputs(params, ConnectionSchema.schema, owner="connection")
                self.assertIn(f"'{name}'", caught.exception.cause)


class BuildOutputTest(unittest.TestCase):
    def test_nulls_and_invalid_values_are_removed_and_lists_become_tuples(self) -> None:
        issues = [{"id": 7, "culprit": None, "project": "x", "stats": {"24h": [[1, None]]}}, "x"]
        self.assertEqual(
            build_output(
                {"issues": issues, "truncated": False, "next_cursor": None}, ListProjectIssues().output.schema
            ),
            {"issues": ({"id": "7", "stats": {"24h": [[1, None]]}},), "truncated": False},
        )


class Echo(SentryAction):
    """An action that returns its inputs, or raises the error that the test sets."""

    def __init__(self) -> None:
        schemas = (insightconnect_plugin_runtime.Input(SCHEMA), insightconnect_plugin_runtime.Output(SCHEMA))
        super().__init__("echo", "Return the inputs", *schemas)
        self.error: Exception | None = None

    @step
    def run(self, params: Inputs) -> Outputs:
        if self.error:
            raise self.error
        return {**params, "sort": 7, "limit": None}


class StepTest(unittest.TestCase):
    def test_run_gets_parsed_inputs_and_its_output_is_coerced(self) -> None:
        output = Echo().run({"name": " a ", "limit": "7", "names": "b", "full": ""})
        self.assertEqual(output, {"name": "a", "names": ("b",), "sort": "7"})
        self.assertEqual(json.loads(json.dumps(output))["names"], ["b"])

    def test_invalid_inputs_do_not_reach_run(self) -> None:
        action = Echo()
        action.error = AssertionError("run was called")
        for params in ({}, {"name": ""}, None):
            with self.subTest(params), self.assertRaises(PluginException):
                action.run(params)

    def test_error_of_run_is_raised(self) -> None:
        action = Echo()
        for error in (PluginException(cause="The cause.", assistance="The assistance."), ValueError("a bug")):
            action.error = error
            with self.subTest(error), self.assertRaises(type(error)) as caught:
                action.run({"name": "a"})
            self.assertIs(caught.exception, error)

    def test_runtime_does_not_validate_inputs_and_outputs(self) -> None:
        """It would refuse blank inputs, which InsightConnect sends for those that the user left blank."""
        for action in (UpdateIssue(), ListProjectIssues(), SubmitEvent()):
            for params in ({}, {"issue_id": ""}, None):
                with self.subTest(action=action.name, params=params):
                    action.input.validate(params)
                    action.input.validate_required(params)
                    action.output.validate(params)

    def test_actions_parse_the_inputs_of_their_schema(self) -> None:
        cases: tuple[tuple[SentryAction, Inputs, Inputs], ...] = (
            (UpdateIssue(), {"issue_id": 7, "hasSeen": "false"}, {"issue_id": "7", "hasSeen": False}),
            (
                SubmitEvent(),
                {"dsn": " d", "event_json": {"message": 7}},
                {"dsn": "d", "event_json": {"message": "7"}},
            ),
        )
        for action, params, inputs in cases:
            with self.subTest(action.name):
                self.assertEqual(parse_inputs(params, action.input.schema, action.normalizers), inputs)

    def test_failed_step_does_not_hold_response_bodies(self) -> None:
        """The runtime keeps the exception of a failed step."""
        marker = "marker-of-this-test"
        refused = Answer(400, json.dumps({"causes": marker}).encode())
        no_list = Answer(body=json.dumps([{"id": "1", "metadata": {marker: [{}]}}, "no issue"]).encode())
        for answer, error_type in ((refused, BadRequest), (no_list, UnexpectedResponse)):
            action = ListProjectIssues()
            failure: Exception | None = None
            with ScriptedServer(("GET", "/api/0/projects/acme/pump/issues/", answer)) as server:
                action.connection = connection_to(server.base)
                # assertRaises would clear the frames itself.
                try:
                    action.run({"organization_slug": "acme", "project_slug": "pump"})
                except ResponseError as error:
                    failure = error
            gc.collect()
            held = [
                value
                for value in gc.get_objects()
                if (type(value) is Response and marker.encode() in value.body)
                or (type(value) is dict and marker in value)
            ]
            with self.subTest(error_type):
                self.assertIsInstance(failure, error_type)
                self.assertIsNotNone(failure and failure.__traceback__)
                self.assertEqual(held, [])
