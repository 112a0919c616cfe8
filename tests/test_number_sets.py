"""Number sets and their automata against exact arithmetic on the spelled numbers."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syntagma.grammar import GrammarLimitError
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.number_automata import decimals_dfa, integers_dfa, multiples_dfa
from syntagma.grammar.number_sets import (
    EVERYTHING,
    Intervals,
    NumberSet,
    complement,
    exact,
    intersection,
    points,
)

OPTIONS = JsonOptions()
BUDGET = Budget.unlimited()
PLAIN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
SCIENTIFIC = re.compile(r"-?[1-9](\.[0-9]+)?[eE][+-]?[0-9]{1,2}")
WITH_EXPONENT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?[eE][+-]?[0-9]{1,2}")

BOUNDS = st.sampled_from(
    [exact(v) for v in [0, 1, -1, 0.5, -0.25, 9.99, 10, 12.5, 99, 100, 105, 0.001, 1e-7, 12345.678]]
)
CUTS = st.tuples(BOUNDS, st.integers(0, 1))


@st.composite
def interval_unions(draw: st.DrawFn) -> Intervals:
    cuts = sorted(draw(st.sets(CUTS, max_size=6)))
    found: Intervals = tuple(zip(cuts[::2], cuts[1::2], strict=False))
    return complement(found) if draw(st.booleans()) else found


STEPS = st.sampled_from([exact(v) for v in [1, 2, 3, 7, 10, 0.5, 0.1, 0.25, 0.01, 1.5]])
SETS = st.builds(NumberSet, interval_unions(), st.none() | STEPS, st.frozensets(STEPS, max_size=2))
NUMERALS = st.one_of(
    st.integers(-200, 20000).map(str),
    st.decimals(-200, 200, places=3).map(str),
    st.decimals(-2, 2, places=2).map(str),
    st.sampled_from(["-0", "0.0", "-0.00", "12.50", "100.0", "12345.678", "0.0000001", "9.990"]),
    st.builds(
        "{}{}.{}{}{}".format,
        st.sampled_from(["", "-"]),
        st.integers(0, 12),
        st.sampled_from(["0", "5", "999", "2345678"]),
        st.sampled_from(["e", "E+", "e-", "e0", "e-0"]),
        st.integers(0, 9),
    ),
)


def is_member(intervals: Intervals, value: Fraction) -> bool:
    return any(low <= (value, 0) < high for low, high in intervals)


@given(interval_unions(), interval_unions(), BOUNDS, BOUNDS)
def test_intervals_obey_the_laws_of_sets(
    left: Intervals, right: Intervals, one: Fraction, other: Fraction
) -> None:
    value = (one + other) / 2
    both = is_member(left, value) and is_member(right, value)
    assert is_member(intersection(left, right), value) == both
    assert is_member(complement(left), value) != is_member(left, value)
    assert complement(complement(left)) == left
    assert intersection(left, EVERYTHING) == left


@example(NumberSet(EVERYTHING, None, frozenset()), ["1.0e-0", "-2E-00"])
@given(SETS, st.lists(NUMERALS, min_size=1, max_size=8))
def test_decimals_are_the_spellings_of_members(numbers: NumberSet, texts: list[str]) -> None:
    dfa = decimals_dfa(numbers, OPTIONS, BUDGET)
    is_stepped = numbers.step is not None or numbers.holes
    scientific = WITH_EXPONENT if numbers.intervals == EVERYTHING else SCIENTIFIC
    for text in texts:
        is_spelled = PLAIN.fullmatch(text) or (not is_stepped and scientific.fullmatch(text))
        expected = bool(is_spelled) and numbers.holds(Fraction(Decimal(text)))
        assert dfa.accepts(text.encode()) == expected, text


DIGITS = st.text("0123456789", max_size=4)
EXPONENTIALS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.integers(0, 2000),
    DIGITS.map(lambda digits: digits and "." + digits),
    st.sampled_from(["e", "E+", "e-", "e0", "E-0"]),
    st.integers(0, 9) | st.sampled_from([10, 30, 99]),
)


@example(
    NumberSet(EVERYTHING, Fraction(1)), ["1e2", "1.5e1", "1.5e0", "150e-1", "0e5", "1e-1", "10e-01"]
)
@example(
    NumberSet(EVERYTHING, exact(0.25)), ["25e-2", "5e-1", "1e99", "1e-99", "0.0025e+2", "12.50e-1"]
)
@given(SETS, st.lists(NUMERALS | EXPONENTIALS, min_size=1, max_size=20))
def test_with_any_spelling_multiples_may_have_exponents(
    numbers: NumberSet, texts: list[str]
) -> None:
    dfa = decimals_dfa(numbers, JsonOptions(numbers="any"), BUDGET)
    scientific = WITH_EXPONENT if numbers.intervals == EVERYTHING else SCIENTIFIC
    for text in texts:
        is_spelled = PLAIN.fullmatch(text) or scientific.fullmatch(text)
        expected = bool(is_spelled) and numbers.holds(Fraction(Decimal(text)))
        assert dfa.accepts(text.encode()) == expected, text


def test_multiples_of_long_numbers_are_spelled_plainly() -> None:
    numbers = NumberSet(EVERYTHING, Fraction(12345))
    dfa = decimals_dfa(numbers, JsonOptions(numbers="any"), BUDGET)
    assert [dfa.accepts(text) for text in [b"24690", b"24690.0", b"2469e1"]] == [True, True, False]


@given(SETS, st.lists(st.integers(-300, 20000), min_size=1))
def test_integers_are_spelled_plainly(numbers: NumberSet, values: list[int]) -> None:
    whole = numbers.multiples(Fraction(1))
    dfa = integers_dfa(whole, OPTIONS, BUDGET)
    assert not dfa.accepts(b"1.0")
    for value in values:
        assert dfa.accepts(str(value).encode()) == whole.holds(Fraction(value))


@given(SETS)
def test_what_is_empty_has_no_spelling(numbers: NumberSet) -> None:
    if numbers.is_empty:
        assert decimals_dfa(numbers, OPTIONS, BUDGET).is_empty
    members = numbers.members()
    if members is not None:
        assert (not members) == numbers.is_empty
        assert all(map(numbers.holds, members))


def test_points_are_nothing_but_themselves() -> None:
    numbers = NumberSet(points([Fraction(1), Fraction(1, 2)]))
    assert numbers.members() == [Fraction(1, 2), Fraction(1)]
    dfa = decimals_dfa(numbers, OPTIONS, BUDGET)
    assert [
        t for t in [b"0.5", b"0.50", b"1", b"1.0", b"5e-1", b"5e-01"] if not dfa.accepts(t)
    ] == []
    assert [t for t in [b"0.51", b"0", b"1.01", b"5e-2"] if dfa.accepts(t)] == []


def test_a_long_step_meets_the_limit() -> None:
    with pytest.raises(GrammarLimitError) as caught:
        multiples_dfa(exact(0.123456789), Budget(CompileLimits()))
    assert caught.value.limit == "max_dfa_states"
