"""Which JSON Schema keywords are enforced, which mean nothing, and what their values may be."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from syntagma.grammar.errors import GrammarSyntaxError, UnsupportedGrammarError
from syntagma.grammar.json_formats import FORMATS
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_text import describe, escape, shorten

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")

ANNOTATIONS = frozenset(
    [
        "$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "title", "description",
        "default", "examples", "deprecated", "readOnly", "writeOnly", "contentMediaType",
        "contentEncoding", "contentSchema",
    ]
)  # fmt: skip


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


def has_enforced_keywords(schema: dict[str, Any]) -> bool:
    """Whether a schema passes `check_keywords`."""
    for keyword, value in schema.items():
        if keyword in ANNOTATIONS:
            continue
        checked = ENFORCED.get(keyword)
        if checked is None or not checked[0](value):
            return False
    return "format" not in schema or schema["format"] in FORMATS


def check_keywords(schema: dict[str, Any], document: SchemaDocument) -> None:
    """Refuse what is not enforced, and values of the wrong type.

    Raises:
        UnsupportedGrammarError: a keyword or format outside the lists above.
        GrammarSyntaxError: a keyword's value has the wrong type.
    """
    if has_enforced_keywords(schema):
        return
    place = document.pointer(schema)
    for keyword, value in schema.items():
        if keyword in ANNOTATIONS:
            continue
        pointer = f"{place}/{escape(keyword)}"
        if keyword not in ENFORCED:
            near = difflib.get_close_matches(keyword, ENFORCED, n=1, cutoff=0.8)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UnsupportedGrammarError(
                f"the keyword {shorten(keyword)!r} is not enforced, so it is refused{hint}",
                keyword=keyword,
                pointer=pointer,
            )
        is_valid, expected = ENFORCED[keyword]
        if not is_valid(value):
            raise GrammarSyntaxError(
                f"{keyword} must be {expected}, not {shown(value)}", pointer=pointer
            )
    name = schema.get("format")
    if name is not None and name not in FORMATS:
        raise UnsupportedGrammarError(
            f"the format {shorten(name)!r} is not enforced, so it is refused; "
            f"enforced are {', '.join(FORMATS)}",
            keyword="format",
            pointer=f"{place}/format",
        )


def shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return describe(value)
    return shorten(repr(value))
