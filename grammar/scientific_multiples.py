"""Multiples of a decimal number among spellings with an exponent: ``1e2`` is an integer, ``15e-1`` is none.

A mantissa ``M / 10**f`` with the exponent ``e`` is a multiple of ``amount / 10**places`` exactly if
``amount`` divides ``M * 10**(e - f + places)``. Ten times a multiple is one as well, so a mantissa has a *threshold*:
the least ``e + places`` from which on it is. A digit other than zero sets it anew; a zero leaves it where it is
behind the point, and moves it down by one before the point.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar.dfa import DEAD, START, Dfa

SIGNS = (b"-", b"+")
DIGITS = tuple(b"%d" % digit for digit in range(10))
COLUMNS = (*DIGITS, *SIGNS, b".", b"eE")
NEVER = math.inf


class Mantissa(NamedTuple):
    """What is known of the digits before the exponent.

    Attributes:
        places: digits behind the point; None before it.
        rest: of the digits, as an integer, divided by the amount.
        threshold: see above; `NEVER` where no exponent makes a multiple.
    """

    places: int | None
    rest: int
    threshold: float


class Exponent(NamedTuple):
    """What is known of an exponent that must be at least ``least``."""

    least: int
    sign: int
    num_digits: int
    value: int


State = Mantissa | Exponent


class ScientificMultiples:
    """The automaton's moves; syntax is left to the language of all numbers, which it is intersected with.

    Args:
        amount, places: the step is ``amount / 10**places``.
        max_fraction: digits behind the point at most where there is an exponent, otherwise zeros may
            follow; and so many zeros before the point, at most, are taken away by an exponent.
        max_exponent_digits: digits of an exponent at most.
    """

    def __init__(
        self, amount: int, places: int, max_fraction: int, max_exponent_digits: int
    ) -> None:
        self.amount = amount
        self.places = places
        self.max_fraction = max_fraction
        self.max_exponent_digits = max_exponent_digits
        self.largest = 10**max_exponent_digits - 1
        self.missing_zeros = _missing_zeros(amount)

    @property
    def initial(self) -> State:
        """Zero is a multiple whatever the exponent."""
        return Mantissa(None, 0, self.places - self.largest)

    def is_final(self, state: State) -> bool:
        if isinstance(state, Mantissa):
            return state.threshold <= self.places
        return state.num_digits > 0 and state.sign * state.value >= state.least

    def moves(self, state: State) -> Iterator[tuple[bytes, State]]:
        """What may come next, and where it leads."""
        if isinstance(state, Mantissa):
            yield from self._moves_of_mantissa(state)
        else:
            yield from self._moves_of_exponent(state)

    def _moves_of_mantissa(self, state: Mantissa) -> Iterator[tuple[bytes, State]]:
        if state == self.initial:
            yield b"-", state
        if state.places is None:
            yield b".", state._replace(places=0)
        if state.places is None or state.places < self.max_fraction:
            yield from self._digits(state)
        elif state.places == self.max_fraction:
            yield b"0", self._without_exponent(state)
        else:
            yield b"0", state
            return
        least = max(-self.largest, state.threshold - self.places)
        if least <= self.largest:
            yield b"eE", Exponent(int(least), 1, 0, 0)

    def _digits(self, state: Mantissa) -> Iterator[tuple[bytes, State]]:
        places = None if state.places is None else state.places + 1
        for digit, text in enumerate(DIGITS):
            rest = (10 * state.rest + digit) % self.amount
            threshold = (places or 0) + self.missing_zeros[rest]
            if digit == 0 and (places is not None or state == self.initial):
                threshold = state.threshold
            elif digit == 0 and state.rest == 0:
                threshold = max(-self.max_fraction, state.threshold - 1)
            yield text, Mantissa(places, rest, threshold)

    def _without_exponent(self, state: Mantissa) -> Mantissa:
        is_multiple = state.threshold <= self.places
        return Mantissa(self.max_fraction + 1, 0, self.places if is_multiple else NEVER)

    def _moves_of_exponent(self, state: Exponent) -> Iterator[tuple[bytes, State]]:
        if state.num_digits == 0 and state.value == 0 and state.sign == 1:
            yield b"+", state
            yield b"-", state._replace(sign=-1)
        if state.num_digits == self.max_exponent_digits:
            return
        for digit, text in enumerate(DIGITS):
            after = state._replace(num_digits=state.num_digits + 1, value=10 * state.value + digit)
            lowest, highest = self._reach(after)
            if lowest >= state.least:
                # All that can follow is large enough: such states are alike.
                yield text, after._replace(least=-self.largest, value=0)
            elif highest >= state.least:
                yield text, after

    def _reach(self, state: Exponent) -> tuple[int, int]:
        """The least and the greatest exponent that some more digits, or none, can make."""
        room = 10 ** (self.max_exponent_digits - state.num_digits)
        ends = state.sign * state.value, state.sign * (state.value * room + room - 1)
        return min(ends), max(ends)


def _missing_zeros(amount: int) -> list[float]:
    """For each rest, how many zeros behind a number make it a multiple."""
    found = []
    for rest in range(amount):
        # What is left of the amount must be made of twos and fives.
        left = amount // math.gcd(rest, amount)
        count: float = 0
        while left > 1 and math.gcd(left, 10) > 1:
            left //= math.gcd(left, 10)
            count += 1
        found.append(count if left == 1 else NEVER)
    return found


@functools.lru_cache(maxsize=64)
def scientific_multiples_dfa(
    amount: int, places: int, max_fraction: int, max_exponent_digits: int
) -> Dfa:
    """The automaton of `ScientificMultiples`; plain spellings are among them."""
    automaton = ScientificMultiples(amount, places, max_fraction, max_exponent_digits)
    numbers = {automaton.initial: START}
    states = [automaton.initial]
    rows = [[DEAD] * (len(COLUMNS) + 1)]
    columns = {text: 1 + i for i, text in enumerate(COLUMNS)}
    for state in states:
        row = [DEAD] * (len(COLUMNS) + 1)
        for text, after in automaton.moves(state):
            if after not in numbers:
                numbers[after] = START + len(states)
                states.append(after)
            row[columns[text]] = numbers[after]
        rows.append(row)
    byte_classes = np.zeros(256, np.uint8)
    for text, column in columns.items():
        byte_classes[list(text)] = column
    labels = [False, *map(automaton.is_final, states)]
    return dfas.from_table(
        np.array(rows, np.int32), byte_classes, START, np.array(labels, np.int32)
    )
