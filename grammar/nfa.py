"""Thompson's construction: a syntax tree becomes an automaton with empty moves.

Anchors are empty moves that hold only at one end of the text. `Begin` moves are taken when the
start subset is formed, `End` moves when acceptance is decided; no other state ever needs them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from syntagma.grammar import regex_ast as ast
from syntagma.grammar.code_points import CodePointSet
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.kernel_types import BoolArray, UInt8Array
from syntagma.grammar.limits import Budget


@dataclass
class Nfa:
    """An automaton with one start and one accepting state.

    Attributes:
        sets: what edges read: a set of symbols, or the byte classes of an embedded automaton.
        edges: (source, index into ``sets``, column, target); the column is -1 for a set, else the
            byte class of the embedded automaton.
        epsilon, begin, end: empty moves that hold everywhere, at the beginning, at the end.
    """

    start: int = 0
    accept: int = 1
    num_states: int = 2
    sets: list[CodePointSet | UInt8Array] = field(default_factory=list)
    edges: list[tuple[int, int, int, int]] = field(default_factory=list)
    epsilon: list[tuple[int, int]] = field(default_factory=list)
    begin: list[tuple[int, int]] = field(default_factory=list)
    end: list[tuple[int, int]] = field(default_factory=list)

    def initial(self) -> list[int]:
        """The states before the first symbol."""
        return sorted(_reachable([self.start], [*self.epsilon, *self.begin]))

    def accepts_empty_text(self) -> bool:
        """Whether the empty text, which is both beginning and end, is accepted."""
        moves = [*self.epsilon, *self.begin, *self.end]
        return self.accept in _reachable([self.start], moves)

    def accepting_at_end(self) -> BoolArray:
        """bool[num_states]: whether the text may end in a state."""
        backwards = [(t, s) for s, t in [*self.epsilon, *self.end]]
        accepting = np.zeros(self.num_states, np.bool_)
        accepting[list(_reachable([self.accept], backwards))] = True
        return accepting


def _reachable(states: list[int], moves: list[tuple[int, int]]) -> set[int]:
    successors: dict[int, list[int]] = {}
    for source, target in moves:
        successors.setdefault(source, []).append(target)
    seen = set(states)
    waiting = list(states)
    while waiting:
        for target in successors.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def nfa_from_tree(tree: ast.Node, budget: Budget) -> Nfa:
    """Build the automaton; repetition is unrolled.

    Raises:
        GrammarLimitError: more than ``max_nfa_states`` states.
    """
    nfa = Nfa()
    set_ids: dict[CodePointSet, int] = {}
    automaton_ids: dict[bytes, int] = {}
    waiting: list[tuple[ast.Node, int, int]] = [(tree, nfa.start, nfa.accept)]

    def new_state() -> int:
        if nfa.num_states >= budget.limits.max_nfa_states:
            raise GrammarLimitError(
                f"the pattern unrolls to more than max_nfa_states = {budget.limits.max_nfa_states}"
                " states; use smaller repetition counts",
                limit="max_nfa_states",
            )
        nfa.num_states += 1
        return nfa.num_states - 1

    while waiting:
        node, source, target = waiting.pop()
        match node:
            case ast.CharSet(points):
                if points:
                    set_id = set_ids.setdefault(points, len(nfa.sets))
                    if set_id == len(nfa.sets):
                        nfa.sets.append(points)
                    nfa.edges.append((source, set_id, -1, target))
            case ast.Concat(parts):
                if not parts:
                    nfa.epsilon.append((source, target))
                for index, part in enumerate(parts):
                    after = target if index == len(parts) - 1 else new_state()
                    waiting.append((part, source, after))
                    source = after
            case ast.Union(parts):
                waiting += [(part, source, target) for part in parts]
            case ast.Repeat(part, min_count, max_count):
                for _ in range(min_count - 1 if max_count is None else min_count):
                    after = new_state()
                    waiting.append((part, source, after))
                    source = after
                if max_count is None:
                    # The last copy is the loop, so that nested ``+`` does not double the automaton.
                    loop = new_state()
                    after = loop if min_count == 0 else new_state()
                    waiting.append((part, loop, after))
                    nfa.epsilon += [(source, loop), (after, loop), (after, target)]
                else:
                    nfa.epsilon.append((source, target))
                    for _ in range(max_count - min_count):
                        after = new_state()
                        waiting.append((part, source, after))
                        nfa.epsilon.append((after, target))
                        source = after
            case ast.Begin():
                nfa.begin.append((source, target))
            case ast.End():
                nfa.end.append((source, target))
            case ast.Automaton(dfa):
                set_id = automaton_ids.setdefault(dfa.key, len(nfa.sets))
                if set_id == len(nfa.sets):
                    nfa.sets.append(dfa.byte_classes)
                states = [new_state() for _ in range(dfa.num_states)]
                nfa.epsilon.append((source, states[1]))
                nfa.epsilon += [(states[s], target) for s in np.flatnonzero(dfa.accepting)]
                for s, column in np.argwhere(dfa.transitions):
                    after = states[dfa.transitions[s, column]]
                    nfa.edges.append((states[s], set_id, int(column), after))
        if len(waiting) > 4 * budget.limits.max_nfa_states:
            raise GrammarLimitError(
                "the pattern is too large", limit="max_nfa_states", given=len(waiting)
            )
    return nfa
