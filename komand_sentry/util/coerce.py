"""Coerce JSON values to the types that a generated schema declares.

Sentry's payloads have several forms and change over the years, but a generated schema has one. A value that can be
expressed in the declared type without loss is converted. What the schema does not declare (new keys, and free-form
objects such as `stats`, `extra` or a frame's `vars`) passes through unchanged, nulls included. Forms that depend on the
attribute, such as pairs for an object of tags, are left to the normalizers.
"""

import json
import math
import operator
from collections.abc import Callable
from enum import Enum, auto
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
# Above this, a float can represent more than one integer.
MAX_EXACT_FLOAT = 2**53


# The path of each value that cannot be coerced: its keys and positions, innermost first.
Paths = list[list[str | int]]
# Converts one value to a declared type, or returns INVALID. Adds to the paths what is invalid within the value.
Coercer = Callable[[Any, Paths], Any]


class _Mode(Enum):
    """What to do with a value that cannot be coerced."""

    # Keep it, so that the validation reports it.
    KEEP = auto()
    # Remove it from a copy.
    REMOVE = auto()
    # Remove it, and change the value in place.
    IN_PLACE = auto()


# By the identity of the schema, which is stored as well so that its identity is not reused.
_COERCERS: dict[tuple[int, _Mode], tuple[Schema, Coercer]] = {}
_MAX_CACHED = 64


def coerce(value: Any, schema: Schema, is_output: bool = False) -> Any:
    """Coerce a value to a schema.

    At keys that the schema declares: nulls are removed, a number becomes a text if a text is declared (and the
    reverse), and a single value becomes a list with one item.

    >>> coerce({"count": 3}, {"type": "object", "properties": {"count": {"type": "string"}}})
    {'count': '3'}

    :param is_output: change the value in place, and remove what cannot be coerced, so that the result is valid. For an
        input, nothing is changed in place, and what cannot be coerced stays, so that the validation reports it
    """
    coerced = _coercer(schema, _Mode.IN_PLACE if is_output else _Mode.KEEP)(value, [])
    return value if isinstance(coerced, _Invalid) else coerced


def coerce_or_remove(value: Any, schema: Schema) -> tuple[Any, list[str]]:
    """Coerce a copy of a value to a schema, and remove what cannot be coerced.

    >>> coerce_or_remove([7, {}], {"type": "array", "items": {"type": "string"}})
    (['7'], ['1'])

    :returns: the copy, which is valid unless the value itself has the wrong type, and the paths of what is removed
    """
    invalid: Paths = []
    coerced = _coercer(schema, _Mode.REMOVE)(value, invalid)
    paths = [".".join(str(part) for part in reversed(path)) for path in invalid]
    return (value if isinstance(coerced, _Invalid) else coerced), paths


def _coercer(schema: Schema, mode: _Mode) -> Coercer:
    """Compile a schema to a function, once: interpreting it for each of thousands of records takes far longer."""
    key = (id(schema), mode)
    cached = _COERCERS.get(key)
    if cached is None:
        if len(_COERCERS) >= _MAX_CACHED:
            _COERCERS.clear()
        compiled = _Compiler(schema.get("definitions", {}), mode).compile(schema)
        cached = _COERCERS[key] = (schema, compiled)
    return cached[1]


class _Compiler:
    def __init__(self, definitions: dict[str, Schema], mode: _Mode) -> None:
        self._definitions = definitions
        self._mode = mode
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

            def resolve(value: Any, invalid: Paths) -> Any:
                """Placeholder for a definition that refers to itself."""
                return self._by_name[name](value, invalid)

            self._by_name[name] = resolve
            self._by_name[name] = self.compile(self._definitions[name])
        return self._by_name[name]

    def _object(self, declared: dict[str, Schema]) -> Coercer:
        coercers = [(key, _plain_type(schema), self.compile(schema)) for key, schema in declared.items()]
        keeps_invalid, is_in_place = self._mode is _Mode.KEEP, self._mode is _Mode.IN_PLACE

        def coerce_value(value: Any, invalid: Paths) -> Any:
            if not isinstance(value, dict):
                return INVALID
            result, is_copy = value, is_in_place
            for key, plain_type, coerce_item in coercers:
                item = result.get(key, _ABSENT)
                if type(item) is plain_type or item is _ABSENT:
                    continue
                coerced = INVALID if item is None else _coerce_at(key, item, coerce_item, invalid)
                if coerced is item or (coerced is INVALID and item is not None and keeps_invalid):
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
        keeps_invalid = self._mode is _Mode.KEEP

        def coerce_value(value: Any, invalid: Paths) -> Any:
            if not isinstance(value, list):
                single = coerce_item(value, invalid)
                return INVALID if single is INVALID else [single]
            result = []
            for position, item in enumerate(value):
                coerced = INVALID if item is None else _coerce_at(position, item, coerce_item, invalid)
                if coerced is not INVALID:
                    result.append(coerced)
                elif item is not None and keeps_invalid:
                    result.append(item)
            is_same = len(result) == len(value) and all(map(operator.is_, result, value))
            return value if is_same else result

        return coerce_value


def _coerce_at(key: str | int, item: Any, coerce_item: Coercer, invalid: Paths) -> Any:
    """Coerce the value at a key or a position, which becomes a part of the paths of what is invalid."""
    start = len(invalid)
    coerced = coerce_item(item, invalid)
    if coerced is INVALID:
        invalid.append([])
    for path in invalid[start:]:
        path.append(key)
    return coerced


def _plain_type(schema: Schema) -> type | None:
    """The Python type of values that need no coercion, as most values do."""
    return _PLAIN_TYPES.get(schema.get("type", ""))


def _unchanged(value: Any, _invalid: Paths) -> Any:
    return value


def _text(value: Any, _invalid: Paths) -> str | _Invalid:
    """Booleans become `True` and `False`, as in Sentry's normalizer."""
    if isinstance(value, str):
        return value
    if _is_whole(value):
        value = int(value)
    return INVALID if isinstance(value, (dict, list)) else str(value)


def _is_whole(value: Any) -> bool:
    """Whether the value is a float that represents exactly one integer."""
    return isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT_FLOAT


def _integer(value: Any, invalid: Paths) -> int | _Invalid:
    number = _number(value, invalid)
    if isinstance(number, float):
        return int(number) if _is_whole(number) else INVALID
    return number


def _number(value: Any, _invalid: Paths) -> float | _Invalid:
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


def _boolean(value: Any, _invalid: Paths) -> bool | _Invalid:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    return True if word in _TRUE else False if word in _FALSE else INVALID
