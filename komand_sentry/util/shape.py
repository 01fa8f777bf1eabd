"""Brings JSON values into the shape that a generated schema declares.

Sentry's payloads come in several shapes and change over the years, where a generated schema knows one. What can be
said in that shape without loss is; what the schema does not know (new keys, free-form objects such as `stats`,
`extra` or a frame's `vars`) passes through untouched, nulls included.
"""

import json
import math
import operator
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]


class _Misfit:
    """Stands for a value that cannot be said in the declared type."""


_MISFIT = _Misfit()
_ABSENT = object()
_PLAIN_TYPES: dict[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
_TRUE = ("true", "1", "yes")
_FALSE = ("false", "0", "no")
_LONGEST_NUMBER = 40


def conform(value: Any, schema: Schema, is_output: bool = False) -> Any:
    """The value in the shape of the schema.

    At keys that the schema declares: nulls are left out, a number stands as text where a text is declared (and the
    reverse), a single value becomes a list of one, a list of pairs an object.

    :param is_output: of a step, to which it belongs: it is changed itself, and what cannot be brought into shape is
        left out, so that the result is valid. Of an input nothing is changed, what needs no change is the same object
        in the result, and what cannot be brought into shape stays as it is, for the schema to refuse.
    """
    shaped = _fit_for(schema, is_output)(value)
    return value if isinstance(shaped, _Misfit) else shaped


# Brings one value into a declared type, or tells with _MISFIT that it cannot be.
Fit = Callable[[Any], Any]
# By the identity of the schema, which is kept with it so that no other takes its place.
_FITS: dict[tuple[int, bool, str], tuple[Schema, Fit]] = {}
_MOST_FITS = 64


def items_fit(schema: Schema, key: str) -> Fit:
    """What brings one item, an object, of a list of an output into its shape, as `conform` does with the whole list."""
    return _fit_for(schema, is_output=True, items_of=key)


def _fit_for(schema: Schema, is_output: bool, items_of: str = "") -> Fit:
    """The schema as a function, made once: reading it anew for each of thousands of records takes far longer.

    :param items_of: the list whose items' schema is meant, "" where it is the whole
    """
    key = (id(schema), is_output, items_of)
    known = _FITS.get(key)
    if known is None:
        if len(_FITS) >= _MOST_FITS:
            _FITS.clear()
        meant = schema["properties"][items_of]["items"] if items_of else schema
        known = _FITS[key] = (schema, _Compiler(schema.get("definitions", {}), is_output).fit(meant))
    return known[1]


class _Compiler:
    def __init__(self, definitions: dict[str, Schema], is_output: bool) -> None:
        self._definitions = definitions
        self._is_output = is_output
        self._by_name: dict[str, Fit] = {}

    def fit(self, schema: Schema) -> Fit:
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
        return _as_given

    def _named(self, name: str) -> Fit:
        if name not in self._by_name:

            def looked_up(value: Any) -> Any:
                """Stands in for a definition that leads back to itself while it is being made."""
                return self._by_name[name](value)

            self._by_name[name] = looked_up
            self._by_name[name] = self.fit(self._definitions[name])
        return self._by_name[name]

    def _object(self, declared: dict[str, Schema]) -> Fit:
        fits = [(key, _plain_type(schema), self.fit(schema)) for key, schema in declared.items()]
        is_output = self._is_output

        def fit(value: Any) -> Any:
            shaped = value if isinstance(value, dict) else _pairs(value)
            if isinstance(shaped, _Misfit):
                return shaped
            is_own = is_output or shaped is not value
            for key, plain_type, fit_item in fits:
                item = shaped.get(key, _ABSENT)
                if type(item) is plain_type or item is _ABSENT:
                    continue
                fitted = _MISFIT if item is None else fit_item(item)
                if fitted is item or (fitted is _MISFIT and item is not None and not is_output):
                    continue
                if not is_own:
                    shaped, is_own = shaped.copy(), True
                if fitted is _MISFIT:
                    del shaped[key]
                else:
                    shaped[key] = fitted
            return shaped

        return fit

    def _array(self, items: Schema) -> Fit:
        fit_item = self.fit(items)
        # Lines of source and the like keep their places; an object that is not there has none.
        null = "" if items.get("type") == "string" else _MISFIT
        is_output = self._is_output

        def fit(value: Any) -> Any:
            given = value if isinstance(value, list) else [value]
            shaped = []
            for item in given:
                fitted = null if item is None else fit_item(item)
                if fitted is not _MISFIT:
                    shaped.append(fitted)
                elif item is not None and not is_output:
                    shaped.append(item)
            is_same = len(shaped) == len(given) and all(map(operator.is_, shaped, given))
            return given if is_same else shaped

        return fit


def _plain_type(schema: Schema) -> type | None:
    """The type of a value that fits as it is, at a glance. Most do."""
    return _PLAIN_TYPES.get(schema.get("type", ""))


def _as_given(value: Any) -> Any:
    return value


def _pairs(value: Any) -> dict[str, Any] | _Misfit:
    """[["a", 1], ["b", 2]] as an object. Of a name that comes twice the first counts, as for Sentry."""
    if not isinstance(value, list):
        return _MISFIT
    shaped: dict[str, Any] = {}
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or isinstance(pair[0], (list, dict)):
            return _MISFIT
        shaped.setdefault(str(pair[0]), pair[1])
    return shaped


def _text(value: Any) -> str | _Misfit:
    """Booleans are written as Sentry's own normaliser writes them."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _MISFIT if isinstance(value, (dict, list)) else str(value)


def _integer(value: Any) -> int | _Misfit:
    number = _number(value)
    if isinstance(number, float):
        return int(number) if number.is_integer() else _MISFIT
    return number


def _number(value: Any) -> float | _Misfit:
    if isinstance(value, bool):
        return _MISFIT
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER:
        return _MISFIT
    try:
        # JSON decides what a number is: unlike int and float it takes no underscores, no names and no other digits.
        number = json.loads(value.strip())
    except ValueError:
        return _MISFIT
    return number if type(number) is int or (type(number) is float and math.isfinite(number)) else _MISFIT


def _boolean(value: Any) -> bool | _Misfit:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    return True if word in _TRUE else False if word in _FALSE else _MISFIT
