"""Grammars in EBNF of which some rules are terminals that remember (see `captures`)."""

from __future__ import annotations

from collections.abc import Mapping

from syntagma.grammar import ir
from syntagma.grammar.captures import Remembering
from syntagma.grammar.ir_fold import fold, rebuilt
from syntagma.grammar.limits import Budget
from syntagma.grammar.regular_parts import RegularParts


def with_memory(
    grammar: ir.Grammar, kinds: Mapping[str, type[Remembering]], budget: Budget
) -> ir.Grammar:
    """The same rules with terminals that remember in the place of calls of some of them.

    Args:
        grammar: rules as they are written.
        kinds: what some rules stand for, by name; their bodies are the patterns.
        budget: for the patterns' automata.

    Raises:
        GrammarLimitError: a pattern is too large.
    """
    bodies = grammar.produce_all()
    parts = RegularParts(bodies, budget)
    terminals = {
        rule: ir.Terminal(kinds[name](parts.automaton(bodies[rule], budget)))
        for rule, name in enumerate(grammar.names)
        if name in kinds
    }

    def replaced(node: ir.Node, found: list[ir.Node]) -> ir.Node:
        if isinstance(node, ir.Call):
            return terminals.get(node.rule, node)
        return rebuilt(node, found)

    return ir.Grammar([fold(body, replaced) for body in bodies], list(grammar.names))
