"""Embedding a JSON Schema in another one without breaking its references."""

from __future__ import annotations

from typing import Any

# Where a schema holds further schemas; anything else (enum, const, default, examples) is data, in
# which "$ref" is an ordinary key.
SCHEMA_KEYWORDS = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
SCHEMA_LIST_KEYWORDS = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
SCHEMA_MAP_KEYWORDS = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)


def move_local_references(schema: dict[str, Any], pointer: str) -> dict[str, Any]:
    """A copy of `schema` whose ``#/...`` references work once it stands at `pointer`.

    A schema with an ``$id`` of its own is a resource of its own: its references stay.
    """
    root: dict[str, Any] = {}
    pending = [(schema, root)]
    while pending:
        original, copy = pending.pop()
        if "$id" in original:
            copy.update(original)
            continue
        for keyword, value in original.items():
            copy[keyword] = value
            if keyword == "$ref" and isinstance(value, str) and _is_pointer(value):
                copy[keyword] = "#" + pointer + value[1:]
            elif keyword in SCHEMA_MAP_KEYWORDS and isinstance(value, dict):
                copy[keyword] = copied = dict(value)
                pending += _replace_schemas(copied, list(copied))
            elif keyword in SCHEMA_LIST_KEYWORDS and isinstance(value, list):
                copy[keyword] = listed = list(value)
                pending += _replace_schemas(listed, range(len(listed)))
            elif keyword in SCHEMA_KEYWORDS and isinstance(value, dict):
                pending += _replace_schemas(copy, [keyword])
    return root


def _is_pointer(reference: str) -> bool:
    return reference == "#" or reference.startswith("#/")


def _replace_schemas(holder: Any, places: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Put an empty copy in place of each schema; returns (original, copy) pairs to fill in."""
    pairs = []
    for place in places:
        original = holder[place]
        if isinstance(original, dict):
            holder[place] = {}
            pairs.append((original, holder[place]))
    return pairs
