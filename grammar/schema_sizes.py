"""How many values fit a formula, at least."""

from __future__ import annotations

import math

import numpy as np

from syntagma.grammar.dfa import DEAD, START, Dfa
from syntagma.grammar.number_sets import NumberSet
from syntagma.grammar.schema_atoms import booleans, items_form, members_form, number_set
from syntagma.grammar.schema_clauses import Clause
from syntagma.grammar.schema_emptiness import Emptiness
from syntagma.grammar.schema_keys import KeySorter
from syntagma.grammar.schema_logic import FALSE, TRUE, Formula

NUM_CODE_POINTS = 0x110000 - 0x800
# Bytes that spell one character each, in one way among them.
PLAIN_BYTES = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
LONGEST = 64
# How many levels of items and members are looked into.
MAX_DEPTH = 4
# Of the multiples of a step, holes leave one in so many at least, unless there are many holes.
LEFT_BY_HOLES, MAX_HOLES = 64, 4


class Sizes:
    """Counts values, up to a limit; that a formula has any value at all is taken for granted."""

    def __init__(self, emptiness: Emptiness, sorter: KeySorter) -> None:
        self.emptiness = emptiness
        self.clauses = emptiness.clauses
        self.texts = emptiness.texts
        self.logic = emptiness.logic
        self.sorter = sorter

    def at_least(self, formula: Formula, limit: int, depth: int = MAX_DEPTH) -> int:
        """A number of values that fit, ``limit`` at most: there may be more."""
        if formula == TRUE:
            return limit
        if limit <= 1 or depth == 0:
            return min(limit, 0 if formula == FALSE else 1)
        found = 1 if self.clauses.of(formula, "null") else 0
        truths = {
            truth
            for clause in self.clauses.of(formula, "boolean")
            for truth in booleans(clause, self.logic)
        }
        found += len(truths)
        for kind, count in (
            ("number", self._numbers),
            ("string", self.num_texts),
            ("array", self._arrays),
            ("object", self._objects),
        ):
            # Clauses of one kind may overlap.
            found += max(
                (count(clause, limit, depth - 1) for clause in self.clauses.of(formula, kind)),
                default=0,
            )
            if found >= limit:
                return limit
        return max(1, found)

    def _numbers(self, clause: Clause, limit: int, _: int) -> int:
        numbers: NumberSet = number_set(clause, self.logic)
        if len(numbers.holes) > MAX_HOLES:
            return 0 if numbers.is_empty else 1
        members = numbers.members(limit * LEFT_BY_HOLES)
        if members is None:
            return 0 if numbers.is_empty else limit
        return min(limit, len(members))

    def num_texts(self, clause: Clause, limit: int, _: int = 0) -> int:
        """A number of strings that fit a clause, ``limit`` at most."""
        form = self.texts.form(clause)
        if form.values is not None:
            return min(limit, len(self.texts.listed(form)))
        if form.is_plain and not (form.patterns or form.formats):
            if form.max_length is None:
                return limit
            longest = min(form.max_length, LONGEST)
            shortest = min(form.min_length, longest)
            counts: list[int] = [NUM_CODE_POINTS**n for n in range(shortest, longest + 1)]
            return min(limit, sum(counts))
        return _num_plain_words(self.texts.automaton(form), limit)

    def _arrays(self, clause: Clause, limit: int, depth: int) -> int:
        form = items_form(clause, self.logic)
        high = form.high
        if form.is_contradictory or (high is not None and form.low > high):
            return 0
        rest = form.item(form.num_special, self.logic)
        is_longer = high is None and not self.emptiness.is_empty(rest)
        if is_longer and form.unique is None:
            return limit
        indices = range(min(form.num_special + 1, form.num_special + 1 if high is None else high))
        sizes = [self.at_least(form.item(i, self.logic), limit, depth) for i in indices]
        return max([1, *sizes])

    def _objects(self, clause: Clause, limit: int, depth: int) -> int:
        form = members_form(clause, self.logic)
        keys = self.sorter.sorted(form)
        has_room = form.high is None or form.high > len(keys.required)
        for found in keys.classes:
            if not has_room or self.emptiness.is_empty(found.value):
                continue
            if any(self.num_texts(clause, limit) >= limit for clause in found.keys):
                return limit
        product = 1
        for index, value in enumerate(keys.values):
            is_required = index in keys.required
            if not is_required and (form.high is not None or form.low or keys.obligations):
                continue
            if self.emptiness.is_empty(value):
                continue
            product *= self.at_least(value, limit, depth) + (not is_required)
            if product >= limit:
                return limit
        return product


def _num_plain_words(dfa: Dfa, limit: int) -> int:
    """How many quoted words of plain characters an automaton accepts, as far as ``limit``."""
    multiplicity = np.bincount(
        dfa.byte_classes[np.frombuffer(PLAIN_BYTES, np.uint8)], minlength=dfa.transitions.shape[1]
    ).astype(np.float64)
    quote = int(dfa.byte_classes[ord('"')])
    ways = np.zeros(len(dfa.transitions), np.float64)
    ways[dfa.transitions[START, quote]] = 1
    found = 0.0
    for _ in range(LONGEST):
        ways[DEAD] = 0
        closed = dfa.transitions[:, quote]
        found += float(ways[dfa.accepting[closed]].sum())
        after = np.zeros_like(ways)
        for symbol, times in enumerate(multiplicity):
            if times:
                np.add.at(after, dfa.transitions[:, symbol], ways * times)
        ways = after
        if found >= limit:
            break
    return limit if found >= limit or math.isinf(found) else int(found)
