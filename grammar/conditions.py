"""What the text behind a place must be: patterns that are found there, and others that are not.

Such a condition is a lookahead of a pattern, or what makes a lexeme one: that no better match is found.
It is a disjunction of clauses, and a clause is a set of literals: that a match is found from a state of
the automaton on, or that none is. Behind one more character a condition is another one over the same
states (Brzozowski's derivatives, 1964, for the alternating automata of Chandra, Kozen and Stockmeyer,
1981). There are finitely many, as clauses that follow from others are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from syntagma.grammar.classed_nfa import ClassedNfa
from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.limits import Budget
from syntagma.grammar.python_regex import AHEAD, BEHIND, CHAR, FORK, NOT_AHEAD, PatternNfa

# Where nothing has been read.
NO_CLASS: Final = -1

# Numbers of conditions.
ALWAYS: Final = 0
NEVER: Final = 1

# One more than a state: a match is found from it on; the negative number: none is.
Clause = frozenset[int]
Formula = frozenset[Clause]


class Conditions:
    """The conditions over the states of one automaton, by number, worked out as they are met.

    Args:
        nfa: the patterns, complete.
        classed: classes of characters, fine enough for all sets of the patterns.
    """

    def __init__(self, nfa: PatternNfa, classed: ClassedNfa, budget: Budget) -> None:
        self.nfa = nfa
        self.classed = classed
        self.budget = budget
        self._formulas: list[Formula] = []
        self._numbers: dict[Formula, int] = {}
        self._rows: list[Int32Array | None] = []
        self._both: dict[tuple[int, int], int] = {}
        self._number(frozenset([frozenset()]))
        self._number(frozenset())

    # --- what is to come -----------------------------------------------------------------------

    def row(self, number: int) -> Int32Array:
        """The condition behind each class of characters."""
        row = self._rows[number]
        if row is None:
            row = self._rows[number] = self._computed_row(number)
        return row

    def holds_at_end(self, number: int) -> bool:
        """Whether a condition holds where the text ends."""
        return any(all(literal < 0 for literal in clause) for clause in self._formulas[number])

    def _computed_row(self, number: int) -> Int32Array:
        formula = self._formulas[number]
        alive: dict[int, list[int]] = {}
        for state in sorted({abs(literal) - 1 for clause in formula for literal in clause}):
            for symbol in self.classed.of_state[state]:
                alive.setdefault(symbol, []).append(state)
        row = np.full(
            self.classed.count, ALWAYS if self.holds_at_end(number) else NEVER, dtype=np.int32
        )
        known: dict[tuple[tuple[int, ...], tuple[bool, ...]], int] = {}
        for symbol, states in alive.items():
            key = tuple(states), self.classed.seen_behind[symbol]
            if key not in known:
                known[key] = self._after(formula, set(states), symbol)
            row[symbol] = known[key]
        return row

    def _after(self, formula: Formula, alive: set[int], symbol: int) -> int:
        """A condition behind a character, which some states read."""
        ways = []
        for clause in formula:
            way = ALWAYS
            missed: list[int] = []
            for literal in sorted(clause, reverse=True):
                state = abs(literal) - 1
                goals = self.nfa.targets[state] if state in alive else ()
                if literal < 0:
                    missed += goals
                else:
                    way = self.both(way, self.found(goals, symbol))
            ways.append(self.both(way, self.negated(self.found(missed, symbol))))
        return self.any_of(ways)

    def found(self, states: Sequence[int], symbol: int) -> int:
        """That a match is found from one of some states on.

        Args:
            symbol: the class of the character before, NO_CLASS if nothing has been read.
        """
        clauses: set[Clause] = set()
        for state, condition in self.paths([(state, ALWAYS) for state in states], symbol):
            if self.nfa.kinds[state] == CHAR:
                clauses |= {clause | {state + 1} for clause in self._formulas[condition]}
            elif condition == ALWAYS:
                return ALWAYS
            else:
                clauses |= self._formulas[condition]
        return self._number(self._reduced(clauses))

    def none_found(self, ways: Iterable[tuple[int, int]]) -> int:
        """That no match is found from any of some states (CHAR) on, each with a condition of its own."""
        alone, others = [], ALWAYS
        for state, condition in ways:
            if condition == ALWAYS:
                alone.append(-state - 1)
            else:
                missed = self._number(frozenset([frozenset([-state - 1])]))
                others = self.both(others, self.any_of([missed, self.negated(condition)]))
        return self.both(self._number(frozenset([frozenset(alone)])), others)

    def paths(self, starts: Sequence[tuple[int, int]], symbol: int) -> Iterator[tuple[int, int]]:
        """What is reached without reading more, in order: CHAR and MATCH states with conditions.

        Args:
            starts: states with conditions, best first.
            symbol: as for `found`.

        Raises:
            UnsupportedGrammarError: a lookbehind would look at what stands before the lexeme.
        """
        nfa = self.nfa
        waiting = list(reversed(starts))
        seen: dict[int, list[int]] = {}
        while waiting:
            state, condition = waiting.pop()
            before = seen.setdefault(state, [])
            if any(self._follows(condition, other) for other in before):
                continue
            before.append(condition)
            kind = nfa.kinds[state]
            if kind == FORK:
                waiting += [(goal, condition) for goal in reversed(nfa.targets[state])]
            elif kind == BEHIND:
                if symbol == NO_CLASS:
                    raise UnsupportedGrammarError(
                        "what looks at the text before a terminal (lookbehind, \\b, ^) is not supported",
                        keyword="(?<=",
                    )
                if symbol in self.classed.of_state[state]:
                    waiting.append((nfa.targets[state][0], condition))
            elif kind in (AHEAD, NOT_AHEAD):
                # Recursion is as deep as lookaheads nest, which Python's parser has met before.
                goal, looked_for = nfa.targets[state]
                ahead = self.found((looked_for,), symbol)
                if kind == NOT_AHEAD:
                    ahead = self.negated(ahead)
                condition = self.both(condition, ahead)
                if condition != NEVER:
                    waiting.append((goal, condition))
            else:
                yield state, condition

    # --- conditions of conditions --------------------------------------------------------------

    def both(self, first: int, second: int) -> int:
        """That two conditions hold."""
        if first in (ALWAYS, second) or second == NEVER:
            return second
        if second == ALWAYS or first == NEVER:
            return first
        key = (first, second) if first < second else (second, first)
        found = self._both.get(key)
        if found is None:
            ours, theirs = self._formulas[first], self._formulas[second]
            self._check(len(ours) * len(theirs))
            clauses = {clause | other for clause in ours for other in theirs}
            found = self._both[key] = self._number(self._reduced(clauses))
        return found

    def any_of(self, numbers: Iterable[int]) -> int:
        """That one of some conditions holds."""
        distinct = set(numbers) - {NEVER}
        if ALWAYS in distinct:
            return ALWAYS
        if len(distinct) == 1:
            return distinct.pop()
        clauses: set[Clause] = set()
        return self._number(
            self._reduced(clauses.union(*map(self._formulas.__getitem__, distinct)))
        )

    def negated(self, number: int) -> int:
        """That a condition does not hold."""
        formula = self._formulas[number]
        alone = frozenset(-literal for clause in formula if len(clause) == 1 for literal in clause)
        found = self._number(self._reduced({alone}))
        for clause in formula:
            if len(clause) != 1:
                missed = frozenset(frozenset([-literal]) for literal in clause)
                found = self.both(found, self._number(missed))
        return found

    def _follows(self, number: int, other: int) -> bool:
        """Whether a condition holds only where another one does, as far as clauses show."""
        if number == other or other == ALWAYS:
            return True
        wider = self._formulas[other]
        return all(any(clause >= wide for wide in wider) for clause in self._formulas[number])

    def _reduced(self, clauses: set[Clause]) -> Formula:
        """Without clauses that cannot hold or that follow from others."""
        possible = [c for c in clauses if not any(literal > 0 and -literal in c for literal in c)]
        if all(len(clause) == 1 for clause in possible):
            return frozenset(possible)
        self._check(len(possible))
        possible.sort(key=len)
        kept: list[Clause] = []
        for clause in possible:
            if not any(clause >= other for other in kept):
                kept.append(clause)
        return frozenset(kept)

    def _check(self, num_clauses: int) -> None:
        self.budget.check_time()
        # Clauses are compared with each other.
        self.budget.check("max_dfa_states", num_clauses, "cases of the lookaheads of a terminal")

    def _number(self, formula: Formula) -> int:
        number = self._numbers.get(formula)
        if number is None:
            number = self._numbers[formula] = len(self._formulas)
            self._formulas.append(formula)
            self._rows.append(None)
            if number % 64 == 0:
                self.budget.check_time()
            self.budget.check_table(number * self.classed.count, "guards of all terminals together")
        return number
