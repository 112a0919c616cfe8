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
        if isinstance(node, ir.Terminal):
            if is_mark(node.language):
                return True
        elif isinstance(node, ir.Sequence | ir.Choice):
            waiting += node.parts
        elif isinstance(node, ir.Repeat):
            waiting.append(node.part)
    return False


def without_marks(grammar: ir.Grammar) -> ir.Grammar:
    """The grammar that asks for no facts; its rules have all been produced."""
    known: dict[int, ir.Node] = {}
    rules = [_unmarked(body, known) for body in grammar.produce_all()]
    return ir.Grammar(list(rules), list(grammar.names))


def _unmarked(root: ir.Node, known: dict[int, ir.Node]) -> ir.Node:
    """A node without marks; parts come before the whole, equal objects once."""
    waiting = [root]
    while waiting:
        node = waiting[-1]
        parts: tuple[ir.Node, ...] = ()
        if isinstance(node, ir.Sequence | ir.Choice):
            parts = node.parts
        elif isinstance(node, ir.Repeat):
            parts = (node.part,)
        missing = [part for part in parts if id(part) not in known]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        found = tuple(known[id(part)] for part in parts)
        if isinstance(node, ir.Terminal) and is_mark(node.language):
            known[id(node)] = ir.EMPTY
        elif all(a is b for a, b in zip(parts, found, strict=True)):
            known[id(node)] = node
        elif isinstance(node, ir.Repeat):
            known[id(node)] = ir.Repeat(found[0], node.min_count, node.max_count)
        elif isinstance(node, ir.Sequence):
            known[id(node)] = ir.Sequence(found)
        else:
            known[id(node)] = ir.Choice(found)
    return known[id(root)]
