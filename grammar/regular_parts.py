"""Which parts of a grammar are regular, and their automata.

A part is regular if it calls only rules that need no stack (see `rule_groups`), all the way down.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import determinise_bytes, partition_of
from syntagma.grammar.ir_fold import fold
from syntagma.grammar.kernel_types import UInt8Array
from syntagma.grammar.limits import Budget
from syntagma.grammar.nfa import Nfa
from syntagma.grammar.regular_nfa import RegularNfaBuilder
from syntagma.grammar.rule_groups import RuleGroups

NOT_REGULAR = -1
MAX_SIZE = 1 << 40


class RegularParts:
    """Answers for the rules of one grammar, given by their bodies."""

    def __init__(self, bodies: Sequence[ir.Node]) -> None:
        self.groups = RuleGroups(bodies)
        self._builder = RegularNfaBuilder(self.groups)
        # By identity; the node is kept so that its identity is not given to another.
        self._known_sizes: dict[int, tuple[ir.Node, int]] = {}
        self._rule_sizes = [NOT_REGULAR] * len(bodies)
        for group, members in enumerate(self.groups.members):
            size = self._group_size(group)
            for rule in members:
                self._rule_sizes[rule] = size

    def size(self, node: ir.Node) -> int:
        """About the number of states before determinisation, or NOT_REGULAR."""

        def known(part: ir.Node) -> int | None:
            found = self._known_sizes.get(id(part))
            return None if found is None else found[1]

        def combine(part: ir.Node, sizes: list[int]) -> int:
            size = self._combined_size(part, sizes, None)
            self._known_sizes[id(part)] = (part, size)
            return size

        return fold(node, combine, shortcut=known)

    def automaton(self, node: ir.Node, budget: Budget) -> Dfa:
        """The minimal automaton of a regular node.

        Raises:
            GrammarLimitError: more than ``max_dfa_states``.
        """
        nfa = self._builder.build(node)
        byte_classes, num_classes = _byte_classes(nfa, budget)
        table, accepting = determinise_bytes(nfa, byte_classes, num_classes, budget)
        return dfas.from_table(table, byte_classes, dfas.START, accepting)

    def _group_size(self, group: int) -> int:
        """The size of a copy of a group's rules, those it calls included."""
        if not self.groups.needs_no_stack(group):
            return NOT_REGULAR
        sizes = [
            fold(
                self.groups.bodies[rule],
                lambda part, found: self._combined_size(part, found, group),
            )
            for rule in self.groups.members[group]
        ]
        return NOT_REGULAR if NOT_REGULAR in sizes else min(MAX_SIZE, sum(sizes))

    def _combined_size(self, node: ir.Node, sizes: Sequence[int], own: int | None) -> int:
        if NOT_REGULAR in sizes:
            return NOT_REGULAR
        match node:
            case ir.Terminal(language):
                return language.dfa.num_states - 1
            case ir.Call(rule):
                return 1 if self.groups.group_of[rule] == own else self._rule_sizes[rule]
            case ir.Repeat(_, min_count, max_count):
                rounds = max(1, min_count) if max_count is None else max_count
                return min(MAX_SIZE, 2 + rounds * sizes[0])
            case _:
                return min(MAX_SIZE, 1 + sum(sizes))


def _byte_classes(nfa: Nfa, budget: Budget) -> tuple[UInt8Array, int]:
    """uint8[256] of byte classes that every edge respects, and their number."""
    byte_classes = np.zeros(256, np.uint8)
    num_classes = 0
    for block in partition_of([s for s in nfa.sets if isinstance(s, tuple)], budget):
        # What no edge reads goes on beyond the bytes, and may begin there.
        if block[0][0] < 256:
            for low, high in block:
                byte_classes[low : high + 1] = num_classes
            num_classes += 1
    return byte_classes, num_classes
