"""Automata of ordered moves -> deterministic automata over classes of characters.

A state is the list of moves that a search tries, best first. Where one of them has matched, those
behind it no longer count: the word read so far is a better match. So a state tells which patterns have
matched, and under which condition on what comes next: that none of the better moves finds a match, a
longer one, and that lookaheads on the way hold. A move that has passed a lookahead, or that counts only
if a lookahead of a better one fails, has a condition, too. As a set of words (without an order) a state
is the set of its moves and of all patterns that have matched.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from syntagma.grammar.classed_nfa import ClassedNfa
from syntagma.grammar.conditions import ALWAYS, NEVER, NO_CLASS, Conditions
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.limits import Budget
from syntagma.grammar.python_regex import CHAR, PatternNfa


class Subset(NamedTuple):
    """A state.

    Attributes:
        moves: CHAR states of the automaton that may go on, best first, each with its condition: the number of
            the condition times the number of states, plus the state.
        matched: patterns that match what has been read, and their conditions.
    """

    moves: tuple[int, ...]
    matched: tuple[tuple[int, int], ...]


DEAD = Subset((), ())


class PatternSubsets:
    """The subsets of one automaton, worked out as they are met.

    Args:
        nfa: the patterns, complete.
        classed: of the characters, fine enough for all sets of the patterns.
        conditions: those of the automaton.
        is_ordered: whether the first match counts, or all do.

    Attributes:
        subsets: by number; 0 is dead.
    """

    def __init__(
        self,
        nfa: PatternNfa,
        classed: ClassedNfa,
        conditions: Conditions,
        budget: Budget,
        *,
        is_ordered: bool,
    ) -> None:
        self.nfa = nfa
        self.classed = classed
        self.conditions = conditions
        self.budget = budget
        self.is_ordered = is_ordered
        self.num_states = len(nfa.kinds)
        self.subsets: list[Subset] = [DEAD]
        self._numbers: dict[Subset, int] = {DEAD: 0}
        self._rows: list[Int32Array | None] = [np.zeros(classed.count, np.int32)]

    def start(self, states: tuple[int, ...]) -> int:
        """The subset before anything is read.

        Raises:
            UnsupportedGrammarError: a lookbehind would look at what stands before the lexeme.
        """
        return self._number(self._closure([(state, ALWAYS) for state in states], NO_CLASS))

    def row(self, number: int) -> Int32Array:
        """The subset behind each class of characters."""
        row = self._rows[number]
        if row is None:
            row = self._rows[number] = self._computed_row(self.subsets[number])
        return row

    def _computed_row(self, subset: Subset) -> Int32Array:
        classed = self.classed
        targets: dict[int, list[tuple[int, int]]] = {}
        for move in subset.moves:
            condition, state = divmod(move, self.num_states)
            goal = self.nfa.targets[state][0]
            if condition == ALWAYS:
                way = goal, ALWAYS
                for symbol in classed.of_state[state]:
                    targets.setdefault(symbol, []).append(way)
                continue
            after = self.conditions.row(condition)
            for symbol in classed.of_state[state]:
                if after[symbol] != NEVER:
                    targets.setdefault(symbol, []).append((goal, int(after[symbol])))
        row = np.zeros(classed.count, np.int32)
        known: dict[tuple[tuple[tuple[int, int], ...], tuple[bool, ...]], int] = {}
        for symbol, goals in targets.items():
            key = tuple(goals), classed.seen_behind[symbol]
            if key not in known:
                known[key] = self._number(self._closure(goals, symbol))
            row[symbol] = known[key]
        return row

    def _number(self, subset: Subset) -> int:
        number = self._numbers.get(subset)
        if number is None:
            number = self._numbers[subset] = len(self.subsets)
            self.subsets.append(subset)
            self._rows.append(None)
            if number % 64 == 0:
                self.budget.check_time()
            self.budget.check_table(number * self.classed.count, "states of all terminals together")
        return number

    def _closure(self, ways: list[tuple[int, int]], symbol: int) -> Subset:
        """What is reached from some states, in order, without reading more."""
        conditions = self.conditions
        moves: list[tuple[int, int]] = []
        matched: list[tuple[int, int]] = []
        no_better = ALWAYS
        for state, condition in conditions.paths(ways, symbol):
            condition = conditions.both(condition, no_better)
            if condition == NEVER:
                continue
            if self.nfa.kinds[state] == CHAR:
                moves.append((state, condition))
                continue
            pattern = self.nfa.targets[state][0]
            if not self.is_ordered:
                matched.append((pattern, condition))
                continue
            guard = conditions.both(condition, conditions.none_found(moves))
            if guard != NEVER:
                matched.append((pattern, guard))
            no_better = conditions.both(no_better, conditions.negated(condition))
            if no_better == NEVER:
                break
        numbers = [condition * self.num_states + state for state, condition in moves]
        if not self.is_ordered:
            return Subset(tuple(sorted(numbers)), tuple(sorted(matched)))
        return Subset(tuple(numbers), tuple(matched))
