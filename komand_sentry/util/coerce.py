"""Coerce JSON values to the types that a generated schema declares.

Sentry's payloads have several forms and change over the years, but a generated schema has one. A value that can be
expressed in the declared type without loss is converted. What the schema does not declare (new keys, and free-form
objects such as `stats`, `extra` or a frame's `vars`) passes through unchanged, nulls included.
"""

import json
import math
import operator
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]


class _Invalid:
    """The type of INVALID."""


# Result of a coercion that is not possible without loss.
INVALID = _Invalid()
_ABSENT = object()
_PLAIN_TYPES: dict[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
_TRUE = ("true", "1", "yes")
_FALSE = ("false", "0", "no")
_MAX_NUMBER_LENGTH = 40


# Converts one value to a declared type, or returns INVALID.
Coercer = Callable[[Any], Any]
# By the identity of the schema, which is stored as well so that its identity is not reused.
_COERCERS: dict[tuple[int, bool], tuple[Schema, Coercer]] = {}
_MAX_CACHED = 64


def coerce(value: Any, schema: Schema, is_output: bool = False) -> Any:
    """Coerce a value to a schema.

    At keys that the schema declares: nulls are removed, a number becomes a text if a text is declared (and the
    reverse), a single value becomes a list with one item, and a list of pairs becomes an object.

    >>> coerce({"count": 3}, {"type": "object", "properties": {"count": {"type": "string"}}})
    {'count': '3'}

    :param is_output: change the value in place, and remove what cannot be coerced, so that the result is valid. For an
        input, nothing is changed in place, and what cannot be coerced stays, so that the validation reports it
    """
    coerced = _coercer(schema, is_output)(value)
    return value if isinstance(coerced, _Invalid) else coerced


def _coercer(schema: Schema, is_output: bool) -> Coercer:
    """Compile a schema to a function, once: interpreting it for each of thousands of records takes far longer."""
    key = (id(schema), is_output)
    cached = _COERCERS.get(key)
    if cached is None:
        if len(_COERCERS) >= _MAX_CACHED:
            _COERCERS.clear()
        compiled = _Compiler(schema.get("definitions", {}), is_output).compile(schema)
        cached = _COERCERS[key] = (schema, compiled)
    return cached[1]


class _Compiler:
    def __init__(self, definitions: dict[str, Schema], is_output: bool) -> None:
        self._definitions = definitions
        self._is_output = is_output
        self._by_name: dict[str, Coercer] = {}

    def compile(self, schema: Schema) -> Coercer:
        if "$ref" in schema:
            return self._named(schema["$ref"].rpartition("/")[2])
        match schema.get("type"):
            case "object":
                return self._object(schema.get("properties", {}))
            case "array":
                return self._array(schema.get("items", {}))
            case "string":
                return _text
            case "integer":
                return _integer
            case "number":
                return _number
            case "boolean":
                return _boolean
        return _unchanged

    def _named(self, name: str) -> Coercer:
        if name not in self._by_name:

            def resolve(value: Any) -> Any:
                """Placeholder for a definition that refers to itself."""
                return self._by_name[name](value)

            self._by_name[name] = resolve
            self._by_name[name] = self.compile(self._definitions[name])
        return self._by_name[name]

    def _object(self, declared: dict[str, Schema]) -> Coercer:
        coercers = [(key, _plain_type(schema), self.compile(schema)) for key, schema in declared.items()]
        is_output = self._is_output

        def coerce_value(value: Any) -> Any:
            result = value if isinstance(value, dict) else _pairs(value)
            if isinstance(result, _Invalid):
                return result
            is_copy = is_output or result is not value
            for key, plain_type, coerce_item in coercers:
                item = result.get(key, _ABSENT)
                if type(item) is plain_type or item is _ABSENT:
                    continue
                coerced = INVALID if item is None else coerce_item(item)
                if coerced is item or (coerced is INVALID and item is not None and not is_output):
                    continue
                if not is_copy:
                    result, is_copy = result.copy(), True
                if coerced is INVALID:
                    del result[key]
                else:
                    result[key] = coerced
            return result

        return coerce_value

    def _array(self, items: Schema) -> Coercer:
        coerce_item = self.compile(items)
        # Source lines keep their positions; a missing object has none.
        null = "" if items.get("type") == "string" else INVALID
        is_output = self._is_output

        def coerce_value(value: Any) -> Any:
            values = value if isinstance(value, list) else [value]
            result = []
            for item in values:
                coerced = null if item is None else coerce_item(item)
                if coerced is not INVALID:
                    result.append(coerced)
                elif item is not None and not is_output:
                    result.append(item)
            is_same = len(result) == len(values) and all(map(operator.is_, result, values))
            return values if is_same else result

        return coerce_value


def _plain_type(schema: Schema) -> type | None:
    """The Python type of values that need no coercion. Most do not."""
    return _PLAIN_TYPES.get(schema.get("type", ""))


def _unchanged(value: Any) -> Any:
    return value


def _pairs(value: Any) -> dict[str, Any] | _Invalid:
    """[["a", 1], ["b", 2]] as an object. The first of several equal names counts, as in Sentry."""
    if not isinstance(value, list):
        return INVALID
    result: dict[str, Any] = {}
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or isinstance(pair[0], (list, dict)):
            return INVALID
        result.setdefault(str(pair[0]), pair[1])
    return result


def _text(value: Any) -> str | _Invalid:
    """Booleans become `True` and `False`, as in Sentry's normalizer."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return INVALID if isinstance(value, (dict, list)) else str(value)


def _integer(value: Any) -> int | _Invalid:
    number = _number(value)
    if isinstance(number, float):
        return int(number) if number.is_integer() else INVALID
    return number


def _number(value: Any) -> float | _Invalid:
    if isinstance(value, bool):
        return INVALID
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, str) or len(value) > _MAX_NUMBER_LENGTH:
        return INVALID
    try:
        # Unlike int and float, JSON accepts no underscores, no names and no other digits.
        number = json.loads(value.strip())
    except ValueError:
        return INVALID
    return number if type(number) is int or (type(number) is float and math.isfinite(number)) else INVALID


def _boolean(value: Any) -> bool | _Invalid:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    return True if word in _TRUE else False if word in _FALSE else INVALID
