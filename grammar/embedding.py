"""Putting a grammar's rules into another grammar."""

from __future__ import annotations

from syntagma.grammar import ir
from syntagma.grammar.ir_fold import children, fold, rebuilt


def embed(grammar: ir.Grammar, inner: ir.Grammar) -> ir.Call:
    """Add all rules of a grammar to another one; a call of its start rule there."""
    bodies = inner.produce_all()
    offset = len(grammar.rules)
    known: dict[int, ir.Node] = {}
    for name, body in zip(inner.names, bodies, strict=True):
        grammar.add(name, _shifted(body, offset, known))
    return ir.Call(offset)


def _shifted(root: ir.Node, offset: int, known: dict[int, ir.Node]) -> ir.Node:
    """A node whose calls mean rules further behind; equal objects stay one object."""

    def shifted(node: ir.Node, parts: list[ir.Node]) -> ir.Node:
        found = node
        if isinstance(node, ir.Call):
            found = ir.Call(node.rule + offset)
        elif any(a is not b for a, b in zip(children(node), parts, strict=True)):
            found = rebuilt(node, parts)
        known[id(node)] = found
        return found

    return fold(root, shifted, shortcut=lambda node: known.get(id(node)))
