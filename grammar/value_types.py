"""The JSON types of a schema's values, as its reader is told them.

Formats that write a string without quotation marks leave it to the schema whether a text is one. Their readers look
at ``type``, at listed values and through ``anyOf``, ``oneOf``, ``allOf`` and references; where none of these says
anything, a text is a string. This is that rule. It may name types that have no value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

STRING = frozenset({"string"})
TYPES = STRING | {"null", "boolean", "integer", "number", "array", "object"}
# Far more than people write; below it nothing is said.
MAX_DEPTH = 24


def value_types(schema: Any) -> frozenset[str]:
    """The types of the values of a schema document; ``{"string"}`` where it does not say.

    ``number`` stands for integers as well, and no type is named that JSON Schema does not know.
    """
    found = _Reading(schema).types(schema, 0)
    return STRING if found is None else found & TYPES


def value_types_of(schema: Mapping[str, Any], name: str) -> frozenset[str]:
    """The same for a declared property of an object's schema, which `declared_properties` takes apart."""
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    return value_types({**shared, "allOf": [schema["properties"][name]]})


class _Reading:
    """Looks at each schema of a document once."""

    def __init__(self, root: Any) -> None:
        self._root = root
        # By `id`; what refers to itself says nothing.
        self._known: dict[int, frozenset[str] | None] = {}

    def types(self, schema: Any, depth: int) -> frozenset[str] | None:
        """None if nothing is said."""
        if schema is False:
            return frozenset()
        if not isinstance(schema, dict) or depth > MAX_DEPTH:
            return None
        if id(schema) not in self._known:
            self._known[id(schema)] = None
            self._known[id(schema)] = self._intersection(self._said(schema, depth + 1))
        return self._known[id(schema)]

    def _said(self, schema: Mapping[str, Any], depth: int) -> Iterable[frozenset[str] | None]:
        """What each keyword says."""
        named = schema.get("type")
        if isinstance(named, str):
            yield frozenset({named})
        elif isinstance(named, list):
            yield frozenset(name for name in named if isinstance(name, str))
        if isinstance(schema.get("enum"), list):
            yield frozenset(map(spelled_type, schema["enum"]))
        if "const" in schema:
            yield frozenset({spelled_type(schema["const"])})
        if isinstance(schema.get("$ref"), str):
            yield self.types(self._target(schema["$ref"]), depth)
        if isinstance(schema.get("allOf"), list):
            for part in schema["allOf"]:
                yield self.types(part, depth)
        for keyword in ("anyOf", "oneOf"):
            if isinstance(schema.get(keyword), list):
                parts = [self.types(part, depth) for part in schema[keyword]]
                yield frozenset().union(*(STRING if part is None else part for part in parts))

    def _intersection(self, said: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
        found = None
        for types in said:
            if types is not None:
                found = types if found is None else _common(found, types)
        return found

    def _target(self, reference: str) -> Any:
        """What a local reference means; None: not to be told here."""
        value = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(value, dict) or step not in value:
                return None
            value = value[step]
        return value


def _common(left: frozenset[str], right: frozenset[str]) -> frozenset[str]:
    found = left & right
    if ("integer" in left and "number" in right) or ("number" in left and "integer" in right):
        found |= {"integer"}
    return found


def spelled_type(value: object) -> str:
    """The type of a JSON value as readers of texts tell it: ``1.0`` is no integer, though to schemas it is one."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
