"""What the values of keywords may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syntagma.grammar.schema_text import describe, shorten

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
# What each value of `type` allows; `number` includes `integer`.
TYPE_SETS = {name: frozenset([name]) for name in TYPES} | {
    "number": frozenset(["number", "integer"])
}


def _is_count(value: Any) -> bool:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_type(value: Any) -> bool:
    if type(value) is str:
        return value in TYPES
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(n, str) and n in TYPES for n in names)


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict | bool)


def _is_schema_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_schema, value))


def _is_name_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(n, str) for n in value)


ENFORCED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "type": (_is_type, f"one of {', '.join(TYPES)}, or a non-empty list of them"),
    "enum": (lambda v: isinstance(v, list), "a list"),
    "const": (lambda v: True, "anything"),
    "$ref": (_is_string, "a string"),
    "anyOf": (_is_schema_list, "a non-empty list of schemas"),
    "allOf": (_is_schema_list, "a non-empty list of schemas"),
    "properties": (_is_object, "an object"),
    "required": (_is_name_list, "a list of strings"),
    "additionalProperties": (_is_schema, "a schema"),
    "items": (_is_schema, "a schema (lists of schemas belong under prefixItems)"),
    "prefixItems": (_is_schema_list, "a non-empty list of schemas"),
    "minItems": (_is_count, "a non-negative integer"),
    "maxItems": (_is_count, "a non-negative integer"),
    "minLength": (_is_count, "a non-negative integer"),
    "maxLength": (_is_count, "a non-negative integer"),
    "pattern": (_is_string, "a string"),
    "format": (_is_string, "a string"),
    "minimum": (_is_number, "a number"),
    "maximum": (_is_number, "a number"),
    "exclusiveMinimum": (_is_number, "a number"),
    "exclusiveMaximum": (_is_number, "a number"),
}


def shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return describe(value)
    return shorten(repr(value))


def type_of(value: Any) -> str:
    """The narrowest type of a JSON value: to JSON Schema ``1.0`` is an integer; cf. `value_types.spelled_type`."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
