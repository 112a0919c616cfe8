"""The members of an object as Python's keyword arguments: ``city="Paris", days=3``.

Models that call functions in Python's notation write ``f(city="Paris")``. Values are Python literals, which are JSON
but for ``None``, ``True`` and ``False``, and for strings: those that `json.dumps` writes without
``ensure_ascii`` mean the same in both. Only declared properties are written, in the order of the schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.declared_properties import Argument, declared_properties
from syntagma.grammar.errors import UnsatisfiableGrammarError, UnsupportedGrammarError
from syntagma.grammar.schema_text import shorten
from syntagma.grammar.terminals import WordList

NOTATION = "Python's notation"

# The grammar of a schema, whose second argument is the pointer that errors are about.
Lower = Callable[[dict[str, Any], str], ir.Node]


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
    arguments = []
    for name, alone, is_required, pointer in declared_properties(schema, NOTATION):
        if not name.isidentifier():
            raise UnsupportedGrammarError(
                f"{shorten(repr(name))} cannot be the name of an argument in Python's notation: it is no "
                "identifier",
                keyword="properties",
                pointer=pointer,
            )
        try:
            value = lower(alone, pointer)
        except UnsatisfiableGrammarError:
            if is_required:
                raise
            continue
        node = ir.sequence(ir.Terminal(WordList([f"{name}=".encode()])), value)
        arguments.append(Argument(node, is_required))
    return _joined(arguments, grammar)


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
