"""Automata of number sets: which decimal spellings denote a member."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.decimal_trees import at_least, at_most, fraction_digits
from syntagma.grammar.dfa import DEAD, START, Dfa
from syntagma.grammar.dfa_builder import dfa_from_bytes
from syntagma.grammar.json_numbers import MINUS, integer_tree, number_tree
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget
from syntagma.grammar.number_sets import ABOVE_ALL, BELOW_ALL, Cut, NumberSet, is_infinite
from syntagma.grammar.scientific_multiples import scientific_multiples_dfa

DIGIT_0, MINUS_BYTE, POINT_BYTE = 0x30, 0x2D, 0x2E
# Columns of the automaton of multiples: other bytes, the digits, the sign, the point.
OTHER, SIGN, POINT, NUM_CLASSES = 0, 11, 12, 13
ZERO = Fraction(0)
# Multiples of what has more digits are spelled without an exponent.
MAX_SCIENTIFIC_STATES = 4096
# Digits behind the point of a multiple that has an exponent.
MAX_FRACTION = 20


def integers_dfa(numbers: NumberSet, options: JsonOptions, budget: Budget) -> Dfa:
    """The integers of a set whose step is an integer, without fraction or exponent.

    Raises:
        GrammarLimitError: a step or hole needs too many states.
    """
    ranges = NumberSet(numbers.intervals, Fraction(1)).integer_ranges()
    budget.check("max_enum_values", len(ranges), "gaps between integers")
    budget.check_time()
    whole = dfa_from_bytes(ast.union([integer_tree(*ends, options) for ends in ranges]), budget)
    return _with_steps(whole, numbers, options, budget)


def decimals_dfa(numbers: NumberSet, options: JsonOptions, budget: Budget) -> Dfa:
    """The members of a set, spelled plainly or scientifically.

    Multiples are spelled scientifically only with ``numbers="any"``, and only if what they are multiples of
    has few digits.

    Raises:
        GrammarLimitError: a step or hole needs too many states.
    """
    parts = []
    for low, high in numbers.intervals:
        budget.check_time()
        ends = _clipped(low, -1, options, budget), _clipped(high, 1, options, budget)
        part = _interval(*ends, options)
        if not part.is_empty:
            parts.append(ast.Automaton(part))
    return _with_steps(dfa_from_bytes(ast.union(parts), budget), numbers, options, budget)


def _clipped(cut: Cut, side: int, options: JsonOptions, budget: Budget) -> Cut:
    """A lower (side -1) or upper cut (1), taken away if no spelling lies beyond it.

    Raises:
        GrammarLimitError: the cut has more than ``max_number_digits`` before or behind the point.
    """
    value = cut[0]
    if is_infinite(value):
        return cut
    if options.max_digits is not None:
        largest = 10 ** (options.max_digits + 10**options.max_exponent_digits)
        if side * value >= largest:
            return side * math.inf, 0
    exact = Fraction(value)
    digits = max(len(str(abs(int(exact)))), len(str(exact.denominator)) - 1)
    budget.check("max_number_digits", digits, "digits of a bound on numbers")
    return cut


def _with_steps(spellings: Dfa, numbers: NumberSet, options: JsonOptions, budget: Budget) -> Dfa:
    if numbers.step is not None and not spellings.is_empty:
        multiples = _all_multiples(numbers.step, options)
        if multiples is None:
            multiples = multiples_dfa(numbers.step, budget)
        spellings = dfas.intersection(spellings, multiples, budget)
    for hole in sorted(numbers.holes):
        if spellings.is_empty:
            break
        multiples = _all_multiples(hole, options)
        if multiples is None:
            multiples = multiples_dfa(hole, budget)
            # Whether a number with an exponent is a multiple is not worked out.
            spellings = dfas.difference(spellings, _with_exponent(), budget)
        spellings = dfas.difference(spellings, multiples, budget)
    return spellings


def _all_multiples(step: Fraction, options: JsonOptions) -> Dfa | None:
    """The multiples of a step, scientifically spelled ones included; None where these are not written."""
    if options.numbers != "any":
        return None
    amount, places = _amount(step)
    max_fraction = max(places, min(options.max_digits or MAX_FRACTION, MAX_FRACTION))
    if amount * (max_fraction + 2) > MAX_SCIENTIFIC_STATES:
        return None
    return scientific_multiples_dfa(amount, places, max_fraction, options.max_exponent_digits)


@functools.lru_cache(maxsize=256)
def _interval(low: Cut, high: Cut, options: JsonOptions) -> Dfa:
    """The spellings of the numbers between two cuts."""
    budget = Budget.unlimited()
    if (low, high) == (BELOW_ALL, ABOVE_ALL):
        return _all_numbers(options)
    parts: list[ast.Node] = []
    if high > (ZERO, 0):
        positive = _non_negative(max(low, (ZERO, 0)), high, options)
        parts.append(ast.Automaton(positive))
    if low < (ZERO, 1):
        # The sign turns the cuts round; -0 is zero.
        mirrored = _non_negative(max(_negated(high), (ZERO, 0)), _negated(low), options)
        parts.append(ast.concat(MINUS, ast.Automaton(mirrored)))
    return dfa_from_bytes(
        ast.union([p for p in parts if not isinstance(p, ast.Automaton) or not p.dfa.is_empty]),
        budget,
    )


def _negated(cut: Cut) -> Cut:
    return -cut[0], 1 - cut[1]


def _non_negative(low: Cut, high: Cut, options: JsonOptions) -> Dfa:
    budget = Budget.unlimited()
    options = _with_room((low, high), options)
    above = at_least(Fraction(low[0]), options, is_open=low[1] == 1)
    found = dfas.intersection(dfa_from_bytes(above, budget), _all_numbers(options), budget)
    if is_infinite(high[0]):
        return found
    below = at_most(Fraction(high[0]), options, is_open=high[1] == 0)
    return dfas.intersection(found, dfa_from_bytes(below, budget), budget)


def _with_room(cuts: Iterable[Cut], options: JsonOptions) -> JsonOptions:
    """Options with as many digits as the finite ones of some cuts have."""
    most = options.max_digits
    if most is None:
        return options
    for value, _ in cuts:
        if not is_infinite(value):
            whole, fraction = divmod(Fraction(value), 1)
            most = max(most, len(str(whole)), len(fraction_digits(fraction)))
    return options if most == options.max_digits else replace(options, max_digits=most)


@functools.lru_cache(maxsize=8)
def _all_numbers(options: JsonOptions) -> Dfa:
    return dfa_from_bytes(number_tree(options), Budget.unlimited())


@functools.cache
def _with_exponent() -> Dfa:
    anything = ast.Repeat(ast.CharSet(((0, 255),)), 0, None)
    marks = ast.CharSet(((0x45, 0x45), (0x65, 0x65)))
    return dfa_from_bytes(ast.concat(anything, marks, anything), Budget.unlimited())


@functools.lru_cache(maxsize=256)
def _multiples(amount: int, places: int) -> Dfa:
    """Plain decimals that are multiples of ``amount / 10**places``.

    A state is the remainder of the digits so far and, behind the point, their number; zeros may follow
    when all places are filled.
    """
    rests = np.arange(amount, dtype=np.int64)
    after = ((10 * rests[:, None] + np.arange(10)) % amount).astype(np.int32)
    # States: dead, the remainders before the point, then those at each place behind it.
    num_states = 1 + amount * (places + 2)
    table = np.zeros((num_states, NUM_CLASSES), np.int32)
    labels = np.zeros(num_states, np.int32)
    table[1 : 1 + amount, 1:11] = 1 + after
    table[1, SIGN] = START
    for place in range(places + 1):
        first = 1 + amount * (place + 1)
        rows = slice(first, first + amount)
        if place < places:
            table[rows, 1:11] = first + amount + after
        else:
            table[rows, 1] = first + rests
        missing = pow(10, places - place, amount)
        labels[rows] = (rests * missing) % amount == 0
    table[1 : 1 + amount, POINT] = 1 + amount + rests
    labels[1 : 1 + amount] = labels[1 + amount : 1 + 2 * amount]
    table[DEAD] = DEAD
    byte_classes = np.zeros(256, np.uint8)
    byte_classes[DIGIT_0 : DIGIT_0 + 10] = np.arange(1, 11)
    byte_classes[MINUS_BYTE], byte_classes[POINT_BYTE] = SIGN, POINT
    return dfas.from_table(table, byte_classes, START, labels)


def multiples_dfa(step: Fraction, budget: Budget) -> Dfa:
    """Plain decimals that are multiples of a positive decimal number.

    Raises:
        GrammarLimitError: it has more digits than ``max_dfa_states`` allows.
    """
    amount, places = _amount(step)
    budget.check("max_dfa_states", amount * (places + 2), f"states of the multiples of {step}")
    return _multiples(amount, places)


def _amount(step: Fraction) -> tuple[int, int]:
    """A decimal number as an integer, and by how many digits its point is moved."""
    places = 0
    while (step * 10**places).denominator != 1:
        places += 1
    return int(step * 10**places), places
