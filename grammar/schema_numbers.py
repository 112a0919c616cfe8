"""Sets of numbers -> rules: the spellings of their members."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.json_terminals import JsonTerminals
from syntagma.grammar.number_automata import decimals_dfa, integers_dfa
from syntagma.grammar.number_sets import FEW, NumberSet, as_json, exact, is_infinite

# For numbers that ``enum`` and ``const`` list, how they were given.
Spellings = Mapping[Fraction, Sequence[int | float]]

# Numbers with no more digits than this one before and behind the point are always written.
SHORT = 10**15


def number_node(numbers: NumberSet, given: Spellings, terminals: JsonTerminals) -> ir.Node:
    """The members of a set, listed ones as they were given.

    Raises:
        GrammarError: bounds or steps with too many digits.
    """
    options, budget = terminals.options, terminals.budget
    if numbers.is_everything:
        return terminals.number()
    is_whole = numbers.step is not None and numbers.step.denominator == 1
    is_canonical = options.numbers == "canonical"
    if is_canonical and is_whole and numbers.step == 1 and not numbers.holes:
        ranges = numbers.integer_ranges()
        if all(low != high or low is None for low, high in ranges):
            return ir.choice(*(terminals.integer(low, high) for low, high in ranges))
    # Single numbers, as `enum` lists them, are few in any case.
    members = numbers.members(FEW + len(numbers.intervals)) if is_canonical else None
    if members is not None:
        values = {member: given.get(member, [as_json(member)]) for member in members}
        if all(exact(value) == member for member in members for value in values[member]):
            return terminals.words(v for member in members for v in values[member])
    build = integers_dfa if is_canonical and is_whole else decimals_dfa
    dfa = build(numbers, options, budget)
    if dfa.is_empty and options.max_digits is not None:
        without_bound = replace(options, max_digits=None)
        if not build(numbers, without_bound, budget).is_empty:
            raise GrammarLimitError(
                "all numbers that fit have more digits than "
                f"max_digits = {options.max_digits}; raise it",
                limit="max_digits",
            )
    return ir.NOTHING if dfa.is_empty else ir.Terminal(dfas.without_empty_word(dfa))


def has_members(numbers: NumberSet, terminals: JsonTerminals) -> bool:
    """Whether `number_node` succeeds and writes something; its automaton is built only in doubt.

    Raises:
        GrammarError: as `number_node`.
    """
    if numbers.is_everything:
        return True
    if numbers.holes or numbers.step not in (None, 1):
        return number_node(numbers, {}, terminals) is not ir.NOTHING
    if numbers.step == 1:
        ranges = (terminals.integer_range(*ends) for ends in numbers.integer_ranges())
        return any(low is None or high is None or low <= high for low, high in ranges)
    ends = [end[0] for ends in numbers.intervals for end in ends if not is_infinite(end[0])]
    if all(_is_short(Fraction(end)) for end in ends):
        near = [member for end in ends for member in (Fraction(end), Fraction(math.floor(end) + 1))]
        if any(numbers.holds(member) for member in (Fraction(0), *near)):
            return True
    return number_node(numbers, {}, terminals) is not ir.NOTHING


def _is_short(number: Fraction) -> bool:
    """Whether a number is spelled plainly with few digits."""
    return abs(number) < SHORT and SHORT % number.denominator == 0
