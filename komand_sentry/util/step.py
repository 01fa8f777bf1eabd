"""What the actions of this plugin share: reading the inputs of a step and shaping its output."""

from collections.abc import Callable, Mapping
from typing import Any

import insightconnect_plugin_runtime
from jsonschema import ValidationError

from komand_sentry.util.errors import input_error
from komand_sentry.util.judge import Judge
from komand_sentry.util.shape import Fit, Schema, conform, items_fit

Params = dict[str, Any]

_TYPE_WORDS = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


_AS_GIVEN: Mapping[str, Callable[[Any], Any]] = {}


class StepInput(insightconnect_plugin_runtime.Input):
    """The input that an action gives to the runtime, which calls `validate` before `run`.

    Judging is put off until `run`, where SentryAction.given does it: blank inputs are to count as not given before
    the schema sees them, and only what `run` raises reaches the user as cause and assistance.
    """

    def validate(self, parameters: Any) -> None:
        """Leaves the judgement to SentryAction.given."""

    def validate_required(self, parameters: Any) -> None:
        """Leaves the judgement to SentryAction.given."""


class StepOutput(insightconnect_plugin_runtime.Output):
    """The output that an action gives to the runtime, which calls `validate` after `run`."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self._judge = Judge(schema)

    def validate(self, parameters: Any) -> None:
        """:raises ValidationError: the output is not what the schema declares"""
        if refusal := self._judge.refusal(parameters):
            raise refusal


class SentryAction(insightconnect_plugin_runtime.Action):
    """An action whose inputs are read, and whose output is shaped, by its generated schemas."""

    def __init__(self, name: str, description: str, input: Any, output: Any) -> None:
        super().__init__(
            name=name, description=description, input=StepInput(input.schema), output=StepOutput(output.schema)
        )
        self._judge = Judge(self.input.schema)

    def given(self, params: Any, canonical: Mapping[str, Callable[[Any], Any]] = _AS_GIVEN) -> Params:
        """The inputs that were given, in their declared types.

        :param canonical: for an input with several shapes, what brings it into the one that the schema declares
        :raises PluginException: the schema refuses them
        """
        return read_params(params, self._judge, canonical)

    def answer(self, output: Params) -> Params:
        """The output in its declared types: nulls left out, numbers as text where the schema has texts."""
        shaped: Params = conform(output, self.output.schema, is_output=True)
        return shaped

    def shape_of(self, key: str) -> Fit:
        """What brings each record of a list of the output into its declared type, as `answer` would all of them at the
        end, for who reads them one by one.
        """
        return items_fit(self.output.schema, key)


def read_params(params: Any, judge: Judge, canonical: Mapping[str, Callable[[Any], Any]] = _AS_GIVEN) -> Params:
    """Inputs of a step or a connection: without those left blank, shaped by the schema and judged by it.

    InsightConnect sends "" for a text input that a person left blank.

    :raises PluginException: an input is missing or of the wrong type
    """
    if not isinstance(params, dict):
        raise input_error("The step's input is not an object.", "Send the inputs as an object of names and values.")
    filled = {}
    for name, given in params.items():
        value = given.strip() if isinstance(given, str) else given
        if value not in ("", None):
            filled[name] = canonical[name](value) if name in canonical else value
    shaped: Params = conform(filled, judge.schema)
    if error := judge.refusal(shaped):
        raise input_error(_refusal(error), "Correct this input of the step and run it again.")
    return shaped


def _refusal(error: ValidationError) -> str:
    """Says what is wrong without quoting the value, which may be a secret or very long."""
    path = ".".join(str(part) for part in error.absolute_path)
    expected: Any = error.validator_value
    given: Any = error.instance
    match error.validator:
        case "required":
            missing = next(name for name in expected if name not in given)
            return f"The input '{path + '.' if path else ''}{missing}' is empty or missing."
        case "type":
            return f"The input '{path}' is not {_TYPE_WORDS.get(expected, expected)}."
        case "enum":
            choices = ", ".join(f"'{choice}'" for choice in expected)
            return f"The input '{path}' is not one of {choices}."
    return f"The input '{path}' is not valid."
