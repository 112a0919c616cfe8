"""Putting the rules of other grammars into one.

A proper grammar (see `ir.Grammar`) stays one that is produced on demand: of a hundred functions that a model may
call it will call a few.
"""

from __future__ import annotations

import threading

from syntagma.grammar import ir
from syntagma.grammar.ir_fold import children, fold, rebuilt


class Embedding:
    """Gives a grammar the rules of others.

    It shares the grammar's lists but does not hold the grammar, which holds it to produce what has not been
    asked for: a grammar that nobody uses goes at once.

    Args:
        grammar: gets the rules; it has no rules on demand of its own.

    Attributes:
        num_rules: how many rules the embedded grammars have, also those not asked for yet.
    """

    def __init__(self, grammar: ir.Grammar) -> None:
        self.num_rules = 0
        self._table = ir.Grammar(grammar.rules, grammar.names, proper_rules=grammar.proper_rules)
        # By its number here, a rule that has no body yet: its grammar and its number there.
        self._pending: dict[int, tuple[_Guest, int]] = {}
        self._lock = threading.Lock()
        grammar.produce = self._produce

    def embed(self, inner: ir.Grammar) -> ir.Call:
        """A call of another grammar's start rule."""
        guest = _Guest(inner)
        with self._lock:
            start = self._call(guest, 0)
        if not inner.is_proper:
            inner.produce_all()
            for rule in range(len(inner.rules)):
                self._produce(self._call(guest, rule).rule)
        self.num_rules += len(inner.rules)
        return start

    def _call(self, guest: _Guest, rule: int) -> ir.Call:
        call = guest.calls.get(rule)
        if call is None:
            number = self._table.declare(guest.grammar.names[rule])
            if guest.grammar.is_proper:
                self._table.proper_rules.add(number)
            self._pending[number] = guest, rule
            call = guest.calls[rule] = ir.Call(number)
        return call

    def _produce(self, rule: int) -> None:
        """Define a declared rule, unless another thread has done so meanwhile."""
        with self._lock:
            if rule not in self._pending:
                return
            guest, source = self._pending[rule]
            self._table.define(rule, self._moved(guest, guest.grammar.body(source)))
            del self._pending[rule]

    def _moved(self, guest: _Guest, root: ir.Node) -> ir.Node:
        """A node whose calls mean rules of the table; equal objects stay one object."""

        def moved(node: ir.Node, parts: list[ir.Node]) -> ir.Node:
            found = node
            if isinstance(node, ir.Call):
                found = self._call(guest, node.rule)
            elif any(a is not b for a, b in zip(children(node), parts, strict=True)):
                found = rebuilt(node, parts)
            guest.moved[id(node)] = found
            return found

        return fold(root, moved, shortcut=lambda node: guest.moved.get(id(node)))


class _Guest:
    """An embedded grammar.

    Attributes:
        grammar: its rules, which keep all nodes alive.
        calls: the calls of its rules that were asked for.
        moved: what its nodes have become, by their identity.
    """

    def __init__(self, grammar: ir.Grammar) -> None:
        self.grammar = grammar
        self.calls: dict[int, ir.Call] = {}
        self.moved: dict[int, ir.Node] = {}
