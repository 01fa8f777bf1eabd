"""Brings JSON values into the shape that a generated schema declares.

Sentry's payloads come in several shapes and change over the years, where a generated schema knows one. What can be
said in that shape without loss is; what the schema does not know (new keys, free-form objects such as `stats`,
`extra` or a frame's `vars`) passes through untouched, nulls included.
"""

import json
import math
from typing import Any

Schema = dict[str, Any]


class _Misfit:
    """Stands for a value that cannot be said in the declared type."""


_MISFIT = _Misfit()
_TRUE = ("true", "1", "yes")
_FALSE = ("false", "0", "no")
_LONGEST_NUMBER = 40


def conform(value: Any, schema: Schema, drop_misfits: bool = False) -> Any:
    """The value in the shape of the schema.

    At keys that the schema declares: nulls are left out, a number stands as text where a text is declared (and the
    reverse), a single value becomes a list of one, a list of pairs an object.

    :param drop_misfits: leave out what cannot be brought into shape, so that the result is valid. Otherwise it stays
        as it is, for the schema to refuse.
    """
    shaped = _Conformer(schema.get("definitions", {}), drop_misfits).value(value, schema)
    return value if isinstance(shaped, _Misfit) else shaped


class _Conformer:
    def __init__(self, definitions: dict[str, Schema], drop_misfits: bool) -> None:
        self._definitions = definitions
        self._drop_misfits = drop_misfits

    def value(self, value: Any, schema: Schema) -> Any:
        if "$ref" in schema:
            schema = self._definitions[schema["$ref"].rpartition("/")[2]]
        match schema.get("type"):
            case "object":
                return self._object(value, schema.get("properties", {}))
            case "array":
                return self._array(value, schema.get("items", {}))
            case "string":
                return _text(value)
            case "integer":
                return _integer(value)
            case "number":
                return _number(value)
            case "boolean":
                return _boolean(value)
        return value

    def _object(self, value: Any, declared: dict[str, Schema]) -> Any:
        if not isinstance(value, dict):
            value = _pairs(value)
        if not declared or isinstance(value, _Misfit):
            return value
        shaped = {}
        for key, item in value.items():
            if key not in declared:
                shaped[key] = item
            elif item is not None:
                fitted = self.value(item, declared[key])
                if not isinstance(fitted, _Misfit):
                    shaped[key] = fitted
                elif not self._drop_misfits:
                    shaped[key] = item
        return shaped

    def _array(self, value: Any, items: Schema) -> Any:
        shaped = []
        for item in value if isinstance(value, list) else [value]:
            if item is None:
                # Lines of source and the like keep their places; an object that is not there has none.
                if items.get("type") == "string":
                    shaped.append("")
                continue
            fitted = self.value(item, items)
            if not isinstance(fitted, _Misfit):
                shaped.append(fitted)
            elif not self._drop_misfits:
                shaped.append(item)
        return shaped


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
