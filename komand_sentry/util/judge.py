"""Judges values by a generated schema, as jsonschema does, in a hundredth of its time where there is nothing to say."""

from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from komand_sentry.util.shape import Schema

# Values within a value, from which on it takes longer to judge it as it is than to have its judge compiled.
_MANY = 500


class Judge:
    """Shared between threads. Has its schema compiled when that pays: for a large value, or when it is asked again. A
    process for one small step does without the time and the memory that it takes to load what compiles.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._compiled: Any = None
        self._is_new = True

    def accepts(self, value: Any) -> bool:
        if self._is_new and not is_large(value):
            self._is_new = False
            return self._accepts_as_it_is(value)
        if self._compiled is None:
            import jsonschema_rs  # noqa: PLC0415 - see above

            self._compiled = jsonschema_rs.Draft202012Validator(self.schema)
        try:
            return bool(self._compiled.is_valid(value))
        except ValueError:
            # What JSON does not have (halves of characters, numbers without end) is jsonschema's to judge.
            return self._accepts_as_it_is(value)

    def refusal(self, value: Any) -> ValidationError | None:
        """What is wrong with the value, None where it is accepted."""
        if self.accepts(value):
            return None
        # jsonschema.validate would check the schema itself each time, which takes longer than all the rest of a step.
        error: ValidationError | None = best_match(Draft202012Validator(self.schema).iter_errors(value))
        return error

    def _accepts_as_it_is(self, value: Any) -> bool:
        return not any(True for _ in Draft202012Validator(self.schema).iter_errors(value))


def is_large(value: Any) -> bool:
    waiting, count = [value], 0
    while waiting and count < _MANY:
        item = waiting.pop()
        count += 1
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return count == _MANY
