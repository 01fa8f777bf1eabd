"""Judges values by a generated schema, as jsonschema does, in a hundredth of its time where there is nothing to say."""

from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from komand_sentry.util.shape import Schema


class Judge:
    """Shared between threads. Compiles its schema when it is first asked."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._compiled: jsonschema_rs.Validator | None = None

    def accepts(self, value: Any) -> bool:
        if self._compiled is None:
            self._compiled = jsonschema_rs.Draft202012Validator(self.schema)
        try:
            return self._compiled.is_valid(value)
        except ValueError:
            # What JSON does not have (halves of characters, numbers without end) is jsonschema's to judge.
            return not any(True for _ in Draft202012Validator(self.schema).iter_errors(value))

    def refusal(self, value: Any) -> ValidationError | None:
        """What is wrong with the value, None where it is accepted."""
        if self.accepts(value):
            return None
        # jsonschema.validate would check the schema itself each time, which takes longer than all the rest of a step.
        error: ValidationError | None = best_match(Draft202012Validator(self.schema).iter_errors(value))
        return error
