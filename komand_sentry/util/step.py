"""The base class of all actions, and the wrapper around a step: parse inputs, run, build the output."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ClassVar, Protocol, TypeVar

import insightconnect_plugin_runtime
from insightconnect_plugin_runtime.telemetry import auto_instrument
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from komand_sentry.util.coerce import Schema, coerce
from komand_sentry.util.errors.exceptions import clear_frames
from komand_sentry.util.errors.factory import invalid_input
from komand_sentry.util.interruption import Interruptible
from komand_sentry.util.sentry.client import SentryClient

Inputs = dict[str, Any]
Outputs = dict[str, Any]
Normalizer = Callable[[Any], Any]
Action = TypeVar("Action", bound="SentryAction")

_TYPE_NAMES = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
}


class StepInput(insightconnect_plugin_runtime.Input):
    """Leaves the validation to parse_inputs, which removes blank inputs first and explains what is invalid."""

    def validate(self, parameters: Any) -> None:
        """Do nothing."""

    def validate_required(self, parameters: Any) -> None:
        """Do nothing."""


class StepOutput(insightconnect_plugin_runtime.Output):
    """Skips the runtime's validation: outputs are coerced to the schema, and validating 10,000 issues takes 1.8 s."""

    def validate(self, parameters: Any) -> None:
        """Do nothing."""


class _Connection(Protocol):
    client: SentryClient


class SentryAction(insightconnect_plugin_runtime.Action):
    """An action whose inputs and output follow its generated schemas. Its `run` is wrapped by `step`."""

    connection: _Connection
    # For an input that has several forms: the function that converts it to the one that the schema declares.
    normalizers: ClassVar[Mapping[str, Normalizer]] = {}

    def __init__(self, name: str, description: str, input: Any, output: Any) -> None:
        super().__init__(
            name=name, description=description, input=StepInput(input.schema), output=StepOutput(output.schema)
        )


def step(run: Callable[[Action, Inputs], Outputs]) -> Callable[[Action, Any], Outputs]:
    """Wrap the `run` of an action: trace it, parse its inputs, build its output, and release memory if it fails.

    `run` gets the inputs that are set, in their declared types.

    :raises PluginException: an input is invalid, the step was interrupted, or what `run` raises
    """

    @wraps(run)
    def wrapper(self: Action, params: Any = None) -> Outputs:
        try:
            with Interruptible():
                inputs = parse_inputs(params, self.input.schema, self.normalizers)
                return build_output(run(self, inputs), self.output.schema)
        except Exception as error:
            clear_frames(error)
            raise

    traced: Callable[[Action, Any], Outputs] = auto_instrument(wrapper)
    return traced


def parse_inputs(
    params: Any, schema: Schema, normalizers: Mapping[str, Normalizer] | None = None, owner: str = "step"
) -> Inputs:
    """Parse the inputs of a step or the parameters of a connection.

    Blank texts and nulls are removed: InsightConnect sends "" for a text input that the user left blank.

    :param owner: "step" or "connection", for errors
    :raises InvalidInput: an input is missing or has the wrong type
    """
    if not isinstance(params, dict):
        raise invalid_input(f"The input of the {owner} is not an object.", "Send the inputs as an object.")
    normalizers = normalizers or {}
    inputs: Inputs = {}
    for name, value in params.items():
        stripped = value.strip() if isinstance(value, str) else value
        if stripped not in ("", None):
            inputs[name] = normalizers[name](stripped) if name in normalizers else stripped
    inputs = coerce(inputs, schema)
    # jsonschema.validate would check the schema itself each time, which takes longer than the rest of a small step.
    if error := best_match(Draft202012Validator(schema).iter_errors(inputs)):
        raise invalid_input(_explain(error), f"Correct this input of the {owner}, and run the step again.")
    return inputs


def build_output(output: Outputs, schema: Schema) -> Outputs:
    """Coerce an output to its schema, in place, so that it is valid by construction.

    Lists become tuples, which the runtime serializes like lists, but does not search for the token: that takes longer
    than everything else in a large step, and API.parse has already masked the token.
    """
    coerced = coerce(output, schema, is_output=True)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in coerced.items()}


def _explain(error: ValidationError) -> str:
    """Explain a validation error without quoting the value, which may be a secret or very long."""
    path = ".".join(str(part) for part in error.absolute_path)
    expected: Any = error.validator_value
    value: Any = error.instance
    match error.validator:
        case "required":
            missing = next(name for name in expected if name not in value)
            return f"The input '{path + '.' if path else ''}{missing}' is empty or missing."
        case "type":
            return f"The input '{path}' is not {_TYPE_NAMES.get(expected, expected)}."
        case "enum":
            choices = ", ".join(f"'{choice}'" for choice in expected)
            return f"The input '{path}' is not one of {choices}."
    return f"The input '{path}' is invalid."
