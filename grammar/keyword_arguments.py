"""The members of an object as Python's keyword arguments: ``city="Paris", days=3``.

Models that call functions in Python's notation write ``f(city="Paris")``. Values are Python literals, which are JSON
but for ``None``, ``True`` and ``False``, and for strings: those that `json.dumps` writes without
``ensure_ascii`` mean the same in both. Only declared properties are written, in the order of the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from syntagma.grammar import ir
from syntagma.grammar.errors import (
    GrammarError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar.schema_text import describe, escape, shorten
from syntagma.grammar.terminals import WordList

# What says nothing about values.
ANNOTATIONS = frozenset({"$comment", "title", "description", "default", "examples", "deprecated"})
# What is seen to here, or has no effect.
KNOWN = ANNOTATIONS | {
    "type", "properties", "required", "additionalProperties", "$schema", "$defs", "definitions", "strict",
}  # fmt: skip
# Where references of parameters may lead.
SHARED = ("$defs", "definitions")
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

# The grammar of a schema, whose second argument is the pointer that errors are about.
Lower = Callable[[dict[str, Any], str], ir.Node]


class Argument(NamedTuple):
    """One argument: ``name=value``, and whether it must come."""

    node: ir.Node
    is_required: bool


def keyword_arguments(schema: Any, lower: Lower, grammar: ir.Grammar) -> ir.Node:
    """What stands between the parentheses of a call whose arguments are valid against a schema.

    Args:
        schema: of an object, told by ``properties`` and ``required``; their schemas may be any.
        lower: makes the grammar of a schema at a pointer.
        grammar: gets the rules.

    Raises:
        GrammarSyntaxError: not the schema of an object.
        UnsupportedGrammarError: a keyword beside ``properties`` that says more about the object, a name that
            is no identifier, a reference to anything but definitions.
        UnsatisfiableGrammarError: an argument that must come has no value.
    """
    properties, required = _checked(schema)
    arguments = []
    for name, declared in properties.items():
        pointer = f"/properties/{escape(name)}"
        if not name.isidentifier():
            raise UnsupportedGrammarError(
                f"{shorten(repr(name))} cannot be the name of an argument in Python's notation: it is no "
                "identifier",
                keyword="properties",
                pointer=pointer,
            )
        try:
            value = lower(_alone(declared, schema), pointer)
        except UnsatisfiableGrammarError:
            if name in required:
                raise
            continue
        node = ir.sequence(ir.Terminal(WordList([f"{name}=".encode()])), value)
        arguments.append(Argument(node, name in required))
    return _joined(arguments, grammar)


def _checked(schema: Any) -> tuple[Mapping[str, Any], frozenset[str]]:
    """The properties of an object's schema, and which must come."""
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        raise GrammarSyntaxError("arguments need the schema of an object", pointer="/type")
    for keyword in schema:
        if keyword not in KNOWN:
            raise UnsupportedGrammarError(
                f"{shorten(repr(keyword))} is not supported beside properties where arguments are written in "
                "Python's notation; say it within a property",
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
                f"the reference {shorten(target)!r} is not supported where arguments are written in Python's "
                "notation; refer to #/$defs",
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


def _joined(arguments: list[Argument], grammar: ir.Grammar) -> ir.Node:
    """The arguments in their order, commas between those that come."""
    comma = ir.Terminal(WordList([b", "]))
    # By the number of the first one that comes.
    firsts: list[ir.Node] = []
    rest: ir.Node = ir.EMPTY
    for node, is_required in reversed(arguments):
        if is_required:
            firsts = []
        firsts.append(ir.sequence(node, rest))
        more = ir.Sequence((comma, node))
        body = ir.Sequence((more if is_required else ir.optional(more), rest))
        rest = ir.Call(grammar.add("arguments", body))
    if not any(argument.is_required for argument in arguments):
        firsts.append(ir.EMPTY)
    return ir.choice(*firsts)


def moved_error(error: GrammarError, pointer: str) -> GrammarError:
    """An error in a property's document, told of the property."""
    inner = error.pointer or ""
    if inner.startswith("/allOf/0"):
        error.pointer = pointer + inner.removeprefix("/allOf/0")
    elif not inner.startswith(tuple(f"/{name}" for name in SHARED)):
        error.pointer = pointer + inner
    return error
