"""Which parts of a grammar are regular, and their automata.

A part is regular if it calls only rules that need no stack (see `rule_groups`), all the way down.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from syntagma.grammar import automata_kernels as kernels
from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir, nfa_kernels
from syntagma.grammar.captures import is_remembering
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.ir_fold import fold
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.limits import Budget
from syntagma.grammar.nfa import STEPS_PER_STATE, SymbolClasses
from syntagma.grammar.regular_nfa import RegularNfa, RegularNfaBuilder
from syntagma.grammar.rule_groups import RuleGroups

NOT_REGULAR = -1
MAX_SIZE = 1 << 40


class RegularParts:
    """Answers for the rules of one grammar, given by their bodies, in the time that a budget allows."""

    def __init__(self, bodies: Sequence[ir.Node], budget: Budget) -> None:
        self.groups = RuleGroups(bodies)
        self._builder = RegularNfaBuilder(self.groups)
        # By identity; the node is kept so that its identity is not given to another.
        self._known_sizes: dict[int, tuple[ir.Node, int]] = {}
        self._rule_sizes = [NOT_REGULAR] * len(bodies)
        for group, members in enumerate(self.groups.members):
            budget.check_time()
            size = self._group_size(group)
            for rule in members:
                self._rule_sizes[rule] = size

    def size(self, node: ir.Node) -> int:
        """About the number of states before determinisation, or NOT_REGULAR."""
        # Asked for every part of every rule, most of them known.
        found = self._known_sizes.get(id(node))
        if found is not None:
            return found[1]

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
        classes = nfa.alphabet.classes(budget)
        table, labels = _determinised(nfa, classes, budget)
        byte_classes = np.repeat(
            classes.of_interval, np.diff(classes.bounds, append=np.int32(256)).clip(0)
        )[:256]
        return dfas.from_table(table, byte_classes, dfas.START, labels)

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
                return NOT_REGULAR if is_remembering(node) else language.dfa.num_states - 1
            case ir.Call(rule):
                return 1 if self.groups.group_of[rule] == own else self._rule_sizes[rule]
            case ir.Repeat(_, min_count, max_count):
                rounds = max(1, min_count) if max_count is None else max_count
                return min(MAX_SIZE, 2 + rounds * sizes[0])
            case _:
                return min(MAX_SIZE, 1 + sum(sizes))


def _determinised(
    nfa: RegularNfa, classes: SymbolClasses, budget: Budget
) -> tuple[Int32Array, Int32Array]:
    """The subset automaton over classes of bytes, and 1 for each state where a word may end."""
    limits = budget.limits
    moves = np.array(nfa.moves, np.int32)
    num_edges, epsilon_start, epsilon_target, *edges = nfa_kernels.class_edges(
        moves, nfa.num_states, classes.set_start, classes.set_classes, 32 * limits.max_nfa_states
    )
    if num_edges == kernels.LIMIT_REACHED:
        raise _too_large("max_nfa_states", limits.max_nfa_states)
    initial, accepts, accepts_empty = nfa_kernels.ends_of_text(moves, nfa.num_states)
    num_states, table, labels = kernels.determinise_labelled(
        epsilon_start,
        epsilon_target,
        edges[0],
        edges[1],
        edges[2],
        accepts,
        initial,
        classes.count,
        budget.max_rows(classes.count),
        STEPS_PER_STATE * limits.max_dfa_states,
    )
    if num_states == kernels.LIMIT_REACHED:
        raise _too_large("max_dfa_states", limits.max_dfa_states)
    if accepts_empty:
        labels[dfas.START] = 1
    return table, labels


def _too_large(limit: str, value: int) -> GrammarLimitError:
    return GrammarLimitError(
        f"the automaton of a regular part of the grammar needs more than {limit} = {value} allows",
        limit=limit,
    )
