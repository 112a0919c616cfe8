"""Marks: what a grammar asks of an output beyond its rules.

Whether an item of an array has come before, or a key of an object, is a fact about the text that no
context-free rule can tell. A rule asks for it with a *mark* behind the item or key: a byte that no output
has, because UTF-8 does not. Whoever reads an output puts the mark there where the fact holds
(`remembering_recognizer`). So a grammar with marks is an ordinary grammar over bytes, and where its marks
stand is the business of a reader of JSON.
"""

from __future__ import annotations

from collections.abc import Iterable

from syntagma.grammar import ir
from syntagma.grammar.ir_fold import children, fold, rebuilt
from syntagma.grammar.terminals import Language, WordList

# The item, or the key, that has just ended is the first of its kind in its array or object.
IS_NEW_ITEM, IS_NEW_KEY = b"\xff", b"\xfe"

NEW_ITEM = ir.Terminal(WordList([IS_NEW_ITEM]))
NEW_KEY = ir.Terminal(WordList([IS_NEW_KEY]))
MARKS = {node.language.key: node for node in (NEW_ITEM, NEW_KEY)}


def is_mark(language: Language) -> bool:
    """Whether a terminal is a mark."""
    return language.key in MARKS


def has_marks(bodies: Iterable[ir.Node | None]) -> bool:
    """Whether one of the rules asks for a fact; those that have not been produced are None."""
    waiting = [body for body in bodies if body is not None]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ir.Terminal) and is_mark(node.language):
            return True
        waiting += children(node)
    return False


def without_marks(grammar: ir.Grammar) -> ir.Grammar:
    """The grammar that asks for no facts; its rules have all been produced."""
    known: dict[int, ir.Node] = {}
    rules = [_unmarked(body, known) for body in grammar.produce_all()]
    return ir.Grammar(list(rules), list(grammar.names))


def _unmarked(root: ir.Node, known: dict[int, ir.Node]) -> ir.Node:
    """A node without marks; equal objects are looked at once."""

    def unmarked(node: ir.Node, parts: list[ir.Node]) -> ir.Node:
        found = node
        if isinstance(node, ir.Terminal) and is_mark(node.language):
            found = ir.EMPTY
        elif any(a is not b for a, b in zip(children(node), parts, strict=True)):
            found = rebuilt(node, parts)
        known[id(node)] = found
        return found

    return fold(root, unmarked, shortcut=lambda node: known.get(id(node)))
