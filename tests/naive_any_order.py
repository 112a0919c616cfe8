"""Parts in any order as plain rules: one for each set of parts that have come."""

from __future__ import annotations

from syntagma.grammar import ir
from syntagma.grammar.ir_fold import fold, rebuilt


def written_out(grammar: ir.Grammar) -> ir.Grammar:
    """The same language without `ir.AnyOrder`; a rule more for each set and number of parts."""
    found = ir.Grammar(grammar.produce_all(), list(grammar.names))

    def combine(node: ir.Node, parts: list[ir.Node]) -> ir.Node:
        whole = rebuilt(node, parts)
        return _WrittenOut(found, whole).start if isinstance(whole, ir.AnyOrder) else whole

    for rule in range(len(found.rules)):
        found.define(rule, fold(found.body(rule), combine))
    return found


class _WrittenOut:
    def __init__(self, grammar: ir.Grammar, node: ir.AnyOrder) -> None:
        self.grammar = grammar
        self.node = node
        self.rules: dict[tuple[frozenset[int], int], int] = {}
        single = node.required + node.final + node.optional
        self.start = self.behind(frozenset(range(len(single))), 0, is_first=True)

    def behind(self, left: frozenset[int], number: int, *, is_first: bool = False) -> ir.Node:
        """What comes behind some parts: the end, or another part."""
        ways: list[ir.Node] = []
        if not is_first and number >= self.node.min_count:
            ways += [ir.EMPTY] * left.isdisjoint(range(self.node.num_required))
        if self.node.max_count is None or number < self.node.max_count:
            more = ir.Call(self.rule(left, number))
            ways.append(more if is_first else ir.Sequence((self.node.separator, more)))
        return ir.Choice(tuple(ways))

    def rule(self, left: frozenset[int], number: int) -> int:
        """A part and what comes behind it."""
        bound = max(self.node.min_count, self.node.max_count or 0)
        key = left, min(number, bound)
        if key not in self.rules:
            self.rules[key] = rule = self.grammar.declare("in any order")
            after = min(number + 1, bound)
            ways: list[ir.Node] = [
                ir.Sequence((self.node.parts[i], self.behind(left - {i}, after)))
                for i in sorted(left)
            ]
            first = len(self.node.required)
            if left.issuperset(range(first, first + len(self.node.final))):
                ways += [ir.Sequence((p, self.behind(left, after))) for p in self.node.repeated]
            self.grammar.define(rule, ir.Choice(tuple(ways)))
        return self.rules[key]
