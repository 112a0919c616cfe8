"""Arguments that a notation other than JSON writes one by one: the declared properties of an object's schema.

In such a notation there are members, but no object around them. So what a schema says beyond ``properties`` and
``required`` is refused by name; what it says within a property may be anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarError, GrammarSyntaxError, UnsupportedGrammarError
from syntagma.grammar.schema_text import describe, escape, shorten

# What says nothing about values.
ANNOTATIONS = frozenset({"$comment", "title", "description", "default", "examples", "deprecated"})
# What is seen to here, or has no effect.
KNOWN = ANNOTATIONS | {
    "type", "properties", "required", "additionalProperties", "$schema", "$defs", "definitions", "strict",
}  # fmt: skip
# Where references of parameters may lead.
SHARED = ("$defs", "definitions")
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class Property(NamedTuple):
    """A declared property.

    Attributes:
        name: as the schema has it.
        schema: of its value, as a document of its own: ``allOf`` with the declared one as its first.
        is_required: whether it must come.
        pointer: where it is declared.
    """

    name: str
    schema: dict[str, Any]
    is_required: bool
    pointer: str


class Argument(NamedTuple):
    """The text of one argument, and whether it must come."""

    node: ir.Node
    is_required: bool


def declared_properties(schema: Any, notation: str) -> list[Property]:
    """The properties of an object's schema, in their order.

    Args:
        schema: told by ``properties`` and ``required``.
        notation: in what the arguments are written, for messages.

    Raises:
        GrammarSyntaxError: not the schema of an object.
        UnsupportedGrammarError: a keyword beside ``properties`` that says more about the object, or a
            reference to anything but definitions.
    """
    properties, required = _checked(schema, notation)
    return [
        Property(name, _alone(declared, schema), name in required, f"/properties/{escape(name)}")
        for name, declared in properties.items()
    ]


def _checked(schema: Any, notation: str) -> tuple[Mapping[str, Any], frozenset[str]]:
    """The properties of an object's schema, and which must come."""
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        raise GrammarSyntaxError("arguments need the schema of an object", pointer="/type")
    for keyword in schema:
        if keyword not in KNOWN:
            raise UnsupportedGrammarError(
                f"{shorten(repr(keyword))} is not supported beside properties where arguments are written in "
                f"{notation}; say it within a property",
                keyword=shorten(keyword),
                pointer=f"/{escape(keyword)}",
            )
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict):
        raise GrammarSyntaxError(
            f"this must be an object, not {describe(properties)}", pointer="/properties"
        )
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise GrammarSyntaxError("this must be a list of names", pointer="/required")
    for index, name in enumerate(required):
        if name not in properties:
            raise UnsupportedGrammarError(
                f"{shorten(repr(name))} is required but not among the properties; declare it",
                keyword="required",
                pointer=f"/required/{index}",
            )
    for keyword, target in _references(schema):
        if not target.startswith(("#/$defs/", "#/definitions/")):
            raise UnsupportedGrammarError(
                f"the reference {shorten(target)!r} is not supported where arguments are written in "
                f"{notation}; refer to #/$defs",
                keyword=keyword,
                pointer="",
            )
    return properties, frozenset(required)


def _alone(declared: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of one property as a document, with the definitions if it refers to any."""
    if isinstance(declared, dict):
        # So that properties that differ in their descriptions only are compiled once.
        declared = {name: value for name, value in declared.items() if name not in ANNOTATIONS}
    wanted = ("$schema", *SHARED) if next(_references(declared), None) else ("$schema",)
    return {**{name: schema[name] for name in wanted if name in schema}, "allOf": [declared]}


def _references(schema: Any) -> Iterator[tuple[str, str]]:
    """The keywords that refer to a schema, wherever they may stand, and where to."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            for keyword in REFERENCES:
                if isinstance(value.get(keyword), str):
                    yield keyword, value[keyword]


def moved_error(error: GrammarError, pointer: str) -> GrammarError:
    """An error in a property's document, told of the property."""
    inner = error.pointer or ""
    if inner.startswith("/allOf/0"):
        error.pointer = pointer + inner.removeprefix("/allOf/0")
    elif not inner.startswith(tuple(f"/{name}" for name in SHARED)):
        error.pointer = pointer + inner
    return error
