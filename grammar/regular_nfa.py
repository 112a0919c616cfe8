"""Regular parts of a grammar -> automata with empty moves (Thompson's construction).

Every call is a copy of the rule. A group of right-linear rules is copied once for a call from
outside: each rule is the state where it starts, and all end in the same state; a call among them is an
empty move to the start of the other. In a left-linear group all start in the same state and each rule
is the state where it ends.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.code_points import CodePointSet
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.nfa import Alphabet
from syntagma.grammar.nfa_kernels import ACCEPT, EPSILON, START
from syntagma.grammar.rule_groups import RuleGroups


@dataclass(frozen=True)
class _Copy:
    """One use of a group of rules that call each other linearly.

    Attributes:
        group: whose copy it is.
        is_right_linear: else left-linear.
        states: for each of its rules the state where it starts (right-linear) or ends (left-linear).
    """

    group: int
    is_right_linear: bool
    states: dict[int, int]


@dataclass
class _Edges:
    """A terminal's automaton, ready to be copied into others.

    Attributes:
        moves: (source, bytes, target).
        is_start_free: no move leads back to the start.
        free_ends: accepting states without moves.
        other_ends: the other accepting states.
    """

    moves: list[tuple[int, CodePointSet, int]]
    is_start_free: bool
    free_ends: set[int]
    other_ends: list[int]


@dataclass
class RegularNfa:
    """An automaton with empty moves, in the numbering of `nfa_kernels`.

    Attributes:
        moves: source, set of the alphabet or EPSILON, target of each move, one after another.
        num_states: START and ACCEPT included.
        alphabet: the sets of bytes.
    """

    moves: list[int]
    num_states: int
    alphabet: Alphabet


class RegularNfaBuilder:
    """Builds automata over bytes; the nodes given to it must be regular."""

    def __init__(self, groups: RuleGroups) -> None:
        self.groups = groups
        self._terminal_edges: dict[bytes, _Edges] = {}

    def build(self, node: ir.Node) -> RegularNfa:
        """The automaton of a node."""
        construction = _Construction(self.groups, self._terminal_edges)
        construction.add(node, START, ACCEPT)
        return construction.nfa


class _Construction:
    """One automaton in the making."""

    def __init__(self, groups: RuleGroups, terminal_edges: dict[bytes, _Edges]) -> None:
        self.groups = groups
        self.terminal_edges = terminal_edges
        self.nfa = RegularNfa([], 2, Alphabet())
        # Nodes to be added between two states, and the copy they belong to.
        self.waiting: list[tuple[ir.Node, int, int, _Copy | None]] = []

    def add(self, node: ir.Node, source: int, target: int) -> None:
        """Add a node between two states.

        Nothing may lead back to ``source`` from within, nor on from ``target``.
        """
        self.waiting.append((node, source, target, None))
        while self.waiting:
            node, source, target, copy = self.waiting.pop()
            match node:
                case ir.Terminal(language):
                    self._add_terminal(language.dfa, source, target)
                case ir.Call(rule):
                    self._add_call(rule, source, target, copy)
                case ir.Sequence(parts):
                    if not parts:
                        self._skip(source, target)
                    for index, part in enumerate(parts):
                        after = target if index == len(parts) - 1 else self._new_state()
                        self.waiting.append((part, source, after, copy))
                        source = after
                case ir.Choice(parts):
                    self.waiting += [(part, source, target, copy) for part in parts]
                case ir.Repeat(part, min_count, max_count):
                    if max_count is None:
                        self._add_unbounded(part, min_count, source, target)
                    else:
                        self._add_bounded(part, min_count, max_count, source, target, copy)

    def _new_state(self) -> int:
        self.nfa.num_states += 1
        return self.nfa.num_states - 1

    def _skip(self, source: int, target: int) -> None:
        self.nfa.moves += (source, EPSILON, target)

    def _add_unbounded(self, part: ir.Node, min_count: int, source: int, target: int) -> None:
        for _ in range(min_count - 1):
            after = self._new_state()
            self.waiting.append((part, source, after, None))
            source = after
        # The last copy is the loop, so that nested ``+`` does not double the automaton.
        loop = self._new_state()
        after = loop if min_count == 0 else self._new_state()
        self.waiting.append((part, loop, after, None))
        self._skip(source, loop)
        self._skip(after, loop)
        self._skip(after, target)

    def _add_bounded(
        self,
        part: ir.Node,
        min_count: int,
        max_count: int,
        source: int,
        target: int,
        copy: _Copy | None,
    ) -> None:
        if max_count == 0:
            self._skip(source, target)
        for index in range(max_count):
            if index >= min_count:
                self._skip(source, target)
            after = target if index == max_count - 1 else self._new_state()
            self.waiting.append((part, source, after, copy))
            source = after

    def _add_call(self, rule: int, source: int, target: int, copy: _Copy | None) -> None:
        groups = self.groups
        group = groups.group_of[rule]
        if not groups.is_recursive[group]:
            self.waiting.append((groups.bodies[rule], source, target, None))
            return
        if copy is None or copy.group != group:
            is_right_linear = groups.is_right_linear[group]
            states = {member: self._new_state() for member in groups.members[group]}
            copy = _Copy(group, is_right_linear, states)
            for member, state in states.items():
                ends = (state, target) if is_right_linear else (source, state)
                self.waiting.append((groups.bodies[member], *ends, copy))
        state = copy.states[rule]
        self._skip(*((source, state) if copy.is_right_linear else (state, target)))

    def _add_terminal(self, dfa: Dfa, source: int, target: int) -> None:
        edges = self._edges(dfa)
        states = {end: target for end in edges.free_ends}
        for state in range(1, dfa.num_states):
            if state == dfas.START and edges.is_start_free and state not in states:
                states[state] = source
            elif state not in states:
                states[state] = self._new_state()
        if states[dfas.START] != source:
            self._skip(source, states[dfas.START])
        for end in edges.other_ends:
            self._skip(states[end], target)
        for origin, symbols, goal in edges.moves:
            label = self.nfa.alphabet.set_id(symbols)
            self.nfa.moves += (states[origin], label, states[goal])

    def _edges(self, dfa: Dfa) -> _Edges:
        found = self.terminal_edges.get(dfa.key)
        if found is None:
            found = self.terminal_edges[dfa.key] = _edges_of(dfa)
        return found


def _edges_of(dfa: Dfa) -> _Edges:
    ranges: list[list[tuple[int, int]]] = [[] for _ in range(dfa.transitions.shape[1])]
    starts = [0, *(np.flatnonzero(np.diff(dfa.byte_classes)) + 1).tolist(), 256]
    for low, after in itertools.pairwise(starts):
        ranges[dfa.byte_classes[low]].append((low, after - 1))
    moves = []
    for source, row in enumerate(dfa.transitions.tolist()):
        symbols: dict[int, list[tuple[int, int]]] = {}
        for column, target in enumerate(row):
            if target != dfas.DEAD:
                symbols.setdefault(target, []).extend(ranges[column])
        moves += [(source, _joined(found), target) for target, found in symbols.items()]
    ends = [state for state, accepts in enumerate(dfa.accepting.tolist()) if accepts]
    sources = {source for source, _, _ in moves}
    return _Edges(
        moves=moves,
        is_start_free=all(target != dfas.START for _, _, target in moves),
        free_ends={end for end in ends if end not in sources},
        other_ends=[end for end in ends if end in sources],
    )


def _joined(ranges: list[tuple[int, int]]) -> CodePointSet:
    """Disjoint ranges of bytes in order, neighbours joined."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and joined[-1][1] == low - 1:
            joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return tuple(joined)
