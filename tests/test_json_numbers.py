"""Number terminals against enumeration and `json.loads`."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_bytes
from syntagma.grammar.json_numbers import integer_tree, number_tree
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget

BUDGET = Budget.unlimited()
NOT_INTEGERS = ["", "-", "-0", "00", "01", "-01", "+1", "1.0", "1e1", "1E1", " 1", "1 ", "0x1", "٣", "1_0"]  # fmt: skip


def integers(low: int | None, high: int | None, max_digits: int = 20) -> Dfa:
    options = JsonOptions(max_digits=max_digits)
    return dfa_from_bytes(integer_tree(low, high, options), BUDGET)


def check(dfa: Dfa, low: int, high: int, candidates: set[int]) -> None:
    for value in candidates:
        assert dfa.accepts(str(value).encode()) == (low <= value <= high), value
    assert not any(dfa.accepts(text.encode()) for text in NOT_INTEGERS)


def neighbours(*values: int) -> set[int]:
    """Numbers around some, and around the powers of ten between them."""
    found = {v + d for v in values for d in range(-25, 26)}
    longest = max(len(str(abs(v))) for v in values)
    powers = [s * 10**k for k in range(longest + 2) for s in (-1, 1)]
    return found | {p + d for p in powers for d in (-1, 0, 1)} | set(range(-120, 121))


@given(st.integers(-300, 300), st.integers(-300, 300))
@example(0, 0)
@example(-1, 0)
@example(-1, 1)
@example(-100, 100)
@example(99, 101)
@example(-1000, -999)
@example(5, 4)
def test_small_ranges_exhaustively(low: int, high: int) -> None:
    dfa = integers(low, high)
    check(dfa, low, high, set(range(-1111, 1112)))
    assert dfa.is_empty == (low > high)


@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
@example(-(10**25), 10**25)
@example(2**53, 2**63)
@example(10**19 - 1, 10**20)
def test_wide_ranges_around_their_bounds(one: int, other: int) -> None:
    low, high = min(one, other), max(one, other)
    middle = (low + high) // 2
    check(integers(low, high), low, high, neighbours(low, high, middle))


@given(st.integers(-(10**12), 10**12), st.integers(0, 10**6))
def test_narrow_ranges_far_from_zero(low: int, width: int) -> None:
    high = low + width
    check(integers(low, high), low, high, neighbours(low, high, (low + high) // 2))


@given(st.integers(-1200, 1200), st.integers(1, 3))
@example(0, 3)
@example(1000, 3)
@example(-1000, 3)
def test_one_bound_leaves_the_other_to_the_digit_cap(bound: int, digits: int) -> None:
    """At most so many digits, or as many as the given bound itself."""
    window = {*range(-1300, 1301), 9999, 10000, -9999, -10000}
    largest = 10 ** max(digits, len(str(max(0, bound)))) - 1
    smallest = 1 - 10 ** max(digits, len(str(max(0, -bound))))
    check(integers(bound, None, digits), bound, largest, window)
    check(integers(None, bound, digits), smallest, bound, window)


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_no_bounds(digits: int) -> None:
    largest = 10**digits - 1
    check(integers(None, None, digits), -largest, largest, set(range(-1300, 1301)))


def test_a_bound_of_hundreds_of_digits() -> None:
    big = 10**300 + 7
    check(integers(-big, big), -big, big, {big, -big, big + 1, -big - 1, 10**300, 10**299, 0, 7})
    check(integers(big, big), big, big, {big, big - 1, big + 1, 0})


def number(digits: int = 3) -> Dfa:
    options = JsonOptions(max_digits=digits, max_exponent_digits=2)
    return dfa_from_bytes(number_tree(options), BUDGET)


def is_json_number(text: str) -> bool:
    try:
        value = json.loads(text, parse_constant=lambda name: None)
    except ValueError:
        return False
    return isinstance(value, int | float) and not isinstance(value, bool) and text == text.strip()


NUMBER = number()


def within_caps(text: str) -> bool:
    mantissa, _, exponent = text.lower().partition("e")
    integer, _, fraction = mantissa.lstrip("-").partition(".")
    return len(integer) <= 3 and len(fraction) <= 3 and len(exponent.lstrip("+-")) <= 2


@given(st.text(st.sampled_from("0123456789-+.eE"), max_size=9))
@example("-0")
@example("-0.0e-0")
@example("1.e5")
@example(".5")
@example("1e")
@example("1E+05")
@example("01")
@example("--1")
@example("1000")
@example("0.0001")
@example("1e100")
def test_numbers_are_those_of_json_within_the_caps(text: str) -> None:
    assert NUMBER.accepts(text.encode()) == (is_json_number(text) and within_caps(text))


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_what_dumps_writes_is_a_number(value: float) -> None:
    """With room for every digit (a double's exponent may need three)."""
    options = JsonOptions(max_digits=400, max_exponent_digits=3)
    dfa = dfa_from_bytes(number_tree(options), BUDGET)
    assert dfa.accepts(json.dumps(value).encode())


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "nan", "", " 1", "1 ", "1,0"])
def test_not_numbers(text: str) -> None:
    assert not NUMBER.accepts(text.encode())
