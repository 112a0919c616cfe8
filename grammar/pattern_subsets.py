"""Automata of ordered moves -> deterministic automata over classes of characters.

A state is the list of moves that a search tries, best first. Where one of them has matched, those
behind it no longer count: the word read so far is a better match. So a state tells which pattern has
matched, if one has, and which moves might still find a better match, a longer one. As a set of words
(without an order) a state is the set of its moves and of all patterns that have matched.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.limits import Budget
from syntagma.grammar.nfa import Alphabet, SymbolClasses
from syntagma.grammar.python_regex import BEHIND, CHAR, FORK, PatternNfa

NO_CLASS = -1


class Subset(NamedTuple):
    """A state.

    Attributes:
        moves: CHAR states of the automaton that may go on, best first.
        matched: patterns that match what has been read.
    """

    moves: tuple[int, ...]
    matched: tuple[int, ...]


DEAD = Subset((), ())


class PatternSubsets:
    """The subsets of one automaton, worked out as they are met.

    Args:
        nfa: the patterns.
        classes: of the characters, fine enough for all sets of the patterns.
        is_ordered: whether the first match counts, or all do.

    Attributes:
        subsets: by number; 0 is dead.
    """

    def __init__(
        self, nfa: PatternNfa, classes: ClassedNfa, budget: Budget, *, is_ordered: bool
    ) -> None:
        self.nfa = nfa
        self.classed = classes
        self.budget = budget
        self.is_ordered = is_ordered
        self.subsets: list[Subset] = [DEAD]
        self._numbers: dict[Subset, int] = {DEAD: 0}
        self._rows: list[Int32Array | None] = [np.zeros(classes.count, np.int32)]

    def start(self, states: tuple[int, ...]) -> int:
        """The subset before anything is read.

        Raises:
            UnsupportedGrammarError: a lookbehind would look at what stands before the lexeme.
        """
        return self._number(self._closure(states, NO_CLASS))

    def of_moves(self, moves: tuple[int, ...]) -> int:
        """The subset of some CHAR states."""
        return self._number(Subset(tuple(sorted(moves)), ()))

    def row(self, number: int) -> Int32Array:
        """The subset behind each class of characters."""
        row = self._rows[number]
        if row is None:
            row = self._rows[number] = self._computed_row(self.subsets[number])
        return row

    def _computed_row(self, subset: Subset) -> Int32Array:
        classed = self.classed
        targets: dict[int, list[int]] = {}
        for state in subset.moves:
            goal = self.nfa.targets[state][0]
            for symbol in classed.of_state[state]:
                targets.setdefault(symbol, []).append(goal)
        row = np.zeros(classed.count, np.int32)
        known: dict[tuple[tuple[int, ...], tuple[bool, ...]], int] = {}
        for symbol, goals in targets.items():
            key = tuple(goals), classed.seen_behind[symbol]
            if key not in known:
                known[key] = self._number(self._closure(key[0], symbol))
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

    def _closure(self, states: tuple[int, ...], symbol: int) -> Subset:
        """What is reached from some states, in order, without reading more."""
        nfa = self.nfa
        moves: list[int] = []
        matched: list[int] = []
        waiting = list(reversed(states))
        seen = set()
        while waiting:
            state = waiting.pop()
            if state in seen:
                continue
            seen.add(state)
            kind = nfa.kinds[state]
            if kind == CHAR:
                moves.append(state)
            elif kind == FORK:
                waiting += reversed(nfa.targets[state])
            elif kind == BEHIND:
                if symbol == NO_CLASS:
                    raise UnsupportedGrammarError(
                        "lookbehind at what stands before a terminal is not supported",
                        keyword="(?<=",
                    )
                if symbol in self.classed.of_state[state]:
                    waiting += nfa.targets[state]
            else:
                matched.append(nfa.targets[state][0])
                if self.is_ordered:
                    break
        if not self.is_ordered:
            return Subset(tuple(sorted(moves)), tuple(sorted(matched)))
        return Subset(tuple(moves), tuple(matched))


class ClassedNfa:
    """The classes of characters that an automaton tells apart.

    Attributes:
        symbols: the classes, with the characters they hold.
        count: how many.
        of_state: the classes in the set of each state (CHAR, BEHIND).
        seen_behind: for each class which of the sets of lookbehinds it is in.
    """

    def __init__(self, nfa: PatternNfa, budget: Budget) -> None:
        alphabet = Alphabet()
        ids = [alphabet.set_id(label) for label in nfa.labels]
        self.symbols: SymbolClasses = alphabet.classes(budget)
        self.count = self.symbols.count
        starts = self.symbols.set_start.tolist()
        members = self.symbols.set_classes.tolist()
        by_id = [tuple(members[a:b]) for a, b in itertools.pairwise(starts)]
        self.of_state = [by_id[number] if number >= 0 else () for number in ids]
        behind = [set(self.of_state[s]) for s, kind in enumerate(nfa.kinds) if kind == BEHIND]
        self.seen_behind = [
            tuple(symbol in points for points in behind) for symbol in range(self.count)
        ]
