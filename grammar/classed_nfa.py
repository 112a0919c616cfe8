"""The classes of characters that patterns tell apart."""

from __future__ import annotations

import itertools

from syntagma.grammar.limits import Budget
from syntagma.grammar.nfa import Alphabet, SymbolClasses
from syntagma.grammar.python_regex import BEHIND, PatternNfa


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
